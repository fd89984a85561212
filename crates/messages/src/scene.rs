//! What a message is made from.

use chrono_tz::Tz;
use lockbox_api::{
    Audience, AuditAction, LockboxRequest, LockboxRequestSpec, LockboxRequestStatus, LockboxSettingsSpec, MessageKind,
    Moment, Phase, Scope, request::Entry,
};
use lockbox_lifecycle::Message;

use crate::{
    foreign::{person, word},
    request, times,
};

/// What a message is made from: the request as it is stored, what there is to tell, and the settings.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The request, with its status.
    pub request: &'a LockboxRequest,
    /// What is told of it.
    pub message: &'a Message,
    /// The settings: zone, portal, hosts of tickets, templates.
    pub settings: &'a LockboxSettingsSpec,
}

/// Whose eyes a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The customer's approvers, and those who are told with them.
    Customer,
    /// The provider's own approvers.
    Provider,
    /// Who asked.
    Requester,
}

impl From<Audience> for Side {
    fn from(audience: Audience) -> Self {
        match audience {
            Audience::Approvers | Audience::Alternates => Self::Customer,
            Audience::InternalApprovers => Self::Provider,
            Audience::Requester => Self::Requester,
        }
    }
}

impl<'a> Scene<'a> {
    pub(crate) const fn kind(&self) -> MessageKind {
        self.message.kind
    }

    pub(crate) const fn spec(&self) -> &'a LockboxRequestSpec {
        &self.request.spec
    }

    pub(crate) const fn status(&self) -> Option<&'a LockboxRequestStatus> {
        self.request.status.as_ref()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.status().and_then(|status| status.phase).unwrap_or_default()
    }

    /// The zone of the settings, if there is such a zone.
    pub(crate) fn zone(&self) -> Option<Tz> {
        self.settings.notifications.as_ref()?.time_zone.as_deref().and_then(times::zone)
    }

    /// The entry of the history that the message tells of; a reminder tells of none.
    pub(crate) fn entry(&self) -> Option<&'a Entry> {
        let sequence: i64 = self.message.id.parse().ok()?;
        self.status()?.history.iter().find(|entry| entry.sequence == sequence)
    }

    pub(crate) fn action(&self) -> Option<AuditAction> {
        self.entry().map(|entry| entry.action)
    }

    /// Whether it is about the time before the customer is asked.
    pub(crate) fn is_internal(&self) -> bool {
        match self.kind() {
            MessageKind::InternalApprovalAsked | MessageKind::Rejected => true,
            MessageKind::Reminder => self.message.id.starts_with("internal"),
            _ => matches!(
                self.action(),
                Some(AuditAction::ExpireInternalApproval | AuditAction::CancelBeforeNotification)
            ),
        }
    }

    /// The deadline of a decision that is asked for.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let status = self.status()?;
        if self.is_internal() { status.internal_until } else { status.pending_until }
    }

    /// A moment in UTC, and in the zone.
    pub(crate) fn time(&self, moment: Moment) -> String {
        times::both(moment, self.zone())
    }

    /// The requester, at most so many characters.
    pub(crate) fn who(&self, most: usize) -> String {
        person(&self.spec().requester.username, most)
    }

    /// The access level.
    pub(crate) fn level(&self, most: usize) -> String {
        word(&self.spec().access_level, most)
    }

    /// The namespace, or the tenant.
    pub(crate) fn place(&self, most: usize) -> String {
        match self.spec().scope {
            Scope::Subscription => word(request::namespace(self.request), most),
            Scope::Tenant => "the tenant".to_owned(),
        }
    }

    /// The number of the ticket, or else of the incident.
    pub(crate) fn reference(&self, most: usize) -> Option<String> {
        let spec = self.spec();
        let ticket = spec.support_request.as_ref().map(|ticket| ticket.id.as_str());
        let number = ticket.or_else(|| spec.incident.as_ref().map(|incident| incident.id.as_str()))?;
        Some(word(number, most))
    }

    /// Whether the requester did what the entry tells.
    pub(crate) fn is_by_requester(&self) -> bool {
        self.entry().is_some_and(|entry| entry.actor == self.spec().requester.username)
    }
}
