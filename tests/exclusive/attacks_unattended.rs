//! Attacks on the moments when nobody looks: the operator is down, the settings change, the definition is another for a
//! while. The tests take turns: each changes what the others rely on.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    support::{self, KIM, World, eventually, refused, repository, request},
    turn,
};

fn moment(text: &Value) -> DateTime<Utc> {
    text.as_str().unwrap().parse().unwrap()
}

#[test]
fn an_approval_that_nobody_looked_at_before_the_deadline_comes_too_late() {
    let (world, _turn) = turn();
    let here = "too-late";
    world.subscription(here);
    let _settings = world.with_settings(&json!({"pendingTimeout": "5s"}));
    // Many, so that many wait for the operator when it starts.
    let names: Vec<_> = (0..8).map(|n| format!("sr-{n}")).collect();
    let requests: Vec<_> = names.iter().map(|name| request(name).namespace(here).0).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": requests});
    world.create_as(&world.kim(), &list.to_string()).unwrap();
    for name in &names {
        world.wait_for_phase(here, name, "CustomerNotified");
    }
    world.kill_operator();
    world.decide(&world.alice(), here, "sr-0", "Approve").unwrap();
    let until = moment(&world.request(here, "sr-7")["status"]["pendingUntil"]);
    eventually("the deadline passes", || (Utc::now() > until).then_some(()));
    // Admission cannot tell the time: it lets the decision in, and the operator does not count it.
    world.decide(&world.alice(), here, "sr-7", "Approve").unwrap();
    world.start_operator();
    for name in &names {
        let expired = world.wait_for_phase(here, name, "Expired");
        assert_eq!(World::actions(&expired), ["CreateLockboxRequest", "ExpireLockboxRequest"]);
    }
    assert_eq!(world.grant_objects(here), "");
    assert!(!world.kim_reads(here, "shop-settings"));
}

#[test]
fn twelve_deciders_in_parallel_against_the_expiry_end_in_one_outcome() {
    let (world, _turn) = turn();
    world.subscription("race");
    world.assign("race", "team", "Group", "contoso:approvers", "LockboxApprover");
    let users: Vec<_> = (0..12).map(|n| world.user(&format!("a{n}@contoso.example"), &["contoso:approvers"])).collect();
    eventually("the team may decide", || {
        world.kubectl(&users[0], &["auth", "can-i", "patch", "lbr", "-n", "race"]).is_ok().then_some(())
    });
    let _settings = world.with_settings(&json!({"pendingTimeout": "3s", "approvals": {"required": 2}}));
    world.ask("race", "sr-1");
    let accepted = std::thread::scope(|scope| {
        let deciders: Vec<_> = users
            .iter()
            .map(|user| scope.spawn(move || world.decide(user, "race", "sr-1", "Approve").is_ok()))
            .collect();
        deciders.into_iter().map(|decider| decider.join().unwrap()).filter(|accepted| *accepted).count()
    });
    let request = eventually("the race is over", || {
        let request = world.request("race", "sr-1");
        let phase = request["status"]["phase"].as_str().unwrap();
        matches!(phase, "AccessGranted" | "Expired").then_some(request)
    });
    let status = &request["status"];
    let history = status["history"].as_array().unwrap();
    let approvals: Vec<_> = history.iter().filter(|entry| entry["action"] == "ApproveLockboxRequest").collect();
    let granted = status["phase"] == "AccessGranted";
    assert!(approvals.len() <= accepted);
    assert_eq!(granted, approvals.len() >= 2, "two of them make it, and only they: {history:?}");
    for approval in approvals {
        assert!(moment(&approval["at"]) < moment(&status["pendingUntil"]), "{approval}");
    }
    assert_eq!(granted, world.kim_reads("race", "shop-settings"));
    assert_eq!(granted, !world.grant_objects("race").is_empty());
}

#[test]
fn a_deny_that_arrives_together_with_an_approve_wins() {
    let (world, _turn) = turn();
    let here = "together";
    world.subscription(here);
    world.assign(here, "zoe", "User", "zoe@contoso.example", "LockboxApprover");
    world.ask(here, "sr-1");
    world.kill_operator();
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    world.decide(&world.user("zoe@contoso.example", &[]), here, "sr-1", "Deny").unwrap();
    world.start_operator();
    let denied = world.wait_for_phase(here, "sr-1", "Denied");
    assert_eq!(World::actions(&denied), ["CreateLockboxRequest", "ApproveLockboxRequest", "DenyLockboxRequest"]);
    assert_eq!(world.grant_objects(here), "");
}

#[test]
fn while_something_in_the_cluster_holds_deadline_jobs_back_there_is_no_access() {
    let (world, _turn) = turn();
    let here = "suspended";
    world.subscription(here);
    world.ask(here, "sr-1");
    // As Kueue does with a webhook: every new Job is suspended.
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": "suspend-jobs"},
        "spec": {"failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}]},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: \"add\", path: \"/spec/suspend\", value: true}]"}}]},
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "suspend-jobs"},
        "spec": {"policyName": "suspend-jobs"},
    });
    world.create_as(world.cluster.admin(), &policy.to_string()).unwrap();
    world.create_as(world.cluster.admin(), &binding.to_string()).unwrap();
    let probe = [
        "create",
        "job",
        "probe",
        "--image=none.invalid/none",
        "-n",
        here,
        "--dry-run=server",
        "-o",
        "jsonpath={.spec.suspend}",
    ];
    eventually("new Jobs are suspended", || world.admin(&probe).is_ok_and(|suspend| suspend == "true").then_some(()));
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    let message = eventually("the request says what stands in the way", || {
        let message = world.request(here, "sr-1")["status"]["message"].as_str().unwrap().to_owned();
        message.contains("something in this cluster has changed it").then_some(message)
    });
    assert!(message.contains("is not suspended"), "{message}");
    assert_eq!(world.grant_objects(here), "");
    assert!(!world.kim_reads(here, "shop-settings"));
    // It is tried again for as long as the approval lasts.
    world.admin(&["delete", "mutatingadmissionpolicybinding,mutatingadmissionpolicy", "suspend-jobs"]).unwrap();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
    assert!(world.kim_reads(here, "shop-settings"));
}

#[test]
fn settings_that_change_later_neither_ease_nor_revive_an_old_request() {
    let (world, _turn) = turn();
    let here = "old-request";
    world.subscription(here);
    world.assign(here, "eve", "User", "eve@contoso.example", "LockboxApprover");
    let settings =
        world.with_settings(&json!({"approvals": {"required": 2}, "jit": {"rules": []}, "pendingTimeout": "1h"}));
    world.create_as(&world.kim(), &request("denied").namespace(here).to_string()).unwrap();
    world.wait_for_phase(here, "denied", "Rejected");
    settings.change(&json!({"approvals": {"required": 2}, "pendingTimeout": "1h"}));
    world.ask(here, "sr-1");
    let before = world.request(here, "sr-1")["status"]["pendingUntil"].clone();
    settings.change(&json!({"approvals": {"required": 1}, "pendingTimeout": "4d", "provider": {"engineers": [{"kind": "User", "name": KIM}]}}));
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    let counted = eventually("the approval is counted", || {
        let request = world.request(here, "sr-1");
        World::actions(&request).contains(&"ApproveLockboxRequest").then_some(request)
    });
    assert_eq!(counted["status"]["phase"], "CustomerNotified", "two were needed when the request was made");
    assert_eq!(counted["status"]["reason"], "WaitingForQuorum");
    assert_eq!(counted["status"]["pendingUntil"], before, "no clock starts again");
    world
        .admin(&[
            "create",
            "rolebinding",
            "joe",
            "--clusterrole=lockbox-approver",
            "--user=joe@provider.example",
            "-n",
            here,
        ])
        .unwrap();
    let joe = world.user("joe@provider.example", &["provider:engineers"]);
    refused(world.decide(&joe, here, "sr-1", "Approve"), &["you are one of the provider's people"]);
    world.decide(&world.user("eve@contoso.example", &[]), here, "sr-1", "Deny").unwrap();
    world.wait_for_phase(here, "sr-1", "Denied");
    assert_eq!(world.phase(here, "denied"), "Rejected");
}

#[test]
fn switched_off_while_it_waits_or_grants_a_request_ends_and_says_so() {
    let (world, _turn) = turn();
    let here = "off";
    world.subscription(here);
    let settings = world.with_settings(&json!({}));
    world.ask(here, "pending");
    world.grant(here, "granted");
    assert!(world.kim_reads(here, "shop-settings"));
    settings.change(&json!({"enabled": false}));
    for (name, phase) in [("pending", "Cancelled"), ("granted", "Revoked")] {
        assert_eq!(world.wait_for_phase(here, name, phase)["status"]["reason"], "LockboxDisabled");
    }
    assert!(!world.kim_reads(here, "shop-settings"));
    world.create_as(&world.kim(), &request("new").namespace(here).to_string()).unwrap();
    world.wait_for_phase(here, "new", "NotTriggered");
    refused(
        world.decide(&world.alice(), here, "new", "Approve"),
        &["not waiting for the customer: its phase is NotTriggered"],
    );
}

#[test]
fn a_grant_that_a_stolen_token_makes_without_an_approval_is_ended_by_the_sweep() {
    let (world, _turn) = turn();
    let here = "unapproved";
    world.subscription(here);
    world.ask(here, "sr-1");
    world.kill_operator();
    let thief = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let uid = world.request(here, "sr-1")["metadata"]["uid"].as_str().unwrap().to_owned();
    let name = format!("lockbox-grant-{uid}");
    let until = (Utc::now() + chrono::TimeDelta::hours(2)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let make = |api: &str, kind: &str, owner: Value, content: Value| {
        let mut object = json!({
            "apiVersion": api, "kind": kind,
            "metadata": {"name": name, "namespace": here, "ownerReferences": [owner],
                "labels": {"lockbox.dev/request": "sr-1", "lockbox.dev/request-uid": uid, "app.kubernetes.io/managed-by": "lockbox"},
                "annotations": {"lockbox.dev/access-until": until}},
        });
        support::merge(&mut object, &content);
        world.create_as(&thief, &object.to_string()).unwrap();
    };
    let label = json!({"lockbox.dev/deadline": name});
    let template = json!({"metadata": {"labels": label}, "spec": {"restartPolicy": "Never", "containers": [{"name": "none", "image": "none.invalid/none"}]}});
    make(
        "batch/v1",
        "Job",
        json!({"apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest", "name": "sr-1", "uid": uid}),
        json!({"spec": {"parallelism": 0, "activeDeadlineSeconds": 7200, "ttlSecondsAfterFinished": 0,
            "manualSelector": true, "selector": {"matchLabels": label}, "template": template}}),
    );
    let job = world.get("job", here, &name)["metadata"]["uid"].clone();
    let owner = || json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job});
    let rbac = "rbac.authorization.k8s.io";
    make(
        &format!("{rbac}/v1"),
        "Role",
        owner(),
        json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["shop-settings"], "verbs": ["get"]}]}),
    );
    make(
        &format!("{rbac}/v1"),
        "RoleBinding",
        owner(),
        json!({"roleRef": {"apiGroup": rbac, "kind": "Role", "name": name}, "subjects": [{"apiGroup": rbac, "kind": "User", "name": KIM}]}),
    );
    assert!(world.kim_reads(here, "shop-settings"), "the attack works until somebody looks");
    world.start_operator();
    eventually("the sweep ends it", || (!world.kim_reads(here, "shop-settings")).then_some(()));
    eventually("nothing is left", || world.grant_objects(here).is_empty().then_some(()));
    assert_eq!(world.phase(here, "sr-1"), "CustomerNotified");
}

/// Puts the definition of requests back, also when a test fails: others share the cluster.
struct StrictAgain<'a>(&'a World);

impl Drop for StrictAgain<'_> {
    fn drop(&mut self) {
        let definition = repository("crds/lockboxrequests.yaml");
        self.0.admin(&["replace", "-f", definition.to_str().unwrap()]).unwrap();
    }
}

#[test]
fn a_stored_object_that_no_longer_parses_does_not_stop_the_others() {
    let (world, _turn) = turn();
    let (bad, good) = ("unreadable", "readable");
    world.subscription(bad);
    world.subscription(good);
    world.ask(good, "before");
    // An older or looser definition, for as long as it takes to store what ours would refuse.
    let crds = repository("crds/lockboxrequests.yaml");
    let strict = std::fs::read_to_string(&crds).unwrap();
    let mut loose: Value = serde_yaml_ng::from_str(&strict).unwrap();
    let schema = &mut loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema.as_object_mut().unwrap().remove("x-kubernetes-validations");
    schema["properties"]["spec"] = json!({
        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"scope": {"type": "string"}, "service": {"type": "string"},
            "removal": {"type": "object", "properties": {"by": {"type": "string"}}},
            "requester": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"username": {"type": "string"}}}},
    });
    world.pipe(world.cluster.admin(), &["replace", "-f", "-"], &loose.to_string()).unwrap();
    let strict_again = StrictAgain(world);
    let broken = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest", "metadata": {"name": "broken", "namespace": bad},
        "spec": {"requester": {"username": KIM, "groups": ["provider:engineers", "provider:secure-workstations"]},
            "scope": "Subscription", "duration": {"not": "a duration"}, "justification": "It was stored by another version."},
    });
    eventually("the looser definition is served", || {
        world.pipe(&world.kim(), &["create", "--validate=false", "-f", "-"], &broken.to_string()).is_ok().then_some(())
    });
    drop(strict_again);
    eventually("the definition is as strict as before", || {
        let unparsable = broken.to_string().replace("broken", "again");
        world
            .pipe(&world.kim(), &["create", "--dry-run=server", "--validate=false", "-f", "-"], &unparsable)
            .is_err_and(|said| said.contains("spec.duration"))
            .then_some(())
    });
    // The others, those of before and new ones, also after a restart, which reads everything again.
    world.decide(&world.alice(), good, "before", "Approve").unwrap();
    world.wait_for_phase(good, "before", "AccessGranted");
    world.kill_operator();
    world.start_operator();
    world.grant(good, "after");
    world.grant(bad, "neighbour");
    let log = world.operator_log();
    assert!(log.contains("broken") && log.contains("cannot read this request"), "the log names the object");
    assert_eq!(world.phase(bad, "broken"), "");
}
