//! Gaps: what one voids and what it does not, and what looks like one and is none.

use super::*;

/// Since when requests and decisions are authentic.
fn authentic_since(world: &World) -> Value {
    world.get("lbs", "default", "default")["status"]["admissionSince"].clone()
}

/// The Events about the settings: type, reason and note.
fn settings_events(world: &World) -> Vec<[String; 3]> {
    let of_settings = ["get", "events", "-n", "default", "--field-selector=involvedObject.kind=LockboxSettings"];
    let text = world.admin(&[&of_settings[..], &["-o", "json"]].concat()).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let field = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let items = list["items"].as_array().unwrap();
    items.iter().map(|event| ["type", "reason", "message"].map(|name| field(event, name))).collect()
}

#[test]
fn an_access_that_is_ended_by_hand_as_the_chart_says_costs_no_pending_request() {
    let (world, _turn) = turn();
    let here = "by-hand";
    world.subscription(here);
    world.grant(here, "live");
    world.ask(here, "pending");
    let since = authentic_since(world);
    let by_hand = ["delete", "rolebinding,clusterrolebinding", "-A", "-l", "lockbox.dev/request=live"];
    let refused = world.admin(&by_hand).unwrap_err();
    assert!(refused.contains("only the lockbox operator may create, change and delete it"), "{refused}");
    world.admin(&["delete", "validatingadmissionpolicybinding", "lockbox-grants"]).unwrap();
    eventually("a cluster administrator ends it", || world.admin(&by_hand).ok());
    let ended = world.wait_for_phase(here, "live", "Revoked");
    assert_eq!(ended["status"]["reason"], "TamperWithGrant");
    assert!(!world.kim_reads(here, "shop-settings"));
    // Meanwhile the gap is shown, told and logged; decisions count, and no access is made.
    let message = shown(world, "AdmissionEnforced", "False");
    assert!(message.contains("ValidatingAdmissionPolicyBinding lockbox-grants is not there"), "{message}");
    let told = eventually("an Event tells of the gap", || {
        settings_events(world)
            .into_iter()
            .find(|[_, reason, note]| reason == "AdmissionEnforcedLost" && note.contains("lockbox-grants is not there"))
    });
    assert_eq!(told[0], "Warning");
    let log = world.operator_log();
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("lockbox-grants is not there")), "{log}");
    world.decide(&world.alice(), here, "pending", "Approve").unwrap();
    waits_for(world, here, "pending", "WaitingForAdmission");
    assert_eq!(world.grant_objects(here), "");
    put_back(world);
    world.wait_for_phase(here, "pending", "AccessGranted");
    assert!(world.kim_reads(here, "shop-settings"));
    assert_eq!(authentic_since(world), since, "nobody could forge anything meanwhile");
    eventually("an Event tells of its end", || {
        settings_events(world).iter().any(|[_, reason, _]| reason == "AdmissionEnforcedRestored").then_some(())
    });
}

/// What belongs to Lockbox, by kind. Of the RBAC, what bears one of our names.
fn everything(world: &World, namespace: &str) -> Vec<Value> {
    let kinds = "lockboxrequests,roleassignments,lockboxsettings,jobs,roles,rolebindings,clusterroles,clusterrolebindings,events,events.events.k8s.io,customresourcedefinitions,validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings";
    let text = world.admin(&["get", kinds, "-A", "-o", "json"]).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let ours = |object: &&Value| {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let here =
            ["", namespace, "default", "lockbox-system", "lockbox-tenant"].contains(&text("/metadata/namespace"));
        let named = text("/metadata/name").contains("lockbox") || text("/apiVersion").starts_with("lockbox.dev/");
        // The canary comes and goes.
        here && named && !text("/metadata/name").starts_with("lockbox-canary-")
    };
    list["items"].as_array().unwrap().iter().filter(ours).cloned().collect()
}

fn write_back(world: &World, user: &User, object: &Value) {
    let kind = object["kind"].as_str().unwrap();
    let (name, namespace) = (&object["metadata"]["name"], object["metadata"]["namespace"].as_str());
    let who = &user.name;
    let mut object = object.clone();
    for _ in 0..5 {
        match world.pipe(user, &["replace", "-f", "-"], &object.to_string()) {
            Ok(_) => return,
            // Somebody wrote it in between, as everywhere: the migrator reads it again.
            Err(said) if said.contains("the object has been modified") => {
                let at = ["-n", namespace.unwrap_or("default"), "-o", "json"];
                let text = world.admin(&[&["get", kind, name.as_str().unwrap()][..], &at].concat());
                object = serde_json::from_str(&text.unwrap()).unwrap();
            }
            Err(said) => panic!("{kind} {name} in {namespace:?} cannot be written back by {who}: {said}"),
        }
    }
    panic!("{kind} {name} is written all the time");
}

#[test]
fn what_is_written_back_as_it_is_passes_every_policy_and_nothing_else_does() {
    let (world, _turn) = turn();
    let here = "written-back";
    world.subscription(here);
    world.grant(here, "live");
    world.ask(here, "pending");
    world.create_as(&world.kim(), &support::example("engineer/request-tenant.yaml")).unwrap();
    let tenant: Value = serde_yaml_ng::from_str(&support::example("engineer/request-tenant.yaml")).unwrap();
    let tenant = tenant["metadata"]["name"].as_str().unwrap();
    world.wait_for_phase("lockbox-tenant", tenant, "CustomerNotified");
    world.decide(&world.ada(), "lockbox-tenant", tenant, "Approve").unwrap();
    world.wait_for_phase("lockbox-tenant", tenant, "AccessGranted");
    // An account that may write everything, and holds no right of Lockbox's own, as the cluster's own migrator.
    let migrator = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "migrator", "namespace": "kube-system"}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "migrator"},
         "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "patch", "update"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "migrator"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "migrator"},
         "subjects": [{"kind": "ServiceAccount", "name": "migrator", "namespace": "kube-system"}]}]});
    world.apply_as(world.cluster.admin(), &migrator.to_string()).unwrap();
    let migrator = world.cluster.service_account("kube-system", "migrator").unwrap();
    for user in [world.cluster.admin(), &migrator] {
        let all = everything(world, here);
        for object in &all {
            write_back(world, user, object);
        }
        let kinds: std::collections::BTreeSet<_> = all.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds.len(), 14, "{kinds:?}");
    }
    // With anything changed it is refused as ever.
    for object in everything(world, here) {
        let name = object["metadata"]["name"].as_str().unwrap();
        if !name.starts_with("lockbox-grant-") {
            continue;
        }
        let note = ("/metadata/annotations/example.com~1note", json!("x"));
        let label = ("/metadata/labels/example.com~1team", json!("x"));
        for (pointer, value) in [note, label, ("/metadata/finalizers", json!(["example.com/hold"]))] {
            let mut changed = object.clone();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            if let Some(Value::Object(parent)) = changed.pointer_mut(parent) {
                parent.insert(field.replace("~1", "/"), value);
            } else {
                changed["metadata"]["annotations"] = json!({"example.com/note": "x"});
            }
            support::refused(
                world.pipe(world.cluster.admin(), &["replace", "-f", "-"], &changed.to_string()),
                &["only the lockbox operator may create, change and delete it"],
            );
        }
    }
    assert_eq!(world.phase(here, "live"), "AccessGranted");
    assert_eq!(World::actions(&world.request(here, "live")).last(), Some(&"GrantAccess"));
    world.decide(&world.alice(), here, "pending", "Deny").unwrap();
    world.wait_for_phase(here, "pending", "Denied");
}

#[test]
fn somebody_elses_policies_that_refuse_what_is_forged_too_do_not_hide_that_ours_does() {
    let (world, _turn) = turn();
    let here = "foreign";
    world.subscription(here);
    // Many, because of several that refuse the API server names any; ours would be named once in nine times.
    let names: Vec<_> = (0..8).map(|number| format!("wants-a-team-{number}")).collect();
    let make = |name: &String| {
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
             "metadata": {"name": name},
             "spec": {
                "matchConstraints": {"resourceRules": [{"apiGroups": ["", "lockbox.dev"], "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"], "resources": ["configmaps", "lockboxrequests"]}]},
                "matchConditions": [{"name": "machines", "expression":
                    "request.userInfo.username.startsWith('system:serviceaccount:lockbox-system:') || request.name == 'machine'"}],
                "validations": [{"expression": "'team' in object.metadata.?labels.orValue({})",
                    "message": "what machines write bears a label team"}]}},
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
             "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}}]})
    };
    for name in &names {
        world.apply_as(world.cluster.admin(), &make(name).to_string()).unwrap();
    }
    eventually("they are in force", || {
        let made = world.admin(&["create", "configmap", "machine", "-n", here, "--dry-run=server"]);
        made.err().filter(|said| said.contains("bears a label team"))
    });
    world.kill_operator();
    world.start_operator();
    world.grant(here, "sr-1");
    assert!(world.kim_reads(here, "shop-settings"));
    world.kill_operator();
    // Without what warns of ours besides, it may be one of theirs that is named; nothing is granted by that.
    let kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding";
    world.admin(&[&["delete", kinds][..], &names.iter().map(String::as_str).collect::<Vec<_>>()].concat()).unwrap();
    world.start_operator();
}

#[test]
fn an_upgrade_that_fails_halfway_and_its_rollback_cost_no_pending_request() {
    let (world, _turn) = turn();
    let here = "rolled-back";
    world.subscription(here);
    world.ask(here, "pending");
    let since = authentic_since(world);
    // A chart that changes a policy, brings another, and has a mistake in a third.
    let chart = world.cluster.data().join("chart-of-tomorrow");
    let copied = Command::new("cp").arg("-rL").arg(repository("charts/lockbox")).arg(&chart).status().unwrap();
    assert!(copied.success());
    let create = chart.join("templates/policies/requests-create.yaml");
    let text = std::fs::read_to_string(&create).unwrap();
    std::fs::write(&create, text.replace("so a service account or component cannot request it", "so no machine can"))
        .unwrap();
    let policy = |name: &str, expression: &str| {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata:\n  name: {name}\nspec:\n  matchConstraints:\n    resourceRules:\n    - {{apiGroups: [lockbox.dev], apiVersions: [v1alpha1], operations: [DELETE], resources: [lockboxsettings]}}\n  validations:\n  - expression: \"{expression}\"\n"
        )
    };
    let more = [policy("lockbox-new", "true"), policy("lockbox-zz-mistaken", "this is no CEL")].join("---\n");
    std::fs::write(chart.join("templates/policies/tomorrow.yaml"), more).unwrap();
    let helm = |arguments: &[&str]| {
        let mut helm = world.cluster.helm(world.cluster.admin());
        helm.args(arguments).args(["-n", "lockbox-system"]);
        lockbox_cluster::output(helm)
    };
    let failed = helm(&["upgrade", "lockbox", chart.to_str().unwrap(), "--reuse-values"]).unwrap_err().to_string();
    assert!(failed.contains("lockbox-zz-mistaken"), "{failed}");
    let status = helm(&["status", "lockbox"]).unwrap();
    assert!(status.contains("STATUS: failed"), "{status}");
    helm(&["rollback", "lockbox"]).unwrap();
    world.decide(&world.alice(), here, "pending", "Approve").unwrap();
    world.wait_for_phase(here, "pending", "AccessGranted");
    assert_eq!(authentic_since(world), since);
    upgrade(world);
}

/// An object as a backup brings it back: without what the API server makes, and without the status.
fn restored(object: &Value) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        metadata.remove(field);
    }
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        // Who restores an assignment creates it, and the API server says so.
        annotations.remove("lockbox.dev/created-by");
    }
    if object["kind"] == "Job" {
        // Backup tools take out what would tie it to the Job that it was; our selector is our own, and stays.
        if let Some(labels) = object["spec"]["template"]["metadata"]["labels"].as_object_mut() {
            labels.retain(|label, _| !label.contains("controller-uid") && !label.contains("job-name"));
        }
    }
    object
}

#[test]
fn a_backup_that_is_restored_brings_nobodys_access_back() {
    let (world, _turn) = turn();
    let here = "restored";
    world.subscription(here);
    world.grant(here, "live");
    world.ask(here, "pending");
    let kinds = "lockboxrequests,roleassignments,roles,rolebindings,jobs,configmaps";
    let text = world.admin(&["get", kinds, "-n", here, "-o", "json"]).unwrap();
    let backup: Value = serde_json::from_str(&text).unwrap();
    let backup: Vec<_> = backup["items"].as_array().unwrap().iter().map(restored).collect();
    world.admin(&["delete", "namespace", here, "--timeout=60s"]).unwrap();
    world.admin(&["create", "namespace", here]).unwrap();
    let bring_back = |object: &Value| world.create_as(world.cluster.admin(), &object.to_string());
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    // What was decided is refused by the definitions; where the policies are, they refuse what belongs to a grant, and a
    // request in another's name.
    let (of_lockbox, others): (Vec<_>, Vec<_>) =
        backup.iter().partition(|object| name(object).starts_with("lockbox-") || object["kind"] == "LockboxRequest");
    assert!(of_lockbox.len() >= 5, "{of_lockbox:#?}");
    for object in &of_lockbox {
        let words = if name(object) == "live" { "create the request without decisions" } else { "denied request" };
        support::refused(bring_back(object), &[words]);
    }
    for object in others {
        let made = bring_back(object);
        assert!(made.is_ok() || name(object).contains("kube-root-ca"), "{made:?}");
    }
    // Where they are restored later, what came before them is void.
    let all = ["-l", "app.kubernetes.io/name=lockbox"];
    let bindings = "validatingadmissionpolicybinding,mutatingadmissionpolicybinding";
    world.admin(&[&["delete", bindings][..], &all].concat()).unwrap();
    for object in of_lockbox.iter().filter(|object| name(object) != "live") {
        eventually("it is let in", || bring_back(object).ok().or_else(|| already(world, here, object)));
    }
    let request = world.wait_for_phase(here, "pending", "Rejected");
    assert_eq!(request["status"]["reason"], "AdmissionNotEnforced");
    put_back(world);
    eventually("nothing of the old grant is left", || world.grant_objects(here).is_empty().then_some(()));
    assert!(!world.kim_reads(here, "shop-settings"));
    world.grant(here, "anew");
}

/// What is there already, or was and is gone again: the collector is quick with what has no owner.
fn already(world: &World, namespace: &str, object: &Value) -> Option<String> {
    let (kind, name) = (object["kind"].as_str()?, object["metadata"]["name"].as_str()?);
    world.admin(&["get", kind, name, "-n", namespace]).ok()
}
