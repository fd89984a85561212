//! What the lifecycle looks at: everything is handed in, nothing is fetched, and no clock is read.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::proofs::Proofs;
use lockbox_api::{
    LockboxRequest, LockboxRequestStatus, LockboxSettingsSpec, Moment, Phase, RoleAssignment, time::from_kubernetes,
};

/// All that a step may depend on, besides the time.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The request as it is stored.
    pub request: &'a LockboxRequest,
    /// The settings, if there are any.
    pub settings: Option<&'a LockboxSettingsSpec>,
    /// The role assignments of the request's namespace and of the tenant's home; more do no harm.
    pub assignments: &'a [&'a RoleAssignment],
    /// The access level's `ClusterRole`; read only in the phases that [`needs_role`] names.
    pub role: &'a RoleView,
    /// The grant's binding; looked at only in the phases that [`needs_grant`] names.
    pub grant: &'a GrantView,
    /// Entries of the history that are known to be published as Events: what status says, or more.
    pub published: usize,
    /// What is proven of the cluster.
    pub proofs: &'a Proofs,
    /// The tenant's home namespace.
    pub tenant_namespace: &'a str,
}

/// The access level's `ClusterRole`.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleView {
    /// Not read: the phase does not need it, or the settings name no such access level.
    Unread,
    /// It does not exist, or does not bear the label of an access level.
    Missing,
    /// Its rules.
    Rules(Vec<PolicyRule>),
}

/// The grant's binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantView {
    /// Not looked at: the phase does not need it.
    Unread,
    /// It is not there. Confirmed by a read of the API server, not of a cache.
    Absent,
    /// It is there.
    Present,
    /// It could not be made, for good: a sentence says why.
    Refused(String),
    /// It cannot be made now, and may be later: a sentence says what stands in the way.
    Blocked(String),
    /// It was about to be made, and the API server let in something forged about its request: a sentence says what.
    Forgeable(String),
}

impl Facts<'_> {
    /// The phase that the request is in; a request without a status is being evaluated.
    pub fn phase(&self) -> Phase {
        self.status().and_then(|status| status.phase).unwrap_or_default()
    }

    /// The stored status.
    pub fn status(&self) -> Option<&LockboxRequestStatus> {
        self.request.status.as_ref()
    }

    /// The request's UID; empty only for an object that was never stored.
    pub fn uid(&self) -> &str {
        self.request.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The request's namespace.
    pub fn namespace(&self) -> &str {
        self.request.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// When the request was made. Without one it was never stored: then every deadline has passed.
    pub fn created(&self) -> Moment {
        self.request.metadata.creation_timestamp.as_ref().map_or(Moment::UNIX_EPOCH, from_kubernetes)
    }
}

/// Whether a step in this phase reads the access level's role.
pub const fn needs_role(phase: Phase) -> bool {
    matches!(phase, Phase::Evaluating | Phase::Approved)
}

/// Whether a step in this phase looks at the grant's binding.
pub const fn needs_grant(phase: Phase) -> bool {
    matches!(phase, Phase::AccessGranted)
}
