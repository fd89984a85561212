use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use lockbox_api::{
    Scope,
    settings::{GroupResource, ServiceStatus},
};

/// Settings of the given fields.
fn settings(fields: Value) -> LockboxSettingsSpec {
    let mut whole = json!({"supportPlan": "Developer"});
    let (Value::Object(all), Value::Object(given)) = (&mut whole, fields) else { panic!("fields are an object") };
    all.extend(given);
    serde_json::from_value(whole).unwrap()
}

fn built_in() -> Vec<Service> {
    CATALOGUE.iter().map(Service::from).collect()
}

/// Names of the services of which the edition lists at least one thing in this way.
fn listed(edition: Edition, listing: Listing) -> Vec<&'static str> {
    let is_listed = |entry: &&Entry| entry.listings(edition).any(|found| found == listing);
    CATALOGUE.iter().filter(is_listed).map(|entry| entry.name).collect()
}

fn count(edition: Edition) -> (usize, usize, usize, usize) {
    let of = |listing| listed(edition, listing).len();
    (of(Listing::GeneralAvailability), of(Listing::Preview), of(Listing::Supported), of(Listing::NotSupported))
}

/// One of ours, or one of Kubernetes' own names: at most 63 of the schema's characters.
fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= 63 && name.chars().all(inner) && outer(name.chars().next()) && outer(name.chars().next_back())
}

fn reviewed<'a>(statuses: &'a [ServiceStatus], name: &str) -> &'a ServiceStatus {
    statuses.iter().find(|status| status.name == name).unwrap_or_else(|| panic!("{name} is not in the review"))
}

// ---- the data

#[test]
fn every_edition_lists_as_many_services_as_its_document() {
    assert_eq!(count(Edition::Of2019), (3, 5, 0, 1));
    assert_eq!(count(Edition::Of2020), (3, 18, 0, 1));
    assert_eq!(count(Edition::Of2021), (19, 0, 0, 0));
    assert_eq!(count(Edition::Of2023), (31, 2, 0, 0));
    assert_eq!(count(Edition::Of2024), (0, 0, 39, 0));
}

#[test]
fn the_first_two_editions_have_one_generally_available_scenario_of_three_workloads() {
    for edition in [Edition::Of2019, Edition::Of2020] {
        let workloads = ["VirtualMachines", "CloudServices", "VirtualMachineScaleSets"];
        assert_eq!(listed(edition, Listing::GeneralAvailability), workloads, "{edition:?}");
        let machines = CATALOGUE.iter().find(|entry| entry.name == "VirtualMachines").unwrap();
        for scenario in machines.scenarios {
            let available = scenario.listing(edition) == Listing::GeneralAvailability;
            assert_eq!(available, scenario.access_level == REMOTE_DESKTOP, "{edition:?} {}", scenario.access_level);
        }
    }
}

#[test]
fn the_two_previews_of_2023_are_the_only_previews_today() {
    let today: Vec<_> = CATALOGUE.iter().filter(|e| e.stage == Stage::Preview).map(|e| e.name).collect();
    assert_eq!(today, listed(Edition::Of2023, Listing::Preview));
    assert_eq!(today, ["MachineLearning", "Batch"]);
}

#[test]
fn whatever_the_newest_edition_lists_is_generally_available() {
    for name in listed(Edition::Of2024, Listing::Supported) {
        let entry = CATALOGUE.iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(entry.stage, Stage::GeneralAvailability, "{name}");
        assert!(entry.scenarios.iter().all(|s| s.stage == Stage::GeneralAvailability), "{name}");
    }
}

#[test]
fn every_entry_stands_in_some_edition() {
    for entry in CATALOGUE {
        let somewhere = Edition::ALL.into_iter().flat_map(|edition| entry.listings(edition));
        assert!(somewhere.into_iter().any(|listing| listing != Listing::Absent), "{}", entry.name);
    }
}

#[test]
fn what_is_not_supported_comes_with_advice() {
    let refused: Vec<_> = CATALOGUE.iter().filter(|e| e.stage == Stage::NotSupported).collect();
    assert_eq!(refused.iter().map(|e| e.name).collect::<Vec<_>>(), ["VirtualMachinesClassic"]);
    assert!(refused.iter().all(|entry| entry.advice.is_some_and(|advice| advice.contains("VirtualMachines"))));
}

#[test]
fn no_entry_reaches_secrets_and_key_vault_is_not_there() {
    for service in built_in() {
        for kind in &service.resources {
            let reaches = ["secret", "token", "serviceaccount", "vault", "certificate"];
            assert!(!reaches.iter().any(|part| kind.resource.contains(part)), "{}: {kind:?}", service.name);
        }
        for name in service.aliases.iter().chain([&service.name]) {
            assert!(!name.to_lowercase().contains("vault"), "{name}");
        }
    }
}

#[test]
fn every_name_and_alias_stands_for_one_service_and_fits_the_schema() {
    let mut seen = BTreeMap::new();
    for entry in CATALOGUE {
        for name in entry.aliases.iter().copied().chain([entry.name]) {
            assert!(is_name(name), "{name}");
            // Not even apart from upper and lower case: people mistake one for the other.
            assert_eq!(seen.insert(name.to_lowercase(), entry.name), None, "{name}");
        }
    }
}

#[test]
fn every_kind_fits_the_schema_and_is_named_once_in_its_service() {
    let resource_fits = |text: &str| {
        let inner = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        inner && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
    };
    let group_fits = |text: &str| {
        text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c)) && text.len() <= 253
    };
    for service in built_in() {
        let different: BTreeSet<_> = service.resources.iter().collect();
        assert_eq!(different.len(), service.resources.len(), "{} names a kind twice", service.name);
        for kind in &service.resources {
            assert!(resource_fits(&kind.resource), "{}: {kind:?}", service.name);
            assert!(group_fits(&kind.group), "{}: {kind:?}", service.name);
            // Groups without a dot are Kubernetes' own.
            let own = ["", "apps", "batch"].contains(&kind.group.as_str());
            assert!(own || kind.group.contains('.'), "{}: {kind:?}", service.name);
        }
    }
}

#[test]
fn every_entry_keeps_the_bounds_of_the_schema() {
    for service in built_in() {
        let name = &service.name;
        assert!(service.resources.len() <= 32, "{name}");
        assert!(service.access_levels.len() <= 16 && service.scenarios.len() <= 16, "{name}");
        assert!((1..=2).contains(&service.scopes.len()) && service.aliases.len() <= 8, "{name}");
        assert!(service.display_name.as_ref().is_some_and(|text| (1..=128).contains(&text.len())), "{name}");
        assert!(service.advice.as_ref().is_none_or(|text| (1..=256).contains(&text.len())), "{name}");
    }
}

#[test]
fn access_levels_go_with_the_kinds() {
    let has = |service: &Service, group: &str, resource: &str| {
        service.resources.iter().any(|kind| kind.group == group && kind.resource == resource)
    };
    for service in built_in() {
        let name = &service.name;
        let allows = |level: &str| service.access_levels.iter().any(|known| known == level);
        assert_eq!(service.access_levels.is_empty(), service.resources.is_empty(), "{name}");
        assert_eq!(allows(READ_OBJECTS), !service.resources.is_empty(), "{name}");
        assert_eq!(allows(READ_LOGS), has(&service, "", "pods"), "{name}");
        assert!(!allows(SHELL) || has(&service, "", "pods"), "{name}");
        assert_eq!(allows(MANAGED_DISK), has(&service, "", "persistentvolumeclaims"), "{name}");
        for level in [REMOTE_DESKTOP, MEMORY_DUMP] {
            assert_eq!(allows(level), has(&service, "kubevirt.io", "virtualmachines"), "{name} {level}");
        }
        for scenario in &service.scenarios {
            assert!(allows(&scenario.access_level), "{name} {}", scenario.access_level);
        }
    }
}

#[test]
fn kinds_of_the_whole_cluster_come_with_the_tenant_scope_and_the_other_way_round() {
    let of_the_cluster = ["nodes", "namespaces", "persistentvolumes", "volumeattachments"];
    for service in built_in() {
        let some = service.resources.iter().any(|kind| of_the_cluster.contains(&kind.resource.as_str()));
        assert_eq!(service.scopes.contains(&Scope::Tenant), some, "{}", service.name);
        assert!(service.scopes.contains(&Scope::Subscription), "{}", service.name);
    }
}

#[test]
fn subscription_transfers_are_read_only() {
    let transfers = Catalogue::new(&settings(json!({}))).find("SubscriptionTransfers").unwrap();
    assert_eq!(transfers.access_levels, [READ_OBJECTS]);
}

// ---- finding

#[test]
fn a_service_is_found_by_its_exact_name_or_alias() {
    let settings = settings(json!({}));
    let catalogue = Catalogue::new(&settings);
    assert_eq!(catalogue.find("VirtualMachines").unwrap().name, "VirtualMachines");
    assert_eq!(catalogue.find("CognitiveSearch").unwrap().name, "AISearch");
    assert_eq!(catalogue.canonical("CognitiveSearch"), Some("AISearch"));
    for unknown in ["virtualmachines", "VirtualMachine", "KeyVault", "", " VirtualMachines"] {
        assert_eq!(catalogue.find(unknown), None, "{unknown:?}");
    }
}

#[test]
fn the_nearest_name_is_one_that_can_be_asked_for() {
    let settings = settings(json!({}));
    let catalogue = Catalogue::new(&settings);
    for (asked, meant) in [
        ("virtualmachines", Some("VirtualMachines")),
        ("VirtualMachine", Some("VirtualMachines")),
        ("Virtual-Machines", Some("VirtualMachines")),
        ("VritualMachines", Some("VirtualMachines")),
        ("cognitivesearch", Some("CognitiveSearch")),
        ("Bacth", Some("Batch")),
        ("Storrage", Some("Storage")),
        ("KeyVault", None),
        ("Blockchain", None),
        ("", None),
        ("X", None),
    ] {
        assert_eq!(catalogue.nearest(asked), meant, "{asked:?}");
    }
    assert_eq!(catalogue.nearest("Batsh"), Some("Batch"));
    assert_eq!(catalogue.nearest("Bxxxh"), None, "of a short name, a letter in three may be wrong");
    assert_eq!(catalogue.nearest(&"Storage".repeat(100_000)), None);
}

#[test]
fn settings_override_an_entry_as_a_whole_and_in_its_place() {
    let settings = settings(json!({"services": [
        {"name": "Zebra", "stage": "GeneralAvailability", "resources": [{"resource": "secrets"}]},
        {"name": "AISearch", "stage": "NotSupported", "advice": "use Storage"},
        {"name": "Aardvark", "stage": "Preview", "aliases": ["AntEater"]},
    ]}));
    let catalogue = Catalogue::new(&settings);
    let search = catalogue.find("AISearch").unwrap();
    assert_eq!((search.stage, search.resources.len()), (Stage::NotSupported, 0));
    assert_eq!(catalogue.find("CognitiveSearch"), None, "aliases are overridden too");
    assert_eq!(catalogue.find("AntEater").unwrap().name, "Aardvark");

    let names: Vec<_> = catalogue.iter().map(|service| service.name).collect();
    let expected: Vec<_> = CATALOGUE.iter().map(|entry| entry.name).chain(["Aardvark", "Zebra"]).collect();
    assert_eq!(names, expected);
}

#[test]
fn the_order_of_the_settings_changes_nothing() {
    let entry = |name: &str| json!({"name": name, "stage": "GeneralAvailability"});
    let one = settings(json!({"services": [entry("B"), entry("A"), entry("Storage")]}));
    let other = settings(json!({"services": [entry("Storage"), entry("A"), entry("B")]}));
    let all = |settings| Catalogue::new(settings).iter().collect::<Vec<_>>();
    assert_eq!(all(&one), all(&other));
}

#[test]
fn a_service_named_twice_counts_once() {
    let settings = settings(json!({"services": [
        {"name": "Zebra", "stage": "Preview"}, {"name": "Zebra", "stage": "GeneralAvailability"},
        {"name": "Storage", "stage": "Preview"}, {"name": "Storage", "stage": "GeneralAvailability"},
    ]}));
    let catalogue = Catalogue::new(&settings);
    for name in ["Zebra", "Storage"] {
        let all: Vec<_> = catalogue.iter().filter(|service| service.name == name).collect();
        assert_eq!(all.iter().map(|service| service.stage).collect::<Vec<_>>(), [Stage::Preview], "{name}");
    }
}

// ---- stages

#[test]
fn a_scenario_has_its_own_stage() {
    let settings = settings(json!({"services": [{
        "name": "VirtualMachines", "stage": "GeneralAvailability",
        "scenarios": [{"accessLevel": "MemoryDump", "stage": "Preview"}],
    }]}));
    let machines = Catalogue::new(&settings).find("VirtualMachines").unwrap();
    assert_eq!(stage_for(&machines, MEMORY_DUMP), Stage::Preview);
    assert_eq!(stage_for(&machines, REMOTE_DESKTOP), Stage::GeneralAvailability);
    assert_eq!(stage_for(&machines, "NoSuchLevel"), Stage::GeneralAvailability);
}

#[test]
fn a_customer_opts_in_by_name_or_alias_or_altogether() {
    let opted = |preview: Value, service: &str| {
        let settings = settings(json!({"previewServices": preview}));
        opted_in(&settings, &Catalogue::new(&settings).find(service).unwrap())
    };
    assert!(!opted(json!({}), "Batch"));
    assert!(opted(json!({"optIn": "All"}), "Batch"));
    assert!(opted(json!({"optIn": "Listed", "names": ["Batch"]}), "Batch"));
    assert!(!opted(json!({"optIn": "Listed", "names": ["Batch"]}), "MachineLearning"));
    assert!(opted(json!({"optIn": "Listed", "names": ["CognitiveSearch"]}), "AISearch"));
    assert!(!opted(json!({"optIn": "None", "names": ["Batch"]}), "Batch"), "names are read only when Listed");
}

// ---- review

/// A cluster without any custom resource.
fn plain(kind: &GroupResource) -> bool {
    ["", "apps", "batch", "networking.k8s.io", "storage.k8s.io", "events.k8s.io"].contains(&kind.group.as_str())
}

#[test]
fn the_review_has_every_service_of_the_documents() {
    let statuses = review(&settings(json!({})), &|_| true);
    let names: Vec<_> = statuses.iter().map(|status| status.name.as_str()).collect();
    assert_eq!(names, CATALOGUE.iter().map(|entry| entry.name).collect::<Vec<_>>());
}

#[test]
fn the_review_says_why_in_one_sentence() {
    let statuses = review(&settings(json!({})), &plain);
    for (name, applies, reason) in [
        (
            "SQLDatabase",
            true,
            "Applies: this cluster serves pods, deployments.apps, statefulsets.apps, replicasets.apps, persistentvolumeclaims; not installed: volumesnapshots.snapshot.storage.k8s.io.",
        ),
        ("DataBox", false, "Not applicable here: this cluster serves none of its kinds (datavolumes.cdi.kubevirt.io)."),
        ("HealthBot", false, "Not applicable here: nothing on Kubernetes corresponds to this service."),
        ("VirtualMachinesClassic", false, "Not supported: move the machines to the service VirtualMachines."),
        (
            "Batch",
            false,
            "In preview and not opted in: set spec.previewServices.optIn to Listed and add Batch to spec.previewServices.names.",
        ),
    ] {
        let status = reviewed(&statuses, name);
        assert_eq!((status.applies, status.reason.as_str()), (applies, reason), "{name}");
    }
}

#[test]
fn a_preview_applies_once_the_customer_opts_in() {
    let listed = |names: Value| settings(json!({"previewServices": {"optIn": "Listed", "names": names}}));
    let statuses = review(&listed(json!(["MachineLearning"])), &plain);
    let batch = reviewed(&statuses, "Batch");
    assert!(!batch.applies);
    assert_eq!(batch.reason, "In preview and not opted in: add Batch to spec.previewServices.names.");

    let statuses = review(&listed(json!(["Batch"])), &plain);
    let batch = reviewed(&statuses, "Batch");
    assert!(batch.applies && batch.reason.starts_with("Applies, in preview and opted in: "), "{}", batch.reason);
    assert_eq!(batch.stage, Stage::Preview);
}

#[test]
fn nothing_applies_where_nothing_is_served() {
    let statuses = review(&settings(json!({})), &|_| false);
    assert!(statuses.iter().all(|status| !status.applies));
}

#[test]
fn the_review_says_which_kinds_are_not_installed() {
    let statuses = review(&settings(json!({})), &plain);
    let reason = &reviewed(&statuses, "VirtualMachines").reason;
    assert!(reason.contains("not installed: virtualmachines.kubevirt.io"), "{reason}");
    let statuses = review(&settings(json!({})), &|_| true);
    assert!(statuses.iter().all(|status| !status.reason.contains("not installed")));
}

#[test]
fn the_review_names_access_levels_that_are_closed() {
    let settings = settings(json!({"services": [{
        "name": "VirtualMachines", "stage": "GeneralAvailability",
        "scenarios": [{"accessLevel": "MemoryDump", "stage": "Preview"}, {"accessLevel": "Shell", "stage": "NotSupported"}],
        "resources": [{"group": "kubevirt.io", "resource": "virtualmachines"}],
        "accessLevels": ["RemoteDesktop", "MemoryDump", "Shell"],
    }, {
        "name": "Storage", "stage": "Preview", "scenarios": [{"accessLevel": "ReadObjects", "stage": "GeneralAvailability"}],
        "resources": [{"resource": "pods"}], "accessLevels": ["ReadObjects"],
    }, {
        "name": "Gone", "stage": "GeneralAvailability", "scenarios": [{"accessLevel": "Shell", "stage": "NotSupported"}],
        "resources": [{"resource": "pods"}], "accessLevels": ["Shell"],
    }]}));
    let statuses = review(&settings, &|_| true);
    let machines = reviewed(&statuses, "VirtualMachines");
    assert!(machines.applies);
    assert_eq!(
        machines.reason,
        "Applies: this cluster serves virtualmachines.kubevirt.io. Not for MemoryDump, Shell: not supported, or in preview and not opted in."
    );
    let storage = reviewed(&statuses, "Storage");
    assert_eq!((storage.applies, storage.reason.as_str()), (true, "Applies: this cluster serves pods."));
    let gone = reviewed(&statuses, "Gone");
    assert!(!gone.applies && gone.reason.starts_with("Not supported"), "{}", gone.reason);
}

#[test]
fn the_review_keeps_the_bounds_of_the_schema_whatever_the_settings_hold() {
    let long = |at: usize| json!({"group": "ü".repeat(253), "resource": format!("r{at}{}", "x".repeat(58))});
    let services: Vec<Value> = (0..64)
        .map(|at| {
            json!({
                "name": format!("Service{at:02}{}", "x".repeat(50)),
                "stage": (["GeneralAvailability", "Preview", "NotSupported"][at % 3]),
                "advice": "ä".repeat(256),
                "resources": (0..32).map(long).collect::<Vec<_>>(),
                "accessLevels": (0..16).map(|n| format!("{n:063}")).collect::<Vec<_>>(),
                "scenarios": (0..8).map(|n| json!({"accessLevel": format!("{n:063}"), "stage": "NotSupported"})).collect::<Vec<_>>(),
            })
        })
        .collect();
    let settings = settings(json!({"services": services, "previewServices": {"optIn": "Listed"}}));
    for served in [&(|_: &GroupResource| true) as &dyn Fn(&GroupResource) -> bool, &|_| false, &|kind| {
        kind.resource.len() % 2 == 0
    }] {
        let statuses = review(&settings, served);
        assert_eq!(statuses.len(), CATALOGUE.len() + 64);
        assert!(statuses.len() <= 128);
        for status in statuses {
            assert!((1..=320).contains(&status.reason.chars().count()), "{}", status.reason);
        }
    }
}

#[test]
fn every_built_in_reason_fits_without_being_cut() {
    for served in [&(|_: &GroupResource| true) as &dyn Fn(&GroupResource) -> bool, &|_| false, &plain] {
        for status in review(&settings(json!({})), served) {
            assert!(status.reason.ends_with('.'), "{}: {}", status.name, status.reason);
        }
    }
}

#[test]
fn the_benchmark_is_the_control_that_asks_for_the_review() {
    let control = benchmark();
    assert_eq!(control.control, "PA-8");
    assert_eq!(control.title, "Determine access process for cloud provider support");
    assert_eq!(control.formerly, "Azure Security Benchmark 3.13");
}

// ---- problems

#[test]
fn settings_without_services_have_no_problems() {
    assert_eq!(problems(&settings(json!({}))), Vec::<String>::new());
}

#[test]
fn a_good_addition_and_a_good_override_are_no_problems() {
    let settings = settings(json!({
        "accessLevels": [{"name": "Shell", "clusterRole": "lockbox-shell", "services": ["Storage", "Ledger"]}],
        "services": [
            {"name": "Ledger", "stage": "Preview", "accessLevels": ["Shell"], "aliases": ["Book", "Ledger"],
             "scenarios": [{"accessLevel": "Shell", "stage": "Preview"}]},
            {"name": "AISearch", "stage": "NotSupported", "aliases": ["CognitiveSearch"]},
        ],
        "previewServices": {"optIn": "Listed", "names": ["Book", "Batch"]},
        "jit": {"rules": [{"name": "all", "effect": "Permit", "match": {"services": ["Ledger"]}}]},
    }));
    assert_eq!(problems(&settings), Vec::<String>::new());
}

#[test]
fn names_that_collide_are_problems_that_name_the_field() {
    let entry = |name: &str, aliases: Value| json!({"name": name, "stage": "Preview", "aliases": aliases});
    for (services, expected) in [
        (
            json!([entry("Foo", json!([])), entry("Foo", json!([])), entry("Foo", json!([]))]),
            "there are two entries Foo: take one of them out",
        ),
        (
            json!([entry("Foo", json!(["Storage"]))]),
            "the alias Storage of Foo is a name of the service Storage too: take it out of spec.services[Foo].aliases",
        ),
        (
            json!([entry("Foo", json!(["Bar"])), entry("Bar", json!([]))]),
            "the alias Bar of Foo is a name of the service Bar too: take it out of spec.services[Foo].aliases",
        ),
        (
            json!([entry("Foo", json!(["Both"])), entry("Bar", json!(["Both"]))]),
            "the alias Both of Foo is a name of the service Bar too: take it out of spec.services[Foo].aliases",
        ),
        (
            json!([entry("Foo", json!(["CognitiveSearch"]))]),
            "the alias CognitiveSearch of Foo is a name of the service AISearch too: take it out of spec.services[Foo].aliases",
        ),
        (
            json!([entry("AppService", json!(["SQLDB"]))]),
            "the alias SQLDB of AppService is a name of the service SQLDatabase too: take it out of spec.services[AppService].aliases",
        ),
        (
            json!([entry("CognitiveSearch", json!([]))]),
            "CognitiveSearch is another name of the built-in service AISearch: override AISearch itself, or choose another name for spec.services[CognitiveSearch]",
        ),
    ] {
        assert_eq!(problems(&settings(json!({"services": services}))), [expected]);
    }
}

#[test]
fn a_scenario_of_an_access_level_that_nobody_can_ask_for_is_a_problem() {
    let found = problems(&settings(json!({
        "accessLevels": [{"name": "Shell", "clusterRole": "lockbox-shell"}],
        "services": [{"name": "Foo", "stage": "Preview", "scenarios": [
            {"accessLevel": "Shel", "stage": "NotSupported"}, {"accessLevel": "Shell", "stage": "NotSupported"},
        ]}],
    })));
    assert_eq!(
        found,
        [
            "Foo has a scenario for Shel, which is no access level: add it to spec.accessLevels, or take it out of spec.services[Foo].scenarios",
            "Foo has a scenario for Shell, which it does not allow: add it to spec.services[Foo].accessLevels, or take it out of spec.services[Foo].scenarios",
        ]
    );
}

proptest! {
    #[test]
    fn finding_never_panics_and_what_is_near_can_be_found(name in "(?s).{0,100}") {
        let settings = settings(json!({"services": [{"name": "Ärger", "stage": "Preview", "aliases": ["ß", ""]}]}));
        let catalogue = Catalogue::new(&settings);
        let _ = catalogue.find(&name);
        if let Some(near) = catalogue.nearest(&name) {
            prop_assert!(catalogue.find(near).is_some());
        }
    }

    #[test]
    fn a_name_with_one_letter_lost_is_near_its_service(at in 0..CATALOGUE.len(), letter in any::<prop::sample::Index>()) {
        let settings = settings(json!({}));
        let name = CATALOGUE[at].name;
        let mut misspelt = name.to_owned();
        misspelt.remove(letter.index(name.len()));
        let near = Catalogue::new(&settings).nearest(&misspelt);
        // Another name may be as near, or the same: SQLDatabase without letters, DataBox and DevBox.
        prop_assert!(near.is_some(), "{misspelt}");
    }
}
