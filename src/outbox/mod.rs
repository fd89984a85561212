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
use lockbox_api::{LockboxRequest, LockboxSettingsSpec, MessageKind, Moment, RoleAssignment};
use lockbox_lifecycle::{Channels, Delivery, Message, notifications};

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
    /// Those that were tried for too long.
    given_up: usize,
    /// Nothing is left to try.
    settled: bool,
    /// It is being sent just now.
    busy: bool,
    /// Attempts so far.
    attempts: u32,
    trouble: Option<String>,
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
            match notifications::recipients(message, request, settings, assignments).len() {
                // Somebody has to know that nobody was asked.
                0 if ways.is_empty() && asks(message.kind) => {
                    ways.insert(Lane::Mail, nobody());
                }
                0 => {}
                recipients => {
                    ways.insert(Lane::Mail, way(recipients));
                }
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
        self.held().remove(uid);
    }

    /// Messages that are not settled.
    fn waiting(&self) -> usize {
        let held = self.held();
        held.values().flat_map(|held| held.messages.values()).filter(|kept| !kept.delivery().is_settled()).count()
    }

    /// Takes down how far a message got. Returns how often it was tried; none when it is not held any more.
    fn note(&self, key: &Key, lane: &Lane, note: impl FnOnce(&mut Way)) -> Option<u32> {
        let mut held = self.held();
        let of_request = held.get_mut(&key.uid)?;
        let way = of_request.messages.get_mut(&key.id)?.ways.get_mut(lane)?;
        note(way);
        if way.settled {
            let change = Change::Told { namespace: of_request.namespace.clone(), name: of_request.name.clone() };
            self.changes.tell(change);
        }
        Some(way.attempts)
    }

    /// Begins an attempt: which request the message is about, and which of its destinations are over. None when it is not
    /// held any more, is settled, or is being sent already.
    fn begin(&self, key: &Key, lane: &Lane) -> Option<(String, String, HashSet<u64>)> {
        let mut held = self.held();
        let of_request = held.get_mut(&key.uid)?;
        let way = of_request.messages.get_mut(&key.id)?.ways.get_mut(lane)?;
        if way.settled || way.busy {
            return None;
        }
        way.busy = true;
        Some((of_request.namespace.clone(), of_request.name.clone(), way.over.clone()))
    }

    fn holds(&self, key: &Key) -> bool {
        self.held().get(&key.uid).is_some_and(|held| held.messages.contains_key(&key.id))
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a message asks somebody to decide.
const fn asks(kind: MessageKind) -> bool {
    matches!(kind, MessageKind::ApprovalAsked | MessageKind::InternalApprovalAsked)
}

fn nobody() -> Way {
    Way {
        destinations: 1,
        given_up: 1,
        settled: true,
        trouble: Some(
            "nobody who may decide has an e-mail address: set it in notifications.email.addresses of the LockboxSettings, or in spec.notification of the RoleAssignment"
                .into(),
        ),
        ..Way::default()
    }
}

impl Kept {
    fn delivery(&self) -> Delivery {
        let sum = |of: fn(&Way) -> usize| self.ways.values().map(of).sum();
        Delivery {
            id: self.message.id.clone(),
            kind: self.message.kind,
            since: self.since,
            delivered: sum(|way| way.over.len().saturating_sub(way.refused)),
            failed: sum(|way| way.refused + way.given_up),
            destinations: sum(|way| way.destinations),
            trouble: self.ways.values().find_map(|way| way.trouble.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
