//! What the lifecycle looks at: everything is passed in, nothing is fetched, and no clock is read.

use k8s_openapi::api::rbac::v1::PolicyRule;
use lockbox_api::{
    Activity, LockboxRequest, LockboxRequestStatus, Moment, Phase, RoleAssignment, time::from_kubernetes,
};

use crate::{
    notifications::{Channels, Delivery},
    placement::PlacementView,
    proofs::Proofs,
    settings::SettingsView,
};

/// Everything that a step may depend on, besides the time.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The request as it is stored.
    pub request: &'a LockboxRequest,
    /// The settings.
    pub settings: SettingsView<'a>,
    /// The role assignments of the request's namespace and of the tenant's home; more do no harm. Looked at only after
    /// [`Action::Read`](crate::Action::Read).
    pub assignments: &'a [RoleAssignment],
    /// The access level's `ClusterRole`; looked at only after [`Action::Read`](crate::Action::Read), in the phases that
    /// [`needs_role`] names.
    pub role: &'a RoleView,
    /// What came of the actions that the steps before this one asked for.
    pub outcomes: &'a Outcomes,
    /// Entries of the history that are known to be published as Events: what status says, or more.
    pub published: usize,
    /// Requests that are open, this one among them.
    pub open: OpenRequests,
    /// What is proven of the cluster.
    pub proofs: &'a Proofs,
    /// Where messages can go.
    pub channels: Channels,
    /// What the outbox holds of this request's messages.
    pub deliveries: &'a [Delivery],
    /// The tenant's home namespace.
    pub tenant_namespace: &'a str,
    /// What the API server's audit stream shows of the access, as of now; none where no stream reaches the operator.
    pub activity: Option<&'a Activity>,
}

/// Requests that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenRequests {
    /// By this requester, in all namespaces.
    pub of_requester: usize,
    /// In this namespace, by everybody.
    pub in_namespace: usize,
}

/// The access level's `ClusterRole`.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleView {
    /// Not read: the phase does not need it, or the settings name no such access level.
    Unread,
    /// It does not exist, or lacks the label of an access level.
    Missing,
    /// Its rules.
    Rules(Vec<PolicyRule>),
}

/// The outcomes of the actions that steps asked for, while the operator works on a request without a pause. They are
/// forgotten when the operator turns to something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Settings, assignments and role were read past every cache.
    pub read: bool,
    /// The request itself was read past every cache, or written by us.
    pub request_read: bool,
    /// Whether a grant could be made in the request's namespace.
    pub placement: PlacementView,
    /// Whether something forged about this request is refused.
    pub forgery: Forgery,
    /// Whether the grant is there.
    pub grant: GrantView,
    /// What an attempt at making the grant came to, where it was not made.
    pub attempt: Attempt,
    /// Why the grant could not be ended; none when that was not tried or succeeded.
    pub not_ended: Option<String>,
    /// Why an action could not be carried out, over and over; none when all could.
    pub trouble: Option<String>,
}

/// Whether the API server refuses something forged about a request, just before access is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Forgery {
    /// Not tried.
    #[default]
    Untried,
    /// It was refused, as it must be.
    Refused,
    /// It was let in: a sentence says what.
    LetIn(String),
    /// It is not known: a sentence says why.
    Unknown(String),
}

/// Whether the grant's binding is in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrantView {
    /// Not looked at.
    #[default]
    Unknown,
    /// It is not there. Confirmed by a read from the API server, not from a cache.
    Absent,
    /// It is there.
    Present,
    /// We have just ended it.
    Ended {
        /// Whether there was anything to end.
        was_there: bool,
    },
}

/// Why a grant was not made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attempt {
    /// Nobody tried.
    #[default]
    None,
    /// It cannot be made, for good: a sentence says why.
    Refused(String),
    /// It cannot be made now, and may be later: a sentence says what stands in the way.
    Blocked(String),
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

    /// The request's name.
    pub fn name(&self) -> &str {
        self.request.metadata.name.as_deref().unwrap_or_default()
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

/// Whether a step in this phase, or in one that it leads to without a pause, looks at the access level's role.
pub const fn needs_role(phase: Phase) -> bool {
    !phase.is_terminal() && !matches!(phase, Phase::AccessGranted)
}
