//! `AwaitingInternalApproval`: the provider's own approvers decide first.

use lockbox_api::{AuditAction, Moment, Phase};

use super::{
    Action, Next,
    ends::{self, Terms},
    evaluating::ask_or_approve,
};
use crate::{
    asking, decisions,
    facts::Facts,
    reason::Reason,
    state::Awaiting,
    transition::{Move, Stay, To, in_brackets},
    why::Why,
};

const TERMS: Terms = Terms {
    off: (Phase::NotTriggered, AuditAction::SkipLockboxRequest),
    expired: (
        Reason::NoInternalApproval,
        "The provider's own approvers did not decide in time; the customer was not asked. Create a new request.",
        AuditAction::ExpireInternalApproval,
    ),
    cancelled: (Phase::Cancelled, AuditAction::CancelBeforeNotification),
};

pub(super) fn next(state: &Awaiting<'_>, facts: &Facts<'_>, now: Moment) -> Next {
    if let Some(end) = ends::waiting(facts, state.until, &TERMS, now) {
        return end;
    }
    if !facts.outcomes.read && decisions::has_new_internal(facts) {
        return Next::First(Action::Read { request: false });
    }
    let mut tally = decisions::internal(facts, state.demanded);
    if let Some((by, reason)) = tally.denied {
        let message = format!(
            "{by} denied the request for the provider{}; the customer was not asked.",
            in_brackets(reason.as_deref())
        );
        // The denial is the entry of the move: it stands last.
        let Some(entry) = tally.happenings.pop() else { return Next::Stay(Stay::default()) };
        let why = Why::new(Reason::DeniedInternally, message);
        return Move::new(To::End(Phase::Rejected), why, entry.into()).after(tally.happenings).into();
    }
    if let Some(voided) = ends::voided(facts, &TERMS) {
        return voided.after(tally.happenings).into();
    }
    let approved = decisions::approved_internally(facts, &tally);
    let unmet: Vec<_> = state.demanded.iter().filter(|demanded| !decisions::is_met(demanded, &approved)).collect();
    if unmet.is_empty() {
        let status = facts.status();
        let rules = status.and_then(|status| status.jit.as_ref()).map(|jit| jit.rules.clone()).unwrap_or_default();
        let approvers = status.and_then(|status| status.approvers.as_deref()).unwrap_or_default();
        let required = status.and_then(|status| status.required_approvals).unwrap_or(1);
        let asked = state.asks_customer.then(|| (required, approvers.iter().map(|approver| approver.name.as_str())));
        return ask_or_approve(facts, now, asked, state.duration, rules, vec![]).after(tally.happenings).into();
    }
    let waits =
        tally.waits.unwrap_or_else(|| asking::waits_for_the_provider(facts, state.demanded, &approved, state.until));
    Next::Stay(Stay::waiting(waits).recording(tally.happenings))
}
