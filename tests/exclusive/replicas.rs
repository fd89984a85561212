//! Two operators: with the Lease one acts and the other takes over; without it both act, and do no harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::{events::v1::Event, rbac::v1::RoleBinding};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use lockbox_api::{AuditAction, LockboxRequest, Phase};
use lockbox_lifecycle::history::verify;
use serde_json::{Value, json};

use crate::{
    crashes::client,
    proxy::{Point, Proxy, When},
    support::{KIM, World, audit, eventually, operator::Operator, request},
    writes,
};

/// For how long the Lease holds.
const HOLDS: Duration = Duration::from_secs(15);
/// What a machine with other work may add to a fail-over.
const MARGIN: Duration = Duration::from_secs(15);

/// The cluster of those who count writes, and none of its operators. The one that it had is back in the end.
struct Turn(MutexGuard<'static, World>);

impl Turn {
    fn take() -> Self {
        let world = writes::WORLD.lock().unwrap_or_else(PoisonError::into_inner);
        world.kill_operator();
        Self(world)
    }
}

impl std::ops::Deref for Turn {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.start_operator();
    }
}

/// One of two.
struct Replica {
    name: &'static str,
    operator: Operator,
    probes: u16,
    /// What the audit log has of its token.
    credential: String,
}

impl Replica {
    fn start(world: &World, name: &'static str, more: &[&str]) -> Self {
        let mut account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
        // A file of its own: the other one's token is another.
        let kubeconfig = world.cluster.data().join(format!("{name}.kubeconfig"));
        std::fs::copy(&account.kubeconfig, &kubeconfig).unwrap();
        account.kubeconfig = kubeconfig;
        let probes = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{probes}");
        let arguments = [&["--instance", name, "--listen", &listen][..], more].concat();
        let who = world.kubectl(&account, &["auth", "whoami", "-o", "json"]).unwrap();
        let who: Value = serde_json::from_str(&who).unwrap();
        let credential = &who["status"]["userInfo"]["extra"]["authentication.kubernetes.io/credential-id"][0];
        let credential = credential.as_str().unwrap().to_owned();
        let operator = Operator::start(&account, world.cluster.data(), &arguments);
        Self { name, operator, probes, credential }
    }

    /// What it answers at a path, status line included.
    fn answer(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.probes)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn is_ready(&self) -> bool {
        self.answer("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn shows(&self, line: &str) -> bool {
        self.answer("/metrics").is_some_and(|text| text.lines().any(|shown| shown == line))
    }
}

/// Who holds the Lease, by the name of its Pod.
fn holder(world: &World) -> Option<String> {
    let lease = lease(world)?;
    Some(lease["spec"]["holderIdentity"].as_str()?.split('_').next()?.to_owned())
}

fn lease(world: &World) -> Option<Value> {
    let lease = world.admin(&["get", "lease", "lockbox-operator", "-n", "lockbox-system", "-o", "json"]).ok()?;
    serde_json::from_str(&lease).ok()
}

/// Two with the Lease, of which the first acts and the second is ready to.
fn one_of_two(world: &World) -> (Replica, Replica) {
    // The last test's holder may be dead.
    let _ = world.admin(&["delete", "lease", "lockbox-operator", "-n", "lockbox-system", "--ignore-not-found"]);
    let start = |name| Replica::start(world, name, &["--leader-election"]);
    let leader = start("replica-a");
    eventually("the first acts", || {
        (holder(world).as_deref() == Some("replica-a") && leader.is_ready() && leader.shows("lockbox_leader 1"))
            .then_some(())
    });
    world.wait_for_settings();
    let other = start("replica-b");
    eventually("the second stands by", || (other.is_ready() && other.shows("lockbox_leader 0")).then_some(()));
    (leader, other)
}

/// The calls of one of them since a mark, but for trials.
fn calls(world: &World, mark: u64, replica: &Replica) -> Vec<audit::Call> {
    let calls = audit::since(&world.cluster, mark);
    calls.into_iter().filter(|call| call.credential == replica.credential && !call.dry).collect()
}

#[test]
fn of_two_operators_one_acts_and_the_other_writes_nothing() {
    let world = Turn::take();
    let from_the_start = audit::mark(&world.cluster);
    let (leader, other) = one_of_two(&world);
    world.subscription("one-of-two");
    world.grant("one-of-two", "has-access");
    world.ask("one-of-two", "is-over");
    world.decide(&world.alice(), "one-of-two", "is-over", "Deny").unwrap();
    let closed = world.wait_until_closed("one-of-two", "is-over");
    let uid = closed["metadata"]["uid"].as_str().unwrap();
    let about = |call: &audit::Call| call.name == "is-over" || call.name.contains(uid);
    let written: Vec<_> = audit::operator_writes(&world.cluster, from_the_start)
        .into_iter()
        .filter(about)
        .map(|call| call.words())
        .collect();
    assert_eq!(written.len(), 5, "as many as of one operator: {written:?}");
    eventually("the Events of what is granted are published", || {
        (world.events("one-of-two", "has-access").len() == 3).then_some(())
    });
    world.sees(&world.kim(), "one-of-two", "is-over");

    // At rest: nothing but the Lease, and that by one.
    let mark = audit::mark(&world.cluster);
    let renewals = |calls: &[audit::Call]| calls.iter().filter(|call| call.words() == "update leases").count();
    eventually("the Lease was renewed three times", || (renewals(&calls(&world, mark, &leader)) >= 3).then_some(()));
    let at_rest: Vec<_> = calls(&world, mark, &leader).into_iter().filter(audit::Call::writes).collect();
    assert_eq!(renewals(&at_rest), at_rest.len(), "{at_rest:#?}");
    let of_the_other = calls(&world, from_the_start, &other);
    assert!(of_the_other.iter().any(|call| call.words() == "get leases"), "it looks: {of_the_other:#?}");
    let written: Vec<_> = of_the_other.iter().filter(|call| call.writes()).collect();
    assert!(written.is_empty(), "{written:#?}");
    let refused: Vec<_> = calls(&world, from_the_start, &leader).into_iter().chain(of_the_other).collect();
    let refused: Vec<_> = refused.iter().filter(|call| call.code == 403).collect();
    assert!(refused.is_empty(), "the chart lacks a right: {refused:#?}");
    // It knows what is stored all the same, and goes when it is asked to.
    assert!(other.shows("lockbox_ready 1") && leader.shows("lockbox_ready 1"));
    assert_eq!(other.operator.exit_code(), Some(0));
    assert_eq!(holder(&world).as_deref(), Some(leader.name));
}

#[test]
fn asked_to_stop_the_one_that_acts_hands_over_at_once() {
    let world = Turn::take();
    let (leader, other) = one_of_two(&world);
    world.subscription("handed-over");
    world.ask("handed-over", "sr-1");
    world.grant("handed-over", "has-access");
    eventually("the Events are published", || (world.events("handed-over", "has-access").len() == 3).then_some(()));
    let mark = audit::mark(&world.cluster);
    let stopped = Instant::now();
    let code = std::thread::scope(|scope| {
        let code = scope.spawn(|| leader.operator.exit_code());
        world.decide(&world.alice(), "handed-over", "sr-1", "Approve").unwrap();
        code.join().unwrap()
    });
    assert_eq!(code, Some(0));
    eventually("the other has the Lease", || (holder(&world).as_deref() == Some(other.name)).then_some(()));
    let taken = stopped.elapsed();
    world.wait_for_phase("handed-over", "sr-1", "AccessGranted");
    let carried_out = stopped.elapsed();
    println!(
        "asked to stop: the other had the Lease after {taken:?}, and a decision was carried out after {carried_out:?}"
    );
    assert!(carried_out < HOLDS / 2, "{carried_out:?}");
    let lease = lease(&world).unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 2, "{lease}");
    // What the first has done, the second does not do again.
    let has_access = world.request("handed-over", "has-access");
    let uid = has_access["metadata"]["uid"].as_str().unwrap();
    let again: Vec<_> = audit::operator_writes(&world.cluster, mark)
        .into_iter()
        .filter(|call| call.name == "has-access" || call.name.contains(uid))
        .collect();
    assert!(again.is_empty(), "{again:#?}");
    assert!(other.shows("lockbox_leader 1"));
}

#[test]
fn when_the_one_that_acts_dies_the_other_does_within_the_leases_time_and_what_ends_meanwhile_ends() {
    let world = Turn::take();
    let (leader, other) = one_of_two(&world);
    let here = "died";
    world.subscription(here);
    world.ask(here, "sr-1");
    let manifest = request("short").namespace(here).set("/spec/duration", "4s").to_string();
    world.create_as(&world.kim(), &manifest).unwrap();
    world.wait_for_phase(here, "short", "CustomerNotified");
    world.decide(&world.alice(), here, "short", "Approve").unwrap();
    let granted = world.wait_for_phase(here, "short", "AccessGranted");
    let until: DateTime<Utc> = granted["status"]["accessUntil"].as_str().unwrap().parse().unwrap();
    // kill -9.
    drop(leader);
    let died = Instant::now();
    assert!(Utc::now() < until, "it died before the end");
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    eventually("the deadline Job ends the access", || (!world.kim_reads(here, "shop-settings")).then_some(()));
    let ended = died.elapsed();
    let is_held = holder(&world);
    assert_eq!(is_held.as_deref(), Some("replica-a"), "nobody acted at that time; ended after {ended:?}");
    eventually("the other has the Lease", || (holder(&world).as_deref() == Some(other.name)).then_some(()));
    let taken = died.elapsed();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
    let carried_out = died.elapsed();
    println!(
        "died: an access ended after {ended:?}, the other had the Lease after {taken:?}, and a decision was carried out after {carried_out:?}"
    );
    // The last renewal was up to two seconds before.
    assert!(taken > Duration::from_secs(12), "not before it had run out: {taken:?}");
    assert!(carried_out < HOLDS + MARGIN, "{carried_out:?}");
    let record = world.wait_until_closed(here, "short");
    assert_eq!((&record["status"]["phase"], &record["status"]["reason"]), (&json!("Completed"), &json!("TimeIsUp")));
    let actions = ["CreateLockboxRequest", "ApproveLockboxRequest", "GrantAccess", "CompleteAccess"];
    assert_eq!(World::actions(&record), actions);
    let events: Vec<_> = world.events(here, "short").into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(events, actions, "each entry is one Event");
}

/// Somebody else has the Lease, as after a time without any way to the API server: whoever acted stops before it does any more,
/// and says why.
#[test]
fn who_finds_another_in_the_lease_ends_at_once() {
    let world = Turn::take();
    let (leader, other) = one_of_two(&world);
    drop(other);
    let stolen = json!({"spec": {"holderIdentity": "somebody-else", "renewTime": "2026-11-29T12:00:00.000000Z"}});
    let patch = ["patch", "lease", "lockbox-operator", "-n", "lockbox-system", "--type=merge", "-p"];
    world.admin(&[&patch[..], &[&stolen.to_string()]].concat()).unwrap();
    eventually("it ends by itself", || leader.operator.ended());
    assert_eq!(leader.operator.exit_code(), Some(1));
    assert!(world.operator_log().contains("this operator no longer leads: somebody-else holds the Lease"));
}

/// What somebody wants of a request under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Denied,
    Cancelled,
    ByTheClock,
    Released,
    /// As soon as access is recorded.
    Revoked,
    /// As soon as the approval is recorded, while access is being made.
    RevokedEarly,
}

const ENDS: [End; 6] = [End::Denied, End::Cancelled, End::ByTheClock, End::Released, End::Revoked, End::RevokedEarly];

impl End {
    fn next(self, phase: Phase, request: &LockboxRequest) -> Option<(bool, Value)> {
        let by_kim = |field: &str| Some((true, json!({"spec": {field: {"reason": "done"}}})));
        let decision =
            |verdict: &str| Some((false, json!({"spec": {"decision": {"verdict": verdict, "reason": "so be it"}}})));
        let revocation = || Some((false, json!({"spec": {"revocation": {"reason": "enough"}}})));
        let spec = &request.spec;
        match (self, phase) {
            (Self::Denied, Phase::CustomerNotified) if spec.decisions.is_empty() => decision("Deny"),
            (Self::Cancelled, Phase::CustomerNotified) if spec.cancellation.is_none() => by_kim("cancellation"),
            (Self::ByTheClock | Self::Released | Self::Revoked | Self::RevokedEarly, Phase::CustomerNotified)
                if spec.decisions.is_empty() =>
            {
                decision("Approve")
            }
            (Self::Released, Phase::AccessGranted) if spec.release.is_none() => by_kim("release"),
            (Self::Revoked, Phase::AccessGranted) | (Self::RevokedEarly, Phase::Approved | Phase::AccessGranted)
                if spec.revocation.is_none() =>
            {
                revocation()
            }
            _ => None,
        }
    }

    /// How it ends, and whether its history has an access: who revokes early may be faster.
    fn expected(self) -> (Phase, &'static [AuditAction], Option<bool>) {
        use AuditAction as A;
        match self {
            Self::Denied => (Phase::Denied, &[A::CreateLockboxRequest, A::DenyLockboxRequest], Some(false)),
            Self::Cancelled => (Phase::Cancelled, &[A::CreateLockboxRequest, A::CancelLockboxRequest], Some(false)),
            Self::ByTheClock | Self::Released => {
                (Phase::Completed, &[A::CreateLockboxRequest, A::ApproveLockboxRequest, A::CompleteAccess], Some(true))
            }
            Self::Revoked => {
                (Phase::Revoked, &[A::CreateLockboxRequest, A::ApproveLockboxRequest, A::RevokeAccess], Some(true))
            }
            Self::RevokedEarly => {
                (Phase::Revoked, &[A::CreateLockboxRequest, A::ApproveLockboxRequest, A::RevokeAccess], None)
            }
        }
    }
}

/// Acts on all of them until all are closed.
async fn act(kim: &Api<LockboxRequest>, alice: &Api<LockboxRequest>, ends: &BTreeMap<String, End>) {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let all = kim_sees(alice).await;
        let open: Vec<_> = all
            .iter()
            .filter(|request| request.status.as_ref().and_then(|status| status.closed) != Some(true))
            .collect();
        if open.is_empty() && all.len() == ends.len() {
            return;
        }
        assert!(Instant::now() < deadline, "{} are not closed", open.len());
        let acts = open.into_iter().filter_map(|request| {
            let phase = request.status.as_ref()?.phase?;
            let (by_kim, patch) = ends[&request.name_any()].next(phase, request)?;
            Some((request.name_any(), by_kim, patch))
        });
        // Many at a time, so that both have work at the same time. The phase may move on meanwhile.
        stream::iter(acts)
            .for_each_concurrent(8, |(name, by_kim, patch)| async move {
                let requests = if by_kim { kim } else { alice };
                if let Err(error) = requests.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                    println!("about {name}: {error}");
                }
            })
            .await;
    }
}

async fn kim_sees(requests: &Api<LockboxRequest>) -> Vec<LockboxRequest> {
    requests.list(&ListParams::default()).await.unwrap().items
}

#[test]
fn two_that_act_at_the_same_time_end_every_request_as_one_does_with_each_entry_once() {
    let world = Turn::take();
    let here = "both";
    // Without the Lease both act.
    let both = ["replica-a", "replica-b"].map(|name| Replica::start(&world, name, &[]));
    world.subscription(here);
    eventually("both act", || {
        both.iter().all(|replica| replica.is_ready() && replica.shows("lockbox_leader 1")).then_some(())
    });
    let ends: BTreeMap<String, End> =
        (0..48).map(|number| (format!("sr-{number:02}"), ENDS[number % ENDS.len()])).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let of = |client: Client| Api::<LockboxRequest>::namespaced(client, here);
        let (kim, alice) = (of(client(&world.kim()).await), of(client(&world.alice()).await));
        stream::iter(&ends)
            .for_each_concurrent(8, |(name, end)| {
                // Long enough to be made on a machine with much other work.
                let duration = if *end == End::ByTheClock { "20s" } else { "1h" };
                let requester =
                    json!({"username": KIM, "groups": ["provider:engineers", "provider:secure-workstations"]});
                let manifest =
                    request(name).namespace(here).set("/spec/duration", duration).set("/spec/requester", requester);
                let request: LockboxRequest = serde_json::from_value(manifest.0).unwrap();
                let kim = &kim;
                async move { drop(kim.create(&PostParams::default(), &request).await.unwrap()) }
            })
            .await;
        act(&kim, &alice, &ends).await;

        let admin = client(world.cluster.admin()).await;
        let mut published: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for event in Api::<Event>::namespaced(admin.clone(), here).list(&ListParams::default()).await.unwrap() {
            let uid = event.regarding.as_ref().and_then(|regarding| regarding.uid.clone()).unwrap_or_default();
            published.entry(uid).or_default().push((event.name_any(), event.reason.unwrap_or_default()));
        }
        let mut with_access = 0;
        for request in kim_sees(&of(admin.clone())).await {
            let (name, uid) = (request.name_any(), request.uid().unwrap());
            let status = request.status.as_ref().unwrap();
            let (phase, actions, access) = ends[&name].expected();
            assert_eq!(status.phase, Some(phase), "{name}: {:?} {:?}", status.reason, status.message);
            assert_eq!(verify(&status.history, &uid), Ok(()), "{name}");
            let has_access = status.history.iter().any(|entry| entry.action == AuditAction::GrantAccess);
            with_access += usize::from(has_access);
            assert!(access.is_none_or(|access| access == has_access), "{name}: {:?}", status.history);
            let all: Vec<_> = status.history.iter().map(|entry| entry.action).collect();
            let but_access: Vec<_> = all.iter().copied().filter(|action| *action != AuditAction::GrantAccess).collect();
            assert_eq!(but_access, actions, "{name}");
            assert!(all.len() - but_access.len() <= 1, "{name}: {all:?}");
            let expected: Vec<_> = status
                .history
                .iter()
                .map(|entry| (format!("lockbox.{uid}.{:04}", entry.sequence), entry.action.to_string()))
                .collect();
            let mut events = published.remove(&uid).unwrap_or_default();
            events.sort();
            assert_eq!(events, expected, "{name}: each entry is one Event");
        }
        println!("{} requests, of which {with_access} had access, in {:?}", ends.len(), began.elapsed());
        let bindings = Api::<RoleBinding>::namespaced(admin, here);
        let of_grants = ListParams::default().labels("lockbox.dev/request");
        let left = bindings.list(&of_grants).await.unwrap().items;
        assert!(left.is_empty(), "no grant is left: {left:?}");
    });
    let mark = 0;
    let wrote = |replica: &Replica| {
        let calls = calls(&world, mark, replica);
        calls.into_iter().filter(|call| call.namespace == here && call.writes() && call.code < 300).count()
    };
    let (one, other) = (wrote(&both[0]), wrote(&both[1]));
    println!("writes that were taken: {one} and {other}");
    assert!(one > 0 && other > 0, "both acted");
    eventually("Jobs and Roles go, too", || world.grant_objects(here).is_empty().then_some(()));
}

/// One is about to make the binding when the other records that the request was revoked, and finds nothing to delete.
#[test]
fn who_makes_a_binding_for_a_request_that_has_ended_meanwhile_ends_it() {
    let world = Turn::take();
    let here = "made-too-late";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let proxy = runtime.block_on(async { Proxy::start(client(&account).await).await });
    let slow = Operator::start(&proxy.user(&account, world.cluster.data()), world.cluster.data(), &[]);
    world.subscription(here);
    world.ask(here, "sr-1");
    proxy.arm("sr-1", Point { write: "POST rolebindings".into(), when: When::Slow });
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    assert!(runtime.block_on(proxy.reached(Duration::from_mins(1))), "the binding is about to be made");
    world.patch(&world.alice(), here, "sr-1", &json!({"spec": {"revocation": {"reason": "enough"}}})).unwrap();
    let held = Instant::now();
    let quick = Replica::start(&world, "replica-b", &[]);
    let revoked = world.wait_for_phase(here, "sr-1", "Revoked");
    assert!(held.elapsed() < Duration::from_secs(9), "the first has not given up: {:?}", held.elapsed());
    let grant = format!("lockbox-grant-{}", revoked["metadata"]["uid"].as_str().unwrap());
    let mark = audit::mark(&world.cluster);
    proxy.killed();
    let let_go = Instant::now();
    // The API server may refuse it, where the cluster has taken the Role away by now; else it stands for a moment.
    let tried = |call: &audit::Call| call.words() == "create rolebindings" && call.name == grant;
    let code = eventually("it is tried", || {
        audit::since(&world.cluster, mark).iter().find(|call| tried(call)).map(|call| call.code)
    });
    eventually("it does not stand", || {
        let there = world.admin(&["get", "rolebinding", &grant, "-n", here, "--ignore-not-found", "-o", "name"]);
        there.unwrap().is_empty().then_some(())
    });
    println!("the binding that came too late was answered with {code}, and was gone after {:?}", let_go.elapsed());
    assert!(let_go.elapsed() < Duration::from_secs(10), "not by the sweep");
    assert!(!world.kim_reads(here, "shop-settings"));
    let record = world.wait_until_closed(here, "sr-1");
    let actions: BTreeSet<_> = World::actions(&record).into_iter().collect();
    assert!(!actions.contains("GrantAccess"), "{actions:?}");
    drop((slow, quick));
}
