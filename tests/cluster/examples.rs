//! Every file under examples/, applied by the user whose folder it is in, on a real API server.

use std::{collections::BTreeSet, fs, path::Path};

use lockbox_cluster::User;
use serde_json::{Value, json};

use crate::{
    WORLD,
    requirements::{self, approvers, items, may, text, wait_for_assignment, why},
    support::{self, ALICE, KIM, Manifest, World, eventually, example, repository},
};

const NAMESPACE: &str = "contoso-prod";
const GINA: &str = "gina@contoso.example";

/// Applies examples and remembers which.
struct Reader<'a> {
    world: &'a World,
    applied: BTreeSet<String>,
}

impl Reader<'_> {
    /// The user who applies the files of a folder.
    fn user(&self, path: &str) -> User {
        match path.split_once('/').unwrap().0 {
            "cluster-administrator" => self.world.cluster.admin().clone(),
            "global-administrator" | "notifications" => self.world.ada(),
            "owner" => self.world.alice(),
            "engineer" => self.world.kim(),
            folder => panic!("examples/{folder}: whose is it? Name the user here"),
        }
    }

    /// `kubectl apply`, as its comment says; or `kubectl create` for requests, which are made once.
    fn apply(&mut self, path: &str) {
        let text = example(path);
        let verb = if text.contains("kind: LockboxRequest") { "create" } else { "apply" };
        let command = format!("kubectl {verb} -f examples/{path}");
        assert!(text.contains(&command), "examples/{path} should say how it is applied: {command}");
        let file = repository("examples").join(path);
        self.world
            .kubectl(&self.user(path), &[verb, "-f", file.to_str().unwrap()])
            .unwrap_or_else(|said| panic!("examples/{path}: {said}"));
        self.applied.insert(path.to_owned());
    }

    /// A patch of the settings, by dry run: what it ends is in `tests/exclusive/ends.rs`.
    fn patch(&mut self, path: &str) {
        let command = format!("kubectl patch lbs default --type=merge --patch-file examples/{path}");
        assert!(example(path).contains(&command), "examples/{path} should say how it is applied: {command}");
        let file = repository("examples").join(path);
        let patch = ["patch", "lbs", "default", "--type=merge", "--dry-run=server", "--patch-file"];
        self.world
            .kubectl(&self.user(path), &[&patch[..], &[file.to_str().unwrap()]].concat())
            .unwrap_or_else(|said| panic!("examples/{path}: {said}"));
        self.applied.insert(path.to_owned());
    }

    /// Settings that can be used, by the operator's own judgement. Fields that the schema does not know are refused by
    /// kubectl.
    fn settings(&mut self, path: &str) {
        self.apply(path);
        let settings = self.world.wait_for_settings();
        let ready = items(&settings["status"]["conditions"]).iter().find(|one| one["type"] == "Ready").unwrap().clone();
        assert_eq!((text(&ready["status"]), text(&ready["reason"])), ("True", "Enabled"), "examples/{path}: {ready}");
    }

    /// A request and what becomes of it.
    fn request(&mut self, path: &str, phase: &str) -> Value {
        self.apply(path);
        let written: Value = serde_yaml_ng::from_str(&example(path)).unwrap();
        let place = |field: &str| text(&written["metadata"][field]).to_owned();
        self.world.wait_for_phase(&place("namespace"), &place("name"), phase)
    }
}

#[test]
fn every_example_is_applied_by_the_user_whose_folder_it_is_in() {
    let world = &*WORLD;
    // They change the settings again and again.
    let _settings = world.with_settings(&json!({}));
    let mut examples = Reader { world, applied: BTreeSet::new() };
    world.namespace(NAMESPACE);
    world
        .apply_as(world.cluster.admin(), r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"}}"#)
        .unwrap();

    examples.settings("global-administrator/settings.yaml");
    examples.apply("global-administrator/owner-assignment.yaml");
    wait_for_assignment(world, NAMESPACE, "alice-owner", "Active=true");
    eventually("Alice has her rights", || {
        may(world, &world.alice(), &["create", "lra", "-n", NAMESPACE]).then_some(())
    });
    examples.apply("owner/approver-assignment.yaml");
    wait_for_assignment(world, NAMESPACE, "security-team", "Active=true");
    wait_for_assignment(world, NAMESPACE, "carol-on-call", "Recognized=true");
    examples.apply("global-administrator/administrator-assignment.yaml");
    wait_for_assignment(world, "lockbox-tenant", "gina-administrator", "Active=true");

    let asked = examples.request("engineer/request-subscription.yaml", "CustomerNotified");
    assert_eq!(approvers(&asked), [ALICE, "contoso:security"]);
    assert_eq!(requirements::excluded(&asked), [("carol@contoso.example", "NotActive")]);
    world.decide(&world.alice(), NAMESPACE, text(&asked["metadata"]["name"]), "Approve").unwrap();
    world.wait_for_phase(NAMESPACE, text(&asked["metadata"]["name"]), "AccessGranted");
    assert!(world.kim_reads(NAMESPACE, "shop-settings"));
    let tenant = examples.request("engineer/request-tenant.yaml", "CustomerNotified");
    assert!(approvers(&tenant).contains(&GINA) && approvers(&tenant).contains(&support::ADA));
    let escalated = examples.request("engineer/request-escalated.yaml", "CustomerNotified");
    assert!(why(&escalated).1.contains("escalated to Messaging, third level"), "{}", why(&escalated).1);

    examples.apply("cluster-administrator/access-level.yaml");
    examples.apply("cluster-administrator/access-level-no-customer-data.yaml");
    examples.settings("global-administrator/settings-own-levels.yaml");
    let granted = examples.request("engineer/request-no-customer-data.yaml", "AccessGranted");
    assert_eq!(World::actions(&granted), ["AutoApproveLockboxRequest", "GrantAccess"]);
    let edit = Manifest(asked.clone())
        .set("/metadata", json!({"name": "edit", "namespace": NAMESPACE}))
        .without("/status")
        .set("/spec/service", "WebShop")
        .set("/spec/accessLevel", "EditSettings")
        .set("/spec/duration", "1h");
    requirements::create(world, &world.kim(), &edit);
    let edit = world.wait_for_phase(NAMESPACE, "edit", "CustomerNotified");
    let effect = &edit["status"]["effect"];
    assert_eq!(effect["role"], "contoso-edit-settings");
    let reason = "patch, update configmaps: the shop has its settings in ConfigMaps, and support corrects them";
    assert_eq!(effect["reasons"], serde_json::json!([reason]));

    examples.settings("global-administrator/settings-exclusions.yaml");
    let excluded = examples.request("engineer/exclusion.yaml", "Excluded");
    assert_eq!(World::actions(&excluded), ["ExcludeLockboxRequest"]);

    examples.settings("global-administrator/settings-editions.yaml");
    let again = support::request("by-edition").namespace(NAMESPACE);
    requirements::create(world, &world.kim(), &again);
    let by_edition = world.wait_for_phase(NAMESPACE, "by-edition", "CustomerNotified");
    assert!(approvers(&by_edition).contains(&GINA) && approvers(&by_edition).contains(&ALICE));

    examples.settings("global-administrator/settings-strict.yaml");
    let strict = |name: &str| support::request(name).namespace(NAMESPACE).set("/spec/duration", "1h");
    requirements::create(world, &world.kim(), &strict("one-fact"));
    let rejected = world.wait_for_phase(NAMESPACE, "one-fact", "Rejected");
    assert_eq!(why(&rejected).0, "IdentityNotSufficient");
    let groups = ["provider:engineers", "provider:secure-workstations"];
    let kim = world.cluster.user_with_extra(KIM, &groups, &[("provider.example/amr", &["mfa"])]).unwrap();
    requirements::create(world, &kim, &strict("both-facts"));
    let waits = world.wait_for_phase(NAMESPACE, "both-facts", "AwaitingInternalApproval");
    assert_eq!(waits["status"]["requiredApprovals"], 2);
    let lead = world.user("lead@provider.example", &["provider:support-leads"]);
    let decision = json!({"spec": {"internalDecision": {"verdict": "Approve", "reason": "no other way"}}});
    eventually("support leads have their rights", || world.patch(&lead, NAMESPACE, "both-facts", &decision).ok());
    world.wait_for_phase(NAMESPACE, "both-facts", "CustomerNotified");

    examples.patch("global-administrator/stop-an-engineer.yaml");
    examples.patch("global-administrator/stop-all-access.yaml");
    // What their templates write is in crates/messages/tests.
    examples.patch("notifications/slack.yaml");
    examples.patch("notifications/teams.yaml");
    examples.patch("notifications/pagerduty.yaml");

    let all = files(&repository("examples"), "");
    assert_eq!(examples.applied, all, "every example is applied by this test");
}

/// All files below a folder, by their paths from there.
fn files(folder: &Path, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path(), &format!("{path}/")));
        } else {
            found.insert(path);
        }
    }
    found
}
