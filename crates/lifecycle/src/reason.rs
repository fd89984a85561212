//! The reasons that a request gives for standing where it stands (`status.reason`): one list, from which messages,
//! `explain` and the table in `docs/lifecycle.md` follow.

use std::fmt;

use lockbox_api::{Circumstance, Phase};

use Phase::{
    AccessGranted, Approved, AwaitingInternalApproval, Cancelled, Completed, CustomerNotified, Denied, Evaluating,
    Excluded, Expired, Failed, NotTriggered, Rejected, Revoked,
};

/// Declares every reason once: its name, the phases in which it can stand, and what to do about it.
macro_rules! reasons {
    ($($name:ident in [$($phase:ident),+] => $advice:literal;)+) => {
        /// Why a request stands where it stands, as one word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $advice] $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the phases in which it first stands.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The phases in which it can stand.
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
    SettingsUnreadable in [Evaluating, Approved] => "Run an operator that knows every word in the LockboxSettings: the message names the one it does not know. Nothing ends meanwhile.";
    SettingsInvalid in [Evaluating] => "A Global Administrator fixes the field that the message names.";
    WaitingForAdmission in [Evaluating, AwaitingInternalApproval, CustomerNotified, Approved] => "Wait a moment: Lockbox is checking that the admission policies are in force. If it stays, the message says what is in the way; the time of an approved access runs meanwhile.";
    GrantWouldBeRefused in [Evaluating] => "The message has the API server's words: somebody else's policy, quota or webhook would refuse the access in this namespace. Fix that; the request goes on by itself.";
    WaitingForInternalApproval in [AwaitingInternalApproval] => "The provider's approvers decide.";
    WaitingForCustomer in [CustomerNotified] => "The customer's approvers decide.";
    WaitingForQuorum in [CustomerNotified] => "More approvers decide.";
    Approved in [Approved] => "Wait a moment.";
    GrantBlocked in [Approved] => "The message has the API server's words: a quota, a policy or a webhook of somebody else's refuses the access. Fix that; Lockbox tries again until `status.accessUntil`, and the time of the access runs meanwhile.";
    WaitingForClock in [Approved] => "The operator's clock and the API server's differ by more than 5 s: correct them.";
    WaitingForSafetyNet in [Approved] => "The cluster's own controllers were not seen to end what a deadline Job owns: fix them, or let the settings say `grant.safetyNet: Preferred`.";
    Granted in [AccessGranted] => "Work.";
    EndOverdue in [AccessGranted] => "The access should have ended and has not: the message has the API server's words. Remove what refuses the deletion; Lockbox tries again until it succeeds.";
    NotTheProvider in [Rejected] => "Only users and groups in `spec.provider.engineers` of the settings ask.";
    RequesterLocked in [Rejected, Cancelled, Revoked] => "A Global Administrator locked the requester (`spec.locks` of the settings).";
    TooManyOpenRequests in [Rejected] => "Wait until some requests have ended, or withdraw them; `spec.limits` of the settings holds the limits.";
    OriginNotAccepted in [Rejected] => "State an origin that the settings accept.";
    OriginNotStated in [Rejected] => "Name the ticket or incident that the request comes from.";
    WrongNamespace in [Rejected] => "A request for the tenant lives in the tenant's home namespace, any other one outside of it.";
    UnknownAccessLevel in [Rejected] => "Ask for an access level of the settings.";
    AccessLevelNotAllowed in [Rejected] => "Ask for an access level that the service allows.";
    ScopeNotAllowed in [Rejected] => "Ask for a scope that the service allows.";
    ResourceNotAllowed in [Rejected] => "Ask for kinds that belong to the service.";
    UnknownHost in [Rejected] => "Link to a host in `spec.supportPortal.hosts` of the settings.";
    DurationTooLong in [Rejected] => "Ask for the limit in the message, or less.";
    AccessLevelUnusable in [Rejected, Failed] => "A Global Administrator fixes the access level or its ClusterRole.";
    NothingToGrant in [Rejected] => "Name objects that the access level covers.";
    DeniedByRule in [Rejected] => "Ask for something else; `lockbox-operator explain` shows what each rule makes of the request.";
    NoRuleMatches in [Rejected] => "`lockbox-operator explain` shows for each rule what does not match.";
    IdentityNotSufficient in [Rejected] => "Sign in as the message says.";
    TooManyInternalApprovals in [Rejected] => "A Global Administrator joins rules that demand internal approval.";
    NoEligibleApprover in [Rejected] => "The customer assigns the role first; `status.excludedApprovers` says who did not count, and why.";
    NotEnoughApprovers in [Rejected] => "The customer assigns the role to more people first.";
    ExclusionNotAllowed in [Rejected] => "Only those in `spec.exclusions.allowed` of the settings record one.";
    DeniedInternally in [Rejected] => "Talk to the provider's approver.";
    AdmissionNotEnforced in [Rejected, Cancelled, Failed] => "The admission policies were missing, so anybody could have written the request or its approvals. A cluster administrator does as the message says; then create a new request.";
    LockboxDisabled in [NotTriggered, Cancelled, Revoked] => "A Global Administrator switches Lockbox on.";
    SupportPlanTooLow in [NotTriggered, Cancelled, Revoked] => "A support plan of at least Developer is needed.";
    UnknownService in [NotTriggered] => "Ask for a service in `status.services` of the settings.";
    ServiceNotSupported in [NotTriggered] => "Do as the message says.";
    PreviewNotOptedIn in [NotTriggered] => "A Global Administrator opts into the preview (`spec.previewServices`).";
    BreakGlass in [Excluded] => "Read the record.";
    PlatformTroubleshooting in [Excluded] => "Read the record.";
    LegalDemand in [Excluded] => "Read the record.";
    DeniedByCustomer in [Denied] => "The message has the approver's reason.";
    NotEvaluatedInTime in [Expired] => "Create a new request.";
    NoInternalApproval in [Expired] => "Create a new request.";
    NotDecidedInTime in [Expired] => "Create a new request.";
    Withdrawn in [Cancelled] => "Create a new request if the access is needed after all.";
    DeadlinePassed in [Failed] => "`status.accessUntil` came before the access could be made. Create a new request.";
    ClockWentBack in [Failed] => "The operator's clock was put back after the approval, so the access would have lasted longer than approved. Create a new request.";
    GrantRefused in [Failed] => "The access cannot be made; the message says why.";
    RoleChanged in [Failed] => "The access level changed after the approvers saw it. Create a new request, which shows what it is now.";
    RoleGone in [Failed] => "The access level's ClusterRole is gone. Create a new request when it is back.";
    AccessLevelGone in [Failed] => "The settings do not have the access level any more.";
    NothingLeft in [Failed] => "The approvers cut the request down to different resources: agree, then create a new request.";
    StatusIncomplete in [Rejected, Expired, Failed, Revoked] => "The stored status lacks a field that its phase needs, which the message names. Create a new request.";
    TimeIsUp in [Completed] => "Nothing.";
    Released in [Completed] => "Nothing.";
    RevokedByCustomer in [Revoked] => "Talk to the customer.";
    AccessStopped in [Revoked] => "A Global Administrator ended all access that was granted before a moment (`spec.stop` of the settings).";
    TamperWithGrant in [Revoked] => "Somebody removed the binding: find out who.";
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
