//! The normal form of rules: what they allow, call by call.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::{Value, json};

use super::{items, words::stands_alone};

/// Rules that spell out to more calls than this have no normal form: groups × resources × verbs × names.
pub(super) const MAX_WEIGHT: usize = 16_384;

/// A kind, or a subresource of one (`pods/exec`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub group: String,
    pub resource: String,
}

/// Which objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Only(BTreeSet<String>),
    All,
}

/// What kinds have in common that share a rule: group, the kind itself if it stands alone, verbs, objects.
type Shared = (String, Option<String>, BTreeSet<String>, Reach);

/// What rules allow: for each kind and verb, which objects; and the same for paths that are no resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Powers {
    kinds: BTreeMap<Kind, BTreeMap<String, Reach>>,
    paths: BTreeMap<String, BTreeSet<String>>,
}

impl Powers {
    /// Reads rules as RBAC does. `None` when they spell out to more than [`MAX_WEIGHT`] calls.
    fn read(rules: &[PolicyRule]) -> Option<Self> {
        if weight(rules) > MAX_WEIGHT {
            return None;
        }
        let mut powers = Self::default();
        for rule in rules {
            let names = items(rule.resource_names.as_ref());
            for (kind, verb) in calls(rule) {
                let reach = if names.is_empty() { Reach::All } else { Reach::Only(names.iter().cloned().collect()) };
                powers.allow(kind, verb, reach);
            }
            for path in items(rule.non_resource_urls.as_ref()) {
                if !rule.verbs.is_empty() {
                    powers.paths.entry(path.clone()).or_default().extend(rule.verbs.iter().cloned());
                }
            }
        }
        Some(powers)
    }

    /// Adds a call to what is allowed.
    pub fn allow(&mut self, kind: Kind, verb: &str, reach: Reach) {
        let verbs = self.kinds.entry(kind).or_default();
        match (verbs.get_mut(verb), reach) {
            (Some(Reach::All), _) => {}
            (Some(Reach::Only(before)), Reach::Only(more)) => before.extend(more),
            (Some(before), Reach::All) => *before = Reach::All,
            (None, reach) => {
                verbs.insert(verb.to_owned(), reach);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.paths.is_empty()
    }

    /// The rules that allow exactly this: one group each, sorted; kinds of a group with the same verbs and objects share
    /// a rule, unless there are words for what a kind is used for.
    pub fn rules(self) -> Vec<PolicyRule> {
        let mut merged: BTreeMap<Shared, BTreeSet<String>> = BTreeMap::new();
        for (kind, verbs) in self.kinds {
            let mut by_reach: BTreeMap<Reach, BTreeSet<String>> = BTreeMap::new();
            for (verb, reach) in verbs {
                by_reach.entry(reach).or_default().insert(verb);
            }
            let alone = stands_alone(&kind.group, &kind.resource).then(|| kind.resource.clone());
            for (reach, verbs) in by_reach {
                let key = (kind.group.clone(), alone.clone(), verbs, reach);
                merged.entry(key).or_default().insert(kind.resource.clone());
            }
        }
        let mut sorted: Vec<_> =
            merged.into_iter().map(|((group, _, verbs, reach), resources)| (group, resources, verbs, reach)).collect();
        sorted.sort();
        let mut paths: BTreeMap<BTreeSet<String>, Vec<String>> = BTreeMap::new();
        for (path, verbs) in self.paths {
            paths.entry(verbs).or_default().push(path);
        }
        let of_kinds = sorted.into_iter().map(|(group, resources, verbs, reach)| PolicyRule {
            api_groups: Some(vec![group]),
            resources: Some(resources.into_iter().collect()),
            verbs: verbs.into_iter().collect(),
            resource_names: match reach {
                Reach::All => None,
                Reach::Only(names) => Some(names.into_iter().collect()),
            },
            non_resource_urls: None,
        });
        let of_paths = paths.into_iter().map(|(verbs, paths)| PolicyRule {
            non_resource_urls: Some(paths),
            verbs: verbs.into_iter().collect(),
            ..PolicyRule::default()
        });
        of_kinds.chain(of_paths).collect()
    }
}

/// What rules allow, as JSON that depends on nothing else: not on order, nor on how rules are split or merged here. Rules
/// too many to be spelt out stand as they are, sorted: still the same for the same text in another order, and never the
/// same for something else.
pub(super) fn canonical(rules: &[PolicyRule]) -> Value {
    let Some(powers) = Powers::read(rules) else { return json!({ "rules": tidied(rules) }) };
    let of_kinds: Vec<_> = powers
        .kinds
        .iter()
        .flat_map(|(kind, verbs)| {
            verbs.iter().map(|(verb, reach)| {
                let names = match reach {
                    Reach::All => None,
                    Reach::Only(names) => Some(names),
                };
                json!([kind.group, kind.resource, verb, names])
            })
        })
        .collect();
    json!({ "paths": powers.paths.iter().collect::<Vec<_>>(), "rights": of_kinds })
}

/// Every kind and verb of a rule.
fn calls(rule: &PolicyRule) -> impl Iterator<Item = (Kind, &str)> {
    items(rule.api_groups.as_ref()).iter().flat_map(move |group| {
        items(rule.resources.as_ref()).iter().flat_map(move |resource| {
            let kind = Kind { group: group.clone(), resource: resource.clone() };
            rule.verbs.iter().map(move |verb| (kind.clone(), verb.as_str()))
        })
    })
}

/// How many calls rules spell out to.
pub(super) fn weight(rules: &[PolicyRule]) -> usize {
    rules.iter().fold(0, |sum: usize, rule| {
        let of_kinds = items(rule.api_groups.as_ref())
            .len()
            .saturating_mul(items(rule.resources.as_ref()).len())
            .saturating_mul(items(rule.resource_names.as_ref()).len().max(1));
        let of_paths = items(rule.non_resource_urls.as_ref()).len();
        sum.saturating_add(of_kinds.saturating_add(of_paths).saturating_mul(rule.verbs.len()))
    })
}

/// Parts of a rule: groups, resources, verbs, names, paths.
type Parts = [BTreeSet<String>; 5];

fn tidied(rules: &[PolicyRule]) -> BTreeSet<Parts> {
    let tidy = |items: &[String]| items.iter().cloned().collect();
    rules
        .iter()
        .map(|rule| {
            [
                tidy(items(rule.api_groups.as_ref())),
                tidy(items(rule.resources.as_ref())),
                tidy(&rule.verbs),
                tidy(items(rule.resource_names.as_ref())),
                tidy(items(rule.non_resource_urls.as_ref())),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(letter: &str, count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{letter}{n}")).collect()
    }

    #[test]
    fn rules_are_spelt_out_up_to_a_limit() {
        let rule = |resources: usize, verbs: usize| PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(texts("kinds", resources)),
            verbs: texts("verb", verbs),
            ..PolicyRule::default()
        };
        let most = rule(128, MAX_WEIGHT / 128);
        assert!(Powers::read(std::slice::from_ref(&most)).is_some());
        assert!(Powers::read(&[most.clone(), rule(1, 1)]).is_none());
        // What is not spelt out is compared as it stands, whatever the order.
        let written = canonical(&[most.clone(), rule(1, 1)]);
        assert_eq!(written, canonical(&[rule(1, 1), most.clone()]));
        assert_ne!(written, canonical(&[rule(1, 2), most.clone()]));
        assert_ne!(written, canonical(&[most]));
    }

    #[test]
    fn paths_are_read_and_written_as_they_are() {
        let rule = |paths: &[&str], verbs: &[&str]| PolicyRule {
            non_resource_urls: Some(paths.iter().map(ToString::to_string).collect()),
            verbs: verbs.iter().map(ToString::to_string).collect(),
            ..PolicyRule::default()
        };
        let split = [rule(&["/metrics"], &["get"]), rule(&["/healthz"], &["get"]), rule(&["/nothing"], &[])];
        let merged = Powers::read(&split).unwrap().rules();
        assert_eq!(merged, [rule(&["/healthz", "/metrics"], &["get"])]);
        assert_eq!(canonical(&split), canonical(&merged));
        assert_ne!(canonical(&merged), canonical(&[rule(&["/metrics"], &["get"])]));
    }
}
