//! A status that lacks what its phase needs. No operator writes one; where one is stored all the same, nothing is
//! granted from it, and what it granted ends.

use lockbox_api::{AuditAction, Moment, Phase};

use super::{Action, Next, approved::again};
use crate::{
    facts::{Facts, GrantView},
    reason::Reason,
    state::Missing,
    transition::{Entry, Move, Stay},
};

pub(super) fn next(Missing(field): Missing, facts: &Facts<'_>, now: Moment) -> Next {
    let message = format!("Create a new request: the stored status lacks {field}, so nothing can be decided from it.");
    let (phase, action) = match facts.phase() {
        Phase::AwaitingInternalApproval => (Phase::Rejected, AuditAction::AutoDenyLockboxRequest),
        Phase::CustomerNotified => (Phase::Expired, AuditAction::ExpireLockboxRequest),
        Phase::Approved => (Phase::Failed, AuditAction::FailAccess),
        _ => (Phase::Revoked, AuditAction::RevokeAccess),
    };
    let may_exist = matches!(facts.phase(), Phase::Approved | Phase::AccessGranted);
    if may_exist && !matches!(facts.outcomes.grant, GrantView::Ended { .. }) {
        if facts.outcomes.not_ended.is_some() {
            return Next::Stay(Stay::default().until(again(now, now)));
        }
        return Next::First(Action::EndGrant { early: true });
    }
    Move::end(phase, Reason::StatusIncomplete, message, Entry::of(action)).into()
}
