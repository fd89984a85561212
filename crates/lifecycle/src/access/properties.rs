//! What holds for any rules at all, checked against an authorizer that is RBAC's own, call by call.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    Access, Extent, MAX_LEFT_OUT, MAX_RULES, MAX_SENTENCE, Unfit, customer_data, cut, dangers, difference, effect,
    hash,
    kind::{is_elsewhere, is_namespaces},
    told, words,
    words::plain,
};
use lockbox_api::{
    GrantForm, Scope,
    request::NamedObject,
    settings::{AccessLevel, GroupResource},
};

// Repeated where it should come up more often.
const VERBS: &[&str] = &["get", "get", "list", "watch", "create", "delete", "deletecollection", "*", ""];
const GROUPS: &[&str] = &["", "", "", "kubevirt.io", "kubevirt.io", "subresources.kubevirt.io", "apps", "*"];
const RESOURCES: &[&str] = &[
    "pods",
    "pods",
    "pods/exec",
    "pods/log",
    "nodes",
    "nodes",
    "namespaces",
    "machines",
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
const NAMES: &[&str] = &["a", "a", "b", "c", ""];
const PATHS: &[&str] = &["/metrics", "/*"];

fn some_of(texts: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    vec(select(texts).prop_map(str::to_owned), 0..=most)
}

/// Rules from few words, so that they meet: absent, empty, repeated and wild parts among them.
fn rule() -> impl Strategy<Value = PolicyRule> {
    (
        option::weighted(0.9, some_of(GROUPS, 3)),
        option::weighted(0.9, some_of(RESOURCES, 6)),
        some_of(VERBS, 5),
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
    option::weighted(0.95, vec(object(), 1..4))
        .prop_map(|objects| Extent::from_request(objects.as_deref()).unwrap_or(Extent::Whole))
}

fn same_name() -> impl Strategy<Value = Vec<GroupResource>> {
    vec(object().prop_map(|object| GroupResource { group: object.group, resource: object.resource }), 0..4)
}

fn scope() -> impl Strategy<Value = Scope> {
    select(&[Scope::Subscription, Scope::Tenant])
}

/// What was given to a cut that succeeded.
#[derive(Clone, Debug)]
struct Given {
    rules: Vec<PolicyRule>,
    extent: Extent,
    same_name: Vec<GroupResource>,
    scope: Scope,
}

impl Given {
    /// The objects that are named; none when the whole scope is meant.
    fn objects(&self) -> Vec<NamedObject> {
        match &self.extent {
            Extent::Whole => vec![],
            Extent::Named(names) => names.iter().cloned().collect(),
        }
    }

    fn cut(&self) -> Result<Access, Unfit> {
        cut(&self.rules, &self.extent, &self.same_name, self.scope)
    }
}

/// Rules that are enough for what is asked, so that what is said about a cut is said about something.
fn given(rules: impl Strategy<Value = Vec<PolicyRule>>) -> impl Strategy<Value = (Given, Access)> {
    (rules, extent(), same_name(), scope()).prop_filter_map("cannot be granted", |(rules, extent, same_name, scope)| {
        let given = Given { rules, extent, same_name, scope };
        let access = given.cut().ok()?;
        Some((given, access))
    })
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
            || of_every_kind.is_some_and(|wild| rule.resources.as_ref().is_some_and(|items| items.contains(&wild)));
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

fn assert_bounded(sentences: &[String], most: usize) -> Result<(), TestCaseError> {
    prop_assert!(sentences.len() <= most);
    for sentence in sentences {
        prop_assert!(sentence.chars().count() <= MAX_SENTENCE, "{sentence}");
        prop_assert!(sentence.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic()), "{sentence:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_cut_never_allows_more_than_the_level_and_the_request((given, access) in given(vec(rule(), 1..6))) {
        assert_sound(&access)?;
        for call in calls().filter(|call| allows(access.rules(), call)) {
            prop_assert!(allows(&given.rules, &call), "the level does not allow {call:?}");
            prop_assert!(is_asked(&given.extent, &given.same_name, &call), "nobody asked for {call:?}");
        }
    }

    #[test]
    fn a_cut_leaves_out_only_what_it_must(
        (given, access) in given(vec(rule().prop_filter("a wildcard", |rule| !has_wildcard(rule)), 1..6)),
    ) {
        let Given { rules, extent, same_name, scope } = given;
        for call in calls().filter(|call| allows(&rules, call) && is_asked(&extent, &same_name, call)) {
            let (base, is_object) = call.resource.split_once('/').map_or((call.resource, true), |(base, _)| (base, false));
            let named = extent != Extent::Whole;
            let nameless = named && (call.verb == "deletecollection" || (is_object && call.verb == "create"));
            let elsewhere = is_elsewhere(call.group, base, scope) && (named || scope == Scope::Subscription);
            let of_cluster = scope == Scope::Subscription && is_object && is_namespaces(call.group, base)
                && ["create", "list", "deletecollection"].contains(&call.verb);
            // By an empty name among others, which is dropped.
            let emptied = call.name.is_empty() && !allows(&rules, &Call { name: "other", ..call.clone() });
            let must = nameless || elsewhere || of_cluster || emptied || call.verb == "watch";
            prop_assert!(must || allows(access.rules(), &call), "lost: {call:?}");
        }
    }

    #[test]
    fn every_requested_object_is_reached((given, access) in given(vec(rule(), 1..6))) {
        for object in given.objects() {
            let kinds: Vec<_> = given.same_name.iter().map(|kind| (&kind.group, &kind.resource)).collect();
            let own = (&object.group, &object.resource);
            let reached = access.rules().iter().any(|rule| {
                let group = &rule.api_groups.as_ref().unwrap()[0];
                rule.resource_names.as_ref().unwrap().contains(&object.name)
                    && rule.resources.as_ref().unwrap().iter().any(|resource| {
                        let kind = (group, &resource.split('/').next().unwrap().to_owned());
                        kind == own || (kinds.contains(&own) && kinds.contains(&kind))
                    })
            });
            prop_assert!(reached, "{object} is not reached by {:?}", access.rules());
        }
    }

    #[test]
    fn a_cut_of_a_cut_is_the_same((given, once) in given(vec(rule(), 1..6))) {
        let twice = Given { rules: once.rules().to_vec(), ..given }.cut();
        prop_assert_eq!(twice.as_ref().map(Access::rules), Ok(once.rules()));
        prop_assert_eq!(twice.map(|access| access.hash()), Ok(once.hash()));
    }

    #[test]
    fn fewer_objects_never_mean_more_rights(
        (given, all) in given(vec(rule(), 1..6)), which in any::<prop::sample::Index>(),
    ) {
        let objects = given.objects();
        prop_assume!(!objects.is_empty());
        let fewer = Extent::from_request(Some(&[which.get(&objects).clone()])).unwrap();
        let few = Given { extent: fewer, ..given }.cut().unwrap();
        for call in calls().filter(|call| allows(few.rules(), call)) {
            prop_assert!(allows(all.rules(), &call), "{call:?}");
        }
    }

    #[test]
    fn the_order_of_rules_and_of_their_parts_does_not_matter(
        (given, access) in given(vec(rule(), 1..6)), turn in any::<prop::sample::Index>(),
    ) {
        let mut mixed = given.rules.clone();
        mixed.rotate_left(turn.index(given.rules.len()));
        mixed.extend_from_within(..1);
        for rule in &mut mixed {
            rule.verbs.reverse();
            for part in [&mut rule.api_groups, &mut rule.resources, &mut rule.resource_names].into_iter().flatten() {
                part.reverse();
                part.extend_from_within(..);
            }
        }
        let hash_of = |rules: &[PolicyRule]| hash(GrantForm::Named, given.scope, rules);
        prop_assert_eq!(hash_of(&given.rules), hash_of(&mixed));
        prop_assert_eq!(Given { rules: mixed, ..given }.cut(), Ok(access));
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
        let said = words(&rules, scope).unwrap_or_default();
        assert_bounded(&said, MAX_RULES)?;
        assert_bounded(&customer_data(&rules), MAX_LEFT_OUT)?;
        let found = vec![told(&dangers(&rules, &[], scope))];
        prop_assert!(found[0].chars().count() <= 900, "{}", found[0]);
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
                    assert_bounded(access.left_out(), MAX_LEFT_OUT)?;
                    let level = AccessLevel {
                        name: "L".into(),
                        cluster_role: "lockbox-l".into(),
                        customer_data: true,
                        maximum: None,
                        services: None,
                        same_name: same_name.clone(),
                        extra_rights: vec![],
                    };
                    let effect = effect(&level, &access);
                    assert_bounded(&effect.rules, MAX_RULES)?;
                    // Nothing of a grant is hidden: each of its rules, and each verb and name in it, stands there whole.
                    prop_assert!(effect.rules.len() >= access.rules().len());
                    let distinct: BTreeSet<_> = effect.rules.iter().collect();
                    prop_assert_eq!(distinct.len(), effect.rules.len());
                    for text in access.rules().iter().flat_map(|rule| rule.verbs.iter().chain(rule.resource_names.iter().flatten())) {
                        prop_assert!(effect.rules.iter().any(|said| said.contains(&plain(text))), "{text:?} is not said");
                    }
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
        prop_assert_eq!(dangers(std::slice::from_ref(&rule), &[], Scope::Tenant), vec![]);
        prop_assert!(customer_data(&[rule]).is_empty());
    }
}
