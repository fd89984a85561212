//! Attacks on the record: status, history, Events, and requests that somebody would like to be gone.

use lockbox_cluster::User;
use serde_json::{Value, json};

use crate::{
    steady,
    support::{self, ALICE, KIM, World, eventually, refused},
};

const EVENTS: &str =
    "only the lockbox operator may write Events about Lockbox's kinds, in its name, or with one of its reasons";

fn patch_status(world: &World, user: &User, namespace: &str, patch: &Value) -> Result<String, String> {
    let patch = patch.to_string();
    world
        .kubectl(user, &["patch", "lbr", "sr-1", "-n", namespace, "--subresource=status", "--type=merge", "-p", &patch])
}

fn thief(world: &World) -> User {
    world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap()
}

#[test]
fn nobody_but_the_operator_writes_status_not_even_an_administrator_of_the_cluster() {
    let world = &*steady();
    let here = "written-status";
    world.subscription(here);
    world.ask(here, "sr-1");
    let only = "only the lockbox operator may write status";
    let admin = world.cluster.admin();
    for patch in [
        json!({"status": {"phase": "Approved"}}),
        json!({"status": {"requiredApprovals": 2}}),
        json!({"status": {"message": "all is well"}}),
        json!({"metadata": {"labels": {"example.org/a": "b"}}}),
    ] {
        refused(patch_status(world, admin, here, &patch), &[only]);
    }
    for user in [&world.kim(), &world.alice(), &world.ada()] {
        let said = patch_status(world, user, here, &json!({"status": {"phase": "Approved"}}));
        refused(said, &["cannot get resource \"lockboxrequests/status\""]);
    }
    let operator_of_another = ["--as=system:serviceaccount:default:lockbox-operator", "--as-group=system:masters"];
    let patch = json!({"status": {"phase": "Approved"}}).to_string();
    let arguments = ["patch", "lbr", "sr-1", "-n", here, "--subresource=status", "--type=merge", "-p", &patch];
    refused(world.admin(&[&arguments[..], &operator_of_another].concat()), &[only]);
    let active = json!({"status": {"activeUntil": "2099-01-01T00:00:00Z"}}).to_string();
    refused(
        world.admin(&["patch", "lra", "alice", "-n", here, "--subresource=status", "--type=merge", "-p", &active]),
        &[only],
    );
    let ready = json!({"status": {"observedGeneration": 99}}).to_string();
    refused(world.admin(&["patch", "lbs", "default", "--subresource=status", "--type=merge", "-p", &ready]), &[only]);
    assert_eq!(world.phase(here, "sr-1"), "CustomerNotified");
}

#[test]
fn a_stolen_token_of_the_operator_neither_approves_for_the_recorded_approvers_nor_moves_what_is_recorded() {
    let world = &*steady();
    let here = "stolen-status";
    world.subscription(here);
    world.ask(here, "sr-1");
    let thief = thief(world);
    // Its RBAC lets it write what kubectl would read first: so it writes the whole object.
    let write = |patch: Value| {
        let mut request = world.request(here, "sr-1");
        support::merge(&mut request, &patch);
        let path = format!("/apis/lockbox.dev/v1alpha1/namespaces/{here}/lockboxrequests/sr-1/status");
        world.pipe(&thief, &["replace", "--raw", &path, "-f", "-"], &request.to_string())
    };
    let status = |patch: Value| write(json!({"status": patch}));
    let rests = "what an approval rests on is recorded once and never changed";
    refused(
        status(json!({"phase": "Approved", "accessUntil": "2026-12-01T00:00:00Z"})),
        &["the request cannot become Approved: it needs the recorded approval of 1 of the approvers in its snapshot"],
    );
    refused(status(json!({"phase": "Approved", "requiredApprovals": 0})), &["status.requiredApprovals"]);
    refused(status(json!({"requiredApprovals": 2})), &[rests]);
    refused(status(json!({"requiredApprovals": null})), &[rests]);
    refused(status(json!({"effect": {"form": "Whole"}})), &[rests]);
    refused(
        status(json!({"phase": "AccessGranted"})),
        &["the lifecycle has no step from CustomerNotified to AccessGranted"],
    );
    refused(status(json!({"phase": "Evaluating"})), &["the lifecycle has no step from CustomerNotified to Evaluating"]);
    refused(status(json!({"phase": null})), &["status"]);
    refused(status(Value::Null), &["status"]);
    let mallory =
        json!([{"kind": "User", "name": "mallory@provider.example", "role": "Owner", "assignment": "a/b", "uid": "c"}]);
    refused(status(json!({"approvers": mallory})), &["status.approvers", "the snapshot of approvers is taken once"]);
    refused(status(json!({"approvers": null})), &["is recorded once and never taken back"]);
    refused(status(json!({"approvers": null, "phase": "Approved"})), &["is recorded once and never taken back"]);
    refused(status(json!({"barred": {"users": [], "groups": []}})), &["status.barred"]);
    refused(status(json!({"barred": null})), &["status.barred"]);
    refused(status(json!({"effect": null})), &[rests]);
    refused(status(json!({"pendingUntil": "2099-01-01T00:00:00Z"})), &["status.pendingUntil", "never moved"]);
    refused(status(json!({"pendingUntil": null})), &["status.pendingUntil"]);
    refused(status(json!({"history": []})), &["status.history"]);
    refused(status(json!({"history": null})), &["status.history"]);
    let mut history = world.request(here, "sr-1")["status"]["history"].clone();
    history[0]["actor"] = json!("mallory@provider.example");
    refused(status(json!({"history": history})), &["status.history"]);
    // With its status comes nothing else.
    write(json!({"spec": {"decisions": {ALICE: {"verdict": "Approve"}}}, "metadata": {"labels": {"a": "b"}}})).unwrap();
    let stored = world.request(here, "sr-1");
    assert!(stored["spec"].get("decisions").is_none(), "{}", stored["spec"]);
    assert!(stored["metadata"].get("labels").is_none(), "{}", stored["metadata"]);
    // Several policies refuse it; which of them answers is the API server's choice.
    refused(world.decide(&thief, here, "sr-1", "Approve"), &["denied request"]);
    refused(
        world.create_as(&thief, &support::request("sr-2").namespace(here).to_string()),
        &["access is granted to people: a service account or component cannot ask for it"],
    );

    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
    refused(status(json!({"accessUntil": "2099-01-01T00:00:00Z"})), &["status.accessUntil", "never moved"]);
    refused(status(json!({"accessUntil": null})), &["status.accessUntil"]);
    refused(status(json!({"approvedAt": "2020-01-01T00:00:00Z"})), &["status.approvedAt"]);
    refused(status(json!({"grant": {"name": "lockbox-grant-other"}})), &[rests]);
    refused(status(json!({"grant": {"resources": null}})), &[rests]);
    refused(status(json!({"phase": "Approved"})), &["the lifecycle has no step from AccessGranted to Approved"]);
    world.patch(&world.kim(), here, "sr-1", &json!({"spec": {"release": {"reason": "done"}}})).unwrap();
    world.wait_for_phase(here, "sr-1", "Completed");
    world.wait_until_closed(here, "sr-1");
    refused(status(json!({"phase": "AccessGranted"})), &["the lifecycle has no step from Completed to AccessGranted"]);
    let last = "the request is Completed, and its record is final";
    refused(status(json!({"reason": "Other", "message": "all is well"})), &[last]);
    let mut history = world.request(here, "sr-1")["status"]["history"].as_array().unwrap().clone();
    let mut more = history[0].clone();
    more["sequence"] = json!(history.len() + 1);
    history.push(more);
    refused(status(json!({"history": history})), &[last]);
    // What comes after the end is what the audit stream showed, and that once.
    let mut twice = world.request(here, "sr-1")["status"]["history"].as_array().unwrap().clone();
    for _ in 0..2 {
        let mut more = twice[0].clone();
        more["sequence"] = json!(twice.len() + 1);
        more["action"] = json!("RecordActivity");
        twice.push(more);
    }
    refused(status(json!({"history": twice})), &[last]);
    refused(status(json!({"endedAt": "2020-01-01T00:00:00Z"})), &["status.endedAt"]);
}

#[test]
fn nobody_forges_edits_or_deletes_an_event_of_the_audit_trail() {
    let world = &*steady();
    let here = "forged-events";
    world.subscription(here);
    world.ask(here, "sr-1");
    let request = world.request(here, "sr-1");
    let uid = request["metadata"]["uid"].as_str().unwrap().to_owned();
    eventually("the first Event is there", || (!world.events(here, "sr-1").is_empty()).then_some(()));
    world
        .admin(&[
            "create",
            "rolebinding",
            "nina",
            "--clusterrole=cluster-admin",
            "--user=nina@contoso.example",
            "-n",
            here,
        ])
        .unwrap();
    let nina = world.user("nina@contoso.example", &[]);
    let event = |name: &str, changes: Value| {
        let mut event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": here},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "shop-0", "namespace": here},
            "reason": "Pulled", "message": "Approve Lockbox Request", "type": "Normal",
            "source": {"component": "example"},
        });
        support::merge(&mut event, &changes);
        event.to_string()
    };
    let about = |api: &str, kind: &str| json!({"involvedObject": {"apiVersion": api, "kind": kind, "name": "sr-1", "uid": uid}});
    let squatted = format!("lockbox.{uid}.0002");
    for forged in [
        event("forged", about("lockbox.dev/v1alpha1", "LockboxRequest")),
        event("forged", about("lockbox.dev/v9", "Anything")),
        event("forged", about("example.org/v1", "LockboxRequest")),
        event("forged", about("lockbox.dev/v1alpha1", "RoleAssignment")),
        // Found by its reason alone, whatever it is about.
        event("forged", json!({"reason": "ApproveLockboxRequest"})),
        event("forged", json!({"reason": "EnableLockbox"})),
        // kubectl shows each of these as lockboxrequest/sr-1; the last has the sign for kelvin.
        event("forged", about("", "lockboxrequest")),
        event("forged", about("LOCKBOX.DEV/v1alpha1", "Anything")),
        event("forged", about("", "LockboxRequests")),
        event("forged", about("", "Loc\u{212a}boxRequest")),
        event("forged", about("", "roleassignment")),
        event("forged", json!({"related": {"apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest", "name": "sr-1"}})),
        event("forged", json!({"involvedObject": {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "name": format!("lockbox-grant-{uid}")}})),
        event("forged", json!({"source": {"component": "Lockbox"}})),
        event("forged", json!({"reportingComponent": "lockbox.dev", "reportingInstance": "a"})),
        event("forged", json!({"source": {"component": "lockbox-operator"}})),
        event("forged", json!({"source": {"component": "lockbox.dev/operator"}})),
        event("forged", json!({"reportingComponent": "lockbox.dev/operator", "reportingInstance": "a"})),
        event(&squatted, json!({})),
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "forged", "namespace": here},
            "regarding": {"apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest", "name": "sr-1", "namespace": here},
            "reason": "Pulled", "action": "Approve", "note": "forged", "type": "Normal",
            "eventTime": "2026-11-23T12:00:00.000000Z", "reportingController": "example.org/a", "reportingInstance": "a",
        }).to_string(),
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "forged", "namespace": here},
            "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "a", "namespace": here},
            "reason": "Pulled", "action": "Approve", "note": "forged", "type": "Normal",
            "eventTime": "2026-11-23T12:00:00.000000Z", "reportingController": "lockbox.dev/operator", "reportingInstance": "a",
        }).to_string(),
    ] {
        refused(world.create_as(&nina, &forged), &[EVENTS]);
    }
    world.create_as(&nina, &event("ordinary", json!({}))).expect("other Events are nobody's business");
    let first = format!("lockbox.{uid}.0001");
    let rewritten = json!({"message": "nothing happened"}).to_string();
    for user in [&nina, world.cluster.admin()] {
        refused(
            world.kubectl(user, &["patch", "event", &first, "-n", here, "--type=merge", "-p", &rewritten]),
            &[EVENTS],
        );
        refused(world.kubectl(user, &["delete", "event", &first, "-n", here]), &[EVENTS]);
    }
    refused(world.kubectl(&nina, &["delete", "events", "--all", "-n", here]), &[EVENTS]);
    world.create_as(&nina, &event("turned", json!({}))).unwrap();
    for onto in [json!({"reportingComponent": "lockbox.dev/operator"}), json!({"reason": "DenyLockboxRequest"})] {
        let patch = ["patch", "event", "turned", "-n", here, "--type=merge", "-p", &onto.to_string()];
        refused(world.kubectl(&nina, &patch), &[EVENTS]);
    }
    // What the documents tell people to ask is answered by the operator alone.
    let created = "--field-selector=reason=CreateLockboxRequest,reportingComponent=lockbox.dev/operator";
    let answer = world.admin(&["get", "events", "-n", here, created, "-o", "name"]).unwrap();
    assert_eq!(answer.trim(), format!("event/lockbox.{uid}.0001"));
    // The cluster's own controller still reports about a deadline Job.
    let controller = ["create", "--as=system:serviceaccount:kube-system:job-controller", "-f", "-"];
    let job =
        json!({"involvedObject": {"apiVersion": "batch/v1", "kind": "Job", "name": format!("lockbox-grant-{uid}")}});
    world.pipe(world.cluster.admin(), &controller, &event("about-a-job", job)).unwrap();
    refused(
        world.kubectl(&thief(world), &["delete", "event", &first, "-n", here]),
        &["cannot delete resource \"events\""],
    );
    refused(world.create_as(&world.kim(), &event("forged", json!({}))), &["cannot create resource \"events\""]);
    let events = world.events(here, "sr-1");
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].1.starts_with("Create Lockbox Request"), "{events:?}");
    assert!(events[0].1.contains(KIM), "{events:?}");
}

#[test]
fn the_record_of_an_access_is_deleted_by_nobody_while_there_is_access_and_otherwise_for_administrators() {
    let world = &*steady();
    let here = "deleted";
    world.subscription(here);
    world.ask(here, "sr-1");
    world
        .admin(&[
            "create",
            "rolebinding",
            "nina",
            "--clusterrole=cluster-admin",
            "--user=nina@contoso.example",
            "-n",
            here,
        ])
        .unwrap();
    let nina = world.user("nina@contoso.example", &[]);
    let delete = |user: &User, more: &[&str]| {
        world.kubectl(user, &[&["delete", "lbr", "-n", here, "--wait=false"][..], more].concat())
    };
    let administrators = "only a Global Administrator may delete it";
    for arguments in [&["sr-1"][..], &["sr-1", "--cascade=orphan"], &["--all"]] {
        refused(delete(&nina, arguments), &[administrators]);
    }
    for user in [&world.kim(), &world.alice()] {
        refused(delete(user, &["sr-1"]), &["cannot delete resource \"lockboxrequests\""]);
    }
    refused(delete(&thief(world), &["sr-1"]), &["the operator deletes only finished requests"]);
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
    let live = "end access first (spec.release, spec.revocation): a request cannot be deleted while there is access, and this one is ";
    for user in [&nina, &world.ada(), world.cluster.admin()] {
        refused(delete(user, &["sr-1"]), &[live, "AccessGranted"]);
        refused(delete(user, &["sr-1", "--cascade=orphan"]), &[live]);
        refused(delete(user, &["--all"]), &[live]);
    }
    world.patch(&world.alice(), here, "sr-1", &json!({"spec": {"revocation": {"reason": "enough"}}})).unwrap();
    world.wait_until_closed(here, "sr-1");
    refused(delete(&nina, &["sr-1"]), &[administrators]);
    refused(delete(&world.alice(), &["sr-1"]), &["cannot delete resource \"lockboxrequests\""]);
    refused(delete(&world.ada(), &["sr-1"]), &["kubectl patch lbr sr-1 -n deleted", "removal"]);
    world.remove(here, "sr-1");
    // The Events of a request outlive it.
    assert!(!world.events(here, "sr-1").is_empty());
    // What waits can be cleared away, whatever the operator makes of it.
    for name in ["waits", "another"] {
        world.ask(here, name);
        delete(&world.ada(), &[name]).unwrap();
    }
}
