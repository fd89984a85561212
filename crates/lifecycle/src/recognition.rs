//! The state of a `RoleAssignment`: whether it can count, whether it counts now, and until when (M10).

use super::{
    approvers::barred,
    text::{clip, one_line},
};
use lockbox_api::{
    AssignedRole, LockboxSettingsSpec, Moment, PrincipalKind, RoleAssignment, RoleAssignmentStatus,
    assignment::{AssignmentAction, AssignmentEntry, AssignmentScope, AssignmentType},
    condition::{Truth, clear, set},
    names::CREATED_BY,
    principal::same_user,
    time::{from_kubernetes, text, whole_seconds},
};

/// Type of the condition that says that the RBAC which an assignment calls for could not be created.
const BOUND: &str = "Bound";
/// Entries of an assignment's history at most; the schema's limit too.
const HISTORY: usize = 16;

/// The status that an assignment should have now, and when to look again.
pub fn recognise(
    assignment: &RoleAssignment,
    settings: Option<&LockboxSettingsSpec>,
    tenant_namespace: &str,
    now: Moment,
) -> (RoleAssignmentStatus, Option<Moment>) {
    let now = whole_seconds(now);
    let mut status = assignment.status.clone().unwrap_or_default();
    let generation = assignment.metadata.generation;
    let recognized = can_count(assignment, settings, tenant_namespace);
    record_activation(assignment, &mut status, now);

    let (truth, reason, message) = match recognized {
        // RBAC compares names with their case, so somebody in another spelling gets its bare "forbidden".
        Ok(()) if assignment.spec.principal.kind == PrincipalKind::User => (
            Truth::True,
            "Recognized",
            "the assignment can count, for who signs in as exactly this user: upper and lower case differ",
        ),
        Ok(()) => (Truth::True, "Recognized", "the assignment can count"),
        Err((reason, message)) => (Truth::False, reason, message),
    };
    set(&mut status.conditions, "Recognized", truth, reason, message, now, generation);

    let until = status.active_until;
    let (active, reason, message, wake) = match (recognized, assignment.spec.type_, until) {
        (Err(_), ..) => (Truth::False, "NotRecognized", message.to_owned(), None),
        (Ok(()), AssignmentType::Active, _) => {
            (Truth::True, "Active", "counts for requests made after it".into(), None)
        }
        (Ok(()), AssignmentType::Eligible, Some(until)) if now < until => (
            Truth::True,
            "Activated",
            format!("counts until {} for requests made after the activation", text(until)),
            Some(until),
        ),
        (Ok(()), AssignmentType::Eligible, Some(until)) => (
            Truth::False,
            "ActivationEnded",
            format!("the activation ended at {}; write spec.activation again", text(until)),
            None,
        ),
        (Ok(()), AssignmentType::Eligible, None) => (
            Truth::False,
            "NotActivated",
            "eligible: the principal writes spec.activation (justification, duration) to activate it".into(),
            None,
        ),
    };
    set(&mut status.conditions, "Active", active, reason, &message, now, generation);
    status.observed_generation = generation;
    (status, wake)
}

/// Shows why the RBAC that the assignment calls for could not be created, as the condition Bound; without trouble there
/// is no such condition. `trouble` is a reason and the API server's words.
pub fn show_trouble(
    status: &mut RoleAssignmentStatus,
    trouble: Option<(&str, &str)>,
    now: Moment,
    generation: Option<i64>,
) {
    match trouble {
        Some((reason, why)) => {
            let message = clip(why, 1024);
            set(&mut status.conditions, BOUND, Truth::False, reason, &message, whole_seconds(now), generation);
        }
        None => clear(&mut status.conditions, BOUND),
    }
}

/// Records what happened to the assignment since its history was written, and returns the new entries. `authentic` says
/// whether the admission policies are known to have been in force when the assignment was made: only then is its creator
/// who the annotation says.
pub fn remember(
    assignment: &RoleAssignment,
    status: &mut RoleAssignmentStatus,
    authentic: bool,
    now: Moment,
) -> Vec<AssignmentEntry> {
    let spec = &assignment.spec;
    let recorded = assignment.status.as_ref().and_then(|before| before.activation.clone());
    let had = status.history.len();
    let add = |status: &mut RoleAssignmentStatus, at, action, actor: Option<&str>, message: &str| {
        let sequence = status.history.last().map_or(1, |last| last.sequence.saturating_add(1));
        let actor = actor.map(|actor| clip(actor, 256));
        status.history.push(AssignmentEntry { sequence, at, action, actor, message: clip(message, 512) });
    };
    if had == 0 {
        let created = assignment.metadata.creation_timestamp.as_ref().map_or(now, from_kubernetes);
        let by = assignment.metadata.annotations.as_ref().and_then(|all| all.get(CREATED_BY)).map(String::as_str);
        let doubt = if by.is_some() && !authentic {
            "; the admission policies were not known to be in force then, so its creator may be another"
        } else {
            ""
        };
        let message = format!("{} {} for {}{doubt}", spec.type_, spec.role, spec.principal);
        add(status, created, AssignmentAction::CreateRoleAssignment, by, &message);
    }
    if let (true, Some(at), Some(until), Some(activation)) =
        (status.activation != recorded, status.activated_at, status.active_until, &status.activation)
    {
        // The policies let nobody but the principal write it.
        let message = format!("{} until {}: {}", spec.role, text(until), one_line(&activation.justification));
        add(status, at, AssignmentAction::ActivateRoleAssignment, Some(&spec.principal.name), &message);
    }
    if let Some(until) = status.active_until.filter(|until| now >= *until) {
        let last = status.history.last().map(|last| (last.action, last.at));
        if last != Some((AssignmentAction::EndActivation, until)) {
            add(status, until, AssignmentAction::EndActivation, None, &format!("{} ended by the clock", spec.role));
        }
    }
    let new = status.history.get(had..).unwrap_or_default().to_vec();
    // The creation stays; of activations, the latest do.
    while status.history.len() > HISTORY {
        status.history.remove(1);
    }
    new
}

/// A new activation counts from now, whatever the client's clock says; the same one is not recorded twice.
fn record_activation(assignment: &RoleAssignment, status: &mut RoleAssignmentStatus, now: Moment) {
    if assignment.spec.type_ != AssignmentType::Eligible || assignment.spec.activation == status.activation {
        return;
    }
    if let Some(activation) = &assignment.spec.activation {
        status.activated_at = Some(now);
        status.active_until = Some(now + activation.duration.delta());
        status.activation = Some(activation.clone());
    }
}

fn can_count(
    assignment: &RoleAssignment,
    settings: Option<&LockboxSettingsSpec>,
    tenant_namespace: &str,
) -> Result<(), (&'static str, &'static str)> {
    let spec = &assignment.spec;
    let at_home = assignment.metadata.namespace.as_deref() == Some(tenant_namespace);
    match spec.scope {
        AssignmentScope::ManagementGroup => {
            return Err((
                "ManagementGroup",
                "assignments scoped to a management group are not supported; assign the role in each namespace",
            ));
        }
        AssignmentScope::Tenant if !at_home => {
            return Err(("WrongNamespace", "an assignment for the tenant lives in the tenant's home namespace"));
        }
        AssignmentScope::Subscription if at_home => {
            return Err((
                "WrongNamespace",
                "the tenant's home namespace is not a subscription; assign GlobalAdministrator",
            ));
        }
        AssignmentScope::Tenant | AssignmentScope::Subscription => {}
    }
    if (spec.role == AssignedRole::GlobalAdministrator) != (spec.scope == AssignmentScope::Tenant) {
        return Err(("RoleAndScope", "GlobalAdministrator goes with scope Tenant, the other roles with Subscription"));
    }
    let is_provider = settings.is_some_and(|settings| {
        let barred = barred(settings);
        match spec.principal.kind {
            PrincipalKind::User => barred.users.iter().any(|user| same_user(user, &spec.principal.name)),
            PrincipalKind::Group => barred.groups.contains(&spec.principal.name),
        }
    });
    if is_provider {
        return Err((
            "Provider",
            "the principal belongs to the provider, and the provider's people cannot decide for the customer",
        ));
    }
    Ok(())
}

/// Whether a status says that its assignment counts now.
pub fn is_active(assignment: &RoleAssignment, now: Moment) -> bool {
    let Some(status) = &assignment.status else { return false };
    lockbox_api::condition::holds(&status.conditions, "Recognized")
        && match assignment.spec.type_ {
            AssignmentType::Active => true,
            AssignmentType::Eligible => status.active_until.is_some_and(|until| now < until),
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn eligible() -> RoleAssignment {
        serde_json::from_value(json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
            "metadata": {"name": "carol", "namespace": "shop", "uid": "uid", "creationTimestamp": text(at(0)),
                "annotations": {"lockbox.dev/created-by": "alice"}},
            "spec": {"principal": {"kind": "User", "name": "carol"}, "role": "Owner", "scope": "Subscription", "type": "Eligible"},
        }))
        .unwrap()
    }

    /// Looks at the assignment as the operator does, and stores what it makes of it.
    fn look(assignment: &mut RoleAssignment, authentic: bool, now: Moment) -> Vec<AssignmentEntry> {
        let (mut status, _) = recognise(assignment, None, "tenant", now);
        let new = remember(assignment, &mut status, authentic, now);
        assignment.status = Some(status);
        new
    }

    fn activate(assignment: &mut RoleAssignment, why: &str) {
        let activation = json!({"justification": why, "duration": "10s"});
        assignment.spec.activation = Some(serde_json::from_value(activation).unwrap());
    }

    fn words(entries: &[AssignmentEntry]) -> Vec<String> {
        let word = |entry: &AssignmentEntry| {
            let actor = entry.actor.as_deref().unwrap_or("-");
            format!("{} {} {actor}: {}", entry.sequence, entry.action, entry.message)
        };
        entries.iter().map(word).collect()
    }

    #[test]
    fn an_assignment_remembers_who_made_it_and_each_activation_once() {
        let mut assignment = eligible();
        assert_eq!(
            words(&look(&mut assignment, true, at(3))),
            ["1 CreateRoleAssignment alice: Eligible Owner for User carol"]
        );
        assert_eq!(
            assignment.status.as_ref().unwrap().history[0].at,
            at(0),
            "when it was made, and not when it was seen"
        );
        assert_eq!(words(&look(&mut assignment, true, at(4))), [""; 0]);
        activate(&mut assignment, "on call");
        assert_eq!(
            words(&look(&mut assignment, true, at(10))),
            [format!("2 ActivateRoleAssignment carol: Owner until {}: on call", text(at(20)))]
        );
        assert_eq!(words(&look(&mut assignment, true, at(19))), [""; 0]);
        assert_eq!(words(&look(&mut assignment, true, at(25))), ["3 EndActivation -: Owner ended by the clock"]);
        assert_eq!(
            assignment.status.as_ref().unwrap().history[2].at,
            at(20),
            "when it ended, and not when it was seen"
        );
        assert_eq!(words(&look(&mut assignment, true, at(26))), [""; 0]);
    }

    #[test]
    fn a_history_keeps_the_creation_and_the_latest_activations() {
        let mut assignment = eligible();
        for round in 0..20 {
            activate(&mut assignment, &format!("round {round}"));
            look(&mut assignment, true, at(round * 20));
            look(&mut assignment, true, at(round * 20 + 10));
        }
        let history = &assignment.status.as_ref().unwrap().history;
        assert_eq!(history.len(), HISTORY);
        assert_eq!(history[0].action, AssignmentAction::CreateRoleAssignment);
        assert_eq!(history.last().unwrap().sequence, 41);
        assert!(history[14].message.ends_with("round 19"), "{:?}", history[14]);
    }

    #[test]
    fn a_creator_that_nobody_checked_is_doubted_and_one_that_nobody_named_is_left_out() {
        let said = words(&look(&mut eligible(), false, at(0)));
        assert!(said[0].contains("alice") && said[0].ends_with("its creator may be another"), "{said:?}");
        let mut unnamed = eligible();
        unnamed.metadata.annotations = None;
        let said = words(&look(&mut unnamed, false, at(0)));
        assert_eq!(said, ["1 CreateRoleAssignment -: Eligible Owner for User carol"]);
    }

    #[test]
    fn trouble_with_rights_is_a_condition_until_it_is_over() {
        let mut status = RoleAssignmentStatus::default();
        show_trouble(&mut status, Some(("Refused", "exceeded quota")), at(0), Some(1));
        assert!(lockbox_api::condition::fails(&status.conditions, BOUND));
        assert_eq!(status.conditions[0].message, "exceeded quota");
        show_trouble(&mut status, None, at(1), Some(1));
        assert_eq!(status.conditions, []);
    }
}
