//! What the tests on a real API server share: a cluster with the chart installed, the operator running beside it with
//! the credential of the chart's ServiceAccount, and users who act with kubectl.

#![allow(dead_code, reason = "no binary needs all of it")]

pub mod audit;
pub mod operator;
pub mod reader;
pub mod requirements;

use std::{
    cell::RefCell,
    fmt::Write as _,
    io::Write as _,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use lockbox_cluster::{Cluster, Options, User};
use serde_json::{Value, json};

use operator::Operator;
use reader::Reader;

/// How long a test waits for anything at most.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub const KIM: &str = "kim@provider.example";
pub const ALICE: &str = "alice@contoso.example";
pub const ADA: &str = "ada@contoso.example";

/// A cluster with Lockbox installed by Helm.
pub struct World {
    pub cluster: Cluster,
    /// The administrator's reads.
    reader: Reader,
    pub operator: Mutex<Option<Operator>>,
    /// Settings are one object: many may rely on those of the examples at a time, and one may change them.
    settings: RwLock<()>,
}

thread_local! {
    /// The worlds whose settings this thread holds, by address: it must not wait for itself.
    static HELD: RefCell<Vec<usize>> = const { RefCell::new(vec![]) };
}

impl World {
    /// The newest Kubernetes, the chart, the operator, and the settings of the examples.
    pub fn new() -> Self {
        let world = Self::installed(Options::default());
        world.start_operator();
        world.apply_as(&world.ada(), &settings().to_string()).unwrap();
        world.wait_for_settings();
        world.wait_for_proofs();
        world
    }

    /// A cluster with the chart, and no operator yet.
    pub fn installed(options: Options) -> Self {
        Self::after(options, |_| None)
    }

    /// A cluster with the chart, and an operator that was started before the chart was there.
    pub fn installed_with(options: Options, early: impl FnOnce(&Cluster) -> Operator) -> Self {
        Self::after(options, |cluster| Some(early(cluster)))
    }

    fn after(options: Options, early: impl FnOnce(&Cluster) -> Option<Operator>) -> Self {
        let cluster = Cluster::start(options).unwrap();
        let operator = early(&cluster);
        let reader = Reader::new(cluster.admin());
        let world = Self { cluster, reader, operator: Mutex::new(operator), settings: RwLock::new(()) };
        world.helm_install(&[]);
        world
    }

    /// `helm install` as the README has it, for an operator outside a Pod and a first administrator.
    pub fn helm_install(&self, more: &[&str]) {
        let chart = repository("charts/lockbox");
        let mut helm = self.cluster.helm(self.cluster.admin());
        helm.args(["install", "lockbox"]).arg(chart).args(["-n", "lockbox-system", "--create-namespace"]);
        helm.args(["--set", "operator.onlyFromItsPod=false"]);
        helm.args([
            "--set",
            &format!("bootstrap.globalAdministrators[0].kind=User,bootstrap.globalAdministrators[0].name={ADA}"),
        ]);
        helm.args(more);
        lockbox_cluster::output(helm).unwrap();
        // A policy bites a second or two after it is made, and a mutating one when the kinds are known to the server.
        // Both do when a request in somebody else's name is refused with our own words and one without a requester is
        // filled in.
        eventually("the admission policies are in force", || {
            let forged = request("probe")
                .namespace("default")
                .set("/spec/requester/username", "mallory@provider.example")
                .to_string();
            let refused = self.apply_dry(self.cluster.admin(), &forged).err()?;
            refused.contains("denied request").then_some(())
        });
        // What was asked for while they were young does not count.
        eventually("the admission policies are old enough to be trusted", || {
            let binding = self.get("validatingadmissionpolicybinding", "default", "lockbox-requests-decide");
            let made: DateTime<Utc> = binding["metadata"]["creationTimestamp"].as_str()?.parse().unwrap();
            (Utc::now() > made + TimeDelta::seconds(6)).then_some(())
        });
        // The kinds come one by one, and a mutating policy knows each a moment after it is served.
        eventually("the settings can be written", || {
            self.apply_dry(self.cluster.admin(), &example("global-administrator/settings.yaml")).ok()
        });
    }

    /// Starts the operator with the ServiceAccount's token.
    pub fn start_operator(&self) {
        let account = self.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
        let operator = Operator::start(&account, self.cluster.data(), &[]);
        *self.operator() = Some(operator);
    }

    /// Kills the operator with -9.
    pub fn kill_operator(&self) {
        *self.operator() = None;
    }

    fn operator(&self) -> MutexGuard<'_, Option<Operator>> {
        self.operator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A support engineer of the provider, on a secure workstation.
    pub fn kim(&self) -> User {
        self.cluster.user(KIM, &["provider:engineers", "provider:secure-workstations"]).unwrap()
    }

    /// An Owner of the namespaces that [`World::subscription`] makes.
    pub fn alice(&self) -> User {
        self.cluster.user(ALICE, &["contoso:owners"]).unwrap()
    }

    /// The first Global Administrator.
    pub fn ada(&self) -> User {
        self.cluster.user(ADA, &[]).unwrap()
    }

    /// Anybody else.
    pub fn user(&self, name: &str, groups: &[&str]) -> User {
        self.cluster.user(name, groups).unwrap()
    }

    /// A namespace of the test's own with two ConfigMaps, `shop-settings` and `other`, and Alice as its Owner.
    pub fn subscription(&self, namespace: &str) {
        self.namespace(namespace);
        self.assign(namespace, "alice", "User", ALICE, "Owner");
    }

    /// The same without any assignment.
    pub fn namespace(&self, namespace: &str) {
        self.admin(&["create", "namespace", namespace]).unwrap();
        for name in ["shop-settings", "other"] {
            self.admin(&["create", "configmap", name, "-n", namespace, "--from-literal=key=value"]).unwrap();
        }
    }

    /// A role assignment by the administrator, recognised before this returns.
    pub fn assign(&self, namespace: &str, name: &str, kind: &str, principal: &str, role: &str) {
        let assignment = json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"principal": {"kind": kind, "name": principal}, "role": role, "scope": "Subscription"},
        });
        self.apply_as(&self.ada(), &assignment.to_string()).unwrap();
        let wait = format!("--for=condition=Recognized=true lra/{name} -n {namespace} --timeout=60s");
        self.admin(&[&["wait"][..], &wait.split(' ').collect::<Vec<_>>()].concat()).unwrap();
    }

    /// Runs kubectl as a user: standard output, or standard error as the user sees it.
    pub fn kubectl(&self, user: &User, arguments: &[&str]) -> Result<String, String> {
        let mut kubectl = self.cluster.kubectl(user);
        kubectl.args(arguments).stdin(Stdio::null());
        said(&kubectl.output().unwrap())
    }

    /// Runs kubectl as the cluster's administrator.
    pub fn admin(&self, arguments: &[&str]) -> Result<String, String> {
        self.kubectl(self.cluster.admin(), arguments)
    }

    /// `kubectl apply` of a text.
    pub fn apply_as(&self, user: &User, manifest: &str) -> Result<String, String> {
        self.pipe(user, &["apply", "-f", "-"], manifest)
    }

    /// `kubectl create` of a text.
    pub fn create_as(&self, user: &User, manifest: &str) -> Result<String, String> {
        self.pipe(user, &["create", "-f", "-"], manifest)
    }

    fn apply_dry(&self, user: &User, manifest: &str) -> Result<String, String> {
        self.pipe(user, &["create", "--dry-run=server", "-f", "-"], manifest)
    }

    /// kubectl with a text on its standard input.
    pub fn pipe(&self, user: &User, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut kubectl = self.cluster.kubectl(user);
        kubectl.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = kubectl.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        said(&child.wait_with_output().unwrap())
    }

    /// `kubectl patch lbr … --type=merge`.
    pub fn patch(&self, user: &User, namespace: &str, name: &str, patch: &Value) -> Result<String, String> {
        let patch = patch.to_string();
        self.kubectl(user, &["patch", "lbr", name, "-n", namespace, "--type=merge", "-p", &patch])
    }

    /// The decision of a user in the shorthand.
    pub fn decide(&self, user: &User, namespace: &str, name: &str, verdict: &str) -> Result<String, String> {
        self.patch(user, namespace, name, &json!({"spec": {"decision": {"verdict": verdict, "reason": "agreed"}}}))
    }

    /// An object as the administrator sees it.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        if let Some(path) = reader::path(kind, namespace, name) {
            return self.reader.get(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        let text = self.admin(&["get", kind, name, "-n", namespace, "-o", "json"]).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// A request as it is stored.
    pub fn request(&self, namespace: &str, name: &str) -> Value {
        self.get("lbr", namespace, name)
    }

    /// The phase of a request; empty when it has none.
    pub fn phase(&self, namespace: &str, name: &str) -> String {
        self.request(namespace, name)["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a request is in a phase; fails with what it is in, and why, when it ended otherwise.
    pub fn wait_for_phase(&self, namespace: &str, name: &str, phase: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.request(namespace, name);
            let status = &request["status"];
            if status["phase"] == phase {
                return request;
            }
            let over = status["endedAt"].is_string();
            assert!(
                !over && Instant::now() < deadline,
                "{namespace}/{name} should be {phase} and is {}: {} {}\n{}",
                status["phase"],
                status["reason"],
                status["message"],
                self.operator_log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a request is finished and every Event is published.
    pub fn wait_until_closed(&self, namespace: &str, name: &str) -> Value {
        eventually(&format!("{namespace}/{name} is closed"), || {
            let request = self.request(namespace, name);
            (request["status"]["closed"] == true).then_some(request)
        })
    }

    /// Has the record of a finished request removed, and waits until it is gone.
    pub fn remove(&self, namespace: &str, name: &str) {
        self.patch(&self.ada(), namespace, name, &json!({"spec": {"removal": {"reason": "not needed"}}})).unwrap();
        let path = reader::path("lbr", namespace, name).unwrap();
        eventually("the record is gone", || {
            self.reader.get(&path).is_err_and(|error| error.contains("not found")).then_some(())
        });
    }

    /// Waits until one of the provider's people is shown a request: its Role comes a moment after it.
    #[allow(clippy::unused_self, reason = "reads like every other step of a test")]
    pub fn sees(&self, user: &User, namespace: &str, name: &str) {
        let path = reader::path("lbr", namespace, name).unwrap();
        let reader = Reader::new(user);
        eventually(&format!("{namespace}/{name} is shown"), || reader.get(&path).ok());
    }

    /// Creates a request as Kim and waits until the customer was notified and Kim sees it. The settings are the examples', or those to
    /// which the same test has changed them.
    pub fn ask(&self, namespace: &str, name: &str) {
        let _steady = self.steady();
        self.create_as(&self.kim(), &request(name).namespace(namespace).to_string()).unwrap();
        self.wait_for_phase(namespace, name, "CustomerNotified");
        self.sees(&self.kim(), namespace, name);
    }

    /// The same, approved by Alice and granted.
    pub fn grant(&self, namespace: &str, name: &str) -> Value {
        self.ask(namespace, name);
        self.decide(&self.alice(), namespace, name, "Approve").unwrap();
        self.wait_for_phase(namespace, name, "AccessGranted")
    }

    /// Whether Kim may read a ConfigMap.
    pub fn kim_reads(&self, namespace: &str, name: &str) -> bool {
        self.kubectl(&self.kim(), &["get", "configmap", name, "-n", namespace]).is_ok()
    }

    /// The Events about a request, in the order of their sequence: (reason, note).
    pub fn events(&self, namespace: &str, name: &str) -> Vec<(String, String)> {
        let list = self
            .reader
            .get(&format!(
                "/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3D{name},involvedObject.kind%3DLockboxRequest"
            ))
            .unwrap();
        let mut events: Vec<_> = list["items"].as_array().unwrap().iter().collect();
        events.sort_by_key(|event| event["metadata"]["name"].as_str().unwrap().to_owned());
        let field = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        events.iter().map(|event| (field(event, "reason"), field(event, "message"))).collect()
    }

    /// The names of the objects of grants that are there.
    pub fn grant_objects(&self, namespace: &str) -> String {
        let of_grants = ["-n", namespace, "-l", "lockbox.dev/request", "-o", "name"];
        self.admin(&[&["get", "job,role,rolebinding"][..], &of_grants].concat()).unwrap()
    }

    /// Makes a quota, `no-jobs`, that holds every approved request where it is.
    pub fn forbid_jobs(&self, namespace: &str) {
        self.admin(&["create", "quota", "no-jobs", "--hard=count/jobs.batch=0", "-n", namespace]).unwrap();
        // This control plane has no controller that counts; until somebody did, the API server waits for it.
        let none = json!({"count/jobs.batch": "0"});
        let counted = json!({"status": {"hard": none, "used": none}}).to_string();
        let patch =
            ["patch", "quota", "no-jobs", "-n", namespace, "--subresource=status", "--type=merge", "-p", &counted];
        self.admin(&patch).unwrap();
    }

    /// The actions of a request's history, in order.
    pub fn actions(request: &Value) -> Vec<&str> {
        let history = request["status"]["history"].as_array().map_or(&[][..], Vec::as_slice);
        history.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
    }

    /// The settings stay as the examples have them, or as this thread has changed them, until the guard goes.
    pub fn steady(&self) -> Steady<'_> {
        let turn = (!self.is_held()).then(|| self.settings.read().unwrap_or_else(PoisonError::into_inner));
        if turn.is_some() {
            HELD.with_borrow_mut(|held| held.push(self.address()));
        }
        Steady { world: self, turn }
    }

    /// Changes the settings for the length of a test: the example's, with a JSON merge patch on the spec. Tests that do
    /// so take turns, and those that rely on the example's settings wait; they are back when the guard goes.
    pub fn with_settings(&self, patch: &Value) -> ChangedSettings<'_> {
        assert!(!self.is_held(), "this test has said that the settings stay as they are: it cannot change them");
        let turn = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        HELD.with_borrow_mut(|held| held.push(self.address()));
        let changed = ChangedSettings { world: self, _turn: turn };
        self.replace_settings(patch);
        changed
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn is_held(&self) -> bool {
        HELD.with_borrow(|held| held.contains(&self.address()))
    }

    fn let_go(&self) {
        HELD.with_borrow_mut(|held| held.retain(|address| *address != self.address()));
    }

    fn replace_settings(&self, patch: &Value) {
        self.try_replace_settings(patch).unwrap();
        self.wait_for_settings();
    }

    fn try_replace_settings(&self, patch: &Value) -> Result<String, String> {
        let mut settings = settings();
        merge(&mut settings["spec"], patch);
        self.apply_as(&self.ada(), &settings.to_string())
    }

    /// Waits until the operator has looked at the settings as they are.
    pub fn wait_for_settings(&self) -> Value {
        eventually("the settings were looked at", || {
            let settings = self.get("lbs", "default", "default");
            (settings["status"]["observedGeneration"] == settings["metadata"]["generation"]).then_some(settings)
        })
    }

    /// Waits until everything is proven without which no access is made.
    pub fn wait_for_proofs(&self) {
        for type_ in ["AdmissionEnforced", "ClockInSync", "SafetyNet"] {
            let condition = format!("--for=condition={type_}");
            self.admin(&["wait", &condition, "lbs/default", "--timeout=60s"]).unwrap();
        }
    }

    /// What the operator logged.
    pub fn operator_log(&self) -> String {
        std::fs::read_to_string(self.cluster.data().join(operator::LOG)).unwrap_or_default()
    }
}

/// While it lives, nobody changes the settings.
pub struct Steady<'a> {
    world: &'a World,
    /// None when the thread holds the settings already.
    turn: Option<RwLockReadGuard<'a, ()>>,
}

impl Deref for Steady<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        self.world
    }
}

impl Drop for Steady<'_> {
    fn drop(&mut self) {
        if self.turn.is_some() {
            self.world.let_go();
        }
    }
}

/// While it lives, the settings are changed.
pub struct ChangedSettings<'a> {
    world: &'a World,
    _turn: RwLockWriteGuard<'a, ()>,
}

impl ChangedSettings<'_> {
    /// Changes them again.
    pub fn change(&self, patch: &Value) {
        self.world.replace_settings(patch);
    }
}

impl Drop for ChangedSettings<'_> {
    /// After a failure too: no neighbour is to fail with it. Nothing is waited for then, a second failure would end all.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.world.try_replace_settings(&json!({}));
        } else {
            self.world.replace_settings(&json!({}));
        }
        self.world.let_go();
    }
}

/// A manifest that a test changes.
#[derive(Clone, Debug)]
pub struct Manifest(pub Value);

impl Manifest {
    /// Sets the value at a JSON pointer, making what is missing on the way.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut at = &mut self.0;
        for part in pointer.trim_start_matches('/').split('/') {
            if at.is_null() {
                *at = json!({});
            }
            at = match part.parse::<usize>() {
                Ok(index) if at.is_array() => {
                    let array = at.as_array_mut().unwrap();
                    if index == array.len() {
                        array.push(Value::Null);
                    }
                    &mut array[index]
                }
                _ => &mut at[part.replace("~1", "/")],
            };
        }
        *at = value.into();
        self
    }

    /// Takes out the field at a JSON pointer.
    pub fn without(mut self, pointer: &str) -> Self {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        if let Some(Value::Object(parent)) = self.0.pointer_mut(parent) {
            parent.remove(&field.replace("~1", "/"));
        }
        self
    }

    pub fn namespace(self, namespace: &str) -> Self {
        self.set("/metadata/namespace", namespace)
    }
}

impl std::fmt::Display for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The example's settings. All tests ask as Kim, who may therefore have more open requests.
pub fn settings() -> Value {
    let mut settings: Value = serde_yaml_ng::from_str(&example("global-administrator/settings.yaml")).unwrap();
    settings["spec"]["limits"] = json!({"openPerRequester": 1000});
    settings
}

/// The example's request for one ConfigMap, under another name.
pub fn request(name: &str) -> Manifest {
    let request: Value = serde_yaml_ng::from_str(&example("engineer/request-subscription.yaml")).unwrap();
    Manifest(request).set("/metadata/name", name)
}

/// The message of a refusal, which holds these words: the user must learn what is wrong, and what to do.
#[track_caller]
pub fn refused(answer: Result<String, String>, words: &[&str]) -> String {
    let said = match answer {
        Err(said) => said,
        Ok(done) => panic!("this should have been refused with {words:?}: {done}"),
    };
    for word in words {
        assert!(said.contains(word), "a refusal should say {word:?}, and says: {said}");
    }
    said
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of an example.
pub fn example(path: &str) -> String {
    std::fs::read_to_string(repository("examples").join(path)).unwrap()
}

/// Asks until there is an answer, and fails the test after [`PATIENCE`].
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(20);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(pause);
        // Most questions start a process: who waits long asks less often.
        pause = (pause * 3 / 2).min(Duration::from_millis(250));
    }
}

/// A JSON merge patch (RFC 7386).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

fn said(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let mut said = text(&output.stderr);
    let _ = write!(said, "{}", text(&output.stdout));
    Err(said)
}
