//! What is recorded (M15, M17, B5, B6, B7), on a real API server.

use lockbox_api::LockboxRequest;
use lockbox_lifecycle::history;
use serde_json::{Value, json};

use crate::{
    WORLD,
    requirements::{self, ask, ask_under, create, items, list_and, may, text, why},
    support::{ALICE, KIM, World, eventually, request},
};

const COMMANDERS: &str = "provider:incident-commanders";

/// Events in a namespace with this reason, as somebody reads them: the notes.
fn events(world: &World, namespace: &str, reason: &str) -> Vec<Value> {
    let selector = format!("--field-selector=reason={reason}");
    let list = world.kubectl(&world.alice(), &["get", "events", "-n", namespace, &selector, "-o", "json"]).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    items(&list["items"]).to_vec()
}

/// Checks the chain of a stored request's history with the shipped code.
fn verified(request: &Value) -> LockboxRequest {
    let request: LockboxRequest = serde_json::from_value(request.clone()).unwrap();
    let uid = request.metadata.uid.clone().unwrap();
    history::verify(&request.status.as_ref().unwrap().history, &uid).unwrap();
    request
}

/// Settings in which one request of each kind is soon over.
fn settings() -> Value {
    let level = json!({"name": "Describe", "clusterRole": "contoso-describe-pods", "customerData": false});
    let service = json!({
        "name": "Workloads", "stage": "GeneralAvailability", "resources": [{"resource": "pods"}], "accessLevels": ["Describe"],
    });
    let rule = json!({"name": "describe", "match": {"accessLevels": ["Describe"]}, "effect": "Permit"});
    json!({
        "accessLevels": list_and("/spec/accessLevels", &[level]),
        "services": [service], "jit": {"rules": list_and("/spec/jit/rules", &[rule])},
    })
}

// M15

#[test]
fn every_action_is_recorded_for_audit_stored_for_later_reviews_and_filtered_by_action() {
    let world = &*WORLD;
    world.subscription("audit");
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "contoso-describe-pods", "labels": {"lockbox.dev/access-level": "true"}},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    });
    world.apply_as(world.cluster.admin(), &role.to_string()).unwrap();
    let kim = world.kim();
    let alice = world.alice();
    let named = |name: &str| request(name).namespace("audit");
    for name in ["approved", "denied", "cancelled"] {
        ask_under(world, &settings(), &kim, &named(name), "CustomerNotified");
    }
    let mut soon = settings();
    soon["pendingTimeout"] = json!("2s");
    ask_under(world, &soon, &kim, &named("expired"), "CustomerNotified");
    let describe = named("no-data")
        .set("/spec/service", "Workloads")
        .set("/spec/accessLevel", "Describe")
        .without("/spec/resources");
    ask_under(world, &settings(), &kim, &describe, "AccessGranted");
    ask_under(world, &settings(), &kim, &named("refused").without("/spec/resources"), "Rejected");

    world.decide(&alice, "audit", "approved", "Approve").unwrap();
    world.wait_for_phase("audit", "approved", "AccessGranted");
    world.patch(&alice, "audit", "approved", &json!({"spec": {"revocation": {"reason": "enough"}}})).unwrap();
    world.decide(&alice, "audit", "denied", "Deny").unwrap();
    world.patch(&kim, "audit", "cancelled", &json!({"spec": {"cancellation": {"reason": "solved without"}}})).unwrap();
    world.patch(&kim, "audit", "no-data", &json!({"spec": {"release": {}}})).unwrap();

    for (name, phase, actions) in [
        ("approved", "Revoked", &["CreateLockboxRequest", "ApproveLockboxRequest", "GrantAccess", "RevokeAccess"][..]),
        ("denied", "Denied", &["CreateLockboxRequest", "DenyLockboxRequest"]),
        ("cancelled", "Cancelled", &["CreateLockboxRequest", "CancelLockboxRequest"]),
        ("expired", "Expired", &["CreateLockboxRequest", "ExpireLockboxRequest"]),
        ("no-data", "Completed", &["AutoApproveLockboxRequest", "GrantAccess", "CompleteAccess"]),
        ("refused", "Rejected", &["AutoDenyLockboxRequest"]),
    ] {
        let closed = world.wait_until_closed("audit", name);
        assert_eq!((closed["status"]["phase"].as_str().unwrap(), World::actions(&closed)), (phase, actions.to_vec()));
        let stored = verified(&closed);
        let published: Vec<_> = world.events("audit", name).into_iter().map(|(reason, _)| reason).collect();
        assert_eq!(published, actions, "one Event an entry, in order");
        // An entry that is changed afterwards shows.
        let mut status = stored.status.unwrap();
        status.history[0].actor = "mallory@contoso.example".into();
        history::verify(&status.history, &stored.metadata.uid.unwrap()).unwrap_err();
    }

    // The service's own seven, filtered by action, in the documents' words.
    for (action, requests, words, actor) in [
        ("CreateLockboxRequest", &["approved", "cancelled", "denied", "expired"][..], "Create Lockbox Request: ", KIM),
        ("ApproveLockboxRequest", &["approved"], "Approve Lockbox Request: ", ALICE),
        ("DenyLockboxRequest", &["denied"], "Deny Lockbox Request: ", ALICE),
        ("ExpireLockboxRequest", &["expired"], "Lockbox Request Expiry: ", "lockbox"),
        ("CancelLockboxRequest", &["cancelled"], "Cancel Lockbox Request: ", KIM),
        ("AutoApproveLockboxRequest", &["no-data"], "Auto-Approve Lockbox Request: ", "lockbox"),
        ("AutoDenyLockboxRequest", &["refused"], "Auto-Deny Lockbox Request: ", "lockbox"),
    ] {
        let found = events(world, "audit", action);
        let mut about: Vec<_> = found.iter().map(|event| text(&event["involvedObject"]["name"])).collect();
        about.sort_unstable();
        assert_eq!(about, requests, "{action}");
        for event in &found {
            let note = text(&event["message"]);
            assert!(note.starts_with(words), "{note}");
            assert!(note.contains(&format!("; actor {actor}")), "{note}");
            assert!(note.contains("support request 2611210040000123") && note.contains("sequence "), "{note}");
        }
    }
    let told = world.kubectl(&alice, &["events", "--for", "lockboxrequest/approved", "-n", "audit"]).unwrap();
    assert!(
        told.contains(
            "Approve Lockbox Request: alice@contoso.example approved; actor alice@contoso.example; reason given: agreed"
        ),
        "{told}"
    );
    assert!(told.contains("reason given: enough"), "{told}");
    let revoked = &events(world, "audit", "RevokeAccess")[0];
    assert_eq!(revoked["related"]["kind"], "RoleBinding");

    // Nobody edits the record: not the approver, not a Global Administrator, not the cluster's own administrator.
    let forged = r#"{"status":{"history":[]}}"#;
    for user in [&alice, &world.ada(), world.cluster.admin()] {
        let patch = ["patch", "lbr", "denied", "-n", "audit", "--type=merge", "--subresource=status", "-p", forged];
        world.kubectl(user, &patch).unwrap_err();
    }
    verified(&world.request("audit", "denied"));
}

// B6

#[test]
fn the_requester_withdraws_or_gives_back_and_an_approver_revokes_each_at_once() {
    let world = &*WORLD;
    world.subscription("at-once");
    let (kim, alice) = (world.kim(), world.alice());
    let named = |name: &str| request(name).namespace("at-once");
    ask(world, &kim, &named("withdrawn"), "CustomerNotified");
    let withdraw = json!({"spec": {"cancellation": {"reason": "solved without"}}});
    let not_theirs = world.patch(&alice, "at-once", "withdrawn", &withdraw).unwrap_err();
    assert!(not_theirs.contains("only the requester may withdraw a request or return access"), "{not_theirs}");
    world.patch(&kim, "at-once", "withdrawn", &withdraw).unwrap();
    let withdrawn = world.wait_for_phase("at-once", "withdrawn", "Cancelled");
    assert_eq!(why(&withdrawn), ("Withdrawn", "kim@provider.example withdrew the request; nothing was granted."));
    world.decide(&alice, "at-once", "withdrawn", "Approve").unwrap_err();

    for (name, user, ending, phase, said) in [
        (
            "released",
            &kim,
            json!({"release": {"reason": "done"}}),
            "Completed",
            "kim@provider.example returned access.",
        ),
        (
            "revoked",
            &alice,
            json!({"revocation": {"reason": "enough"}}),
            "Revoked",
            "alice@contoso.example ended the access (enough).",
        ),
    ] {
        ask(world, &kim, &named(name), "CustomerNotified");
        world.decide(&alice, "at-once", name, "Approve").unwrap();
        world.wait_for_phase("at-once", name, "AccessGranted");
        assert!(world.kim_reads("at-once", "shop-settings"));
        world.patch(user, "at-once", name, &json!({"spec": ending})).unwrap();
        let ended = world.wait_for_phase("at-once", name, phase);
        assert_eq!(why(&ended).1, said);
        assert!(!world.kim_reads("at-once", "shop-settings"), "the access is gone when the status says so");
    }
}

// M17, B7

#[test]
fn an_exclusion_triggers_no_lockbox_request_and_leaves_a_record_that_the_customer_sees() {
    let world = &*WORLD;
    world.subscription("excluded");
    let one = json!([{"kind": "Group", "name": COMMANDERS}]);
    let exclusions = json!({"exclusions": {
        "allowed": [{"circumstance": "BreakGlass", "by": one}, {"circumstance": "PlatformTroubleshooting", "by": one},
                    {"circumstance": "LegalDemand", "by": one}],
        "legalDemandsURL": "https://provider.example/legal",
    }});
    let iris = world.user("iris@provider.example", &[COMMANDERS]);
    let incident = json!({"id": "INC-9", "summary": "Storage of the whole region is down"});
    let record = |name: &str, circumstance: &str| {
        request(name)
            .namespace("excluded")
            .without("/spec/supportRequest")
            .set("/spec/origin", "ProviderInitiated")
            .set("/spec/circumstance", circumstance)
            .set("/spec/incident", incident.clone())
            .set("/spec/justification", "The fire comes first.")
    };
    let _settings = world.with_settings(&exclusions);
    eventually("commanders may record", || may(world, &iris, &["create", "lbr", "-n", "excluded"]).then_some(()));
    for (name, circumstance) in
        [("fire", "BreakGlass"), ("repair", "PlatformTroubleshooting"), ("court", "LegalDemand")]
    {
        let manifest = record(name, circumstance);
        // The law may forbid to say more than that there was a demand.
        let manifest = if name == "court" { manifest.set("/spec/incident", json!({"id": "L-1"})) } else { manifest };
        create(world, &iris, &manifest);
        let excluded = world.wait_for_phase("excluded", name, "Excluded");
        assert_eq!(why(&excluded).0, circumstance);
        let closed = world.wait_until_closed("excluded", name);
        assert_eq!(World::actions(&closed), ["ExcludeLockboxRequest"]);
        let entry = &closed["status"]["history"][0];
        assert_eq!((text(&entry["actor"]), text(&entry["reason"])), ("iris@provider.example", "The fire comes first."));
        assert_eq!(requirements::approvers(&closed), [ALICE], "those who are told of it");
        assert!(closed["status"]["grant"].is_null() && closed["status"]["notifiedAt"].is_null());
        verified(&closed);
    }
    assert_eq!(
        why(&world.request("excluded", "fire")).1,
        "iris@provider.example recorded BreakGlass for incident INC-9: no approval is asked for, and nothing is granted here."
    );
    assert!(
        why(&world.request("excluded", "court"))
            .1
            .ends_with(" How legal demands are answered: https://provider.example/legal")
    );
    let can = may(world, &iris, &["get", "configmaps/shop-settings", "-n", "excluded"]);
    assert!(!can, "a record is no way around an approval");

    // The customer lists them, and is told by an Event that somebody should look at.
    let list = ["get", "lbr", "-n", "excluded", "--field-selector=status.phase=Excluded", "-o", "name"];
    assert_eq!(world.kubectl(&world.alice(), &list).unwrap().lines().count(), 3);
    let told = events(world, "excluded", "ExcludeLockboxRequest");
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|event| event["type"] == "Warning"));

    // Only from whom the settings allow, and with an incident.
    let kim = world.kim();
    create(world, &kim, &record("not-kims", "BreakGlass"));
    let rejected = world.wait_for_phase("excluded", "not-kims", "Rejected");
    assert_eq!(
        why(&rejected),
        (
            "ExclusionNotAllowed",
            "spec.circumstance: kim@provider.example may not record BreakGlass; spec.exclusions.allowed of the LockboxSettings says who may. An exclusion grants nothing: for access, ask with circumstance Standard."
        )
    );
    let nameless = record("nameless", "BreakGlass").without("/spec/incident").set("/spec/origin", "SupportRequest");
    let ticket = request("x").0["spec"]["supportRequest"].clone();
    let refused = world.create_as(&iris, &nameless.set("/spec/supportRequest", ticket).to_string()).unwrap_err();
    assert!(refused.contains("name the incident: every circumstance except Standard requires it"), "{refused}");
}
