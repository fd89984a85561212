//! One step of a request's life.
//!
//! Rules that hold always (their numbers are the specification's):
//! 1. no grant without a recorded approval and an absolute `accessUntil`;
//! 2. a decision met after its deadline loses, however early it was written;
//! 3. the first Deny ends the request;
//! 5. no clock restarts;
//! 6. the status that says Approved comes before the grant, and the end of the grant before the status that says so;
//! 8. every step says when to look again.

use super::{
    decisions,
    evaluate::{self, Outcome, Proceed},
    facts::{Facts, GrantView},
    grant::{GrantPlan, plan},
    history::{self, Happening},
    proofs::CLOCK_TOLERANCE,
    settings,
};
use crate::{Why, text::clip};
use lockbox_api::{
    AuditAction, Duration, LockboxRequestStatus, LockboxSettingsSpec, Moment, Phase, names,
    request::{Ending, Grant},
    time::{text, whole_seconds},
};

/// What to do, in this order: `before`, the status, `after`; and when to look again if nothing else happens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// What is done before the status is written: the status says that it is done.
    pub before: Vec<Action>,
    /// The status to write; none when the stored one is as it should be.
    pub status: Option<Box<LockboxRequestStatus>>,
    /// What is done after the status is written: the status is its reason.
    pub after: Vec<Action>,
    /// The next deadline.
    pub wake: Option<Moment>,
}

impl Step {
    /// Whether it makes a grant.
    pub fn grants(&self) -> bool {
        self.before.iter().any(|action| matches!(action, Action::MakeGrant(_)))
    }
}

/// Something to do in the cluster. Each can be repeated.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make the grant.
    MakeGrant(Box<GrantPlan>),
    /// End the grant: its binding first.
    EndGrant {
        /// Before its time: then the deadline Job goes too, instead of ending by itself.
        early: bool,
    },
    /// Publish the history's entries after this many as Events.
    Publish {
        /// Entries that are published already.
        after: usize,
    },
}

/// Decides the next step. Pure: the same facts at the same time give the same step.
pub fn step(facts: &Facts<'_>, now: Moment) -> Step {
    let now = whole_seconds(now);
    let mut status = facts.status().cloned().unwrap_or_default();
    let phase = facts.phase();
    if facts.request.metadata.deletion_timestamp.is_some() && !phase.is_terminal() {
        // No binding without a live request. Nothing is recorded: the record is being deleted.
        let before = if status.grant.is_some() { vec![Action::EndGrant { early: true }] } else { vec![] };
        return Step { before, ..Step::default() };
    }
    let before = match phase {
        Phase::Evaluating => evaluating(facts, &mut status, now),
        Phase::AwaitingInternalApproval => awaiting_internal_approval(facts, &mut status, now),
        Phase::CustomerNotified => customer_notified(facts, &mut status, now),
        Phase::Approved => approved(facts, &mut status, now),
        Phase::AccessGranted => access_granted(facts, &mut status, now),
        Phase::Rejected
        | Phase::NotTriggered
        | Phase::Excluded
        | Phase::Denied
        | Phase::Expired
        | Phase::Cancelled
        | Phase::Failed
        | Phase::Completed
        | Phase::Revoked => return finished(facts, status),
    };
    let next = status.phase.unwrap_or_default();
    let deadline = conditions_and_deadline(facts, &mut status, now);
    let published = facts.published.min(status.history.len());
    let changed = facts.status().is_none_or(|stored| differs(stored, &status));
    if changed {
        status.events_published = Some(count(published));
    }
    // The grant comes before its announcement: whoever waits for access waits for nothing else.
    let grants_now = next == Phase::Approved && phase != Phase::Approved;
    let after = if published < status.history.len() && !grants_now {
        vec![Action::Publish { after: published }]
    } else {
        vec![]
    };
    Step { before, status: changed.then(|| Box::new(status)), after, wake: deadline }
}

/// A request that has ended: publish what is not yet published, record that, and close it.
fn finished(facts: &Facts<'_>, mut status: LockboxRequestStatus) -> Step {
    if status.closed == Some(true) {
        return Step::default();
    }
    if facts.published < status.history.len() {
        return Step { after: vec![Action::Publish { after: facts.published }], ..Step::default() };
    }
    status.events_published = Some(count(status.history.len()));
    status.closed = Some(true);
    Step { status: Some(Box::new(status)), ..Step::default() }
}

fn count(entries: usize) -> i64 {
    i64::try_from(entries).unwrap_or(i64::MAX)
}

fn conditions_and_deadline(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment) -> Option<Moment> {
    super::conditions::derive(status, facts.request.metadata.generation, now);
    if status.phase.unwrap_or_default().is_terminal() { None } else { status.until }
}

/// Whether two statuses differ in anything but what is written along with the next change.
fn differs(stored: &LockboxRequestStatus, new: &LockboxRequestStatus) -> bool {
    let essence = |status: &LockboxRequestStatus| {
        let mut status = status.clone();
        status.observed_generation = None;
        status.events_published = None;
        for condition in &mut status.conditions {
            condition.observed_generation = None;
        }
        status
    };
    essence(stored) != essence(new)
}

/// One entry of a transition.
struct Entry<'a> {
    action: AuditAction,
    actor: &'a str,
    given: Option<String>,
}

impl Entry<'_> {
    const fn of(action: AuditAction) -> Self {
        Entry { action, actor: names::LOCKBOX, given: None }
    }
}

/// Moves to `phase`, with its reason and its entry.
fn transition(
    facts: &Facts<'_>,
    status: &mut LockboxRequestStatus,
    now: Moment,
    phase: Phase,
    reason: &str,
    message: impl Into<String>,
    entry: Entry<'_>,
) {
    let message = clip(&message.into(), 1024);
    status.phase = Some(phase);
    status.reason = Some(reason.into());
    status.message = Some(message.clone());
    if phase.is_terminal() {
        status.ended_at = Some(now);
    }
    let happening = Happening {
        action: entry.action,
        actor: entry.actor.into(),
        phase,
        reason: entry.given,
        message,
        rules: vec![],
        facts: vec![],
    };
    history::append(&mut status.history, facts.uid(), now, happening);
}

/// Stays in its phase, and says what it waits for.
fn wait(status: &mut LockboxRequestStatus, why: &Why) {
    status.reason = Some(why.reason.clone());
    status.message = Some(clip(&why.message, 1024));
}

fn record(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment, happenings: Vec<Happening>) {
    for happening in happenings {
        history::append(&mut status.history, facts.uid(), now, happening);
    }
}

/// What the requester wrote to withdraw, if it is really theirs.
fn withdrawal<'a>(facts: &'a Facts<'_>, ending: Option<&'a Ending>) -> Option<&'a Ending> {
    ending.filter(|ending| ending.by == facts.request.spec.requester.username)
}

fn evaluating(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment) -> Vec<Action> {
    let outcome = evaluate::authentic(facts).unwrap_or_else(|| evaluate::evaluate(facts));
    if let Outcome::Wait(_) = outcome {
        status.evaluate_until.get_or_insert_with(|| facts.created() + Duration::DEFAULT_PENDING.delta());
    }
    // Who waited too long is not let through after all, also when what was missing is there by now.
    let waits_or_goes_on = !matches!(outcome, Outcome::End(_));
    if waits_or_goes_on && status.evaluate_until.is_some_and(|until| now >= until) {
        transition(
            facts,
            status,
            now,
            Phase::Expired,
            "NotEvaluatedInTime",
            "The request could not be evaluated within four days; see Ready and AdmissionEnforced in the status of the LockboxSettings, and create a new request.",
            Entry::of(AuditAction::ExpireInternalApproval),
        );
        return vec![];
    }
    if let Some(ending) = withdrawal(facts, facts.request.spec.cancellation.as_ref()) {
        withdrawn(facts, status, now, AuditAction::CancelBeforeNotification, ending);
        return vec![];
    }
    match outcome {
        Outcome::Wait(why) => {
            status.phase = Some(Phase::Evaluating);
            wait(status, &why);
        }
        Outcome::End(end) => {
            status.jit = end.jit;
            if let Some(snapshot) = end.snapshot {
                status.approvers = Some(snapshot.approvers);
                status.excluded_approvers = snapshot.excluded;
            }
            let rules = status.jit.as_ref().map(|jit| jit.rules.clone()).unwrap_or_default();
            let actor = if end.phase == Phase::Excluded {
                facts.request.spec.requester.username.as_str()
            } else {
                names::LOCKBOX
            };
            let message = clip(&end.why.message, 1024);
            status.phase = Some(end.phase);
            status.reason = Some(end.why.reason);
            status.message = Some(message.clone());
            status.ended_at = Some(now);
            let given = (end.phase == Phase::Excluded).then(|| facts.request.spec.justification.clone());
            let happening = Happening {
                action: end.action,
                actor: actor.into(),
                phase: end.phase,
                reason: given,
                message,
                rules,
                facts: end.facts,
            };
            history::append(&mut status.history, facts.uid(), now, happening);
        }
        Outcome::Proceed(proceed) => proceed_with(facts, status, now, *proceed),
    }
    vec![]
}

/// Leaves Evaluating: everything that later steps rely on is recorded once, here.
fn proceed_with(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment, proceed: Proceed) {
    status.duration = Some(proceed.duration);
    status.effect = Some(proceed.effect);
    status.barred = Some(proceed.barred);
    status.internal_approvals = proceed.internal_approvals;
    if proceed.customer_data {
        status.approvers = Some(proceed.snapshot.approvers);
        status.excluded_approvers = proceed.snapshot.excluded;
        status.required_approvals = Some(proceed.required);
    }
    let rules = proceed.jit.rules.clone();
    status.jit = Some(proceed.jit);
    if status.internal_approvals.is_empty() {
        ask_or_approve(facts, status, now, rules, proceed.facts);
        return;
    }
    let until = now + timeout(facts.settings, |settings| settings.internal_timeout);
    status.internal_until = Some(until);
    status.phase = Some(Phase::AwaitingInternalApproval);
    let waits = waits_for_the_provider(status);
    let message = waits.message.clone();
    wait(status, &waits);
    let happening = Happening {
        action: AuditAction::RequestInternalApproval,
        actor: facts.request.spec.requester.username.clone(),
        phase: Phase::AwaitingInternalApproval,
        reason: Some(facts.request.spec.justification.clone()),
        message,
        rules,
        facts: proceed.facts,
    };
    history::append(&mut status.history, facts.uid(), now, happening);
}

fn timeout(
    settings: Option<&LockboxSettingsSpec>,
    which: impl Fn(&LockboxSettingsSpec) -> Duration,
) -> chrono::TimeDelta {
    settings.map_or(Duration::DEFAULT_PENDING, which).delta()
}

/// Whether the customer is asked: only then is there a snapshot to ask.
fn asks_customer(status: &LockboxRequestStatus) -> bool {
    status.required_approvals.is_some()
}

/// The customer is asked; or, where no customer data is needed, the rules approve.
fn ask_or_approve(
    facts: &Facts<'_>,
    status: &mut LockboxRequestStatus,
    now: Moment,
    rules: Vec<String>,
    used: Vec<String>,
) {
    if !asks_customer(status) {
        let resources = facts.request.spec.resources.clone();
        approve(facts, status, now, status.duration, resources);
        let happening = Happening {
            action: AuditAction::AutoApproveLockboxRequest,
            actor: names::LOCKBOX.into(),
            phase: Phase::Approved,
            reason: Some(facts.request.spec.justification.clone()),
            message: format!("no customer data is needed: approved by just-in-time rule {}", rules.join(", ")),
            rules,
            facts: used,
        };
        history::append(&mut status.history, facts.uid(), now, happening);
        return;
    }
    let until = now + timeout(facts.settings, |settings| settings.pending_timeout);
    status.notified_at = Some(now);
    status.pending_until = Some(until);
    status.phase = Some(Phase::CustomerNotified);
    let waits = waits_for_the_customer(facts, status);
    wait(status, &waits);
    let approvers = approvers_in_words(status);
    let happening = Happening {
        action: AuditAction::CreateLockboxRequest,
        actor: facts.request.spec.requester.username.clone(),
        phase: Phase::CustomerNotified,
        reason: Some(facts.request.spec.justification.clone()),
        message: format!("asked until {}: {}.{}", text(until), clip(&approvers, 200), other_engineer(facts)),
        rules,
        facts: used,
    };
    history::append(&mut status.history, facts.uid(), now, happening);
}

/// What a request says that nobody can approve any more; none when somebody can.
fn waits_for_nobody(facts: &Facts<'_>) -> Option<Why> {
    let why = facts.proofs.unchecked(facts.created())?;
    let message = format!("Nobody can tell any more who approves this request: {why} Create a new request.");
    Some(Why::new("AdmissionNotEnforced", message))
}

/// What a request says while the provider's own approvers are asked.
fn waits_for_the_provider(status: &LockboxRequestStatus) -> Why {
    let rules = status.jit.as_ref().map(|jit| jit.rules.join(", ")).unwrap_or_default();
    let message = format!(
        "Just-in-time rule {rules} demands the approval of the provider's own approvers (status.internalApprovals) until {}.",
        status.internal_until.map(text).unwrap_or_default()
    );
    Why::new("WaitingForInternalApproval", message)
}

/// What a request says while the customer is asked and nobody has approved yet.
fn waits_for_the_customer(facts: &Facts<'_>, status: &LockboxRequestStatus) -> Why {
    let message = format!(
        "{} of these approvers must approve until {}: {}.{} Approve or deny with: kubectl patch lbr {} -n {} --type=merge -p '{{\"spec\":{{\"decision\":{{\"verdict\":\"Approve\",\"reason\":\"...\"}}}}}}'",
        status.required_approvals.unwrap_or(1),
        status.pending_until.map(text).unwrap_or_default(),
        clip(&approvers_in_words(status), 400),
        other_engineer(facts),
        facts.request.metadata.name.as_deref().unwrap_or_default(),
        facts.namespace(),
    );
    Why::new("WaitingForCustomer", message)
}

fn approvers_in_words(status: &LockboxRequestStatus) -> String {
    let names: Vec<_> = status.approvers.iter().flatten().map(|approver| approver.name.as_str()).collect();
    names.join(", ")
}

/// Said to everybody when somebody else asks than the ticket's engineer (M5).
fn other_engineer(facts: &Facts<'_>) -> String {
    let spec = &facts.request.spec;
    let assigned = spec.support_request.as_ref().and_then(|ticket| ticket.assigned_to.as_ref());
    match (assigned, &spec.escalation) {
        (Some(assigned), escalation) if *assigned != spec.requester.username => {
            let why = escalation.as_ref().map_or_else(
                || " no escalation is stated".to_owned(),
                |escalation| format!(" escalated to {}", clip(&escalation.team, 128)),
            );
            format!(
                " Note: the ticket is assigned to {}, but {} asks;{why}.",
                clip(assigned, 128),
                spec.requester.username
            )
        }
        _ => String::new(),
    }
}

/// Records an approval and with it the absolute end of the access.
fn approve(
    facts: &Facts<'_>,
    status: &mut LockboxRequestStatus,
    now: Moment,
    duration: Option<Duration>,
    resources: Option<Vec<lockbox_api::request::NamedObject>>,
) {
    // A duration is always recorded when Evaluating is left; without one the access ends as it begins.
    let until = now + duration.map_or_else(chrono::TimeDelta::zero, Duration::delta);
    status.duration = duration;
    status.approved_at = Some(now);
    status.access_until = Some(until);
    status.grant = Some(Grant { name: names::grant(facts.uid()), resources });
    status.phase = Some(Phase::Approved);
    status.reason = Some("Approved".into());
    status.message = Some(format!("Approved; access is being made, until {}.", text(until)));
}

fn withdrawn(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment, action: AuditAction, ending: &Ending) {
    transition(
        facts,
        status,
        now,
        Phase::Cancelled,
        "Withdrawn",
        format!("{} withdrew the request; nothing was granted.", ending.by),
        Entry { action, actor: &ending.by, given: ending.reason.clone() },
    );
}

fn passed(deadline: Option<Moment>, now: Moment) -> bool {
    // Without a recorded deadline there is no time left.
    deadline.is_none_or(|deadline| now >= deadline)
}

fn awaiting_internal_approval(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment) -> Vec<Action> {
    if let Err(off) = settings::enabled(facts.settings) {
        let entry = Entry::of(AuditAction::SkipLockboxRequest);
        transition(facts, status, now, Phase::NotTriggered, off.reason, off.message, entry);
        return vec![];
    }
    if passed(status.internal_until, now) {
        transition(
            facts,
            status,
            now,
            Phase::Expired,
            "NoInternalApproval",
            "The provider's own approvers did not decide in time; the customer was not asked. Create a new request.",
            Entry::of(AuditAction::ExpireInternalApproval),
        );
        return vec![];
    }
    if let Some(ending) = withdrawal(facts, facts.request.spec.cancellation.as_ref()) {
        withdrawn(facts, status, now, AuditAction::CancelBeforeNotification, ending);
        return vec![];
    }
    let tally = decisions::internal(facts, status);
    record(facts, status, now, tally.happenings);
    if let Some((by, reason)) = tally.denied {
        status.phase = Some(Phase::Rejected);
        status.reason = Some("DeniedInternally".into());
        let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        status.message =
            Some(clip(&format!("{by} denied the request for the provider{why}; the customer was not asked."), 1024));
        status.ended_at = Some(now);
        return vec![];
    }
    if decisions::internally_met(facts, status) {
        let rules = status.jit.as_ref().map(|jit| jit.rules.clone()).unwrap_or_default();
        ask_or_approve(facts, status, now, rules, vec![]);
    } else {
        let waits = tally.waits.or_else(|| waits_for_nobody(facts));
        wait(status, &waits.unwrap_or_else(|| waits_for_the_provider(status)));
    }
    vec![]
}

fn customer_notified(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment) -> Vec<Action> {
    if let Err(off) = settings::enabled(facts.settings) {
        let message = format!("Lockbox went off while the request waited; nothing was granted. {}", off.message);
        let entry = Entry::of(AuditAction::CancelLockboxRequest);
        transition(facts, status, now, Phase::Cancelled, "LockboxDisabled", message, entry);
        return vec![];
    }
    if passed(status.pending_until, now) {
        transition(
            facts,
            status,
            now,
            Phase::Expired,
            "NotDecidedInTime",
            "The customer's approvers did not decide in time; no access was granted. Create a new request.",
            Entry::of(AuditAction::ExpireLockboxRequest),
        );
        return vec![];
    }
    if let Some(ending) = withdrawal(facts, facts.request.spec.cancellation.as_ref()) {
        withdrawn(facts, status, now, AuditAction::CancelLockboxRequest, ending);
        return vec![];
    }
    let mut tally = decisions::customer(facts, status, now);
    let approving = AuditAction::ApproveLockboxRequest;
    let new = tally.happenings.iter().filter(|entry| entry.action == approving).map(|entry| entry.actor.as_str());
    let approved_by: Vec<String> =
        decisions::approved_by(status, approving).into_iter().chain(new).map(str::to_owned).collect();
    let approvals = count(decisions::people(approved_by.iter().map(String::as_str)));
    let required = i64::from(status.required_approvals.unwrap_or(i32::MAX));
    let approved = tally.denied.is_none() && approvals >= required;
    if let Some(last) = tally.happenings.last_mut().filter(|entry| approved && entry.action == approving) {
        // The entry that completes the quorum is the transition's entry too.
        last.phase = Phase::Approved;
    }
    record(facts, status, now, tally.happenings);
    if let Some((by, reason)) = tally.denied {
        status.phase = Some(Phase::Denied);
        status.reason = Some("DeniedByCustomer".into());
        let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        status.message = Some(clip(&format!("{by} denied the request{why}; no access was granted."), 1024));
        status.ended_at = Some(now);
        return vec![];
    }
    // What counts is what is recorded: an approval for which the history had no room is none.
    let recorded = decisions::approved_by(status, approving);
    if approved && approved_by.iter().all(|user| recorded.contains(&user.as_str())) {
        let counted: Vec<_> =
            approved_by.iter().filter_map(|user| facts.request.spec.decisions.get(user.as_str())).collect();
        let (duration, resources) = decisions::left(status, facts.request.spec.resources.as_deref(), &counted);
        approve(facts, status, now, duration, resources);
        return vec![];
    }
    let waits = tally.waits.or_else(|| waits_for_nobody(facts)).unwrap_or_else(|| match approvals {
        0 => waits_for_the_customer(facts, status),
        _ => Why::new(
            "WaitingForQuorum",
            format!(
                "{approvals} of {required} approvals are there; more approvers must approve until {}.",
                status.pending_until.map(text).unwrap_or_default()
            ),
        ),
    });
    wait(status, &waits);
    vec![]
}

/// Who ended an access early, and how; the requester's own release comes first.
enum EarlyEnd<'a> {
    Released(&'a Ending),
    Revoked(&'a Ending),
    Off(settings::Off),
}

fn early_end<'a>(facts: &'a Facts<'_>) -> Option<EarlyEnd<'a>> {
    let spec = &facts.request.spec;
    if let Some(ending) = &spec.revocation {
        return Some(EarlyEnd::Revoked(ending));
    }
    if let Some(ending) = withdrawal(facts, spec.release.as_ref()) {
        return Some(EarlyEnd::Released(ending));
    }
    settings::enabled(facts.settings).err().map(EarlyEnd::Off)
}

/// Where no admission policy filled in or compared the name, there may be none. An entry needs an actor all the same:
/// without one the API server would refuse the status, and the end could never be recorded.
fn named(by: &str) -> &str {
    if by.is_empty() { "somebody who gave no name" } else { by }
}

fn end_early(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment, end: &EarlyEnd<'_>) {
    match end {
        EarlyEnd::Released(ending) => transition(
            facts,
            status,
            now,
            Phase::Completed,
            "Released",
            format!("{} gave the access back.", ending.by),
            Entry { action: AuditAction::CompleteAccess, actor: &ending.by, given: ending.reason.clone() },
        ),
        EarlyEnd::Revoked(ending) => transition(
            facts,
            status,
            now,
            Phase::Revoked,
            "RevokedByCustomer",
            format!("{} ended the access.", named(&ending.by)),
            Entry { action: AuditAction::RevokeAccess, actor: named(&ending.by), given: ending.reason.clone() },
        ),
        EarlyEnd::Off(off) => transition(
            facts,
            status,
            now,
            Phase::Revoked,
            "LockboxDisabled",
            format!("Lockbox went off, so the access ended. {}", off.message),
            Entry::of(AuditAction::RevokeAccess),
        ),
    }
}

fn approved(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment) -> Vec<Action> {
    // A binding may be there already, of an attempt whose record was lost.
    let undo = || vec![Action::EndGrant { early: true }];
    if let Some(end) = early_end(facts) {
        end_early(facts, status, now, &end);
        return undo();
    }
    let failed = |status: &mut LockboxRequestStatus, reason: &str, message: String| {
        transition(facts, status, now, Phase::Failed, reason, message, Entry::of(AuditAction::FailAccess));
        vec![Action::EndGrant { early: true }]
    };
    if passed(status.access_until, now) {
        return failed(
            status,
            "DeadlinePassed",
            "The access could not be made before its own end (status.accessUntil); create a new request.".into(),
        );
    }
    if let GrantView::Refused(why) = facts.grant {
        return failed(status, "GrantRefused", format!("The access could not be made: {why}"));
    }
    let doubt = status.approved_at.and_then(|at| facts.proofs.doubts(at, now));
    let forgeable = if let GrantView::Forgeable(why) = facts.grant { Some(why.clone()) } else { doubt };
    if let Some(why) = forgeable {
        let message = format!("Nobody can say who approved it (spec.decisions): {why} Create a new request.");
        return failed(status, "AdmissionNotEnforced", message);
    }
    // No access is longer than it was approved for: a clock that was put back since would make it so.
    let longest = status.duration.map_or_else(chrono::TimeDelta::zero, Duration::delta);
    if status.access_until.is_some_and(|until| until - now > longest + chrono::TimeDelta::seconds(CLOCK_TOLERANCE)) {
        return failed(
            status,
            "ClockWentBack",
            "The clock was put back after the approval, so access until status.accessUntil would be longer than what was approved; create a new request.".into(),
        );
    }
    let blocked = match facts.grant {
        GrantView::Blocked(why) => Some(Why::new("WaitingForQuota", why)),
        _ => facts.proofs.before_grant(facts.request.spec.scope, facts.settings),
    };
    if let Some(why) = blocked {
        let until = status.access_until.map(text).unwrap_or_default();
        let message =
            format!("Approved; the access cannot be made yet, and is tried again until {until}: {}", why.message);
        wait(status, &Why::new(&why.reason, message));
        return vec![];
    }
    match plan(facts, status) {
        Err((reason, message)) => failed(status, reason, message),
        Ok(plan) => {
            status.phase = Some(Phase::AccessGranted);
            status.granted_at = Some(now);
            status.reason = Some("Granted".into());
            let message = format!(
                "{} has access until {}; it ends by itself, when {} gives it back (spec.release), or when an approver revokes it (spec.revocation).",
                plan.user,
                text(plan.until),
                plan.user
            );
            status.message = Some(clip(&message, 1024));
            let happening = Happening {
                action: AuditAction::GrantAccess,
                actor: names::LOCKBOX.into(),
                phase: Phase::AccessGranted,
                reason: None,
                message: format!("{} has access until {}", plan.user, text(plan.until)),
                rules: vec![],
                facts: vec![],
            };
            history::append(&mut status.history, facts.uid(), now, happening);
            vec![Action::MakeGrant(Box::new(plan))]
        }
    }
}

fn access_granted(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment) -> Vec<Action> {
    let time_is_up = passed(status.access_until, now);
    match early_end(facts) {
        // Somebody ended it, and that is recorded even if the clock came first while nobody looked. Whether Lockbox is
        // on does not matter any more once the time is up.
        Some(end) if !(time_is_up && matches!(end, EarlyEnd::Off(_))) => {
            end_early(facts, status, now, &end);
            return vec![Action::EndGrant { early: true }];
        }
        _ if time_is_up => {
            transition(
                facts,
                status,
                now,
                Phase::Completed,
                "TimeIsUp",
                "The access ended at its time.",
                Entry::of(AuditAction::CompleteAccess),
            );
            return vec![Action::EndGrant { early: false }];
        }
        _ => {}
    }
    if *facts.grant == GrantView::Absent {
        record(
            facts,
            status,
            now,
            vec![Happening {
                action: AuditAction::TamperWithGrant,
                actor: names::LOCKBOX.into(),
                phase: Phase::AccessGranted,
                reason: None,
                message: "the binding of the access is gone before its time, and Lockbox did not remove it".into(),
                rules: vec![],
                facts: vec![],
            }],
        );
        transition(
            facts,
            status,
            now,
            Phase::Revoked,
            "TamperWithGrant",
            "Somebody removed the binding of the access, so the access was ended; create a new request.",
            Entry::of(AuditAction::RevokeAccess),
        );
        return vec![Action::EndGrant { early: true }];
    }
    vec![]
}
