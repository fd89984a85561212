//! The oldest Kubernetes that the chart claims. It has no mutating admission: requester, decisions and `by` are written
//! out, and everything else is the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    missing_docs
)]

#[path = "../support/mod.rs"]
mod support;

use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard};

use lockbox_cluster::{Options, User, Version};
use serde_json::{Value, json};
use support::{ADA, ALICE, KIM, Manifest, World, eventually};

static WORLD: LazyLock<RwLock<World>> = LazyLock::new(|| {
    let world = World::installed(Options { version: Version::Oldest, ..Options::default() });
    world.start_operator();
    world.apply_as(&world.ada(), &support::example("global-administrator/settings.yaml")).unwrap();
    world.wait_for_settings();
    RwLock::new(world)
});

/// The cluster, with the settings of the examples.
fn world() -> RwLockReadGuard<'static, World> {
    WORLD.read().unwrap_or_else(PoisonError::into_inner)
}

fn kim_states() -> Value {
    json!({"username": KIM, "groups": ["provider:engineers", "provider:secure-workstations", "system:authenticated"]})
}

/// The example's request with its requester written out.
fn request(namespace: &str, name: &str) -> Manifest {
    support::request(name).namespace(namespace).set("/spec/requester", kim_states())
}

fn ask(world: &World, namespace: &str, name: &str) {
    world.create_as(&world.kim(), &request(namespace, name).to_string()).unwrap();
    world.wait_for_phase(namespace, name, "CustomerNotified");
}

/// A decision in its long form, under the decider's own name.
fn decision(by: &str, verdict: &str) -> Value {
    json!({"spec": {"decisions": {by: {"verdict": verdict, "reason": "agreed"}}}})
}

fn grant(world: &World, namespace: &str, name: &str) {
    ask(world, namespace, name);
    world.patch(&world.alice(), namespace, name, &decision(ALICE, "Approve")).unwrap();
    world.wait_for_phase(namespace, name, "AccessGranted");
}

#[test]
fn it_is_the_oldest_and_has_no_mutating_policies() {
    let version = world().admin(&["version", "-o", "json"]).unwrap();
    assert!(version.contains(r#""gitVersion": "v1.33."#), "{version}");
    let none = world().admin(&["get", "mutatingadmissionpolicies"]).unwrap_err();
    assert!(none.contains("the server doesn't have a resource type"), "{none}");
}

#[test]
fn an_approved_request_gives_exactly_what_was_asked_and_ends_by_the_clock() {
    let world = world();
    world.subscription("by-the-clock");
    assert!(!world.kim_reads("by-the-clock", "shop-settings"));
    let manifest = request("by-the-clock", "sr-1").set("/spec/duration", "4s");
    world.create_as(&world.kim(), &manifest.to_string()).unwrap();
    world.wait_for_phase("by-the-clock", "sr-1", "CustomerNotified");
    world.patch(&world.alice(), "by-the-clock", "sr-1", &decision(ALICE, "Approve")).unwrap();
    world.wait_for_phase("by-the-clock", "sr-1", "AccessGranted");
    assert!(world.kim_reads("by-the-clock", "shop-settings"));
    assert!(!world.kim_reads("by-the-clock", "other"));
    let closed = world.wait_until_closed("by-the-clock", "sr-1");
    assert_eq!(closed["status"]["phase"], "Completed");
    assert!(!world.kim_reads("by-the-clock", "shop-settings"));
    let actions = ["CreateLockboxRequest", "ApproveLockboxRequest", "GrantAccess", "CompleteAccess"];
    assert_eq!(World::actions(&closed), actions);
    let events: Vec<_> = world.events("by-the-clock", "sr-1").into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(events, actions);
    eventually("Job and Role follow the binding", || {
        let kinds = "job,role,rolebinding";
        let left = world.admin(&["get", kinds, "-n", "by-the-clock", "-l", "lockbox.dev/request", "-o", "name"]);
        left.unwrap().is_empty().then_some(())
    });
}

#[test]
fn a_request_must_state_its_requester_and_the_message_says_how() {
    let world = world();
    world.subscription("stated");
    let without = support::request("sr-1").namespace("stated").to_string();
    let refused = world.create_as(&world.kim(), &without).unwrap_err();
    assert!(refused.contains("say who asks: set requester.username to your own user name"), "{refused}");
    let forged = request("stated", "sr-1").set("/spec/requester/username", "mallory@provider.example").to_string();
    let refused = world.create_as(&world.kim(), &forged).unwrap_err();
    assert!(
        refused.contains("you can ask only in your own name: spec.requester.username must be kim@provider.example"),
        "{refused}"
    );
    let claimed = request("stated", "sr-1").set("/spec/requester/groups", json!(["contoso:owners"])).to_string();
    let refused = world.create_as(&world.kim(), &claimed).unwrap_err();
    assert!(refused.contains("names a group that you are not in: contoso:owners"), "{refused}");
    let hidden = request("stated", "sr-1").set("/spec/requester/groups", json!(["provider:engineers"])).to_string();
    let refused = world.create_as(&world.kim(), &hidden).unwrap_err();
    assert!(refused.contains("add provider:secure-workstations"), "{refused}");
}

#[test]
fn a_request_that_is_written_back_unchanged_passes_and_its_metadata_stays() {
    let world = world();
    world.subscription("unchanged");
    ask(&world, "unchanged", "sr-1");
    let stored = world.request("unchanged", "sr-1");
    for manager in ["kubectl-create", "migration"] {
        let replace = ["replace", "--field-manager", manager, "-f", "-"];
        world.pipe(world.cluster.admin(), &replace, &stored.to_string()).unwrap();
    }
    let nothing = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
        "metadata": {"name": "sr-1", "namespace": "unchanged"},
    });
    let apply = ["apply", "--server-side", "--field-manager=migration", "-f", "-"];
    world.pipe(world.cluster.admin(), &apply, &nothing.to_string()).unwrap();
    for metadata in [json!({"annotations": {"a": "b"}}), json!({"managedFields": [{}]})] {
        let refused = world.patch(&world.kim(), "unchanged", "sr-1", &json!({"metadata": metadata})).unwrap_err();
        assert!(refused.contains("'lockbox-requests-after-creation'"), "{refused}");
    }
    assert_eq!(
        world.request("unchanged", "sr-1")["metadata"]["resourceVersion"],
        stored["metadata"]["resourceVersion"]
    );
}

#[test]
fn the_shorthand_for_a_decision_is_refused_with_its_long_form() {
    let world = world();
    world.subscription("shorthand");
    ask(&world, "shorthand", "sr-1");
    let refused = world.decide(&world.alice(), "shorthand", "sr-1", "Deny").unwrap_err();
    let long = r#"{"spec":{"decisions":{"alice@contoso.example":{"verdict":"Deny","reason":"..."}}}}"#;
    assert!(refused.contains(long), "{refused}");
    // What the message shows is what works.
    let stranger = world.patch(&world.alice(), "shorthand", "sr-1", &decision(ADA, "Deny")).unwrap_err();
    assert!(stranger.contains("under your own user name, alice@contoso.example"), "{stranger}");
    world.patch(&world.alice(), "shorthand", "sr-1", &serde_json::from_str(long).unwrap()).unwrap();
    let denied = world.wait_until_closed("shorthand", "sr-1");
    assert_eq!(denied["status"]["phase"], "Denied");
    assert!(!world.kim_reads("shorthand", "shop-settings"));
}

#[test]
fn the_requester_gives_access_back_and_an_approver_revokes_it_each_in_their_own_name() {
    let world = world();
    world.subscription("early");
    grant(&world, "early", "released");
    let nameless = world.patch(&world.kim(), "early", "released", &json!({"spec": {"release": {"reason": "done"}}}));
    let nameless = nameless.unwrap_err();
    assert!(nameless.contains("spec.release.by") && nameless.contains(KIM), "{nameless}");
    let release = json!({"spec": {"release": {"by": KIM, "reason": "done"}}});
    world.patch(&world.kim(), "early", "released", &release).unwrap();
    world.wait_for_phase("early", "released", "Completed");
    assert!(!world.kim_reads("early", "shop-settings"));
    grant(&world, "early", "revoked");
    assert!(world.kim_reads("early", "shop-settings"));
    let revocation = json!({"spec": {"revocation": {"by": ALICE, "reason": "enough"}}});
    world.patch(&world.alice(), "early", "revoked", &revocation).unwrap();
    world.wait_for_phase("early", "revoked", "Revoked");
    assert!(!world.kim_reads("early", "shop-settings"));
}

#[test]
fn an_undecided_request_expires_by_itself() {
    // Alone: no other test's request may expire.
    let world = WORLD.write().unwrap_or_else(PoisonError::into_inner);
    world.subscription("expires");
    let _settings = world.with_settings(&json!({"pendingTimeout": "2s"}));
    ask(&world, "expires", "sr-1");
    let expired = world.wait_for_phase("expires", "sr-1", "Expired");
    assert_eq!(World::actions(&expired), ["CreateLockboxRequest", "ExpireLockboxRequest"]);
}

/// On this version a stored `null` would make `self == oldSelf` false for ever, and no status could be written any more.
#[test]
fn explicit_nulls_do_not_wedge_a_request_or_an_assignment() {
    let world = world();
    world.subscription("nulls");
    let manifest = request("nulls", "sr-1")
        .set("/spec/escalation", Value::Null)
        .set("/spec/incident", Value::Null)
        .set("/spec/circumstance", Value::Null)
        .set("/spec/duration", Value::Null)
        .set("/spec/decisions", Value::Null)
        .set("/spec/internalDecisions", Value::Null)
        .set("/spec/cancellation", Value::Null)
        .set("/spec/release", Value::Null)
        .set("/spec/revocation", Value::Null)
        .set("/spec/requester/extra", Value::Null)
        .set("/spec/supportRequest/assignedTo", Value::Null)
        .set("/spec/supportRequest/history/0/note", "Looked at it.")
        .set("/spec/resources/0/group", Value::Null);
    world.create_as(&world.kim(), &manifest.to_string()).unwrap();
    world.wait_for_phase("nulls", "sr-1", "CustomerNotified");
    // A JSON patch, because a merge patch takes a null for a deletion.
    let patch = |user: &User, object: &str, path: &str, value: Value| {
        let patch = json!([{"op": "add", "path": path, "value": value}]).to_string();
        world.kubectl(user, &["patch", object, "-n", "nulls", "--type=json", "-p", &patch])
    };
    let by_alice = json!({
        "verdict": "Approve", "reason": null, "group": null, "resources": null, "duration": null, "effectHash": null,
    });
    patch(&world.alice(), "lbr/sr-1", "/spec/decisions", json!({ALICE: by_alice})).unwrap();
    world.wait_for_phase("nulls", "sr-1", "AccessGranted");
    patch(&world.kim(), "lbr/sr-1", "/spec/release", json!({"by": KIM, "reason": null})).unwrap();
    let closed = world.wait_until_closed("nulls", "sr-1");
    assert_eq!(closed["status"]["phase"], "Completed");

    let assignment = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
        "metadata": {"name": "carol", "namespace": "nulls"},
        "spec": {
            "principal": {"kind": "User", "name": "carol@contoso.example"}, "role": "LockboxApprover", "scope": "Subscription",
            "type": "Eligible", "activation": null,
        },
    });
    world.create_as(&world.ada(), &assignment.to_string()).unwrap();
    let condition = |kind: &str| format!("--for=condition={kind}");
    world.admin(&["wait", &condition("Recognized"), "lra/carol", "-n", "nulls", "--timeout=60s"]).unwrap();
    let carol = world.user("carol@contoso.example", &[]);
    eventually("Carol may activate her role", || {
        let answer = world.kubectl(&carol, &["auth", "can-i", "patch", "lra/carol", "-n", "nulls"]);
        answer.ok()
    });
    let activation = json!({"justification": "on call", "duration": "4h"});
    patch(&carol, "lra/carol", "/spec/activation", activation).unwrap();
    eventually("the activation is recorded", || {
        let assignment = world.get("lra", "nulls", "carol");
        assignment["status"]["activatedAt"].is_string().then_some(())
    });
}

#[test]
fn access_levels_are_judged_as_on_the_newest() {
    let world = world();
    let level = |name: &str, extra: &str, rules: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {
                "name": name, "labels": {"lockbox.dev/access-level": "true"},
                "annotations": {"lockbox.dev/extra-rights": extra},
            },
            "rules": rules,
        })
        .to_string()
    };
    let tried = |level: String| world.pipe(world.cluster.admin(), &["create", "--dry-run=server", "-f", "-"], &level);
    let read = json!({"apiGroups": [""], "resources": ["pods", "pods/log", "serviceaccounts"], "verbs": ["get", "list", "watch"]});
    let write = json!({"apiGroups": ["tekton.dev"], "resources": ["taskruns"], "verbs": ["get", "create", "patch"]});
    let secrets = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
    tried(level("level-view", "", json!([read]))).unwrap();
    tried(level("level-named", "create, patch taskruns.tekton.dev", json!([read, write]))).unwrap();
    let refused = tried(level("level-refused", "", json!([read, write, secrets]))).unwrap_err();
    for words in [
        "credentials, or ways past admission, take them out: rules[2] secrets. ",
        "name them in the annotation lockbox.dev/extra-rights: rules[1] create, patch taskruns.tekton.dev",
        "(watch may stay: it is cut from every grant)",
    ] {
        assert!(refused.contains(words), "{words:?} is not in {refused}");
    }
}
