//! Who is told what, and how: the customer's part of it. Where e-mail and webhooks go out is the installation's.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PrincipalKind, duration::Duration, principal::LONGEST_NAME, rules, time::Moment, vocabulary::shown_as_stored,
};

/// Characters in an address (RFC 5321).
const LONGEST_ADDRESS: usize = 254;
/// Messages of one request whose delivery is recorded at most.
pub const MOST_RECORDED: usize = 32;

/// Who is told what. Left out: nobody is told anything. The servers that send are set when Lockbox is installed (the
/// chart's notifications), so that nobody can send their credentials elsewhere by changing the settings.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Notifications {
    /// Where people see what waits for them: the link in messages, such as https://lockbox.contoso.example/{namespace}.
    /// {namespace} and {name} stand for the request's. Signing in happens there; no link decides anything.
    #[serde(default, rename = "portalURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 1024))]
    #[x_kube(validation = rules::https_template())]
    pub portal_url: Option<String>,
    /// Zone in which messages tell times besides UTC, such as Europe/Berlin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rules::spelled("^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", "must be a time zone as the IANA lists them, such as Europe/Berlin"))]
    pub time_zone: Option<String>,
    /// How long before their deadline approvers are reminded, such as 24h and 2h. At most 4; left out: no reminders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = rules::each_between("1m", "29d"))]
    pub reminders: Vec<Duration>,
    /// How long a message that cannot be delivered is tried again, such as 3d, from 1h to 7d; then an Event says so.
    #[serde(default = "give_up_after")]
    #[x_kube(validation = rules::between("1h", "7d"))]
    pub give_up_after: Duration,
    /// E-mail. Left out: none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Webhooks. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub webhooks: Vec<Webhook>,
    /// What nobody is told: kinds of messages, audiences, or a kind to an audience. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub mute: Vec<Mute>,
    /// Texts of your own, in place of the built-in ones. At most one a kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 14))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into()]))]
    pub templates: Vec<Template>,
}

fn give_up_after() -> Duration {
    Duration::THREE_DAYS
}

/// Who gets e-mail besides those whose user name is an address.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// Addresses of groups, and of users whose name is not their address. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub addresses: Vec<PrincipalAddress>,
    /// Who is told whatever the customer's approvers are told, such as a security operations center. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 3, max = LONGEST_ADDRESS)))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = rules::addresses())]
    pub alternate: Vec<String>,
}

/// The address of a user or a group.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct PrincipalAddress {
    /// User or Group.
    pub kind: PrincipalKind,
    /// Name of the user or group.
    #[schemars(length(min = 1, max = LONGEST_NAME))]
    pub name: String,
    /// Their e-mail address; of a group, that of its mailing list.
    #[schemars(length(min = 3, max = LONGEST_ADDRESS))]
    #[x_kube(validation = rules::address())]
    pub address: String,
}

/// A receiver of events over HTTPS. Its URL and key are files of the installation's Secret: webhook-NAME-url and
/// webhook-NAME-secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its name, such as slack.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Which messages it gets; left out: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 14))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub kinds: Vec<MessageKind>,
    /// What is sent in place of a CloudEvent: a template that writes JSON. examples/notifications has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub template: Option<String>,
}

/// What nobody is told.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = rules::forbidden("has(self.kind) || has(self.audience)", "name a kind of message, an audience, or both"))]
pub struct Mute {
    /// The kind of message; left out: every kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageKind>,
    /// To whom; left out: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<Audience>,
}

/// Texts for one kind of message. Each is a template: docs/notifications.md lists what it can show. What is left out
/// stays the built-in text.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The kind of message.
    pub kind: MessageKind,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub subject: Option<String>,
    /// The message as plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub text: Option<String>,
    /// The message as HTML; what it shows is escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6144))]
    pub html: Option<String>,
}

/// Addresses of an assignment's principal.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct AssignmentNotification {
    /// In place of the principal's own address, or of none. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 3, max = LONGEST_ADDRESS)))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = rules::addresses())]
    pub emails: Vec<String>,
    /// Besides them. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 3, max = LONGEST_ADDRESS)))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = rules::addresses())]
    pub alternate: Vec<String>,
}

/// What a message is about.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// The provider's own approvers are asked.
    InternalApprovalAsked,
    /// The customer's approvers are asked.
    ApprovalAsked,
    /// A decision is still missing, and its deadline comes near.
    Reminder,
    /// The request is approved.
    Approved,
    /// The customer said no.
    Denied,
    /// A rule, a limit or an internal approver said no, or Lockbox does not process the request.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// It was withdrawn, or ended while it waited.
    Cancelled,
    /// Access began.
    AccessBegan,
    /// Access ended on time, or was given back.
    AccessEnded,
    /// Access was ended early.
    AccessRevoked,
    /// Access could not be made.
    AccessFailed,
    /// Access should have ended, and has not.
    EndOverdue,
    /// An exclusion was recorded.
    Excluded,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::InternalApprovalAsked,
        Self::ApprovalAsked,
        Self::Reminder,
        Self::Approved,
        Self::Denied,
        Self::Rejected,
        Self::Expired,
        Self::Cancelled,
        Self::AccessBegan,
        Self::AccessEnded,
        Self::AccessRevoked,
        Self::AccessFailed,
        Self::EndOverdue,
        Self::Excluded,
    ];
}

/// To whom a message goes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// The provider's own approvers.
    InternalApprovers,
    /// The customer's approvers, as they were when they were asked.
    Approvers,
    /// Who asked.
    Requester,
    /// The alternate addresses of settings and assignments.
    Alternates,
}

/// Whether a message has arrived where it should.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// Every destination took it.
    Delivered,
    /// Some destination did not take it yet, and is tried again.
    Waiting,
    /// Some destination did not take it, and is not tried again.
    Failed,
}

shown_as_stored!(MessageKind, Audience, DeliveryState);

/// What became of one message about a request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Which message: the number of the history's entry that it tells of, or the reminder.
    #[schemars(length(min = 1, max = 40))]
    pub id: String,
    /// What it is about.
    pub kind: MessageKind,
    /// Whether it arrived.
    pub state: DeliveryState,
    /// When that was recorded.
    #[schemars(extend("maxLength" = 64))]
    pub at: Moment,
    /// Destinations that took it: a mail server for a recipient, or a webhook.
    #[schemars(range(min = 0))]
    pub delivered: i32,
    /// Destinations that it was for.
    #[schemars(range(min = 0))]
    pub destinations: i32,
    /// Why it waits or has failed: the first destinations and their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub message: Option<String>,
}
