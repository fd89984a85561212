//! Who is told what about a request, and when.
//!
//! Nothing is queued in the cluster: which messages there are follows from the history and the clock, and what became of
//! each is in `status.notifications`. A message that is not settled there is due, after a crash as before it; so each is
//! sent at least once. Its [`id`](Message::id) is the same at every attempt: receivers drop repeats by it.

use std::collections::BTreeSet;

use lockbox_api::{
    Audience, AuditAction, DeliveryState, Duration, LockboxRequest, LockboxRequestStatus, LockboxSettingsSpec,
    MessageKind, Moment, Phase, PrincipalKind, RoleAssignment, names,
    notifications::{MOST_RECORDED, Notification, Notifications},
    principal::same_user,
    request::Entry,
};

use crate::{
    facts::Facts,
    history::{self, Happening},
    settings::SettingsView,
    text::{clip, clip_bytes, one_line},
};

/// Recipients of one message at most: a bound against settings that are out of hand.
pub const MOST_RECIPIENTS: usize = 512;
/// A message that waits longer than this is recorded as waiting.
const SAID_AFTER: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// Something to tell about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same for every attempt: the number of the history's entry, four digits, or `reminder-24h`. With the request's
    /// UID it is unique.
    pub id: String,
    /// What it is about.
    pub kind: MessageKind,
    /// When that happened.
    pub at: Moment,
    /// Until when it is tried.
    pub until: Moment,
    /// To whom it goes. Who is in several is told once, as one of the first.
    pub audiences: Vec<Audience>,
}

/// Who gets a message by e-mail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// As what they are told.
    pub audience: Audience,
}

/// Where messages can go: what the installation offers and the settings use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// There is a mail server.
    pub mail: bool,
    /// There may be webhooks.
    pub webhooks: bool,
}

/// What the outbox knows of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id.
    pub id: String,
    /// Its kind.
    pub kind: MessageKind,
    /// When it was taken into the outbox.
    pub since: Moment,
    /// Destinations that took it.
    pub delivered: usize,
    /// Destinations that refused it for good.
    pub failed: usize,
    /// Destinations that it is for.
    pub destinations: usize,
    /// The first that did not take it, and its words.
    pub trouble: Option<String>,
}

impl Delivery {
    /// Whether nothing is left to try.
    pub const fn is_settled(&self) -> bool {
        self.delivered + self.failed >= self.destinations
    }

    const fn state(&self) -> DeliveryState {
        if !self.is_settled() {
            DeliveryState::Waiting
        } else if self.failed > 0 {
            DeliveryState::Failed
        } else {
            DeliveryState::Delivered
        }
    }
}

/// What an entry of the history tells, and to whom.
fn told(entry: &Entry) -> Option<(MessageKind, &'static [Audience])> {
    use Audience::{Alternates, Approvers, InternalApprovers, Requester};
    const CUSTOMER: &[Audience] = &[Approvers, Alternates];
    const BOTH: &[Audience] = &[Requester, Approvers, Alternates];
    const PROVIDER: &[Audience] = &[Requester, InternalApprovers];
    Some(match entry.action {
        AuditAction::RequestInternalApproval => (MessageKind::InternalApprovalAsked, &[InternalApprovers]),
        AuditAction::CreateLockboxRequest => (MessageKind::ApprovalAsked, CUSTOMER),
        // Of a quorum, the last alone.
        AuditAction::ApproveLockboxRequest if entry.phase == Phase::Approved => (MessageKind::Approved, BOTH),
        AuditAction::AutoApproveLockboxRequest => (MessageKind::Approved, &[Requester, Alternates]),
        AuditAction::DenyLockboxRequest => (MessageKind::Denied, BOTH),
        AuditAction::DenyInternally => (MessageKind::Rejected, PROVIDER),
        AuditAction::AutoDenyLockboxRequest | AuditAction::SkipLockboxRequest => (MessageKind::Rejected, &[Requester]),
        AuditAction::ExpireLockboxRequest => (MessageKind::Expired, BOTH),
        AuditAction::ExpireInternalApproval => (MessageKind::Expired, PROVIDER),
        AuditAction::CancelLockboxRequest => (MessageKind::Cancelled, BOTH),
        AuditAction::CancelBeforeNotification => (MessageKind::Cancelled, PROVIDER),
        AuditAction::GrantAccess => (MessageKind::AccessBegan, BOTH),
        AuditAction::CompleteAccess => (MessageKind::AccessEnded, BOTH),
        AuditAction::RevokeAccess => (MessageKind::AccessRevoked, BOTH),
        AuditAction::FailAccess => (MessageKind::AccessFailed, BOTH),
        AuditAction::EndOverdue => (MessageKind::EndOverdue, BOTH),
        AuditAction::ExcludeLockboxRequest => (MessageKind::Excluded, CUSTOMER),
        AuditAction::ApproveLockboxRequest
        | AuditAction::ApproveInternally
        | AuditAction::RejectDecision
        | AuditAction::TamperWithGrant
        | AuditAction::NotificationFailed
        | AuditAction::RecordActivity => return None,
    })
}

/// Whether it is still true, and still of use: nobody is asked or reminded of what is decided.
fn holds(kind: MessageKind, phase: Phase) -> bool {
    match kind {
        MessageKind::InternalApprovalAsked => phase == Phase::AwaitingInternalApproval,
        MessageKind::ApprovalAsked => phase == Phase::CustomerNotified,
        MessageKind::EndOverdue => !phase.is_terminal(),
        _ => true,
    }
}

/// What there is to tell about a request now, the oldest first: what is settled already is left out.
pub fn due(request: &LockboxRequest, settings: &LockboxSettingsSpec, now: Moment) -> Vec<Message> {
    let (Some(rules), Some(status)) = (&settings.notifications, &request.status) else { return vec![] };
    let phase = status.phase.unwrap_or_default();
    let settled =
        |id: &str| status.notifications.iter().any(|told| told.id == id && told.state != DeliveryState::Waiting);
    let of_entries = status.history.iter().filter_map(|entry| {
        let (kind, audiences) = told(entry)?;
        holds(kind, phase).then(|| (format!("{:04}", entry.sequence), kind, entry.at, audiences))
    });
    let reminder = latest_reminder(status, rules, now).map(|(id, at)| {
        let audiences: &'static [Audience] = match phase {
            Phase::AwaitingInternalApproval => &[Audience::InternalApprovers],
            _ => &[Audience::Approvers, Audience::Alternates],
        };
        (id, MessageKind::Reminder, at, audiences)
    });
    of_entries
        .chain(reminder)
        .filter_map(|(id, kind, at, audiences)| {
            let audiences: Vec<_> =
                audiences.iter().copied().filter(|audience| !is_off(rules, kind, *audience)).collect();
            let until = at + rules.give_up_after.delta();
            // What became due and was never tried, because nobody could be told then, is not told much later either.
            (!audiences.is_empty() && !settled(&id) && now < until + LAST_WORD).then_some(Message {
                id,
                kind,
                at,
                until,
                audiences,
            })
        })
        .collect()
}

/// How long after giving up it is still looked at, so that giving up is recorded.
const LAST_WORD: chrono::TimeDelta = chrono::TimeDelta::hours(24);

fn is_off(rules: &Notifications, kind: MessageKind, audience: Audience) -> bool {
    rules
        .mute
        .iter()
        .any(|mute| mute.kind.is_none_or(|muted| muted == kind) && mute.audience.is_none_or(|muted| muted == audience))
}

/// Deadline of a phase in which somebody has to decide, and when they were asked.
fn window(status: &LockboxRequestStatus) -> Option<(Moment, Moment, &'static str)> {
    match status.phase.unwrap_or_default() {
        Phase::CustomerNotified => Some((status.notified_at?, status.pending_until?, "reminder")),
        Phase::AwaitingInternalApproval => {
            let asked = status.history.iter().find(|entry| entry.action == AuditAction::RequestInternalApproval)?;
            Some((asked.at, status.internal_until?, "internal-reminder"))
        }
        _ => None,
    }
}

/// The reminders of the present phase: moment and id. One that would come with the question itself is none.
fn reminders<'a>(
    status: &LockboxRequestStatus,
    rules: &'a Notifications,
) -> impl Iterator<Item = (Moment, String)> + use<'a> {
    let window = window(status);
    rules.reminders.iter().filter_map(move |before: &Duration| {
        let (asked, deadline, name) = window?;
        let at = deadline - before.delta();
        (at > asked).then(|| (at, format!("{name}-{before}")))
    })
}

/// Of the reminders whose time has come, the latest: who missed several is reminded once.
fn latest_reminder(status: &LockboxRequestStatus, rules: &Notifications, now: Moment) -> Option<(String, Moment)> {
    let (_, deadline, _) = window(status)?;
    let (at, id) = reminders(status, rules).filter(|(at, _)| *at <= now && now < deadline).max()?;
    Some((id, at))
}

/// When the next reminder comes.
fn next_reminder(facts: &Facts<'_>, now: Moment) -> Option<Moment> {
    if facts.channels == Channels::default() {
        return None;
    }
    let (rules, status) = (facts.settings.known()?.notifications.as_ref()?, facts.status()?);
    reminders(status, rules).map(|(at, _)| at).filter(|at| *at > now).min()
}

/// Who gets a message by e-mail, each address once: by the first audience that it is in. An approver's address is what
/// their assignment says, or what the settings say, or their user name, if that is an address.
pub fn recipients(
    message: &Message,
    request: &LockboxRequest,
    settings: &LockboxSettingsSpec,
    assignments: &[RoleAssignment],
) -> Vec<Recipient> {
    let Some(email) = settings.notifications.as_ref().and_then(|rules| rules.email.as_ref()) else { return vec![] };
    let status = request.status.as_ref();
    let approvers = || status.and_then(|status| status.approvers.as_deref()).unwrap_or_default();
    let address_of = |kind: PrincipalKind, name: &str| {
        let known = email.addresses.iter().find(|known| {
            known.kind == kind
                && match kind {
                    PrincipalKind::User => same_user(&known.name, name),
                    PrincipalKind::Group => known.name == name,
                }
        });
        match known {
            Some(known) => Some(known.address.clone()),
            None => (kind == PrincipalKind::User && is_address(name)).then(|| name.to_owned()),
        }
    };
    let assignment_of = |uid: &str| {
        let of = assignments.iter().find(|assignment| assignment.metadata.uid.as_deref() == Some(uid));
        of.and_then(|assignment| assignment.spec.notification.as_ref())
    };
    let mut told = vec![];
    for audience in &message.audiences {
        let addresses: Vec<String> = match audience {
            Audience::Requester => {
                address_of(PrincipalKind::User, &request.spec.requester.username).into_iter().collect()
            }
            Audience::InternalApprovers => status
                .map_or(&[][..], |status| &status.internal_approvals)
                .iter()
                .flat_map(|demanded| &demanded.approvers)
                .filter_map(|approver| address_of(approver.kind, &approver.name))
                .collect(),
            Audience::Approvers => approvers()
                .iter()
                .flat_map(|approver| match assignment_of(&approver.uid) {
                    Some(own) if !own.emails.is_empty() => own.emails.clone(),
                    _ => address_of(approver.kind, &approver.name).into_iter().collect(),
                })
                .collect(),
            Audience::Alternates => approvers()
                .iter()
                .filter_map(|approver| assignment_of(&approver.uid))
                .flat_map(|own| own.alternate.iter().cloned())
                .chain(email.alternate.iter().cloned())
                .collect(),
        };
        told.extend(addresses.into_iter().map(|address| Recipient { address, audience: *audience }));
    }
    let mut seen = BTreeSet::new();
    told.retain(|recipient| seen.insert(recipient.address.to_ascii_lowercase()));
    told.truncate(MOST_RECIPIENTS);
    told
}

/// Names of the webhooks that get a message. They hear of everything that anybody is told.
pub fn webhooks<'a>(message: &Message, settings: &'a LockboxSettingsSpec) -> impl Iterator<Item = &'a str> {
    let kind = message.kind;
    let rules = settings.notifications.as_ref();
    rules
        .into_iter()
        .flat_map(|rules| &rules.webhooks)
        .filter(move |webhook| webhook.kinds.is_empty() || webhook.kinds.contains(&kind))
        .map(|webhook| webhook.name.as_str())
}

/// Whether a user name is an e-mail address: one `@`, a domain with a dot, and nothing that an address list or a header
/// would take for something else.
pub fn is_address(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "@,;:<>()[]\\\"".contains(c);
    name.len() <= 254
        && name.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !local.contains(forbidden)
                && !domain.contains(forbidden)
                && domain.contains('.')
                && !domain.starts_with('.')
                && !domain.ends_with('.')
        })
}

/// The messages to hand over to the outbox; none when it holds just these, or nobody can be told.
pub(crate) fn to_tell(facts: &Facts<'_>, now: Moment) -> Option<Vec<Message>> {
    let due = due_now(facts, now)?;
    let held: BTreeSet<_> = facts.deliveries.iter().map(|delivery| delivery.id.as_str()).collect();
    let wanted: BTreeSet<_> = due.iter().map(|message| message.id.as_str()).collect();
    (held != wanted).then_some(due)
}

/// What there is to tell; none when nobody can be told, or nobody knows: what cannot be read ends nothing, and what was
/// handed over stays.
fn due_now(facts: &Facts<'_>, now: Moment) -> Option<Vec<Message>> {
    if facts.channels == Channels::default() {
        return None;
    }
    match facts.settings {
        SettingsView::Known(settings) => Some(due(facts.request, settings, now)),
        SettingsView::Missing => Some(vec![]),
        SettingsView::Unreadable(_) => None,
    }
}

/// Whether nothing is left to tell: then a request that has ended can be closed. With settings that cannot be read,
/// nobody knows.
pub(crate) fn all_is_told(facts: &Facts<'_>) -> bool {
    let known = facts.channels == Channels::default() || !matches!(facts.settings, SettingsView::Unreadable(_));
    known && facts.deliveries.iter().all(Delivery::is_settled)
}

/// What a status records of its messages from now on; returns whether anything. It waits until each is settled or has
/// waited for a while, so that messages of one moment are one write.
pub(crate) fn record(facts: &Facts<'_>, status: &mut LockboxRequestStatus, now: Moment) -> bool {
    let Some(due) = due_now(facts, now) else { return false };
    let mut changed = record_lapsed(facts, &due, status, now);
    if facts.deliveries.iter().any(|delivery| is_young(delivery, now)) {
        return changed;
    }
    for delivery in facts.deliveries.iter().filter(|delivery| delivery.destinations > 0) {
        let Some(message) = due.iter().find(|message| message.id == delivery.id) else { continue };
        // What was tried for long enough is given up by the clock, whether or not its turn comes once more.
        let over = now >= message.until && !delivery.is_settled() && now >= delivery.since + SAID_AFTER;
        let state = if over { DeliveryState::Failed } else { delivery.state() };
        changed |= set(facts, status, delivery, state, delivery.trouble.as_deref(), now);
    }
    let surplus = status.notifications.len().saturating_sub(MOST_RECORDED);
    status.notifications.drain(..surplus);
    changed
}

/// What stopped being true before it arrived is not sent any more. Where it was said to wait, or was in trouble, it has
/// failed, and the request says so.
fn record_lapsed(facts: &Facts<'_>, due: &[Message], status: &mut LockboxRequestStatus, now: Moment) -> bool {
    let lapsed = |id: &str| due.iter().all(|message| message.id != id);
    let words = "it stopped being true before it arrived";
    let mut changed = false;
    for delivery in facts.deliveries.iter().filter(|delivery| lapsed(&delivery.id) && !delivery.is_settled()) {
        if delivery.trouble.is_some() && delivery.destinations > 0 {
            changed |= set(facts, status, delivery, DeliveryState::Failed, Some(words), now);
        }
    }
    let waiting: Vec<_> = status
        .notifications
        .iter()
        .filter(|told| told.state == DeliveryState::Waiting && lapsed(&told.id))
        .map(|told| Delivery {
            id: told.id.clone(),
            kind: told.kind,
            since: told.at,
            delivered: usize::try_from(told.delivered).unwrap_or_default(),
            failed: 0,
            destinations: usize::try_from(told.destinations).unwrap_or_default(),
            trouble: None,
        })
        .collect();
    for delivery in &waiting {
        changed |= set(facts, status, delivery, DeliveryState::Failed, Some(words), now);
    }
    changed
}

/// Records the state of a message, once; giving up is an entry of the history. Returns whether it is new.
fn set(
    facts: &Facts<'_>,
    status: &mut LockboxRequestStatus,
    delivery: &Delivery,
    state: DeliveryState,
    words: Option<&str>,
    now: Moment,
) -> bool {
    let before = status.notifications.iter().position(|told| told.id == delivery.id);
    if before.and_then(|at| status.notifications.get(at)).is_some_and(|told| told.state == state) {
        return false;
    }
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let told = Notification {
        id: clip(&delivery.id, 40),
        kind: delivery.kind,
        state,
        at: now,
        delivered: count(delivery.delivered),
        destinations: count(delivery.destinations),
        message: words.map(|words| clip_bytes(&one_line(words), 256)),
    };
    if state == DeliveryState::Failed {
        give_up(facts.uid(), status, &told, now);
    }
    match before.and_then(|at| status.notifications.get_mut(at)) {
        Some(old) => *old = told,
        None => status.notifications.push(told),
    }
    true
}

/// Not settled, and not said yet.
fn is_young(delivery: &Delivery, now: Moment) -> bool {
    !delivery.is_settled() && now < delivery.since + SAID_AFTER
}

/// When to look again for the sake of messages: at the next reminder, when one has waited for long enough to say so, and when
/// it is given up.
pub(crate) fn wake(facts: &Facts<'_>, now: Moment) -> Option<Moment> {
    let open: Vec<_> = facts.deliveries.iter().filter(|delivery| !delivery.is_settled()).collect();
    let said = open.iter().map(|delivery| delivery.since + SAID_AFTER);
    // At rest nothing is open: then what is due need not be looked for.
    let due = if open.is_empty() { vec![] } else { due_now(facts, now).unwrap_or_default() };
    let given_up = due.iter().filter(|message| open.iter().any(|delivery| delivery.id == message.id));
    let given_up = given_up.map(|message| message.until);
    said.chain(given_up).filter(|at| *at > now).chain(next_reminder(facts, now)).min()
}

fn give_up(uid: &str, status: &mut LockboxRequestStatus, told: &Notification, now: Moment) {
    let words = told.message.as_deref().unwrap_or("no destination took it");
    let message = format!(
        "the message {} was delivered to {} of {} destinations, and is not tried again: {words}",
        told.kind, told.delivered, told.destinations
    );
    let happening = Happening {
        action: AuditAction::NotificationFailed,
        actor: names::LOCKBOX.into(),
        phase: status.phase.unwrap_or_default(),
        reason: None,
        message,
        rules: vec![],
        facts: vec![],
    };
    history::append(&mut status.history, uid, now, happening);
}
