//! Conditions, and the other status fields that follow from the rest.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::proofs::{ADMISSION, CLOCK, Proof, Proofs, SAFETY_NET, gap_reason};
use crate::text::clip;
use lockbox_api::{
    AuditAction, DeliveryState, LockboxRequestStatus, MessageKind, Moment, Phase,
    condition::{Truth, set},
    notifications::Notification,
};

/// Condition types of a request, all present from the first write.
pub const TYPES: [&str; 6] =
    ["JitEvaluated", "InternallyApproved", "CustomerNotified", "Approved", "AccessGranted", "Finished"];

/// Condition type of a request that something stands in the way of: present from the first time that something did.
pub const DEGRADED: &str = "Degraded";

/// Condition type of a request of which somebody is told: present from the first message that was recorded.
pub const DELIVERED: &str = "MessagesDelivered";

/// Whether the messages about the request arrived; the latest trouble first.
fn delivered(status: &mut LockboxRequestStatus, now: Moment, generation: Option<i64>) {
    let of = |state: DeliveryState| status.notifications.iter().rev().find(|told| told.state == state);
    let (truth, reason, message) =
        match (of(DeliveryState::Failed), of(DeliveryState::Waiting), of(DeliveryState::Delivered)) {
            (Some(told), _, _) => (Truth::False, "Failed", in_words(told)),
            (None, Some(told), _) => (Truth::False, "Waiting", in_words(told)),
            (None, None, Some(told)) => (Truth::True, "Delivered", in_words(told)),
            (None, None, None) => return,
        };
    set(&mut status.conditions, DELIVERED, truth, reason, &clip(&message, 1024), now, generation);
}

/// What became of a message: `ApprovalAsked: 2 of 3 delivered; soc@contoso.example: 451 try again later`.
fn in_words(told: &Notification) -> String {
    let trouble = told.message.as_deref().map(|words| format!("; {words}")).unwrap_or_default();
    format!("{}: {} of {} delivered{trouble}", told.kind, told.delivered, told.destinations)
}

/// Something keeps standing in the way of the request: a sentence says what.
pub fn degraded(status: &mut LockboxRequestStatus, words: &str, generation: Option<i64>, now: Moment) {
    set(&mut status.conditions, DEGRADED, Truth::True, "Failing", &clip(words, 1024), now, generation);
}

/// Nothing stands in its way any more.
pub fn recovered(status: &mut LockboxRequestStatus, generation: Option<i64>, now: Moment) {
    if lockbox_api::condition::holds(&status.conditions, DEGRADED) {
        set(&mut status.conditions, DEGRADED, Truth::False, "Recovered", "nothing is in the way", now, generation);
    }
}

/// Brings everything derived up to date: conditions, `until`, `observedGeneration`.
pub fn derive(status: &mut LockboxRequestStatus, generation: Option<i64>, now: Moment) {
    let phase = status.phase.unwrap_or_default();
    let reason = status.reason.clone().unwrap_or_else(|| phase.to_string());
    let message = status.message.clone().unwrap_or_default();
    let happened = |action: AuditAction| status.history.iter().any(|entry| entry.action == action);
    let ended = phase.is_terminal();

    let jit = match &status.jit {
        Some(jit) => {
            (Truth::from(jit.verdict == lockbox_api::RuleEffect::Permit), jit.verdict.to_string(), jit.message.clone())
        }
        None if ended => (Truth::False, reason.clone(), message.clone()),
        None => (Truth::Unknown, reason.clone(), message.clone()),
    };
    let internal = if happened(AuditAction::DenyInternally) {
        (Truth::False, "Denied".to_owned(), message.clone())
    } else if status.jit.is_some() && status.internal_approvals.is_empty() {
        (Truth::True, "NotRequired".to_owned(), "no rule demands an internal approval".to_owned())
    } else if phase == Phase::AwaitingInternalApproval {
        (Truth::Unknown, "Waiting".to_owned(), message.clone())
    } else if status.notified_at.is_some() || status.approved_at.is_some() {
        (Truth::True, "Approved".to_owned(), "all internal approvals are there".to_owned())
    } else if ended {
        (Truth::False, reason.clone(), message.clone())
    } else {
        (Truth::Unknown, "NotYet".to_owned(), String::new())
    };
    let notified = if status.notified_at.is_some() {
        let asked = status.notifications.iter().find(|told| told.kind == MessageKind::ApprovalAsked);
        let message = asked.map_or_else(
            || "the customer was notified".to_owned(),
            |told| format!("the customer was notified; {}", clip(&in_words(told), 900)),
        );
        (Truth::True, "Notified".to_owned(), message)
    } else if status.approved_at.is_some() {
        (Truth::False, "NotNeeded".to_owned(), "no customer data is needed".to_owned())
    } else if ended {
        (Truth::False, reason.clone(), message.clone())
    } else {
        (Truth::Unknown, "NotYet".to_owned(), String::new())
    };
    let approved = if status.approved_at.is_some() {
        (Truth::True, "Approved".to_owned(), "approved; see status.history".to_owned())
    } else if ended {
        (Truth::False, reason.clone(), message.clone())
    } else {
        (Truth::Unknown, "NotYet".to_owned(), String::new())
    };
    let granted = match phase {
        Phase::AccessGranted => (Truth::True, "Granted".to_owned(), message.clone()),
        _ if ended => (Truth::False, reason.clone(), message.clone()),
        _ => (Truth::False, "NotYet".to_owned(), String::new()),
    };
    let finished = if ended { (Truth::True, reason, message) } else { (Truth::False, phase.to_string(), message) };

    for (type_, (truth, reason, message)) in
        TYPES.into_iter().zip([jit, internal, notified, approved, granted, finished])
    {
        set(&mut status.conditions, type_, truth, &reason, &message, now, generation);
    }
    delivered(status, now, generation);
    status.until = match phase {
        Phase::Evaluating => status.evaluate_until,
        Phase::AwaitingInternalApproval => status.internal_until,
        Phase::CustomerNotified => status.pending_until,
        Phase::Approved | Phase::AccessGranted => status.access_until,
        _ => status.ended_at,
    };
    status.observed_generation = generation;
}

/// Shows the proofs as conditions of the settings.
pub fn show(proofs: &Proofs, conditions: &mut Vec<Condition>, now: Moment, generation: Option<i64>) {
    let proofs = proofs.clone().with_recorded(conditions);
    let gap = gap_reason(&proofs);
    let admission = proofs.admission().clone();
    let Proofs { safety_net, clock, .. } = proofs;
    for (type_, proof, holds, fails, meaning) in [
        (ADMISSION, admission, "Enforced", gap, "the API server verifies who asks and who decides"),
        (
            SAFETY_NET,
            safety_net,
            "Works",
            "DoesNotWork",
            "the cluster ends access in namespaces while the operator is down",
        ),
        (CLOCK, clock, "InSync", "Differs", "the operator's clock and the API server's agree"),
    ] {
        let (truth, reason, message) = match proof {
            Proof::Proven => (Truth::True, holds, meaning.to_owned()),
            Proof::Unknown(why) => (Truth::Unknown, "NotTried", clip(&why, 1024)),
            Proof::Disproven(why) => (Truth::False, fails, clip(&why, 1024)),
        };
        set(conditions, type_, truth, reason, &message, now, generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_show_as_conditions_that_say_what_was_found() {
        let (mut conditions, at) = (vec![], Moment::UNIX_EPOCH);
        let shown = |conditions: &[Condition]| -> Vec<[String; 4]> {
            conditions
                .iter()
                .map(|c| [c.type_.clone(), c.status.clone(), c.reason.clone(), c.message.clone()])
                .collect()
        };
        show(&Proofs::none_yet(), &mut conditions, at, Some(1));
        assert!(shown(&conditions).iter().all(|[_, status, reason, message]| status == "Unknown"
            && reason == "NotTried"
            && message.contains("was not tried yet")));
        show(&Proofs::ALL, &mut conditions, at, Some(1));
        let reasons: Vec<_> =
            shown(&conditions).into_iter().map(|[type_, status, reason, _]| [type_, status, reason]).collect();
        assert_eq!(
            reasons,
            [
                ["AdmissionEnforced", "True", "Enforced"],
                ["SafetyNet", "True", "Works"],
                ["ClockInSync", "True", "InSync"]
            ]
        );
        let no = |why: &str| Proof::Disproven(why.into());
        let wrong = Proofs { authentic: no("a"), safety_net: no("b"), clock: no("c"), ..Proofs::ALL };
        show(&wrong, &mut conditions, at, Some(1));
        let told: Vec<_> =
            shown(&conditions).into_iter().map(|[_, status, reason, message]| [status, reason, message]).collect();
        assert_eq!(told, [["False", "NotEnforced", "a"], ["False", "DoesNotWork", "b"], ["False", "Differs", "c"]]);
        show(&Proofs { enforced: no("d"), ..Proofs::ALL }, &mut conditions, at, Some(1));
        let [_, status, reason, message] = shown(&conditions).swap_remove(0);
        assert_eq!([status, reason, message], ["False", "Incomplete", "d"], "what makes nothing authentic");
    }
}
