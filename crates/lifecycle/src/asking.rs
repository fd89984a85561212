//! What a request says while it waits for a decision: what is missing, from whom, by when, and how to give it.

use lockbox_api::{
    AuditAction, Moment,
    request::{Entry, InternalApproval},
    time::text,
};

use crate::{
    decisions::{self, Standing},
    facts::Facts,
    history::Happening,
    reason::Reason,
    state::Notified,
    text::clip,
    why::Why,
};

/// The command that writes a decision.
fn command(facts: &Facts<'_>, field: &str) -> String {
    format!(
        "kubectl patch lbr {} -n {} --type=merge -p '{{\"spec\":{{\"{field}\":{{\"verdict\":\"Approve\",\"reason\":\"...\"}}}}}}'",
        facts.name(),
        facts.namespace()
    )
}

/// What a rule demands, in words: `rule support-lead: 1 of Group provider:leads`.
fn demanded_in_words(demanded: &InternalApproval) -> String {
    let approvers: Vec<_> = demanded.approvers.iter().map(ToString::to_string).collect();
    format!("rule {}: {} of {}", demanded.rule, demanded.count, approvers.join(", "))
}

/// What the history says once, when the provider's own approvers are asked.
pub(crate) fn asked_of_the_provider(demanded: &[InternalApproval], until: Moment) -> String {
    let demanded: Vec<_> = demanded.iter().map(demanded_in_words).collect();
    format!("asked the provider's own approvers until {}: {}", text(until), demanded.join("; "))
}

/// What a request says while the provider's own approvers are asked: what is still missing, rule by rule.
pub(crate) fn waits_for_the_provider(
    facts: &Facts<'_>,
    demanded: &[InternalApproval],
    approved: &[(&str, Option<&str>)],
    until: Moment,
) -> Why {
    let missing: Vec<_> =
        demanded.iter().filter(|demanded| !decisions::is_met(demanded, approved)).map(demanded_in_words).collect();
    let message = format!(
        "Waiting for internal approval by {}: {}. Approve or deny with: {}",
        text(until),
        clip(&missing.join("; "), 500),
        command(facts, "internalDecision")
    );
    Why::new(Reason::WaitingForInternalApproval, message)
}

/// What a request says when the customer has just been asked.
pub(crate) fn waits_for_the_customer(facts: &Facts<'_>, required: i32, approvers: &str, until: Moment) -> Why {
    let approvals = if required == 1 { "1 approval".to_owned() } else { format!("{required} approvals") };
    let message = format!(
        "Waiting for {approvals} by {} from any of: {}.{} Approve or deny with: {}",
        text(until),
        clip(approvers, 400),
        other_engineer(facts),
        command(facts, "decision")
    );
    Why::new(Reason::WaitingForCustomer, message)
}

/// What a request says while the customer's approvals are not enough: first which decisions do not count, and why; then
/// whose are missing.
pub(crate) fn waits_for_decisions(
    facts: &Facts<'_>,
    state: &Notified<'_>,
    standing: &Standing<'_>,
    new: &[Happening],
) -> Why {
    let required = i32::try_from(state.required).unwrap_or(i32::MAX);
    let left: Vec<_> = state
        .approvers
        .iter()
        .map(|approver| approver.name.as_str())
        .filter(|name| !standing.users.contains(name))
        .collect();
    let waits = if standing.count() == 0 {
        waits_for_the_customer(facts, required, &left.join(", "), state.until)
    } else {
        let message = format!(
            "{} of {required} approvals are there ({}); waiting for more by {} from any of: {}. Approve or deny with: {}",
            standing.count(),
            clip(&standing.users.join(", "), 200),
            text(state.until),
            clip(&left.join(", "), 400),
            command(facts, "decision")
        );
        Why::new(Reason::WaitingForQuorum, message)
    };
    let recorded = facts.status().map_or(&[][..], |status| &status.history);
    let void: Vec<_> = recorded
        .iter()
        .filter(|entry: &&Entry| {
            entry.action == AuditAction::RejectDecision && entry.phase == lockbox_api::Phase::CustomerNotified
        })
        .map(|entry| entry.message.as_str())
        .chain(
            new.iter()
                .filter(|happening| happening.action == AuditAction::RejectDecision)
                .map(|happening| happening.message.as_str()),
        )
        .chain(standing.lapsed.iter().map(String::as_str))
        .collect();
    if void.is_empty() {
        return waits;
    }
    Why::new(waits.reason, format!("{}. {}", clip(&void.join(". "), 400), waits.message))
}

/// Tells everybody that the requester is not the engineer to whom the ticket is assigned (M5).
pub(crate) fn other_engineer(facts: &Facts<'_>) -> String {
    let spec = &facts.request.spec;
    let assigned = spec.support_request.as_ref().and_then(|ticket| ticket.assigned_to.as_ref());
    match (assigned, &spec.escalation) {
        (Some(assigned), escalation) if *assigned != spec.requester.username => {
            let why = escalation.as_ref().map_or_else(
                || " no escalation is stated".to_owned(),
                |escalation| format!(" escalated to {}", clip(&escalation.team, 128)),
            );
            format!(
                " Note: the ticket is assigned to {}, but {} made this request;{why}.",
                clip(assigned, 128),
                spec.requester.username
            )
        }
        _ => String::new(),
    }
}
