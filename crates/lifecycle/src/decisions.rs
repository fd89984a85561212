//! Which of the written decisions count.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{approvers, facts::Facts, history::Happening, proofs::Proof};
use crate::Why;
use lockbox_api::{
    AuditAction, Duration, LockboxRequestStatus, Moment, Phase, PrincipalKind, Verdict,
    principal::same_user,
    request::{Approver, Decision, InternalApproval, InternalDecision, NamedObject},
};

/// What the decisions that were not looked at before come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries for the history, those that do not count included: these first, then approvals, then denials, each in
    /// the order of user names.
    pub happenings: Vec<Happening>,
    /// Somebody who may said no: who, and the reason given.
    pub denied: Option<(String, Option<String>)>,
    /// Why an approval is not looked at yet.
    pub waits: Option<Why>,
}

impl Tally {
    /// What does not count first, then approvals, then denials: the entry that moves the request stands last.
    fn sort(&mut self) {
        self.happenings.sort_by_key(|entry| match entry.action {
            AuditAction::RejectDecision => 0,
            AuditAction::ApproveLockboxRequest | AuditAction::ApproveInternally => 1,
            _ => 2,
        });
    }
}

/// How many different people these users are: a name in another spelling is nobody else's.
pub fn people<'a>(users: impl IntoIterator<Item = &'a str>) -> usize {
    users.into_iter().map(str::to_lowercase).collect::<BTreeSet<_>>().len()
}

/// Who has approved already, by the history.
pub fn approved_by(status: &LockboxRequestStatus, action: AuditAction) -> Vec<&str> {
    status.history.iter().filter(|entry| entry.action == action).map(|entry| entry.actor.as_str()).collect()
}

/// Whether the decision of this user was looked at before: then its entry is in the history.
fn is_recorded(status: &LockboxRequestStatus, user: &str, actions: [AuditAction; 2], rejected_in: Phase) -> bool {
    status.history.iter().any(|entry| {
        entry.actor == user
            && (actions.contains(&entry.action)
                || (entry.action == AuditAction::RejectDecision && entry.phase == rejected_in))
    })
}

fn happening(action: AuditAction, user: &str, phase: Phase, reason: Option<&String>, message: String) -> Happening {
    Happening { action, actor: user.into(), phase, reason: reason.cloned(), message, rules: vec![], facts: vec![] }
}

/// Looks at the customer's decisions that are new. A decision counts only if it was made by somebody in the snapshot,
/// who still is an approver, and not by the requester or one of the provider's people.
pub fn customer(facts: &Facts<'_>, status: &LockboxRequestStatus, now: Moment) -> Tally {
    let mut tally = Tally::default();
    for (user, decision) in &facts.request.spec.decisions {
        let seen = [AuditAction::ApproveLockboxRequest, AuditAction::DenyLockboxRequest];
        if is_recorded(status, user, seen, Phase::CustomerNotified) {
            continue;
        }
        if decision.verdict == Verdict::Approve
            && let Some(why) = not_yet(facts)
        {
            tally.waits = Some(why);
            continue;
        }
        let reason = decision.reason.as_ref();
        match (counts(facts, status, user, decision, now), decision.verdict) {
            (Err(why), verdict) => tally.happenings.push(happening(
                AuditAction::RejectDecision,
                user,
                Phase::CustomerNotified,
                reason,
                format!("{verdict:?} by {user} does not count: {why}"),
            )),
            (Ok(through), Verdict::Approve) => tally.happenings.push(happening(
                AuditAction::ApproveLockboxRequest,
                user,
                Phase::CustomerNotified,
                reason,
                format!("{user} approved{through}{}", cut_in_words(decision)),
            )),
            (Ok(through), Verdict::Deny) => {
                tally.denied.get_or_insert_with(|| (user.clone(), decision.reason.clone()));
                tally.happenings.push(happening(
                    AuditAction::DenyLockboxRequest,
                    user,
                    Phase::Denied,
                    reason,
                    format!("{user} denied{through}"),
                ));
            }
        }
    }
    tally.sort();
    tally
}

fn cut_in_words(decision: &Decision) -> String {
    let mut words = String::new();
    if let Some(duration) = decision.duration {
        // Writing to a String cannot fail.
        let _ = write!(words, ", for {duration} at most");
    }
    if let Some(resources) = &decision.resources {
        let names: Vec<_> = resources.iter().map(ToString::to_string).collect();
        let _ = write!(words, ", only {}", names.join(", "));
    }
    words
}

/// Through what a decision counts, in words, or why it does not.
fn counts(
    facts: &Facts<'_>,
    status: &LockboxRequestStatus,
    user: &str,
    decision: &Decision,
    now: Moment,
) -> Result<String, String> {
    person_may_decide(facts, user, decision.verdict)?;
    if let Some(barred) = &status.barred
        && (barred.users.iter().any(|name| same_user(name, user))
            || decision.group.as_ref().is_some_and(|group| barred.groups.contains(group)))
    {
        return Err("the provider's people do not decide for the customer".into());
    }
    let approver = find(status.approvers.as_deref().unwrap_or_default(), user, decision.group.as_deref())
        .ok_or("this user is not in status.approvers, the snapshot of designated approvers")?;
    // To say no takes nothing: whoever was asked may, even if their role is gone since. It grants nobody anything.
    if decision.verdict == Verdict::Approve
        && !approvers::still_approves(approver, facts.assignments.iter().copied(), now)
    {
        return Err(format!("RoleAssignment {} is gone, or its activation has ended", approver.assignment));
    }
    if decision.verdict == Verdict::Approve {
        let hash = status.effect.as_ref().map(|effect| effect.hash.as_str());
        if decision.effect_hash.as_deref().is_some_and(|given| Some(given) != hash) {
            return Err("effectHash is not the hash in status.effect: something else was approved".into());
        }
        if let (Some(cut), Some(asked)) = (decision.duration, status.duration)
            && cut > asked
        {
            return Err(format!("its duration, {cut}, is longer than what was asked for, {asked}"));
        }
        let asked = facts.request.spec.resources.as_deref();
        if let Some(cut) = &decision.resources
            && !asked.is_some_and(|asked| cut.iter().all(|object| asked.contains(object)))
        {
            return Err("its resources are not among those that were asked for".into());
        }
    }
    Ok(match approver.kind {
        PrincipalKind::User => String::new(),
        PrincipalKind::Group => format!(" as a member of {}", approver.name),
    })
}

/// Why no approval is looked at now. To say no takes nothing, and is always heard.
fn not_yet(facts: &Facts<'_>) -> Option<Why> {
    match &facts.proofs.admission {
        Proof::Unknown(why) => {
            Some(Why::new("WaitingForAdmission", format!("An approval is not looked at yet: {why}")))
        }
        Proof::Proven | Proof::Disproven(_) => None,
    }
}

/// The requester and built-in users never decide, on neither side; and nobody approves while anybody could have written
/// it in their name.
fn person_may_decide(facts: &Facts<'_>, user: &str, verdict: Verdict) -> Result<(), String> {
    if verdict == Verdict::Approve
        && let Some(why) = facts.proofs.unchecked(facts.created())
    {
        return Err(format!("nobody checked who wrote it: {why} Create a new request"));
    }
    if same_user(user, &facts.request.spec.requester.username) {
        return Err("who asks for access does not decide about it".into());
    }
    if user.starts_with("system:") {
        return Err("service accounts and components do not decide".into());
    }
    Ok(())
}

fn find<'a>(approvers: &'a [Approver], user: &str, group: Option<&str>) -> Option<&'a Approver> {
    let named = approvers.iter().find(|approver| approver.kind == PrincipalKind::User && approver.name == user);
    named.or_else(|| {
        let group = group?;
        approvers.iter().find(|approver| approver.kind == PrincipalKind::Group && approver.name == group)
    })
}

/// What several approvers left of the request: what one cut down is cut down for all. No resources means the whole
/// scope; an empty list means that nothing is left.
pub fn left(
    status: &LockboxRequestStatus,
    asked: Option<&[NamedObject]>,
    approvals: &[&Decision],
) -> (Option<Duration>, Option<Vec<NamedObject>>) {
    let duration = approvals.iter().filter_map(|decision| decision.duration).chain(status.duration).min();
    let resources = asked.map(|asked| {
        asked
            .iter()
            .filter(|object| {
                approvals.iter().all(|decision| decision.resources.as_ref().is_none_or(|cut| cut.contains(object)))
            })
            .cloned()
            .collect()
    });
    (duration, resources)
}

/// Looks at the internal decisions that are new.
pub fn internal(facts: &Facts<'_>, status: &LockboxRequestStatus) -> Tally {
    let mut tally = Tally::default();
    let phase = Phase::AwaitingInternalApproval;
    for (user, decision) in &facts.request.spec.internal_decisions {
        if is_recorded(status, user, [AuditAction::ApproveInternally, AuditAction::DenyInternally], phase) {
            continue;
        }
        if decision.verdict == Verdict::Approve
            && let Some(why) = not_yet(facts)
        {
            tally.waits = Some(why);
            continue;
        }
        let reason = decision.reason.as_ref();
        let may = person_may_decide(facts, user, decision.verdict).and_then(|()| {
            let member = status.internal_approvals.iter().any(|demanded| may_approve(demanded, user, decision));
            if member { Ok(()) } else { Err("this user is not in status.internalApprovals".into()) }
        });
        match (may, decision.verdict) {
            (Err(why), verdict) => tally.happenings.push(happening(
                AuditAction::RejectDecision,
                user,
                phase,
                reason,
                format!("internal {verdict:?} by {user} does not count: {why}"),
            )),
            (Ok(()), Verdict::Approve) => tally.happenings.push(happening(
                AuditAction::ApproveInternally,
                user,
                phase,
                reason,
                format!("{user} approved for the provider"),
            )),
            (Ok(()), Verdict::Deny) => {
                tally.denied.get_or_insert_with(|| (user.clone(), decision.reason.clone()));
                tally.happenings.push(happening(
                    AuditAction::DenyInternally,
                    user,
                    Phase::Rejected,
                    reason,
                    format!("{user} denied for the provider"),
                ));
            }
        }
    }
    tally.sort();
    tally
}

fn may_approve(demanded: &InternalApproval, user: &str, decision: &InternalDecision) -> bool {
    demanded.approvers.iter().any(|approver| match approver.kind {
        PrincipalKind::User => approver.name == user,
        PrincipalKind::Group => decision.group.as_deref() == Some(&approver.name),
    })
}

/// Whether every internal approval is met, each by enough different people; one person may count for several.
pub fn internally_met(facts: &Facts<'_>, status: &LockboxRequestStatus) -> bool {
    let approved = approved_by(status, AuditAction::ApproveInternally);
    status.internal_approvals.iter().all(|demanded| {
        let decisions = facts.request.spec.internal_decisions.iter();
        let count = people(
            decisions
                .filter(|(user, decision)| approved.contains(&user.as_str()) && may_approve(demanded, user, decision))
                .map(|(user, _)| user.as_str()),
        );
        i32::try_from(count).unwrap_or(i32::MAX) >= demanded.count
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_that_moves_the_request_stands_last() {
        let entry = |action| happening(action, "alice@contoso.example", Phase::CustomerNotified, None, String::new());
        for (approve, deny) in [
            (AuditAction::ApproveLockboxRequest, AuditAction::DenyLockboxRequest),
            (AuditAction::ApproveInternally, AuditAction::DenyInternally),
        ] {
            let happenings = [deny, approve, AuditAction::RejectDecision].map(entry).to_vec();
            let mut tally = Tally { happenings, ..Tally::default() };
            tally.sort();
            let order: Vec<_> = tally.happenings.iter().map(|entry| entry.action).collect();
            assert_eq!(order, [AuditAction::RejectDecision, approve, deny]);
        }
    }
}
