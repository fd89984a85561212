//! What becomes of requests when the operator is killed between any two of its writes, when it is down at the wrong
//! time, and when the API server is: the same result, with each audit entry once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Node},
    events::v1::Event,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use lockbox_api::{AuditAction, LockboxRequest, Phase};
use lockbox_cluster::{Options, User};
use lockbox_lifecycle::history::verify;
use serde_json::{Value, json};

use crate::{
    proxy::{Point, Proxy, When},
    support::{self, ADA, ALICE, KIM, World, eventually, operator::Operator, request},
};

/// The operator and the API server are killed under everybody's feet, so the tests take turns. Each starts the operator
/// as it needs it.
static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::installed(Options::default())));

/// The cluster, with the operator running and the settings of the examples.
fn world() -> MutexGuard<'static, World> {
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    world.start_operator();
    world.apply_as(&world.ada(), &support::settings().to_string()).unwrap();
    world.wait_for_settings();
    world
}

/// The end of the operator's log.
fn log(world: &World) -> String {
    let log = world.operator_log();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

const OLGA: &str = "olga@contoso.example";
const LENA: &str = "lena@provider.example";
const LOU: &str = "lou@provider.example";
const PLACE: &str = "crashes";
const HOME: &str = "lockbox-tenant";

/// How a request lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    ByTheClock,
    Revoked,
    /// Two internal approvers, then two of the customer's; released in the end.
    Quorum,
    Denied,
    Tenant,
}

impl Life {
    fn namespace(self) -> &'static str {
        if self == Self::Tenant { HOME } else { PLACE }
    }

    const fn ends_by_the_clock(self) -> bool {
        matches!(self, Self::ByTheClock | Self::Tenant)
    }

    fn end(self) -> Phase {
        match self {
            Self::ByTheClock | Self::Quorum | Self::Tenant => Phase::Completed,
            Self::Revoked => Phase::Revoked,
            Self::Denied => Phase::Denied,
        }
    }

    fn actions(self) -> Vec<AuditAction> {
        use AuditAction as A;
        match self {
            Self::ByTheClock | Self::Tenant => {
                vec![A::CreateLockboxRequest, A::ApproveLockboxRequest, A::GrantAccess, A::CompleteAccess]
            }
            Self::Revoked => vec![A::CreateLockboxRequest, A::ApproveLockboxRequest, A::GrantAccess, A::RevokeAccess],
            Self::Quorum => vec![
                A::RequestInternalApproval,
                A::ApproveInternally,
                A::ApproveInternally,
                A::CreateLockboxRequest,
                A::ApproveLockboxRequest,
                A::ApproveLockboxRequest,
                A::GrantAccess,
                A::CompleteAccess,
            ],
            Self::Denied => vec![A::CreateLockboxRequest, A::DenyLockboxRequest],
        }
    }

    /// The request, whose access is told from others' by the object that it names. The object need not exist.
    fn manifest(self, name: &str, duration: &str) -> LockboxRequest {
        let manifest = if self == Self::Tenant {
            let text = support::example("engineer/request-tenant.yaml");
            support::Manifest(serde_yaml_ng::from_str(&text).unwrap())
                .set("/metadata/name", name)
                .set("/spec/resources/0/name", name)
        } else {
            request(name).namespace(PLACE).set("/spec/resources/0/name", name)
        };
        let manifest = match self {
            // The rule for what the provider starts asks for internal approvals.
            Self::Quorum => manifest
                .without("/spec/supportRequest")
                .set("/spec/origin", "ProviderInitiated")
                .set("/spec/incident", json!({"id": "INC-1", "summary": "Slow since the update"})),
            _ => manifest,
        };
        let requester = json!({"username": KIM, "groups": ["provider:engineers", "provider:secure-workstations"]});
        let duration = if self.ends_by_the_clock() { duration } else { "1h" };
        let manifest = manifest.set("/spec/duration", duration).set("/spec/requester", requester);
        serde_json::from_value(manifest.0).unwrap()
    }
}

/// Everybody who acts, with a client each.
struct People {
    kim: Client,
    by_name: BTreeMap<&'static str, Client>,
    admin: Client,
}

pub async fn client(user: &User) -> Client {
    let kubeconfig = Kubeconfig::read_from(&user.kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

impl People {
    async fn new(world: &World) -> Self {
        let mut by_name = BTreeMap::new();
        for name in [OLGA, LENA, LOU, ADA] {
            by_name.insert(name, client(&world.user(name, &[])).await);
        }
        by_name.insert(ALICE, client(&world.alice()).await);
        let kim = client(&world.kim()).await;
        by_name.insert(KIM, kim.clone());
        Self { kim, by_name, admin: client(world.cluster.admin()).await }
    }

    /// Whether Kim may read what the request of this name is about.
    async fn kim_may_read(&self, life: Life, name: &str) -> bool {
        let read = if life == Life::Tenant {
            Api::<Node>::all(self.kim.clone()).get(name).await.map(drop)
        } else {
            Api::<ConfigMap>::namespaced(self.kim.clone(), PLACE).get(name).await.map(drop)
        };
        match read {
            Ok(()) => true,
            Err(kube::Error::Api(status)) if status.code == 404 => true,
            Err(kube::Error::Api(status)) if status.code == 403 => false,
            Err(error) => panic!("Kim reads {name}: {error}"),
        }
    }

    async fn requests(&self) -> Vec<LockboxRequest> {
        let mut all = vec![];
        for namespace in [PLACE, HOME] {
            let requests: Api<LockboxRequest> = Api::namespaced(self.admin.clone(), namespace);
            all.extend(requests.list(&ListParams::default()).await.unwrap().items);
        }
        all
    }
}

/// What somebody does next about a request in this state, each only once what came before is recorded.
fn next_act(life: Life, request: &LockboxRequest) -> Option<(&'static str, Value)> {
    let status = request.status.as_ref()?;
    let recorded = |action: AuditAction, actor: &str| {
        status.history.iter().any(|entry| entry.action == action && entry.actor == actor)
    };
    let first_of =
        |action: AuditAction, people: &[&'static str]| people.iter().copied().find(|actor| !recorded(action, actor));
    let decision = |field: &str, by: &'static str, verdict: &str| {
        (by, json!({"spec": {field: {by: {"verdict": verdict, "reason": "agreed"}}}}))
    };
    let decided =
        |by: &str| request.spec.decisions.contains_key(by) || request.spec.internal_decisions.contains_key(by);
    match status.phase? {
        Phase::AwaitingInternalApproval => first_of(AuditAction::ApproveInternally, &[LENA, LOU])
            .filter(|by| !decided(by))
            .map(|by| decision("internalDecisions", by, "Approve")),
        Phase::CustomerNotified => {
            let approvers: &[&'static str] = match life {
                Life::Tenant => &[ADA],
                Life::Quorum => &[ALICE, OLGA],
                _ => &[ALICE],
            };
            let verdict = if life == Life::Denied { "Deny" } else { "Approve" };
            first_of(AuditAction::ApproveLockboxRequest, approvers)
                .filter(|by| !decided(by))
                .map(|by| decision("decisions", by, verdict))
        }
        Phase::AccessGranted if life == Life::Revoked && request.spec.revocation.is_none() => {
            Some((ALICE, json!({"spec": {"revocation": {"by": ALICE, "reason": "enough"}}})))
        }
        Phase::AccessGranted if life == Life::Quorum && request.spec.release.is_none() => {
            Some((KIM, json!({"spec": {"release": {"by": KIM, "reason": "done"}}})))
        }
        _ => None,
    }
}

/// Creates these requests and acts as everybody would until all are closed, killing the operator wherever the proxy
/// holds a write, and starting it again at once. Returns how often it was killed.
async fn live(
    world: &World,
    people: &People,
    proxy: &Proxy,
    operator: &User,
    lives: &BTreeMap<String, Life>,
    duration: &str,
) -> u32 {
    // All at once, so that many reach their points together.
    let start = || Operator::start(operator, world.cluster.data(), &["--concurrency", "128"]);
    let mut running = Some(start());
    for (name, life) in lives {
        let requests: Api<LockboxRequest> = Api::namespaced(people.kim.clone(), life.namespace());
        requests.create(&PostParams::default(), &life.manifest(name, duration)).await.unwrap();
    }
    let (mut kills, mut had_access) = (0, BTreeSet::new());
    let deadline = Instant::now() + Duration::from_secs(150);
    loop {
        // Kills come first, and whatever else happens waits no longer than this.
        while proxy.reached(Duration::from_millis(100)).await {
            // Dropping it is kill -9, and waits for its end.
            drop(running.take());
            proxy.killed();
            kills += 1;
            running = Some(start());
        }
        let mut open = 0;
        for request in people.requests().await {
            let name = request.name_any();
            let Some(life) = lives.get(&name).copied() else { continue };
            let status = request.status.as_ref();
            if status.is_some_and(|status| status.closed == Some(true)) {
                continue;
            }
            open += 1;
            let phase = status.and_then(|status| status.phase).unwrap_or_default();
            if phase == Phase::AccessGranted && !had_access.contains(&name) {
                if !people.kim_may_read(life, &name).await {
                    continue;
                }
                had_access.insert(name.clone());
            }
            let Some((by, patch)) = next_act(life, &request) else { continue };
            let requests: Api<LockboxRequest> = Api::namespaced(people.by_name[by].clone(), life.namespace());
            let patched = requests.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            // The phase may have moved on meanwhile, or rights may still be on their way; then the next round knows.
            if let Err(error) = patched {
                println!("{by} about {name} in {phase}: {error}");
            }
        }
        if open == 0 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{open} requests are not closed; points not reached: {:?}\n{}",
            proxy.armed(),
            log(world)
        );
    }
    for request in people.requests().await {
        let (name, status) = (request.name_any(), request.status.unwrap_or_default());
        let Some(life) = lives.get(&name) else { continue };
        let story = (status.phase, status.message, status.approved_at, status.granted_at, status.ended_at);
        assert_eq!(had_access.contains(&name), *life != Life::Denied, "{name}: whether Kim had access: {story:?}");
    }
    kills
}

/// The result of a life, to compare: end, reason, and the whole record but for its times.
fn result(request: &LockboxRequest) -> Value {
    let status = request.status.as_ref().unwrap();
    let history: Vec<_> = status
        .history
        .iter()
        .map(|entry| json!([entry.sequence, entry.action, entry.actor, entry.phase, entry.reason]))
        .collect();
    json!({"phase": status.phase, "reason": status.reason, "history": history, "closed": status.closed})
}

/// Deadlines and dates that are set once.
const ONCE: [&str; 8] = [
    "evaluateUntil",
    "internalUntil",
    "notifiedAt",
    "pendingUntil",
    "approvedAt",
    "accessUntil",
    "grantedAt",
    "endedAt",
];

/// That what was stored of a request only ever grew.
fn only_grows(name: &str, statuses: &[Value]) {
    for pair in statuses.windows(2) {
        for field in ONCE {
            let (before, after) = (&pair[0][field], &pair[1][field]);
            assert!(before.is_null() || before == after, "{name}: {field} was {before} and became {after}");
        }
        let entries = |status: &Value| status["history"].as_array().cloned().unwrap_or_default();
        assert!(entries(&pair[1]).starts_with(&entries(&pair[0])), "{name}: the history was changed");
    }
}

async fn check(
    world: &World,
    people: &People,
    proxy: &Proxy,
    lives: &BTreeMap<String, Life>,
    like: &BTreeMap<Life, Value>,
) {
    let mut events: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for namespace in [PLACE, HOME] {
        let all: Api<Event> = Api::namespaced(people.admin.clone(), namespace);
        for event in all.list(&ListParams::default()).await.unwrap() {
            let uid = event.regarding.as_ref().and_then(|regarding| regarding.uid.clone()).unwrap_or_default();
            events.entry(uid).or_default().push((event.name_any(), event.reason.clone().unwrap_or_default()));
        }
    }
    let mut checked = BTreeSet::new();
    for request in people.requests().await {
        let (name, uid) = (request.name_any(), request.uid().unwrap());
        let Some(life) = lives.get(&name) else { continue };
        let status = request.status.as_ref().unwrap();
        assert_eq!(status.phase, Some(life.end()), "{name}: {:?} {:?}", status.reason, status.message);
        assert_eq!(result(&request), like[life], "{name} ended like one that was left in peace");
        assert_eq!(verify(&status.history, &uid), Ok(()), "{name}");
        let expected: Vec<_> = status
            .history
            .iter()
            .map(|entry| (format!("lockbox.{uid}.{:04}", entry.sequence), entry.action.to_string()))
            .collect();
        let mut published = events.remove(&uid).unwrap_or_default();
        published.sort();
        assert_eq!(published, expected, "{name}: each entry is one Event");
        only_grows(&name, &proxy.seen(&name).statuses);
        assert!(!people.kim_may_read(*life, &name).await, "{name}: access is over");
        checked.insert(uid);
    }
    assert_eq!(checked.len(), lives.len());
    // Jobs end by their own deadline, some seconds after the access.
    let labelled = ListParams::default().labels("lockbox.dev/request-uid");
    let since = Instant::now();
    loop {
        let mut left = vec![];
        let admin = || people.admin.clone();
        // Other tests' grants stay beside these.
        let ours = |labels: &BTreeMap<String, String>| checked.contains(&labels["lockbox.dev/request-uid"]);
        macro_rules! look {
            ($($kind:ty),*) => {$(
                let found = Api::<$kind>::all(admin()).list(&labelled).await.unwrap();
                let found = found.iter().filter(|object| ours(object.labels()));
                left.extend(found.map(|object| format!("{} {}", stringify!($kind), object.name_any())));
            )*};
        }
        look!(Job, Role, RoleBinding, ClusterRole, ClusterRoleBinding);
        if left.is_empty() {
            break;
        }
        assert!(since.elapsed() < support::PATIENCE, "left of the grants: {left:?}\n{}", log(world));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// First each kind of life once, left in peace; then, for every write of each, one that is killed before and one that
/// is killed after it, all side by side.
#[test]
fn killed_between_any_two_writes_the_result_is_the_same_with_each_entry_once() {
    let world = world();
    world.namespace(PLACE);
    world.assign(PLACE, "alice", "User", ALICE, "Owner");
    world.assign(PLACE, "olga", "User", OLGA, "LockboxApprover");
    let internal = json!({"identity": "Any", "internalApproval": {"count": 2, "approvers": [
        {"kind": "User", "name": LENA}, {"kind": "User", "name": LOU}]}});
    let rule = |name: &str, matches: Value, require: Value| json!({"name": name, "match": matches, "effect": "Permit", "require": require});
    let identity = json!({"identity": "Any"});
    let rules = json!([
        rule("tickets", json!({"scopes": ["Subscription"], "origins": ["SupportRequest"]}), identity.clone()),
        rule("incidents", json!({"scopes": ["Subscription"], "origins": ["ProviderInitiated"]}), internal),
        rule("nodes", json!({"scopes": ["Tenant"]}), identity),
    ]);
    let settings = world.with_settings(&json!({"jit": {"rules": rules}}));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let (people, proxy) =
        runtime.block_on(async { (People::new(&world).await, Proxy::start(client(&account).await).await) });
    let operator = proxy.user(&account, world.cluster.data());
    // How many approvals it takes is recorded when a request is evaluated.
    let required = |count: u32| settings.change(&json!({"jit": {"rules": rules}, "approvals": {"required": count}}));

    let rounds: [(u32, &[Life]); 2] =
        [(2, &[Life::Quorum]), (1, &[Life::ByTheClock, Life::Revoked, Life::Denied, Life::Tenant])];
    let mut points = BTreeMap::new();
    // Long enough that no access ends before it was made, however slowly the operator starts on this machine: about a
    // dozen starts. The first round, in which nothing ends by the clock, measures them.
    let mut duration = 30;
    for (count, kinds) in rounds {
        world.start_operator();
        required(count);
        world.kill_operator();

        let peaceful: BTreeMap<String, Life> =
            kinds.iter().map(|life| (format!("{life:?}").to_lowercase(), *life)).collect();
        let kills = runtime.block_on(live(&world, &people, &proxy, &operator, &peaceful, "6s"));
        assert_eq!(kills, 0);
        let mut like = BTreeMap::new();
        for (name, life) in &peaceful {
            let request = serde_json::from_value(world.request(life.namespace(), name)).unwrap();
            let actions: Vec<_> =
                LockboxRequest::clone(&request).status.unwrap().history.iter().map(|entry| entry.action).collect();
            assert_eq!(actions, life.actions(), "{name}");
            like.insert(*life, result(&request));
        }
        runtime.block_on(check(&world, &people, &proxy, &peaceful, &like));

        let mut killed = BTreeMap::new();
        for (name, life) in &peaceful {
            let writes = proxy.seen(name).writes;
            for (number, write) in writes.iter().enumerate() {
                for when in [When::Before, When::After] {
                    let name = format!("{name}-{:02}-{}", number + 1, format!("{when:?}").to_lowercase());
                    proxy.arm(&name, Point { write: write.clone(), when });
                    killed.insert(name, *life);
                }
            }
            points.insert(*life, writes);
        }
        let started = Instant::now();
        let ends = format!("{duration}s");
        let kills = runtime.block_on(live(&world, &people, &proxy, &operator, &killed, &ends));
        assert_eq!(proxy.armed(), [], "every point was reached");
        let took = started.elapsed().as_secs();
        println!("{} lives of at most {ends} access, {kills} kills, {took} s", killed.len());
        duration = (12 * took / u64::from(kills.max(1))).clamp(12, 60);
        world.start_operator();
        runtime.block_on(check(&world, &people, &proxy, &killed, &like));
    }
    for (life, writes) in &points {
        println!("{life:?}: {}", writes.join(", "));
    }
    assert_eq!(points[&Life::ByTheClock].len(), 13, "every write was a point");
    drop(settings);
    world.kill_operator();
}

/// Everything of a request that has ended: its actions, once each, in the history and as Events.
fn assert_record(world: &World, namespace: &str, name: &str, actions: &[&str]) {
    let closed = world.wait_until_closed(namespace, name);
    assert_eq!(World::actions(&closed), actions, "{name}");
    let events: Vec<_> = world.events(namespace, name).into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(events, actions, "{name}: each entry is one Event");
    let typed: LockboxRequest = serde_json::from_value(closed).unwrap();
    assert_eq!(verify(&typed.status.as_ref().unwrap().history, &typed.uid().unwrap()), Ok(()), "{name}");
}

const BY_THE_CLOCK: [&str; 4] = ["CreateLockboxRequest", "ApproveLockboxRequest", "GrantAccess", "CompleteAccess"];

/// Creates a request for this long and has it approved and granted.
fn grant_for(world: &World, namespace: &str, name: &str, duration: &str) {
    let manifest = request(name).namespace(namespace).set("/spec/duration", duration).to_string();
    world.create_as(&world.kim(), &manifest).unwrap();
    world.wait_for_phase(namespace, name, "CustomerNotified");
    world.decide(&world.alice(), namespace, name, "Approve").unwrap();
    world.wait_for_phase(namespace, name, "AccessGranted");
}

#[test]
fn with_the_operator_down_at_the_deadline_access_ends_all_the_same_and_is_recorded_later() {
    let world = world();
    world.subscription("down-at-the-end");
    grant_for(&world, "down-at-the-end", "sr-1", "2s");
    let granted = world.request("down-at-the-end", "sr-1");
    assert!(world.kim_reads("down-at-the-end", "shop-settings"));
    world.kill_operator();
    eventually("the deadline Job ends the access", || {
        (!world.kim_reads("down-at-the-end", "shop-settings")).then_some(())
    });
    assert_eq!(world.phase("down-at-the-end", "sr-1"), "AccessGranted", "nobody was there to record it");
    world.start_operator();
    let ended = world.wait_for_phase("down-at-the-end", "sr-1", "Completed");
    assert_eq!(ended["status"]["reason"], "TimeIsUp");
    assert_eq!(ended["status"]["accessUntil"], granted["status"]["accessUntil"]);
    assert_record(&world, "down-at-the-end", "sr-1", &BY_THE_CLOCK);
    world.kill_operator();
}

#[test]
fn what_is_decided_while_the_operator_is_down_counts_when_it_is_back() {
    let world = world();
    world.subscription("decided-meanwhile");
    for name in ["approved", "denied", "withdrawn", "released", "revoked"] {
        world.ask("decided-meanwhile", name);
    }
    for name in ["released", "revoked"] {
        world.decide(&world.alice(), "decided-meanwhile", name, "Approve").unwrap();
        world.wait_for_phase("decided-meanwhile", name, "AccessGranted");
    }
    world.kill_operator();
    let (kim, alice) = (world.kim(), world.alice());
    world.decide(&alice, "decided-meanwhile", "approved", "Approve").unwrap();
    world.decide(&alice, "decided-meanwhile", "denied", "Deny").unwrap();
    let end = |user, name: &str, field: &str| {
        world.patch(user, "decided-meanwhile", name, &json!({"spec": {field: {"reason": "so be it"}}})).unwrap();
    };
    end(&kim, "withdrawn", "cancellation");
    end(&kim, "released", "release");
    end(&alice, "revoked", "revocation");
    // And one is made.
    world.create_as(&kim, &request("made").namespace("decided-meanwhile").to_string()).unwrap();
    world.start_operator();
    world.wait_for_phase("decided-meanwhile", "made", "CustomerNotified");
    world.wait_for_phase("decided-meanwhile", "approved", "AccessGranted");
    for (name, phase, last) in [
        ("denied", "Denied", "DenyLockboxRequest"),
        ("withdrawn", "Cancelled", "CancelLockboxRequest"),
        ("released", "Completed", "CompleteAccess"),
        ("revoked", "Revoked", "RevokeAccess"),
    ] {
        world.wait_for_phase("decided-meanwhile", name, phase);
        let before: &[&str] = match name {
            "released" | "revoked" => &BY_THE_CLOCK[..3],
            _ => &BY_THE_CLOCK[..1],
        };
        assert_record(&world, "decided-meanwhile", name, &[before, &[last]].concat());
    }
    world.kill_operator();
}

#[test]
fn a_decision_met_after_the_deadline_loses_however_early_it_was_written() {
    let world = world();
    world.subscription("met-too-late");
    let settings = world.with_settings(&json!({"pendingTimeout": "4s"}));
    world.ask("met-too-late", "sr-1");
    world.kill_operator();
    world.decide(&world.alice(), "met-too-late", "sr-1", "Approve").unwrap();
    let until = world.request("met-too-late", "sr-1")["status"]["pendingUntil"].as_str().unwrap().to_owned();
    let until: chrono::DateTime<chrono::Utc> = until.parse().unwrap();
    eventually("the deadline has passed", || (chrono::Utc::now() >= until).then_some(()));
    world.start_operator();
    world.wait_for_phase("met-too-late", "sr-1", "Expired");
    assert_record(&world, "met-too-late", "sr-1", &["CreateLockboxRequest", "ExpireLockboxRequest"]);
    drop(settings);
    world.kill_operator();
}

#[test]
fn an_api_server_that_restarts_or_hangs_loses_and_doubles_nothing() {
    let world = world();
    world.subscription("restarted");
    world.ask("restarted", "waits");
    grant_for(&world, "restarted", "has-access", "1h");
    let mut granted = world.request("restarted", "has-access");
    world.cluster.restart_apiserver().unwrap();
    // Both go on, with the operator that was there before. The API server itself needs a moment for its policies.
    eventually("Alice denies", || world.decide(&world.alice(), "restarted", "waits", "Deny").ok());
    assert_record(&world, "restarted", "waits", &["CreateLockboxRequest", "DenyLockboxRequest"]);
    assert_eq!(world.phase("restarted", "has-access"), "AccessGranted");
    assert!(world.kim_reads("restarted", "shop-settings"));

    // It hangs while an access ends, and answers again afterwards.
    grant_for(&world, "restarted", "ends-meanwhile", "3s");
    let until = world.request("restarted", "ends-meanwhile")["status"]["accessUntil"].as_str().unwrap().to_owned();
    let until: chrono::DateTime<chrono::Utc> = until.parse().unwrap();
    world.cluster.pause_apiserver().unwrap();
    eventually("the access should have ended", || (chrono::Utc::now() > until).then_some(()));
    world.cluster.resume_apiserver().unwrap();
    assert_record(&world, "restarted", "ends-meanwhile", &BY_THE_CLOCK);
    // It is killed, as by a lack of memory.
    world.cluster.kill_apiserver().unwrap();
    world.cluster.start_apiserver().unwrap();
    let release = json!({"spec": {"release": {"reason": "done"}}});
    eventually("Kim gives the access back", || world.patch(&world.kim(), "restarted", "has-access", &release).ok());
    assert_record(&world, "restarted", "has-access", &BY_THE_CLOCK);
    let ended = world.request("restarted", "has-access");
    assert_eq!(ended["status"]["accessUntil"], granted["status"]["accessUntil"].take());
    assert!(!world.kim_reads("restarted", "shop-settings"));
    world.kill_operator();
}

#[test]
fn asked_to_stop_it_stops_within_ten_seconds_and_leaves_nothing_half_done() {
    let world = world();
    world.kill_operator();
    world.namespace("stopped");
    world.start_operator();
    world.assign("stopped", "alice", "User", ALICE, "Owner");
    world.kill_operator();
    let account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let operator = Operator::start(&account, world.cluster.data(), &[]);
    // Asked in the middle of many requests.
    let names: Vec<_> = (1..=40).map(|number| format!("sr-{number}")).collect();
    let items: Vec<_> = names.iter().map(|name| request(name).namespace("stopped").0).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    world.create_as(&world.kim(), &list).unwrap();
    world.wait_for_phase("stopped", &names[0], "CustomerNotified");
    let asked = Instant::now();
    assert_eq!(operator.exit_code(), Some(0), "{}", log(&world));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    world.start_operator();
    for name in &names {
        world.wait_for_phase("stopped", name, "CustomerNotified");
    }
    for name in &names {
        let request: LockboxRequest = serde_json::from_value(world.request("stopped", name)).unwrap();
        assert_eq!(request.status.unwrap().history.len(), 1, "{name}");
    }
    eventually("every entry is one Event", || {
        let events = world.admin(&[
            "get",
            "events",
            "-n",
            "stopped",
            "--field-selector=reason=CreateLockboxRequest",
            "-o",
            "name",
        ]);
        (events.unwrap().lines().count() == names.len()).then_some(())
    });
    world.kill_operator();
}

/// In a namespace the owner chain ends the access, whether the operator runs or not. Nothing owns a grant of scope
/// Tenant: the sweep finds it when the operator is back.
#[test]
fn an_access_whose_request_is_gone_is_ended() {
    let world = world();
    world.subscription("orphans");
    world.grant("orphans", "sr-1");
    let tenant = serde_yaml_ng::from_str::<Value>(&support::example("engineer/request-tenant.yaml")).unwrap();
    let tenant = support::Manifest(tenant).set("/metadata/name", "orphan");
    world.create_as(&world.kim(), &tenant.to_string()).unwrap();
    world.wait_for_phase(HOME, "orphan", "CustomerNotified");
    world.decide(&world.ada(), HOME, "orphan", "Approve").unwrap();
    world.wait_for_phase(HOME, "orphan", "AccessGranted");
    let reads_node = || {
        let answer = world.kubectl(&world.kim(), &["get", "node", "node-a"]).unwrap_err();
        answer.contains("NotFound")
    };
    assert!(world.kim_reads("orphans", "shop-settings") && reads_node());
    world.kill_operator();
    // As its namespace would take it along.
    let collector = "--as=system:serviceaccount:kube-system:namespace-controller";
    world.admin(&["delete", "lbr", "sr-1", "-n", "orphans", collector]).unwrap();
    world.admin(&["delete", "lbr", "orphan", "-n", HOME, collector]).unwrap();
    eventually("the owner chain ends the access in the namespace", || {
        (!world.kim_reads("orphans", "shop-settings")).then_some(())
    });
    assert!(reads_node(), "nothing has ended the tenant's yet");
    world.start_operator();
    eventually("the sweep ends it", || (!reads_node()).then_some(()));
    eventually("and leaves nothing", || {
        let kinds = "clusterrole,clusterrolebinding";
        let left = world.admin(&["get", kinds, "-l", "lockbox.dev/request=orphan", "-o", "name"]).unwrap();
        left.is_empty().then_some(())
    });
    world.kill_operator();
}
