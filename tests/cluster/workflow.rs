//! The main job on a real API server, made by the users who would make it.

use serde_json::json;

use crate::{
    WORLD, steady,
    support::{self, World, eventually, request},
};

#[test]
fn an_approved_request_gives_exactly_what_was_asked_and_ends_by_the_clock() {
    let world = &*steady();
    world.subscription("by-the-clock");
    assert!(!world.kim_reads("by-the-clock", "shop-settings"), "before, the engineer has no access");
    let manifest = request("sr-1").namespace("by-the-clock").set("/spec/duration", "6s");
    world.create_as(&world.kim(), &manifest.to_string()).unwrap();
    world.wait_for_phase("by-the-clock", "sr-1", "CustomerNotified");
    world.decide(&world.alice(), "by-the-clock", "sr-1", "Approve").unwrap();
    world.wait_for_phase("by-the-clock", "sr-1", "AccessGranted");
    assert!(world.kim_reads("by-the-clock", "shop-settings"), "during, the engineer has access");
    assert!(!world.kim_reads("by-the-clock", "other"), "and to the neighbouring object none");
    world.wait_for_phase("by-the-clock", "sr-1", "Completed");
    assert!(!world.kim_reads("by-the-clock", "shop-settings"), "after, the engineer has no access");
    let closed = world.wait_until_closed("by-the-clock", "sr-1");
    let actions = ["CreateLockboxRequest", "ApproveLockboxRequest", "GrantAccess", "CompleteAccess"];
    assert_eq!(World::actions(&closed), actions);
    let events: Vec<_> = world.events("by-the-clock", "sr-1").into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(events, actions, "each entry is one Event");
    eventually("Job and Role follow the binding", || {
        let left = world
            .admin(&["get", "job,role,rolebinding", "-n", "by-the-clock", "-l", "lockbox.dev/request", "-o", "name"])
            .unwrap();
        left.is_empty().then_some(())
    });
}

#[test]
fn a_denied_request_is_over_and_grants_nothing() {
    let world = &*steady();
    world.subscription("denied");
    world.assign("denied", "olga", "User", "olga@contoso.example", "LockboxApprover");
    world.ask("denied", "sr-1");
    world.decide(&world.alice(), "denied", "sr-1", "Deny").unwrap();
    world.wait_for_phase("denied", "sr-1", "Denied");
    let again = world.decide(&world.user("olga@contoso.example", &[]), "denied", "sr-1", "Approve").unwrap_err();
    assert!(again.contains("the request is not waiting for the customer: its phase is Denied"), "{again}");
    assert!(!world.kim_reads("denied", "shop-settings"));
}

#[test]
fn an_undecided_request_expires_by_itself() {
    let world = &*WORLD;
    world.subscription("expires");
    let _settings = world.with_settings(&json!({"pendingTimeout": "2s"}));
    world.ask("expires", "sr-1");
    let expired = world.wait_for_phase("expires", "sr-1", "Expired");
    assert_eq!(World::actions(&expired), ["CreateLockboxRequest", "ExpireLockboxRequest"]);
}

#[test]
fn the_requester_gives_access_back_and_an_approver_revokes_it() {
    let world = &*steady();
    world.subscription("early");
    world.grant("early", "released");
    world.patch(&world.kim(), "early", "released", &json!({"spec": {"release": {"reason": "done"}}})).unwrap();
    world.wait_for_phase("early", "released", "Completed");
    assert!(!world.kim_reads("early", "shop-settings"));
    world.grant("early", "revoked");
    assert!(world.kim_reads("early", "shop-settings"));
    world.patch(&world.alice(), "early", "revoked", &json!({"spec": {"revocation": {"reason": "enough"}}})).unwrap();
    let revoked = world.wait_for_phase("early", "revoked", "Revoked");
    assert!(!world.kim_reads("early", "shop-settings"));
    assert_eq!(revoked["status"]["history"][3]["actor"], support::ALICE);
}

#[test]
fn while_a_quota_stands_in_the_way_an_approved_request_waits_and_says_so() {
    let world = &*steady();
    world.subscription("quota");
    world.ask("quota", "sr-1");
    world.forbid_jobs("quota");
    world.decide(&world.alice(), "quota", "sr-1", "Approve").unwrap();
    eventually("the request says what it waits for", || {
        let status = &world.request("quota", "sr-1")["status"];
        let waits = status["phase"] == "Approved" && status["reason"] == "GrantBlocked";
        (waits && status["message"].as_str()?.contains("no-jobs")).then_some(())
    });
    world.admin(&["delete", "quota", "no-jobs", "-n", "quota"]).unwrap();
    world.wait_for_phase("quota", "sr-1", "AccessGranted");
    assert!(world.kim_reads("quota", "shop-settings"));
}
