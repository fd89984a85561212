//! Attacks in the moments when admission does not protect anybody, and access that nothing would end. The tests take
//! turns: each takes away what the others rely on.

mod gaps;

use std::{
    process::Command,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use kube::{Client, Config, config::Kubeconfig};
use lockbox_cluster::{Options, User};
use serde_json::{Value, json};

use crate::{
    proxy::Proxy,
    support::{self, ALICE, World, eventually, operator::Operator, repository, request},
};

static WORLD: LazyLock<World> = LazyLock::new(World::new);
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> (&'static World, MutexGuard<'static, ()>) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (&*WORLD, turn)
}

/// A condition of the settings: its status and its message.
fn condition(world: &World, type_: &str) -> (String, String) {
    let settings = world.get("lbs", "default", "default");
    let conditions = settings["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

/// Waits until the settings show this, and returns the message.
fn shown(world: &World, type_: &str, status: &str) -> String {
    eventually(&format!("{type_} is {status}"), || {
        let (is, message) = condition(world, type_);
        (is == status).then_some(message)
    })
}

/// Waits until a request waits for this, and returns what it says.
fn waits_for(world: &World, namespace: &str, name: &str, reason: &str) -> String {
    eventually(&format!("{namespace}/{name} waits: {reason}"), || {
        let status = &world.request(namespace, name)["status"];
        (status["reason"] == reason).then(|| status["message"].as_str().unwrap().to_owned())
    })
}

/// Makes the chart's policies anew where they are gone, as the messages say.
fn upgrade(world: &World) {
    let mut helm = world.cluster.helm(world.cluster.admin());
    helm.args(["upgrade", "lockbox"]).arg(repository("charts/lockbox"));
    helm.args(["-n", "lockbox-system", "--reuse-values"]);
    lockbox_cluster::output(helm).unwrap();
}

/// The same, and waits until they are proven to be in force.
fn put_back(world: &World) {
    upgrade(world);
    // What was seen before the change does not count.
    eventually("the operator has seen them", || {
        let (status, message) = condition(world, "AdmissionEnforced");
        (status == "True" || message.contains("a moment ago")).then_some(())
    });
    shown(world, "AdmissionEnforced", "True");
}

#[test]
fn an_approval_forged_while_the_policies_are_gone_never_counts() {
    let (world, _turn) = turn();
    let here = "forged";
    world.subscription(here);
    world.ask(here, "sr-1");
    let policy = "lockbox-requests-decide";
    world.admin(&["delete", "validatingadmissionpolicybinding", policy]).unwrap();
    let message = shown(world, "AdmissionEnforced", "False");
    assert!(message.contains(&format!("ValidatingAdmissionPolicyBinding {policy} is not there")), "{message}");
    // What waited ends at once, and says why and what to do.
    let ended = world.wait_for_phase(here, "sr-1", "Cancelled");
    assert_eq!(ended["status"]["reason"], "AdmissionNotEnforced");
    let said = ended["status"]["message"].as_str().unwrap();
    assert!(said.starts_with("Create a new request when AdmissionEnforced is True again"), "{said}");
    assert!(said.contains(&format!("{policy} is not there")), "{said}");
    // What is asked for meanwhile may come from anybody, too.
    world.create_as(&world.kim(), &request_in(here, "sr-2")).unwrap();
    let rejected = world.wait_for_phase(here, "sr-2", "Rejected");
    assert_eq!(rejected["status"]["reason"], "AdmissionNotEnforced");
    // Kim may patch requests, in order to withdraw them; nothing keeps her from writing Alice's approval any more.
    let forged = json!({"spec": {"decisions": {ALICE: {"verdict": "Approve", "reason": "fine"}}}});
    let answer = eventually("it is not admission that refuses the forged approval", || {
        match world.patch(&world.kim(), here, "sr-1", &forged) {
            Err(said) if said.contains("denied request") => None,
            answer => Some(answer),
        }
    });
    drop(answer);
    put_back(world);
    // It does not count afterwards either; and everything works as before.
    world.grant(here, "sr-3");
    let request = world.request(here, "sr-1");
    assert_eq!(request["status"]["phase"], "Cancelled", "{request:#}");
    assert_eq!(World::actions(&request), ["CreateLockboxRequest", "CancelLockboxRequest"]);
}

fn request_in(namespace: &str, name: &str) -> String {
    request(name).namespace(namespace).to_string()
}

#[test]
fn an_approval_forged_while_policies_and_operator_were_gone_does_not_count_when_both_are_back() {
    let (world, _turn) = turn();
    let here = "forged-unseen";
    world.subscription(here);
    world.ask(here, "sr-1");
    world.kill_operator();
    world.admin(&["delete", "validatingadmissionpolicybinding", "lockbox-requests-decide"]).unwrap();
    let forged = json!({"spec": {"decisions": {ALICE: {"verdict": "Approve"}}}});
    eventually("the API server lets the forged approval in", || world.patch(&world.kim(), here, "sr-1", &forged).ok());
    upgrade(world);
    eventually("the policy is in force again", || {
        let more = json!({"spec": {"decisions": {"another@contoso.example": {"verdict": "Approve"}}}});
        let patch = ["patch", "lbr", "sr-1", "-n", here, "--type=merge", "--dry-run=server", "-p", &more.to_string()];
        world.admin(&patch).is_err().then_some(())
    });
    world.start_operator();
    let request = world.wait_for_phase(here, "sr-1", "Cancelled");
    assert_eq!(request["status"]["reason"], "AdmissionNotEnforced");
    assert_eq!(World::actions(&request), ["CreateLockboxRequest", "RejectDecision", "CancelLockboxRequest"]);
    let said = request["status"]["history"][1]["message"].as_str().unwrap();
    assert!(said.contains("the admission policies have been in force since"), "{said}");
    let said = request["status"]["message"].as_str().unwrap();
    assert!(said.contains("status.admissionSince of the LockboxSettings"), "{said}");
    assert_eq!(world.grant_objects(here), "");
    shown(world, "AdmissionEnforced", "True");
}

#[test]
fn a_policy_that_was_weakened_unnoticed_is_found_out_before_access_is_made() {
    let (world, _turn) = turn();
    let here = "weakened";
    world.subscription(here);
    world.ask(here, "sr-1");
    // Everything stands and is bound; only in this namespace nobody is compared with the caller any more.
    let policy = "lockbox-requests-decide";
    let not_here = format!("request.namespace != '{here}'");
    let weakened = json!({"spec": {"matchConditions": [{"name": "not-here", "expression": not_here}]}}).to_string();
    world.admin(&["patch", "validatingadmissionpolicy", policy, "--type=merge", "-p", &weakened]).unwrap();
    let forged = json!({"spec": {"decisions": {ALICE: {"verdict": "Approve"}}}});
    eventually("the API server lets the forged approval in", || world.patch(&world.kim(), here, "sr-1", &forged).ok());
    let failed = world.wait_for_phase(here, "sr-1", "Failed");
    assert_eq!(failed["status"]["reason"], "AdmissionNotEnforced");
    let said = failed["status"]["message"].as_str().unwrap();
    assert!(said.contains("the API server let in a decision in another's name"), "{said}");
    assert_eq!(world.grant_objects(here), "");
    // Whatever else is older does not count any more; and new requests, elsewhere, go on.
    let moment = |text: &Value| text.as_str().unwrap_or_default().parse::<DateTime<Utc>>().ok();
    let failed_at = moment(&failed["status"]["endedAt"]).unwrap();
    eventually("what is older does not count", || {
        let since = moment(&world.get("lbs", "default", "default")["status"]["admissionSince"]);
        since.is_some_and(|since| since > failed_at).then_some(())
    });
    world.subscription("not-weakened");
    world.grant("not-weakened", "sr-1");
    world.admin(&["delete", "validatingadmissionpolicy", policy]).unwrap();
    put_back(world);
}

#[test]
fn an_approved_request_waits_while_a_policy_is_narrowed_and_goes_on_when_it_is_put_back() {
    let (world, _turn) = turn();
    let here = "narrowed";
    world.subscription(here);
    world.ask(here, "sr-1");
    // A quota holds the approved request where it is.
    world.forbid_jobs(here);
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    waits_for(world, here, "sr-1", "GrantBlocked");
    let policy = "lockbox-grants";
    let narrowed = json!({"spec": {"matchResources": {"namespaceSelector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [here]}]}}}});
    let patch = ["patch", "validatingadmissionpolicybinding", policy, "--type=merge", "-p", &narrowed.to_string()];
    world.admin(&patch).unwrap();
    shown(world, "AdmissionEnforced", "False");
    world.admin(&["delete", "quota", "no-jobs", "-n", here]).unwrap();
    let said = waits_for(world, here, "sr-1", "WaitingForAdmission");
    assert!(said.contains(&format!("ValidatingAdmissionPolicyBinding {policy} leaves objects out")), "{said}");
    assert!(said.contains("what was changed is deleted first"), "{said}");
    assert_eq!(world.grant_objects(here), "");
    world.admin(&["delete", "validatingadmissionpolicybinding", policy]).unwrap();
    put_back(world);
    world.wait_for_phase(here, "sr-1", "AccessGranted");
    assert!(world.kim_reads(here, "shop-settings"));
}

#[test]
fn where_only_the_definitions_are_installed_nothing_is_granted() {
    let world = World::installed(Options::default());
    let all = ["-l", "app.kubernetes.io/name=lockbox"];
    let kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy,mutatingadmissionpolicybinding,mutatingadmissionpolicy";
    world.admin(&[&["delete", kinds][..], &all].concat()).unwrap();
    world.start_operator();
    world.apply_as(&world.ada(), &support::example("global-administrator/settings.yaml")).unwrap();
    world.subscription("bare");
    let requester = json!({"username": support::KIM, "groups": ["provider:engineers", "provider:secure-workstations"]});
    let ask = |name: &str| {
        let asked = request(name).namespace("bare").set("/spec/requester", requester.clone());
        eventually("Kim may ask", || world.create_as(&world.kim(), &asked.to_string()).ok());
    };
    // A moment after an installation that is not worth an alarm: some make the operator first and its policies later.
    ask("sr-1");
    let said = waits_for(&world, "bare", "sr-1", "WaitingForAdmission");
    assert!(said.contains("the installation may not be complete yet"), "{said}");
    upgrade(&world);
    shown(&world, "AdmissionEnforced", "True");
    let log = world.operator_log();
    assert!(!log.contains("ERROR") && !log.contains("disproven"), "{log}");
    let rejected = world.wait_for_phase("bare", "sr-1", "Rejected");
    assert_eq!(rejected["status"]["reason"], "AdmissionNotEnforced", "it came before them");
    // Later it is.
    world.admin(&[&["delete", kinds][..], &all].concat()).unwrap();
    let message = shown(&world, "AdmissionEnforced", "False");
    assert!(message.contains("ValidatingAdmissionPolicy lockbox-requests-create is not there"), "{message}");
    assert!(world.operator_log().lines().any(|line| line.contains("ERROR") && line.contains("disproven")));
    ask("sr-2");
    let rejected = world.wait_for_phase("bare", "sr-2", "Rejected");
    assert_eq!(rejected["status"]["reason"], "AdmissionNotEnforced");
}

#[test]
fn every_proof_is_shown_and_leaves_nothing_behind() {
    let (world, _turn) = turn();
    for type_ in ["AdmissionEnforced", "SafetyNet", "ClockInSync"] {
        shown(world, type_, "True");
    }
    let canaries = ["get", "job,role,rolebinding", "-n", "lockbox-system", "-l", "lockbox.dev/canary", "-o", "name"];
    eventually("the trial of the safety net is gone", || world.admin(&canaries).unwrap().is_empty().then_some(()));
    let forged = world.admin(&["get", "lbr", "-A", "-o", "name"]).unwrap();
    assert!(!forged.contains("lockbox-forged"), "a dry run stores nothing: {forged}");
}

/// Sends a signal to a process.
fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

#[test]
fn access_that_nothing_in_the_cluster_would_end_waits_unless_the_settings_accept_that() {
    let world = World::installed(Options::default());
    // What the operator can hand out is put together by one of them.
    eventually("the access levels are put together", || {
        let grantable = world.get("clusterrole", "default", "lockbox-grantable");
        grantable["rules"].as_array().is_some_and(|rules| !rules.is_empty()).then_some(())
    });
    // The cluster's controllers do nothing any more: no Job ends, nothing is collected.
    let controllers = world.cluster.pid("kube-controller-manager").unwrap();
    signal(controllers, "STOP");
    world.start_operator();
    world.apply_as(&world.ada(), &support::example("global-administrator/settings.yaml")).unwrap();
    world.wait_for_settings();
    assert_eq!(condition(&world, "SafetyNet").0, "Unknown");
    world.subscription("no-net");
    world.ask("no-net", "sr-1");
    world.decide(&world.alice(), "no-net", "sr-1", "Approve").unwrap();
    let said = waits_for(&world, "no-net", "sr-1", "WaitingForSafetyNet");
    assert!(said.contains("was not tried yet"), "{said}");
    // The trial is given a minute.
    let started = Instant::now();
    let message = loop {
        let (status, message) = condition(&world, "SafetyNet");
        if status == "False" {
            break message;
        }
        assert!(started.elapsed() < Duration::from_secs(100), "SafetyNet is {status}: {message}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(message.contains("Job lockbox-canary-") && message.contains("kube-controller-manager"), "{message}");
    assert_eq!(waits_for(&world, "no-net", "sr-1", "WaitingForSafetyNet").matches("lockbox-canary-").count(), 1);
    assert_eq!(world.grant_objects("no-net"), "");
    // A tenant's access has no such net anyway, and who accepts that gets access in namespaces, too.
    let _settings = world.with_settings(&json!({"grant": {"safetyNet": "Preferred"}}));
    world.wait_for_phase("no-net", "sr-1", "AccessGranted");
    signal(controllers, "CONT");
    shown(&world, "SafetyNet", "True");
}

fn client(user: &User) -> Client {
    let kubeconfig = Kubeconfig::read_from(&user.kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = futures::executor::block_on(Config::from_custom_kubeconfig(kubeconfig, &options)).unwrap();
    Client::try_from(config).unwrap()
}

#[test]
fn with_a_wrong_clock_nothing_is_granted_and_what_is_granted_ends_by_the_later_one() {
    let (world, _turn) = turn();
    let here = "clocks";
    world.subscription(here);
    world.grant(here, "granted");
    world.ask(here, "asked");
    world.kill_operator();
    let account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(async { Proxy::start(client(&account)).await });
    // The API server is a minute ahead, so the operator is late: no access is made.
    proxy.set_clock(TimeDelta::minutes(1));
    let through = proxy.user(&account, world.cluster.data());
    let late = Operator::start(&through, world.cluster.data(), &[]);
    let message = shown(world, "ClockInSync", "False");
    assert!(message.contains("the operator's clock is more than 5 s behind the API server's"), "{message}");
    world.decide(&world.alice(), here, "asked", "Approve").unwrap();
    let said = waits_for(world, here, "asked", "WaitingForClock");
    assert!(said.contains("NTP"), "{said}");
    // Its clock is put right: the access would now be a minute longer than what was approved.
    proxy.set_clock(TimeDelta::zero());
    let failed = world.wait_for_phase(here, "asked", "Failed");
    assert_eq!(failed["status"]["reason"], "ClockWentBack");
    shown(world, "ClockInSync", "True");
    assert!(world.kim_reads(here, "shop-settings"), "what was granted before goes on");
    // A day ahead: what ended by the API server's clock is ended.
    drop(late);
    proxy.set_clock(TimeDelta::days(1));
    let _later = Operator::start(&through, world.cluster.data(), &[]);
    let ended = world.wait_for_phase(here, "granted", "Completed");
    assert_eq!(ended["status"]["reason"], Value::from("TimeIsUp"));
    assert!(!world.kim_reads(here, "shop-settings"));
    world.start_operator();
}
