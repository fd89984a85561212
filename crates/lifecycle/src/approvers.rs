//! The snapshot of approvers: who may decide, who may not, and why (M9, M10, B4).

use std::collections::BTreeSet;

use lockbox_api::{
    AssignedRole, LockboxSettingsSpec, Moment, Principal, PrincipalKind, RoleAssignment, Scope,
    assignment::{AssignmentScope, AssignmentType},
    principal::same_user,
    request::{Approver, Barred, ExcludedApprover, Requester},
    settings::ApproverModel,
    time::from_kubernetes,
};

/// Approvers that a snapshot holds at most; the schema's limit too.
pub const LIMIT: usize = 64;
/// The provider's users, and its groups, that a status holds at most; the schema's limit too.
pub const BARRED_LIMIT: usize = 64;
/// Excluded approvers that are listed at most; the schema's limit too.
pub const EXCLUDED_LIMIT: usize = 32;

/// Who may decide about one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Who may.
    pub approvers: Vec<Approver>,
    /// Who may not, and why.
    pub excluded: Vec<ExcludedApprover>,
}

/// The parts of a request that the snapshot depends on.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its scope.
    pub scope: Scope,
    /// Its namespace.
    pub namespace: &'a str,
    /// When it was created: assignments created or activated later do not count.
    pub created: Moment,
    /// The requester.
    pub requester: &'a Requester,
}

/// The provider's people: engineers, internal approvers, and those who may record exclusions. All of them, even if
/// there are more than a status holds: the caller checks [`BARRED_LIMIT`] before recording them.
pub fn barred(settings: &LockboxSettingsSpec) -> Barred {
    let mut users = BTreeSet::new();
    let mut groups = BTreeSet::new();
    let engineers = settings.provider.iter().flat_map(|provider| &provider.engineers);
    let internal = settings
        .jit
        .rules
        .iter()
        .filter_map(|rule| rule.require.as_ref()?.internal_approval.as_ref())
        .flat_map(|internal| &internal.approvers);
    let excluding = settings.exclusions.iter().flat_map(|e| &e.allowed).flat_map(|allowed| &allowed.by);
    for principal in engineers.chain(internal).chain(excluding) {
        match principal.kind {
            PrincipalKind::User => users.insert(principal.name.clone()),
            PrincipalKind::Group => groups.insert(principal.name.clone()),
        };
    }
    Barred { users: users.into_iter().collect(), groups: groups.into_iter().collect() }
}

/// Takes the snapshot for a request. Deterministic: the oldest assignments come first.
pub fn snapshot<'a>(
    assignments: impl IntoIterator<Item = &'a RoleAssignment>,
    settings: &LockboxSettingsSpec,
    subject: &Subject<'_>,
    tenant_namespace: &str,
) -> Snapshot {
    let barred = barred(settings);
    let mut relevant: Vec<_> = assignments
        .into_iter()
        .filter(|assignment| concerns(assignment, settings.approvals.model, subject, tenant_namespace))
        .collect();
    relevant.sort_by_key(|assignment| {
        (created(assignment), assignment.metadata.namespace.clone(), assignment.metadata.name.clone())
    });
    let mut out = Snapshot::default();
    for assignment in relevant {
        let principal = &assignment.spec.principal;
        match judge(assignment, settings.approvals.model, subject, &barred, &out.approvers) {
            Ok(active_until) if out.approvers.len() < LIMIT => out.approvers.push(Approver {
                kind: principal.kind,
                name: principal.name.clone(),
                role: assignment.spec.role,
                assignment: format!(
                    "{}/{}",
                    assignment.metadata.namespace.as_deref().unwrap_or_default(),
                    assignment.metadata.name.as_deref().unwrap_or_default()
                ),
                uid: assignment.metadata.uid.clone().unwrap_or_default(),
                active_until,
            }),
            Ok(_) => {
                exclude(
                    &mut out.excluded,
                    principal,
                    "TooMany",
                    &format!("only the {LIMIT} oldest RoleAssignments count"),
                );
            }
            Err((reason, message)) => exclude(&mut out.excluded, principal, reason, &message),
        }
    }
    out
}

fn exclude(excluded: &mut Vec<ExcludedApprover>, principal: &Principal, reason: &str, message: &str) {
    if excluded.len() < EXCLUDED_LIMIT {
        excluded.push(ExcludedApprover {
            kind: principal.kind,
            name: principal.name.clone(),
            reason: reason.into(),
            message: crate::text::clip(message, 320),
        });
    }
}

/// Whether the tenant's assignments, which are those of Global Administrators, are asked for a request of this scope in a
/// namespace of its own.
pub fn asks_the_tenant(model: ApproverModel, scope: Scope) -> bool {
    scope == Scope::Tenant || model == ApproverModel::OwnerOrGlobalAdministrator
}

/// Whether somebody was asked as a Global Administrator: whether they still are one, the tenant's assignments say, whichever
/// model is in force by now.
pub fn has_administrators(asked: &[Approver]) -> bool {
    asked.iter().any(|approver| approver.role == AssignedRole::GlobalAdministrator)
}

/// Whether an assignment is about this request at all, so that leaving it out needs a reason.
fn concerns(assignment: &RoleAssignment, model: ApproverModel, subject: &Subject<'_>, tenant_namespace: &str) -> bool {
    let here = assignment.metadata.namespace.as_deref();
    let global = assignment.spec.role == AssignedRole::GlobalAdministrator && here == Some(tenant_namespace);
    match subject.scope {
        Scope::Tenant => global,
        Scope::Subscription => {
            (global && asks_the_tenant(model, subject.scope))
                || (assignment.spec.role != AssignedRole::GlobalAdministrator && here == Some(subject.namespace))
        }
    }
}

/// The end of the activation where there is one, or why the assignment does not count.
fn judge(
    assignment: &RoleAssignment,
    model: ApproverModel,
    subject: &Subject<'_>,
    barred: &Barred,
    taken: &[Approver],
) -> Result<Option<Moment>, (&'static str, String)> {
    let spec = &assignment.spec;
    let principal = &spec.principal;
    if spec.scope == AssignmentScope::ManagementGroup {
        return Err((
            "ManagementGroup",
            "the RoleAssignment is scoped to a management group, which is not supported: assign the role in this namespace".into(),
        ));
    }
    if spec.role == AssignedRole::LockboxApprover && model != ApproverModel::ByScope {
        return Err((
            "RoleDoesNotCount",
            format!(
                "under spec.approvals.model {model} of the LockboxSettings the role LockboxApprover does not count"
            ),
        ));
    }
    let bars = match principal.kind {
        PrincipalKind::User => barred.users.iter().any(|user| same_user(user, &principal.name)),
        PrincipalKind::Group => barred.groups.contains(&principal.name),
    };
    if bars {
        return Err((
            "Provider",
            "belongs to the provider (the LockboxSettings say so), and the provider's people cannot decide for the customer".into(),
        ));
    }
    if principal.kind == PrincipalKind::User && same_user(&principal.name, &subject.requester.username) {
        return Err(("IsRequester", "asked for this access (spec.requester), so cannot decide about it".into()));
    }
    if created(assignment) > subject.created {
        return Err((
            "AddedLater",
            "the RoleAssignment was made after the request; only those that were in place count".into(),
        ));
    }
    let active_until = match spec.type_ {
        AssignmentType::Active => None,
        AssignmentType::Eligible => {
            let status = assignment.status.as_ref();
            match status.and_then(|status| Some((status.activated_at?, status.active_until?))) {
                Some((at, _)) if at > subject.created => {
                    return Err((
                        "ActivatedLater",
                        "the RoleAssignment was activated after the request was made; activate it beforehand".into(),
                    ));
                }
                Some((_, until)) if until > subject.created => Some(until),
                _ => {
                    return Err((
                        "NotActive",
                        "the RoleAssignment is eligible and was not active when the request was made; activate it beforehand"
                            .into(),
                    ));
                }
            }
        }
    };
    if taken.iter().any(|approver| approver.kind == principal.kind && approver.name == principal.name) {
        return Err(("Duplicate", "an older RoleAssignment already makes this principal an approver".into()));
    }
    Ok(active_until)
}

/// Whether an approver of the snapshot still is one: there is an assignment of the same role to the same principal that
/// was in place when the request was created, and its activation has not ended. It need not be the one in the snapshot:
/// of several, any that still exists will do.
pub fn still_approves(approver: &Approver, assignments: &[RoleAssignment], made: Moment, now: Moment) -> bool {
    let namespace = approver.assignment.split_once('/').map(|(namespace, _)| namespace);
    assignments.iter().any(|assignment| {
        let spec = &assignment.spec;
        (spec.principal.kind, &spec.principal.name, spec.role) == (approver.kind, &approver.name, approver.role)
            && assignment.metadata.namespace.as_deref() == namespace
            && assignment.metadata.deletion_timestamp.is_none()
            && created(assignment) <= made
            && match spec.type_ {
                AssignmentType::Active => true,
                AssignmentType::Eligible => {
                    let status = assignment.status.as_ref();
                    let active = status.and_then(|status| Some((status.activated_at?, status.active_until?)));
                    // The activation that counted then; a later one does not count for this request.
                    active.is_some_and(|(from, until)| from <= made && now < until)
                        && approver.active_until.is_none_or(|until| now < until)
                }
            }
    })
}

/// Whether a snapshot can reach a quorum: a group counts as if it had enough members.
pub fn can_reach(approvers: &[Approver], required: i32) -> bool {
    let users = approvers.iter().filter(|approver| approver.kind == PrincipalKind::User).count();
    approvers.iter().any(|approver| approver.kind == PrincipalKind::Group)
        || i32::try_from(users).unwrap_or(i32::MAX) >= required
}

fn created(assignment: &RoleAssignment) -> Moment {
    // Without one it was never stored, and cannot count.
    assignment.metadata.creation_timestamp.as_ref().map_or(Moment::MAX_UTC, from_kubernetes)
}
