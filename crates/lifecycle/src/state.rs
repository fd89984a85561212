//! A request's status, parsed once: each phase with its data, so that no later code has to check whether the data is
//! there.

use lockbox_api::{
    Duration, LockboxRequestStatus, Moment, Phase,
    request::{Approver, Barred, Effect, Grant, InternalApproval},
};

/// The phase of a request, with its data.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State<'a> {
    /// Settings, limits and rules are checked.
    Evaluating {
        /// The deadline for the evaluation; none if it never waited.
        until: Option<Moment>,
    },
    /// The provider's own approvers decide.
    AwaitingInternalApproval(Awaiting<'a>),
    /// The customer's approvers decide.
    CustomerNotified(Notified<'a>),
    /// Approved; access is being set up.
    Approved(Approval<'a>),
    /// The requester has access.
    AccessGranted(Approval<'a>),
    /// It has ended.
    Finished,
}

/// A request that waits for the provider's own approvers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaiting<'a> {
    /// The deadline for their decision.
    pub until: Moment,
    /// What they must approve, rule by rule.
    pub demanded: &'a [InternalApproval],
    /// How long access would last.
    pub duration: Duration,
    /// Whether the customer is asked next; otherwise the rules have approved.
    pub asks_customer: bool,
}

/// A request that waits for the customer's approvers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notified<'a> {
    /// The deadline for their decision.
    pub until: Moment,
    /// Who may decide.
    pub approvers: &'a [Approver],
    /// How many of them must approve.
    pub required: usize,
    /// The provider's people.
    pub barred: &'a Barred,
    /// How long access would last.
    pub duration: Duration,
    /// What the access allows.
    pub effect: &'a Effect,
}

/// An approval: the only thing that a grant can be made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Approval<'a> {
    /// When it was given.
    pub at: Moment,
    /// When the access ends.
    pub until: Moment,
    /// How long the access was approved for.
    pub duration: Duration,
    /// What was approved.
    pub effect: &'a Effect,
    /// The name of the grant, and what the approvers left of the requested resources.
    pub grant: &'a Grant,
}

/// A field that the phase requires and the status lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing(pub &'static str);

impl<'a> State<'a> {
    /// Parses a status; none at all is that of a request which nobody has looked at yet.
    pub fn parse(status: Option<&'a LockboxRequestStatus>) -> Result<Self, Missing> {
        let Some(status) = status else { return Ok(Self::Evaluating { until: None }) };
        Ok(match status.phase.unwrap_or_default() {
            Phase::Evaluating => Self::Evaluating { until: status.evaluate_until },
            Phase::AwaitingInternalApproval => Self::AwaitingInternalApproval(Awaiting {
                until: status.internal_until.ok_or(Missing("status.internalUntil"))?,
                demanded: &status.internal_approvals,
                duration: status.duration.ok_or(Missing("status.duration"))?,
                asks_customer: status.required_approvals.is_some(),
            }),
            Phase::CustomerNotified => Self::CustomerNotified(Notified {
                until: status.pending_until.ok_or(Missing("status.pendingUntil"))?,
                approvers: status.approvers.as_deref().ok_or(Missing("status.approvers"))?,
                required: status
                    .required_approvals
                    .and_then(|required| usize::try_from(required).ok())
                    .filter(|required| *required > 0)
                    .ok_or(Missing("status.requiredApprovals"))?,
                barred: status.barred.as_ref().ok_or(Missing("status.barred"))?,
                duration: status.duration.ok_or(Missing("status.duration"))?,
                effect: status.effect.as_ref().ok_or(Missing("status.effect"))?,
            }),
            Phase::Approved => Self::Approved(Approval::parse(status)?),
            Phase::AccessGranted => Self::AccessGranted(Approval::parse(status)?),
            Phase::Rejected
            | Phase::NotTriggered
            | Phase::Excluded
            | Phase::Denied
            | Phase::Expired
            | Phase::Cancelled
            | Phase::Failed
            | Phase::Completed
            | Phase::Revoked => Self::Finished,
        })
    }
}

impl<'a> Approval<'a> {
    fn parse(status: &'a LockboxRequestStatus) -> Result<Self, Missing> {
        Ok(Self {
            at: status.approved_at.ok_or(Missing("status.approvedAt"))?,
            until: status.access_until.ok_or(Missing("status.accessUntil"))?,
            duration: status.duration.ok_or(Missing("status.duration"))?,
            effect: status.effect.as_ref().ok_or(Missing("status.effect"))?,
            grant: status.grant.as_ref().ok_or(Missing("status.grant"))?,
        })
    }
}
