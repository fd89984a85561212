//! What carries a message out: read the request, look whether the message still holds, send it to whoever has not got it,
//! take down what came of it.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use lockbox_api::{LockboxRequest, LockboxSettingsSpec, RoleAssignment};
use lockbox_lifecycle::{
    Message, Recipient, notifications,
    text::{clip_bytes, one_line},
};

use super::{Key, Lane, Outbox, WORDS, lane::Queue};
use crate::{
    controller::Context,
    metrics::{Channel, Told},
};

/// Messages that are sent at the same time on one lane.
const AT_ONCE: usize = 4;
/// The first wait after a destination did not take a message, and the longest.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(5);

/// What came of one attempt at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took the message.
    Delivered,
    /// It may take it later.
    Later {
        /// Its words.
        words: String,
        /// The whole lane is in trouble, and not this destination alone.
        lane: bool,
        /// When it asked to be tried again.
        after: Option<Duration>,
    },
    /// It refuses the message for good.
    Never {
        /// Its words.
        words: String,
    },
}

/// What is to be carried.
pub struct Parcel<'a> {
    /// The request, as it is stored now.
    pub request: &'a LockboxRequest,
    /// The message.
    pub message: &'a Message,
    /// The settings.
    pub settings: &'a LockboxSettingsSpec,
}

/// Who makes a message's text and carries it.
pub trait Carrier: Send + Sync + 'static {
    /// Sends an e-mail.
    fn mail<'a>(&'a self, parcel: &'a Parcel<'a>, to: &'a Recipient) -> BoxFuture<'a, Outcome>;
    /// Calls the webhook of this name.
    fn post<'a>(&'a self, parcel: &'a Parcel<'a>, webhook: &'a str) -> BoxFuture<'a, Outcome>;
}

/// Carries messages until it is stopped.
pub async fn run(context: Arc<Context>, carrier: Arc<dyn Carrier>) {
    let outbox = context.outbox.clone();
    let worker = Arc::new(Worker { outbox: outbox.clone(), context, carrier, random: RandomState::new() });
    let mut lanes = BTreeSet::new();
    let mut running = FuturesUnordered::new();
    loop {
        for (lane, queue) in outbox.lanes.open() {
            if lanes.insert(lane.clone()) {
                for _ in 0..AT_ONCE {
                    running.push(worker.clone().serve(lane.clone(), queue.clone()));
                }
            }
        }
        if running.is_empty() {
            outbox.lanes.opened().await;
        } else {
            tokio::select! {
                () = outbox.lanes.opened() => {}
                _ = running.next() => {}
            }
        }
    }
}

struct Worker {
    outbox: Arc<Outbox>,
    context: Arc<Context>,
    carrier: Arc<dyn Carrier>,
    random: RandomState,
}

/// What is left to do after an attempt.
enum Left {
    /// Nothing: the other side answered.
    Nothing,
    /// Nothing: there was nobody to send to.
    Idle,
    /// Some destination was in trouble.
    Some(Option<Duration>),
    /// The lane is in trouble.
    Lane(Option<Duration>),
}

/// What could not be asked of the API server is asked again.
struct Unread;

impl Worker {
    async fn serve(self: Arc<Self>, lane: Lane, queue: Arc<Queue>) {
        loop {
            let key = queue.next().await;
            let Some((namespace, name, over)) = self.outbox.begin(&key, &lane) else { continue };
            let left = self.attempt(&lane, &key, &namespace, &name, over).await.unwrap_or(Left::Some(None));
            let again = !matches!(left, Left::Nothing | Left::Idle);
            let attempts = self.outbox.note(&key, &lane, |way| {
                way.busy = false;
                way.attempts = way.attempts.saturating_add(1);
            });
            if matches!(left, Left::Nothing) {
                queue.works();
            }
            let Some(attempts) = attempts.filter(|_| again) else { continue };
            match left {
                Left::Lane(after) => {
                    queue.rest(|troubles| after.unwrap_or_else(|| self.wait(&key, troubles)));
                    queue.push(key, Duration::ZERO);
                }
                Left::Some(after) => {
                    let wait = after.unwrap_or_else(|| self.wait(&key, attempts));
                    queue.push(key, wait);
                }
                Left::Nothing | Left::Idle => {}
            }
        }
    }

    /// Longer each time, with up to a quarter more, so that many do not try together.
    fn wait(&self, key: &Key, attempts: u32) -> Duration {
        let wait = FIRST.saturating_mul(1_u32 << attempts.saturating_sub(1).min(16)).min(LONGEST);
        let spread = u32::try_from(self.random.hash_one((key, attempts)) % 256).unwrap_or_default();
        wait + (wait / 4) * spread / 256
    }

    async fn attempt(
        &self,
        lane: &Lane,
        key: &Key,
        namespace: &str,
        name: &str,
        over: HashSet<u64>,
    ) -> Result<Left, Unread> {
        let request = self.context.cluster.read_request(namespace, name).await.map_err(|_| Unread)?;
        let Some(request) = request.filter(|request| request.metadata.uid.as_ref() == Some(&key.uid)) else {
            self.outbox.forget(&key.uid);
            return Ok(Left::Idle);
        };
        let guarded = self.context.settings().ok_or(Unread)?;
        let settings = &guarded.0.as_ref().map_err(|_| Unread)?.spec;
        let due = notifications::due(&request, settings, self.context.proofs.now());
        // Decided, settled or muted meanwhile: the reconciler takes it back. Until then it is looked at again, since a cache
        // may also be behind.
        let Some(message) = due.iter().find(|message| message.id == key.id) else { return Ok(Left::Some(None)) };
        let parcel = Parcel { request: &request, message, settings };
        let left = match lane {
            Lane::Mail => self.mail(&parcel, key, &over).await,
            Lane::Webhook(name) => self.post(&parcel, key, name).await,
        };
        // It was tried at least once, and its time is over.
        if self.context.proofs.now() >= message.until && matches!(left, Left::Some(_) | Left::Lane(_)) {
            self.outbox.note(key, lane, |way| {
                way.given_up = way.destinations.saturating_sub(way.over.len());
                way.settled = true;
            });
            return Ok(Left::Idle);
        }
        Ok(left)
    }

    async fn mail(&self, parcel: &Parcel<'_>, key: &Key, over: &HashSet<u64>) -> Left {
        let assignments: Vec<RoleAssignment> =
            self.context.assignments.state().iter().filter_map(|guarded| guarded.0.as_ref().ok().cloned()).collect();
        let recipients = notifications::recipients(parcel.message, parcel.request, parcel.settings, &assignments);
        let (count, mut left) = (recipients.len(), Left::Nothing);
        for recipient in recipients {
            let digest = digest(&recipient.address);
            if over.contains(&digest) {
                continue;
            }
            // A decision may have come while others were written to.
            if !self.outbox.holds(key) {
                return Left::Idle;
            }
            let outcome = self.carrier.mail(parcel, &recipient).await;
            self.count(Channel::Mail, &outcome);
            tell(key, &recipient.address, &outcome);
            match self.take_down(key, &Lane::Mail, digest, &recipient.address, outcome) {
                Left::Nothing | Left::Idle => {}
                Left::Lane(after) => return Left::Lane(after),
                Left::Some(after) => left = Left::Some(after),
            }
        }
        if matches!(left, Left::Nothing) {
            self.outbox.note(key, &Lane::Mail, |way| {
                way.destinations = count.max(way.over.len());
                way.settled = true;
            });
        }
        left
    }

    async fn post(&self, parcel: &Parcel<'_>, key: &Key, name: &str) -> Left {
        let lane = Lane::Webhook(name.to_owned());
        if !notifications::webhooks(parcel.message, parcel.settings).any(|known| known == name) {
            self.outbox.note(key, &lane, |way| (way.destinations, way.settled) = (0, true));
            return Left::Idle;
        }
        let outcome = self.carrier.post(parcel, name).await;
        self.count(Channel::Webhook, &outcome);
        tell(key, name, &outcome);
        let left = self.take_down(key, &lane, digest(name), &format!("webhook {name}"), outcome);
        if matches!(left, Left::Nothing) {
            self.outbox.note(key, &lane, |way| way.settled = true);
        }
        left
    }

    fn count(&self, channel: Channel, outcome: &Outcome) {
        let told = match outcome {
            Outcome::Delivered => Told::Delivered,
            Outcome::Later { .. } => Told::Delayed,
            Outcome::Never { .. } => Told::Failed,
        };
        self.outbox.metrics.told(channel, told);
        self.outbox.metrics.on_their_way(self.outbox.waiting());
    }

    fn take_down(&self, key: &Key, lane: &Lane, digest: u64, whom: &str, outcome: Outcome) -> Left {
        let said = |words: &str| clip_bytes(&format!("{whom}: {}", one_line(words)), WORDS);
        match outcome {
            Outcome::Delivered => {
                self.outbox.note(key, lane, |way| {
                    way.over.insert(digest);
                    if way.refused == 0 {
                        way.trouble = None;
                    }
                });
                Left::Nothing
            }
            Outcome::Never { words } => {
                self.outbox.note(key, lane, |way| {
                    if way.over.insert(digest) {
                        way.refused += 1;
                    }
                    way.trouble = Some(said(&words));
                });
                Left::Nothing
            }
            Outcome::Later { words, lane: whole, after } => {
                self.outbox.note(key, lane, |way| way.trouble = Some(said(&words)));
                if whole { Left::Lane(after) } else { Left::Some(after) }
            }
        }
    }
}

fn tell(key: &Key, to: &str, outcome: &Outcome) {
    match outcome {
        Outcome::Delivered => tracing::info!(request = key.uid, message = key.id, to, "delivered"),
        Outcome::Later { words, .. } => {
            tracing::warn!(request = key.uid, message = key.id, to, words, "not delivered yet; will be tried again");
        }
        Outcome::Never { words } => {
            tracing::error!(request = key.uid, message = key.id, to, words, "cannot be delivered");
        }
    }
}

/// Of an address, in whatever spelling.
fn digest(address: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(address.to_ascii_lowercase())
}
