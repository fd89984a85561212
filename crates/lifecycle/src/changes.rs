//! What changed in the settings: a summary of the spec, kept in the status, and the difference between two summaries.
//!
//! The operator may have been down, so it compares the spec with the recorded summary, not with what the process
//! remembers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::text::{clip, sha256};
use lockbox_api::{LockboxSettingsSpec, settings::RecordedField};

/// Fields that a record holds at most; the schema's limit too.
const FIELDS: usize = 48;
/// Characters of a recorded value at most; the schema's limit too.
const VALUE: usize = 1024;
/// Characters that a value may have to be recorded as it is.
const SHORT: usize = 64;
/// Changes that are named; the rest are counted.
const NAMED: usize = 12;
/// Characters of one change.
const CHANGE: usize = 160;

/// A summary of the spec, field by field: the top-level fields, and those inside fields that hold others.
pub fn record(spec: &LockboxSettingsSpec) -> Vec<RecordedField> {
    let mut fields = vec![];
    // Plain data: serialising it cannot fail.
    let spec = serde_json::to_value(spec).unwrap_or_default();
    for (name, value) in spec.as_object().into_iter().flatten() {
        match value {
            Value::Object(inner) => {
                fields.extend(inner.iter().map(|(inner, value)| (format!("{name}.{inner}"), in_short(value))));
            }
            value => fields.push((name.clone(), in_short(value))),
        }
    }
    fields.truncate(FIELDS);
    fields.into_iter().map(|(field, value)| RecordedField { field: clip(&field, 64), value }).collect()
}

/// A short value as it is, a list item by item, anything else as a digest.
fn in_short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if !items.is_empty() => {
            let items: Vec<_> = items.iter().map(item).collect();
            let text = items.join(" ");
            return if text.chars().count() <= VALUE { text } else { digest(value) };
        }
        value => value.to_string(),
    };
    let plain = !matches!(value, Value::Object(_)) && !text.contains(['=', ' ']);
    if plain && text.chars().count() <= SHORT { text } else { digest(value) }
}

/// An item of a list as `name=digest`; a short word as itself.
fn item(value: &Value) -> String {
    let name = ["name", "circumstance"].iter().find_map(|key| value.get(key)?.as_str());
    match (name.or_else(|| value.as_str()), value) {
        (Some(word), Value::String(_)) if word.len() <= SHORT && !word.contains(['=', ' ']) => word.to_owned(),
        (Some(name), _) => format!("{}={}", clip(&name.replace(['=', ' '], "_"), 63), digest(value)),
        (None, _) => digest(value),
    }
}

/// 16 hexadecimal digits of the digest.
fn digest(value: &Value) -> String {
    sha256(&value.to_string()).get(7..23).unwrap_or_default().to_owned()
}

/// What changed from one record to the other, each in a few words, such as `pendingTimeout: 4d, now 3d` or
/// `jit.rules: changed named-objects`. None named means that nothing that is recorded did.
pub fn changed(before: &[RecordedField], now: &[RecordedField]) -> Vec<String> {
    let map = |fields: &[RecordedField]| -> BTreeMap<String, String> {
        fields.iter().map(|field| (field.field.clone(), field.value.clone())).collect()
    };
    let (before, now) = (map(before), map(now));
    let mut changes = vec![];
    for field in before.keys().chain(now.keys().filter(|field| !before.contains_key(*field))) {
        let (old, new) = (before.get(field), now.get(field));
        if old != new {
            changes.push(clip(&format!("{field}{}", how(old, new)), CHANGE));
        }
    }
    if changes.len() > NAMED {
        let more = changes.len() - NAMED;
        changes.truncate(NAMED);
        changes.push(format!("and {more} more"));
    }
    changes
}

fn how(old: Option<&String>, new: Option<&String>) -> String {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, Some(new)) if is_list(new) || is_digest(new) => return ": added".into(),
        (None, Some(new)) => return format!(": added, {new}"),
        (_, None) => return ": removed".into(),
    };
    if !is_list(old) && !is_list(new) {
        return match (shown(old), shown(new)) {
            ("other", "other") => " changed".into(),
            (old, new) => format!(": {old}, now {new}"),
        };
    }
    let items = |text: &str| -> BTreeMap<String, String> {
        text.split(' ')
            .map(|item| item.split_once('=').unwrap_or((item, "")))
            .map(|(name, of)| (name.into(), of.into()))
            .collect()
    };
    let (old, new) = (items(old), items(new));
    let names = |what: &str, names: Vec<&String>| -> Option<String> {
        let names: Vec<_> = names.into_iter().map(|name| shown(name)).collect();
        (!names.is_empty()).then(|| format!(" {what} {}", names.join(", ")))
    };
    let parts: Vec<_> = [
        names("added", new.keys().filter(|name| !old.contains_key(*name)).collect()),
        names("removed", old.keys().filter(|name| !new.contains_key(*name)).collect()),
        names(
            "changed",
            new.iter()
                .filter(|(name, of)| old.get(*name).is_some_and(|was| was != *of))
                .map(|(name, _)| name)
                .collect(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { ": another order".into() } else { format!(":{}", parts.join(";")) }
}

fn is_list(value: &str) -> bool {
    value.contains([' ', '='])
}

/// A digest says nothing to a reader.
fn shown(value: &str) -> &str {
    if is_digest(value) { "other" } else { value }
}

fn is_digest(value: &str) -> bool {
    value.len() == 16 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> Value {
        json!({
            "supportPlan": "Developer", "enabled": true, "pendingTimeout": "4d",
            "provider": {"engineers": [{"kind": "Group", "name": "engineers"}]},
            "accessLevels": [{"name": "Shell", "clusterRole": "shell"}, {"name": "Read", "clusterRole": "read"}],
            "jit": {"rules": [{"name": "named", "effect": "Permit"}]},
        })
    }

    fn between(change: impl Fn(&mut Value)) -> Vec<String> {
        let parsed = |spec: Value| -> LockboxSettingsSpec { serde_json::from_value(spec).unwrap() };
        let mut after = spec();
        change(&mut after);
        changed(&record(&parsed(spec())), &record(&parsed(after)))
    }

    #[test]
    fn a_change_is_named_by_its_field_and_by_what_became_of_it() {
        assert_eq!(between(|_| ()), [""; 0]);
        assert_eq!(between(|spec| spec["pendingTimeout"] = json!("3d")), ["pendingTimeout: 4d, now 3d"]);
        assert_eq!(between(|spec| spec["enabled"] = json!(false)), ["enabled: true, now false"]);
        assert_eq!(between(|spec| spec["grant"] = json!({"maximum": "12h"})).len(), 1);
        assert_eq!(between(|spec| spec["jit"]["rules"][0]["effect"] = json!("Deny")), ["jit.rules: changed named"]);
        assert_eq!(
            between(|spec| {
                spec["accessLevels"][0]["name"] = json!("Console");
                spec["accessLevels"][1]["clusterRole"] = json!("other");
            }),
            ["accessLevels: added Console; removed Shell; changed Read"]
        );
        assert_eq!(
            between(|spec| spec["provider"]["engineers"] = json!([{"kind": "User", "name": "engineers"}])),
            ["provider.engineers: changed engineers"],
            "a user is not the group of that name"
        );
        assert_eq!(
            between(|spec| spec["accessLevels"].as_array_mut().unwrap().reverse()),
            ["accessLevels: another order"]
        );
        assert_eq!(between(|spec| spec["origins"] = json!(["SupportRequest"])), ["origins: removed ProviderInitiated"]);
        assert_eq!(
            between(|spec| spec["services"] = json!([{"name": "Shop", "stage": "Preview"}])),
            ["services: added"]
        );
        assert_eq!(
            between(|spec| spec["stop"] = json!({"before": "2026-11-29T12:00:00Z", "reason": "incident 7"})),
            ["stop.before: added, 2026-11-29T12:00:00Z", "stop.reason: added"],
            "a digest stands for the reason, and says nothing to a reader"
        );
    }

    #[test]
    fn a_record_and_a_list_of_changes_are_bounded() {
        let largest = |word: &str| -> Vec<RecordedField> {
            let name = |n: usize| format!("{word}-{n:03}-{}", "x".repeat(50));
            let mut spec = spec();
            spec["jit"]["rules"] = (0..128).map(|n| json!({"name": name(n), "effect": "Deny"})).collect();
            spec["accessLevels"] = (0..32).map(|n| json!({"name": name(n), "clusterRole": "r"})).collect();
            record(&serde_json::from_value(spec).unwrap())
        };
        let (one, other) = (largest("a"), largest("b"));
        assert!(one.len() <= FIELDS);
        assert!(one.iter().all(|field| field.value.chars().count() <= VALUE && field.field.chars().count() <= 64));
        let changes = changed(&one, &other);
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert!(changes.iter().all(|change| change.chars().count() <= CHANGE), "{changes:?}");
        let many = |n: usize| -> Vec<RecordedField> {
            (0..40).map(|field| RecordedField { field: format!("f{field}"), value: n.to_string() }).collect()
        };
        let changes = changed(&many(1), &many(2));
        assert_eq!((changes.len(), changes.last().map(String::as_str)), (13, Some("and 28 more")));
    }
}
