//! How a history entry reads as an Event.

use std::fmt::Write as _;

use lockbox_api::{AuditAction, LockboxRequest, request::Entry};

use crate::text::{clip_bytes, one_line};

/// Bytes that an Event's note may have.
pub const NOTE_LIMIT: usize = 1024;

/// The documents' own words for an action.
pub const fn words(action: AuditAction) -> &'static str {
    match action {
        AuditAction::RequestInternalApproval => "Request Internal Approval",
        AuditAction::ApproveInternally => "Approve Internally",
        AuditAction::DenyInternally => "Deny Internally",
        AuditAction::CreateLockboxRequest => "Create Lockbox Request",
        AuditAction::ApproveLockboxRequest => "Approve Lockbox Request",
        AuditAction::DenyLockboxRequest => "Deny Lockbox Request",
        AuditAction::AutoApproveLockboxRequest => "Auto-Approve Lockbox Request",
        AuditAction::AutoDenyLockboxRequest => "Auto-Deny Lockbox Request",
        AuditAction::ExpireLockboxRequest => "Lockbox Request Expiry",
        AuditAction::ExpireInternalApproval => "Internal Approval Expiry",
        AuditAction::CancelLockboxRequest => "Cancel Lockbox Request",
        AuditAction::CancelBeforeNotification => "Cancel Before Notification",
        AuditAction::GrantAccess => "Grant Access",
        AuditAction::CompleteAccess => "Complete Access",
        AuditAction::RevokeAccess => "Revoke Access",
        AuditAction::FailAccess => "Fail Access",
        AuditAction::SkipLockboxRequest => "Skip Lockbox Request",
        AuditAction::ExcludeLockboxRequest => "Exclude Lockbox Request",
        AuditAction::RejectDecision => "Reject Decision",
        AuditAction::TamperWithGrant => "Tamper With Grant",
        AuditAction::EndOverdue => "End Overdue",
        AuditAction::NotificationFailed => "Notification Failed",
        AuditAction::RecordActivity => "Record Activity",
    }
}

/// Whether a cluster operator should look at it.
pub const fn is_warning(action: AuditAction) -> bool {
    matches!(
        action,
        AuditAction::FailAccess
            | AuditAction::RejectDecision
            | AuditAction::TamperWithGrant
            | AuditAction::ExcludeLockboxRequest
            | AuditAction::EndOverdue
            | AuditAction::NotificationFailed
    )
}

/// Name of the Event: the same for every attempt to publish the entry, so that it is one Event.
pub fn event_name(uid: &str, sequence: i64) -> String {
    format!("lockbox.{uid}.{sequence:04}")
}

/// The Event's note. What identifies the record (request, ticket, sequence, hash) is never cut; free text is, so that
/// all fits into [`NOTE_LIMIT`] bytes.
pub fn note(request: &LockboxRequest, entry: &Entry) -> String {
    let mut tail = format!(
        " [request {}/{}",
        request.metadata.namespace.as_deref().unwrap_or_default(),
        request.metadata.name.as_deref().unwrap_or_default()
    );
    let spec = &request.spec;
    if let Some(ticket) = &spec.support_request {
        let _ = write!(tail, ", support request {}", ticket.id);
    }
    if let Some(incident) = &spec.incident {
        let _ = write!(tail, ", incident {}", incident.id);
    }
    let _ = write!(tail, ", sequence {}, {}]", entry.sequence, entry.hash);
    let mut head =
        format!("{}: {}; actor {}", words(entry.action), one_line(&entry.message).trim_end_matches('.'), entry.actor);
    if let Some(reason) = &entry.reason {
        let _ = write!(head, "; reason given: {}", one_line(reason));
    }
    clip_bytes(&head, NOTE_LIMIT.saturating_sub(tail.len())) + &tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockbox_api::{Moment, Phase};

    /// Every action, and whether somebody should look at it.
    const ALL: [(AuditAction, bool); 23] = [
        (AuditAction::RequestInternalApproval, false),
        (AuditAction::ApproveInternally, false),
        (AuditAction::DenyInternally, false),
        (AuditAction::CreateLockboxRequest, false),
        (AuditAction::ApproveLockboxRequest, false),
        (AuditAction::DenyLockboxRequest, false),
        (AuditAction::AutoApproveLockboxRequest, false),
        (AuditAction::AutoDenyLockboxRequest, false),
        (AuditAction::ExpireLockboxRequest, false),
        (AuditAction::ExpireInternalApproval, false),
        (AuditAction::CancelLockboxRequest, false),
        (AuditAction::CancelBeforeNotification, false),
        (AuditAction::GrantAccess, false),
        (AuditAction::CompleteAccess, false),
        (AuditAction::RevokeAccess, false),
        (AuditAction::FailAccess, true),
        (AuditAction::SkipLockboxRequest, false),
        (AuditAction::ExcludeLockboxRequest, true),
        (AuditAction::RejectDecision, true),
        (AuditAction::TamperWithGrant, true),
        (AuditAction::EndOverdue, true),
        (AuditAction::NotificationFailed, true),
        (AuditAction::RecordActivity, false),
    ];

    fn entry(action: AuditAction, message: &str) -> Entry {
        Entry {
            sequence: 3,
            at: Moment::UNIX_EPOCH,
            action,
            actor: "alice".into(),
            phase: Phase::CustomerNotified,
            reason: None,
            message: message.into(),
            rules: vec![],
            facts: vec![],
            hash: "sha256:0".into(),
        }
    }

    fn request(spec: &serde_json::Value) -> LockboxRequest {
        let mut whole = serde_json::json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
            "metadata": {"name": "sr-1", "namespace": "shop"},
            "spec": {
                "requester": {"username": "kim"}, "origin": "SupportRequest", "justification": "because", "scope": "Subscription",
                "service": "AppService", "accessLevel": "Shell",
            },
        });
        for (field, value) in spec.as_object().unwrap() {
            whole["spec"][field] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn an_events_note_begins_with_the_actions_own_words() {
        for (action, _) in ALL {
            let name = action.to_string();
            let spaced: String = name
                .char_indices()
                .flat_map(|(at, letter)| [(at > 0 && letter.is_uppercase()).then_some(' '), Some(letter)])
                .flatten()
                .collect();
            let expected = match action {
                // The documents say it the other way round.
                AuditAction::ExpireLockboxRequest => "Lockbox Request Expiry".to_owned(),
                AuditAction::ExpireInternalApproval => "Internal Approval Expiry".to_owned(),
                _ => spaced.replace("Auto ", "Auto-"),
            };
            assert_eq!(words(action), expected);
        }
    }

    #[test]
    fn what_somebody_should_look_at_is_a_warning() {
        for (action, warns) in ALL {
            assert_eq!(is_warning(action), warns, "{action}");
        }
    }

    #[test]
    fn an_events_name_follows_from_request_and_entry() {
        assert_eq!(event_name("uid", 3), "lockbox.uid.0003");
        assert_ne!(event_name("uid", 3), event_name("uid", 4));
    }

    #[test]
    fn a_note_says_what_who_why_and_of_which_ticket() {
        let request = request(&serde_json::json!({
            "supportRequest": {"id": "4711", "url": "https://support.example/4711", "summary": "s"}, "incident": {"id": "INC-7"},
        }));
        let mut said = entry(AuditAction::DenyLockboxRequest, "alice\ndenied.");
        assert_eq!(
            note(&request, &said),
            "Deny Lockbox Request: alice denied; actor alice [request shop/sr-1, support request 4711, incident INC-7, sequence 3, sha256:0]"
        );
        said.reason = Some("not  today".into());
        assert!(note(&request, &said).contains("; actor alice; reason given: not today ["));
    }

    #[test]
    fn a_note_that_just_fits_is_whole_and_a_longer_one_is_cut_at_a_character() {
        let request = request(&serde_json::json!({}));
        let empty = note(&request, &entry(AuditAction::GrantAccess, "")).len();
        let room = NOTE_LIMIT - empty;
        let whole = note(&request, &entry(AuditAction::GrantAccess, &"x".repeat(room)));
        assert_eq!(whole.len(), NOTE_LIMIT);
        assert!(whole.contains("; actor alice ["), "{whole}");
        let cut = note(&request, &entry(AuditAction::GrantAccess, &"x".repeat(room + 1)));
        assert_eq!(cut.len(), NOTE_LIMIT);
        assert!(cut.contains("; actor a… ["), "{cut}");
        // Each of these has two bytes: the cut goes back to the start of one.
        for more in 0..2 {
            let message = format!("{}{}", "x".repeat(more), "ü".repeat(NOTE_LIMIT));
            let cut = note(&request, &entry(AuditAction::GrantAccess, &message));
            assert!((NOTE_LIMIT - 1..=NOTE_LIMIT).contains(&cut.len()), "{}", cut.len());
            assert!(cut.contains("ü… [request shop/sr-1"), "{cut}");
        }
    }
}
