//! What one namespace, one object or one version does to everybody else's rights and records: nothing.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::support::{self, ADA, Manifest, World, eventually, operator::Operator, refused, repository, request};
use lockbox_cluster::{Cluster, Options, User};
use serde_json::{Value, json};

/// An operator that starts before the kinds are there waits for them, and is ready as soon as they are.
static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| {
    let world = World::installed_with(Options::default(), |cluster: &Cluster| {
        let early = Operator::start(cluster.admin(), cluster.data(), &[]);
        let log = || std::fs::read_to_string(cluster.data().join(support::operator::LOG)).unwrap_or_default();
        eventually("the operator waits for the kinds", || {
            log().contains("install the chart, or kubectl apply").then_some(())
        });
        early
    });
    eventually("the operator that waited is ready", || {
        world.operator_log().contains("ready: what is stored").then_some(())
    });
    world.kill_operator();
    world.start_operator();
    world.apply_as(&world.ada(), &support::example("global-administrator/settings.yaml")).unwrap();
    world.wait_for_settings();
    world.wait_for_proofs();
    Mutex::new(world)
});

fn world() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn assignment(namespace: &str, name: &str, role: &str) -> Manifest {
    let scope = if role == "GlobalAdministrator" { "Tenant" } else { "Subscription" };
    Manifest(json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"principal": {"kind": "User", "name": format!("{name}@contoso.example")}, "role": role, "scope": scope},
    }))
}

fn may(world: &World, user: &User, what: &[&str]) -> bool {
    world.kubectl(user, &[&["auth", "can-i"], what].concat()).is_ok()
}

fn condition(object: &Value, type_: &str) -> Option<(String, String, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == type_)?;
    let field = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    Some((field("status"), field("reason"), field("message")))
}

/// Reasons and notes of the Events about an object.
fn told(world: &World, namespace: &str, name: &str) -> Vec<(String, String)> {
    let selector = format!("--field-selector=involvedObject.name={name}");
    let text = world.admin(&["get", "events", "-n", namespace, &selector, "-o", "json"]).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let field = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    list["items"].as_array().unwrap().iter().map(|event| (field(event, "reason"), field(event, "message"))).collect()
}

#[test]
fn rights_that_were_taken_away_go_although_another_namespace_is_in_trouble() {
    let world = world();
    // Before the others by name: a comparison in one go would meet it first.
    world.subscription("aaa-trouble");
    world.namespace("zzz-fine");
    let carol = world.user("carol@contoso.example", &[]);
    world.create_as(&world.ada(), &assignment("lockbox-tenant", "carol", "GlobalAdministrator").to_string()).unwrap();
    let administers = || may(&world, &carol, &["administer", "lockboxsettings.lockbox.dev/default"]);
    eventually("Carol administers", || administers().then_some(()));

    let full = "count/rolebindings.rbac.authorization.k8s.io";
    let there = world.admin(&["get", "rolebindings", "-n", "aaa-trouble", "-o", "name"]).unwrap().lines().count();
    world.admin(&["create", "quota", "full", &format!("--hard={full}={there}"), "-n", "aaa-trouble"]).unwrap();
    let counted = json!({full: there.to_string()});
    let counted = json!({"status": {"hard": counted, "used": counted}}).to_string();
    let patch = ["patch", "quota", "full", "-n", "aaa-trouble", "--subresource=status", "--type=merge", "-p", &counted];
    world.admin(&patch).unwrap();
    world.create_as(&world.alice(), &assignment("aaa-trouble", "bob", "LockboxApprover").to_string()).unwrap();
    let (status, reason, message) = eventually("the assignment says why its rights are not there", || {
        condition(&world.get("lra", "aaa-trouble", "bob"), "Bound")
    });
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Refused"), "{message}");
    assert!(message.contains("exceeded quota: full") && message.contains("User bob@contoso.example"), "{message}");

    world.admin(&["delete", "lra", "carol", "-n", "lockbox-tenant"]).unwrap();
    eventually("Carol administers no more", || (!administers()).then_some(()));
    world.create_as(&world.ada(), &assignment("zzz-fine", "dave", "Owner").to_string()).unwrap();
    let dave = world.user("dave@contoso.example", &[]);
    eventually("another namespace's Owner has rights", || {
        may(&world, &dave, &["create", "roleassignments.lockbox.dev", "-n", "zzz-fine"]).then_some(())
    });
    assert!(condition(&world.get("lra", "aaa-trouble", "bob"), "Bound").is_some(), "the trouble is still there");

    world.admin(&["delete", "quota", "full", "-n", "aaa-trouble"]).unwrap();
    eventually("the condition goes with the trouble", || {
        condition(&world.get("lra", "aaa-trouble", "bob"), "Bound").is_none().then_some(())
    });
    let bob = world.user("bob@contoso.example", &[]);
    assert!(may(&world, &bob, &["patch", "lockboxrequests.lockbox.dev", "-n", "aaa-trouble"]));
}

#[test]
fn an_eligible_owner_does_not_make_the_role_permanent_and_loses_it_with_the_activation() {
    let world = world();
    let here = "activated";
    world.subscription(here);
    world
        .create_as(&world.alice(), &assignment(here, "eve", "Owner").set("/spec/type", "Eligible").to_string())
        .unwrap();
    let eve = world.user("eve@contoso.example", &[]);
    let activation = json!({"spec": {"activation": {"justification": "on call", "duration": "8s"}}}).to_string();
    let activate = ["patch", "lra", "eve", "-n", here, "--type=merge", "-p", &activation];
    eventually("Eve may activate", || world.kubectl(&eve, &activate).ok());
    let decides = || may(&world, &eve, &["patch", "lockboxrequests.lockbox.dev", "-n", here]);
    eventually("Eve decides", || decides().then_some(()));
    for who in ["eve", "mallory"] {
        let forever = assignment(here, who, "Owner").set("/metadata/name", "forever").to_string();
        refused(world.create_as(&eve, &forever), &["cannot create resource \"roleassignments\""]);
    }
    let until = world.get("lra", here, "eve")["status"]["activeUntil"].as_str().unwrap().to_owned();
    let until: chrono::DateTime<chrono::Utc> = until.parse().unwrap();
    eventually("Eve decides no more", || (!decides()).then_some(()));
    let late = chrono::Utc::now() - until;
    assert!(late < chrono::TimeDelta::seconds(10), "{} ms after the end", late.num_milliseconds());

    let history: Vec<_> = eventually("the end is in the history", || {
        let history = world.get("lra", here, "eve")["status"]["history"].as_array().unwrap().clone();
        (history.len() == 3).then_some(history)
    });
    let words: Vec<_> =
        history.iter().map(|entry| (entry["action"].as_str().unwrap(), entry["actor"].as_str())).collect();
    assert_eq!(
        words,
        [
            ("CreateRoleAssignment", Some(support::ALICE)),
            ("ActivateRoleAssignment", Some("eve@contoso.example")),
            ("EndActivation", None),
        ]
    );
    world.kubectl(&world.alice(), &["delete", "lra", "eve", "-n", here]).unwrap();
    let all = eventually("each is an Event", || {
        let told = told(&world, here, "eve");
        (told.len() == 4).then_some(told)
    });
    let note =
        |reason: &str| &all.iter().find(|(found, _)| found == reason).unwrap_or_else(|| panic!("{reason}: {all:?}")).1;
    assert!(
        note("CreateRoleAssignment")
            .contains("Eligible Owner for User eve@contoso.example; actor alice@contoso.example")
    );
    assert!(note("ActivateRoleAssignment").contains("on call; actor eve@contoso.example"));
    assert!(note("EndActivation").contains("Owner ended by the clock"));
    assert!(note("DeleteRoleAssignment").contains("its audit log does"));
}

#[test]
fn the_creator_of_an_assignment_is_who_created_it() {
    let world = world();
    let here = "created";
    world.subscription(here);
    let creator = "/metadata/annotations/lockbox.dev~1created-by";
    let forged = |by: &str| {
        let mut forged = assignment(here, "zoe", "LockboxApprover").0;
        forged["metadata"]["annotations"] = json!({"lockbox.dev/created-by": by});
        forged.to_string()
    };
    refused(
        world.create_as(&world.alice(), &forged(ADA)),
        &["lockbox.dev/created-by", "write your own user name, alice@"],
    );
    world.create_as(&world.alice(), &assignment(here, "zoe", "LockboxApprover").to_string()).unwrap();
    assert_eq!(world.get("lra", here, "zoe").pointer(creator).unwrap(), support::ALICE);
    let rewrite = json!({"metadata": {"annotations": {"lockbox.dev/created-by": ADA}}}).to_string();
    for user in [&world.alice(), &world.ada(), world.cluster.admin()] {
        refused(
            world.kubectl(user, &["patch", "lra", "zoe", "-n", here, "--type=merge", "-p", &rewrite]),
            &["leave the annotation lockbox.dev/created-by as it is"],
        );
    }
    // A tool that sends the manifest again does not take it away.
    let replaced = assignment(here, "zoe", "LockboxApprover").to_string();
    world.pipe(&world.ada(), &["replace", "-f", "-"], &replaced).unwrap();
    assert_eq!(world.get("lra", here, "zoe").pointer(creator).unwrap(), support::ALICE);
}

#[test]
fn settings_that_this_version_cannot_read_end_nothing_and_grant_nothing_new() {
    let world = world();
    let here = "skewed";
    world.subscription(here);
    world.grant(here, "has-access");
    world.ask(here, "waits");
    let crd = repository("crds/lockboxsettings.yaml");
    let mut newer: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(&crd).unwrap()).unwrap();
    newer["metadata"]["annotations"]["lockbox.dev/definition"] = json!("sha256:newer");
    let plan = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/supportPlan/enum";
    newer.pointer_mut(plan).unwrap().as_array_mut().unwrap().push(json!("Premium"));
    world.pipe(world.cluster.admin(), &["replace", "-f", "-"], &newer.to_string()).unwrap();
    let patch = |plan: &str| {
        let patch = json!({"spec": {"supportPlan": plan}}).to_string();
        world.kubectl(&world.ada(), &["patch", "lbs", "default", "--type=merge", "-p", &patch])
    };
    eventually("the newer definition is served", || patch("Premium").ok());
    let (status, reason, message) = eventually("the settings say that they cannot be read", || {
        condition(&world.get("lbs", "default", "default"), "Ready").filter(|(status, ..)| status == "False")
    });
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Unreadable"), "{message}");
    assert!(message.contains("Premium"), "{message}");

    // What waits goes on waiting, whatever is decided; what is granted stays. A restart knows no more.
    world.decide(&world.alice(), here, "waits", "Approve").unwrap();
    world.create_as(&world.kim(), &request("new").namespace(here).to_string()).unwrap();
    world.kill_operator();
    world.start_operator();
    for name in ["waits", "new"] {
        eventually(&format!("{name} waits for the settings"), || {
            (world.request(here, name)["status"]["reason"] == "SettingsUnreadable").then_some(())
        });
    }
    assert_eq!(world.phase(here, "has-access"), "AccessGranted");
    assert!(world.kim_reads(here, "shop-settings"));
    assert!(
        may(&world, &world.kim(), &["create", "lockboxrequests.lockbox.dev", "-n", here]),
        "engineers keep their rights"
    );

    patch("ProfessionalDirect").unwrap();
    world.wait_for_phase(here, "waits", "AccessGranted");
    let (status, _, message) = eventually("the settings say that the definitions differ", || {
        condition(&world.get("lbs", "default", "default"), "DefinitionsMatch").filter(|(status, ..)| status == "False")
    });
    assert!(
        message.contains("lockboxsettings.lockbox.dev") && message.contains("kubectl apply"),
        "{status}: {message}"
    );
    world.admin(&["replace", "-f", crd.to_str().unwrap()]).unwrap();
}

#[test]
fn deleted_settings_are_told_and_end_what_they_allowed() {
    let world = world();
    let here = "settings-deleted";
    world.subscription(here);
    world.grant(here, "has-access");
    world.kubectl(&world.ada(), &["delete", "lbs", "default"]).unwrap();
    eventually("it is told", || {
        let told: Vec<_> = told(&world, "default", "default").into_iter().map(|(reason, _)| reason).collect();
        ["DeleteSettings", "DisableLockbox"].iter().all(|reason| told.iter().any(|told| told == reason)).then_some(())
    });
    eventually("access ended", || (!world.kim_reads(here, "shop-settings")).then_some(()));
    world.apply_as(&world.ada(), &support::example("global-administrator/settings.yaml")).unwrap();
    world.wait_for_settings();
    world.wait_for_proofs();
}
