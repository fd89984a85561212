//! What holds for any rules at all, checked against an authorizer that is RBAC's own, call by call.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    Access, Extent, MAX_SENTENCE, MAX_SENTENCES, customer_data, cut, dangers, difference, effect, hash,
    kind::{is_elsewhere, is_namespaces},
    words,
};
use crate::api::{
    request::{GrantForm, NamedObject, Scope},
    settings::{AccessLevel, GroupResource},
};

const VERBS: &[&str] = &["get", "list", "watch", "create", "delete", "deletecollection", "*", ""];
const GROUPS: &[&str] = &["", "apps", "kubevirt.io", "subresources.kubevirt.io", "*"];
const RESOURCES: &[&str] = &[
    "pods",
    "pods/exec",
    "pods/log",
    "nodes",
    "namespaces",
    "machines",
    "instances",
    "instances/vnc",
    "*",
    "pods/*",
    "*/exec",
    "/exec",
    "a/b/c",
    "",
];
const NAMES: &[&str] = &["a", "b", "c", ""];
const PATHS: &[&str] = &["/metrics", "/*"];

fn some_of(texts: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    vec(select(texts).prop_map(str::to_owned), 0..=most)
}

/// Rules from few words, so that they meet: absent, empty, repeated and wild parts among them.
fn rule() -> impl Strategy<Value = PolicyRule> {
    (
        option::weighted(0.9, some_of(GROUPS, 3)),
        option::weighted(0.9, some_of(RESOURCES, 4)),
        some_of(VERBS, 4),
        option::weighted(0.3, some_of(NAMES, 3)),
        option::weighted(0.1, some_of(PATHS, 2)),
    )
        .prop_map(|(api_groups, resources, verbs, resource_names, non_resource_urls)| PolicyRule {
            api_groups,
            resources,
            verbs,
            resource_names,
            non_resource_urls,
        })
}

/// Rules of any texts whatever.
fn wild_rule() -> impl Strategy<Value = PolicyRule> {
    let texts = || vec(any::<String>(), 0..5);
    (option::of(texts()), option::of(texts()), texts(), option::of(texts()), option::of(texts())).prop_map(
        |(api_groups, resources, verbs, resource_names, non_resource_urls)| PolicyRule {
            api_groups,
            resources,
            verbs,
            resource_names,
            non_resource_urls,
        },
    )
}

fn object() -> impl Strategy<Value = NamedObject> {
    let kinds = &[
        ("", "pods"),
        ("", "nodes"),
        ("", "namespaces"),
        ("kubevirt.io", "machines"),
        ("kubevirt.io", "instances"),
        ("subresources.kubevirt.io", "instances"),
    ];
    (select(kinds), select(&["a", "b"])).prop_map(|((group, resource), name)| NamedObject {
        group: group.into(),
        resource: resource.into(),
        name: name.into(),
    })
}

fn extent() -> impl Strategy<Value = Extent> {
    option::weighted(0.8, vec(object(), 1..4))
        .prop_map(|objects| Extent::from_request(objects.as_deref()).unwrap_or(Extent::Whole))
}

fn same_name() -> impl Strategy<Value = Vec<GroupResource>> {
    vec(object().prop_map(|object| GroupResource { group: object.group, resource: object.resource }), 0..4)
}

fn scope() -> impl Strategy<Value = Scope> {
    select(&[Scope::Subscription, Scope::Tenant])
}

/// A call as the API server puts it to RBAC; a call without a name has an empty one.
#[derive(Clone, Debug)]
struct Call {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    name: &'static str,
}

fn calls() -> impl Iterator<Item = Call> {
    let verbs = ["get", "list", "watch", "create", "delete", "deletecollection", "other"];
    let groups = ["", "apps", "kubevirt.io", "subresources.kubevirt.io", "other"];
    let resources = [
        "pods",
        "pods/exec",
        "pods/log",
        "nodes",
        "nodes/exec",
        "namespaces",
        "machines",
        "machines/exec",
        "instances",
        "instances/vnc",
        "other",
    ];
    let names = ["", "a", "b", "c", "other"];
    verbs.into_iter().flat_map(move |verb| {
        groups.into_iter().flat_map(move |group| {
            resources
                .into_iter()
                .flat_map(move |resource| names.into_iter().map(move |name| Call { verb, group, resource, name }))
        })
    })
}

/// `RuleAllows` of `plugin/pkg/auth/authorizer/rbac` and the helpers of `pkg/apis/rbac/v1`, put down again.
fn allows(rules: &[PolicyRule], call: &Call) -> bool {
    let has = |items: Option<&Vec<String>>, wanted: &str| {
        items.is_some_and(|items| items.iter().any(|item| item == wanted || item == "*"))
    };
    rules.iter().any(|rule| {
        let verb = has(Some(&rule.verbs), call.verb);
        let group = has(rule.api_groups.as_ref(), call.group);
        let of_every_kind = call.resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        let resource = has(rule.resources.as_ref(), call.resource)
            || of_every_kind.is_some_and(|wild| {
                rule.resources.as_ref().is_some_and(|items| items.iter().any(|item| *item == wild))
            });
        let names = rule.resource_names.as_deref().unwrap_or_default();
        let name = names.is_empty() || names.iter().any(|name| name == call.name);
        verb && group && resource && name
    })
}

/// Whether a request for the extent is about the call's object: its kind, or one that shares names with it.
fn is_asked(extent: &Extent, same_name: &[GroupResource], call: &Call) -> bool {
    let Extent::Named(names) = extent else { return true };
    let base = call.resource.split('/').next().unwrap_or_default();
    let shares =
        |group: &str, resource: &str| same_name.iter().any(|kind| kind.group == group && kind.resource == resource);
    names.iter().any(|object| {
        object.name == call.name
            && ((object.group == call.group && object.resource == base)
                || (shares(&object.group, &object.resource) && shares(call.group, base)))
    })
}

fn has_wildcard(rule: &PolicyRule) -> bool {
    let parts = [rule.api_groups.as_ref(), rule.resources.as_ref(), Some(&rule.verbs)];
    parts.into_iter().flatten().flatten().any(|text| text.contains('*'))
}

fn assert_sound(access: &Access) -> Result<(), TestCaseError> {
    prop_assert!(!access.rules().is_empty());
    for rule in access.rules() {
        prop_assert!(!has_wildcard(rule), "{rule:?}");
        prop_assert!(!rule.verbs.is_empty() && rule.verbs.iter().all(|verb| verb != "watch" && !verb.is_empty()));
        prop_assert_eq!(rule.api_groups.as_ref().map(Vec::len), Some(1));
        prop_assert!(rule.resources.as_ref().is_some_and(|kinds| !kinds.is_empty()));
        prop_assert!(rule.non_resource_urls.is_none());
        let names = rule.resource_names.as_ref();
        prop_assert!(names.is_none_or(|names| !names.is_empty() && names.iter().all(|name| !name.is_empty())));
        prop_assert!(access.form() == GrantForm::Whole || names.is_some(), "{rule:?}");
    }
    Ok(())
}

fn assert_bounded(sentences: &[String]) -> Result<(), TestCaseError> {
    prop_assert!(sentences.len() <= MAX_SENTENCES);
    for sentence in sentences {
        prop_assert!(sentence.chars().count() <= MAX_SENTENCE, "{sentence}");
        prop_assert!(sentence.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic()), "{sentence:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_cut_never_allows_more_than_the_level_and_the_request(
        rules in vec(rule(), 0..5), extent in extent(), same_name in same_name(), scope in scope(),
    ) {
        let Ok(access) = cut(&rules, &extent, &same_name, scope) else { return Ok(()) };
        assert_sound(&access)?;
        for call in calls().filter(|call| allows(access.rules(), call)) {
            prop_assert!(allows(&rules, &call), "the level does not allow {call:?}");
            prop_assert!(is_asked(&extent, &same_name, &call), "nobody asked for {call:?}");
        }
    }

    #[test]
    fn a_cut_leaves_out_only_what_it_must(
        rules in vec(rule().prop_filter("wildcards are left out", |rule| !has_wildcard(rule)), 0..5),
        extent in extent(), same_name in same_name(), scope in scope(),
    ) {
        let Ok(access) = cut(&rules, &extent, &same_name, scope) else { return Ok(()) };
        for call in calls().filter(|call| allows(&rules, call) && is_asked(&extent, &same_name, call)) {
            let (base, whole) = call.resource.split_once('/').map_or((call.resource, true), |(base, _)| (base, false));
            let named = extent != Extent::Whole;
            let nameless = named && (call.verb == "deletecollection" || (whole && call.verb == "create"));
            let elsewhere = is_elsewhere(call.group, base, scope) && (named || scope == Scope::Subscription);
            let of_cluster = scope == Scope::Subscription && whole && is_namespaces(call.group, base)
                && ["create", "list", "deletecollection"].contains(&call.verb);
            let must = nameless || elsewhere || of_cluster || call.verb == "watch"
                // An empty name in the level's own rules is dropped.
                || call.name.is_empty();
            prop_assert!(must || allows(access.rules(), &call), "lost: {call:?}");
        }
    }

    #[test]
    fn every_requested_object_is_reached(
        rules in vec(rule(), 0..5), objects in vec(object(), 1..4), same_name in same_name(), scope in scope(),
    ) {
        let extent = Extent::from_request(Some(&objects)).unwrap();
        let Ok(access) = cut(&rules, &extent, &same_name, scope) else { return Ok(()) };
        for object in &objects {
            let one = Extent::from_request(Some(std::slice::from_ref(object))).unwrap();
            // The generated rules hold no verb or subresource that the calls leave out, but for a/b/c.
            let reached = calls().any(|call| allows(access.rules(), &call) && is_asked(&one, &same_name, &call));
            prop_assert!(reached, "{object} is not reached by {:?}", access.rules());
        }
    }

    #[test]
    fn a_cut_of_a_cut_is_the_same(
        rules in vec(rule(), 0..5), extent in extent(), same_name in same_name(), scope in scope(),
    ) {
        let Ok(once) = cut(&rules, &extent, &same_name, scope) else { return Ok(()) };
        let twice = cut(once.rules(), &extent, &same_name, scope);
        prop_assert_eq!(twice.as_ref().map(Access::rules), Ok(once.rules()));
        prop_assert_eq!(twice.map(|access| access.hash()), Ok(once.hash()));
    }

    #[test]
    fn fewer_objects_never_mean_more_rights(
        rules in vec(rule(), 0..5), objects in vec(object(), 1..4), same_name in same_name(), scope in scope(),
    ) {
        let asked = Extent::from_request(Some(&objects)).unwrap();
        let narrowed = asked.narrowed(&objects[..1]).unwrap();
        let (Ok(all), Ok(few)) = (cut(&rules, &asked, &same_name, scope), cut(&rules, &narrowed, &same_name, scope))
        else { return Ok(()) };
        for call in calls().filter(|call| allows(few.rules(), call)) {
            prop_assert!(allows(all.rules(), &call), "{call:?}");
        }
    }

    #[test]
    fn the_order_of_rules_and_of_their_parts_does_not_matter(
        (rules, mut mixed) in vec(rule(), 0..5).prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle())),
        extent in extent(), same_name in same_name(), scope in scope(),
    ) {
        for rule in &mut mixed {
            rule.verbs.reverse();
            for part in [&mut rule.api_groups, &mut rule.resources, &mut rule.resource_names].into_iter().flatten() {
                part.reverse();
                part.extend_from_within(..);
            }
        }
        prop_assert_eq!(cut(&rules, &extent, &same_name, scope), cut(&mixed, &extent, &same_name, scope));
        let hash_of = |rules: &[PolicyRule]| hash(GrantForm::Named, scope, rules);
        prop_assert_eq!(hash_of(&rules), hash_of(&mixed));
    }

    #[test]
    fn two_lists_of_rules_with_the_same_hash_allow_the_same(one in vec(rule(), 0..3), other in vec(rule(), 0..3)) {
        let hash_of = |rules: &[PolicyRule]| hash(GrantForm::Whole, Scope::Tenant, rules);
        if hash_of(&one) == hash_of(&other) {
            for call in calls() {
                prop_assert_eq!(allows(&one, &call), allows(&other, &call), "{:?}", call);
            }
        }
    }

    #[test]
    fn any_right_more_or_less_changes_the_hash(
        rules in vec(rule(), 1..4), scope in scope(), which in any::<prop::sample::Index>(),
        verb in select(VERBS), group in select(GROUPS), resource in select(RESOURCES), name in option::of(select(NAMES)),
    ) {
        let hash_of = |rules: &[PolicyRule]| hash(GrantForm::Named, scope, rules);
        let allowed = |rules: &[PolicyRule]| calls().map(|call| allows(rules, &call)).collect::<Vec<_>>();
        let mut less = rules.clone();
        less.remove(which.index(rules.len()));
        let mut more = rules.clone();
        more.push(PolicyRule {
            api_groups: Some(vec![group.into()]),
            resources: Some(vec![resource.into()]),
            verbs: vec![verb.into()],
            resource_names: name.map(|name| vec![name.into()]),
            non_resource_urls: None,
        });
        for changed in [less, more] {
            if allowed(&changed) != allowed(&rules) {
                prop_assert_ne!(hash_of(&changed), hash_of(&rules));
            }
        }
    }

    #[test]
    fn whatever_a_role_holds_words_are_bounded_plain_and_without_a_panic(
        rules in vec(prop_oneof![rule(), wild_rule()], 0..6), scope in scope(), same_name in same_name(),
        extent in extent(), objects in vec(("\\PC*", "\\PC*", "\\PC*"), 0..3),
    ) {
        let said = words(&rules, scope);
        assert_bounded(&said)?;
        assert_bounded(&customer_data(&rules))?;
        let found: Vec<_> = dangers(&rules, scope).iter().map(ToString::to_string).collect();
        for danger in &found {
            prop_assert!(danger.chars().count() <= MAX_SENTENCE, "{danger}");
        }
        prop_assert!(difference(&said, &found).chars().count() <= 400);
        prop_assert_eq!(hash(GrantForm::Named, scope, &rules).len(), 71);
        let objects: Vec<_> = objects
            .into_iter()
            .map(|(group, resource, name)| NamedObject { group, resource, name })
            .collect();
        for extent in [Ok(extent), Extent::from_request(Some(&objects))] {
            match extent.and_then(|extent| cut(&rules, &extent, &same_name, scope)) {
                Err(unfit) => prop_assert!(unfit.to_string().chars().count() <= 512, "{unfit}"),
                Ok(access) => {
                    assert_sound(&access)?;
                    assert_bounded(access.left_out())?;
                    let level = AccessLevel {
                        name: "L".into(),
                        cluster_role: "lockbox-l".into(),
                        customer_data: true,
                        maximum: None,
                        services: None,
                        same_name: same_name.clone(),
                    };
                    let effect = effect(&level, &access);
                    assert_bounded(&effect.rules)?;
                    // Nothing of a grant is hidden: each of its rules has its sentence.
                    prop_assert!(effect.rules.len() >= access.rules().len());
                    let distinct: BTreeSet<_> = effect.rules.iter().collect();
                    prop_assert!(distinct.len() == effect.rules.len() || effect.rules.iter().any(|s| s.contains('…')));
                }
            }
        }
    }

    #[test]
    fn what_reads_only_specifications_is_never_called_dangerous_nor_customer_data(
        kinds in vec(select(&["pods", "services", "persistentvolumeclaims", "deployments"]), 1..4),
    ) {
        let rule = PolicyRule {
            api_groups: Some(vec![String::new(), "apps".into()]),
            resources: Some(kinds.into_iter().map(str::to_owned).collect()),
            verbs: vec!["get".into(), "list".into()],
            ..PolicyRule::default()
        };
        prop_assert_eq!(dangers(std::slice::from_ref(&rule), Scope::Tenant), vec![]);
        prop_assert!(customer_data(&[rule]).is_empty());
    }
}
