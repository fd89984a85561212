//! How a history entry reads as an Event.

use std::fmt::Write as _;

use crate::api::{
    LockboxRequest,
    request::{AuditAction, Entry},
};

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
    }
}

/// Whether an operator of the cluster should look at it.
pub const fn is_warning(action: AuditAction) -> bool {
    matches!(
        action,
        AuditAction::FailAccess
            | AuditAction::RejectDecision
            | AuditAction::TamperWithGrant
            | AuditAction::ExcludeLockboxRequest
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
    let room = NOTE_LIMIT.saturating_sub(tail.len());
    if head.len() > room {
        // Room for the ellipsis, which has three bytes; then back to the start of a character.
        let mut cut = room.saturating_sub(3);
        while !head.is_char_boundary(cut) {
            cut -= 1;
        }
        head.truncate(cut);
        head.push('…');
    }
    head + &tail
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
