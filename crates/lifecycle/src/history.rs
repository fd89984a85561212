//! The history: entries appended, chained by hashes, and verified.
//!
//! The hash of an entry covers the entry before it and every field of its own, so that none can be changed, left out or
//! reordered without the chain breaking behind it. The first one covers the request's UID.

use crate::text::{clip, clip_bytes, sha256};
use serde::Serialize;

use lockbox_api::{AuditAction, Moment, Phase, request::Entry, time::whole_seconds};

/// Entries that a history holds at most; the schema's limit too.
pub const LIMIT: usize = 64;
/// Bytes of an entry's message, and of the reason in it, at most; the schema's limits are in characters. They quote names and
/// people, and in whatever letters, a whole history fits where requests are stored. The whole reason stays in the spec.
pub const MESSAGE: usize = 640;
/// See [`MESSAGE`].
pub const REASON: usize = 1024;
/// Places reserved for transitions: entries that others provoke (decisions that do not count, tampering) never fill
/// them.
pub const KEPT_FOR_TRANSITIONS: usize = 8;

/// Something that happened and has no place in the chain yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub action: AuditAction,
    /// Who did it.
    pub actor: String,
    /// The phase after it.
    pub phase: Phase,
    /// The reason that the actor gave.
    pub reason: Option<String>,
    /// What happened, in a sentence.
    pub message: String,
    /// JIT rules that decided something.
    pub rules: Vec<String>,
    /// Facts that those rules used.
    pub facts: Vec<String>,
}

/// Whether others can provoke such an entry, again and again. All others are made by transitions of the request alone.
const fn is_provoked(action: AuditAction) -> bool {
    matches!(action, AuditAction::RejectDecision | AuditAction::TamperWithGrant | AuditAction::NotificationFailed)
}

/// Appends what happened `at`. Beyond the limits (see [`LIMIT`], [`KEPT_FOR_TRANSITIONS`]) nothing is appended; the
/// bounds on decisions keep a real request far below them. Returns whether it was appended.
pub fn append(history: &mut Vec<Entry>, uid: &str, at: Moment, happening: Happening) -> bool {
    let limit = if is_provoked(happening.action) { LIMIT - KEPT_FOR_TRANSITIONS } else { LIMIT };
    if history.len() >= limit {
        return false;
    }
    let mut entry = Entry {
        sequence: i64::try_from(history.len()).unwrap_or(i64::MAX).saturating_add(1),
        at: whole_seconds(at),
        action: happening.action,
        actor: clip(&happening.actor, 256),
        phase: happening.phase,
        reason: happening.reason.map(|reason| clip_bytes(&clip(&reason, 512), REASON)),
        message: clip_bytes(&clip(&happening.message, 512), MESSAGE),
        rules: happening.rules.iter().take(16).map(|rule| clip(rule, 63)).collect(),
        facts: happening.facts.iter().take(8).map(|fact| clip(fact, 64)).collect(),
        hash: String::new(),
    };
    entry.hash = hash(history.last().map_or(uid, |before| &before.hash), &entry);
    history.push(entry);
    true
}

/// Why a history is not what the operator wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is missing or out of order.
    #[error("entry {0} stands where entry {1} belongs: an entry is missing or was moved")]
    Sequence(i64, i64),
    /// An entry, or one before it, was changed.
    #[error("entry {0} does not match its hash: it, or one before it, was changed")]
    Hash(i64),
}

/// Checks the chain of the request with this UID.
pub fn verify(history: &[Entry], uid: &str) -> Result<(), Broken> {
    let mut before = uid;
    for (entry, expected) in history.iter().zip(1_i64..) {
        if entry.sequence != expected {
            return Err(Broken::Sequence(entry.sequence, expected));
        }
        if entry.hash != hash(before, entry) {
            return Err(Broken::Hash(expected));
        }
        before = &entry.hash;
    }
    Ok(())
}

/// `sha256:` and 64 digits over the hash before, a line feed, and the entry without its own hash as JSON.
fn hash(before: &str, entry: &Entry) -> String {
    #[derive(Serialize)]
    struct Covered<'a> {
        sequence: i64,
        at: i64,
        action: AuditAction,
        actor: &'a str,
        phase: Phase,
        reason: Option<&'a str>,
        message: &'a str,
        rules: &'a [String],
        facts: &'a [String],
    }
    let covered = Covered {
        sequence: entry.sequence,
        at: entry.at.timestamp(),
        action: entry.action,
        actor: &entry.actor,
        phase: entry.phase,
        reason: entry.reason.as_deref(),
        message: &entry.message,
        rules: &entry.rules,
        facts: &entry.facts,
    };
    // Plain data: serialising it cannot fail; if it did, the entry would not verify.
    sha256(&format!("{before}\n{}", serde_json::to_string(&covered).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(action: AuditAction) -> Happening {
        Happening {
            action,
            actor: "alice@contoso.example".into(),
            phase: Phase::CustomerNotified,
            reason: Some("maintenance window agreed".into()),
            message: "asked".into(),
            rules: vec![],
            facts: vec![],
        }
    }

    fn three() -> Vec<Entry> {
        let mut history = vec![];
        for action in [AuditAction::CreateLockboxRequest, AuditAction::ApproveLockboxRequest, AuditAction::GrantAccess]
        {
            append(&mut history, "uid", Moment::UNIX_EPOCH, happening(action));
        }
        history
    }

    #[test]
    fn a_history_that_nobody_touched_verifies() {
        assert_eq!(verify(&three(), "uid"), Ok(()));
    }

    #[test]
    fn any_change_breaks_the_chain() {
        let mut changed = three();
        changed[1].actor = "mallory@contoso.example".into();
        assert_eq!(verify(&changed, "uid"), Err(Broken::Hash(2)));
        let mut shortened = three();
        shortened.remove(1);
        assert_eq!(verify(&shortened, "uid"), Err(Broken::Sequence(3, 2)));
        assert_eq!(verify(&three(), "another"), Err(Broken::Hash(1)), "a history belongs to one request");
    }

    #[test]
    fn what_others_provoke_leaves_room_for_transitions() {
        let mut history = vec![];
        for _ in 0..100 {
            append(&mut history, "uid", Moment::UNIX_EPOCH, happening(AuditAction::RejectDecision));
        }
        assert_eq!(history.len(), LIMIT - KEPT_FOR_TRANSITIONS);
        for _ in 0..100 {
            append(&mut history, "uid", Moment::UNIX_EPOCH, happening(AuditAction::RevokeAccess));
        }
        assert_eq!(history.len(), LIMIT);
        assert_eq!(verify(&history, "uid"), Ok(()));
    }
}
