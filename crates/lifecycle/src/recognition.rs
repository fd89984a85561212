//! What becomes of a `RoleAssignment`: whether it can count, whether it counts now, and until when (M10).

use super::approvers::barred;
use lockbox_api::{
    AssignedRole, LockboxSettingsSpec, Moment, PrincipalKind, RoleAssignment, RoleAssignmentStatus,
    assignment::{AssignmentScope, AssignmentType},
    condition::{Truth, set},
    principal::same_user,
    time::{text, whole_seconds},
};

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
                "the tenant's home namespace is no subscription; assign GlobalAdministrator",
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
        return Err(("Provider", "the principal belongs to the provider, who never decides for the customer"));
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
