//! Evaluating: settings, service, limits and rules are checked, once.

use lockbox_api::{AuditAction, Duration, LockboxSettingsSpec, Moment, Phase, names, time::text};

use super::{Action, Next, approved::again, ends};
use crate::{
    asking,
    evaluate::{self, Outcome, Proceed},
    facts::Facts,
    placement::PlacementView,
    reason::Reason,
    transition::{Entry, Evaluated, Move, Stay, To, being_made},
    why::Why,
};

/// How long a request waits to be evaluated.
const TIMEOUT: Duration = Duration::DEFAULT_PENDING;

pub(super) fn next(until: Option<Moment>, facts: &Facts<'_>, now: Moment) -> Next {
    if !facts.outcomes.read {
        return Next::First(Action::Read { request: false });
    }
    let outcome = evaluate::authentic(facts).unwrap_or_else(|| evaluate::evaluate(facts));
    // Who waited too long is not let through after all, even if what was missing is there by now.
    let waits = matches!(outcome, Outcome::Wait(_));
    let until = until.or_else(|| waits.then(|| deadline(facts)));
    if !matches!(outcome, Outcome::End(_)) && until.is_some_and(|until| now >= until) {
        let message = "The request could not be evaluated within four days; see Ready and AdmissionEnforced in the status of the LockboxSettings, and create a new request.";
        let entry = Entry::of(AuditAction::ExpireInternalApproval);
        return Move::end(Phase::Expired, Reason::NotEvaluatedInTime, message, entry).into();
    }
    if let Some(withdrawn) = ends::withdrawal(facts, AuditAction::CancelBeforeNotification) {
        return withdrawn.into();
    }
    match outcome {
        Outcome::Wait(why) => Next::Stay(wait(why, facts)),
        Outcome::End(end) => {
            let excluded = end.phase == Phase::Excluded;
            let spec = &facts.request.spec;
            let entry = if excluded {
                Entry::by(end.action, &spec.requester.username, Some(spec.justification.clone()))
            } else {
                Entry::of(end.action)
            };
            let rules = end.jit.as_ref().map(|jit| jit.rules.clone()).unwrap_or_default();
            Move {
                to: To::End(end.phase),
                why: end.why,
                entry: entry.with_rules(rules, end.facts),
                before: vec![],
                evaluated: Some(Evaluated::Ends { jit: end.jit, snapshot: end.snapshot }),
            }
            .into()
        }
        Outcome::Proceed(proceed) => match &facts.outcomes.placement {
            PlacementView::Untried => Next::First(Action::TryPlacement),
            PlacementView::Fits => proceed_with(*proceed, facts, now).into(),
            PlacementView::Refused(words) | PlacementView::Blocked(words) => {
                let message =
                    format!("A grant would be refused in this namespace, so approvers are not asked yet: {words}");
                let stay = wait(Why::new(Reason::GrantWouldBeRefused, message), facts);
                Next::Stay(stay.until(again(facts.created(), now)))
            }
        },
    }
}

/// The deadline for evaluating a request.
fn deadline(facts: &Facts<'_>) -> Moment {
    facts.created() + TIMEOUT.delta()
}

fn wait(why: Why, facts: &Facts<'_>) -> Stay {
    Stay { evaluate_until: Some(deadline(facts)), ..Stay::waiting(why) }
}

/// Leaves Evaluating: everything that later steps rely on is recorded once, here.
fn proceed_with(proceed: Proceed, facts: &Facts<'_>, now: Moment) -> Move {
    let spec = &facts.request.spec;
    let (rules, used) = (proceed.jit.rules.clone(), proceed.facts.clone());
    let next = if proceed.internal_approvals.is_empty() {
        let Proceed { duration, customer_data, required, .. } = proceed;
        let approvers = proceed.snapshot.approvers.iter().map(|approver| approver.name.as_str());
        ask_or_approve(facts, now, customer_data.then_some((required, approvers)), duration, rules, used)
    } else {
        let until = now + timeout(facts, |settings| settings.internal_timeout);
        let why = asking::waits_for_the_provider(facts, &proceed.internal_approvals, &[], until);
        let entry =
            Entry::by(AuditAction::RequestInternalApproval, &spec.requester.username, Some(spec.justification.clone()));
        let message = asking::asked_of_the_provider(&proceed.internal_approvals, until);
        Move::new(To::AwaitingInternalApproval { until }, why, entry.saying(message).with_rules(rules, used))
    };
    Move { evaluated: Some(Evaluated::Proceeds(Box::new(proceed))), ..next }
}

fn timeout(facts: &Facts<'_>, which: impl Fn(&LockboxSettingsSpec) -> Duration) -> chrono::TimeDelta {
    facts.settings.known().map_or(TIMEOUT, which).delta()
}

/// The customer is asked; or, where no customer data is needed, the rules approve.
pub(super) fn ask_or_approve<'a>(
    facts: &Facts<'_>,
    now: Moment,
    asked: Option<(i32, impl Iterator<Item = &'a str>)>,
    duration: Duration,
    rules: Vec<String>,
    used: Vec<String>,
) -> Move {
    let spec = &facts.request.spec;
    let Some((required, approvers)) = asked else {
        let message = format!("no customer data is needed: approved by just-in-time rule {}", rules.join(", "));
        let entry = Entry::by(AuditAction::AutoApproveLockboxRequest, names::LOCKBOX, Some(spec.justification.clone()));
        let to = To::Approved { duration, resources: spec.resources.clone() };
        let entry = entry.saying(message).with_rules(rules, used);
        return Move::new(to, being_made(now + duration.delta()), entry);
    };
    let until = now + timeout(facts, |settings| settings.pending_timeout);
    let approvers = approvers.collect::<Vec<_>>().join(", ");
    let entry =
        Entry::by(AuditAction::CreateLockboxRequest, &spec.requester.username, Some(spec.justification.clone()));
    let message = format!(
        "asked until {}: {}.{}",
        text(until),
        crate::text::clip(&approvers, 200),
        asking::other_engineer(facts)
    );
    let why = asking::waits_for_the_customer(facts, required, &approvers, until);
    Move::new(To::CustomerNotified { until }, why, entry.saying(message).with_rules(rules, used))
}
