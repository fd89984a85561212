//! Attacks on an installation with the stricter options of the chart and of the API server.

use lockbox_cluster::Options;
use serde_json::json;

use crate::support::{World, eventually, example, refused, repository};

#[test]
fn the_operators_token_is_of_no_use_outside_of_its_pod() {
    let world = World::installed(Options::default());
    let mut helm = world.cluster.helm(world.cluster.admin());
    helm.args(["upgrade", "lockbox"]).arg(repository("charts/lockbox"));
    helm.args(["-n", "lockbox-system", "--reuse-values", "--set", "operator.onlyFromItsPod=true"]);
    helm.args([
        "--set",
        "provider.onlyThroughLockbox=true,provider.groups[0]=provider:engineers,provider.users[0]=kim@provider.example",
    ]);
    lockbox_cluster::output(helm).unwrap();
    world.namespace("elsewhere");
    let people = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "lockbox-people-1", "labels": {"lockbox.dev/people": "requester", "app.kubernetes.io/managed-by": "lockbox"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "lockbox-requester"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory@provider.example"}],
    })
    .to_string();
    let account = "system:serviceaccount:lockbox-system:lockbox-operator";
    let create = ["create", "--dry-run=server", "-f", "-"];
    let thief = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let own = "the lockbox operator may write only from its own Pod";
    eventually("the policy is in force", || world.pipe(&thief, &create, &people).is_err().then_some(()));
    refused(world.pipe(&thief, &create, &people), &[own]);
    refused(world.kubectl(&thief, &["delete", "clusterrole", "view"]), &["denied request"]);
    let impersonator = format!("--as={account}");
    refused(world.pipe(world.cluster.admin(), &[&create[..], &[&impersonator]].concat(), &people), &[own]);
    let groups = &["system:serviceaccounts", "system:serviceaccounts:lockbox-system", "system:authenticated"];
    let from = |pod: &str| {
        let extra: &[(&str, &[&str])] = &[("authentication.kubernetes.io/pod-name", &[pod])];
        let user = world.cluster.user_with_extra(account, groups, extra).unwrap();
        world.pipe(&user, &create, &people)
    };
    refused(from("shop-0"), &[own]);
    from("lockbox-operator-5d4f9c7b6-x2x2x").expect("its own Pod may");

    // provider.onlyThroughLockbox: nobody but Global Administrators binds the provider's people.
    world
        .admin(&["create", "clusterrolebinding", "nina", "--clusterrole=admin", "--user=nina@contoso.example"])
        .unwrap();
    let nina = world.user("nina@contoso.example", &[]);
    let through = "the provider's people get access through a LockboxRequest";
    let bind = |subject: &str| {
        world.kubectl(
            &nina,
            &["create", "rolebinding", "b", "--clusterrole=view", subject, "-n", "elsewhere", "--dry-run=server"],
        )
    };
    for subject in ["--user=kim@provider.example", "--group=provider:engineers", "--group=system:authenticated"] {
        refused(bind(subject), &[through]);
    }
    bind("--user=olga@contoso.example").expect("the customer's own people are not Lockbox's business");
    // provider.users and groups: known before and without the settings.
    let provider = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment", "metadata": {"name": "kim", "namespace": "elsewhere"},
        "spec": {"principal": {"kind": "User", "name": "kim@provider.example"}, "role": "LockboxApprover", "scope": "Subscription"},
    });
    let said = world.pipe(&world.ada(), &["create", "--dry-run=server", "-f", "-"], &provider.to_string());
    refused(said, &["kim@provider.example belongs to the provider, so they cannot decide for the customer"]);
}

/// Names as directories have them: quotes, backslashes, blanks, distinguished names, and what would end a CEL string.
#[test]
fn names_as_directories_have_them_are_barred_like_any_other() {
    let users = [
        "o'brien@provider.example",
        r"PROVIDER\eve",
        r#"Lea "Lo" Lang"#,
        r"back\",
        "CN=Joe,OU=Ops,DC=provider",
        "' || true || '",
    ];
    let long = format!("CN={},OU=Groups,DC=provider,DC=example", "a".repeat(250));
    let groups = ["Domain Admins", r"PROVIDER\Cluster Admins", "it's us", &long, "https://sts.example/\u{fc}ber"];
    let world = World::installed(Options::default());
    let mut helm = world.cluster.helm(world.cluster.admin());
    helm.args(["upgrade", "lockbox"]).arg(repository("charts/lockbox"));
    helm.args(["-n", "lockbox-system", "--reuse-values"]);
    helm.args([
        "--set-json",
        &format!("provider={}", json!({"users": users, "groups": groups, "onlyThroughLockbox": true})),
    ]);
    helm.args(["--set-json", &format!("identity.extraPrefixes={}", json!(["provider.example/", "it's/"]))]);
    let people: Vec<_> = groups.iter().map(|name| json!({"kind": "Group", "name": name})).collect();
    helm.args(["--set-json", &format!("bootstrap.auditors={}", json!(people))]);
    helm.args(["--set-json", &format!("settings.readableBy={}", json!(groups))]);
    lockbox_cluster::output(helm).unwrap();
    world.namespace("names");
    let assign = |kind: &str, name: &str| {
        let assignment = json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment", "metadata": {"name": "one", "namespace": "names"},
            "spec": {"principal": {"kind": kind, "name": name}, "role": "LockboxApprover", "scope": "Subscription"},
        });
        world.pipe(&world.ada(), &["create", "--dry-run=server", "-f", "-"], &assignment.to_string())
    };
    world
        .admin(&["create", "clusterrolebinding", "nina", "--clusterrole=admin", "--user=nina@contoso.example"])
        .unwrap();
    let nina = world.user("nina@contoso.example", &[]);
    let bind = |kind: &str, name: &str| {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "one", "namespace": "names"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}],
        });
        world.pipe(&nina, &["create", "--dry-run=server", "-f", "-"], &binding.to_string())
    };
    eventually("the policies are in force", || {
        (assign("User", users[0]).is_err() && bind("User", users[0]).is_err()).then_some(())
    });
    let both = users.iter().map(|name| ("User", *name)).chain(groups.iter().map(|name| ("Group", *name)));
    for (kind, name) in both {
        refused(assign(kind, name), &["belongs to the provider, so they cannot decide for the customer"]);
        refused(bind(kind, name), &["the provider's people get access through a LockboxRequest"]);
    }
    // Users in any case, groups as they are.
    refused(assign("User", "O'Brien@Provider.example"), &["belongs to the provider"]);
    refused(bind("User", r"provider\EVE"), &["get access through a LockboxRequest"]);
    for (kind, name) in
        [("User", "brien@provider.example"), ("User", "back"), ("Group", "Domain"), ("Group", "domain admins")]
    {
        assign(kind, name).unwrap();
        bind(kind, name).unwrap();
    }
    let lang = world.user(r#"Lea "Lo" Lang"#, &[]);
    world
        .admin(&[
            "create",
            "rolebinding",
            "lang",
            "--clusterrole=lockbox-owner",
            &format!("--user={}", lang.name),
            "-n",
            "names",
        ])
        .unwrap();
    let own = json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment", "metadata": {"name": "one", "namespace": "names"},
        "spec": {"principal": {"kind": "User", "name": "bob@contoso.example"}, "role": "LockboxApprover", "scope": "Subscription"},
    });
    let said = world.pipe(&lang, &["create", "--dry-run=server", "-f", "-"], &own.to_string());
    refused(said, &["you are one of the provider's people, so you cannot assign roles"]);
}

#[test]
fn an_api_server_that_guards_owner_references_and_approvals_that_name_what_they_approve() {
    let plugin = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".to_owned();
    let world = World::installed(Options { apiserver_args: vec![plugin], ..Options::default() });
    let mut helm = world.cluster.helm(world.cluster.admin());
    helm.args(["upgrade", "lockbox"]).arg(repository("charts/lockbox"));
    helm.args(["-n", "lockbox-system", "--reuse-values", "--set", "approvals.requireEffectHash=true"]);
    lockbox_cluster::output(helm).unwrap();
    world.start_operator();
    world.apply_as(&world.ada(), &example("global-administrator/settings.yaml")).unwrap();
    world.wait_for_settings();
    world.subscription("strict");
    world.ask("strict", "sr-1");
    let hash = world.request("strict", "sr-1")["status"]["effect"]["hash"].as_str().unwrap().to_owned();
    let alice = world.alice();
    let names = "an approval must name what it approves: read status.effect, then add \"effectHash\"";
    let said = eventually("the policy is in force", || {
        let patch = json!({"spec": {"decision": {"verdict": "Approve"}}}).to_string();
        world
            .kubectl(
                &alice,
                &["patch", "lbr", "sr-1", "-n", "strict", "--type=merge", "--dry-run=server", "-p", &patch],
            )
            .err()
    });
    assert!(said.contains(names) && said.contains(&hash), "{said}");
    let decision = json!({"spec": {"decision": {"verdict": "Approve", "effectHash": hash}}});
    world.patch(&alice, "strict", "sr-1", &decision).unwrap();
    world.wait_for_phase("strict", "sr-1", "AccessGranted");
    assert!(world.kim_reads("strict", "shop-settings"));
}
