//! Attacks on what decides who decides: role assignments, settings, access levels, definitions and policies.

use lockbox_cluster::User;
use serde_json::{Value, json};

use crate::{
    steady,
    support::{ADA, ALICE, KIM, Manifest, World, eventually, refused},
};

fn try_create(world: &World, user: &User, manifest: &Manifest) -> Result<String, String> {
    world.pipe(user, &["create", "--dry-run=server", "-f", "-"], &manifest.to_string())
}

fn assignment(namespace: &str, name: &str, principal: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"principal": {"kind": "User", "name": principal}, "role": "LockboxApprover", "scope": "Subscription"},
    }))
}

fn patch(world: &World, user: &User, namespace: &str, name: &str, patch: &Value) -> Result<String, String> {
    world.kubectl(user, &["patch", "lra", name, "-n", namespace, "--type=merge", "-p", &patch.to_string()])
}

#[test]
fn nobody_makes_themselves_or_the_providers_people_an_approver() {
    let world = &*steady();
    let here = "made-approver";
    world.subscription(here);
    for user in [world.kim(), world.user("bob@contoso.example", &[])] {
        refused(
            try_create(world, &user, &assignment(here, "mine", &user.name)),
            &["cannot create resource \"roleassignments\""],
        );
        refused(
            world.kubectl(&user, &["delete", "lra", "alice", "-n", here]),
            &["cannot delete resource \"roleassignments\""],
        );
    }
    // The provider's people whom RBAC would let through: an engineer who administers the namespace.
    world
        .admin(&["create", "rolebinding", "kim", "--clusterrole=lockbox-owner", &format!("--user={KIM}"), "-n", here])
        .unwrap();
    let providers = "you are one of the provider's people, so you cannot assign roles";
    refused(
        try_create(world, &world.kim(), &assignment(here, "mine", KIM)),
        &[providers, "ask an Owner or Global Administrator"],
    );
    refused(try_create(world, &world.kim(), &assignment(here, "mine", "bob@contoso.example")), &[providers]);
    refused(world.kubectl(&world.kim(), &["delete", "lra", "alice", "-n", here]), &[providers]);
    refused(patch(world, &world.kim(), here, "alice", &json!({"metadata": {"labels": {"a": "b"}}})), &[providers]);
    // An Owner who assigns the provider, everybody, or a component: stored, and never counted; or refused.
    let alice = world.alice();
    let built_in = "must not be a built-in user or group";
    refused(
        try_create(
            world,
            &alice,
            &assignment(here, "all", "system:authenticated").set("/spec/principal/kind", "Group"),
        ),
        &["spec.principal", built_in],
    );
    refused(
        try_create(world, &alice, &assignment(here, "all", "system:serviceaccount:a:b")),
        &["spec.principal", built_in],
    );
    let engineers = assignment(here, "engineers", "provider:engineers").set("/spec/principal/kind", "Group");
    world.create_as(&alice, &engineers.to_string()).unwrap();
    world.ask(here, "sr-1");
    let status = world.request(here, "sr-1")["status"].clone();
    assert_eq!(status["approvers"].as_array().unwrap().len(), 1, "Alice alone: {}", status["approvers"]);
    assert!(
        status["excludedApprovers"].to_string().contains("belongs to the provider"),
        "{}",
        status["excludedApprovers"]
    );
    let joe = world.user("joe@provider.example", &["provider:engineers"]);
    // Not even the right to see it came with the assignment.
    refused(world.decide(&joe, here, "sr-1", "Approve"), &["Forbidden"]);
}

#[test]
fn an_old_assignment_is_not_turned_into_another() {
    let world = &*steady();
    let here = "turned";
    world.subscription(here);
    world.assign(here, "eve", "User", "eve@contoso.example", "LockboxApprover");
    let anew = "is immutable: delete this assignment and create another";
    for user in [&world.alice(), &world.ada(), world.cluster.admin()] {
        refused(
            patch(world, user, here, "eve", &json!({"spec": {"principal": {"name": "mallory@contoso.example"}}})),
            &["spec.principal", anew],
        );
        refused(patch(world, user, here, "eve", &json!({"spec": {"role": "Owner"}})), &["spec.role", anew]);
        refused(patch(world, user, here, "eve", &json!({"spec": {"type": "Eligible"}})), &["spec.type", anew]);
    }
    let alice = world.alice();
    refused(
        patch(world, &alice, here, "eve", &json!({"spec": {"activation": {"justification": "a", "duration": "1h"}}})),
        &["only an Eligible assignment can be activated"],
    );
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001"}]);
    refused(
        patch(world, &alice, here, "eve", &json!({"metadata": {"ownerReferences": owner}})),
        &["leave metadata.ownerReferences empty"],
    );
    refused(
        patch(world, &alice, here, "eve", &json!({"metadata": {"finalizers": ["example.org/stay"]}})),
        &["leave metadata.finalizers empty"],
    );
    let stays =
        assignment(here, "stays", "zoe@contoso.example").set("/metadata/finalizers", json!(["example.org/stay"]));
    refused(try_create(world, &alice, &stays), &["leave metadata.finalizers empty"]);
    let eve = world.user("eve@contoso.example", &[]);
    refused(
        patch(world, &eve, here, "eve", &json!({"spec": {"role": "Owner"}})),
        &["cannot patch resource \"roleassignments\""],
    );
    refused(try_create(world, &eve, &assignment(here, "friend", "bob@contoso.example")), &["cannot create resource"]);
}

#[test]
fn an_owner_does_not_become_global_administrator() {
    let world = &*steady();
    world.subscription("climbs");
    let alice = world.alice();
    let tenant = |namespace: &str| {
        assignment(namespace, "alice-too", ALICE).set("/spec/role", "GlobalAdministrator").set("/spec/scope", "Tenant")
    };
    refused(try_create(world, &alice, &tenant("lockbox-tenant")), &["cannot create resource \"roleassignments\""]);
    refused(try_create(world, &alice, &tenant("climbs")), &["denied request"]);
    let mixed = assignment("climbs", "a", ALICE).set("/spec/role", "GlobalAdministrator");
    refused(try_create(world, &alice, &mixed), &["spec.scope", "GlobalAdministrator goes with scope Tenant"]);
    // An owner of the tenant's own namespace, made by the cluster's administrator.
    world
        .admin(&[
            "create",
            "rolebinding",
            "alice",
            "--clusterrole=lockbox-owner",
            &format!("--user={ALICE}"),
            "-n",
            "lockbox-tenant",
        ])
        .unwrap();
    refused(
        try_create(world, &alice, &tenant("lockbox-tenant")),
        &["only Global Administrators may write assignments of scope Tenant"],
    );
    refused(
        try_create(world, &alice, &assignment("lockbox-tenant", "b", ALICE)),
        &["lockbox-tenant takes only assignments of scope Tenant"],
    );
    for namespace in ["kube-system", "lockbox-system"] {
        refused(
            try_create(world, &world.ada(), &assignment(namespace, "a", ALICE)),
            &["nobody can request access to namespace", "so it has no approvers"],
        );
    }
    refused(
        try_create(world, &world.ada(), &tenant("climbs")),
        &["an assignment of scope Tenant belongs in namespace lockbox-tenant, not in climbs"],
    );
    world
        .pipe(&world.ada(), &["create", "--dry-run=server", "-f", "-"], &tenant("lockbox-tenant").to_string())
        .expect("Ada may");
}

#[test]
fn an_eligible_approver_activates_their_own_assignment_and_nothing_else() {
    let world = &*steady();
    let here = "activates";
    world.subscription(here);
    let activation = json!({"justification": "on call", "duration": "1h"});
    let eligible = |name: &str, principal: &str| assignment(here, name, principal).set("/spec/type", "Eligible");
    let alice = world.alice();
    let planted = eligible("carol", "carol@contoso.example").set("/spec/activation", activation.clone());
    refused(try_create(world, &alice, &planted), &["activat"]);
    for name in ["carol", "dave"] {
        world.create_as(&alice, &eligible(name, &format!("{name}@contoso.example")).to_string()).unwrap();
    }
    let carol = world.user("carol@contoso.example", &[]);
    let activate = json!({"spec": {"activation": activation}});
    eventually("Carol may patch", || {
        world.kubectl(&carol, &["auth", "can-i", "patch", "lra/carol", "-n", here]).is_ok().then_some(())
    });
    for other in [&alice, &world.ada(), world.cluster.admin()] {
        refused(
            patch(world, other, here, "carol", &activate),
            &["only carol@contoso.example may activate this assignment"],
        );
    }
    refused(patch(world, &carol, here, "dave", &activate), &["only dave@contoso.example may activate this assignment"]);
    refused(
        patch(world, &carol, here, "alice", &json!({"metadata": {"labels": {"a": "b"}}})),
        &["you may change only spec.activation of your own assignment"],
    );
    refused(
        patch(world, &carol, here, "carol", &json!({"metadata": {"annotations": {"a": "b"}}})),
        &["you may change only spec.activation"],
    );
    let bad = |duration: &str| {
        patch(
            world,
            &carol,
            here,
            "carol",
            &json!({"spec": {"activation": {"justification": "a", "duration": duration}}}),
        )
    };
    refused(bad("0s"), &["spec.activation.duration", "must be a duration such as"]);
    refused(bad("31d"), &["spec.activation.duration", "must be between 1s and 30d"]);
    // Activated only after the request was made: too late for this one.
    world.ask(here, "sr-1");
    patch(world, &carol, here, "carol", &activate).unwrap();
    world.admin(&["wait", "--for=condition=Active=true", "lra/carol", "-n", here, "--timeout=60s"]).unwrap();
    world
        .admin(&[
            "create",
            "rolebinding",
            "carol",
            "--clusterrole=lockbox-approver",
            "--user=carol@contoso.example",
            "-n",
            here,
        ])
        .unwrap();
    refused(world.decide(&carol, here, "sr-1", "Approve"), &["you are not a designated approver of this request"]);
    world.ask(here, "sr-2");
    world.decide(&carol, here, "sr-2", "Deny").unwrap();
    world.wait_for_phase(here, "sr-2", "Denied");
}

#[test]
fn only_global_administrators_write_settings_and_they_bear_the_writers_name() {
    let world = &*steady();
    world.subscription("settings");
    let change = |user: &User, patch: Value| {
        world.kubectl(user, &["patch", "lbs", "default", "--type=merge", "-p", &patch.to_string()])
    };
    for user in [&world.kim(), &world.alice()] {
        refused(change(user, json!({"spec": {"jit": {"rules": []}}})), &["cannot patch resource \"lockboxsettings\""]);
        refused(world.kubectl(user, &["delete", "lbs", "default"]), &["cannot delete resource \"lockboxsettings\""]);
    }
    let ada = world.ada();
    let by = |name: &str| json!({"metadata": {"annotations": {"lockbox.dev/changed-by": name}}});
    let _ = change(&ada, by("mallory@contoso.example"));
    let stored = world.get("lbs", "default", "default");
    assert_eq!(
        stored["metadata"]["annotations"]["lockbox.dev/changed-by"], ADA,
        "who changed the settings last stays true"
    );
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001"}]);
    refused(
        change(&ada, json!({"metadata": {"ownerReferences": owner}})),
        &["leave metadata.ownerReferences and metadata.finalizers of the settings empty"],
    );
    refused(
        change(&ada, json!({"metadata": {"finalizers": ["example.org/stay"]}})),
        &["leave metadata.ownerReferences and metadata.finalizers of the settings empty"],
    );
    let mut second = Manifest(stored).set("/metadata", json!({"name": "second"}));
    second = second.without("/status");
    refused(try_create(world, &ada, &second), &["default"]);
    for duration in ["0", "0s", "-4d", "9999d", "soon"] {
        refused(change(&ada, json!({"spec": {"pendingTimeout": duration}})), &["spec.pendingTimeout", "must be"]);
    }
}

#[test]
fn an_access_level_is_made_by_administrators_and_never_holds_what_outlives_or_widens_an_access() {
    let world = &*steady();
    let level = |rules: Value| {
        Manifest(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "contoso-level", "labels": {"lockbox.dev/access-level": "true"}}, "rules": rules,
        }))
    };
    let rule = |group: &str, resource: &str, verb: &str| json!([{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]);
    let admin = world.cluster.admin();
    try_create(world, admin, &level(rule("", "configmaps", "get"))).unwrap();
    // An administrator of roles who administers nothing of Lockbox.
    world
        .admin(&[
            "create",
            "clusterrole",
            "roles-everything",
            "--verb=*",
            "--resource=clusterroles.rbac.authorization.k8s.io",
        ])
        .unwrap();
    world
        .admin(&[
            "create",
            "clusterrolebinding",
            "roles",
            "--clusterrole=roles-everything",
            "--user=rob@contoso.example",
        ])
        .unwrap();
    let rob = world.user("rob@contoso.example", &[]);
    let alone = "only Global Administrators may create and change an access level (label lockbox.dev/access-level)";
    eventually("Rob has his role", || {
        world.kubectl(&rob, &["auth", "can-i", "patch", "clusterroles"]).is_ok().then_some(())
    });
    refused(try_create(world, &rob, &level(rule("", "configmaps", "get"))), &[alone]);
    refused(
        world.kubectl(&rob, &["label", "clusterrole", "cluster-admin", "lockbox.dev/access-level=true"]),
        &["denied request"],
    );
    refused(
        world.admin(&["label", "clusterrole", "cluster-admin", "lockbox.dev/access-level=true"]),
        &["an access level cannot hold this: wildcards"],
    );
    let wildcards = "wildcards, list groups, resources and verbs one by one: rules[0] ";
    let hand = "verbs that reach past RBAC or past the end of the access, take them out: rules[0] ";
    let reach = "credentials, or ways past admission, take them out: rules[0] ";
    let pods = "writes that make Pods or rights, or change records, leave get, list and watch: rules[0] ";
    let unknown =
        "not known to be harmless, take them out or name them in the annotation lockbox.dev/extra-rights: rules[0] ";
    for (rules, words) in [
        (rule("*", "configmaps", "get"), wildcards),
        (rule("", "*", "get"), wildcards),
        (rule("", "pods/*", "get"), wildcards),
        (rule("", "configmaps", "*"), wildcards),
        (
            json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]),
            "nonResourceURLs, take them out: rules[0] /metrics",
        ),
        (rule("", "secrets", "get"), reach),
        (rule("", "serviceaccounts/token", "create"), reach),
        (rule("", "pods/proxy", "get"), reach),
        (rule("", "pods/ephemeralcontainers", "patch"), reach),
        (rule("", "nodes/proxy", "get"), reach),
        (rule("certificates.k8s.io", "certificatesigningrequests", "create"), reach),
        (rule("rbac.authorization.k8s.io", "clusterroles", "escalate"), hand),
        (rule("rbac.authorization.k8s.io", "clusterroles", "bind"), hand),
        (rule("", "users", "impersonate"), hand),
        (rule("", "pods", "create"), pods),
        (rule("apps", "deployments", "patch"), pods),
        (rule("apps", "deployments/scale", "update"), pods),
        (rule("batch", "cronjobs", "create"), pods),
        (rule("rbac.authorization.k8s.io", "rolebindings", "create"), pods),
        (rule("lockbox.dev", "roleassignments", "create"), pods),
        (rule("lockbox.dev", "lockboxrequests", "patch"), pods),
        (rule("apiextensions.k8s.io", "customresourcedefinitions", "patch"), pods),
        (rule("admissionregistration.k8s.io", "validatingadmissionpolicybindings", "delete"), pods),
        (rule("", "configmaps", "patch"), unknown),
        (rule("helm.toolkit.fluxcd.io", "helmreleases", "create"), unknown),
        (
            json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [""], "verbs": ["get"]}]),
            "resourceNames that stand for all objects, take them out: rules[0] ",
        ),
    ] {
        refused(try_create(world, admin, &level(rules)), &["an access level cannot hold this", words]);
    }
    let aggregated =
        level(json!([])).set("/aggregationRule", json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}));
    refused(try_create(world, admin, &aggregated), &["list the rules in the access level itself"]);
    refused(
        world.admin(&[
            "patch",
            "clusterrole",
            "lockbox-shell",
            "--type=json",
            "-p",
            r#"[{"op":"add","path":"/rules/0/verbs/-","value":"delete"}]"#,
        ]),
        &["cannot hold this", "delete pods"],
    );
}

#[test]
fn the_definitions_of_our_kinds_are_changed_by_administrators_of_lockbox_alone() {
    let world = &*steady();
    world
        .admin(&[
            "create",
            "clusterrole",
            "crds",
            "--verb=*",
            "--resource=customresourcedefinitions.apiextensions.k8s.io,apiservices.apiregistration.k8s.io",
        ])
        .unwrap();
    world
        .admin(&["create", "clusterrolebinding", "crds", "--clusterrole=crds", "--user=cher@contoso.example"])
        .unwrap();
    let cher = world.user("cher@contoso.example", &[]);
    eventually("Cher has her role", || {
        world.kubectl(&cher, &["auth", "can-i", "delete", "customresourcedefinitions"]).is_ok().then_some(())
    });
    let alone = "only Global Administrators may change Lockbox's CRDs";
    let crd = "lockboxrequests.lockbox.dev";
    let without_status = r#"[{"op":"remove","path":"/spec/versions/0/subresources"}]"#;
    refused(world.kubectl(&cher, &["patch", "crd", crd, "--type=json", "-p", without_status]), &[alone]);
    refused(world.kubectl(&cher, &["label", "crd", crd, "a=b"]), &[alone]);
    refused(world.kubectl(&cher, &["delete", "crd", crd, "--wait=false"]), &[alone]);
    refused(world.kubectl(&cher, &["delete", "apiservice", "v1alpha1.lockbox.dev"]), &[alone]);
    let names = r#"{"status":{"acceptedNames":{"kind":"Other"}}}"#;
    refused(
        world.kubectl(&cher, &["patch", "crd", crd, "--subresource=status", "--type=merge", "-p", names]),
        &["cannot"],
    );
    let groups = Manifest(serde_json::from_str(&world.admin(&["get", "crd", crd, "-o", "json"]).unwrap()).unwrap())
        .set("/metadata", json!({"name": "others.lockbox.dev"}))
        .set("/spec/names", json!({"kind": "Other", "listKind": "OtherList", "plural": "others", "singular": "other"}))
        .without("/status");
    refused(try_create(world, &cher, &groups), &[alone]);
}
