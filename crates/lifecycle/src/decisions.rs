//! Which of the written decisions count.

use std::{collections::BTreeSet, fmt::Write as _};

use lockbox_api::{
    AuditAction, Duration, Moment, Phase, PrincipalKind, Verdict,
    principal::same_user,
    request::{Approver, Decision, Entry, InternalApproval, InternalDecision, NamedObject},
};

use crate::{approvers, facts::Facts, history::Happening, proofs::Proof, reason::Reason, state::Notified, why::Why};

/// What the new decisions, not looked at before, come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries for the history, those that do not count included: these first, then approvals, then denials, each in
    /// the order of user names.
    pub happenings: Vec<Happening>,
    /// Who denied the request, and the reason they gave.
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

/// How many different people these users are: names that differ only in case belong to one person.
pub fn people<'a>(users: impl IntoIterator<Item = &'a str>) -> usize {
    users.into_iter().map(str::to_lowercase).collect::<BTreeSet<_>>().len()
}

/// The entries of the history so far.
fn history<'a>(facts: &'a Facts<'_>) -> &'a [Entry] {
    facts.status().map_or(&[], |status| &status.history)
}

const CUSTOMER: [AuditAction; 2] = [AuditAction::ApproveLockboxRequest, AuditAction::DenyLockboxRequest];
const INTERNAL: [AuditAction; 2] = [AuditAction::ApproveInternally, AuditAction::DenyInternally];

/// Whether the decision of this user was looked at before: then its entry is in the history.
fn is_recorded(facts: &Facts<'_>, user: &str, actions: [AuditAction; 2], rejected_in: Phase) -> bool {
    history(facts).iter().any(|entry| {
        entry.actor == user
            && (actions.contains(&entry.action)
                || (entry.action == AuditAction::RejectDecision && entry.phase == rejected_in))
    })
}

/// Whether the provider's own approvers wrote a decision that was not looked at before.
pub fn has_new_internal(facts: &Facts<'_>) -> bool {
    let phase = Phase::AwaitingInternalApproval;
    facts.request.spec.internal_decisions.keys().any(|user| !is_recorded(facts, user, INTERNAL, phase))
}

fn happening(action: AuditAction, user: &str, phase: Phase, reason: Option<&String>, message: String) -> Happening {
    Happening { action, actor: user.into(), phase, reason: reason.cloned(), message, rules: vec![], facts: vec![] }
}

/// Looks at the customer's decisions that are new. An approval counts only if it was made by somebody in the snapshot,
/// who still is an approver, and not by the requester or one of the provider's people. A Deny counts from
/// everybody whom the API server let in, but the requester, components and the provider's people.
pub(crate) fn customer(facts: &Facts<'_>, state: &Notified<'_>, now: Moment) -> Tally {
    let mut tally = Tally::default();
    for (user, decision) in &facts.request.spec.decisions {
        if is_recorded(facts, user, CUSTOMER, Phase::CustomerNotified) {
            continue;
        }
        if decision.verdict == Verdict::Approve
            && let Some(why) = not_yet(facts)
        {
            tally.waits = Some(why);
            continue;
        }
        let reason = decision.reason.as_ref();
        match (counts(facts, state, user, decision, now), decision.verdict) {
            (Err(why), verdict) => tally.happenings.push(happening(
                AuditAction::RejectDecision,
                user,
                Phase::CustomerNotified,
                reason,
                format!("{verdict} by {user} does not count: {why}"),
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

/// The approvals that stand: recorded before or new, each by somebody who still is an approver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing<'a> {
    /// Whose.
    pub users: Vec<&'a str>,
    /// What they decided.
    pub decisions: Vec<&'a Decision>,
    /// Recorded approvals that no longer stand, each with the reason.
    pub lapsed: Vec<String>,
}

impl Standing<'_> {
    /// How many different people they are.
    pub fn count(&self) -> usize {
        people(self.users.iter().copied())
    }
}

/// Which approvals stand now, those of this tally among them.
pub(crate) fn standing<'a>(facts: &'a Facts<'_>, state: &Notified<'_>, tally: &Tally, now: Moment) -> Standing<'a> {
    let mut standing = Standing::default();
    let approved = |user: &str, action, actor: &str| action == AuditAction::ApproveLockboxRequest && actor == user;
    for (user, decision) in &facts.request.spec.decisions {
        let recorded = history(facts).iter().any(|entry| approved(user, entry.action, &entry.actor));
        let new = tally.happenings.iter().any(|entry| approved(user, entry.action, &entry.actor));
        if !recorded && !new {
            continue;
        }
        if recorded && !still_approves(facts, state, user, decision, now) {
            standing.lapsed.push(format!("The approval of {user} no longer counts: they are not an approver now"));
            continue;
        }
        standing.users.push(user);
        standing.decisions.push(decision);
    }
    standing
}

fn still_approves(facts: &Facts<'_>, state: &Notified<'_>, user: &str, decision: &Decision, now: Moment) -> bool {
    find(state.approvers, user, decision.group.as_deref())
        .is_some_and(|approver| approvers::still_approves(approver, facts.assignments, facts.created(), now))
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
    state: &Notified<'_>,
    user: &str,
    decision: &Decision,
    now: Moment,
) -> Result<String, String> {
    person_may_decide(facts, user, decision.verdict)?;
    let group = decision.group.as_deref();
    if state.barred.users.iter().any(|name| same_user(name, user))
        || decision.group.as_ref().is_some_and(|group| state.barred.groups.contains(group))
    {
        return Err("the provider's people do not decide for the customer".into());
    }
    let Some(approver) = find(state.approvers, user, group) else {
        // A Deny gives nothing away. The API server lets in whoever may approve here now, and Global Administrators: it
        // knows everybody's groups, and who else administers Lockbox.
        if decision.verdict == Verdict::Deny {
            return Ok(group.map(|group| format!(" as a member of {group}")).unwrap_or_default());
        }
        return Err("this user is not in status.approvers, the snapshot of designated approvers".into());
    };
    // And whoever was asked may say it even if their role is gone since.
    if decision.verdict == Verdict::Approve {
        if !approvers::still_approves(approver, facts.assignments, facts.created(), now) {
            return Err(format!("RoleAssignment {} is gone, or its activation has ended", approver.assignment));
        }
        if decision.effect_hash.as_deref().is_some_and(|given| given != state.effect.hash) {
            return Err("effectHash is not the hash in status.effect: something else was approved".into());
        }
        if let Some(cut) = decision.duration.filter(|cut| *cut > state.duration) {
            return Err(format!("its duration, {cut}, is longer than what was asked for, {}", state.duration));
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

/// Why no approval is looked at now. A Deny gives nothing away, so it is always looked at.
fn not_yet(facts: &Facts<'_>) -> Option<Why> {
    match &facts.proofs.authentic {
        Proof::Unknown(why) => {
            Some(Why::new(Reason::WaitingForAdmission, format!("An approval is not counted yet: {why}")))
        }
        Proof::Proven | Proof::Disproven(_) => None,
    }
}

/// The requester and built-in users never decide, for either side; and no approval counts while anybody could have
/// written it in another's name.
fn person_may_decide(facts: &Facts<'_>, user: &str, verdict: Verdict) -> Result<(), String> {
    if verdict == Verdict::Approve
        && let Some(why) = facts.proofs.unchecked(facts.created())
    {
        return Err(format!("nobody checked who wrote it: {why} Create a new request"));
    }
    if same_user(user, &facts.request.spec.requester.username) {
        return Err("the requester cannot decide about their own request".into());
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

/// What several approvers left of a request: what one of them leaves out is left out for all. No resources means the
/// whole scope; an empty list means that nothing is left.
pub fn left(
    duration: Duration,
    asked: Option<&[NamedObject]>,
    approvals: &[&Decision],
) -> (Duration, Option<Vec<NamedObject>>) {
    let duration = approvals.iter().filter_map(|decision| decision.duration).fold(duration, Ord::min);
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
pub fn internal(facts: &Facts<'_>, demanded: &[InternalApproval]) -> Tally {
    let mut tally = Tally::default();
    let phase = Phase::AwaitingInternalApproval;
    for (user, decision) in &facts.request.spec.internal_decisions {
        if is_recorded(facts, user, INTERNAL, phase) {
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
            let member = demanded.iter().any(|demanded| may_approve(demanded, user, decision.group.as_deref()));
            if member { Ok(()) } else { Err("this user is not in status.internalApprovals".into()) }
        });
        match (may, decision.verdict) {
            (Err(why), verdict) => tally.happenings.push(happening(
                AuditAction::RejectDecision,
                user,
                phase,
                reason,
                format!("internal {verdict} by {user} does not count: {why}"),
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

/// Who has approved for the provider, recorded before or in this tally, each with the group that they decide for.
pub(crate) fn approved_internally<'a>(facts: &'a Facts<'_>, tally: &Tally) -> Vec<(&'a str, Option<&'a str>)> {
    let approved = |user: &str| {
        let is = |action, actor: &str| action == AuditAction::ApproveInternally && actor == user;
        history(facts).iter().any(|entry| is(entry.action, &entry.actor))
            || tally.happenings.iter().any(|entry| is(entry.action, &entry.actor))
    };
    let decisions = facts.request.spec.internal_decisions.iter();
    let of_user = |(user, decision): (&'a String, &'a InternalDecision)| (user.as_str(), decision.group.as_deref());
    decisions.map(of_user).filter(|(user, _)| approved(user)).collect()
}

fn may_approve(demanded: &InternalApproval, user: &str, group: Option<&str>) -> bool {
    demanded.approvers.iter().any(|approver| match approver.kind {
        PrincipalKind::User => approver.name == user,
        PrincipalKind::Group => group == Some(&approver.name),
    })
}

/// Whether an internal approval is met, by enough different people; one person may count for several rules.
pub(crate) fn is_met(demanded: &InternalApproval, approved: &[(&str, Option<&str>)]) -> bool {
    let by = approved.iter().filter(|(user, group)| may_approve(demanded, user, *group)).map(|(user, _)| *user);
    i32::try_from(people(by)).unwrap_or(i32::MAX) >= demanded.count
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
