//! Objects in which every list, map and text is as long as the schema allows.

use lockbox_lifecycle::history;
use serde_json::{Map, Value, json};

/// Fields that the operator alone writes, from words of its own and names that a pattern keeps plain: one byte a character.
const PLAIN: [&str; 17] = [
    // Names of rules and services, the names of the facts.
    ".status.jit.rules[]",
    ".status.internalApprovals[].rule",
    ".history[].rules[]",
    ".history[].facts[]",
    ".status.services[].name",
    // Sentences in which whatever is not plain is escaped (`access::words`).
    ".effect.rules[]",
    ".effect.leftOut[]",
    ".effect.role",
    // Sentences and words of its own.
    ".status.reason",
    ".excludedApprovers[].reason",
    ".excludedApprovers[].message",
    ".notifications[].id",
    // Bounded in bytes where it is made.
    ".notifications[].message",
    ".conditions[].type",
    ".conditions[].reason",
    // Names and UIDs of Kubernetes objects.
    ".approvers[].assignment",
    ".grant.name",
];

/// What texts are filled with, where the schema does not say otherwise.
#[derive(Clone, Copy)]
pub struct Filler {
    pub letter: char,
}

/// Four bytes, in the request and in etcd.
pub const WIDE: Filler = Filler { letter: '𝕟' };
/// One byte.
pub const NARROW: Filler = Filler { letter: 'n' };
/// One byte in the request, and six in etcd: the API server escapes it.
pub const ESCAPED: Filler = Filler { letter: '<' };

impl Filler {
    /// A value of this schema at its limits. `index` tells the items of a list apart.
    pub fn fill(self, path: &str, schema: &Value, index: usize) -> Value {
        match schema["type"].as_str().unwrap() {
            "object" if schema["additionalProperties"].is_object() => {
                let one =
                    |n| (self.text(256, n), self.fill(&format!("{path}{{}}"), &schema["additionalProperties"], n));
                (0..limit(schema, "maxProperties")).map(one).collect::<Map<_, _>>().into()
            }
            "object" => {
                let properties = schema["properties"].as_object().unwrap();
                let one = |(name, property): (&String, &Value)| {
                    (name.clone(), self.fill(&format!("{path}.{name}"), property, index))
                };
                properties.iter().map(one).collect::<Map<_, _>>().into()
            }
            "array" => {
                (0..limit(schema, "maxItems")).map(|n| self.fill(&format!("{path}[]"), &schema["items"], n)).collect()
            }
            "boolean" => json!(!path.ends_with("closed")),
            "integer" if path.ends_with(".sequence") => json!(index + 1),
            "integer" => schema.get("maximum").cloned().unwrap_or(json!(i64::from(i32::MAX))),
            _ => self.string(path, schema, index),
        }
    }

    fn string(self, path: &str, schema: &Value, index: usize) -> Value {
        if let Some(words) = schema["enum"].as_array() {
            return word(path, words, index);
        }
        let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        let rules: String = rules.filter_map(|rule| rule["rule"].as_str()).collect();
        if schema["format"] == "date-time" || rules.contains("timestamp(self)") {
            return json!("2026-11-23T12:00:00.123456789Z");
        }
        let most = limit(schema, "maxLength");
        if rules.contains("[1-9][0-9]{0,3}d") {
            return json!(format!("6d23h59m{}s", 59 - index));
        }
        if [".address", ".emails[]", ".alternate[]"].iter().any(|end| path.ends_with(end)) {
            return json!(format!("{:x>most$}", format!("{index}@contoso.example")));
        }
        if rules.contains("isURL") || rules.contains("'^https://") {
            return json!(format!("{:x<most$}", "https://support.example/"));
        }
        // A name in a list must be that of an access level, whose names are plain.
        let plain = path.ends_with("ccessLevels[]")
            || path.rsplit('.').next() == Some("uid")
            // Escaped where it is made (`lockbox_activity`).
            || path.contains(".status.activity.")
            || PLAIN.iter().any(|end| path.ends_with(end));
        let spelled = rules.split_once("self.matches('^").map(|(_, pattern)| pattern);
        match schema["pattern"].as_str().or(spelled) {
            Some(pattern) if pattern.contains("sha256") => json!(format!("sha256:{}", "0123456789abcdef".repeat(4))),
            // Verbs are letters alone.
            Some("^[a-z]+$") => json!(format!("{:x<most$}", char::from(b'a' + u8::try_from(index).unwrap()))),
            // Bounded in bytes, too.
            None if path.ends_with(".status.history[].message") => json!(self.bytes(most, history::MESSAGE, index)),
            None if path.ends_with(".status.history[].reason") => json!(self.bytes(most, history::REASON, index)),
            None if !plain => json!(self.text(most, index)),
            _ => json!(format!("{:x<most$}", format!("n{index}"))),
        }
    }

    /// `most` characters in so many bytes.
    fn bytes(self, most: usize, bytes: usize, index: usize) -> String {
        self.text(most.min(bytes / self.letter.len_utf8()), index)
    }

    /// `most` characters, different for each index.
    fn text(self, most: usize, index: usize) -> String {
        let start = index.to_string();
        let rest = most - start.len();
        format!("{start}{}", self.letter.to_string().repeat(rest))
    }
}

fn limit(schema: &Value, key: &str) -> usize {
    usize::try_from(schema[key].as_u64().unwrap_or_else(|| panic!("no {key} in {schema}"))).unwrap()
}

/// One of the words, so that rules across fields hold.
fn word(path: &str, words: &[Value], index: usize) -> Value {
    for (end, word) in [
        (".status.phase", "AccessGranted"),
        (".kind", "User"),
        (".optIn", "Listed"),
        (".spec.type", "Eligible"),
        // Long ones, where any will do.
        (".history[].phase", "AwaitingInternalApproval"),
        (".action", "ActivateRoleAssignment"),
        (".action", "AutoApproveLockboxRequest"),
        (".stage", "GeneralAvailability"),
    ] {
        if path.ends_with(end) && words.contains(&json!(word)) {
            return json!(word);
        }
    }
    let from = usize::from(path.ends_with("allowed[].circumstance"));
    let listed = path.ends_with("[]") || path.ends_with(".templates[].kind") || from > 0;
    words[if listed { from + index } else { 0 }].clone()
}
