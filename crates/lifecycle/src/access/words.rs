//! Rules as an approver reads them.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::{MAX_RULES, MAX_SENTENCE, items};
use crate::text::{clip, list_by};
use lockbox_api::Scope;

/// Characters of [`difference`].
const MAX_DIFFERENCE: usize = 400;

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

/// Each rule as sentences, and then what an approver should know about them: at most [`MAX_RULES`] of [`MAX_SENTENCE`]
/// characters, in plain ASCII. Every verb, kind and name stands there whole: where one sentence has no room for all,
/// there are several. None when that is not possible: an approver is never shown less than what is granted.
pub fn words(rules: &[PolicyRule], scope: Scope) -> Option<Vec<String>> {
    let mut said = Vec::new();
    for rule in rules {
        said.extend(sentences(rule, scope)?);
        if said.len() > MAX_RULES {
            return None;
        }
    }
    said.extend(notes(rules).map(str::to_owned));
    (said.len() <= MAX_RULES).then_some(said)
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
fn sentences(rule: &PolicyRule, scope: Scope) -> Option<Vec<String>> {
    let verbs = plains(&rule.verbs).join(", ");
    let resources = items(rule.resources.as_ref());
    let mut said = if resources.is_empty() { vec![] } else { of_resources(rule, resources, &verbs, scope)? };
    let paths = items(rule.non_resource_urls.as_ref());
    if !paths.is_empty() {
        said.extend(filled(&format!("{verbs}: the paths "), &plains(paths), "")?);
    }
    if said.is_empty() {
        said.push("nothing".to_owned());
    }
    Some(said)
}

fn of_resources(rule: &PolicyRule, resources: &[String], verbs: &str, scope: Scope) -> Option<Vec<String>> {
    let groups = items(rule.api_groups.as_ref());
    let names = plains(items(rule.resource_names.as_ref()));
    let place = match scope {
        Scope::Subscription => "namespace",
        Scope::Tenant => "cluster",
    };
    let all = format!(" of the {place}");
    if let ([group], [resource]) = (groups, resources)
        && let Some(deed) = deed(group, resource, &rule.verbs)
    {
        let kind = show_kind(group, resource);
        let base = show_kind(group, resource.split('/').next().unwrap_or_default());
        let deed = format!("{deed} ({verbs} {kind}): ");
        return if names.is_empty() {
            filled(&format!("{deed}all "), &[base], &all)
        } else {
            filled(&format!("{deed}{base} "), &names, "")
        };
    }
    let kinds: BTreeSet<_> =
        groups.iter().flat_map(|group| resources.iter().map(|kind| show_kind(group, kind))).collect();
    let kinds: Vec<_> = kinds.into_iter().collect();
    if names.is_empty() {
        return filled(&format!("{verbs}: all "), &kinds, &all);
    }
    let named = if kinds.len() > 1 { " named " } else { " " };
    let mut said = Vec::new();
    // Names are what an approver looks for: half of the room is theirs at least.
    for kinds in lines(&kinds, MAX_SENTENCE / 4) {
        said.extend(filled(&format!("{verbs}: {kinds}{named}"), &names, "")?);
    }
    Some(said)
}

/// The items between two texts, in as many sentences as it takes. None when a single item has no room.
fn filled(before: &str, items: &[String], after: &str) -> Option<Vec<String>> {
    let room = MAX_SENTENCE.checked_sub(before.chars().count() + after.chars().count())?;
    let lines = lines(items, room);
    lines
        .iter()
        .all(|line| line.chars().count() <= room)
        .then(|| lines.iter().map(|line| format!("{before}{line}{after}")).collect())
}

/// Items with commas, in lines of at most `room` characters; an item that is longer has a line of its own.
fn lines(items: &[String], room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 2 + item.chars().count() <= room => {
                line.push_str(", ");
                line.push_str(item);
            }
            _ => lines.push(item.clone()),
        }
    }
    lines
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
    // Nothing longer than a sentence is ever shown: what is cut here is too long to be granted.
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

    fn several(rule: &PolicyRule) -> Vec<String> {
        sentences(rule, Scope::Subscription).unwrap()
    }

    fn one(rule: &PolicyRule) -> String {
        let said = several(rule);
        assert_eq!(said.len(), 1, "{said:?}");
        said[0].clone()
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
        assert_eq!(sentences(&nodes, Scope::Tenant).unwrap(), ["get: all nodes of the cluster"]);
    }

    #[test]
    fn an_approver_is_told_once_what_a_shell_means() {
        let rules = [
            rule(&[""], &["pods/attach"], &["create"], &["a"]),
            rule(&[""], &["pods/exec"], &["create"], &["a"]),
            rule(&[""], &["pods/log"], &["get"], &["a"]),
        ];
        let said = |rules: &[PolicyRule]| words(rules, Scope::Subscription).unwrap();
        assert_eq!(said(&rules)[3..], [ENTERED, STREAMED]);
        assert_eq!(said(&rules[2..])[1..], [STREAMED]);
        let read = [rule(&[""], &["pods"], &["get"], &["a"])];
        assert_eq!(said(&read).len(), 1);
    }

    #[test]
    fn a_name_can_neither_hide_nor_pass_for_two() {
        let sly = rule(&[""], &["pods"], &["get"], &["a, b", "\u{202e}c", "d\u{1b}[2K", "e\\"]);
        assert_eq!(one(&sly), "get: pods a\\u{2c}\\u{20}b, \\u{202e}c, d\\u{1b}\\u{5b}2K, e\\u{5c}");
    }

    #[test]
    fn however_long_names_are_every_one_is_shown_whole() {
        // A decoy that sorts first and fills the sentence hid the names after it.
        let decoy = "a".repeat(250);
        let names = [&decoy, "erp-db-0", "payroll-0"];
        let said = several(&rule(&[""], &["pods/exec"], &["create"], &names)).join("; ");
        for name in names {
            assert!(said.contains(name), "{name} is not in {said}");
        }
        // As many and as long as the schema allows, with and without words of their own.
        let longest: Vec<_> = (0..32).map(|n| format!("{n:02}{}", "x".repeat(251))).collect();
        let names: Vec<_> = longest.iter().map(String::as_str).collect();
        let group = "g".repeat(64);
        let kind = "k".repeat(63);
        for rule in [
            rule(&[""], &["pods/exec"], &["create", "get"], &names),
            rule(&[&group], &[&kind, &format!("{kind}/status")], &["get", "list", "update", "patch"], &names),
        ] {
            let said = several(&rule);
            assert!(said.iter().all(|sentence| sentence.chars().count() <= MAX_SENTENCE), "{said:?}");
            for name in &names {
                let with = said.iter().filter(|sentence| sentence.contains(name)).count();
                assert!(with >= 1, "{name} is not in {said:?}");
            }
        }
        // Kinds and verbs, too.
        let kinds: Vec<_> = (0..200).map(|n| format!("kind-{n:03}")).collect();
        let kinds: Vec<_> = kinds.iter().map(String::as_str).collect();
        let verbs = ["create", "delete", "get", "list", "patch", "update", "use"];
        let said = several(&rule(&["example.com"], &kinds, &verbs, &[]));
        assert!(said.len() > 5 && said.iter().all(|sentence| sentence.starts_with(&verbs.join(", "))), "{said:?}");
        let said = said.join("; ");
        assert!(kinds.iter().all(|kind| said.contains(kind)), "{said}");
    }

    #[test]
    fn what_cannot_be_shown_whole_is_not_shown_at_all() {
        let long = "x".repeat(MAX_SENTENCE);
        for rule in [
            rule(&[&long], &["b"], &["get"], &[]),
            rule(&[""], &["b"], &[&long], &[]),
            rule(&[""], &["b"], &["get"], &["a", &long]),
            rule(&[""], &["pods/exec"], &["get"], &["a", &long]),
            rule(&[""], &[&long, "a"], &["get"], &["a"]),
        ] {
            assert_eq!(words(&[rule], Scope::Subscription), None);
        }
        let many: Vec<_> = (0..=MAX_RULES).map(|n| rule(&[""], &[&format!("k{n}")], &["get"], &[])).collect();
        assert_eq!(words(&many, Scope::Subscription), None);
        assert_eq!(words(&many[1..], Scope::Subscription).unwrap().len(), MAX_RULES);
        // The notes need room as well.
        let mut many = many;
        many[1] = rule(&[""], &["pods/exec"], &["create"], &[]);
        assert_eq!(words(&many[1..], Scope::Subscription), None);
        assert_eq!(words(&many[1..MAX_RULES - 1], Scope::Subscription).unwrap().len(), MAX_RULES);
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
