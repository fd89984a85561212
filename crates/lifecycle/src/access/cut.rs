use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::{
    Access, Extent, MAX_LEFT_OUT, MAX_SENTENCE, Names, Unfit, items,
    kind::{is_elsewhere, is_namespaces},
    powers::{Kind, MAX_WEIGHT, Powers, Reach, weight},
    words::{self, show_kind},
};
use crate::text::{clip, list};
use lockbox_api::{Scope, request::NamedObject, settings::GroupResource};

/// Cuts the rules of an access level's `ClusterRole` down to what is asked for. The result never allows more than
/// the level, and in the form Named never more than the named objects, their subresources, and the objects of the same
/// name of the kinds in `same_name`. `watch`, wildcards and paths outside the resources are never granted, whatever the
/// level says.
///
/// Fails when a named object is not covered, does not live in the scope, or nothing is left.
pub fn cut(
    level_rules: &[PolicyRule],
    extent: &Extent,
    same_name: &[GroupResource],
    scope: Scope,
) -> Result<Access, Unfit> {
    let heavy = weight(level_rules);
    if heavy > MAX_WEIGHT {
        return Err(Unfit::too_wide(format!("its role spells out to {heavy} single rights")));
    }
    if let Extent::Named(names) = extent
        && let Some(object) = names.iter().find(|object| is_elsewhere(&object.group, &object.resource, scope))
    {
        return Err(Unfit::elsewhere(object, scope));
    }
    let mut cutter = Cutter {
        scope,
        names: match extent {
            Extent::Whole => None,
            Extent::Named(names) => Some(allowed_names(names, same_name)),
        },
        powers: Powers::default(),
        reached: BTreeSet::new(),
        left_out: BTreeMap::new(),
    };
    for rule in level_rules {
        cutter.rule(rule);
    }
    cutter.finish(level_rules, extent, same_name)
}

/// For each kind, the names that are asked for: its own, and those of the kinds that share their names with it.
type AllowedNames = BTreeMap<(String, String), BTreeSet<String>>;

fn allowed_names(names: &Names, same_name: &[GroupResource]) -> AllowedNames {
    let mut allowed = AllowedNames::new();
    for object in names.iter() {
        for (group, resource) in siblings(object, same_name) {
            allowed.entry((group.to_owned(), resource.to_owned())).or_default().insert(object.name.clone());
        }
    }
    allowed
}

/// The object's own kind, and the kinds that share its name by design.
fn siblings<'a>(
    object: &'a NamedObject,
    same_name: &'a [GroupResource],
) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
    let own = (object.group.as_str(), object.resource.as_str());
    let alike = same_name.iter().map(|kind| (kind.group.as_str(), kind.resource.as_str()));
    let shares = alike.clone().any(|kind| kind == own);
    std::iter::once(own).chain(alike.filter(move |_| shares))
}

/// Why something of an access level is not granted, in the order in which it is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Omission {
    Watch,
    Wildcard,
    NotAResource,
    Malformed,
    OtherScope,
    Nameless,
    OneByOne,
    OtherNames,
    NotRequested,
}

struct Cutter {
    scope: Scope,
    /// `None`: the whole.
    names: Option<AllowedNames>,
    powers: Powers,
    /// Group, kind without subresource, and name of what the result allows something on.
    reached: BTreeSet<(String, String, String)>,
    left_out: BTreeMap<(Omission, Kind), BTreeSet<String>>,
}

impl Cutter {
    fn rule(&mut self, rule: &PolicyRule) {
        for path in items(rule.non_resource_urls.as_ref()) {
            let kind = Kind { group: String::new(), resource: path.clone() };
            self.leave_out_all(Omission::NotAResource, &kind, &rule.verbs);
        }
        let written = items(rule.resource_names.as_ref());
        let level_names: Option<BTreeSet<&str>> =
            (!written.is_empty()).then(|| written.iter().map(String::as_str).filter(|name| !name.is_empty()).collect());
        for group in items(rule.api_groups.as_ref()) {
            for resource in items(rule.resources.as_ref()) {
                let kind = Kind { group: group.clone(), resource: resource.clone() };
                self.kind(&kind, &rule.verbs, level_names.as_ref());
            }
        }
    }

    fn kind(&mut self, kind: &Kind, verbs: &[String], level_names: Option<&BTreeSet<&str>>) {
        let (base, subresource) =
            kind.resource.split_once('/').map_or((&*kind.resource, ""), |(base, sub)| (base, sub));
        if kind.group.contains('*') || kind.resource.contains('*') {
            return self.leave_out_all(Omission::Wildcard, kind, verbs);
        }
        if base.is_empty() {
            return self.leave_out_all(Omission::Malformed, kind, verbs);
        }
        let asked = match &self.names {
            None => None,
            Some(names) => match names.get(&(kind.group.clone(), base.to_owned())) {
                None => return self.leave_out_all(Omission::NotRequested, kind, verbs),
                asked => asked,
            },
        };
        // In scope Tenant, a role for the whole of a namespaced kind is meant: every namespace.
        let elsewhere = is_elsewhere(&kind.group, base, self.scope);
        if elsewhere && (asked.is_some() || self.scope == Scope::Subscription) {
            return self.leave_out_all(Omission::OtherScope, kind, verbs);
        }
        let reach = match (level_names, asked) {
            (None, None) => Reach::All,
            (None, Some(asked)) => Reach::Only(asked.clone()),
            (Some(level), None) => Reach::Only(level.iter().map(ToString::to_string).collect()),
            (Some(level), Some(asked)) => {
                Reach::Only(asked.iter().filter(|name| level.contains(name.as_str())).cloned().collect())
            }
        };
        // An empty list of names would mean all.
        if matches!(&reach, Reach::Only(names) if names.is_empty()) {
            let why =
                if level_names.is_some_and(BTreeSet::is_empty) { Omission::Malformed } else { Omission::OtherNames };
            return self.leave_out_all(why, kind, verbs);
        }
        let named = asked.is_some();
        let base = base.to_owned();
        for verb in verbs {
            let why = match verb.as_str() {
                "" => Some(Omission::Malformed),
                verb if verb.contains('*') => Some(Omission::Wildcard),
                "watch" => Some(Omission::Watch),
                // The name of a subresource's object is in the call: RBAC can compare it.
                "create" if named && subresource.is_empty() => Some(Omission::Nameless),
                "deletecollection" if named => Some(Omission::Nameless),
                // No Role in a namespace reaches them.
                "create" | "list" | "deletecollection"
                    if self.scope == Scope::Subscription
                        && subresource.is_empty()
                        && is_namespaces(&kind.group, &base) =>
                {
                    Some(Omission::OtherScope)
                }
                _ => None,
            };
            if let Some(why) = why {
                self.leave_out(why, kind, verb);
                continue;
            }
            if named && verb == "list" && subresource.is_empty() {
                self.leave_out(Omission::OneByOne, kind, verb);
            }
            if let Reach::Only(names) = &reach {
                self.reached.extend(names.iter().map(|name| (kind.group.clone(), base.clone(), name.clone())));
            }
            self.powers.allow(kind.clone(), verb, reach.clone());
        }
    }

    fn leave_out(&mut self, why: Omission, kind: &Kind, verb: &str) {
        self.left_out.entry((why, kind.clone())).or_default().insert(verb.to_owned());
    }

    fn leave_out_all(&mut self, why: Omission, kind: &Kind, verbs: &[String]) {
        for verb in verbs {
            self.leave_out(why, kind, verb);
        }
    }

    fn finish(self, level_rules: &[PolicyRule], extent: &Extent, same_name: &[GroupResource]) -> Result<Access, Unfit> {
        if let Extent::Named(names) = extent {
            let reached = |object: &&NamedObject| {
                siblings(object, same_name).any(|(group, resource)| {
                    self.reached.contains(&(group.to_owned(), resource.to_owned(), object.name.clone()))
                })
            };
            let missing: Vec<_> = names.iter().filter(|object| !reached(object)).collect();
            if !missing.is_empty() {
                return Err(Unfit::not_covered(&missing, &covered_kinds(level_rules)));
            }
        }
        let left_out = sentences(self.left_out);
        if self.powers.is_empty() {
            return Err(Unfit::nothing(&left_out));
        }
        let rules = self.powers.rules();
        let Some(words) = words::words(&rules, self.scope) else {
            return Err(Unfit::too_wide(format!("{} different rules are left", rules.len())));
        };
        Ok(Access { form: extent.form(), scope: self.scope, rules, words, left_out })
    }
}

/// Kinds that a level has rules about, for a message.
fn covered_kinds(rules: &[PolicyRule]) -> Vec<String> {
    let mut kinds = BTreeSet::new();
    for rule in rules {
        for group in items(rule.api_groups.as_ref()) {
            for resource in items(rule.resources.as_ref()) {
                let base = resource.split('/').next().unwrap_or_default();
                kinds.insert(show_kind(group, base));
            }
        }
    }
    kinds.into_iter().collect()
}

/// What is left out, in words: a sentence for each reason and set of verbs. Kinds that nobody asked for are not told:
/// an approver would read of little else.
fn sentences(left_out: BTreeMap<(Omission, Kind), BTreeSet<String>>) -> Vec<String> {
    let mut grouped: BTreeMap<(Omission, BTreeSet<String>), BTreeSet<String>> = BTreeMap::new();
    for ((why, kind), verbs) in left_out {
        let shown = if why == Omission::NotAResource {
            words::plain(&kind.resource)
        } else {
            show_kind(&kind.group, &kind.resource)
        };
        grouped.entry((why, verbs)).or_default().insert(shown);
    }
    let sentences = grouped
        .into_iter()
        .filter_map(|((why, verbs), kinds)| {
            let verbs = list(&verbs.iter().map(|verb| words::plain(verb)).collect::<Vec<_>>(), 80);
            let kinds = list(&kinds.into_iter().collect::<Vec<_>>(), 280);
            let sentence = match why {
                // Of every kind: which ones does not matter.
                Omission::Watch => "watch: never granted, because a watch goes on after the access has ended".to_owned(),
                Omission::Wildcard => format!("{verbs} {kinds}: never granted: a wildcard"),
                Omission::NotAResource => format!("{verbs} {kinds}: never granted: a path, and no resource"),
                Omission::Malformed => format!("{verbs} {kinds}: never granted: an empty name would stand for all"),
                Omission::OtherScope => format!("{verbs} {kinds}: does not belong to this scope"),
                Omission::Nameless => format!("{verbs} {kinds}: cannot be limited to the named objects"),
                Omission::OneByOne => format!(
                    "{verbs} {kinds} in general: a list shows one named object at a time, with --field-selector metadata.name=NAME"
                ),
                Omission::OtherNames => format!("{verbs} {kinds}: the access level is limited to objects of other names"),
                Omission::NotRequested => return None,
            };
            Some(clip(&sentence, MAX_SENTENCE))
        })
        .collect();
    words::at_most(sentences, MAX_LEFT_OUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::MAX_RULES;
    use lockbox_api::GrantForm;

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str], names: &[&str]) -> PolicyRule {
        let owned = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        PolicyRule {
            api_groups: Some(owned(groups)),
            resources: Some(owned(resources)),
            verbs: owned(verbs),
            resource_names: (!names.is_empty()).then(|| owned(names)),
            non_resource_urls: None,
        }
    }

    fn object(group: &str, resource: &str, name: &str) -> NamedObject {
        NamedObject { group: group.into(), resource: resource.into(), name: name.into() }
    }

    fn named(objects: &[NamedObject]) -> Extent {
        Extent::from_request(Some(objects)).unwrap()
    }

    fn kinds(kinds: &[(&str, &str)]) -> Vec<GroupResource> {
        kinds
            .iter()
            .map(|(group, resource)| GroupResource { group: (*group).into(), resource: (*resource).into() })
            .collect()
    }

    #[test]
    fn a_role_of_just_as_many_single_rights_as_are_read_is_cut_and_one_more_is_refused() {
        let many = |letter: &str, count: usize| (0..count).map(|n| format!("{letter}{n}")).collect::<Vec<_>>();
        let (resources, names) = (many("kinds", 16), many("name", MAX_WEIGHT / 16));
        let borrowed: Vec<_> = resources.iter().map(String::as_str).collect();
        let of_all: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(resources.len() * names.len(), MAX_WEIGHT);
        let mut rules = vec![rule(&["example.com"], &borrowed, &["get"], &of_all)];
        assert!(cut(&rules, &Extent::Whole, &[], Scope::Subscription).is_ok());
        rules.push(rule(&["example.com"], &["one"], &["more"], &[]));
        let unfit = cut(&rules, &Extent::Whole, &[], Scope::Subscription).unwrap_err();
        assert!(unfit.to_string().contains(&(MAX_WEIGHT + 1).to_string()), "{unfit}");
    }

    fn shell() -> Vec<PolicyRule> {
        vec![
            rule(&[""], &["pods"], &["get", "list"], &[]),
            rule(&[""], &["pods/exec", "pods/attach"], &["get", "create"], &[]),
            rule(&[""], &["pods/log"], &["get"], &[]),
        ]
    }

    fn desktop() -> (Vec<PolicyRule>, Vec<GroupResource>) {
        let rules = vec![
            rule(
                &["subresources.kubevirt.io"],
                &["virtualmachineinstances/vnc", "virtualmachineinstances/console"],
                &["get"],
                &[],
            ),
            rule(&["kubevirt.io"], &["virtualmachines", "virtualmachineinstances"], &["get", "list"], &[]),
        ];
        let same_name = kinds(&[
            ("kubevirt.io", "virtualmachines"),
            ("kubevirt.io", "virtualmachineinstances"),
            ("subresources.kubevirt.io", "virtualmachines"),
            ("subresources.kubevirt.io", "virtualmachineinstances"),
        ]);
        (rules, same_name)
    }

    #[test]
    fn a_named_pod_is_reached_by_its_name_alone() {
        let access = cut(&shell(), &named(&[object("", "pods", "erp-db-0")]), &[], Scope::Subscription).unwrap();
        assert_eq!(access.form(), GrantForm::Named);
        assert_eq!(
            access.rules(),
            [
                rule(&[""], &["pods"], &["get", "list"], &["erp-db-0"]),
                rule(&[""], &["pods/attach"], &["create", "get"], &["erp-db-0"]),
                rule(&[""], &["pods/exec"], &["create", "get"], &["erp-db-0"]),
                rule(&[""], &["pods/log"], &["get"], &["erp-db-0"]),
            ]
        );
        assert_eq!(
            access.left_out(),
            ["list pods in general: a list shows one named object at a time, with --field-selector metadata.name=NAME"]
        );
    }

    #[test]
    fn a_machine_brings_its_instance_and_their_subresources() {
        let (rules, same_name) = desktop();
        let extent = named(&[object("kubevirt.io", "virtualmachines", "erp-db-0")]);
        let access = cut(&rules, &extent, &same_name, Scope::Subscription).unwrap();
        assert_eq!(
            access.rules(),
            [
                rule(
                    &["kubevirt.io"],
                    &["virtualmachineinstances", "virtualmachines"],
                    &["get", "list"],
                    &["erp-db-0"]
                ),
                rule(&["subresources.kubevirt.io"], &["virtualmachineinstances/console"], &["get"], &["erp-db-0"]),
                rule(&["subresources.kubevirt.io"], &["virtualmachineinstances/vnc"], &["get"], &["erp-db-0"]),
            ]
        );
        let without = cut(&rules, &extent, &[], Scope::Subscription).unwrap();
        assert_eq!(without.rules(), [rule(&["kubevirt.io"], &["virtualmachines"], &["get", "list"], &["erp-db-0"])]);
    }

    #[test]
    fn names_are_not_shared_by_a_kind_outside_the_list() {
        let (rules, same_name) = desktop();
        let rules = [rules, vec![rule(&[""], &["persistentvolumeclaims"], &["get"], &[])]].concat();
        let extent =
            named(&[object("", "persistentvolumeclaims", "dump"), object("kubevirt.io", "virtualmachines", "erp")]);
        let access = cut(&rules, &extent, &same_name, Scope::Subscription).unwrap();
        assert_eq!(access.rules()[0], rule(&[""], &["persistentvolumeclaims"], &["get"], &["dump"]));
        assert!(access.rules()[1..].iter().all(|rule| rule.resource_names == Some(vec!["erp".to_owned()])));
    }

    #[test]
    fn what_cannot_be_restricted_by_name_is_left_out_and_said() {
        let level =
            [rule(&[""], &["configmaps"], &["create", "delete", "deletecollection", "get", "patch", "watch"], &[])];
        let access = cut(&level, &named(&[object("", "configmaps", "a")]), &[], Scope::Subscription).unwrap();
        assert_eq!(access.rules(), [rule(&[""], &["configmaps"], &["delete", "get", "patch"], &["a"])]);
        assert_eq!(
            access.left_out(),
            [
                "watch: never granted, because a watch goes on after the access has ended",
                "create, deletecollection configmaps: cannot be limited to the named objects",
            ]
        );
    }

    #[test]
    fn the_whole_is_the_level_as_it_is_without_watch_wildcards_and_paths() {
        let level = [
            rule(&["apps", "batch"], &["jobs", "deployments"], &["get", "create", "watch"], &[]),
            rule(&["*"], &["pods"], &["get"], &[]),
            rule(&[""], &["*", "pods/*"], &["get"], &[]),
            rule(&[""], &["services"], &["*"], &[]),
            rule(&[""], &["endpoints"], &["get"], &["", "api"]),
            PolicyRule {
                non_resource_urls: Some(vec!["/metrics".into()]),
                verbs: vec!["get".into()],
                ..PolicyRule::default()
            },
        ];
        for scope in [Scope::Subscription, Scope::Tenant] {
            let access = cut(&level, &Extent::Whole, &[], scope).unwrap();
            assert_eq!(
                access.rules(),
                [
                    rule(&[""], &["endpoints"], &["get"], &["api"]),
                    rule(&["apps"], &["deployments", "jobs"], &["create", "get"], &[]),
                    rule(&["batch"], &["deployments", "jobs"], &["create", "get"], &[]),
                ]
            );
            assert_eq!(access.left_out().len(), 4, "{:?}", access.left_out());
        }
    }

    #[test]
    fn kinds_of_the_cluster_are_granted_in_scope_tenant_alone() {
        let level = [
            rule(&[""], &["nodes", "namespaces", "pods"], &["get", "list"], &[]),
            rule(&["storage.k8s.io"], &["volumeattachments"], &["get"], &[]),
        ];
        let whole = cut(&level, &Extent::Whole, &[], Scope::Subscription).unwrap();
        assert_eq!(
            whole.rules(),
            [rule(&[""], &["namespaces"], &["get"], &[]), rule(&[""], &["pods"], &["get", "list"], &[])]
        );
        assert_eq!(cut(&level, &Extent::Whole, &[], Scope::Tenant).unwrap().rules().len(), 2);
        let node = named(&[object("", "nodes", "worker-1")]);
        assert_eq!(
            cut(&level, &node, &[], Scope::Tenant).unwrap().rules(),
            [rule(&[""], &["nodes"], &["get", "list"], &["worker-1"])]
        );
        assert!(matches!(cut(&level, &node, &[], Scope::Subscription), Err(Unfit::Elsewhere { .. })));
        let pod = named(&[object("", "pods", "erp-db-0")]);
        assert!(matches!(cut(&level, &pod, &[], Scope::Tenant), Err(Unfit::Elsewhere { .. })));
    }

    #[test]
    fn a_shared_name_does_not_reach_into_every_namespace() {
        let level = [rule(&[""], &["nodes", "pods"], &["get"], &[])];
        let same_name = kinds(&[("", "nodes"), ("", "pods")]);
        let access = cut(&level, &named(&[object("", "nodes", "a")]), &same_name, Scope::Tenant).unwrap();
        assert_eq!(access.rules(), [rule(&[""], &["nodes"], &["get"], &["a"])]);
    }

    #[test]
    fn names_that_the_level_has_already_are_intersected() {
        let level = [rule(&[""], &["pods"], &["get"], &["a", "b"]), rule(&[""], &["pods"], &["list"], &["c"])];
        let access = cut(&level, &named(&[object("", "pods", "b")]), &[], Scope::Subscription).unwrap();
        assert_eq!(access.rules(), [rule(&[""], &["pods"], &["get"], &["b"])]);
        assert_eq!(access.left_out(), ["list pods: the access level is limited to objects of other names"]);
        let error = cut(&level, &named(&[object("", "pods", "d")]), &[], Scope::Subscription).unwrap_err();
        assert!(matches!(&error, Unfit::NotCovered { objects, .. } if objects == "pods/d"), "{error}");
    }

    #[test]
    fn an_object_that_the_level_does_not_cover_is_named_with_what_it_covers() {
        let extent = named(&[object("", "pods", "a"), object("apps", "deployments", "web")]);
        let error = cut(&shell(), &extent, &[], Scope::Subscription).unwrap_err();
        assert_eq!(
            error.to_string(),
            "resources: deployments.apps/web: not covered by this access level, which covers pods: ask for one of those, or with another access level"
        );
    }

    #[test]
    fn nothing_left_is_no_grant() {
        let level = [rule(&[""], &["pods"], &["watch"], &[])];
        for rules in [&level[..], &[]] {
            let error = cut(rules, &Extent::Whole, &[], Scope::Subscription).unwrap_err();
            assert!(matches!(error, Unfit::Nothing { .. }), "{error}");
            assert!(cut(rules, &named(&[object("", "pods", "a")]), &[], Scope::Subscription).is_err());
        }
    }

    #[test]
    fn more_than_an_approver_can_read_is_refused() {
        let level: Vec<_> =
            (0..=MAX_RULES).map(|n| rule(&[&format!("group-{n}.example")], &["things"], &["get"], &[])).collect();
        assert!(cut(&level[1..], &Extent::Whole, &[], Scope::Subscription).is_ok());
        let error = cut(&level, &Extent::Whole, &[], Scope::Subscription).unwrap_err();
        assert!(matches!(error, Unfit::TooWide { .. }), "{error}");
        let many: Vec<String> = (0..200).map(|n| format!("r{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let enormous = [rule(&many, &many, &many, &many)];
        assert!(matches!(cut(&enormous, &Extent::Whole, &[], Scope::Subscription), Err(Unfit::TooWide { .. })));
    }

    #[test]
    fn what_is_left_out_is_told_in_few_words_and_without_what_nobody_asked_for() {
        let level = [
            rule(&[""], &["pods", "services"], &["get", "list", "watch"], &[]),
            rule(&["apps"], &["deployments"], &["get", "watch"], &[]),
        ];
        let watch = "watch: never granted, because a watch goes on after the access has ended";
        let access = cut(&level, &named(&[object("", "pods", "a")]), &[], Scope::Subscription).unwrap();
        assert_eq!(
            access.left_out(),
            [
                watch,
                "list pods in general: a list shows one named object at a time, with --field-selector metadata.name=NAME"
            ]
        );
        assert_eq!(cut(&level, &Extent::Whole, &[], Scope::Subscription).unwrap().left_out(), [watch]);
    }
}
