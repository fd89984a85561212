//! The net under every access, and what others' policies have to say: the deadline Job ends an access whatever the people of
//! the namespace hang on it, and what the API server would not take is found where access is asked for. The tests take
//! turns: each changes what the others rely on.

use std::{collections::BTreeMap, future::Future};

use chrono::{DateTime, Utc};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::{
    Client, Config as Connection,
    config::{KubeConfigOptions, Kubeconfig},
};
use lockbox::{
    cluster::Cluster,
    config::{Config, Marks},
};
use lockbox_api::{LockboxRequest, Scope};
use lockbox_lifecycle::PlacementView;
use serde_json::{Value, json};

use crate::{
    support::{self, KIM, Manifest, World, eventually, refused},
    turn,
};

fn moment(text: &Value) -> DateTime<Utc> {
    text.as_str().unwrap().parse().unwrap()
}

fn grant_name(request: &Value) -> String {
    format!("lockbox-grant-{}", request["metadata"]["uid"].as_str().unwrap())
}

/// What the chart tells the operator when its values leave everything as it is.
fn plain() -> Config {
    Config {
        namespace: "lockbox-system".into(),
        tenant_namespace: "lockbox-tenant".into(),
        instance: "test".into(),
        listen: None,
        activity: None,
        concurrency: 1,
        leader_election: false,
        deadline_job_image: "lockbox-operator:1".into(),
        grant: Marks::default(),
        deadline_job: Marks::default(),
        notifications: None,
    }
}

/// The API server as the operator uses it, with the operator's own credential.
fn with_cluster<F, T>(world: &World, config: Config, act: impl FnOnce(Cluster) -> F) -> T
where
    F: Future<Output = T>,
{
    let account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let kubeconfig = Kubeconfig::read_from(&account.kubeconfig).unwrap();
        let connection = Connection::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        act(Cluster::new(Client::try_from(connection).unwrap(), config)).await
    })
}

fn stored(world: &World, namespace: &str, name: &str) -> LockboxRequest {
    serde_json::from_value(world.request(namespace, name)).unwrap()
}

fn reads_shop_settings() -> Vec<PolicyRule> {
    vec![PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["configmaps".into()]),
        resource_names: Some(vec!["shop-settings".into()]),
        verbs: vec!["get".into()],
        non_resource_urls: None,
    }]
}

/// A trial for a stored request, as the operator would make it before an approver is asked.
fn trial(world: &World, config: Config, request: &LockboxRequest, rules: &[PolicyRule]) -> PlacementView {
    with_cluster(
        world,
        config,
        |cluster| async move { cluster.try_placement(request, rules, Utc::now()).await.unwrap() },
    )
}

/// A policy of somebody's, which holds in one namespace. It is gone when the value goes.
struct Foreign<'a> {
    world: &'a World,
    name: String,
}

impl<'a> Foreign<'a> {
    fn new(world: &'a World, namespace: &str, resource: (&str, &str), operation: &str, expression: &str) -> Self {
        let name = format!("foreign-{namespace}");
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {"failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{"apiGroups": [resource.0], "apiVersions": ["v1"], "operations": [operation], "resources": [resource.1]}]},
                "validations": [{"expression": expression, "message": "not as we like it"}]},
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}},
        });
        for object in [policy, binding] {
            world.create_as(world.cluster.admin(), &object.to_string()).unwrap();
        }
        Self { world, name }
    }
}

impl Drop for Foreign<'_> {
    fn drop(&mut self) {
        let kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy";
        let _ = self.world.admin(&["delete", kinds, &self.name]);
    }
}

#[test]
fn nothing_that_an_editor_of_the_namespace_makes_keeps_an_access_from_ending_while_the_operator_is_down() {
    let (world, _turn) = turn();
    let here = "held";
    world.subscription(here);
    world
        .admin(&["create", "rolebinding", "bob", "--clusterrole=edit", "--user=bob@contoso.example", "-n", here])
        .unwrap();
    let bob = world.user("bob@contoso.example", &[]);
    let manifest = support::request("sr-1").namespace(here).set("/spec/duration", "25s");
    world.create_as(&world.kim(), &manifest.to_string()).unwrap();
    world.wait_for_phase(here, "sr-1", "CustomerNotified");
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    let granted = world.wait_for_phase(here, "sr-1", "AccessGranted");
    let name = grant_name(&granted);
    let uid = world.get("job", here, &name)["metadata"]["uid"].as_str().unwrap().to_owned();
    assert!(world.kim_reads(here, "shop-settings"));
    world.kill_operator();

    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true}]);
    let pod = |pod: &str, labels: Value| {
        Manifest(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod, "namespace": here, "labels": labels, "finalizers": ["example.com/hold"]},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "none"}]},
        }))
    };
    let said = "remove the label lockbox.dev/deadline from metadata.labels";
    let ours = json!({"lockbox.dev/deadline": name});
    // The Pod that the Job would adopt: made with the label, given it later, or by another way.
    for object in [pod("guest", ours.clone()), pod("guest", json!({"lockbox.dev/deadline": "another"}))] {
        refused(world.create_as(&bob, &object.to_string()), &[said]);
    }
    let classic = json!({
        "controller-uid": uid, "batch.kubernetes.io/controller-uid": uid, "job-name": name, "batch.kubernetes.io/job-name": name,
    });
    world.create_as(&bob, &pod("guest", classic.clone()).to_string()).expect("a Pod like any other");
    refused(
        world.kubectl(&bob, &["label", "pod", "guest", "-n", here, &format!("lockbox.dev/deadline={name}")]),
        &[said],
    );
    let patch = json!({"metadata": {"labels": ours}}).to_string();
    let status = ["patch", "pod", "guest", "-n", here, "--subresource=status", "--type=merge", "-p", &patch];
    refused(world.admin(&status), &[said]);
    let bound = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "guest", "namespace": here, "labels": ours}, "target": {"kind": "Node", "name": "n"}});
    let raw = ["create", "--raw", &format!("/api/v1/namespaces/{here}/pods/guest/binding"), "-f", "-"];
    refused(world.pipe(world.cluster.admin(), &raw, &bound.to_string()), &[said]);
    // One that says itself that it is the Job's, and something that the Job's deletion in the foreground waits for.
    world
        .create_as(&bob, &pod("child", classic).set("/metadata/ownerReferences", owner.clone()).to_string())
        .expect("a Pod like any other");
    let anchor = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "anchor", "namespace": here, "finalizers": ["example.com/hold"], "ownerReferences": owner}});
    world.create_as(&bob, &anchor.to_string()).expect("a ConfigMap like any other");
    // Another Job that selects the same Pods.
    let twin = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "twin", "namespace": here},
        "spec": {"manualSelector": true, "selector": {"matchLabels": ours}, "template": {"metadata": {"labels": ours},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "none"}]}}},
    });
    world.create_as(&bob, &twin.to_string()).expect("a Job like any other");
    // The Job itself.
    for change in [
        json!({"spec": {"suspend": true}}),
        json!({"spec": {"parallelism": 1}}),
        json!({"spec": {"activeDeadlineSeconds": 100_000}}),
        json!({"spec": {"ttlSecondsAfterFinished": 100_000}}),
        json!({"metadata": {"finalizers": ["example.com/hold"]}}),
        json!({"metadata": {"ownerReferences": null}}),
        json!({"metadata": {"annotations": {"scheduling.k8s.io/group-template-name": "x"}}}),
    ] {
        let patch = change.to_string();
        refused(
            world.kubectl(&bob, &["patch", "job", &name, "-n", here, "--type=merge", "-p", &patch]),
            &["only the lockbox operator may create, change and delete it"],
        );
    }

    let until = moment(&granted["status"]["accessUntil"]);
    eventually("the access ends by itself", || (!world.kim_reads(here, "shop-settings")).then_some(()));
    let late = Utc::now() - until;
    assert!(late < chrono::TimeDelta::seconds(30), "it ended {late} after its end");
    for held in ["pod/guest", "pod/child", "configmap/anchor"] {
        let _ = world.admin(&["patch", held, "-n", here, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
    }
    world.start_operator();
    world.wait_for_phase(here, "sr-1", "Completed");
}

#[test]
fn what_others_would_refuse_is_found_by_a_trial_where_access_is_asked_for() {
    let (world, _turn) = turn();
    let here = "tried";
    world.subscription(here);
    world.ask(here, "sr-1");
    let request = stored(world, here, "sr-1");
    let rules = reads_shop_settings();
    assert_eq!(trial(world, plain(), &request, &rules), PlacementView::Fits);
    assert_eq!(world.grant_objects(here), "", "a trial leaves nothing behind");

    let team = BTreeMap::from([("team".to_owned(), "platform".to_owned())]);
    let mut dressed = plain();
    dressed.deadline_job_image = "registry.corp/none:1".into();
    dressed.grant.labels = team;
    let (jobs, rbac) = ("batch", "rbac.authorization.k8s.io");
    let labelled = "has(object.metadata.labels) && 'team' in object.metadata.labels";
    let image = "object.spec.template.spec.containers.all(c, c.image.startsWith('registry.corp/'))";
    for (resource, expression) in [
        ((jobs, "jobs"), image),
        ((jobs, "jobs"), labelled),
        ((rbac, "roles"), labelled),
        ((rbac, "rolebindings"), labelled),
    ] {
        let _foreign = Foreign::new(world, here, resource, "CREATE", expression);
        eventually(&format!("{resource:?}: the trial says what stands in the way"), || {
            let PlacementView::Blocked(said) = trial(world, plain(), &request, &rules) else { return None };
            (said.starts_with(resource.1) && said.contains("not as we like it")).then_some(())
        });
        // What the chart's values can put right. The policy before this one may still bite for a moment.
        eventually(&format!("{resource:?}: the chart's values help"), || {
            (trial(world, dressed.clone(), &request, &rules) == PlacementView::Fits).then_some(())
        });
    }
    {
        let subjects = format!("!object.subjects.exists(s, s.name == '{KIM}')");
        let _foreign = Foreign::new(world, here, (rbac, "rolebindings"), "CREATE", &subjects);
        eventually("it is tried with the very user", || {
            matches!(trial(world, plain(), &request, &rules), PlacementView::Blocked(_)).then_some(())
        });
    }
    eventually("without the policy it fits", || {
        (trial(world, plain(), &request, &rules) == PlacementView::Fits).then_some(())
    });
    {
        let _foreign = Foreign::new(world, here, (rbac, "rolebindings"), "DELETE", "false");
        eventually("access that could not be ended is not given", || {
            let PlacementView::Blocked(said) = trial(world, plain(), &request, &rules) else { return None };
            (said.contains("access could not be ended here") && said.contains("'foreign-tried'")).then_some(())
        });
    }
    eventually("without the policy it fits", || {
        (trial(world, plain(), &request, &rules) == PlacementView::Fits).then_some(())
    });
    // What the operator does not hold, it cannot hand out: the trial finds it out with the very rules.
    let secrets = vec![PolicyRule { resources: Some(vec!["secrets".into()]), ..rules[0].clone() }];
    let PlacementView::Blocked(said) = trial(world, plain(), &request, &secrets) else { panic!("secrets fit") };
    assert!(said.contains("attempting to grant RBAC permissions not currently held"), "{said}");
    // What is wrong with our own objects stays wrong.
    let broken = vec![PolicyRule { verbs: vec![], ..rules[0].clone() }];
    let found = trial(world, plain(), &request, &broken);
    assert!(matches!(&found, PlacementView::Refused(said) if said.contains("is invalid")), "{found:?}");
    world.forbid_jobs(here);
    eventually("a full quota shows", || {
        let PlacementView::Blocked(said) = trial(world, plain(), &request, &rules) else { return None };
        said.contains("exceeded quota").then_some(())
    });
    // The tenant's: a ClusterRole and its binding.
    let mut tenant = request;
    tenant.spec.scope = Scope::Tenant;
    assert_eq!(trial(world, plain(), &tenant, &rules), PlacementView::Fits);
}

#[test]
fn what_somebodys_policy_refuses_is_made_when_the_policy_is_gone() {
    let (world, _turn) = turn();
    let here = "passes";
    world.subscription(here);
    world.ask(here, "sr-1");
    let foreign = Foreign::new(world, here, ("batch", "jobs"), "CREATE", "false");
    let probe = ["create", "job", "probe", "--image=none.invalid/none", "-n", here, "--dry-run=server"];
    eventually("the policy bites", || world.admin(&probe).is_err().then_some(()));
    world.decide(&world.alice(), here, "sr-1", "Approve").unwrap();
    let waits = eventually("the request says what stands in the way", || {
        let request = world.request(here, "sr-1");
        request["status"]["message"].as_str().unwrap().contains("'foreign-passes'").then_some(request)
    });
    assert_eq!(waits["status"]["phase"], "Approved");
    drop(foreign);
    world.wait_for_phase(here, "sr-1", "AccessGranted");
    assert!(world.kim_reads(here, "shop-settings"));
}

#[test]
fn while_somebodys_policy_would_refuse_the_access_no_approver_is_asked_and_the_request_says_why() {
    let (world, _turn) = turn();
    let here = "unasked";
    world.subscription(here);
    let foreign = Foreign::new(world, here, ("rbac.authorization.k8s.io", "rolebindings"), "CREATE", "false");
    let probe = ["create", "rolebinding", "probe", "--clusterrole=view", "--user=x", "-n", here, "--dry-run=server"];
    eventually("the policy bites", || world.admin(&probe).is_err().then_some(()));
    world.create_as(&world.kim(), &support::request("sr-1").namespace(here).to_string()).unwrap();
    let waits = eventually("the request says what stands in the way", || {
        let request = world.request(here, "sr-1");
        request["status"]["message"].as_str().is_some_and(|said| said.contains("'foreign-unasked'")).then_some(request)
    });
    assert_eq!(waits["status"]["phase"], "Evaluating");
    drop(foreign);
    world.wait_for_phase(here, "sr-1", "CustomerNotified");
}

#[test]
fn access_ends_although_somebody_refuses_the_deletion_of_its_binding() {
    let (world, _turn) = turn();
    let here = "refused-end";
    world.subscription(here);
    world.grant(here, "sr-1");
    assert_eq!(world.grant_objects(here).lines().count(), 3, "a Job, a Role and a binding");
    let foreign = Foreign::new(world, here, ("rbac.authorization.k8s.io", "rolebindings"), "DELETE", "false");
    let name = grant_name(&world.request(here, "sr-1"));
    let dry = ["delete", "rolebinding", "alice-owner", "-n", here, "--dry-run=server"];
    world
        .admin(&[
            "create",
            "rolebinding",
            "alice-owner",
            "--clusterrole=view",
            "--user=nina@contoso.example",
            "-n",
            here,
        ])
        .unwrap();
    eventually("the policy bites", || world.admin(&dry).is_err().then_some(()));
    world.patch(&world.alice(), here, "sr-1", &json!({"spec": {"revocation": {"reason": "enough"}}})).unwrap();
    eventually("without its Role the binding gives nothing", || {
        (!world.kim_reads(here, "shop-settings")).then_some(())
    });
    assert!(world.admin(&["get", "rolebinding", &name, "-n", here]).is_ok());
    drop(foreign);
    world.wait_for_phase(here, "sr-1", "Revoked");
    eventually("nothing is left", || world.grant_objects(here).is_empty().then_some(()));
    // To end what has ended does no harm.
    with_cluster(world, plain(), |cluster| async move {
        cluster.end_grant(Scope::Subscription, here, &name, true).await.unwrap();
        cluster.end_grant(Scope::Tenant, "", &name, true).await.unwrap();
    });
}

#[test]
fn the_trial_of_the_safety_net_is_made_of_what_a_grant_is_made_of() {
    let (world, _turn) = turn();
    let made = |name: &'static str| {
        with_cluster(world, plain(), |cluster| async move { cluster.make_canary(name, Utc::now()).await })
    };
    let left = || {
        let kinds = ["get", "job,role,rolebinding", "-n", "lockbox-system", "-l", "lockbox.dev/canary"];
        let mut list: Value =
            serde_json::from_str(&world.admin(&[&kinds[..], &["-o", "json"]].concat()).unwrap()).unwrap();
        let mut items = list["items"].take();
        items.as_array_mut().unwrap().retain(|item| item["metadata"]["name"].as_str().unwrap().ends_with("equal"));
        items
    };
    // Stopped, so that what is made can be looked at.
    let controllers = world.cluster.pid("kube-controller-manager").unwrap().to_string();
    let signal =
        |name: &str| assert!(std::process::Command::new("kill").args([name, &controllers]).status().unwrap().success());
    signal("-STOP");
    let result = made("lockbox-canary-equal");
    let items = left();
    signal("-CONT");
    result.unwrap();
    let kinds: Vec<_> = items.as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Job", "Role", "RoleBinding"]);
    assert_eq!(items[2]["subjects"][0]["name"], "nobody@lockbox.invalid");
    assert!(
        items
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["metadata"]["annotations"]["lockbox.dev/access-until"].is_string())
    );
    eventually("it goes by itself", || {
        with_cluster(
            world,
            plain(),
            |cluster| async move { cluster.canary_is_gone("lockbox-canary-equal").await.unwrap() },
        )
        .then_some(())
    });
    // Who refuses bindings there is noticed, and nothing is left.
    let _foreign =
        Foreign::new(world, "lockbox-system", ("rbac.authorization.k8s.io", "rolebindings"), "CREATE", "false");
    let said = eventually("the trial finds the policy", || {
        let result = made("lockbox-canary-unequal");
        if result.is_ok() {
            eventually("it goes by itself", || left().as_array().unwrap().is_empty().then_some(()));
        }
        result.err()
    });
    assert!(said.to_string().contains("'foreign-lockbox-system'"), "{said}");
    eventually("nothing is left", || left().as_array().unwrap().is_empty().then_some(()));
}
