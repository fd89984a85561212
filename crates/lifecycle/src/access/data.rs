use k8s_openapi::api::rbac::v1::PolicyRule;

use super::{
    MAX_LEFT_OUT, MAX_SENTENCE,
    danger::READ_VERBS,
    items,
    words::{at_most, show_kind},
};
use crate::text::{clip, list};

/// Kinds whose objects hold customer data, or lead to it, with any verb.
const DATA: &[(&str, &[&str])] = &[
    ("", &["configmaps", "secrets"]),
    ("cdi.kubevirt.io", &["datavolumes"]),
    ("export.kubevirt.io", &["virtualmachineexports"]),
    ("groupsnapshot.storage.k8s.io", &["volumegroupsnapshotcontents", "volumegroupsnapshots"]),
    ("snapshot.kubevirt.io", &["virtualmachinerestores", "virtualmachinesnapshotcontents", "virtualmachinesnapshots"]),
    ("snapshot.storage.k8s.io", &["volumesnapshotcontents", "volumesnapshots"]),
];

/// Kinds whose description holds no data, but whoever writes one copies, attaches or destroys the data behind it.
const BEHIND: &[(&str, &[&str])] = &[("", &["persistentvolumeclaims", "persistentvolumes"])];

/// Subresources that open what runs: in any group.
const OPENINGS: &[&str] = &[
    "attach",
    "console",
    "ephemeralcontainers",
    "exec",
    "filesystemlist",
    "log",
    "memorydump",
    "portforward",
    "proxy",
    "sev",
    "token",
    "usbredir",
    "userlist",
    "vnc",
];

/// The rules that reach customer data, in words; none when none does. To read an object's specification alone, such as
/// that of a Pod or a volume claim, is not to reach customer data; the content of a `ConfigMap` or Secret is. A wildcard
/// reaches everything. At most 16 sentences of 512 characters.
pub fn customer_data(rules: &[PolicyRule]) -> Vec<String> {
    let found = rules
        .iter()
        .filter_map(|rule| {
            let kinds = reached(rule);
            let verbs: Vec<_> = rule.verbs.iter().map(|verb| super::words::plain(verb)).collect();
            (!kinds.is_empty()).then(|| clip(&format!("{} {}", list(&verbs, 80), list(&kinds, 400)), MAX_SENTENCE))
        })
        .collect();
    at_most(found, MAX_LEFT_OUT)
}

fn reached(rule: &PolicyRule) -> Vec<String> {
    if rule.verbs.is_empty() {
        return Vec::new();
    }
    let writes = rule.verbs.iter().any(|verb| !READ_VERBS.contains(&verb.as_str()));
    let mut kinds: Vec<_> = items(rule.resources.as_ref())
        .iter()
        .filter_map(|kind| {
            let group = items(rule.api_groups.as_ref()).iter().find(|group| is_data(group, kind, writes))?;
            Some(show_kind(group, kind))
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

fn is_data(group: &str, resource: &str, writes: bool) -> bool {
    let (base, subresource) = resource.split_once('/').map_or((resource, None), |(base, sub)| (base, Some(sub)));
    if base.contains('*') {
        // `*/scale` reaches that subresource of every kind.
        return subresource.is_none_or(|sub| sub.contains('*') || OPENINGS.contains(&sub));
    }
    if subresource.is_some_and(|sub| sub.contains('*') || OPENINGS.contains(&sub)) {
        return true;
    }
    let has = |kinds: &[(&str, &[&str])]| {
        kinds.iter().any(|(of, names)| (*of == group || group.contains('*')) && names.contains(&base))
    };
    has(DATA) || (writes && has(BEHIND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
        let owned = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        PolicyRule {
            api_groups: Some(owned(groups)),
            resources: Some(owned(resources)),
            verbs: owned(verbs),
            ..PolicyRule::default()
        }
    }

    #[test]
    fn specifications_are_not_customer_data_and_contents_are() {
        for (group, resource, verb, expected) in [
            ("", "pods", "get", false),
            ("apps", "deployments", "list", false),
            ("kubevirt.io", "virtualmachines", "get", false),
            ("", "persistentvolumeclaims", "get", false),
            ("", "persistentvolumeclaims", "create", true),
            ("", "nodes", "get", false),
            ("", "pods/status", "get", false),
            ("apps", "deployments/scale", "patch", false),
            ("", "secrets", "get", true),
            ("", "secrets", "list", true),
            ("", "configmaps", "get", true),
            ("", "pods/exec", "create", true),
            ("", "pods/attach", "get", true),
            ("", "pods/log", "get", true),
            ("", "pods/portforward", "create", true),
            ("", "pods/ephemeralcontainers", "patch", true),
            ("", "services/proxy", "get", true),
            ("", "nodes/proxy", "get", true),
            ("", "serviceaccounts/token", "create", true),
            ("snapshot.storage.k8s.io", "volumesnapshots", "get", true),
            ("cdi.kubevirt.io", "datavolumes", "get", true),
            ("export.kubevirt.io", "virtualmachineexports", "get", true),
            ("subresources.kubevirt.io", "virtualmachineinstances/vnc", "get", true),
            ("subresources.kubevirt.io", "virtualmachineinstances/console", "get", true),
            ("subresources.kubevirt.io", "virtualmachines/memorydump", "update", true),
            ("", "*", "get", true),
            ("*", "configmaps", "get", true),
            ("*", "deployments", "get", false),
            ("", "pods/*", "get", true),
            ("", "*/exec", "get", true),
            ("", "*/scale", "get", false),
            ("example.com", "configmaps", "get", false),
        ] {
            let found = customer_data(&[rule(&[group], &[resource], &[verb])]);
            assert_eq!(!found.is_empty(), expected, "{verb} {resource}.{group}: {found:?}");
        }
    }

    #[test]
    fn the_kinds_that_reach_it_are_named() {
        let level = [
            rule(&[""], &["pods", "configmaps", "pods/log"], &["get", "list"]),
            rule(&["apps"], &["deployments"], &["get"]),
        ];
        assert_eq!(customer_data(&level), ["get, list configmaps, pods/log"]);
    }
}
