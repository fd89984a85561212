//! A control plane with the chart, the operator beside it, and the people.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lockbox_cluster::{Cluster, Garbage, Options, User};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    audit::{self, Calls},
    bare::TEMPLATE_NAMESPACE,
    client::{Caller, is_there, paths},
    error::Error,
    process::{Cpu, Memory, Meter, Operator, memory},
    progress::Progress,
    tracker::{Tracker, Watching},
};

/// User name of the operator.
pub const OPERATOR: &str = "system:serviceaccount:lockbox-system:lockbox-operator";
const ADA: &str = "ada@contoso.example";
const ALICE: &str = "alice@contoso.example";
/// How many requests the operator works on at a time, and so the bare client: the operator's default.
pub const CONCURRENCY: usize = 32;
/// How many calls are made at a time when something is prepared.
pub const AT_ONCE: usize = 16;
/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_mins(3);
/// In a namespace, this many engineers ask.
const ENGINEERS: usize = 5;
/// This many namespaces in a row have the same engineers: open requests of one engineer are bounded, too.
const NEIGHBOURS: usize = 10;

/// What is measured, and those who take part.
pub struct World {
    /// The control plane.
    pub cluster: Cluster,
    /// The administrator's calls.
    pub admin: Caller,
    /// The first Global Administrator.
    ada: Caller,
    /// The customer's approver, an Owner of every namespace here.
    pub alice: Caller,
    /// The operator's account, for the bare client.
    pub account: User,
    /// What the watches see.
    pub tracker: Arc<Tracker>,
    _watching: Watching,
    binary: PathBuf,
    hasty: bool,
    operator: Option<Operator>,
}

/// Namespaces in which requests are made, and who makes them.
pub struct Ground {
    namespaces: Vec<String>,
    engineers: Vec<Caller>,
    /// Requests bear it, and a number.
    prefix: String,
    /// Requests in each namespace, one namespace after the other; 0 for the namespaces in turn.
    in_each: usize,
    /// How many numbers were taken.
    used: usize,
}

impl World {
    /// Starts a control plane, installs the chart, and starts the operator.
    pub async fn start(binary: &Path, values: &[String], hasty: bool, progress: &Progress) -> Result<Self, Error> {
        progress.say("start a control plane, install the chart, start the operator");
        // What the operator writes for one life is recorded with what it sent: the bare client makes the same writes.
        let policy = format!(
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
             - {{level: Request, users: ['{OPERATOR}'], namespaces: [{TEMPLATE_NAMESPACE}]}}\n- {{level: Metadata}}\n"
        );
        let options = Options { audit_policy: Some(policy), garbage: Garbage::AsUsual, ..Options::default() };
        let cluster = blocking(move || Ok(Cluster::start(options)?))?;
        let admin = Caller::new(&cluster.admin().kubeconfig).await?;
        blocking(|| install(&cluster, values))?;
        let ada = Caller::new(&cluster.user(ADA, &[])?.kubeconfig).await?;
        let alice = Caller::new(&cluster.user(ALICE, &["contoso:owners"])?.kubeconfig).await?;
        let account = blocking(|| Ok(cluster.service_account("lockbox-system", "lockbox-operator")?))?;
        let (tracker, watching) = Tracker::start(&admin);
        let binary = binary.to_owned();
        let mut world =
            Self { cluster, admin, ada, alice, account, tracker, _watching: watching, binary, hasty, operator: None };
        world.wait_for_policies().await?;
        world.start_operator().await?;
        world.apply_settings().await?;
        Ok(world)
    }

    /// A policy bites a second or two after it is made, and what is asked for while it is young does not count.
    async fn wait_for_policies(&self) -> Result<(), Error> {
        let forged = request("probe", Some("mallory@provider.example"), "8h");
        let dry = format!("{}?dryRun=All", paths::requests("default"));
        eventually("the admission policies are in force", async || {
            let refused = self.admin.post(&dry, &forged).await.err()?.to_string();
            refused.contains("denied request").then_some(())
        })
        .await?;
        let binding = format!("{}/lockbox-requests-decide", paths::POLICY_BINDINGS);
        let binding = self.admin.get(&binding).await?;
        let made = binding["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
        let made: DateTime<Utc> = made.parse().map_err(|_| Error::Said("a policy says not when it was made".into()))?;
        let old = made + TimeDelta::seconds(6) - Utc::now();
        tokio::time::sleep(old.to_std().unwrap_or_default()).await;
        Ok(())
    }

    /// The settings of the examples, with room for many requests.
    async fn apply_settings(&self) -> Result<(), Error> {
        let path = repository().join("examples/global-administrator/settings.yaml");
        let text = std::fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))?;
        let mut settings: Value =
            serde_yaml_ng::from_str(&text).map_err(|error| Error::Said(format!("{}: {error}", path.display())))?;
        settings["spec"]["limits"] = json!({"openPerRequester": 1000, "openPerNamespace": 5000});
        eventually("the settings can be written", async || match self.ada.post(paths::ALL_SETTINGS, &settings).await {
            Ok(_) => Some(()),
            Err(error) => is_there(&error).then_some(()),
        })
        .await?;
        eventually("everything is proven without which no access is made", async || {
            let settings = self.admin.get(paths::SETTINGS).await.ok()?;
            let conditions = settings["status"]["conditions"].as_array()?;
            let is_true = |type_: &str| conditions.iter().any(|c| c["type"] == type_ && c["status"] == "True");
            ["AdmissionEnforced", "ClockInSync", "SafetyNet"].into_iter().all(is_true).then_some(())
        })
        .await
    }

    /// Starts the operator, unless it runs, and waits until it is ready. Returns how long that took.
    pub async fn start_operator(&mut self) -> Result<Duration, Error> {
        if self.operator.is_none() {
            self.operator = Some(Operator::start(&self.binary, &self.account, self.cluster.data(), CONCURRENCY)?);
        }
        let Some(operator) = &self.operator else { return Ok(Duration::ZERO) };
        let deadline = Instant::now() + PATIENCE;
        while !is_ready(operator.port).await {
            if Instant::now() > deadline {
                return Err(Error::Late { what: "the operator is ready".into(), within: PATIENCE.as_secs() });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(operator.started.elapsed())
    }

    /// Kills the operator.
    pub fn stop_operator(&mut self) {
        self.operator = None;
    }

    /// Memory of the operator.
    pub fn memory(&self) -> Memory {
        self.operator.as_ref().map(|operator| memory(operator.pid)).unwrap_or_default()
    }

    /// What the processes have taken until now.
    pub fn meter(&self) -> Meter {
        let mut processes = vec![("load generator", std::process::id())];
        for name in ["kube-apiserver", "etcd", "kube-controller-manager"] {
            processes.extend(self.cluster.pid(name).ok().map(|pid| (name, pid)));
        }
        processes.extend(self.operator.as_ref().map(|operator| ("operator", operator.pid)));
        Meter::read(&processes)
    }

    /// What the processes take while nothing happens.
    pub async fn rest(&self, time: Duration) -> Cpu {
        let before = self.meter();
        tokio::time::sleep(time).await;
        self.meter().since(&before)
    }

    /// Waits until the API server has come to rest, twenty seconds at most, and measures what the processes take then.
    pub async fn calm(&self, time: Duration) -> Cpu {
        for _ in 0..if self.hasty { 3 } else { 20 } {
            if self.rest(Duration::from_secs(1)).await.rate("kube-apiserver") < 100.0 {
                break;
            }
        }
        self.rest(time).await
    }

    /// Waits until what was done is done with: the API server takes little more than at rest.
    pub async fn settle(&self, rest: &Cpu) {
        for _ in 0..if self.hasty { 3 } else { 30 } {
            let second = self.rest(Duration::from_secs(1)).await;
            if second.rate("kube-apiserver") < rest.rate("kube-apiserver") + 30.0 {
                return;
            }
        }
    }

    /// Where the audit log ends now.
    pub fn mark(&self) -> u64 {
        audit::mark(&self.cluster.audit_log())
    }

    /// The calls with the operator's account since a mark.
    pub fn calls(&self, mark: u64) -> Result<Calls, Error> {
        audit::calls(&self.cluster.audit_log(), mark, OPERATOR)
    }

    /// Makes namespaces, each with an Owner who was recognised.
    pub async fn ground(&self, prefix: &str, namespaces: usize) -> Result<Ground, Error> {
        let mut ground = Ground::new(prefix, 0);
        self.widen(&mut ground, namespaces).await?;
        Ok(ground)
    }

    /// Adds namespaces until there are that many.
    pub async fn widen(&self, ground: &mut Ground, namespaces: usize) -> Result<(), Error> {
        let more: Vec<_> = (ground.namespaces.len()..namespaces).map(|n| format!("{}-{n:03}", ground.prefix)).collect();
        stream::iter(&more)
            .map(|namespace| self.subscription(namespace))
            .buffer_unordered(8)
            .try_collect::<()>()
            .await?;
        ground.namespaces.extend(more);
        for n in ground.engineers.len()..ENGINEERS * namespaces.div_ceil(NEIGHBOURS) {
            ground.engineers.push(self.engineer(&format!("{}-{n:03}@provider.example", ground.prefix)).await?);
        }
        Ok(())
    }

    /// A support engineer's calls.
    pub async fn engineer(&self, name: &str) -> Result<Caller, Error> {
        let user = self.cluster.user(name, &["provider:engineers", "provider:secure-workstations"])?;
        Caller::new(&user.kubeconfig).await
    }

    /// A namespace with a ConfigMap, and Alice as its Owner.
    pub async fn subscription(&self, namespace: &str) -> Result<(), Error> {
        self.admin.post(paths::NAMESPACES, &json!({"metadata": {"name": namespace}})).await?;
        let map = json!({"metadata": {"name": "shop-settings"}, "data": {"key": "value"}});
        self.admin.post(&format!("{}/{namespace}/configmaps", paths::NAMESPACES), &map).await?;
        let assignments = format!("/apis/lockbox.dev/v1alpha1/namespaces/{namespace}/roleassignments");
        let assignment = json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
            "metadata": {"name": "alice", "namespace": namespace},
            "spec": {"principal": {"kind": "User", "name": ALICE}, "role": "Owner", "scope": "Subscription"},
        });
        self.ada.post(&assignments, &assignment).await?;
        let path = format!("{assignments}/alice");
        eventually("an assignment is recognised", async || {
            let assignment = self.admin.get(&path).await.ok()?;
            let conditions = assignment["status"]["conditions"].as_array()?;
            conditions.iter().any(|c| c["type"] == "Recognized" && c["status"] == "True").then_some(())
        })
        .await?;
        // What she may do follows a moment later.
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "group": "lockbox.dev", "resource": "lockboxrequests", "verb": "patch", "namespace": namespace,
            }},
        });
        eventually("the Owner may approve", async || {
            let answer: Value = self.alice.review(&review).await.ok()?;
            (answer["status"]["allowed"] == true).then_some(())
        })
        .await
    }
}

impl Ground {
    /// Without namespaces yet; requests go into them in turn, or so many into each.
    pub fn new(prefix: &str, in_each: usize) -> Self {
        Self { namespaces: vec![], engineers: vec![], prefix: prefix.to_owned(), in_each, used: 0 }
    }

    /// How many numbers were taken.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Takes so many numbers, and returns the first.
    pub fn take(&mut self, count: usize) -> usize {
        self.used += count;
        self.used - count
    }

    /// What the names of the requests begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Namespace, name and requester of the request with this number.
    pub fn place(&self, number: usize) -> (&str, String, &Caller) {
        let (at, turn) = match self.in_each {
            0 => (number % self.namespaces.len(), number / self.namespaces.len()),
            in_each => (number / in_each % self.namespaces.len(), number),
        };
        let engineer = at / NEIGHBOURS * ENGINEERS + turn % ENGINEERS;
        (&self.namespaces[at], format!("{}-{number:05}", self.prefix), &self.engineers[engineer])
    }
}

/// The request of the examples. Who asks is filled in by the API server.
pub fn request(name: &str, requester: Option<&str>, duration: &str) -> Value {
    let mut request = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
        "metadata": {"name": name},
        "spec": {
            "origin": "SupportRequest",
            "supportRequest": {
                "id": "2611210040000123",
                "url": "https://support.example/2611210040000123",
                "summary": "The shop answers 502 since the update",
                "openedBy": "dana@contoso.example",
                "openedAt": "2026-11-21T08:12:00Z",
                "assignedTo": "kim@provider.example",
                "history": [{
                    "at": "2026-11-21T09:40:00Z", "by": "kim@provider.example",
                    "note": "Gateway and Pods are healthy; the upstream in the shop's settings looks wrong.",
                }],
            },
            "justification": "Need to read the shop's settings to see which upstream it uses.",
            "scope": "Subscription",
            "service": "AppService",
            "resources": [{"resource": "configmaps", "name": "shop-settings"}],
            "accessLevel": "ReadObjects",
            "duration": duration,
        },
    });
    if let Some(requester) = requester {
        request["spec"]["requester"] = json!({"username": requester});
    }
    request
}

/// The repository.
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// Runs what blocks.
fn blocking<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    tokio::task::block_in_place(run)
}

/// `helm install` as the README has it, for an operator outside a Pod and a first administrator, with further values.
fn install(cluster: &Cluster, values: &[String]) -> Result<(), Error> {
    let mut helm = cluster.helm(cluster.admin());
    helm.args(["install", "lockbox"]).arg(repository().join("charts/lockbox"));
    helm.args(["-n", "lockbox-system", "--create-namespace", "--set", "operator.onlyFromItsPod=false", "--set"]);
    helm.arg(format!("bootstrap.globalAdministrators[0].kind=User,bootstrap.globalAdministrators[0].name={ADA}"));
    helm.args(values.iter().flat_map(|value| ["--set", value]));
    lockbox_cluster::output(helm)?;
    Ok(())
}

/// Whether the operator says that it is ready.
async fn is_ready(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    ask.await.is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

/// Asks until there is an answer.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> Result<T, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(Error::Late { what: what.to_owned(), within: PATIENCE.as_secs() });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
