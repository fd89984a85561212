//! RBAC for people: who may write what to the API server, from settings and assignments, so that nobody has to write a
//! `RoleBinding` by hand. What a person may then write is for the admission policies.

use std::collections::BTreeSet;

use super::{recognition, text::sha256};
use lockbox_api::{AssignedRole, LockboxSettingsSpec, Moment, Principal, RoleAssignment, assignment::AssignmentType};

/// The chart's `ClusterRoles` for people that the operator binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeopleRole {
    /// Asks for access.
    Requester,
    /// Approves for the provider.
    InternalApprover,
    /// Approves in a namespace.
    Approver,
    /// Approves in a namespace, and assigns roles there.
    Owner,
    /// May activate an assignment.
    Eligible,
    /// Administers Lockbox.
    Administrator,
    /// Reads the settings: a role in a namespace cannot hold that.
    SettingsViewer,
}

impl PeopleRole {
    /// The short name, which is the label's value too.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::InternalApprover => "internal-approver",
            Self::Approver => "approver",
            Self::Owner => "owner",
            Self::Eligible => "eligible",
            Self::Administrator => "administrator",
            Self::SettingsViewer => "settings-viewer",
        }
    }

    /// Name of the `ClusterRole`.
    pub fn cluster_role(self) -> String {
        format!("lockbox-{}", self.short())
    }
}

/// A binding that should exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeopleBinding {
    /// The namespace; none for the whole cluster.
    pub namespace: Option<String>,
    /// What is bound.
    pub role: PeopleRole,
    /// To whom.
    pub principal: Principal,
}

impl PeopleBinding {
    /// Its name, which follows from what it says: a binding that should say something else is another one.
    pub fn name(&self) -> String {
        let says = format!(
            "{}\n{}\n{:?}\n{}",
            self.namespace.as_deref().unwrap_or_default(),
            self.role.short(),
            self.principal.kind,
            self.principal.name
        );
        let digest = sha256(&says);
        format!("lockbox-people-{}", digest.get(7..39).unwrap_or_default())
    }
}

/// All bindings that should exist now.
pub fn bindings<'a>(
    settings: Option<&LockboxSettingsSpec>,
    assignments: impl IntoIterator<Item = &'a RoleAssignment>,
    now: Moment,
) -> BTreeSet<PeopleBinding> {
    let mut wanted = BTreeSet::new();
    let mut everywhere = |role, principal: &Principal| {
        wanted.insert(PeopleBinding { namespace: None, role, principal: principal.clone() });
    };
    if let Some(settings) = settings {
        let engineers = settings.provider.iter().flat_map(|provider| &provider.engineers);
        let excluding = settings.exclusions.iter().flat_map(|e| &e.allowed).flat_map(|allowed| &allowed.by);
        engineers.chain(excluding).for_each(|who| everywhere(PeopleRole::Requester, who));
        let internal = settings.jit.rules.iter().filter_map(|rule| rule.require.as_ref()?.internal_approval.as_ref());
        internal.flat_map(|demanded| &demanded.approvers).for_each(|who| everywhere(PeopleRole::InternalApprover, who));
    }
    for assignment in assignments {
        if assignment.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let spec = &assignment.spec;
        let recognized = assignment
            .status
            .as_ref()
            .is_some_and(|status| lockbox_api::condition::holds(&status.conditions, "Recognized"));
        if recognized && spec.type_ == AssignmentType::Eligible {
            wanted.insert(PeopleBinding {
                namespace: assignment.metadata.namespace.clone(),
                role: PeopleRole::Eligible,
                principal: spec.principal.clone(),
            });
        }
        if !recognition::is_active(assignment, now) {
            continue;
        }
        let (namespace, role) = match spec.role {
            AssignedRole::Owner => (assignment.metadata.namespace.clone(), PeopleRole::Owner),
            AssignedRole::LockboxApprover => (assignment.metadata.namespace.clone(), PeopleRole::Approver),
            AssignedRole::GlobalAdministrator => (None, PeopleRole::Administrator),
        };
        if namespace.is_some() {
            let (role, principal) = (PeopleRole::SettingsViewer, spec.principal.clone());
            wanted.insert(PeopleBinding { namespace: None, role, principal });
        }
        wanted.insert(PeopleBinding { namespace, role, principal: spec.principal.clone() });
    }
    wanted
}
