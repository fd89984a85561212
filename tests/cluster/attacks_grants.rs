//! Attacks on grants: on the objects that give access, by their surroundings, and with the operator's own token.

use lockbox_cluster::User;
use serde_json::{Value, json};

use crate::{
    WORLD, steady,
    support::{self, ALICE, KIM, Manifest, World, eventually, example, refused, request},
};

const COLLECTOR: &str = "--as=system:serviceaccount:kube-system:generic-garbage-collector";
/// What everybody but the operator is told.
const OURS: &str = "only the lockbox operator may create, change and delete it";

fn grant_name(request: &Value) -> String {
    format!("lockbox-grant-{}", request["metadata"]["uid"].as_str().unwrap())
}

fn try_create(world: &World, user: &User, manifest: &Manifest) -> Result<String, String> {
    world.pipe(user, &["create", "--dry-run=server", "-f", "-"], &manifest.to_string())
}

/// A token of the operator's, in the hands of a thief.
fn thief(world: &World) -> User {
    world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap()
}

const UID: &str = "22222222-2222-2222-2222-222222222222";

fn metadata(namespace: &str, uid: &str, owner: Value) -> Value {
    let until = chrono::Utc::now() + chrono::TimeDelta::hours(2);
    json!({
        "name": format!("lockbox-grant-{uid}"), "namespace": namespace,
        "labels": {"lockbox.dev/request": "sr-1", "lockbox.dev/request-uid": uid, "app.kubernetes.io/managed-by": "lockbox"},
        "annotations": {"lockbox.dev/access-until": until.format("%Y-%m-%dT%H:%M:%SZ").to_string()},
        "ownerReferences": [owner],
    })
}

fn job_as_owner(uid: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "name": format!("lockbox-grant-{uid}"), "uid": uid})
}

/// The label by which a deadline Job selects its Pods, and which none may bear.
fn deadline(uid: &str) -> Value {
    json!({"lockbox.dev/deadline": format!("lockbox-grant-{uid}")})
}

/// The three objects of a grant as the operator makes them.
fn job(namespace: &str, uid: &str) -> Manifest {
    let owner = json!({"apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest", "name": "sr-1", "uid": uid});
    Manifest(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(namespace, uid, owner),
        "spec": {"parallelism": 0, "backoffLimit": 0, "activeDeadlineSeconds": 7205, "ttlSecondsAfterFinished": 0,
            "manualSelector": true, "selector": {"matchLabels": deadline(uid)},
            "template": {"metadata": {"labels": deadline(uid)},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "none", "image": "none.invalid/none"}]}}},
    }))
}

fn role(namespace: &str, uid: &str) -> Manifest {
    let rule =
        json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["shop-settings"], "verbs": ["get"]});
    Manifest(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(namespace, uid, job_as_owner(uid)), "rules": [rule],
    }))
}

fn binding(namespace: &str, uid: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata(namespace, uid, job_as_owner(uid)),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": format!("lockbox-grant-{uid}")},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": KIM}],
    }))
}

#[test]
fn nobody_edits_relabels_lengthens_or_removes_the_objects_of_a_grant() {
    let world = &*steady();
    let here = "edited";
    world.subscription(here);
    let granted = world.grant(here, "sr-1");
    let name = grant_name(&granted);
    // An administrator of the namespace, and one of the cluster.
    world
        .admin(&["create", "rolebinding", "nina", "--clusterrole=admin", "--user=nina@contoso.example", "-n", here])
        .unwrap();
    let nina = world.user("nina@contoso.example", &[]);
    let admin = world.cluster.admin();
    let before = world
        .admin(&[
            "get",
            "job,role,rolebinding",
            &name,
            "-n",
            here,
            "-o",
            "jsonpath={.items[*].metadata.resourceVersion}",
        ])
        .unwrap();
    let patch = |user: &User, kind: &str, patch: Value| {
        world.kubectl(user, &["patch", kind, &name, "-n", here, "--type=merge", "-p", &patch.to_string()])
    };
    for kind in ["job", "role", "rolebinding"] {
        refused(
            patch(
                &nina,
                kind,
                json!({"metadata": {"labels": {"lockbox.dev/request": null, "lockbox.dev/request-uid": null}}}),
            ),
            &[OURS],
        );
        refused(
            patch(
                &nina,
                kind,
                json!({"metadata": {"annotations": {"lockbox.dev/access-until": "2099-01-01T00:00:00Z"}}}),
            ),
            &[OURS],
        );
        refused(patch(&nina, kind, json!({"metadata": {"finalizers": ["example.org/stay"]}})), &[OURS]);
        refused(patch(&nina, kind, json!({"metadata": {"ownerReferences": null}})), &[OURS]);
        let said = refused(world.kubectl(admin, &["delete", kind, &name, "-n", here]), &[OURS]);
        assert!(said.contains("to end access, write spec.release or spec.revocation of its request"), "{said}");
        refused(world.kubectl(&nina, &["delete", kind, &name, "-n", here, "--cascade=orphan"]), &[OURS]);
    }
    let kim_and = |other: Value| json!({"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": KIM}, other]});
    let other = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory@provider.example"});
    refused(patch(admin, "rolebinding", kim_and(other)), &[OURS]);
    let rules = json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]});
    refused(patch(admin, "role", rules), &[OURS]);
    for spec in [
        json!({"suspend": true}),
        json!({"activeDeadlineSeconds": 999_999}),
        json!({"parallelism": 1}),
        json!({"ttlSecondsAfterFinished": 99_999}),
    ] {
        refused(patch(&nina, "job", json!({"spec": spec})), &[OURS]);
        refused(patch(admin, "job", json!({"spec": spec})), &[OURS]);
    }
    let status = |patch: Value| {
        world.kubectl(
            admin,
            &["patch", "job", &name, "-n", here, "--subresource=status", "--type=merge", "-p", &patch.to_string()],
        )
    };
    refused(
        status(json!({"status": {"startTime": "2099-01-01T00:00:00Z"}})),
        &["field is immutable for unsuspended job once set"],
    );
    refused(status(json!({"status": {"conditions": [{"type": "Example", "status": "True"}]}})), &[OURS]);
    refused(status(json!({"metadata": {"labels": null}})), &[OURS]);
    refused(world.kubectl(&nina, &["delete", "rolebinding", "-n", here, "-l", "lockbox.dev/request"]), &[OURS]);
    refused(world.kubectl(&nina, &["delete", "job", "--all", "-n", here]), &[OURS]);
    let after = world
        .admin(&[
            "get",
            "job,role,rolebinding",
            &name,
            "-n",
            here,
            "-o",
            "jsonpath={.items[*].metadata.resourceVersion}",
        ])
        .unwrap();
    let own = |versions: &str| versions.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(own(&before), own(&after), "Role and binding are as they were");
    assert!(world.kim_reads(here, "shop-settings"));
    assert_eq!(world.phase(here, "sr-1"), "AccessGranted");
}

#[test]
fn nobody_makes_objects_that_look_like_a_grant_or_squats_the_names_of_one() {
    let world = &*steady();
    let here = "squatted";
    world.subscription(here);
    world.ask(here, "sr-1");
    let name = grant_name(&world.request(here, "sr-1"));
    let admin = world.cluster.admin();
    for object in [job(here, UID), role(here, UID), binding(here, UID)] {
        refused(try_create(world, admin, &object), &[OURS]);
        // By its name alone, by one label alone, and renamed to the grant that is to come.
        let bare = object
            .clone()
            .without("/metadata/labels")
            .without("/metadata/annotations")
            .without("/metadata/ownerReferences");
        refused(try_create(world, admin, &bare.clone().set("/metadata/name", name.as_str())), &[OURS]);
        let labelled =
            bare.set("/metadata/name", "harmless").set("/metadata/labels", json!({"lockbox.dev/request-uid": UID}));
        refused(try_create(world, admin, &labelled), &[OURS]);
    }
    let suspended = job(here, UID).set("/spec/suspend", true).set("/metadata/name", name.as_str());
    refused(try_create(world, admin, &suspended), &[OURS]);
    for kind in ["clusterrole", "clusterrolebinding"] {
        let more = if kind == "clusterrole" {
            vec!["--verb=get", "--resource=pods"]
        } else {
            vec!["--clusterrole=view", "--user=a"]
        };
        refused(world.admin(&[&["create", kind, &name, "--dry-run=server"][..], &more].concat()), &[OURS]);
    }
    for prefix in ["lockbox-people-", "lockbox-canary-"] {
        refused(
            world.admin(&[
                "create",
                "role",
                &format!("{prefix}1"),
                "--verb=get",
                "--resource=pods",
                "-n",
                here,
                "--dry-run=server",
            ]),
            &[OURS],
        );
    }
    // An existing object is not turned into one, either.
    world.admin(&["create", "role", "mine", "--verb=get", "--resource=pods", "-n", here]).unwrap();
    refused(world.admin(&["label", "role", "mine", "-n", here, "lockbox.dev/request=sr-1"]), &[OURS]);
    // A CronJob whose Jobs would bear the label: what makes the Jobs is refused.
    let by_controller = job(here, UID).without("/metadata/ownerReferences").set("/metadata/name", "cron-1").to_string();
    let controller =
        ["create", "--as=system:serviceaccount:kube-system:cronjob-controller", "--dry-run=server", "-f", "-"];
    refused(world.pipe(admin, &controller, &by_controller), &[OURS]);
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    world.wait_for_phase(here, "sr-1", "AccessGranted");
}

#[test]
fn a_binding_that_goes_by_way_of_the_garbage_collector_ends_the_request_as_tampered() {
    let world = &*steady();
    for (here, kind) in [("collected-binding", "rolebinding"), ("collected-job", "job")] {
        world.subscription(here);
        let name = grant_name(&world.grant(here, "sr-1"));
        world.admin(&["delete", kind, &name, "-n", here, COLLECTOR, "--cascade=background", "--wait=false"]).unwrap();
        let revoked = world.wait_for_phase(here, "sr-1", "Revoked");
        assert_eq!(revoked["status"]["reason"], "TamperWithGrant");
        let actions = World::actions(&revoked);
        assert_eq!(actions[actions.len() - 2..], ["TamperWithGrant", "RevokeAccess"]);
        assert!(!world.kim_reads(here, "shop-settings"));
        eventually("nothing is left of the grant", || {
            let left = world
                .admin(&["get", "job,role,rolebinding", "-n", here, "-l", "lockbox.dev/request", "-o", "name"])
                .unwrap();
            left.is_empty().then_some(())
        });
        eventually("the Event says so", || {
            world.events(here, "sr-1").iter().any(|(reason, _)| reason == "TamperWithGrant").then_some(())
        });
    }
}

#[test]
fn a_namespace_that_is_deleted_while_access_is_granted_goes_and_takes_the_access_along() {
    let world = &*steady();
    world.subscription("goes");
    world.grant("goes", "granted");
    world.ask("goes", "pending");
    assert!(world.kim_reads("goes", "shop-settings"));
    world.admin(&["delete", "namespace", "goes", "--timeout=60s"]).unwrap();
    refused(world.kubectl(&world.kim(), &["get", "configmap", "shop-settings", "-n", "goes"]), &["forbidden"]);
    world.subscription("goes");
    assert!(!world.kim_reads("goes", "shop-settings"), "a new namespace of the name has none of the old one's access");
    world.grant("goes", "granted");
}

#[test]
fn a_role_that_changed_after_the_approvers_saw_it_is_not_granted() {
    let world = &*WORLD;
    // A level of everybody's is changed, as by settings.
    let _alone = world.with_settings(&json!({}));
    let here = "changed-role";
    world.subscription(here);
    let logs = request("sr-1")
        .namespace(here)
        .set("/spec/accessLevel", "ReadLogs")
        .set("/spec/duration", "1h")
        .set("/spec/resources", json!([{"resource": "pods", "name": "shop-0"}]));
    world.create_as(&world.kim(), &logs.to_string()).unwrap();
    world.wait_for_phase(here, "sr-1", "CustomerNotified");
    let rules = world.get("clusterrole", "default", "lockbox-read-logs")["rules"].clone();
    let added = rules[1]["resources"].as_array().unwrap().len();
    let more = json!([{"op": "add", "path": "/rules/1/resources/-", "value": "pods/status"}]).to_string();
    refused(
        world.kubectl(
            &world.user("nina@contoso.example", &[]),
            &["patch", "clusterrole", "lockbox-read-logs", "--type=json", "-p", &more],
        ),
        &["cannot get resource \"clusterroles\""],
    );
    world.admin(&["patch", "clusterrole", "lockbox-read-logs", "--type=json", "-p", &more]).unwrap();
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    let failed = eventually("the request ends", || {
        let request = world.request(here, "sr-1");
        request["status"]["endedAt"].is_string().then_some(request)
    });
    assert_eq!(failed["status"]["phase"], "Failed");
    assert_eq!(failed["status"]["reason"], "RoleChanged");
    let message = failed["status"]["message"].as_str().unwrap();
    assert!(message.contains("pods/status") && message.contains("Create a new request"), "{message}");
    let left =
        world.admin(&["get", "job,role,rolebinding", "-n", here, "-l", "lockbox.dev/request", "-o", "name"]).unwrap();
    assert_eq!(left, "");
    let less = json!([{"op": "remove", "path": format!("/rules/1/resources/{added}")}]).to_string();
    world.admin(&["patch", "clusterrole", "lockbox-read-logs", "--type=json", "-p", &less]).unwrap();
}

#[test]
fn access_is_to_the_named_object_alone_and_cannot_be_watched() {
    let world = &*steady();
    let here = "exactly";
    world.subscription(here);
    world.grant(here, "sr-1");
    let kim = world.kim();
    let get = |arguments: &[&str]| world.kubectl(&kim, &[arguments, &["-n", here]].concat());
    assert!(world.kim_reads(here, "shop-settings"));
    refused(get(&["get", "configmap", "other"]), &["cannot get resource \"configmaps\""]);
    refused(get(&["get", "configmap"]), &["cannot list resource \"configmaps\""]);
    refused(
        get(&["get", "configmap", "shop-settings", "--watch-only", "--request-timeout=5s"]),
        &["cannot watch resource \"configmaps\""],
    );
    refused(get(&["get", "secret"]), &["cannot list resource \"secrets\""]);
    refused(get(&["delete", "configmap", "shop-settings"]), &["cannot delete resource \"configmaps\""]);
    refused(get(&["get", "rolebinding"]), &["cannot list resource \"rolebindings\""]);
    refused(get(&["get", "lra"]), &["cannot list resource \"roleassignments\""]);
    refused(get(&["get", "--raw", &format!("/api/v1/namespaces/{here}/pods/shop-0:80/proxy/")]), &["forbidden"]);
    let joe = world.user("joe@provider.example", &["provider:engineers"]);
    refused(
        world.kubectl(&joe, &["get", "configmap", "shop-settings", "-n", here]),
        &["cannot get resource \"configmaps\""],
    );
}

#[test]
fn a_grant_for_the_tenant_is_guarded_in_the_same_way() {
    let world = &*steady();
    let administrator = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
        "metadata": {"name": "ada", "namespace": "lockbox-tenant"},
        "spec": {"principal": {"kind": "User", "name": support::ADA}, "role": "GlobalAdministrator", "scope": "Tenant"},
    });
    world.apply_as(&world.ada(), &administrator.to_string()).unwrap();
    world
        .admin(&["wait", "--for=condition=Recognized=true", "lra/ada", "-n", "lockbox-tenant", "--timeout=60s"])
        .unwrap();
    let tenant = Manifest(serde_yaml_ng::from_str(&example("engineer/request-tenant.yaml")).unwrap());
    world.create_as(&world.kim(), &tenant.set("/metadata/name", "guarded").to_string()).unwrap();
    world.wait_for_phase("lockbox-tenant", "guarded", "CustomerNotified");
    world.decide(&world.ada(), "lockbox-tenant", "guarded", "Approve").unwrap();
    let name = grant_name(&world.wait_for_phase("lockbox-tenant", "guarded", "AccessGranted"));
    let may = || world.kubectl(&world.kim(), &["auth", "can-i", "get", "nodes/node-a"]).is_ok();
    assert!(may());
    refused(world.kubectl(&world.kim(), &["auth", "can-i", "get", "nodes/node-b"]), &["no"]);
    for kind in ["clusterrole", "clusterrolebinding"] {
        refused(world.admin(&["delete", kind, &name]), &[OURS]);
        refused(world.admin(&["label", kind, &name, "lockbox.dev/request-uid-"]), &[OURS]);
        refused(
            world.admin(&["annotate", kind, &name, "--overwrite", "lockbox.dev/access-until=2099-01-01T00:00:00Z"]),
            &[OURS],
        );
    }
    world.admin(&["delete", "clusterrolebinding", &name, COLLECTOR]).unwrap();
    let revoked = world.wait_for_phase("lockbox-tenant", "guarded", "Revoked");
    assert_eq!(revoked["status"]["reason"], "TamperWithGrant");
    assert!(!may());
    eventually("the ClusterRole goes too", || world.admin(&["get", "clusterrole", &name]).is_err().then_some(()));
}

#[test]
fn a_stolen_token_of_the_operator_uses_nothing_of_what_it_can_hand_out() {
    let world = &*steady();
    let here = "used";
    world.subscription(here);
    let thief = thief(world);
    let raw = |path: &str| world.kubectl(&thief, &["get", "--raw", path]);
    let never = "the lockbox operator never does this itself";
    let mut post = world.cluster.kubectl(&thief);
    post.args(["create", "--raw", "/api/v1/namespaces/kube-system/pods/etcd/exec?command=id", "-f", "/dev/null"]);
    refused(lockbox_cluster::output(post).map_err(|error| error.to_string()), &[never, "CONNECT pods/exec"]);
    refused(raw(&format!("/api/v1/namespaces/{here}/pods/p/attach")), &[never, "CONNECT pods/attach"]);
    for (verb, what) in [
        ("get", "secrets"),
        ("create", "pods"),
        ("create", "deployments.apps"),
        ("impersonate", "users"),
        ("create", "serviceaccounts/token"),
        ("escalate", "clusterroles"),
        ("bind", "clusterroles/cluster-admin"),
        ("update", "rolebindings"),
        ("patch", "jobs"),
        ("update", "lockboxrequests"),
        ("create", "roleassignments"),
        ("patch", "lockboxsettings"),
        ("delete", "events"),
        ("patch", "validatingadmissionpolicies"),
        ("delete", "customresourcedefinitions"),
        ("create", "leases"),
    ] {
        let said = world.kubectl(&thief, &["auth", "can-i", verb, what, "-n", here]);
        refused(said, &["no"]);
    }
    // What it may create and patch by dry run, in order to see it refused, is refused.
    world.ask(here, "asked");
    let anothers = request("anothers").namespace(here).set("/spec/requester/username", ALICE);
    refused(world.create_as(&thief, &anothers.to_string()), &["denied request"]);
    refused(world.create_as(&thief, &request("own").namespace(here).to_string()), &["cannot ask for it"]);
    for patch in [
        json!({"spec": {"decisions": {ALICE: {"verdict": "Approve"}}}}),
        json!({"spec": {"decision": {"verdict": "Approve"}}}),
        json!({"spec": {"cancellation": {"reason": "no"}}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
    ] {
        refused(world.patch(&thief, here, "asked", &patch), &["denied request"]);
    }
    assert_eq!(world.phase(here, "asked"), "CustomerNotified");
}

#[test]
fn an_object_that_squats_a_grants_name_is_not_adopted() {
    let world = &*steady();
    let here = "adopted";
    world.subscription(here);
    world.ask(here, "sr-1");
    let request = world.request(here, "sr-1");
    let uid = request["metadata"]["uid"].as_str().unwrap();
    let name = format!("lockbox-grant-{uid}");
    // Only a stolen token makes one: a Role of the right name, owner and labels, that holds something else.
    let thief = thief(world);
    world.create_as(&thief, &job(here, uid).to_string()).unwrap();
    let deadline = world.get("job", here, &name)["metadata"]["uid"].clone();
    let other = role(here, uid)
        .set("/metadata/ownerReferences/0/uid", deadline)
        .set("/rules/0/resourceNames", json!(["shop-settings", "other"]));
    world.create_as(&thief, &other.to_string()).unwrap();
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    let failed = world.wait_for_phase(here, "sr-1", "Failed");
    let message = failed["status"]["message"].as_str().unwrap();
    assert!(message.contains(&name) && message.contains("exists and is not ours"), "{message}");
    assert!(!world.kim_reads(here, "shop-settings") && !world.kim_reads(here, "other"));
    eventually("nothing of it is left", || world.grant_objects(here).is_empty().then_some(()));
}

#[test]
fn a_stolen_token_of_the_operator_makes_no_grant_but_one_that_ends_and_binds_one_person_to_it() {
    let world = &*steady();
    let here = "made";
    world.subscription(here);
    let thief = thief(world);
    let tried = |object: Manifest| try_create(world, &thief, &object);
    // As the operator makes them, for a request that nobody has approved: Job and Role for real, since the API server
    // looks at a binding's Role.
    world.ask(here, "sr-1");
    let request = world.request(here, "sr-1");
    let uid = request["metadata"]["uid"].as_str().unwrap();
    world.create_as(&thief, &job(here, uid).to_string()).expect("as the operator makes it");
    let deadline = world.get("job", here, &grant_name(&request))["metadata"]["uid"].clone();
    let role = |namespace: &str| role(namespace, uid).set("/metadata/ownerReferences/0/uid", deadline.clone());
    let binding = |namespace: &str| binding(namespace, uid).set("/metadata/ownerReferences/0/uid", deadline.clone());
    let job = |namespace: &str| job(namespace, uid);
    world.create_as(&thief, &role(here).to_string()).expect("as the operator makes it");
    tried(binding(here)).expect("as the operator makes it");
    for object in [job(here), role(here), binding(here)] {
        let mut mine = object.clone().set("/metadata/name", "mine");
        if mine.0["kind"] == "Job" {
            let label = json!({"lockbox.dev/deadline": "mine"});
            mine = mine.set("/spec/selector/matchLabels", label.clone()).set("/spec/template/metadata/labels", label);
        }
        refused(tried(mine), &["may touch only its own objects", "mine is not one"]);
        refused(
            tried(object.clone().without("/metadata/annotations")),
            &["a grant says when it ends: annotation lockbox.dev/access-until"],
        );
        refused(
            tried(
                object
                    .clone()
                    .set("/metadata/annotations", json!({"lockbox.dev/access-until": "2099-01-01T00:00:00Z"})),
            ),
            &["a grant must end in the future, and within 168h"],
        );
        refused(
            tried(object.clone().set("/metadata/annotations", json!({"lockbox.dev/access-until": "tomorrow"}))),
            &["a grant says when it ends"],
        );
        refused(
            tried(object.clone().set("/metadata/finalizers", json!(["example.org/stay"]))),
            &["an object of the operator has no finalizer"],
        );
        refused(tried(object.clone().without("/metadata/ownerReferences")), &["owned only by"]);
        let stray = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": UID}]);
        refused(tried(object.clone().set("/metadata/ownerReferences", stray)), &["owned only by"]);
        if object.0["kind"] != "RoleBinding" {
            for protected in ["kube-system", "kube-public", "lockbox-system"] {
                let said =
                    refused(tried(object.clone().namespace(protected)), &["can hold no grant and no role for people"]);
                assert!(said.contains(protected), "{said}");
            }
            refused(tried(object.clone().namespace("lockbox-tenant")), &["has only grants of scope Tenant"]);
        }
        let labels = |key: &str, value: &str| json!({"lockbox.dev/request": "sr-1", "lockbox.dev/request-uid": uid, "app.kubernetes.io/managed-by": "lockbox", key: value});
        refused(
            tried(object.clone().set("/metadata/labels", labels("lockbox.dev/access-level", "true"))),
            &["is no access level and aggregates into no other role"],
        );
        refused(
            tried(
                object.clone().set("/metadata/labels", labels("rbac.authorization.k8s.io/aggregate-to-admin", "true")),
            ),
            &["aggregates into no other role"],
        );
        refused(
            tried(object.set("/metadata/labels", labels("lockbox.dev/request-uid", "another"))),
            &["named lockbox-grant-<UID>"],
        );
    }

    let subject = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let one = "a grant is bound to one user, who is none of Kubernetes' own";
    refused(
        tried(
            binding(here).set("/subjects", json!([subject("User", KIM), subject("User", "mallory@provider.example")])),
        ),
        &[one],
    );
    refused(tried(binding(here).set("/subjects", json!([subject("Group", "system:authenticated")]))), &[one]);
    refused(tried(binding(here).set("/subjects", json!([subject("User", "system:anonymous")]))), &[one]);
    refused(
        tried(
            binding(here).set("/subjects", json!([{"kind": "ServiceAccount", "name": "default", "namespace": here}])),
        ),
        &[one],
    );
    let refers = "a grant refers to the Role of the same name, which holds the approved rules";
    for level in ["lockbox-shell", "lockbox-read-objects"] {
        refused(tried(binding(here).set("/roleRef/kind", "ClusterRole").set("/roleRef/name", level)), &[refers]);
    }
    // A dry run, which stores nothing, may name the role of trials; what is stored may not.
    tried(binding(here).set("/roleRef/name", "lockbox-trial")).expect("as the operator tries it");
    let stored = binding(here).set("/roleRef/name", "lockbox-trial").to_string();
    refused(world.create_as(&thief, &stored), &[refers]);
    let admin = tried(binding(here).set("/roleRef/kind", "ClusterRole").set("/roleRef/name", "cluster-admin"));
    refused(admin, &["attempting to grant RBAC permissions not currently held"]);

    let empty = "a deadline Job runs no Pods (parallelism: 0), is not suspended, and has no managedBy";
    refused(tried(job(here).set("/spec/parallelism", 1)), &[empty]);
    refused(tried(job(here).set("/spec/suspend", true)), &[empty]);
    refused(tried(job(here).set("/spec/managedBy", "example.org/other")), &[empty]);
    refused(tried(job(here).set("/spec/activeDeadlineSeconds", 1_000_000)), &["activeDeadlineSeconds is at most 72"]);
    refused(tried(job(here).without("/spec/activeDeadlineSeconds")), &["a deadline Job ends with its grant"]);
    refused(tried(job(here).without("/spec/ttlSecondsAfterFinished")), &["ttlSecondsAfterFinished: 0"]);
    let selects = "a deadline Job selects Pods by a label that no Pod may carry";
    let ordinary = json!({"app": "shop"});
    refused(tried(job(here).without("/spec/manualSelector").without("/spec/selector")), &[selects]);
    refused(
        tried(
            job(here)
                .set("/spec/selector/matchLabels", ordinary.clone())
                .set("/spec/template/metadata/labels", ordinary),
        ),
        &[selects],
    );
    refused(
        tried({
            let mut job = job(here);
            job.0["metadata"]["annotations"]["scheduling.k8s.io/group-template-name"] = json!("x");
            job
        }),
        &["no annotation under scheduling.k8s.io/"],
    );
    let template = "a deadline Job's template asks for nothing";
    refused(tried(job(here).set("/spec/template/spec/serviceAccountName", "default")), &[template]);
    refused(tried(job(here).set("/spec/template/spec/hostNetwork", true)), &[template]);
    // What policies of others make of a template that no Pod ever comes from is taken.
    let other = self::job(here, UID);
    tried(other.clone().set("/spec/template/spec/containers/0/image", "registry.corp/none.invalid/none"))
        .expect("an image");
    tried(other.set("/spec/template/metadata/labels/team", "platform")).expect("a label");
    refused(
        tried(job(here).set("/spec/template/spec/volumes", json!([{"name": "host", "hostPath": {"path": "/"}}]))),
        &[template],
    );

    let rule = |verbs: &[&str], resources: &[&str], names: &[&str]| json!([{"apiGroups": [""], "resources": resources, "verbs": verbs, "resourceNames": names}]);
    refused(
        tried(role(here).set("/rules", rule(&["get"], &["configmaps"], &[""]))),
        &["a grant cannot hold this: resourceNames that stand for all objects, take them out: rules[0] \"\""],
    );
    refused(tried(role(here).set("/rules", rule(&["get"], &["secrets"], &["token"]))), &["not currently held"]);
    refused(tried(role(here).set("/rules", rule(&["get", "watch"], &["configmaps"], &["a"]))), &["not currently held"]);
    refused(tried(role(here).set("/rules", rule(&["*"], &["*"], &[]))), &["not currently held"]);
    let cluster_role =
        role(here).set("/kind", "ClusterRole").without("/metadata/namespace").without("/metadata/ownerReferences");
    tried(cluster_role.clone()).expect("a tenant's grant that reads");
    refused(
        tried(cluster_role.clone().set("/rules", rule(&["create"], &["pods/exec"], &["shop-0"]))),
        &["a grant of scope Tenant only reads"],
    );
    let aggregated = json!({"clusterRoleSelectors": [{"matchLabels": {"lockbox.dev/access-level": "true"}}]});
    refused(tried(cluster_role.set("/aggregationRule", aggregated)), &["aggregat"]);
}

#[test]
fn a_stolen_token_of_the_operator_gives_people_the_charts_roles_alone_and_touches_nothing_foreign() {
    let world = &*steady();
    let here = "foreign";
    world.subscription(here);
    let granted = world.grant(here, "sr-1");
    let thief = thief(world);
    let people = |kind: &str, role: &str, label: &str, subject: Value| {
        let mut metadata = json!({"name": "lockbox-people-1", "labels": {"lockbox.dev/people": label, "app.kubernetes.io/managed-by": "lockbox"}});
        if kind == "RoleBinding" {
            metadata["namespace"] = json!(here);
        }
        try_create(
            world,
            &thief,
            &Manifest(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": [subject],
            })),
        )
    };
    let mallory =
        || json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory@provider.example"});
    people("ClusterRoleBinding", "lockbox-requester", "requester", mallory()).expect("as the operator makes it");
    refused(
        people("ClusterRoleBinding", "lockbox-shell", "shell", mallory()),
        &["people get only the roles that the chart defines for them", "not lockbox-shell"],
    );
    refused(
        people("ClusterRoleBinding", "lockbox-owner", "owner", mallory()),
        &["people get only the roles that the chart defines for them"],
    );
    refused(
        people("RoleBinding", "lockbox-administrator", "administrator", mallory()),
        &["people get only the roles that the chart defines for them"],
    );
    refused(
        people("ClusterRoleBinding", "lockbox-auditor", "requester", mallory()),
        &["carries the short name of its role in the label"],
    );
    refused(people("ClusterRoleBinding", "cluster-admin", "requester", mallory()), &["not currently held"]);
    let everybody = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"});
    refused(
        people("ClusterRoleBinding", "lockbox-administrator", "administrator", everybody),
        &["roles are for people: users and groups, and none of Kubernetes' own"],
    );

    // What it did not make it neither ends nor changes; its own it ends, and never leaves the access behind.
    world
        .admin(&["create", "rolebinding", "theirs", "--clusterrole=view", "--user=nina@contoso.example", "-n", here])
        .unwrap();
    world.admin(&["create", "job", "theirs", "--image=none.invalid/none", "-n", here]).unwrap();
    let not_one = |kind: &str, name: &str| {
        refused(
            world.kubectl(&thief, &["delete", kind, name, "-n", here]),
            &["the operator may touch only its own objects", "is not one"],
        );
    };
    not_one("rolebinding", "theirs");
    not_one("job", "theirs");
    not_one("clusterrole", "cluster-admin");
    not_one("clusterrolebinding", "lockbox-operator");
    let name = grant_name(&granted);
    refused(
        world.kubectl(&thief, &["delete", "job", &name, "-n", here, "--cascade=orphan"]),
        &["propagationPolicy Background or Foreground"],
    );
    refused(
        world.kubectl(&thief, &["label", "rolebinding", &name, "-n", here, "lockbox.dev/request-"]),
        &["cannot patch resource \"rolebindings\""],
    );
    refused(
        world.kubectl(&thief, &["label", "rolebinding", "theirs", "-n", here, "lockbox.dev/request=sr-1"]),
        &["cannot patch resource \"rolebindings\""],
    );
    let canary = Manifest(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "lockbox-canary-1", "namespace": "lockbox-system", "labels": {"lockbox.dev/canary": "true", "app.kubernetes.io/managed-by": "lockbox"},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "lockbox-canary-1", "uid": UID}]},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    }));
    refused(try_create(world, &thief, &canary), &["the Role that tries the safety net is empty"]);
    let binding = |role: &str, user: &str| {
        let binding = canary.clone().set("/kind", "RoleBinding").without("/rules");
        binding
            .set("/roleRef", json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}))
            .set("/subjects", json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]))
    };
    let nobody = "gives nobody@lockbox.invalid the empty Role of the same name";
    refused(try_create(world, &thief, &binding("lockbox-trial", "nobody@lockbox.invalid")), &[nobody]);
    refused(try_create(world, &thief, &binding("lockbox-trial", "mallory@provider.example")), &[nobody]);
    assert!(world.kim_reads(here, "shop-settings"));
}
