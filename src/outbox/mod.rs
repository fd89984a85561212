//! The outbox: which messages are on their way, and how far they got.
//!
//! It remembers nothing that matters: which messages there are follows from the requests, and what became of them is in
//! their status. What is held here is lost with the process, and handed over again by the next one. So each destination
//! gets each message at least once, under the same id every time.
//!
//! A lane for each way out: one that hangs delays no other, and none ever delays a request. What is held is bounded by
//! the open requests: of a message its id, its counts and one line of trouble; its text is made when it is sent.

mod lane;
mod postman;
mod worker;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::ResourceExt as _;
use lockbox_api::{Audience, LockboxRequest, LockboxSettingsSpec, MessageKind, Moment, RoleAssignment};
use lockbox_lifecycle::{Channels, Delivery, Message, Recipient, notifications};

use crate::{
    controller::changes::{Change, Changes},
    metrics::Metrics,
};
use lane::Lanes;
pub use postman::Postman;
pub use worker::{Carrier, Outcome, Parcel, run};

/// Bytes of a destination's words that are kept.
const WORDS: usize = 240;

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The mail server.
    Mail,
    /// The webhook of this name.
    Webhook(String),
}

/// Which message of which request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The request's UID.
    pub uid: String,
    /// The message's id.
    pub id: String,
}

/// Messages on their way.
pub struct Outbox {
    channels: Channels,
    held: Mutex<HashMap<String, Held>>,
    lanes: Lanes,
    changes: Changes,
    metrics: Metrics,
}

/// The messages of one request.
struct Held {
    namespace: String,
    name: String,
    messages: BTreeMap<String, Kept>,
}

/// One message.
struct Kept {
    message: Message,
    since: Moment,
    ways: BTreeMap<Lane, Way>,
}

/// How far a message got on one lane.
#[derive(Default)]
struct Way {
    /// Destinations as they were counted last.
    destinations: usize,
    /// Those that took it or refused it for good, by digest.
    over: HashSet<u64>,
    /// Those that refused it for good.
    refused: usize,
    /// Those that got the whole message and did not answer, by digest.
    unanswered: HashSet<u64>,
    /// Nothing is left to try.
    settled: bool,
    /// It is being sent just now.
    busy: bool,
    /// Attempts so far.
    attempts: u32,
    trouble: Option<String>,
}

/// What an attempt begins with.
struct Begun {
    namespace: String,
    name: String,
    /// Destinations that have it, or refused it for good, by digest.
    over: HashSet<u64>,
    /// Attempts before this one.
    attempts: u32,
}

impl Outbox {
    /// Sends by these channels, and tells of what is settled.
    pub fn new(channels: Channels, changes: Changes, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { channels, held: Mutex::default(), lanes: Lanes::default(), changes, metrics })
    }

    /// The ways out that the installation offers.
    pub const fn channels(&self) -> Channels {
        self.channels
    }

    /// Holds these messages about a request, and no others: what it held before goes on, what is missing is not sent any
    /// more.
    pub fn hold(
        &self,
        request: &LockboxRequest,
        settings: &LockboxSettingsSpec,
        assignments: &[RoleAssignment],
        messages: &[Message],
        now: Moment,
    ) {
        let Some(uid) = request.metadata.uid.clone() else { return };
        let mut held = self.held();
        if messages.is_empty() {
            held.remove(&uid);
            self.show(&held);
            return;
        }
        let of_request = held.entry(uid.clone()).or_insert_with(|| Held {
            namespace: request.namespace().unwrap_or_default(),
            name: request.name_any(),
            messages: BTreeMap::new(),
        });
        of_request.messages.retain(|id, _| messages.iter().any(|message| message.id == *id));
        for message in messages {
            if of_request.messages.contains_key(&message.id) {
                continue;
            }
            let ways = self.ways(message, request, settings, assignments);
            let key = Key { uid: uid.clone(), id: message.id.clone() };
            for (lane, _) in ways.iter().filter(|(_, way)| !way.settled) {
                self.lanes.push(lane, key.clone(), Duration::ZERO);
            }
            of_request.messages.insert(message.id.clone(), Kept { message: message.clone(), since: now, ways });
        }
        self.show(&held);
    }

    fn ways(
        &self,
        message: &Message,
        request: &LockboxRequest,
        settings: &LockboxSettingsSpec,
        assignments: &[RoleAssignment],
    ) -> BTreeMap<Lane, Way> {
        let mut ways = BTreeMap::new();
        let way = |destinations| Way { destinations, ..Way::default() };
        if self.channels.webhooks {
            for webhook in notifications::webhooks(message, settings) {
                ways.insert(Lane::Webhook(webhook.to_owned()), way(1));
            }
        }
        let mails = settings.notifications.as_ref().is_some_and(|rules| rules.email.is_some());
        if self.channels.mail && mails {
            let recipients = notifications::recipients(message, request, settings, assignments);
            let asked = is_anybody_asked(message.kind, &recipients);
            let destinations = recipients.len() + usize::from(!asked);
            if destinations > 0 {
                let trouble = (!asked).then(|| NOBODY.to_owned());
                ways.insert(Lane::Mail, Way { trouble, ..way(destinations) });
            }
        }
        ways
    }

    /// What is held of a request's messages.
    pub fn deliveries(&self, request: &LockboxRequest) -> Vec<Delivery> {
        let held = self.held();
        let of_request = request.metadata.uid.as_ref().and_then(|uid| held.get(uid));
        of_request.into_iter().flat_map(|held| held.messages.values()).map(Kept::delivery).collect()
    }

    /// Lets go of a request that is closed or gone.
    pub fn forget(&self, uid: &str) {
        let mut held = self.held();
        held.remove(uid);
        self.show(&held);
    }

    /// Lets go of all requests but these, by UID: of one that is deleted while it is open, nobody else tells.
    pub fn keep(&self, known: impl Fn(&str) -> bool) {
        let mut held = self.held();
        held.retain(|uid, _| known(uid));
        self.show(&held);
    }

    /// Shows how many messages are not settled.
    fn show(&self, held: &HashMap<String, Held>) {
        let unsettled =
            held.values().flat_map(|held| held.messages.values()).filter(|kept| !kept.delivery().is_settled());
        self.metrics.on_their_way(unsettled.count());
    }

    /// Takes down how far a message got. Returns how often it was tried; none when it is not held any more.
    fn note(&self, key: &Key, lane: &Lane, note: impl FnOnce(&mut Way)) -> Option<u32> {
        let mut held = self.held();
        let of_request = held.get_mut(&key.uid)?;
        let way = of_request.messages.get_mut(&key.id)?.ways.get_mut(lane)?;
        note(way);
        let (settled, attempts) = (way.settled, way.attempts);
        if settled {
            let change = Change::Told { namespace: of_request.namespace.clone(), name: of_request.name.clone() };
            self.changes.tell(change);
            self.show(&held);
        }
        Some(attempts)
    }

    /// Begins an attempt. None when the message is not held any more, is settled, or is being sent already.
    fn begin(&self, key: &Key, lane: &Lane) -> Option<Begun> {
        let mut held = self.held();
        let of_request = held.get_mut(&key.uid)?;
        let way = of_request.messages.get_mut(&key.id)?.ways.get_mut(lane)?;
        if way.settled || way.busy {
            return None;
        }
        way.busy = true;
        let (namespace, name) = (of_request.namespace.clone(), of_request.name.clone());
        Some(Begun { namespace, name, over: way.over.clone(), attempts: way.attempts })
    }

    fn holds(&self, key: &Key) -> bool {
        self.held().get(&key.uid).is_some_and(|held| held.messages.contains_key(&key.id))
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a question says that nobody is asked.
const NOBODY: &str = "nobody who may decide has an e-mail address: set notifications.email.addresses in the LockboxSettings, or spec.notification in the RoleAssignment";

/// Whether a question goes to somebody who decides, and not only to those who are told of it. What asks nothing is no
/// question.
fn is_anybody_asked(kind: MessageKind, recipients: &[Recipient]) -> bool {
    let asks = matches!(kind, MessageKind::ApprovalAsked | MessageKind::InternalApprovalAsked);
    let decides =
        |recipient: &Recipient| matches!(recipient.audience, Audience::Approvers | Audience::InternalApprovers);
    !asks || recipients.iter().any(decides)
}

impl Kept {
    fn delivery(&self) -> Delivery {
        let sum = |of: fn(&Way) -> usize| self.ways.values().map(of).sum();
        Delivery {
            id: self.message.id.clone(),
            kind: self.message.kind,
            since: self.since,
            delivered: sum(|way| way.over.len().saturating_sub(way.refused)),
            failed: sum(|way| way.refused),
            destinations: sum(|way| way.destinations),
            trouble: self.ways.values().find_map(|way| way.trouble.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
