//! `AccessGranted`: the requester has access until its end.

use lockbox_api::{AuditAction, Moment, Phase, names, time::text};

use super::{Action, Next, approved::again, ends};
use crate::{
    facts::{Facts, GrantView},
    history::Happening,
    reason::Reason,
    state::Approval,
    transition::{Entry, Move, Stay},
    why::Why,
};

pub(super) fn next(approval: &Approval<'_>, facts: &Facts<'_>, now: Moment) -> Next {
    let outcomes = facts.outcomes;
    let time_is_up = now >= approval.until;
    // Somebody who ended it is recorded even if the clock came first while nobody looked. What the settings say does
    // not matter any more once the time is up.
    let early = ends::early(facts, approval.at).filter(|end| !(time_is_up && end.is_by_the_settings()));
    if let Some(end) = early {
        if end.is_by_the_settings() && !outcomes.read {
            return Next::First(Action::Read { request: false });
        }
        return after_the_end(facts, approval, true, || ends::end_early(&end), now);
    }
    if time_is_up {
        return after_the_end(facts, approval, false, completed, now);
    }
    match outcomes.grant {
        GrantView::Unknown => Next::First(Action::FindGrant),
        GrantView::Present => Next::Stay(Stay::default()),
        GrantView::Absent => Next::First(Action::EndGrant { early: true }),
        GrantView::Ended { was_there: false } => tampered_with().into(),
        // We ended it, for a reason that holds no more: the access is gone, and nothing gives it back.
        GrantView::Ended { was_there: true } => completed().into(),
    }
}

fn completed() -> Move {
    let entry = Entry::of(AuditAction::CompleteAccess);
    Move::end(Phase::Completed, Reason::TimeIsUp, "Access ended on time.", entry)
}

fn tampered_with() -> Move {
    Move::end(
        Phase::Revoked,
        Reason::TamperWithGrant,
        "Find out who removed the access's binding, then create a new request: access has ended.",
        Entry::of(AuditAction::RevokeAccess),
    )
    .after(vec![happening(
        AuditAction::TamperWithGrant,
        "the binding of the access is gone before its time, and Lockbox did not remove it".into(),
    )])
}

fn happening(action: AuditAction, message: String) -> Happening {
    Happening {
        action,
        actor: names::LOCKBOX.into(),
        phase: Phase::AccessGranted,
        reason: None,
        message,
        rules: vec![],
        facts: vec![],
    }
}

/// The grant ends before the status says so. If it cannot be ended, the status says that, and the operator tries again.
fn after_the_end(
    facts: &Facts<'_>,
    approval: &Approval<'_>,
    early: bool,
    end: impl FnOnce() -> Move,
    now: Moment,
) -> Next {
    if let Some(words) = &facts.outcomes.not_ended {
        let since = text(approval.until.min(now));
        let message = format!(
            "The access should have ended by {since}, and has not; Lockbox tries again until it has. Remove what refuses the deletion: {words}"
        );
        let said = facts
            .status()
            .is_some_and(|status| status.history.iter().any(|entry| entry.action == AuditAction::EndOverdue));
        let entries = if said { vec![] } else { vec![happening(AuditAction::EndOverdue, message.clone())] };
        // The message of the first time stays while the words are the same: its moment is the first one.
        let why = match facts.status().and_then(|status| status.message.as_deref()) {
            Some(before) if said && before.ends_with(words.as_str()) => None,
            _ => Some(Why::new(Reason::EndOverdue, message)),
        };
        return Next::Stay(Stay { why, entries, ..Stay::default() }.until(again(approval.until.min(now), now)));
    }
    match facts.outcomes.grant {
        GrantView::Ended { .. } => end().into(),
        GrantView::Unknown | GrantView::Absent | GrantView::Present => Next::First(Action::EndGrant { early }),
    }
}
