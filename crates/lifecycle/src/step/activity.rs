//! What the requester did: how it gets into the status.
//!
//! While access lasts it is written when something changed, at most once a minute, and along with every write that is made
//! anyway; once more after the end, when the stream has had the time to bring the last of it. Where no stream reaches the
//! operator nothing is written for it: the write that records the end says so along the way.

use chrono::TimeDelta;
use lockbox_api::{Activity, AuditAction, LockboxRequestStatus, Moment, Phase, names};

use super::{Step, count, says_the_same};
use crate::{
    facts::Facts,
    history::{self, Happening},
    text::sha256,
};

/// Time between two writes that are made for this alone.
const EVERY: TimeDelta = TimeDelta::minutes(1);
/// What the stream has after the end, to bring what it has collected.
const GRACE: TimeDelta = TimeDelta::seconds(15);
/// The same where the stream has not reached the end yet. The API server sends what it has collected for 30 s unless it is
/// told otherwise.
const LONGEST_GRACE: TimeDelta = TimeDelta::minutes(1);
/// How often it is looked whether the stream has reached the end.
const LOOK: TimeDelta = TimeDelta::seconds(5);

/// Puts what is known into a status, if it is to be written for that or is written anyway. Returns when it is to be written
/// otherwise.
pub(super) fn show(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment) -> Option<Moment> {
    let is_written = facts.status().is_none_or(|stored| !says_the_same(stored, status));
    let Some(seen) = facts.activity else {
        if is_written && is_over(status) {
            status.activity.get_or_insert_with(Activity::unwatched);
        }
        return None;
    };
    if status.phase != Some(Phase::AccessGranted) && !is_over(status) {
        return None;
    }
    let recorded = status.activity.as_ref();
    let is_new = recorded.is_none_or(|recorded| !recorded.shows_the_same(seen));
    if !is_new && !is_written {
        return None;
    }
    let due = recorded.and_then(|recorded| recorded.recorded_at).map(|at| at + EVERY);
    if let Some(due) = due.filter(|due| now < *due && !is_written) {
        return Some(due);
    }
    status.activity = Some(recorded_at(seen, now));
    None
}

/// The last word on an access that has ended, chained into the history; none where there is nothing to say any more.
pub(super) fn last(facts: &Facts<'_>, status: &LockboxRequestStatus, now: Moment) -> Option<Step> {
    let seen = facts.activity.filter(|_| is_over(status))?;
    let ended = status.ended_at?;
    if status.history.iter().any(|entry| entry.action == AuditAction::RecordActivity) {
        return None;
    }
    let has_arrived = seen.until.is_some_and(|until| until >= ended);
    let ready = ended + if has_arrived { GRACE } else { LONGEST_GRACE };
    if now < ready {
        return Some(Step::Sleep(Some(ready.min(now + LOOK))));
    }
    let mut status = status.clone();
    let activity = recorded_at(seen, now);
    let happening = Happening {
        action: AuditAction::RecordActivity,
        actor: names::LOCKBOX.into(),
        phase: status.phase.unwrap_or_default(),
        reason: None,
        message: words(&activity),
        rules: vec![],
        facts: vec![],
    };
    status.activity = Some(activity);
    // Without room for its entry there is no last word: what is not in the history cannot be relied on.
    if !history::append(&mut status.history, facts.uid(), now, happening) {
        return None;
    }
    status.events_published = Some(count(facts.published));
    Some(Step::Write(Box::new(status)))
}

/// Whether there was an access, or may have been one that was made and never recorded, and it has ended.
fn is_over(status: &LockboxRequestStatus) -> bool {
    matches!(status.phase, Some(Phase::Completed | Phase::Revoked | Phase::Failed)) && status.approved_at.is_some()
}

fn recorded_at(seen: &Activity, now: Moment) -> Activity {
    Activity { recorded_at: Some(now), ..seen.clone() }
}

/// The numbers, and the digest of the whole: `kubectl get lbr NAME -o json | jq -cjS .status.activity | sha256sum` computes it,
/// too.
fn words(activity: &Activity) -> String {
    let counted = |count: i64, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    let listed = |list: usize, more: i64| i64::try_from(list).unwrap_or(i64::MAX).saturating_add(more);
    let refused = activity.refused.calls.saturating_add(activity.refused.elsewhere);
    format!(
        "coverage of the access by the audit stream: {}; {} by this access, {}, {} refused, {} left behind; status.activity has the digest {}",
        activity.coverage,
        counted(activity.calls, "call"),
        counted(listed(activity.sessions.len(), activity.more_sessions), "session"),
        counted(refused, "call"),
        counted(listed(activity.residue.len(), activity.more_residue), "object"),
        digest(activity),
    )
}

/// SHA-256 over the JSON of it, without blanks and with the fields in the order of their names.
fn digest(activity: &Activity) -> String {
    // Plain data: serialising it cannot fail; a digest over nothing would match nothing.
    sha256(&serde_json::to_value(activity).map(|value| value.to_string()).unwrap_or_default())
}
