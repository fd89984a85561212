//! A token of the operator's that is used from elsewhere than its Pod, with the chart as it is installed by default.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use lockbox_cluster::Options;
use serde_json::json;
use support::{World, eventually, refused, repository};

#[test]
fn the_operators_token_is_of_no_use_outside_of_its_pod() {
    let world = World::installed(Options::default());
    let mut helm = world.cluster.helm(world.cluster.admin());
    helm.args(["upgrade", "lockbox"]).arg(repository("charts/lockbox"));
    helm.args(["-n", "lockbox-system", "--reuse-values", "--set", "operator.onlyFromItsPod=true"]);
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
    let own = "the lockbox operator writes from its own Pod alone";
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
}
