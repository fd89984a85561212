//! The customer ends every access and every request, also when those who were asked are gone; and removing a record
//! leaves a trace.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    requirements::{create, why},
    support::{ADA, ALICE, KIM, World, eventually, refused, request},
    turn,
};

const CAROL: &str = "carol@contoso.example";
const ROBIN: &str = "robin@provider.example";

fn revocation() -> Value {
    json!({"spec": {"revocation": {"reason": "enough"}}})
}

/// Asks as Kim and lets Alice approve, then gives Alice's place to Carol, whom nobody asked.
fn outlives_its_approver(world: &World, here: &str) {
    world.subscription(here);
    world.grant(here, "live");
    world.ask(here, "waits");
    world.kubectl(&world.ada(), &["delete", "lra", "alice", "-n", here]).unwrap();
    world.assign(here, "carol", "User", CAROL, "Owner");
    eventually("carol may decide here", || {
        world.kubectl(&world.user(CAROL, &[]), &["auth", "can-i", "decide", "lockboxrequests", "-n", here]).ok()
    });
}

#[test]
fn an_access_and_a_request_outlast_nobody_who_could_end_them() {
    let (world, _turn) = turn();
    let here = "outlasts";
    outlives_its_approver(world, here);
    let (carol, kim) = (world.user(CAROL, &[]), world.kim());
    // Who asked, who works for the provider, and whoever else may write to requests here does not end it for the customer.
    refused(world.patch(&kim, here, "live", &revocation()), &["you asked for this access"]);
    let robin = world.user(ROBIN, &["provider:engineers"]);
    let mallory = world.user("mallory@contoso.example", &[]);
    let patches = ["create", "role", "patches", "--verb=get,patch", "--resource=lockboxrequests", "-n", here];
    world.admin(&patches).unwrap();
    for name in [ROBIN, "mallory@contoso.example"] {
        let short = name.split('@').next().unwrap();
        world.admin(&["create", "rolebinding", short, "--role=patches", "--user", name, "-n", here]).unwrap();
    }
    refused(world.patch(&robin, here, "live", &revocation()), &["you are one of the provider's people"]);
    refused(world.patch(&mallory, here, "live", &revocation()), &["only those who were asked about it"]);
    refused(world.decide(&mallory, here, "waits", "Deny"), &["you are not a designated approver"]);
    // Carol may not approve what she was not asked about, and ends it.
    refused(
        world.decide(&carol, here, "waits", "Approve"),
        &["you are not a designated approver", "you may only deny it"],
    );
    world.decide(&carol, here, "waits", "Deny").unwrap();
    let denied = world.wait_for_phase(here, "waits", "Denied");
    assert_eq!(denied["status"]["history"][1]["actor"], CAROL);
    world.patch(&carol, here, "live", &revocation()).unwrap();
    let revoked = world.wait_for_phase(here, "live", "Revoked");
    assert!(why(&revoked).1.contains(CAROL), "{revoked}");
    assert!(!world.kim_reads(here, "shop-settings"));
}

#[test]
fn a_global_administrator_and_a_member_of_a_group_of_approvers_deny_and_revoke_what_others_were_asked_about() {
    let (world, _turn) = turn();
    let here = "others";
    world.subscription(here);
    for name in ["live-1", "live-2"] {
        world.grant(here, name);
    }
    for name in ["waits-1", "waits-2"] {
        world.ask(here, name);
    }
    world.assign(here, "security", "Group", "contoso:security", "LockboxApprover");
    let sam = world.user("sam@contoso.example", &["contoso:security"]);
    eventually("sam may decide here", || {
        world.kubectl(&sam, &["auth", "can-i", "decide", "lockboxrequests", "-n", here]).ok()
    });
    for (user, number) in [(&world.ada(), 1), (&sam, 2)] {
        world.decide(user, here, &format!("waits-{number}"), "Deny").unwrap();
        world.wait_for_phase(here, &format!("waits-{number}"), "Denied");
        world.patch(user, here, &format!("live-{number}"), &revocation()).unwrap();
        world.wait_for_phase(here, &format!("live-{number}"), "Revoked");
    }
}

#[test]
fn access_that_the_rules_approved_is_ended_by_the_customer() {
    let (world, _turn) = turn();
    let here = "auto";
    world.subscription(here);
    let level = crate::support::example("cluster-administrator/access-level-no-customer-data.yaml");
    world.apply_as(world.cluster.admin(), &level).unwrap();
    let example: Value =
        serde_yaml_ng::from_str(&crate::support::example("engineer/request-no-customer-data.yaml")).unwrap();
    let own_levels: Value =
        serde_yaml_ng::from_str(&crate::support::example("global-administrator/settings-own-levels.yaml")).unwrap();
    let _settings = world.with_settings(&own_levels["spec"]);
    for (name, user) in [("by-owner", world.alice()), ("by-administrator", world.ada())] {
        let manifest = crate::support::Manifest(example.clone()).set("/metadata/name", name).namespace(here);
        create(world, &world.kim(), &manifest);
        let granted = world.wait_for_phase(here, name, "AccessGranted");
        assert_eq!(World::actions(&granted)[0], "AutoApproveLockboxRequest");
        world.patch(&user, here, name, &revocation()).unwrap();
        let revoked = world.wait_for_phase(here, name, "Revoked");
        assert!(why(&revoked).1.contains(&user.name), "{revoked}");
    }
}

#[test]
fn a_locked_engineer_loses_everything_at_once_and_nobody_else_does() {
    let (world, _turn) = turn();
    let here = "locked";
    world.subscription(here);
    let robin = world.user(ROBIN, &["provider:engineers", "provider:secure-workstations"]);
    world.grant(here, "kims");
    world.ask(here, "kims-waits");
    create(world, &robin, &request("robins").namespace(here));
    world.wait_for_phase(here, "robins", "CustomerNotified");
    let settings = world.with_settings(&json!({}));
    let locked = Instant::now();
    let patch = crate::support::repository("examples/global-administrator/stop-an-engineer.yaml");
    let patch = ["patch", "lbs", "default", "--type=merge", "--patch-file", patch.to_str().unwrap()];
    world.kubectl(&world.ada(), &patch).unwrap();
    let ended = world.wait_for_phase(here, "kims", "Revoked");
    assert!(!world.kim_reads(here, "shop-settings"));
    eprintln!("locked: access ended within {:?} of the change of the settings", locked.elapsed());
    assert_eq!(why(&ended).0, "RequesterLocked");
    assert!(why(&ended).1.contains("laptop stolen"), "{ended}");
    let waits = world.wait_for_phase(here, "kims-waits", "Cancelled");
    assert_eq!(why(&waits).0, "RequesterLocked");
    create(world, &world.kim(), &request("again").namespace(here));
    let again = world.wait_for_phase(here, "again", "Rejected");
    assert_eq!(why(&again).0, "RequesterLocked");
    assert_eq!(world.phase(here, "robins"), "CustomerNotified");
    // In another spelling, too.
    settings.change(&json!({"locks": [{"user": KIM.to_uppercase()}]}));
    create(world, &world.kim(), &request("spelled").namespace(here));
    assert_eq!(why(&world.wait_for_phase(here, "spelled", "Rejected")).0, "RequesterLocked");
    settings.change(&json!({}));
    create(world, &world.kim(), &request("unlocked").namespace(here));
    world.wait_for_phase(here, "unlocked", "CustomerNotified");
}

#[test]
fn all_access_that_was_approved_before_a_moment_ends_and_what_waits_goes_on() {
    let (world, _turn) = turn();
    let here = "stopped";
    world.subscription(here);
    world.grant(here, "live");
    world.ask(here, "waits");
    let settings = world.with_settings(&json!({}));
    let ill = json!({"spec": {"stop": {"before": "now"}}}).to_string();
    refused(
        world.kubectl(&world.ada(), &["patch", "lbs", "default", "--type=merge", "-p", &ill]),
        &["spec.stop.before"],
    );
    // A moment later than the approval, and already past when the waiting one is approved.
    let before = chrono::Utc::now() + chrono::TimeDelta::seconds(1);
    let before = before.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let stopped = Instant::now();
    settings.change(&json!({"stop": {"before": before, "reason": "incident 7"}}));
    let ended = world.wait_for_phase(here, "live", "Revoked");
    eprintln!("stopped: access ended within {:?} of the change of the settings", stopped.elapsed());
    assert_eq!(why(&ended).0, "AccessStopped");
    assert!(why(&ended).1.contains("incident 7"), "{ended}");
    assert_eq!(world.phase(here, "waits"), "CustomerNotified");
    let until: chrono::DateTime<chrono::Utc> = before.parse().unwrap();
    eventually("the moment is past", || (chrono::Utc::now() > until + chrono::TimeDelta::seconds(1)).then_some(()));
    world.decide(&world.alice(), here, "waits", "Approve").unwrap();
    world.wait_for_phase(here, "waits", "AccessGranted");
}

#[test]
fn a_record_is_removed_on_request_of_a_global_administrator_and_leaves_a_trace() {
    let (world, _turn) = turn();
    let here = "removed";
    world.subscription(here);
    world.ask(here, "sr-1");
    let ada = world.ada();
    let removal = json!({"spec": {"removal": {"reason": "made by mistake"}}});
    refused(world.patch(&ada, here, "sr-1", &removal), &["a record can be removed only once the request is finished"]);
    world.decide(&world.alice(), here, "sr-1", "Deny").unwrap();
    let record = world.wait_until_closed(here, "sr-1");
    let head = record["status"]["history"].as_array().unwrap().last().unwrap()["hash"].as_str().unwrap().to_owned();
    // Neither an administrator by hand, nor whoever has the operator's token.
    let by_hand = world.kubectl(&ada, &["delete", "lbr", "sr-1", "-n", here]);
    refused(by_hand, &["kubectl patch lbr sr-1 -n removed", r#"{"spec":{"removal":{"reason":"..."}}}"#]);
    let thief = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    refused(world.kubectl(&thief, &["delete", "lbr", "sr-1", "-n", here]), &["when a Global Administrator asked"]);
    // Nor without a reason, in another's name, or by anybody else.
    let bare = json!({"spec": {"removal": {}}});
    refused(world.patch(&ada, here, "sr-1", &bare), &["spec.removal.reason"]);
    let others = json!({"spec": {"removal": {"by": ALICE, "reason": "made by mistake"}}});
    refused(world.patch(&ada, here, "sr-1", &others), &["spec.removal.by must be your own user name"]);
    refused(world.patch(&world.alice(), here, "sr-1", &removal), &["only a Global Administrator"]);
    assert_eq!(world.phase(here, "sr-1"), "Denied");
    world.patch(&ada, here, "sr-1", &removal).unwrap();
    let gone = ["get", "lbr", "sr-1", "-n", here, "--ignore-not-found", "-o", "name"];
    eventually("the record is gone", || world.admin(&gone).unwrap().is_empty().then_some(()));
    let events = world.events(here, "sr-1");
    let (_, note) =
        events.iter().find(|(reason, _)| reason == "RemoveLockboxRequest").expect("an Event of the removal");
    for said in [ADA, KIM, "made by mistake", "support request 2611210040000123", "Denied", &head] {
        assert!(note.contains(said), "{said}: {note}");
    }
    let log = world.operator_log();
    let line = log
        .lines()
        .find(|line| line.contains("RemoveLockboxRequest") && line.contains(here))
        .expect("a line in the log");
    for said in [ADA, "made by mistake", &head, "\"audit\""] {
        assert!(line.contains(said), "{said}: {line}");
    }
    // The name is free, and the next one of that name stays.
    world.ask(here, "sr-1");
    assert_eq!(world.phase(here, "sr-1"), "CustomerNotified");
}

#[test]
fn a_decision_that_does_not_count_says_so_in_the_status() {
    let (world, _turn) = turn();
    let here = "replaced";
    world.subscription(here);
    world.ask(here, "sr-1");
    // Alice's assignment is made anew, and is younger than the request: creation times are whole seconds.
    let made = world.request(here, "sr-1")["metadata"]["creationTimestamp"].as_str().unwrap().to_owned();
    let made: chrono::DateTime<chrono::Utc> = made.parse().unwrap();
    eventually("the next second", || (chrono::Utc::now() > made + chrono::TimeDelta::seconds(2)).then_some(()));
    world.kubectl(&world.ada(), &["delete", "lra", "alice", "-n", here]).unwrap();
    world.assign(here, "alice", "User", ALICE, "Owner");
    let alice = world.alice();
    eventually("alice may write to requests", || {
        world.kubectl(&alice, &["auth", "can-i", "patch", "lockboxrequests", "-n", here]).ok()
    });
    world.decide(&alice, here, "sr-1", "Approve").unwrap();
    let message = eventually("the status says so", || {
        let request = world.request(here, "sr-1");
        let message = why(&request).1;
        message.contains("does not count").then(|| message.to_owned())
    });
    assert!(message.contains(ALICE) && message.contains("RoleAssignment"), "{message}");
}
