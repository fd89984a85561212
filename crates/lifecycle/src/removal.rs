//! Removing the record of a finished request: what is recorded about it before it goes.

use std::fmt::Write as _;

use lockbox_api::Phase;
use serde_json::Value;

use crate::{
    audit::NOTE_LIMIT,
    text::{clip_bytes, one_line},
};

/// The Event's reason, and the action in the log.
pub const ACTION: &str = "RemoveLockboxRequest";

/// What is known of a record whose removal was asked for. Read field by field from what is stored: a record that this
/// operator cannot read otherwise, because another version wrote it, can be removed all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Who requested it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Where the request was.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: a newer request of the same name stays.
    pub uid: String,
    /// How the request ended.
    pub phase: String,
    /// Whether all of its history is published.
    pub closed: bool,
    /// Who had asked for access.
    pub requester: String,
    /// The support ticket; empty without one.
    pub ticket: String,
    /// The provider's incident; empty without one.
    pub incident: String,
    /// Entries of its history.
    pub entries: usize,
    /// The hash of the last of them, which stands for all.
    pub head: String,
}

impl Removal {
    /// The removal that was asked for in this object; none when nobody asked for it, or when the request is not over.
    pub fn of(stored: &Value) -> Option<Self> {
        let text = |pointer: &str| stored.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let history = stored.pointer("/status/history").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let head = history.last().and_then(|entry| entry["hash"].as_str()).unwrap_or_default();
        let removal = Self {
            by: text("/spec/removal/by"),
            reason: text("/spec/removal/reason"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            phase: text("/status/phase"),
            closed: stored.pointer("/status/closed") == Some(&Value::Bool(true)),
            requester: text("/spec/requester/username"),
            ticket: text("/spec/supportRequest/id"),
            incident: text("/spec/incident/id"),
            entries: history.len(),
            head: head.to_owned(),
        };
        let is_over = Phase::ALL.into_iter().any(|phase| phase.is_terminal() && phase.to_string() == removal.phase);
        (is_over && !removal.by.is_empty()).then_some(removal)
    }

    /// Name of the Event: the same for every attempt, so that it is one Event.
    pub fn event_name(&self) -> String {
        format!("lockbox.{}.removed", self.uid)
    }

    /// The Event's note. What identifies the record is never cut; the reason given is, so that all fits into
    /// [`NOTE_LIMIT`] bytes.
    pub fn note(&self) -> String {
        let mut tail = format!(" [request {}/{}", self.namespace, self.name);
        for (what, id) in [("support request", &self.ticket), ("incident", &self.incident)] {
            if !id.is_empty() {
                // Writing to a String cannot fail.
                let _ = write!(tail, ", {what} {id}");
            }
        }
        let _ = write!(tail, ", {}, history of {}", self.phase, self.entries);
        if !self.head.is_empty() {
            let _ = write!(tail, " up to {}", self.head);
        }
        tail.push(']');
        let head = format!(
            "Remove Lockbox Request: the record of what {} asked for is removed; actor {}; reason given: {}",
            self.requester,
            self.by,
            one_line(&self.reason)
        );
        clip_bytes(&head, NOTE_LIMIT.saturating_sub(tail.len())) + &tail
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(phase: &str) -> Value {
        json!({
            "metadata": {"name": "sr-1", "namespace": "shop", "uid": "u"},
            "spec": {
                "requester": {"username": "kim"}, "supportRequest": {"id": "4711"}, "accessLevel": ["not", "ours"],
                "removal": {"by": "ada", "reason": "made\n by mistake"},
            },
            "status": {"phase": phase, "closed": true, "history": [{"hash": "sha256:a"}, {"hash": "sha256:b"}]},
        })
    }

    #[test]
    fn a_removal_says_who_why_and_what_goes_even_of_a_record_that_cannot_be_read_otherwise() {
        let removal = Removal::of(&stored("Completed")).unwrap();
        assert_eq!(removal.event_name(), "lockbox.u.removed");
        assert!(removal.closed);
        assert_eq!(
            removal.note(),
            "Remove Lockbox Request: the record of what kim asked for is removed; actor ada; reason given: made by mistake [request shop/sr-1, support request 4711, Completed, history of 2 up to sha256:b]"
        );
    }

    #[test]
    fn nothing_is_removed_that_is_not_over_or_that_nobody_asked_to_be_removed() {
        for phase in Phase::ALL {
            assert_eq!(Removal::of(&stored(&phase.to_string())).is_some(), phase.is_terminal(), "{phase}");
        }
        assert_eq!(Removal::of(&stored("")), None);
        assert_eq!(Removal::of(&stored("FromTheFuture")), None, "what this operator does not know is left as it is");
        let mut nobody = stored("Completed");
        nobody["spec"].as_object_mut().unwrap().remove("removal");
        assert_eq!(Removal::of(&nobody), None);
    }

    #[test]
    fn a_long_reason_is_cut_and_never_what_identifies_the_record() {
        let mut long = stored("Completed");
        long["spec"]["removal"]["reason"] = json!("ü".repeat(512));
        let note = Removal::of(&long).unwrap().note();
        assert!(note.len() <= NOTE_LIMIT, "{}", note.len());
        let identifies = "ü… [request shop/sr-1, support request 4711, Completed, history of 2 up to sha256:b]";
        assert!(note.ends_with(identifies), "{note}");
    }
}
