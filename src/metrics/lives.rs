//! What happens to requests, as it is recorded. Recorded times are whole seconds.

use std::time::Duration;

use lockbox_api::{AuditAction, LockboxRequest, LockboxRequestStatus, Moment, Phase, request::Entry};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

use super::{
    Metrics,
    register::{Register, Times},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    phase: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Recorded {
    action: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    verdict: &'static str,
}

/// See [`Metrics::recorded`], [`Metrics::bound`] and [`Metrics::unbound`].
pub struct Lives {
    ended: Family<Ended, Counter>,
    entries: Family<Recorded, Counter>,
    decisions: Family<Decided, Counter>,
    deciding: Times<Decided>,
    access: Histogram,
    overrun: Histogram,
}

/// Times until people act.
fn people() -> Histogram {
    Histogram::new([10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 172_800.0, 345_600.0])
}

/// Times that the operator is responsible for.
fn promised() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0])
}

impl Lives {
    pub fn new(register: &mut Register) -> Self {
        let ended =
            register.counter("requests_ended", "Requests that this process recorded as finished, by their last phase");
        for phase in Phase::ALL.into_iter().filter(|phase| phase.is_terminal()) {
            let _ = ended.get_or_create(&Ended { phase: phase.to_string() });
        }
        let entries = register
            .counter("history_entries", "Entries that this process added to the histories of requests, by action");
        // Alerts look at these, and an alert sees no step from nothing to 1.
        for action in [AuditAction::TamperWithGrant, AuditAction::EndOverdue, AuditAction::RejectDecision] {
            let _ = entries.get_or_create(&Recorded { action: action.to_string() });
        }
        let decisions = register.counter(
            "decisions",
            "What became of requests that the customer was asked about: Approve, Deny, or Expire when nobody decided in time",
        );
        for verdict in ["Approve", "Deny", "Expire"] {
            let _ = decisions.get_or_create(&Decided { verdict });
        }
        let deciding = register.times(
            "decision_duration",
            "Time from the moment the customer was notified to the decision, from recorded times in whole seconds",
            people,
        );
        let access = register.plain_times(
            "approval_to_access",
            "Time from the approval that decided to the binding that gives access: from when the operator's watch heard of it, or, when it was recorded in an earlier attempt, from that record in whole seconds",
            promised,
        );
        let overrun = register.plain_times(
            "access_overrun",
            "Time from the end of an access to the deletion of its binding by the operator; accesses that were ended before their end are left out",
            promised,
        );
        Self { ended, entries, decisions, deciding, access, overrun }
    }
}

impl Metrics {
    /// A new status of a request was stored: counts what it records that the one before did not.
    pub fn recorded(&self, before: &LockboxRequest, after: &LockboxRequest) {
        let lives = &self.0.lives;
        let (earlier, Some(now)) = (before.status.as_ref(), after.status.as_ref()) else { return };
        let known = earlier.map_or(0, |status| status.history.len());
        for entry in now.history.get(known..).unwrap_or_default() {
            lives.entries.get_or_create(&Recorded { action: entry.action.to_string() }).inc();
        }
        let was = earlier.and_then(|status| status.phase).unwrap_or_default();
        let is = now.phase.unwrap_or_default();
        if was == is {
            return;
        }
        if is.is_terminal() {
            lives.ended.get_or_create(&Ended { phase: is.to_string() }).inc();
        }
        let verdict = match (was, is) {
            (Phase::CustomerNotified, Phase::Approved) => "Approve",
            (Phase::CustomerNotified, Phase::Denied) => "Deny",
            (Phase::CustomerNotified, Phase::Expired) => "Expire",
            _ => return,
        };
        let decided = Decided { verdict };
        lives.decisions.get_or_create(&decided).inc();
        if let (Some(asked), Some(entry)) = (now.notified_at, now.history.last()) {
            lives.deciding.get_or_create(&decided).observe(seconds(entry.at, asked));
        }
    }

    /// The binding of a request was made, at `now`; the request has been worked on since `heard`.
    pub fn bound(&self, request: &LockboxRequest, heard: Duration, now: Moment) {
        let approved = request.status.as_ref().and_then(approval).map(|entry| seconds(now, entry.at));
        let heard = heard.as_secs_f64();
        // The record of an approval that was met just now is up to a second too old.
        let took = approved.filter(|approved| *approved > heard + 1.0).unwrap_or(heard);
        self.0.lives.access.observe(took);
    }

    /// The binding of a request was deleted by the operator, at `now`.
    pub fn unbound(&self, request: &LockboxRequest, now: Moment) {
        let until = request.status.as_ref().and_then(|status| status.access_until);
        if let Some(until) = until.filter(|until| *until <= now) {
            self.0.lives.overrun.observe(seconds(now, until));
        }
    }
}

/// The approval that decided.
fn approval(status: &LockboxRequestStatus) -> Option<&Entry> {
    let decides = |entry: &&Entry| {
        matches!(entry.action, AuditAction::ApproveLockboxRequest | AuditAction::AutoApproveLockboxRequest)
            && entry.phase == Phase::Approved
    };
    status.history.iter().rev().find(decides)
}

fn seconds(later: Moment, earlier: Moment) -> f64 {
    (later - earlier).to_std().unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(status: &Value) -> LockboxRequest {
        serde_json::from_value(json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
            "metadata": {"name": "r", "namespace": "shop", "uid": "1"},
            "spec": {"requester": {"username": "kim"}, "origin": "SupportRequest", "justification": "why",
                "scope": "Subscription", "service": "AppService", "accessLevel": "Shell"},
            "status": status,
        }))
        .unwrap()
    }

    fn entry(action: &str, phase: &str, at: &str) -> Value {
        json!({"sequence": 1, "at": at, "action": action, "actor": "alice", "phase": phase, "message": "", "hash": "sha256:0"})
    }

    fn shows(metrics: &Metrics, line: &str) {
        let text = metrics.text();
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }

    #[test]
    fn a_decision_is_counted_once_with_the_time_that_it_took() {
        let metrics = Metrics::default();
        let asked = json!([entry("CreateLockboxRequest", "CustomerNotified", "2026-11-27T12:00:00Z")]);
        let before =
            request(&json!({"phase": "CustomerNotified", "notifiedAt": "2026-11-27T12:00:00Z", "history": asked}));
        let mut history = asked;
        history.as_array_mut().unwrap().push(entry("ApproveLockboxRequest", "Approved", "2026-11-27T12:00:20Z"));
        let after = request(&json!({"phase": "Approved", "notifiedAt": "2026-11-27T12:00:00Z", "history": history}));
        metrics.recorded(&before, &after);
        // Written again, with nothing new in it.
        metrics.recorded(&after, &after);
        shows(&metrics, r#"lockbox_decisions_total{verdict="Approve"} 1"#);
        shows(&metrics, r#"lockbox_decision_duration_seconds_sum{verdict="Approve"} 20.0"#);
        shows(&metrics, r#"lockbox_history_entries_total{action="ApproveLockboxRequest"} 1"#);
        let ended = request(&json!({"phase": "Failed", "history": []}));
        metrics.recorded(&after, &ended);
        shows(&metrics, r#"lockbox_requests_ended_total{phase="Failed"} 1"#);
        shows(&metrics, r#"lockbox_requests_ended_total{phase="Completed"} 0"#);
    }

    #[test]
    fn access_after_an_approval_is_measured_finely_or_from_the_record_when_that_is_older() {
        let metrics = Metrics::default();
        let approved = [entry("ApproveLockboxRequest", "Approved", "2026-11-27T12:00:00Z")];
        let approved = request(&json!({"phase": "Approved", "history": approved}));
        let at = |text: &str| text.parse::<Moment>().unwrap();
        metrics.bound(&approved, Duration::from_millis(125), at("2026-11-27T12:00:00.900Z"));
        shows(&metrics, "lockbox_approval_to_access_seconds_sum 0.125");
        metrics.bound(&approved, Duration::from_millis(125), at("2026-11-27T12:00:40Z"));
        shows(&metrics, "lockbox_approval_to_access_seconds_sum 40.125");
    }

    #[test]
    fn an_access_that_ended_early_is_no_overrun() {
        let metrics = Metrics::default();
        let granted = request(&json!({"phase": "AccessGranted", "accessUntil": "2026-11-27T12:00:00Z", "history": []}));
        metrics.unbound(&granted, "2026-11-27T11:59:59Z".parse().unwrap());
        shows(&metrics, "lockbox_access_overrun_seconds_count 0");
        metrics.unbound(&granted, "2026-11-27T12:00:00.250Z".parse().unwrap());
        shows(&metrics, "lockbox_access_overrun_seconds_sum 0.25");
    }
}
