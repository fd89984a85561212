//! What the provider's people see, and what they try in order to see more, each as the user who would.

use std::time::Instant;

use crate::{
    support::{KIM, Manifest, World, eventually, refused, request},
    turn,
};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use lockbox_cluster::User;
use serde_json::{Value, json};

const ENGINEERS: [&str; 2] = ["provider:engineers", "provider:secure-workstations"];
const LEADS: &str = "provider:support-leads";
const COLLECTOR: &str = "--as=system:serviceaccount:kube-system:generic-garbage-collector";
/// A sentence that stands in a request, and in no answer to anybody else.
const SECRET: &str = "the erp database is at 10.1.2.3";

/// Another engineer of the same team.
fn robin(world: &World) -> User {
    world.user("robin@provider.example", &ENGINEERS)
}

fn lead(world: &World) -> User {
    world.user("lead@provider.example", &[LEADS])
}

fn can(world: &World, user: &User, verb: &str, what: &str, namespace: &str) -> bool {
    world.kubectl(user, &["auth", "can-i", verb, what, "-n", namespace]).is_ok()
}

/// A JSON patch without the GET that kubectl makes before one: what the API server answers.
fn json_patch(user: &User, path: &str, operations: &Value) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(&user.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let patch = axum::http::Request::patch(path).header("Content-Type", "application/json-patch+json");
        let patch = patch.body(operations.to_string().into_bytes()).unwrap();
        match Client::try_from(config).unwrap().request_text(patch).await {
            Ok(answer) => answer,
            Err(error) => error.to_string(),
        }
    })
}

/// The names of the requests that a user may read, as the user finds them.
fn shown(world: &World, user: &User, namespace: &str) -> String {
    let rules = world.kubectl(user, &["auth", "can-i", "--list", "--no-headers", "-n", namespace]).unwrap();
    rules.lines().filter(|line| line.starts_with("lockboxrequests.lockbox.dev")).collect::<Vec<_>>().join("\n")
}

/// The Roles and bindings by which requests are shown in a namespace.
fn views(world: &World, namespace: &str) -> Vec<String> {
    let names = world.admin(&["get", "role,rolebinding", "-n", namespace, "-l", "lockbox.dev/view", "-o", "name"]);
    names.unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_engineer_sees_their_own_requests_and_of_a_colleagues_nothing_but_that_a_name_is_taken() {
    let (world, _turn) = turn();
    let (kim, robin) = (world.kim(), robin(world));
    for here in ["own", "anothers"] {
        world.subscription(here);
    }
    let made = Instant::now();
    world.create_as(&kim, &request("kims").namespace("own").to_string()).unwrap();
    let answered = made.elapsed();
    world.sees(&kim, "own", "kims");
    println!("create answered after {answered:?}; seen after {:?} more", made.elapsed().saturating_sub(answered));
    for here in ["own", "anothers"] {
        let robins = request("robins").namespace(here).set("/spec/justification", SECRET);
        world.create_as(&robin, &robins.to_string()).unwrap();
        world.sees(&robin, here, "robins");
        world.wait_for_phase(here, "robins", "CustomerNotified");
    }

    // As the documents have it: kubectl's own ways to follow one request by its name.
    world.wait_for_phase("own", "kims", "CustomerNotified");
    let own = |arguments: &[&str]| world.kubectl(&kim, &[arguments, &["-n", "own"]].concat());
    own(&["wait", "--for=condition=CustomerNotified", "lbr/kims", "--timeout=30s"]).unwrap();
    own(&["get", "lbr", "--field-selector=metadata.name=kims"]).unwrap();
    own(&["describe", "lbr/kims", "--show-events=false"]).unwrap();
    let found = shown(world, &kim, "own");
    assert!(found.contains("kims") && !found.contains("robins"), "{found}");

    let forbidden = "lockboxrequests.lockbox.dev";
    let mut answers = vec![];
    let mut no = |answer: Result<String, String>| {
        let said = refused(answer, &[forbidden, "orbidden"]);
        assert!(said.contains("cannot "), "refused by RBAC, before anything is compared: {said}");
        answers.push(said);
    };
    for here in ["own", "anothers"] {
        let kubectl = |arguments: &[&str]| world.kubectl(&kim, &[arguments, &["-n", here]].concat());
        no(kubectl(&["get", "lbr"]));
        no(kubectl(&["get", "lbr", "robins"]));
        no(kubectl(&["get", "lbr", "--field-selector=metadata.name=robins"]));
        no(kubectl(&["get", "lbr", "--field-selector=spec.requester.username=kim@provider.example"]));
        no(kubectl(&["get", "lbr", "--watch-only", "--request-timeout=5s", "--field-selector=metadata.name=robins"]));
        for patch in [json!({}), json!({"spec": {"internalDecision": {"verdict": "Approve"}}})] {
            let patch = ["patch", "lbr", "robins", "--type=merge", "-p", &patch.to_string()].map(str::to_owned);
            let patch: Vec<&str> = patch.iter().map(String::as_str).collect();
            no(kubectl(&patch));
            no(kubectl(&[&patch[..], &["--dry-run=server", "-o", "yaml"]].concat()));
        }
        let path = format!("/apis/lockbox.dev/v1alpha1/namespaces/{here}/lockboxrequests/robins");
        for operations in [
            json!([]),
            json!([{"op": "test", "path": "/spec/justification", "value": SECRET}]),
            json!([{"op": "copy", "from": "/spec/justification", "path": "/spec/origin"}]),
        ] {
            let said = json_patch(&kim, &path, &operations);
            assert!(said.contains("cannot patch resource") && !said.contains(SECRET), "{said}");
        }
        for path in [path.clone(), format!("{path}/status")] {
            no(world.kubectl(&kim, &["get", "--raw", &path]));
        }
        let same = request("robins").namespace(here).to_string();
        for apply in
            [&["apply", "-f", "-"][..], &["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"]]
        {
            no(world.pipe(&kim, apply, &same));
        }
        no(kubectl(&["delete", "lbr", "robins"]));
        // This much kim learns: the name is taken.
        let taken = refused(world.create_as(&kim, &same), &["AlreadyExists"]);
        assert!(!taken.contains(SECRET), "{taken}");
        for verb in ["list", "watch", "patch", "update", "delete"] {
            assert!(!can(world, &kim, verb, "lbr", here), "{verb}");
        }
    }
    no(world.kubectl(&kim, &["get", "lbr", "-A"]));
    for said in answers {
        assert!(!said.contains(SECRET) && !said.contains("robin@"), "{said}");
    }
    for (place, names) in [("own", &["kims"][..]), ("anothers", &[])] {
        let found = shown(world, &kim, place);
        assert!(!found.contains("robins") && names.iter().all(|name| found.contains(name)), "{found}");
    }
    world.patch(&kim, "own", "kims", &json!({"spec": {"cancellation": {"reason": "solved"}}})).unwrap();
    let closed = world.wait_until_closed("own", "kims");
    assert_eq!(closed["status"]["phase"], "Cancelled");
    own(&["get", "lbr", "kims"]).expect("how it ended can still be read");
}

#[test]
fn a_request_that_is_rejected_at_once_can_be_read_by_who_asked() {
    let (world, _turn) = turn();
    world.subscription("at-once-rejected");
    let kim = world.kim();
    let unknown = request("rejected").namespace("at-once-rejected").set("/spec/service", "NoSuchService");
    world.create_as(&kim, &unknown.to_string()).unwrap();
    world.wait_until_closed("at-once-rejected", "rejected");
    world.sees(&kim, "at-once-rejected", "rejected");
}

/// Why no role for the provider's people holds `patch` for all requests: what the API server compares and copies is not
/// for a policy to refuse.
#[test]
fn whoever_may_patch_a_request_can_read_it_by_that_whatever_the_policies_refuse() {
    let (world, _turn) = turn();
    let here = "read-by-patch";
    world.subscription(here);
    let robins = request("robins").namespace(here).set("/spec/justification", SECRET);
    world.create_as(&robin(world), &robins.to_string()).unwrap();
    world.wait_for_phase(here, "robins", "CustomerNotified");
    let patches = ["create", "role", "patches", "--verb=patch", "--resource=lockboxrequests.lockbox.dev", "-n", here];
    world.admin(&patches).unwrap();
    let bound = ["create", "rolebinding", "pat", "--role=patches", "--user=pat@provider.example", "-n", here];
    world.admin(&bound).unwrap();
    let pat = world.user("pat@provider.example", &[]);
    eventually("Pat may patch", || can(world, &pat, "patch", "lbr", here).then_some(()));
    assert!(!can(world, &pat, "get", "lbr/robins", here));
    let path = format!("/apis/lockbox.dev/v1alpha1/namespaces/{here}/lockboxrequests/robins");
    let patch = |operations: Value| json_patch(&pat, &path, &operations);
    let copied = patch(json!([{"op": "copy", "from": "/spec/justification", "path": "/spec/origin"}]));
    assert!(copied.contains(SECRET), "{copied}");
    let guess = |value: &str| patch(json!([{"op": "test", "path": "/spec/justification", "value": value}]));
    assert_ne!(guess("a wrong guess"), guess(SECRET));
    assert!(patch(json!([])).contains(SECRET), "what changes nothing is let in");
}

#[test]
fn an_internal_approver_sees_what_they_may_have_to_approve_and_no_events() {
    let (world, _turn) = turn();
    let (here, lead) = ("leads", lead(world));
    world.subscription(here);
    let logs = json!({"name": "logs-need-a-lead", "match": {"accessLevels": ["ReadLogs"]}, "effect": "Permit",
        "require": {"identity": "Any", "internalApproval": {"approvers": [{"kind": "Group", "name": LEADS}], "count": 1}}});
    let objects = json!({"name": "objects", "match": {"accessLevels": ["ReadObjects"]}, "effect": "Permit", "require": {"identity": "Any"}});
    let _settings = world.with_settings(&json!({"jit": {"rules": [logs, objects]}}));
    eventually("leads have their role", || can(world, &lead, "act-for-provider", "lbs/default", here).then_some(()));

    world.ask(here, "objects");
    let logs = request("logs")
        .namespace(here)
        .set("/spec/accessLevel", "ReadLogs")
        .set("/spec/resources", json!([{"resource": "pods", "name": "shop-0"}]));
    world.create_as(&world.kim(), &logs.to_string()).unwrap();
    world.wait_for_phase(here, "logs", "AwaitingInternalApproval");
    world.sees(&lead, here, "logs");
    let found = shown(world, &lead, here);
    assert!(found.contains("logs") && !found.contains("objects"), "{found}");
    for arguments in
        [&["get", "lbr", "objects"][..], &["get", "lbr"], &["patch", "lbr", "objects", "--type=merge", "-p", "{}"]]
    {
        refused(world.kubectl(&lead, &[arguments, &["-n", here]].concat()), &["cannot "]);
    }
    refused(world.kubectl(&lead, &["get", "lbr", "-A"]), &["cannot list"]);
    for who in [&lead, &world.kim()] {
        for place in [here, "kube-system", "default"] {
            for events in ["events", "events.events.k8s.io"] {
                refused(world.kubectl(who, &["get", events, "-n", place]), &["cannot list resource \"events\""]);
            }
        }
    }
    let approve = json!({"spec": {"internalDecision": {"verdict": "Approve", "reason": "customer called"}}});
    world.patch(&lead, here, "logs", &approve).unwrap();
    world.wait_for_phase(here, "logs", "CustomerNotified");
    world.kubectl(&lead, &["get", "lbr", "logs", "-n", here]).expect("whoever approved it sees what becomes of it");
    // A group's Role shows it to nobody outside of the group.
    refused(world.kubectl(&robin(world), &["get", "lbr", "logs", "-n", here]), &["cannot get"]);
}

#[test]
fn a_name_that_is_used_again_shows_the_new_request_to_its_own_requester_alone() {
    let (world, _turn) = turn();
    let here = "used-again";
    world.subscription(here);
    let (kim, robin) = (world.kim(), robin(world));
    world.ask(here, "sr-1");
    world.decide(&world.alice(), here, "sr-1", "Deny").unwrap();
    world.wait_until_closed(here, "sr-1");
    world.kubectl(&kim, &["get", "lbr", "sr-1", "-n", here]).unwrap();
    world.remove(here, "sr-1");
    world.create_as(&robin, &request("sr-1").namespace(here).to_string()).unwrap();
    world.sees(&robin, here, "sr-1");
    eventually("the name is taken from kim", || (!can(world, &kim, "get", "lbr/sr-1", here)).then_some(()));
    eventually("and with the last name the Role and its binding", || (views(world, here).len() == 2).then_some(()));
    refused(world.kubectl(&kim, &["get", "lbr", "sr-1", "-n", here]), &["cannot get"]);
}

#[test]
fn what_shows_requests_is_touched_by_the_operator_alone_and_put_right_when_it_was() {
    let (world, _turn) = turn();
    let here = "put-right";
    world.subscription(here);
    let (kim, robin) = (world.kim(), robin(world));
    world.ask(here, "kims");
    world.create_as(&robin, &request("robins").namespace(here).to_string()).unwrap();
    world.sees(&robin, here, "robins");
    let role_of = |user: &str| {
        let bindings =
            world.admin(&["get", "rolebinding", "-n", here, "-l", "lockbox.dev/view", "-o", "json"]).unwrap();
        let bindings: Value = serde_json::from_str(&bindings).unwrap();
        let bindings = bindings["items"].as_array().unwrap();
        let binding = bindings.iter().find(|binding| binding["subjects"][0]["name"] == user).unwrap();
        binding["metadata"]["name"].as_str().unwrap().to_owned()
    };
    let (kims, before) = (role_of(KIM), views(world, here));
    let ours = "only the lockbox operator may create, change and delete it";
    let more = json!([{"op": "add", "path": "/rules/0/resourceNames/-", "value": "robins"}]).to_string();
    for attempt in [
        &["delete", "role", &kims, "-n", here][..],
        &["delete", "rolebinding", &kims, "-n", here],
        &["patch", "role", &kims, "-n", here, "--type=json", "-p", &more],
        &["label", "role", &kims, "-n", here, "lockbox.dev/view-"],
        &["create", "role", "lockbox-view-mine", "-n", here, "--verb=get", "--resource=lockboxrequests.lockbox.dev"],
        &["create", "rolebinding", "lockbox-view-mine", "-n", here, "--clusterrole=view", "--user=kim"],
    ] {
        refused(world.admin(attempt), &[ours]);
    }
    // The cluster's own collector may, for the sake of what ends; somebody who acts as it is put right.
    world.admin(&[COLLECTOR, "patch", "role", &kims, "-n", here, "--type=json", "-p", &more]).unwrap();
    eventually("kim has lost what is not hers", || {
        let names = &world.get("role", here, &kims)["rules"][0]["resourceNames"];
        (*names == json!(["kims"])).then_some(())
    });
    for kind in ["role", "rolebinding"] {
        world.admin(&[COLLECTOR, "delete", kind, &kims, "-n", here]).unwrap();
        eventually("what is missing is made again", || (views(world, here) == before).then_some(()));
        world.sees(&kim, here, "kims");
    }
    assert!(!can(world, &kim, "get", "lbr/robins", here));

    // Missed while the operator was down.
    world.kill_operator();
    world.admin(&[COLLECTOR, "delete", "rolebinding", &kims, "-n", here]).unwrap();
    world.admin(&[COLLECTOR, "patch", "role", &kims, "-n", here, "--type=json", "-p", &more]).unwrap();
    world.create_as(&kim, &request("meanwhile").namespace(here).to_string()).unwrap();
    world.start_operator();
    world.sees(&kim, here, "meanwhile");
    assert_eq!(world.get("role", here, &kims)["rules"][0]["resourceNames"], json!(["kims", "meanwhile"]));
}

#[test]
fn a_stolen_token_of_the_operator_shows_named_requests_and_makes_nothing_else_of_it() {
    let (world, _turn) = turn();
    let here = "shown-by-a-thief";
    world.subscription(here);
    world.ask(here, "sr-1");
    let thief = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let name = "lockbox-view-0123456789abcdef0123456789abcdef";
    let metadata = json!({"name": name, "namespace": here,
        "labels": {"lockbox.dev/view": "true", "app.kubernetes.io/managed-by": "lockbox"}});
    let role = Manifest(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
        "rules": [{"apiGroups": ["lockbox.dev"], "resources": ["lockboxrequests"], "resourceNames": ["finished"], "verbs": ["get", "list", "watch", "patch"]}]}));
    let binding =
        Manifest(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory@provider.example"}]}));
    let tried = |object: Manifest| world.pipe(&thief, &["create", "--dry-run=server", "-f", "-"], &object.to_string());
    tried(role.clone()).expect("as the operator makes it");

    let shape = "get, list, watch and patch lockboxrequests that it names";
    let rule = |field: &str, value: Value| role.clone().set(&format!("/rules/0/{field}"), value);
    for wider in [
        role.clone().without("/rules/0/resourceNames"),
        rule("resourceNames", json!([])),
        rule("resourceNames", json!([""])),
        rule("resourceNames", json!((0..513).map(|n| format!("sr-{n}")).collect::<Vec<_>>())),
        rule("verbs", json!(["get", "create"])),
        role.clone().set("/rules/0", json!({"apiGroups": ["lockbox.dev"], "resources": ["lockboxsettings"], "resourceNames": ["default"], "verbs": ["get"]})),
        role.clone().set("/rules/0", json!({"apiGroups": ["lockbox.dev"], "resources": ["lockboxrequests/status"], "resourceNames": ["sr-1"], "verbs": ["update"]})),
        role.clone().set("/rules/1", json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["shop-settings"], "verbs": ["get"]})),
        role.clone().set("/rules/0", json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["shop-settings"], "verbs": ["get"]})),
    ] {
        refused(tried(wider), &[shape]);
    }
    for (wider, why) in [
        // The API server stores no rules as null, which no expression of the policy takes.
        (role.clone().without("/rules"), "ValidatingAdmissionPolicy 'lockbox-operator-limits-views'"),
        (rule("verbs", json!(["delete"])), "and nothing else"),
        (rule("verbs", json!(["deletecollection"])), "not currently held"),
        (rule("resources", json!(["*"])), "not currently held"),
        (role.clone().without("/metadata/labels/lockbox.dev~1view"), "carry the label lockbox.dev/view"),
        (role.clone().set("/metadata/name", "lockbox-shell"), "denied request"),
        (role.clone().namespace("kube-system"), "can hold no grant and no role for people"),
        (role.clone().set("/metadata/finalizers", json!(["example.org/stay"])), "an object of the operator has no finalizer"),
        (
            role.clone().set("/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-admin", "true"),
            "aggregates into no other role",
        ),
        (
            role.clone().set("/metadata/ownerReferences", json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "22222222-2222-2222-2222-222222222222"}])),
            "have no owner",
        ),
        (
            role.clone().set("/kind", "ClusterRole").without("/metadata/namespace"),
            "may touch only its own objects",
        ),
    ] {
        refused(tried(wider), &[why]);
    }

    // Kim's open request is not Mallory's to see: the operator takes such a Role away.
    world.create_as(&thief, &rule("resourceNames", json!(["sr-1"])).to_string()).unwrap();
    eventually("the operator removes it", || world.admin(&["get", "role", name, "-n", here]).err());
    world.create_as(&thief, &role.to_string()).unwrap();
    tried(binding.clone()).expect("as the operator makes it");
    let one = "such a binding is for one user or group, and none of Kubernetes' own";
    let subject = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    refused(tried(binding.clone().set("/subjects", json!([subject("Group", "system:authenticated")]))), &[one]);
    refused(
        tried(
            binding
                .clone()
                .set("/subjects", json!([subject("User", KIM), subject("User", "mallory@provider.example")])),
        ),
        &[one],
    );
    refused(
        tried(
            binding.clone().set("/subjects", json!([{"kind": "ServiceAccount", "name": "default", "namespace": here}])),
        ),
        &[one],
    );
    let refers = "such a binding refers to the Role of the same name";
    for level in ["lockbox-shell", "lockbox-read-objects", "lockbox-requester"] {
        refused(tried(binding.clone().set("/roleRef/kind", "ClusterRole").set("/roleRef/name", level)), &[refers]);
    }
    // What is there is changed in the same bounds, and a grant not at all.
    let replace =
        |object: &Manifest| world.pipe(&thief, &["replace", "--dry-run=server", "-f", "-"], &object.to_string());
    replace(&rule("resourceNames", json!(["finished", "sr-2"]))).expect("as the operator changes it");
    refused(replace(&role.clone().without("/rules/0/resourceNames")), &[shape]);
    refused(replace(&role.clone().without("/metadata/labels")), &["label"]);
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    let granted = world.wait_for_phase(here, "sr-1", "AccessGranted");
    let grant = format!("lockbox-grant-{}", granted["metadata"]["uid"].as_str().unwrap());
    let mut granted = Manifest(world.get("role", here, &grant));
    granted = granted.set("/rules/0/resourceNames", json!(["shop-settings", "other"]));
    refused(replace(&granted), &["never change them"]);
    let foreign = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "theirs", "namespace": here}, "rules": []});
    world.create_as(world.cluster.admin(), &foreign.to_string()).unwrap();
    refused(replace(&Manifest(foreign)), &["may touch only its own objects"]);
    refused(world.kubectl(&thief, &["delete", "role", "theirs", "-n", here]), &["may touch only its own objects"]);
}

#[test]
fn the_settings_are_read_by_those_who_take_part_and_not_by_everybody_who_signs_in() {
    let (world, _turn) = turn();
    world.subscription("reads-settings");
    world.assign("reads-settings", "carol", "User", "carol@contoso.example", "LockboxApprover");
    let anybody = world.user("any@gmail.example", &[]);
    refused(world.kubectl(&anybody, &["get", "lbs", "default"]), &["cannot get resource \"lockboxsettings\""]);
    for user in [world.kim(), world.alice(), world.user("carol@contoso.example", &[]), world.ada()] {
        eventually("who takes part reads the settings", || world.kubectl(&user, &["get", "lbs", "default"]).ok());
    }
    world.admin(&["delete", "lra", "carol", "-n", "reads-settings"]).unwrap();
    let carol = world.user("carol@contoso.example", &[]);
    eventually("who takes part no more reads them no more", || {
        world.kubectl(&carol, &["get", "lbs", "default"]).is_err().then_some(())
    });
}
