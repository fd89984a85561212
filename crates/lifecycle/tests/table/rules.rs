//! The just-in-time rules.

use super::*;

// --- just-in-time rules ---

fn verdict_of(world: &World) -> jit::Verdict {
    let settings = world.settings.as_ref().unwrap();
    let level = settings.access_levels.iter().find(|level| level.name == world.request.spec.access_level).unwrap();
    jit::evaluate(settings, &world.request.spec, &world.request.spec.service, level)
}

#[test]
fn every_field_of_a_match_fits_and_does_not_fit() {
    for (field, fits, does_not) in [
        ("scopes", json!(["Subscription"]), json!(["Tenant"])),
        ("resources", json!("Named"), json!("Whole")),
        ("kinds", json!([{"resource": "pods"}]), json!([{"group": "apps", "resource": "pods"}])),
        ("services", json!(["AppService", "Batch"]), json!(["Batch"])),
        ("accessLevels", json!(["Shell"]), json!(["ReadObjects"])),
        ("origins", json!(["SupportRequest"]), json!(["ProviderInitiated"])),
        ("requesterGroups", json!(["x", "provider:engineers"]), json!(["x"])),
        ("customerData", json!(true), json!(false)),
    ] {
        for (value, expected) in [(fits, true), (does_not, false)] {
            let world = World::new().settings(|s| {
                s["jit"]["rules"][0]["match"] = json!({});
                s["jit"]["rules"][0]["match"][field] = value.clone();
            });
            let verdict = verdict_of(&world);
            assert_eq!(verdict.outcome.is_ok(), expected, "{field}: {value}");
            let misses = &verdict.trace[0].misses;
            assert_eq!(misses.is_empty(), expected);
            assert!(expected || misses[0].starts_with(field), "{misses:?} does not name {field}");
        }
    }
}

#[test]
fn kinds_fit_only_when_every_requested_kind_is_listed_and_never_the_whole_scope() {
    let kinds =
        |world: World| world.settings(|s| s["jit"]["rules"][0]["match"] = json!({"kinds": [{"resource": "pods"}]}));
    let whole = kinds(World::new()).request(|r| {
        r.as_object_mut().unwrap().remove("resources");
    });
    assert!(verdict_of(&whole).outcome.is_err());
    let other = kinds(World::new()).request(|r| {
        r["resources"] =
            json!([{"resource": "pods", "name": "a"}, {"group": "apps", "resource": "deployments", "name": "b"}]);
    });
    assert!(verdict_of(&other).outcome.is_err());
}

#[test]
fn a_rule_without_a_match_is_about_all_requests() {
    let world = World::new().settings(|s| s["jit"]["rules"] = json!([{"name": "all", "effect": "Permit"}]));
    assert!(verdict_of(&world).outcome.is_ok());
}

#[test]
fn a_denying_rule_wins_wherever_it_stands() {
    let permit = json!({"name": "permit", "effect": "Permit"});
    let deny = json!({"name": "deny", "effect": "Deny"});
    for rules in [json!([permit, deny]), json!([deny, permit])] {
        let world = World::new().settings(|s| s["jit"]["rules"] = rules.clone());
        let verdict = verdict_of(&world);
        assert_eq!(verdict.outcome.unwrap_err().reason, Reason::DeniedByRule);
        assert_eq!(verdict.rules, ["deny"], "those that denied are named");
    }
    let elsewhere = World::new().settings(|s| {
        s["jit"]["rules"] = json!([permit, {"name": "deny", "effect": "Deny", "match": {"scopes": ["Tenant"]}}]);
    });
    assert!(verdict_of(&elsewhere).outcome.is_ok(), "a rule about something else denies nothing");
}

#[test]
fn requirements_of_all_matching_rules_add_up() {
    let identities = ["Any", "MultiFactor", "Isolated", "Both"];
    // What the two demand together: Both as soon as each of the facts is demanded.
    let sum = |one: &str, other: &str| match (one, other) {
        ("Any", demanded) | (demanded, "Any") => demanded.to_owned(),
        (one, other) if one == other => one.to_owned(),
        _ => "Both".to_owned(),
    };
    for one in identities {
        for other in identities {
            let world = World::new().settings(|s| {
                s["jit"]["rules"] = json!([
                    {"name": "one", "effect": "Permit", "require": {"identity": one}},
                    {"name": "other", "effect": "Permit", "require": {"identity": other}}
                ]);
            });
            let verdict = verdict_of(&world);
            assert_eq!(format!("{:?}", verdict.identity.unwrap()), sum(one, other), "{one} and {other}");
            assert_eq!(verdict.rules, ["one", "other"]);
        }
    }
}

#[test]
fn the_trace_says_what_each_rule_requires_in_words() {
    let required = |rule: Value| {
        let world = World::new().settings(|spec| spec["jit"]["rules"] = json!([rule]));
        verdict_of(&world).trace.remove(0).requires
    };
    let by = |count: i32| json!({"approvers": [{"kind": "User", "name": LEAD}, {"kind": "Group", "name": "provider:leads"}], "count": count});
    for (require, words) in [
        (json!({}), vec!["an isolated identity or multi-factor authentication"]),
        (json!({"identity": "MultiFactor"}), vec!["multi-factor authentication"]),
        (json!({"identity": "Isolated"}), vec!["an isolated identity"]),
        (
            json!({"identity": "Both", "internalApproval": by(2)}),
            vec![
                "an isolated identity and multi-factor authentication",
                "internal approval by 2 of User lead@provider.example, Group provider:leads",
            ],
        ),
    ] {
        assert_eq!(required(json!({"name": "one", "effect": "Permit", "require": require})), words);
        let nothing: [&str; 0] = [];
        assert_eq!(required(json!({"name": "one", "effect": "Deny", "require": require})), nothing);
    }
}

#[test]
fn identity_is_what_the_rule_demands_of_the_two_facts() {
    for (multi_factor, isolated, holds) in [
        (false, false, [false, false, false, false]),
        (true, false, [true, true, false, false]),
        (false, true, [true, false, true, false]),
        (true, true, [true, true, true, true]),
    ] {
        for (demanded, expected) in
            [Identity::Any, Identity::MultiFactor, Identity::Isolated, Identity::Both].into_iter().zip(holds)
        {
            let world = World::new()
                .settings(|s| {
                    s["identity"]["isolatedIdentity"] = json!({"groups": ["provider:secure-workstations"]});
                    s["jit"]["rules"][0]["require"] = json!({"identity": format!("{demanded:?}")});
                })
                .request(|r| {
                    if !multi_factor {
                        r["requester"]["extra"] = json!({});
                    }
                    if isolated {
                        r["requester"]["groups"] = json!(["provider:engineers", "provider:secure-workstations"]);
                    }
                });
            let verdict = verdict_of(&world);
            assert_eq!(verdict.facts, jit::IdentityOf { multi_factor, isolated });
            assert_eq!(verdict.outcome.is_ok(), expected, "{demanded:?} of {multi_factor} and {isolated}");
            if let Err(denial) = verdict.outcome {
                assert_eq!(denial.reason, Reason::IdentityNotSufficient);
                assert!(denial.message.contains(jit::identity_words(demanded)), "{}", denial.message);
            }
        }
    }
}

#[test]
fn a_fact_is_proved_by_a_group_or_by_a_value_and_never_by_an_absent_definition() {
    let undefined = World::new().settings(|s| s["identity"] = json!({}));
    assert_eq!(verdict_of(&undefined).facts, jit::IdentityOf::default());
    let by_group = World::new().settings(|s| s["identity"]["multiFactor"] = json!({"groups": ["provider:engineers"]}));
    assert!(verdict_of(&by_group).facts.multi_factor);
    let other_value = World::new().request(|r| r["requester"]["extra"] = json!({"provider.example/amr": ["pwd"]}));
    assert!(!verdict_of(&other_value).facts.multi_factor);
    let other_key = World::new().request(|r| r["requester"]["extra"] = json!({"amr": ["mfa"]}));
    assert!(!verdict_of(&other_key).facts.multi_factor);
}
