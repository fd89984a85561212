//! Approved: access is being set up.

use chrono::TimeDelta;
use lockbox_api::{AuditAction, Moment, Phase, names, time::text};

use super::{Action, Next, ends};
use crate::{
    facts::{Attempt, Facts, Forgery, GrantView},
    grant::{self, GrantPlan},
    history::Happening,
    proofs::CLOCK_TOLERANCE,
    reason::Reason,
    settings::Standing,
    state::Approval,
    transition::{Entry, Move, Stay, To},
    why::Why,
};

pub(super) fn next(approval: &Approval<'_>, facts: &Facts<'_>, now: Moment) -> Next {
    let outcomes = facts.outcomes;
    // What a cache says may be old, and from here on access is made.
    if !outcomes.request_read || !outcomes.read {
        return Next::First(Action::Read { request: !outcomes.request_read });
    }
    if let Some(end) = ends::early(facts, approval.at) {
        return after_the_end(facts, approval, || ends::end_early(&end), now);
    }
    if now >= approval.until {
        return after_the_end(facts, approval, || time_is_up(facts), now);
    }
    match obstacle(approval, facts, now) {
        Err(Obstacle::Fails(why)) => {
            let fail = || Move::new(To::End(Phase::Failed), why, Entry::of(AuditAction::FailAccess));
            after_the_end(facts, approval, fail, now)
        }
        Err(Obstacle::Waits(why)) => {
            let message = format!(
                "Approved, but the access cannot be made yet; Lockbox tries again until {}: {}",
                text(approval.until),
                why.message
            );
            Next::Stay(Stay::waiting(Why::new(why.reason, message)).until(again(approval.at, now)))
        }
        Ok(plan) => match outcomes.forgery {
            Forgery::Untried => Next::First(Action::PrepareGrant(Box::new(plan))),
            _ if outcomes.grant == GrantView::Present => granted(&plan).into(),
            _ => Next::First(Action::MakeGrant(Box::new(plan))),
        },
    }
}

/// Why access cannot be set up.
enum Obstacle {
    /// For good.
    Fails(Why),
    /// For now.
    Waits(Why),
}

/// Everything that must hold before access is made; then the grant that was approved.
fn obstacle(approval: &Approval<'_>, facts: &Facts<'_>, now: Moment) -> Result<GrantPlan, Obstacle> {
    let outcomes = facts.outcomes;
    let fails = |reason, message: String| Err(Obstacle::Fails(Why::new(reason, message)));
    if let Attempt::Refused(why) = &outcomes.attempt {
        return fails(Reason::GrantRefused, format!("Access cannot be granted: {why}"));
    }
    let forged = match &outcomes.forgery {
        Forgery::LetIn(why) => Some(why.clone()),
        _ => facts.proofs.doubts(approval.at, now),
    };
    if let Some(why) = forged {
        return fails(
            Reason::AdmissionNotEnforced,
            format!("Create a new request: who approved this one (spec.decisions) cannot be trusted, because {why}"),
        );
    }
    // No access is longer than it was approved for: a clock that was put back since would make it so.
    if approval.until - now > approval.duration.delta() + TimeDelta::seconds(CLOCK_TOLERANCE) {
        return fails(
            Reason::ClockWentBack,
            "Create a new request: the clock was set back after the approval, so access until status.accessUntil would be longer than what was approved.".into(),
        );
    }
    if let Attempt::Blocked(why) = &outcomes.attempt {
        return Err(Obstacle::Waits(Why::new(Reason::GrantBlocked, why)));
    }
    if let Some(why) = facts.proofs.before_grant(facts.request.spec.scope, facts.settings.known()) {
        return Err(Obstacle::Waits(why));
    }
    // What cannot be read may say anything: it ends nothing.
    if let Standing::Unknown(why) = facts.settings.standing() {
        return Err(Obstacle::Waits(why));
    }
    if let Forgery::Unknown(why) = &outcomes.forgery {
        return Err(Obstacle::Waits(Why::new(Reason::WaitingForAdmission, why)));
    }
    grant::plan(approval, facts).map_err(Obstacle::Fails)
}

fn granted(plan: &GrantPlan) -> Move {
    let (user, until) = (plan.user(), text(plan.until()));
    let message = format!(
        "{user} has access until {until}. It ends by itself, when {user} returns it (spec.release), or when the customer revokes it (spec.revocation)."
    );
    let entry = Entry::of(AuditAction::GrantAccess).saying(format!("{user} has access until {until}"));
    Move::new(To::AccessGranted, Why::new(Reason::Granted, message), entry)
}

/// Ends what an attempt may have made, and only then moves on. What was there is in the record, also if it was never
/// recorded as granted.
fn after_the_end(facts: &Facts<'_>, approval: &Approval<'_>, end: impl FnOnce() -> Move, now: Moment) -> Next {
    if let Some(words) = &facts.outcomes.not_ended {
        let why =
            Why::new(Reason::GrantBlocked, format!("The access must not stay, and cannot be removed yet: {words}"));
        return Next::Stay(Stay::waiting(why).until(again(approval.until.min(now), now)));
    }
    let GrantView::Ended { was_there } = facts.outcomes.grant else {
        return Next::First(Action::EndGrant { early: true });
    };
    let mut end = end();
    if was_there {
        let user = &facts.request.spec.requester.username;
        end.before.push(Happening {
            action: AuditAction::GrantAccess,
            actor: names::LOCKBOX.into(),
            phase: Phase::Approved,
            reason: None,
            message: format!(
                "{user} had access, until {} at the latest: it was made, and ended before that could be recorded",
                text(now)
            ),
            rules: vec![],
            facts: vec![],
        });
    }
    end.into()
}

/// The access's own end came first.
fn time_is_up(facts: &Facts<'_>) -> Move {
    if facts.outcomes.grant == (GrantView::Ended { was_there: true }) {
        let entry = Entry::of(AuditAction::CompleteAccess);
        return Move::end(Phase::Completed, Reason::TimeIsUp, "Access ended on time.", entry);
    }
    Move::end(
        Phase::Failed,
        Reason::DeadlinePassed,
        "Create a new request: no access was recorded before its own end (status.accessUntil). If the operator was stopped just after making it, the cluster ended it then.",
        Entry::of(AuditAction::FailAccess),
    )
}

/// When to try again something that is in the way since a moment: after a quarter of the time that it has been, from one
/// second to thirty.
pub(super) fn again(since: Moment, now: Moment) -> Moment {
    let waited = (now - since) / 4;
    now + waited.clamp(TimeDelta::seconds(1), TimeDelta::seconds(30))
}
