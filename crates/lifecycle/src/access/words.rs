//! Rules as an approver reads them.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::{MAX_SENTENCE, MAX_SENTENCES, list as items};
use crate::text::clip;
use lockbox_api::Scope;

/// Characters of [`difference`].
const MAX_DIFFERENCE: usize = 400;
/// Room for "and N more" in a list that is cut short.
const AND_MORE: usize = 20;

/// What a kind is used for, where its name does not say so to somebody who does not know Kubernetes: group, resource,
/// the verbs that the words are true of (none: any), the words.
const DEEDS: &[(&str, &str, &[&str], &str)] = &[
    ("", "configmaps", READ, "read the values in"),
    ("", "nodes/proxy", &[], "command the node agent of"),
    ("", "pods/attach", &[], "attach to the running processes of"),
    ("", "pods/ephemeralcontainers", &[], "add debugging containers to"),
    ("", "pods/exec", &[], "run commands, such as a shell, in"),
    ("", "pods/log", &[], "read the logs of"),
    ("", "pods/portforward", &[], "open network connections into"),
    ("", "pods/proxy", &[], "send web requests to"),
    ("", "secrets", READ, "read the secret values in"),
    ("", "serviceaccounts/token", &[], "act with the rights of"),
    ("", "services/proxy", &[], "send web requests to"),
    ("export.kubevirt.io", "virtualmachineexports", READ, "see how to download the disks in"),
    ("subresources.kubevirt.io", "virtualmachineinstances/console", &[], "use the serial console of"),
    ("subresources.kubevirt.io", "virtualmachineinstances/portforward", &[], "open network connections into"),
    ("subresources.kubevirt.io", "virtualmachineinstances/usbredir", &[], "connect USB devices to"),
    ("subresources.kubevirt.io", "virtualmachineinstances/vnc", &[], "see and use the screen of"),
    ("subresources.kubevirt.io", "virtualmachines/memorydump", &[], "dump the memory of"),
    ("subresources.kubevirt.io", "virtualmachines/portforward", &[], "open network connections into"),
];
const READ: &[&str] = &["get", "list"];

/// Said once when a rule lets somebody into a Pod.
const ENTERED: &str = "Note: what is done inside a Pod can use the rights of its service account, and can stay behind: restart Pods that were entered";
const ENTRANCES: &[&str] = &["exec", "attach", "ephemeralcontainers"];
/// Said once when a rule opens a stream: the API server asks for authorization when it opens, and never again.
const STREAMED: &str = "Note: a session, or a log that is being followed, does not break off when the access ends";
const STREAMS: &[&str] = &["exec", "attach", "log", "portforward", "vnc", "console", "usbredir"];

/// Whether a kind keeps a rule of its own, because there are words for what it is used for.
pub(super) fn stands_alone(group: &str, resource: &str) -> bool {
    DEEDS.iter().any(|(of, kind, ..)| *of == group && *kind == resource)
}

/// Each rule as a sentence, and then what an approver should know about them: at most [`MAX_SENTENCES`] of
/// [`MAX_SENTENCE`] characters, in plain ASCII but for an ellipsis.
pub fn words(rules: &[PolicyRule], scope: Scope) -> Vec<String> {
    let sentences = rules.iter().map(|rule| sentence(rule, scope)).chain(notes(rules).map(str::to_owned)).collect();
    at_most(sentences, MAX_SENTENCES)
}

/// How many sentences [`words`] needs, were it not for its limit.
pub(super) fn count(rules: &[PolicyRule]) -> usize {
    rules.len() + notes(rules).count()
}

fn notes(rules: &[PolicyRule]) -> impl Iterator<Item = &'static str> {
    let any = |subresources: &[&str]| {
        rules
            .iter()
            .flat_map(|rule| items(rule.resources.as_ref()))
            .any(|resource| resource.split_once('/').is_some_and(|(_, sub)| sub == "*" || subresources.contains(&sub)))
    };
    let entered = any(ENTRANCES).then_some(ENTERED);
    let streamed = any(STREAMS).then_some(STREAMED);
    entered.into_iter().chain(streamed)
}

/// One rule: `get, list: pods erp-db-0`, or `read the logs of (get pods/log): all pods of the namespace`.
pub(super) fn sentence(rule: &PolicyRule, scope: Scope) -> String {
    let verbs = list(&plains(&rule.verbs), 70);
    let mut parts = Vec::new();
    let resources = items(rule.resources.as_ref());
    if !resources.is_empty() {
        parts.push(of_resources(rule, resources, &verbs, scope));
    }
    let paths = items(rule.non_resource_urls.as_ref());
    if !paths.is_empty() {
        parts.push(format!("{verbs}: the paths {}", list(&plains(paths), 280)));
    }
    if parts.is_empty() { "nothing".to_owned() } else { clip(&parts.join("; "), MAX_SENTENCE) }
}

fn of_resources(rule: &PolicyRule, resources: &[String], verbs: &str, scope: Scope) -> String {
    let groups = items(rule.api_groups.as_ref());
    let names = items(rule.resource_names.as_ref());
    let place = match scope {
        Scope::Subscription => "namespace",
        Scope::Tenant => "cluster",
    };
    let objects = |kinds: &str, several: bool| {
        if names.is_empty() {
            format!("all {kinds} of the {place}")
        } else {
            let between = if several { " named" } else { "" };
            format!("{kinds}{between} {}", list(&plains(names), 270))
        }
    };
    if let ([group], [resource]) = (groups, resources)
        && let Some(deed) = deed(group, resource, &rule.verbs)
    {
        let base = resource.split('/').next().unwrap_or_default();
        let kind = show_kind(group, resource);
        return format!("{deed} ({verbs} {kind}): {}", objects(&show_kind(group, base), false));
    }
    let kinds: BTreeSet<_> =
        groups.iter().take(64).flat_map(|group| resources.iter().map(|kind| show_kind(group, kind))).collect();
    let kinds: Vec<_> = kinds.into_iter().collect();
    let shown = list(&kinds, if names.is_empty() { 380 } else { 140 });
    format!("{verbs}: {}", objects(&shown, kinds.len() > 1))
}

fn deed(group: &str, resource: &str, verbs: &[String]) -> Option<&'static str> {
    DEEDS
        .iter()
        .find(|(of, kind, ..)| *of == group && *kind == resource)
        .filter(|(_, _, of, _)| of.is_empty() || verbs.iter().all(|verb| of.contains(&verb.as_str())))
        .map(|(.., words)| *words)
}

/// What changed between the sentences that an approver was shown and those of now, in at most 400 characters. For
/// when the hashes differ.
pub fn difference(before: &[String], now: &[String]) -> String {
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).map(|line| clip(line, 160)).collect::<Vec<_>>()
    };
    let added = only(now, before);
    let removed = only(before, now);
    let room = if added.is_empty() || removed.is_empty() { 360 } else { 180 };
    let quoted = |lines: &[String]| list_by(lines, "; ", room);
    let text = match (added.is_empty(), removed.is_empty()) {
        (true, true) => "what is granted changed in a part that the shown words leave out".to_owned(),
        (false, true) => format!("added: {}", quoted(&added)),
        (true, false) => format!("removed: {}", quoted(&removed)),
        (false, false) => format!("added: {}. Removed: {}", quoted(&added), quoted(&removed)),
    };
    clip(&text, MAX_DIFFERENCE)
}

/// Kind as `deployments.apps` or `deployments.apps/scale`; the group is left out for the core.
pub(super) fn show_kind(group: &str, resource: &str) -> String {
    let resource = plain(resource);
    if group.is_empty() {
        return resource;
    }
    let group = plain(group);
    match resource.split_once('/') {
        Some((base, sub)) => format!("{base}.{group}/{sub}"),
        None => format!("{resource}.{group}"),
    }
}

fn plains(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| plain(text)).collect()
}

/// A text from a role as it can be shown among others: what is not an ordinary character of a name is escaped, so that
/// it can neither hide nor pass for a separator; an empty text becomes visible.
pub(super) fn plain(text: &str) -> String {
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    // Nothing longer than a sentence is ever shown.
    for c in text.chars().take(MAX_SENTENCE + 1) {
        if is_plain(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

/// Whether a character is one of those that names, kinds, verbs and paths are made of.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._:/*@+=~#%&?".contains(c)
}

/// Items with commas, as many as there is room for, and how many more there are.
pub(super) fn list(items: &[String], room: usize) -> String {
    list_by(items, ", ", room)
}

fn list_by(items: &[String], separator: &str, room: usize) -> String {
    let mut text = String::new();
    let mut length = 0;
    for (index, item) in items.iter().enumerate() {
        let left = items.len() - index;
        let item_length = item.chars().count() + if index == 0 { 0 } else { separator.len() };
        let reserve = if left > 1 { AND_MORE } else { 0 };
        if length + item_length + reserve > room {
            if index > 0 {
                return format!("{text} and {left} more");
            }
            let first = clip(item, room.saturating_sub(reserve));
            return if left > 1 { format!("{first} and {} more", left - 1) } else { first };
        }
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(item);
        length += item_length;
    }
    text
}

/// At most so many sentences; the last one says how many are missing.
pub(super) fn at_most(mut sentences: Vec<String>, limit: usize) -> Vec<String> {
    if sentences.len() > limit {
        let missing = sentences.len() - limit + 1;
        sentences.truncate(limit - 1);
        sentences.push(format!("and {missing} more"));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn one(rule: &PolicyRule) -> String {
        sentence(rule, Scope::Subscription)
    }

    #[test]
    fn rules_read_as_plain_sentences() {
        for (rule, expected) in [
            (rule(&[""], &["pods"], &["get", "list"], &["erp-db-0"]), "get, list: pods erp-db-0"),
            (rule(&[""], &["pods"], &["get"], &[]), "get: all pods of the namespace"),
            (
                rule(&[""], &["pods/exec"], &["create", "get"], &["a", "b"]),
                "run commands, such as a shell, in (create, get pods/exec): pods a, b",
            ),
            (rule(&[""], &["pods/log"], &["get"], &[]), "read the logs of (get pods/log): all pods of the namespace"),
            (rule(&[""], &["configmaps"], &["get"], &["a"]), "read the values in (get configmaps): configmaps a"),
            (rule(&[""], &["configmaps"], &["get", "patch"], &["a"]), "get, patch: configmaps a"),
            (
                rule(&["apps"], &["deployments", "deployments/scale"], &["get"], &["web"]),
                "get: deployments.apps, deployments.apps/scale named web",
            ),
            (
                rule(&["subresources.kubevirt.io"], &["virtualmachineinstances/vnc"], &["get"], &["erp"]),
                "see and use the screen of (get virtualmachineinstances.subresources.kubevirt.io/vnc): virtualmachineinstances.subresources.kubevirt.io erp",
            ),
            (rule(&["*"], &["*"], &["*"], &[]), "*: all *.* of the namespace"),
            (rule(&[""], &["pods"], &["get"], &[""]), "get: pods \"\""),
            (PolicyRule::default(), "nothing"),
            (
                PolicyRule {
                    non_resource_urls: Some(vec!["/metrics".into()]),
                    verbs: vec!["get".into()],
                    ..PolicyRule::default()
                },
                "get: the paths /metrics",
            ),
        ] {
            assert_eq!(one(&rule), expected);
        }
        let nodes = rule(&[""], &["nodes"], &["get"], &[]);
        assert_eq!(sentence(&nodes, Scope::Tenant), "get: all nodes of the cluster");
    }

    #[test]
    fn an_approver_is_told_once_what_a_shell_means() {
        let rules = [
            rule(&[""], &["pods/attach"], &["create"], &["a"]),
            rule(&[""], &["pods/exec"], &["create"], &["a"]),
            rule(&[""], &["pods/log"], &["get"], &["a"]),
        ];
        let said = words(&rules, Scope::Subscription);
        assert_eq!(said[3..], [ENTERED, STREAMED]);
        assert_eq!(words(&rules[2..], Scope::Subscription)[1..], [STREAMED]);
        let read = [rule(&[""], &["pods"], &["get"], &["a"])];
        assert_eq!(words(&read, Scope::Subscription).len(), 1);
    }

    #[test]
    fn a_name_can_neither_hide_nor_pass_for_two() {
        let sly = rule(&[""], &["pods"], &["get"], &["a, b", "\u{202e}c", "d\u{1b}[2K", "e\\"]);
        assert_eq!(one(&sly), "get: pods a\\u{2c}\\u{20}b, \\u{202e}c, d\\u{1b}\\u{5b}2K, e\\u{5c}");
    }

    #[test]
    fn long_lists_are_cut_short_and_counted() {
        let names: Vec<String> = (0..1000).map(|n| format!("pod-{n:04}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let said = one(&rule(&[""], &["pods"], &["get"], &names));
        assert!(said.ends_with(" and 975 more"), "{said}");
        let long = "x".repeat(5_000);
        let said = one(&rule(&[&long, "b"], &[&long, "c"], &[&long, "d"], &[&long, "e"]));
        assert!(said.chars().count() <= MAX_SENTENCE, "{said}");
        let many: Vec<_> = (0..70).map(|n| rule(&[""], &[&format!("k{n}")], &["get"], &[])).collect();
        let said = words(&many, Scope::Subscription);
        assert_eq!((said.len(), said[63].as_str()), (64, "and 7 more"));
        let said = words(&many[..64], Scope::Subscription);
        assert!(said.len() == 64 && said[63].contains("k63"), "{said:?}");
    }

    #[test]
    fn a_list_holds_what_there_is_room_for_and_says_how_many_more_there_are() {
        let items = |lengths: &[usize]| -> Vec<_> {
            lengths.iter().zip('a'..).map(|(length, letter)| letter.to_string().repeat(*length)).collect()
        };
        let room = 40;
        // The last one needs no room for how many more there are.
        assert_eq!(list(&items(&[2, 36]), room), format!("aa, {}", "b".repeat(36)));
        assert_eq!(list(&items(&[2, 37]), room), "aa and 1 more");
        assert_eq!(list(&items(&[room - AND_MORE, 60]), room), format!("{} and 1 more", "a".repeat(room - AND_MORE)));
        assert_eq!(list(&items(&[room]), room), "a".repeat(room));
        assert_eq!(list(&items(&[room + 1]), room), format!("{}…", "a".repeat(room - 1)));
        let cut = "a".repeat(room - AND_MORE - 1);
        assert_eq!(list(&items(&[60, 60, 60]), room), format!("{cut}… and 2 more"));
        assert_eq!(list(&[], room), "");
    }

    #[test]
    fn a_text_that_is_too_long_to_show_can_be_seen_to_be() {
        assert_eq!(plain(&"x".repeat(MAX_SENTENCE + 9)).len(), MAX_SENTENCE + 1);
    }

    #[test]
    fn a_difference_names_what_was_added_and_what_was_removed() {
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        let before = lines(&["get: pods a", "get: services a"]);
        assert_eq!(difference(&before, &lines(&["get: pods a"])), "removed: get: services a");
        assert_eq!(
            difference(&before, &lines(&["get, list: pods a", "get: services a"])),
            "added: get, list: pods a. Removed: get: pods a"
        );
        assert_eq!(
            difference(&before[..1], &lines(&["get: pods a", "delete: pods a", "patch: pods a"])),
            "added: delete: pods a; patch: pods a"
        );
        assert_eq!(difference(&before, &before), "what is granted changed in a part that the shown words leave out");
        // What changed on one side alone has the room of both.
        let long = ["x", "y"].map(|letter| letter.repeat(150));
        assert_eq!(difference(&[], &long), format!("added: {}; {}", long[0], long[1]));
        assert_eq!(difference(&long, &[]), format!("removed: {}; {}", long[0], long[1]));
        let both = difference(&long, &lines(&["z"]));
        assert_eq!(both, format!("added: z. Removed: {} and 1 more", long[0]));
        let many: Vec<_> = (0..64).map(|n| format!("get: {} {n}", "x".repeat(500))).collect();
        for (one, other) in [(&many[..], &before[..]), (&before[..], &many[..]), (&many[..32], &many[32..])] {
            let text = difference(one, other);
            assert!(text.chars().count() <= MAX_DIFFERENCE, "{text}");
            assert!(text.contains("more"), "{text}");
        }
    }
}
