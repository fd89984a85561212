//! `CustomerNotified`: the customer's approvers decide.

use lockbox_api::{AuditAction, Moment, Phase};

use super::{
    Action, Next,
    ends::{self, Terms},
};
use crate::{
    asking, decisions,
    facts::Facts,
    reason::Reason,
    state::Notified,
    transition::{Move, Stay, To, being_made, in_brackets},
    why::Why,
};

const TERMS: Terms = Terms {
    off: (Phase::Cancelled, AuditAction::CancelLockboxRequest),
    expired: (
        Reason::NotDecidedInTime,
        "The customer's approvers did not decide in time; no access was granted. Create a new request.",
        AuditAction::ExpireLockboxRequest,
    ),
    cancelled: (Phase::Cancelled, AuditAction::CancelLockboxRequest),
};

pub(super) fn next(state: &Notified<'_>, facts: &Facts<'_>, now: Moment) -> Next {
    if let Some(end) = ends::waiting(facts, state.until, &TERMS, now) {
        return end;
    }
    // Who may approve now is decided from what is stored now.
    if !facts.outcomes.read && !facts.request.spec.decisions.is_empty() {
        return Next::First(Action::Read { request: false });
    }
    let mut tally = decisions::customer(facts, state, now);
    if let Some((by, reason)) = tally.denied {
        let message = format!("{by} denied the request{}; no access was granted.", in_brackets(reason.as_deref()));
        // The denial is the entry of the move: it stands last.
        let Some(entry) = tally.happenings.pop() else { return Next::Stay(Stay::default()) };
        let why = Why::new(Reason::DeniedByCustomer, message);
        return Move::new(To::End(Phase::Denied), why, entry.into()).after(tally.happenings).into();
    }
    if let Some(voided) = ends::voided(facts, &TERMS) {
        return voided.after(tally.happenings).into();
    }
    let new_approval = tally.happenings.last().is_some_and(|last| last.action == AuditAction::ApproveLockboxRequest);
    let standing = decisions::standing(facts, state, &tally, now);
    // The last approval completes the quorum: at that moment the author of each must still be an approver.
    if new_approval
        && standing.count() >= state.required
        && let Some(entry) = tally.happenings.pop()
    {
        let (duration, resources) =
            decisions::left(state.duration, facts.request.spec.resources.as_deref(), &standing.decisions);
        let why = being_made(now + duration.delta());
        return Move::new(To::Approved { duration, resources }, why, entry.into()).after(tally.happenings).into();
    }
    let waits = tally.waits.unwrap_or_else(|| asking::waits_for_decisions(facts, state, &standing, &tally.happenings));
    Next::Stay(Stay::waiting(waits).recording(tally.happenings))
}
