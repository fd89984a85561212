//! The field's words, each an enumeration that all kinds share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shows the words of an enumeration as they are stored, which is how they are declared.
macro_rules! shown_as_stored {
    ($($kind:ty),+) => {$(
        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self, f)
            }
        }
    )+};
}
pub(crate) use shown_as_stored;

shown_as_stored!(
    Origin,
    Circumstance,
    Scope,
    Verdict,
    Phase,
    RuleEffect,
    GrantForm,
    AuditAction,
    PrincipalKind,
    AssignedRole
);

/// What started a request.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The customer's support ticket.
    SupportRequest,
    /// A problem that the provider found.
    ProviderInitiated,
}

/// Whether the request is an ordinary one or an exclusion (M17).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Circumstance {
    /// An ordinary request.
    #[default]
    Standard,
    /// An emergency outside standard operating procedure.
    BreakGlass,
    /// Data may be seen by accident while the platform is repaired.
    PlatformTroubleshooting,
    /// An external legal demand for data.
    LegalDemand,
}

/// How far access reaches.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The request's own namespace.
    Subscription,
    /// The cluster.
    Tenant,
}

/// What an approver says.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Yes.
    Approve,
    /// No: one is enough to end the request.
    Deny,
}

/// Where a request stands: Evaluating, `AwaitingInternalApproval` (where a rule demands it), `CustomerNotified`,
/// Approved, `AccessGranted`; over when Completed, Revoked, Denied, Rejected, Expired, Cancelled, Failed, `NotTriggered`
/// or Excluded.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Lockbox checks settings, service, limits and JIT rules. A request without a status is in this phase.
    #[default]
    Evaluating,
    /// The provider's own approvers decide first.
    AwaitingInternalApproval,
    /// The customer's approvers decide.
    CustomerNotified,
    /// Approved; access is being set up.
    Approved,
    /// The requester has access, until status.accessUntil.
    AccessGranted,
    /// Refused by a rule, a limit, an internal approver, or for lack of approvers.
    Rejected,
    /// Lockbox does not process it: Lockbox is off, or the plan or the service rules it out.
    NotTriggered,
    /// The record of an exclusion; grants nothing.
    Excluded,
    /// The customer said no.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// Withdrawn, or Lockbox was switched off while it waited.
    Cancelled,
    /// Approved, but access could not be set up.
    Failed,
    /// Access ended on time, or was returned early.
    Completed,
    /// Access was ended early by the customer, or because something was wrong.
    Revoked,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 14] = [
        Self::Evaluating,
        Self::AwaitingInternalApproval,
        Self::CustomerNotified,
        Self::Approved,
        Self::AccessGranted,
        Self::Rejected,
        Self::NotTriggered,
        Self::Excluded,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::Failed,
        Self::Completed,
        Self::Revoked,
    ];

    /// The diagram of the lifecycle: which phases may follow. Schema, admission policy, `lifecycle` and documentation
    /// are made from this table or checked against it.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Evaluating => &[
                Self::AwaitingInternalApproval,
                Self::CustomerNotified,
                Self::Approved,
                Self::Rejected,
                Self::NotTriggered,
                Self::Excluded,
                Self::Expired,
                Self::Cancelled,
            ],
            Self::AwaitingInternalApproval => &[
                Self::CustomerNotified,
                Self::Approved,
                Self::Rejected,
                Self::Expired,
                Self::Cancelled,
                Self::NotTriggered,
            ],
            Self::CustomerNotified => &[Self::Approved, Self::Denied, Self::Expired, Self::Cancelled],
            Self::Approved => &[Self::AccessGranted, Self::Failed, Self::Completed, Self::Revoked],
            Self::AccessGranted => &[Self::Completed, Self::Revoked],
            Self::Rejected
            | Self::NotTriggered
            | Self::Excluded
            | Self::Denied
            | Self::Expired
            | Self::Cancelled
            | Self::Failed
            | Self::Completed
            | Self::Revoked => &[],
        }
    }

    /// Whether nothing changes any more.
    pub const fn is_terminal(self) -> bool {
        self.next().is_empty()
    }
}

/// What a rule does, and what all rules together came to.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleEffect {
    /// The request proceeds.
    Permit,
    /// The request ends.
    Deny,
}

/// Named: objects by name. Whole: everything of the access level's kinds in the scope.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantForm {
    /// Everything of the access level's kinds in the scope.
    Whole,
    /// The named objects alone.
    Named,
}

/// The audit actions. The service's own seven end in `LockboxRequest`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditAction {
    /// Internal approvers are asked.
    RequestInternalApproval,
    /// An internal approver said yes.
    ApproveInternally,
    /// An internal approver said no.
    DenyInternally,
    /// The customer is asked: from here a lockbox request exists.
    CreateLockboxRequest,
    /// An approver of the customer said yes.
    ApproveLockboxRequest,
    /// An approver of the customer said no.
    DenyLockboxRequest,
    /// No customer data is needed: the rules approved.
    AutoApproveLockboxRequest,
    /// Refused by a rule, a limit, or for lack of approvers.
    AutoDenyLockboxRequest,
    /// The customer's clock ran out.
    ExpireLockboxRequest,
    /// An earlier clock ran out.
    ExpireInternalApproval,
    /// Withdrawn, or Lockbox was switched off, while the customer was asked.
    CancelLockboxRequest,
    /// Withdrawn before the customer was asked.
    CancelBeforeNotification,
    /// Access began.
    GrantAccess,
    /// Access ended on time, or was returned early.
    CompleteAccess,
    /// Access was ended early.
    RevokeAccess,
    /// Access could not be set up.
    FailAccess,
    /// Lockbox does not process the request.
    SkipLockboxRequest,
    /// An exclusion was recorded.
    ExcludeLockboxRequest,
    /// A decision does not count.
    RejectDecision,
    /// Somebody touched a grant.
    TamperWithGrant,
    /// Access is past its end and could not be ended.
    EndOverdue,
    /// A message could not be delivered, and is not tried again.
    NotificationFailed,
    /// What the audit stream shows of an access that has ended.
    RecordActivity,
}

/// What a requester's identity must be: isolated or with multi-factor authentication (Any), one of them (`MultiFactor`,
/// Isolated), or Both.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// Isolated, or with multi-factor authentication: as the documents have it.
    #[default]
    Any,
    /// With multi-factor authentication.
    MultiFactor,
    /// Isolated.
    Isolated,
    /// Both.
    Both,
}

/// What a principal is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    /// One person.
    User,
    /// Everybody in a group.
    Group,
}

/// The role that a `RoleAssignment` gives.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssignedRole {
    /// Owner of the subscription: approves requests there, and assigns roles there.
    Owner,
    /// Customer Lockbox Approver for Subscription: approves requests there.
    LockboxApprover,
    /// Global Administrator of the tenant: approves tenant requests, switches Lockbox on and off.
    GlobalAdministrator,
}
