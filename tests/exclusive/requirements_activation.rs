//! Whether Lockbox is on, and for what (M1 to M4, M16), on a real API server.

use std::collections::BTreeSet;

use lockbox_lifecycle::services::CATALOGUE;
use serde_json::{Value, json};

use crate::{
    requirements::{self, ADMINISTRATOR, ask_under, create, items, list_and, may, settings_events, text, why},
    support::{Manifest, World, eventually, request},
    turn,
};

/// The example's request, for a Pod.
fn pod(name: &str, namespace: &str, service: &str) -> Manifest {
    request(name)
        .namespace(namespace)
        .set("/spec/service", service)
        .set("/spec/resources", json!([{"resource": "pods", "name": "shop-0"}]))
}

fn incident(name: &str, namespace: &str) -> Manifest {
    let incident =
        json!({"id": "INC-1", "url": "https://support.example/incidents/1", "summary": "Gateways drop requests"});
    request(name)
        .namespace(namespace)
        .without("/spec/supportRequest")
        .set("/spec/origin", "ProviderInitiated")
        .set("/spec/incident", incident)
}

// M1

#[test]
fn the_customer_approves_or_denies_the_rare_request_for_customer_data_whether_ticket_or_provider_started_it() {
    let (world, _turn) = turn();
    world.subscription("origins");
    let kim = world.kim();
    for (manifest, stated) in [
        (request("ticket").namespace("origins"), "support request 2611210040000123"),
        (incident("incident", "origins"), "incident INC-1"),
    ] {
        let name = requirements::name(&manifest);
        let asked = ask_under(world, &json!({}), &kim, &manifest, "CustomerNotified");
        assert_eq!(asked["spec"]["origin"], manifest.0["spec"]["origin"]);
        let changed = json!({"spec": {"origin": "SupportRequest", "justification": "another"}});
        let refused = world.patch(&kim, "origins", &name, &changed).unwrap_err();
        assert!(refused.contains("is immutable: to ask for something else, create a new request"), "{refused}");
        let told = eventually("the Event says where it comes from", || {
            world.events("origins", &name).into_iter().find(|(reason, _)| reason == "CreateLockboxRequest")
        });
        assert!(told.1.starts_with("Create Lockbox Request: ") && told.1.contains(stated), "{}", told.1);
    }
    world.decide(&world.alice(), "origins", "ticket", "Approve").unwrap();
    world.wait_for_phase("origins", "ticket", "AccessGranted");
    world.decide(&world.alice(), "origins", "incident", "Deny").unwrap();
    world.wait_for_phase("origins", "incident", "Denied");

    let tickets = json!({"origins": ["SupportRequest"]});
    let rejected = ask_under(world, &tickets, &kim, &incident("not-accepted", "origins"), "Rejected");
    assert_eq!(
        why(&rejected),
        (
            "OriginNotAccepted",
            "spec.origin: ProviderInitiated is not accepted here; spec.origins of the LockboxSettings accepts [SupportRequest]."
        )
    );
}

// M2

#[test]
fn a_support_plan_of_at_least_developer_is_needed_and_below_it_nothing_is_processed_and_the_request_says_why() {
    let (world, _turn) = turn();
    world.subscription("plans");
    let kim = world.kim();
    for (plan, phase) in [
        ("Basic", "NotTriggered"),
        ("Developer", "CustomerNotified"),
        ("Standard", "CustomerNotified"),
        ("ProfessionalDirect", "CustomerNotified"),
    ] {
        let manifest = request(&plan.to_lowercase()).namespace("plans");
        let asked = ask_under(world, &json!({"supportPlan": plan}), &kim, &manifest, phase);
        if plan == "Basic" {
            assert_eq!(
                why(&asked),
                (
                    "SupportPlanTooLow",
                    "Customer Lockbox needs a support plan of at least Developer; spec.supportPlan of the LockboxSettings is Basic."
                )
            );
            assert_eq!(World::actions(&asked), ["SkipLockboxRequest"]);
            assert!(asked["status"]["grant"].is_null());
        }
    }
    assert!(!world.kim_reads("plans", "shop-settings"));
}

// M3

#[test]
fn a_global_administrator_switches_lockbox_on_or_it_is_on_with_the_plan_and_each_change_is_an_event_with_its_actor() {
    let (world, _turn) = turn();
    world.subscription("switched");
    let kim = world.kim();
    let ask = |settings: &Value, name: &str, phase: &str| {
        ask_under(world, settings, &kim, &request(name).namespace("switched"), phase)
    };
    let off = ask(&json!({"enabled": false}), "off", "NotTriggered");
    assert_eq!(
        why(&off),
        (
            "LockboxDisabled",
            "Customer Lockbox is switched off; a Global Administrator sets spec.enabled of the LockboxSettings to true."
        )
    );
    ask(&json!({"enabled": null}), "unsaid", "NotTriggered");
    let automatic = json!({"enablement": "AutomaticWithPlan", "enabled": null});
    ask(&automatic, "automatic", "CustomerNotified");
    let without_plan = json!({"enablement": "AutomaticWithPlan", "enabled": null, "supportPlan": "Basic"});
    assert_eq!(why(&ask(&without_plan, "automatic-without", "NotTriggered")).0, "SupportPlanTooLow");

    // Nobody else switches it on: not an Owner, not the provider.
    let patch = ["patch", "lbs", "default", "--type=merge", "-p", r#"{"spec":{"enabled":false}}"#];
    for user in [&world.alice(), &kim] {
        let refused = world.kubectl(user, &patch).unwrap_err();
        assert!(refused.contains("cannot patch resource \"lockboxsettings\""), "{refused}");
    }

    let settings = world.with_settings(&json!({}));
    let generation = || world.get("lbs", "default", "default")["metadata"]["generation"].as_i64().unwrap();
    let told = |reason: &str, words: &str, what: &str| {
        let note = format!("{words} by {ADMINISTRATOR}{what}; generation {} of the LockboxSettings", generation());
        eventually(&note.clone(), || settings_events(world, reason).contains(&note).then_some(()));
    };
    settings.change(&json!({"enabled": false}));
    told("ChangeSettings", "Change Settings", ": enabled: true, now false");
    told("DisableLockbox", "Disable Customer Lockbox", "");
    assert_eq!(world.wait_for_settings()["status"]["enabled"], false);
    settings.change(&json!({"enabled": true}));
    told("EnableLockbox", "Enable Customer Lockbox", "");
    settings.change(&json!({"pendingTimeout": "3d"}));
    told("ChangeSettings", "Change Settings", ": pendingTimeout: 4d, now 3d");
    let before = settings_events(world, "EnableLockbox").len();
    settings.change(&json!({"pendingTimeout": "2d"}));
    told("ChangeSettings", "Change Settings", ": pendingTimeout: 3d, now 2d");
    assert_eq!(settings_events(world, "EnableLockbox").len(), before, "what stays on is not switched on");
    // The record says the truth: nobody writes another's name there.
    let forged = ["annotate", "lbs", "default", "--overwrite", "lockbox.dev/changed-by=mallory@contoso.example"];
    let _ = world.kubectl(&world.ada(), &forged);
    let annotations = world.get("lbs", "default", "default")["metadata"]["annotations"].clone();
    assert_eq!(annotations["lockbox.dev/changed-by"], ADMINISTRATOR);
}

#[test]
fn while_lockbox_is_off_nothing_is_granted_and_what_was_waiting_or_granted_ends() {
    let (world, _turn) = turn();
    world.subscription("switching");
    let kim = world.kim();
    let leads = json!({"approvers": [{"kind": "Group", "name": "provider:support-leads"}], "count": 1});
    let logs = json!({
        "name": "logs-need-a-lead", "match": {"accessLevels": ["ReadLogs"]}, "effect": "Permit",
        "require": {"internalApproval": leads},
    });
    let rules = json!({"rules": list_and("/spec/jit/rules", &[logs])});
    for (how, off, reason) in [
        ("switch", json!({"enabled": false, "jit": rules}), "LockboxDisabled"),
        ("plan", json!({"supportPlan": "Basic", "jit": rules}), "SupportPlanTooLow"),
    ] {
        let settings = world.with_settings(&json!({"jit": rules}));
        let named = |what: &str| format!("{how}-{what}");
        for what in ["granted", "pending"] {
            create(world, &kim, &request(&named(what)).namespace("switching"));
            world.wait_for_phase("switching", &named(what), "CustomerNotified");
        }
        create(
            world,
            &kim,
            &pod(&named("internal"), "switching", "AppService")
                .set("/spec/accessLevel", "ReadLogs")
                .set("/spec/duration", "1h"),
        );
        world.wait_for_phase("switching", &named("internal"), "AwaitingInternalApproval");
        world.decide(&world.alice(), "switching", &named("granted"), "Approve").unwrap();
        world.wait_for_phase("switching", &named("granted"), "AccessGranted");
        assert!(world.kim_reads("switching", "shop-settings"));

        settings.change(&off);
        let revoked = world.wait_for_phase("switching", &named("granted"), "Revoked");
        assert_eq!(why(&revoked).0, reason);
        assert!(why(&revoked).1.ends_with("The access was ended."), "{}", why(&revoked).1);
        assert_eq!(World::actions(&revoked).last(), Some(&"RevokeAccess"));
        assert!(!world.kim_reads("switching", "shop-settings"));
        let cancelled = world.wait_for_phase("switching", &named("pending"), "Cancelled");
        assert_eq!(why(&cancelled).0, reason);
        assert_eq!(World::actions(&cancelled), ["CreateLockboxRequest", "CancelLockboxRequest"]);
        let skipped = world.wait_for_phase("switching", &named("internal"), "NotTriggered");
        assert_eq!(why(&skipped).0, reason);
        // Switched on again, what ended stays ended.
        settings.change(&json!({}));
        world.decide(&world.alice(), "switching", &named("pending"), "Approve").unwrap_err();
        assert_eq!(world.phase("switching", &named("granted")), "Revoked");
    }
}

#[test]
fn an_exclusion_is_recorded_for_the_customer_even_while_lockbox_is_off() {
    let (world, _turn) = turn();
    world.subscription("excluded-while-off");
    let commanders = json!([{"kind": "Group", "name": "provider:incident-commanders"}]);
    let allowed = json!([{"circumstance": "BreakGlass", "by": commanders}]);
    let _settings = world.with_settings(&json!({"enabled": false, "exclusions": {"allowed": allowed}}));
    let iris = world.user("iris@provider.example", &["provider:incident-commanders"]);
    eventually("commanders may record", || {
        may(world, &iris, &["create", "lbr", "-n", "excluded-while-off"]).then_some(())
    });
    let record = incident("fire", "excluded-while-off").set("/spec/circumstance", "BreakGlass");
    create(world, &iris, &record);
    world.wait_for_phase("excluded-while-off", "fire", "Excluded");
}

// M4

#[test]
fn the_catalogue_says_which_services_are_generally_available_in_preview_or_not_supported_with_advice() {
    let (world, _turn) = turn();
    world.subscription("catalogue");
    let kim = world.kim();
    let ask = |settings: &Value, name: &str, service: &str, phase: &str| {
        ask_under(world, settings, &kim, &pod(name, "catalogue", service), phase)
    };
    let none = json!({});
    ask(&none, "available", "AppService", "CustomerNotified");
    // An alias is the same service.
    let alias = ask(&none, "alias", "CognitiveSearch", "CustomerNotified");
    assert_eq!(alias["spec"]["service"], "CognitiveSearch");

    let unknown = ask(&none, "unknown", "AppSrvice", "NotTriggered");
    assert_eq!(
        why(&unknown),
        (
            "UnknownService",
            "spec.service: AppSrvice is not in the catalogue of services (status.services of the LockboxSettings). Did you mean AppService?"
        )
    );
    let classic = ask(&none, "classic", "VirtualMachinesClassic", "NotTriggered");
    assert_eq!(
        why(&classic),
        (
            "ServiceNotSupported",
            "spec.service: VirtualMachinesClassic is not supported by Customer Lockbox; move the machines to the service VirtualMachines."
        )
    );

    let closed = ask(&none, "preview", "MachineLearning", "NotTriggered");
    assert_eq!(
        why(&closed),
        (
            "PreviewNotOptedIn",
            "spec.service: MachineLearning with access level ReadObjects is in preview, and the customer has not opted in (spec.previewServices of the LockboxSettings)."
        )
    );
    let listed = |names: Value| json!({"previewServices": {"optIn": "Listed", "names": names}});
    ask(&listed(json!(["MachineLearning"])), "listed", "MachineLearning", "CustomerNotified");
    ask(&listed(json!(["MachineLearning"])), "not-listed", "Batch", "NotTriggered");
    ask(&json!({"previewServices": {"optIn": "All"}}), "all", "Batch", "CustomerNotified");

    // The catalogue is data: a service is added, another overridden, a stage is by scenario.
    let services = json!({"services": [
        {"name": "Shop", "stage": "GeneralAvailability", "resources": [{"resource": "pods"}],
         "accessLevels": ["ReadObjects", "ReadLogs"], "scenarios": [{"accessLevel": "ReadLogs", "stage": "Preview"}]},
        {"name": "AppService", "stage": "NotSupported", "advice": "ask for Shop"},
    ]});
    ask(&services, "added", "Shop", "CustomerNotified");
    let logs = pod("scenario", "catalogue", "Shop").set("/spec/accessLevel", "ReadLogs").set("/spec/duration", "1h");
    let scenario = ask_under(world, &services, &kim, &logs, "NotTriggered");
    assert_eq!(why(&scenario).0, "PreviewNotOptedIn");
    let overridden = ask(&services, "overridden", "AppService", "NotTriggered");
    assert_eq!(why(&overridden).1, "spec.service: AppService is not supported by Customer Lockbox; ask for Shop.");
}

// M16

#[test]
fn a_customer_reviews_for_each_service_whether_lockbox_applies_as_the_benchmark_control_asks() {
    let (world, _turn) = turn();
    let _settings = world.with_settings(&json!({}));
    // Who approves somewhere may review.
    world.namespace("reviewed");
    world.assign("reviewed", "rita", "User", "rita@contoso.example", "LockboxApprover");
    let reviewer = world.user("rita@contoso.example", &[]);
    eventually("the settings can be read", || may(world, &reviewer, &["get", "lbs/default"]).then_some(()));
    let settings = world.kubectl(&reviewer, &["get", "lbs", "default", "-o", "json"]).unwrap();
    let settings: Value = serde_json::from_str(&settings).unwrap();
    assert_eq!(
        settings["status"]["benchmark"],
        json!({
            "control": "PA-8",
            "title": "Determine access process for cloud provider support",
            "formerly": "Azure Security Benchmark 3.13",
        })
    );
    let services = items(&settings["status"]["services"]);
    let reviewed: BTreeSet<_> = services.iter().map(|service| text(&service["name"])).collect();
    let known: BTreeSet<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
    assert_eq!(reviewed, known, "every service of the catalogue, and no other");
    let verdict = |name: &str| {
        let service = services.iter().find(|service| service["name"] == name).unwrap();
        (service["applies"].as_bool().unwrap(), text(&service["reason"]))
    };
    let (applies, why) = verdict("AppService");
    assert!(applies && why.starts_with("Applies: this cluster serves pods, "), "{why}");
    let (applies, why) = verdict("DataBox");
    assert_eq!(
        (applies, why),
        (false, "Not applicable here: this cluster serves none of its kinds (datavolumes.cdi.kubevirt.io).")
    );
    assert_eq!(
        verdict("VirtualMachinesClassic"),
        (false, "Not supported: move the machines to the service VirtualMachines.")
    );
    let (applies, why) = verdict("MachineLearning");
    assert!(!applies && why.starts_with("In preview and not opted in: "), "{why}");
    assert!(services.iter().all(|service| !text(&service["reason"]).is_empty()));
}
