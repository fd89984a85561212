//! What engineers do, as a real API server's audit stream tells it: attribution, sessions, refusals, what is left behind, and
//! an endpoint that believes nobody else.

use std::{
    path::PathBuf,
    process::Command,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lockbox_api::LockboxRequest;
use lockbox_cluster::{Options, User, port};
use lockbox_lifecycle::history;
use serde_json::{Value, json};

use crate::support::{KIM, World, eventually, operator::Operator, request, requirements::example_settings, settings};

/// Longer than a minute, which the stream has after an end.
const LONGEST: Duration = Duration::from_secs(100);
const LENA: &str = "lena@provider.example";

struct Stage {
    world: World,
    port: u16,
}

/// A cluster whose API server posts its audit events to the operator. Its tests take turns: one kills the operator.
static STAGE: LazyLock<Mutex<Stage>> = LazyLock::new(|| Mutex::new(Stage::new()));

fn turn() -> MutexGuard<'static, Stage> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    fn new() -> Self {
        let port = port::free().unwrap();
        let world = World::installed(Options { audit_webhook: Some(port), ..Options::default() });
        let stage = Self { world, port };
        stage.start_operator();
        let world = &stage.world;
        let extra = "create, patch, delete configmaps";
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {
                "name": "contoso-fix", "labels": {"lockbox.dev/access-level": "true"},
                "annotations": {"lockbox.dev/extra-rights": extra},
            },
            "rules": [
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create", "patch", "delete"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
                {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
            ],
        });
        world.apply_as(world.cluster.admin(), &role.to_string()).unwrap();
        let mut settings = settings();
        let example = example_settings();
        let mut levels = example["spec"]["accessLevels"].as_array().unwrap().clone();
        let reason = json!({"resource": "configmaps", "verbs": ["create", "patch", "delete"], "reason": "support corrects settings"});
        levels.push(json!({"name": "Fix", "clusterRole": "contoso-fix", "services": ["Fix"], "extraRights": [reason]}));
        let mut rules = example["spec"]["jit"]["rules"].as_array().unwrap().clone();
        rules.push(json!({"name": "fix", "match": {"accessLevels": ["Fix"]}, "effect": "Permit"}));
        settings["spec"]["accessLevels"] = json!(levels);
        settings["spec"]["jit"]["rules"] = json!(rules);
        settings["spec"]["services"] = json!([{
            "name": "Fix", "stage": "GeneralAvailability", "accessLevels": ["Fix"],
            "resources": [{"resource": "configmaps"}, {"resource": "pods"}],
        }]);
        world.apply_as(&world.ada(), &settings.to_string()).unwrap();
        world.wait_for_settings();
        world.wait_for_proofs();
        stage
    }

    fn file(&self, name: &str) -> String {
        self.world.cluster.data().join(name).display().to_string()
    }

    fn start_operator(&self) {
        let operator = self.operator(self.port, &[]);
        *self.world.operator.lock().unwrap_or_else(PoisonError::into_inner) = Some(operator);
    }

    /// An operator that takes the stream at this port.
    fn operator(&self, port: u16, more: &[&str]) -> Operator {
        let account = self.world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
        let (listen, log) = (format!("127.0.0.1:{port}"), self.file("activity.jsonl"));
        let (certificate, key, token) =
            (self.file("audit-webhook.crt"), self.file("audit-webhook.key"), self.file("audit-webhook.token"));
        let arguments = [
            ["--activity-listen", &listen],
            ["--activity-tls-cert", &certificate],
            ["--activity-tls-key", &key],
            ["--activity-token-file", &token],
            ["--activity-log", &log],
        ];
        Operator::start(&account, self.world.cluster.data(), &[&arguments.concat(), more].concat())
    }

    /// Access to everything of a namespace at the level that may correct settings.
    fn grant(&self, namespace: &str, name: &str, engineer: &User) {
        let world = &self.world;
        let manifest = request(name)
            .namespace(namespace)
            .set("/spec/service", "Fix")
            .set("/spec/accessLevel", "Fix")
            .without("/spec/resources");
        world.create_as(engineer, &manifest.to_string()).unwrap();
        world.wait_for_phase(namespace, name, "CustomerNotified");
        world.decide(&world.alice(), namespace, name, "Approve").unwrap();
        world.wait_for_phase(namespace, name, "AccessGranted");
    }

    /// Posts to an endpoint with a token, as Kim. She has a certificate of the same authority: it counts for nothing there.
    fn post(&self, port: u16, token: &str, body: &str) -> Result<String, String> {
        let (server, token) = (format!("--server=https://127.0.0.1:{port}"), format!("--token={token}"));
        self.world.pipe(&self.world.kim(), &["create", "--raw", "/", "-f", "-", &server, &token], body)
    }

    /// Waits until a request is closed: the last word on it has come, and its Event is out.
    fn closed(&self, namespace: &str, name: &str) -> Value {
        let deadline = Instant::now() + LONGEST;
        loop {
            let request = self.world.request(namespace, name);
            if request["status"]["closed"] == true {
                return request;
            }
            assert!(Instant::now() < deadline, "not closed: {:#}\n{}", request["status"], self.world.operator_log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until what the operator knows of an access is this.
    fn activity(&self, namespace: &str, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let deadline = Instant::now() + LONGEST;
        while Instant::now() < deadline {
            last = self.world.request(namespace, name)["status"]["activity"].clone();
            if is(&last) {
                return last;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("{what}: {last:#}\n{}", self.world.operator_log());
    }
}

fn configmap(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}}).to_string()
}

/// How often a verb was used on a kind, by an access.
fn count(activity: &Value, verb: &str, resource: &str) -> i64 {
    let operations = activity["operations"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |one: &&Value| one["verb"] == verb && one["resource"] == resource;
    operations.iter().filter(of).map(|one| one["count"].as_i64().unwrap()).sum()
}

#[test]
fn what_an_engineer_did_is_attributed_recorded_and_the_same_in_the_log_as_in_the_stream() {
    let stage = turn();
    let world = &stage.world;
    let (kim, lena) = (world.kim(), world.user(LENA, &["provider:engineers", "provider:secure-workstations"]));
    for namespace in ["act-shop", "act-bank"] {
        world.subscription(namespace);
    }
    // A right of Kim's own, which is not Lockbox's.
    world.admin(&["create", "role", "own", "-n", "act-shop", "--verb=list", "--resource=services"]).unwrap();
    let binding = ["create", "rolebinding", "own", "-n", "act-shop", "--role=own", "--user", KIM];
    world.admin(&binding).unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "app", "image": "none.invalid/none"}]}});
    eventually("the namespace has a ServiceAccount", || {
        world.pipe(world.cluster.admin(), &["apply", "-n", "act-shop", "-f", "-"], &pod.to_string()).ok()
    });
    stage.grant("act-shop", "sr-kim", &kim);
    stage.grant("act-bank", "sr-kim-too", &kim);
    stage.grant("act-shop", "sr-lena", &lena);

    let as_kim = |arguments: &[&str]| world.kubectl(&kim, arguments);
    as_kim(&["get", "configmap", "shop-settings", "-n", "act-shop"]).unwrap();
    as_kim(&["get", "configmap", "other", "-n", "act-bank"]).unwrap();
    for name in ["left", "gone"] {
        world.pipe(&kim, &["create", "-n", "act-shop", "-f", "-"], &configmap(name)).unwrap();
    }
    as_kim(&["delete", "configmap", "gone", "-n", "act-shop", "--wait=false"]).unwrap();
    as_kim(&["get", "services", "-n", "act-shop"]).unwrap();
    as_kim(&["get", "secrets", "-n", "act-shop"]).unwrap_err();
    // There is no node to run it on: the attempt is told all the same.
    as_kim(&["exec", "web", "-n", "act-shop", "-c", "app", "--", "cat", "/etc/passwd"]).unwrap_err();
    for _ in 0..2 {
        world.kubectl(&lena, &["get", "configmap", "other", "-n", "act-shop"]).unwrap();
    }
    let impersonated = ["get", "configmap", "other", "-n", "act-shop", "--as", KIM, "--as-group=provider:engineers"];
    world.admin(&impersonated).unwrap();

    // Kim gives the access back, and it is over in mid-stream.
    world.patch(&kim, "act-shop", "sr-kim", &json!({"spec": {"release": {}}})).unwrap();
    world.wait_for_phase("act-shop", "sr-kim", "Completed");
    as_kim(&["get", "configmap", "shop-settings", "-n", "act-shop"]).unwrap_err();
    let closed = stage.closed("act-shop", "sr-kim");
    let activity = &closed["status"]["activity"];
    assert_eq!(activity["coverage"], "Covered", "{activity:#}");
    let counts: Vec<_> = [("get", "configmaps"), ("create", "configmaps"), ("delete", "configmaps")]
        .into_iter()
        .map(|(verb, resource)| count(activity, verb, resource))
        .collect();
    assert_eq!(counts, [2, 2, 1], "Kim's, and the administrator's in Kim's name: {activity:#}");
    assert_eq!(activity["impersonatedBy"], json!([world.cluster.admin().name]), "{activity:#}");
    assert_eq!(count(&activity["byOtherRights"], "list", "services"), 1, "{activity:#}");
    assert_eq!(count(&activity["byOtherRights"], "get", "configmaps"), 0, "the access allowed those: {activity:#}");
    let rights = activity["byOtherRights"]["rights"].as_array().unwrap();
    assert!(rights.iter().any(|right| right.as_str().unwrap().contains("\"own/act-shop\"")), "{activity:#}");
    assert!(activity["byOtherRights"]["elsewhere"].as_i64().unwrap() >= 1, "what Kim did in the bank: {activity:#}");
    let refused = activity["refused"]["attempts"].as_array().unwrap();
    assert!(refused.iter().any(|one| one["resource"] == "secrets" && one["verb"] == "list"), "{activity:#}");
    let session = &activity["sessions"][0];
    assert_eq!((&session["kind"], &session["name"], &session["began"]), (&json!("Exec"), &json!("web"), &json!(false)));
    assert_eq!((&session["container"], &session["command"]), (&json!("app"), &json!("cat /etc/passwd")));
    let residue = activity["residue"].as_array().unwrap();
    let left: Vec<_> =
        residue.iter().map(|one| (one["name"].as_str().unwrap(), one["change"].as_str().unwrap())).collect();
    assert_eq!(left, [("left", "Created")]);
    // The command that is shown shows it.
    let look = residue[0]["look"].as_str().unwrap().strip_prefix("kubectl ").unwrap().to_owned();
    assert!(world.admin(&look.split(' ').collect::<Vec<_>>()).unwrap().contains("name: left"));

    // Chained into the history, with the digest of what stands in the status, and told as an Event.
    let stored: LockboxRequest = serde_json::from_value(closed.clone()).unwrap();
    let entries = &stored.status.as_ref().unwrap().history;
    history::verify(entries, stored.metadata.uid.as_deref().unwrap()).unwrap();
    let entry = entries.last().unwrap();
    assert_eq!(entry.action.to_string(), "RecordActivity");
    assert!(entry.message.ends_with(&lockbox_lifecycle::text::sha256(&activity.to_string())), "{}", entry.message);
    let (reason, note) = world.events("act-shop", "sr-kim").pop().unwrap();
    assert_eq!(reason, "RecordActivity");
    assert!(note.starts_with("Record Activity: coverage of the access by the audit stream: Covered;"), "{note}");

    // The other accesses tell their own part and nothing else.
    let lenas =
        stage.activity("act-shop", "sr-lena", "two reads of Lena's", |one| count(one, "get", "configmaps") == 2);
    assert_eq!(lenas["calls"], 2, "{lenas:#}");
    assert_eq!(count(&lenas["byOtherRights"], "get", "configmaps"), 0, "what Kim read is not hers: {lenas:#}");
    let bank =
        stage.activity("act-bank", "sr-kim-too", "one read of Kim's", |one| count(one, "get", "configmaps") == 1);
    assert_eq!(bank["calls"], 1, "{bank:#}");
    assert!(bank["objects"].as_array().unwrap().iter().all(|one| one["namespace"] == "act-bank"), "{bank:#}");

    // The full records name every call, and no content.
    let records = std::fs::read_to_string(stage.file("activity.jsonl")).unwrap();
    // A call whose answer goes on has a second record at its end.
    let of_this =
        |record: &Value| record["request"] == "sr-kim" && record["belongs"] == "ThisAccess" && record["goesOn"] != true;
    let used = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(of_this).count();
    assert_eq!(i64::try_from(used).unwrap(), activity["calls"].as_i64().unwrap());
    assert!(!records.contains("\"data\""));

    // The log that the API server keeps beside the stream says the same.
    let request_file = PathBuf::from(stage.file("sr-kim.json"));
    std::fs::write(&request_file, closed.to_string()).unwrap();
    let shown = Command::new(env!("CARGO_BIN_EXE_lockbox-operator"))
        .args(["activity", "--output", "json", "--request"])
        .arg(&request_file)
        .arg("--audit-log")
        .arg(world.cluster.audit_log())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&shown.stderr);
    assert_eq!(shown.status.code(), Some(0), "{said}");
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let of_the_log = &shown["requests"][0]["activity"];
    for part in ["calls", "operations", "sessions", "residue", "impersonatedBy", "objects"] {
        assert_eq!(&of_the_log[part], &activity[part], "{part}");
    }
}

#[test]
fn an_operator_that_is_killed_goes_on_and_says_that_something_may_be_missing() {
    let stage = turn();
    let world = &stage.world;
    world.subscription("act-killed");
    stage.grant("act-killed", "sr-1", &world.kim());
    let read = || world.kubectl(&world.kim(), &["get", "configmap", "other", "-n", "act-killed"]).unwrap();
    read();
    stage.activity("act-killed", "sr-1", "one read", |one| count(one, "get", "configmaps") == 1);
    world.kill_operator();
    // Posted to nobody: the API server keeps it and tries again.
    read();
    stage.start_operator();
    read();
    let activity = stage.activity("act-killed", "sr-1", "three reads", |one| count(one, "get", "configmaps") == 3);
    assert_eq!(activity["coverage"], "Partial", "{activity:#}");
    assert!(activity["message"].as_str().unwrap().contains("Lockbox was restarted"), "{activity:#}");
}

/// The API server's connections reach any of several operators: here the one that stands by.
#[test]
fn what_reaches_the_operator_that_stands_by_is_handed_on_to_the_one_that_acts() {
    let stage = turn();
    let world = &stage.world;
    world.subscription("act-two");
    world.kill_operator();
    let one_of_several = ["--leader-election", "--activity-address", "127.0.0.1"];
    let token = std::fs::read_to_string(stage.file("audit-webhook.token")).unwrap();
    let list = json!({"apiVersion": "audit.k8s.io/v1", "kind": "EventList", "items": []}).to_string();

    // Whoever acts does not say where: what comes is refused, and the API server posts it again.
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "lockbox-operator", "namespace": "lockbox-system"},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 60, "renewTime": "2026-11-29T12:00:00.000000Z"},
    });
    world.create_as(world.cluster.admin(), &lease.to_string()).unwrap();
    let stands_by = stage.operator(stage.port, &one_of_several);
    eventually("it stands by", || world.operator_log().contains("standing by").then_some(()));
    let said = stage.post(stage.port, token.trim(), &list).unwrap_err();
    assert!(said.contains("ServiceUnavailable"), "{said}");
    drop(stands_by);
    world.admin(&["delete", "lease", "lockbox-operator", "-n", "lockbox-system"]).unwrap();

    let port = port::free().unwrap();
    let acts = stage.operator(port, &one_of_several);
    eventually("it acts", || stage.post(port, token.trim(), &list).ok());
    let stands_by = stage.operator(stage.port, &one_of_several);
    eventually("what is posted to the other is taken", || stage.post(stage.port, token.trim(), &list).ok());
    stage.post(stage.port, "guessed-0123456789", &list).unwrap_err();
    let kim = world.kim();
    stage.grant("act-two", "sr-1", &kim);
    world.kubectl(&kim, &["get", "configmap", "shop-settings", "-n", "act-two"]).unwrap();
    let is = |activity: &Value| count(activity, "get", "configmaps") == 1;
    stage.activity("act-two", "sr-1", "the one that acts knows of the call", is);
    drop((acts, stands_by));
    stage.start_operator();
}

#[test]
fn nobody_but_the_api_server_says_what_an_engineer_did() {
    let stage = turn();
    let world = &stage.world;
    let token = std::fs::read_to_string(stage.file("audit-webhook.token")).unwrap();
    let post = |token: &str, body: &str| stage.post(stage.port, token, body);
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": []}).to_string();
    for wrong in ["wrong", "", &token[1..], &format!("{token}x")] {
        let refused = post(wrong, &list).unwrap_err();
        // The endpoint answers before it has read what is posted, and hangs up: the client may see that first.
        let words = ["Unauthorized", "logged in", "broken pipe", "connection reset"];
        assert!(words.iter().any(|words| refused.contains(words)), "{wrong:?}: {refused}");
    }
    post(&token, &list).unwrap();
    let log = world.operator_log();
    assert!(log.contains("without the right token was refused"), "who tries is told to the operator");
}

#[test]
fn an_endpoint_that_anybody_could_post_to_is_not_opened() {
    let stage = turn();
    let account = stage.world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let start = |more: &[&str]| {
        let (certificate, key) = (stage.file("audit-webhook.crt"), stage.file("audit-webhook.key"));
        let output = Command::new(env!("CARGO_BIN_EXE_lockbox-operator"))
            .args([
                "run",
                "--activity-listen",
                "127.0.0.1:0",
                "--activity-tls-cert",
                &certificate,
                "--activity-tls-key",
                &key,
            ])
            .args(more)
            .env("KUBECONFIG", &account.kubeconfig)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (started, said) = start(&[]);
    assert!(!started && said.contains("--activity-token-file") && said.contains("--activity-client-ca"), "{said}");
}

#[test]
fn an_operator_whose_secret_is_wrong_takes_no_stream_and_does_everything_else() {
    let stage = turn();
    let account = stage.world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let folder = PathBuf::from(stage.file("second"));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key, token) =
        (stage.file("audit-webhook.crt"), stage.file("audit-webhook.key"), stage.file("short.token"));
    std::fs::write(&token, "secret\n").unwrap();
    let own = port::free().unwrap();
    let address = format!("127.0.0.1:{own}");
    let arguments = [
        ["--activity-listen", &address],
        ["--activity-tls-cert", &certificate],
        ["--activity-tls-key", &key],
        ["--activity-token-file", &token],
    ];
    let _second = Operator::start(&account, &folder, &arguments.concat());
    let log = || std::fs::read_to_string(folder.join(crate::support::operator::LOG)).unwrap_or_default();
    eventually("it says what is wrong", || log().contains("at least 16 characters").then_some(()));
    eventually("it works all the same", || log().contains("ready: ").then_some(()));
    // A token that is put right is read without a restart.
    std::fs::write(&token, "0123456789abcdef").unwrap();
    eventually("it reads the new one", || log().contains("they are new").then_some(()));
    stage.post(own, "0123456789abcdef", "{}").unwrap_err();
    assert!(log().contains("a batch could not be read; what is in it is lost"), "{}", log());
}
