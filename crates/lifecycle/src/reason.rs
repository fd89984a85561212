//! The reasons for a request's phase (`status.reason`): one list, from which messages, `explain` and the table in
//! `docs/lifecycle.md` follow.

use std::fmt;

use lockbox_api::{Circumstance, Phase};

use Phase::{
    AccessGranted, Approved, AwaitingInternalApproval, Cancelled, Completed, CustomerNotified, Denied, Evaluating,
    Excluded, Expired, Failed, NotTriggered, Rejected, Revoked,
};

/// Declares every reason once: its name, the phases in which it can occur, and what to do about it.
macro_rules! reasons {
    ($($name:ident in [$($phase:ident),+] => $advice:literal;)+) => {
        /// Why a request is in its phase, in one word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $advice] $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the phases in which it first occurs.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The phases in which it can occur.
            pub const fn phases(self) -> &'static [Phase] {
                match self { $(Self::$name => &[$($phase),+],)+ }
            }

            /// What to do about it, in a sentence of Markdown.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)+ }
            }

            /// As it is stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

reasons! {
    SettingsMissing in [Evaluating, NotTriggered, Cancelled, Revoked] => "A Global Administrator creates the LockboxSettings named `default`.";
    SettingsUnreadable in [Evaluating, Approved] => "Run an operator version that knows every value in the LockboxSettings; the message names the unknown one. Nothing ends meanwhile.";
    SettingsInvalid in [Evaluating] => "A Global Administrator fixes the field that the message names.";
    WaitingForAdmission in [Evaluating, AwaitingInternalApproval, CustomerNotified, Approved] => "Wait a moment: Lockbox is checking that the admission policies are in force. If this persists, the message names the obstacle; the time of an approved access keeps running.";
    GrantWouldBeRefused in [Evaluating] => "Fix the policy, quota or webhook that would refuse the access in this namespace; the message quotes the API server. The request then continues by itself.";
    WaitingForInternalApproval in [AwaitingInternalApproval] => "The provider's approvers decide.";
    WaitingForCustomer in [CustomerNotified] => "The customer's approvers decide.";
    WaitingForQuorum in [CustomerNotified] => "More approvers decide.";
    Approved in [Approved] => "Wait a moment.";
    GrantBlocked in [Approved] => "Fix the policy, quota or webhook that refuses the access; the message quotes the API server. Lockbox retries until `status.accessUntil`, and the time of the access keeps running.";
    WaitingForClock in [Approved] => "Correct the clocks: the operator's and the API server's differ by more than 5 s.";
    WaitingForSafetyNet in [Approved] => "Fix the cluster's controllers, which did not remove what a deadline Job owns, or set `grant.safetyNet: Preferred` in the settings.";
    Granted in [AccessGranted] => "Use the access.";
    EndOverdue in [AccessGranted] => "Remove what refuses the deletion: access should have ended and has not. The message quotes the API server; Lockbox keeps retrying.";
    NotTheProvider in [Rejected] => "Only users and groups in `spec.provider.engineers` of the settings may create requests.";
    RequesterLocked in [Rejected, Cancelled, Revoked] => "Ask a Global Administrator, who locked the requester (`spec.locks` of the settings).";
    TooManyOpenRequests in [Rejected] => "Wait until some requests have ended, or withdraw them; `spec.limits` of the settings sets the limits.";
    OriginNotAccepted in [Rejected] => "State an origin that the settings accept.";
    OriginNotStated in [Rejected] => "Name the support request or incident behind the request.";
    WrongNamespace in [Rejected] => "Create a request for the tenant in the tenant's home namespace, and any other request outside it.";
    UnknownAccessLevel in [Rejected] => "Ask for an access level that is in the settings.";
    AccessLevelNotAllowed in [Rejected] => "Ask for an access level that the service allows.";
    ScopeNotAllowed in [Rejected] => "Ask for a scope that the service allows.";
    ResourceNotAllowed in [Rejected] => "Ask for kinds that belong to the service.";
    UnknownHost in [Rejected] => "Link to a host in `spec.supportPortal.hosts` of the settings.";
    DurationTooLong in [Rejected] => "Ask for no more than the limit in the message.";
    AccessLevelUnusable in [Rejected, Failed] => "A Global Administrator fixes the access level or its ClusterRole.";
    NothingToGrant in [Rejected] => "Name objects that the access level covers.";
    DeniedByRule in [Rejected] => "Ask for something else; `lockbox-operator explain` shows how each rule treats the request.";
    NoRuleMatches in [Rejected] => "Run `lockbox-operator explain` to see why each rule does not match.";
    IdentityNotSufficient in [Rejected] => "Sign in as the message says.";
    TooManyInternalApprovals in [Rejected] => "A Global Administrator merges rules that require internal approval.";
    NoEligibleApprover in [Rejected] => "The customer assigns the role, then create a new request; `status.excludedApprovers` says who was excluded, and why.";
    NotEnoughApprovers in [Rejected] => "The customer assigns the role to more people, then create a new request.";
    ExclusionNotAllowed in [Rejected] => "Only users and groups in `spec.exclusions.allowed` of the settings may record an exclusion.";
    DeniedInternally in [Rejected] => "Talk to the provider's approver.";
    AdmissionNotEnforced in [Rejected, Cancelled, Failed] => "A cluster administrator does what the message says, then create a new request: the admission policies were missing, so anyone could have written the request or its approvals.";
    LockboxDisabled in [NotTriggered, Cancelled, Revoked] => "A Global Administrator switches Lockbox on.";
    SupportPlanTooLow in [NotTriggered, Cancelled, Revoked] => "A Global Administrator sets `spec.supportPlan` of the settings to Developer or higher, if the customer has such a plan.";
    UnknownService in [NotTriggered] => "Ask for a service in `status.services` of the settings.";
    ServiceNotSupported in [NotTriggered] => "Do what the message says.";
    PreviewNotOptedIn in [NotTriggered] => "A Global Administrator opts into the preview (`spec.previewServices`).";
    BreakGlass in [Excluded] => "Read the record.";
    PlatformTroubleshooting in [Excluded] => "Read the record.";
    LegalDemand in [Excluded] => "Read the record.";
    DeniedByCustomer in [Denied] => "Read the approver's reason in the message, if one was given.";
    NotEvaluatedInTime in [Expired] => "Create a new request.";
    NoInternalApproval in [Expired] => "Create a new request.";
    NotDecidedInTime in [Expired] => "Create a new request.";
    Withdrawn in [Cancelled] => "Create a new request if you still need the access.";
    DeadlinePassed in [Failed] => "Create a new request: `status.accessUntil` passed before access could be granted.";
    ClockWentBack in [Failed] => "Create a new request: the operator's clock was set back after the approval, so access would have lasted longer than approved.";
    GrantRefused in [Failed] => "Fix what the message names, then create a new request.";
    RoleChanged in [Failed] => "Create a new request, which shows the access level as it is now: it changed after the approvers saw it.";
    RoleGone in [Failed] => "Restore the access level's ClusterRole, then create a new request.";
    AccessLevelGone in [Failed] => "Ask for an access level that is in the settings: this one was removed.";
    NothingLeft in [Failed] => "The approvers agree on common resources, then create a new request: no object was left that all of them kept.";
    StatusIncomplete in [Rejected, Expired, Failed, Revoked] => "Create a new request: the stored status lacks a field that its phase needs, which the message names.";
    TimeIsUp in [Completed] => "Nothing to do.";
    Released in [Completed] => "Nothing to do.";
    RevokedByCustomer in [Revoked] => "Talk to the customer.";
    AccessStopped in [Revoked] => "Ask a Global Administrator, who ended all access that was approved before a certain time (`spec.stop` of the settings).";
    TamperWithGrant in [Revoked] => "Find out who removed the binding.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Reason {
    /// The reason of a recorded exclusion; none for an ordinary request.
    pub const fn of_exclusion(circumstance: Circumstance) -> Option<Self> {
        match circumstance {
            Circumstance::Standard => None,
            Circumstance::BreakGlass => Some(Self::BreakGlass),
            Circumstance::PlatformTroubleshooting => Some(Self::PlatformTroubleshooting),
            Circumstance::LegalDemand => Some(Self::LegalDemand),
        }
    }
}
