//! What carries a message out: read the request, look whether the message still holds, send it to whoever has not got it,
//! take down what came of it.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use lockbox_api::{Audience, LockboxRequest, LockboxSettingsSpec};
use lockbox_lifecycle::{Message, Recipient, notifications, text::clip_bytes};

use super::{Begun, Key, Lane, NOBODY, Outbox, WORDS, Way, is_anybody_asked, lane::Queue};
use crate::{
    controller::{Context, retry::backoff},
    metrics::{Channel, Told},
};

/// Messages that are sent at the same time on one lane.
const AT_ONCE: usize = 4;
/// Letters of one message in a row; then other messages have their turn, and the request is read again.
const A_TURN: usize = 16;
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
        /// The whole message was handed over, and no answer came: it may have arrived.
        uncertain: bool,
        /// What the request shows of it.
        shown: String,
    },
    /// It refuses the message for good.
    Never {
        /// Its words.
        words: String,
        /// What the request shows of it: the provider's people read requests, and no words of the customer's servers.
        shown: String,
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
    /// The next destinations of the same message: others have their turn first.
    More,
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
            let Some(begun) = self.outbox.begin(&key, &lane) else { continue };
            let left = self.attempt(&lane, &key, &begun).await.unwrap_or(Left::Some(None));
            let counts = matches!(left, Left::Some(_) | Left::Lane(_));
            let attempts = self.outbox.note(&key, &lane, |way| {
                way.busy = false;
                way.attempts = way.attempts.saturating_add(u32::from(counts));
            });
            if matches!(left, Left::Nothing | Left::More) {
                queue.works();
            }
            let Some(attempts) = attempts else { continue };
            // Whoever asks to be called at once is called no sooner than others in trouble.
            match left {
                Left::Nothing | Left::Idle => {}
                Left::More => queue.push(key, Duration::ZERO),
                Left::Some(after) => {
                    let wait = self.wait(&key, attempts);
                    queue.push(key, after.map_or(wait, |after| after.max(wait)));
                }
                Left::Lane(after) => {
                    queue.rest(|troubles| {
                        let wait = self.wait(&key, troubles);
                        after.map_or(wait, |after| after.max(wait))
                    });
                    queue.push(key, Duration::ZERO);
                }
            }
        }
    }

    /// Longer each time.
    fn wait(&self, key: &Key, attempts: u32) -> Duration {
        backoff(FIRST, LONGEST, attempts, self.random.hash_one((key, attempts)))
    }

    async fn attempt(&self, lane: &Lane, key: &Key, begun: &Begun) -> Result<Left, Unread> {
        let request = self.context.cluster.read_request(&begun.namespace, &begun.name).await.map_err(|_| Unread)?;
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
        Ok(match lane {
            Lane::Mail => self.mail(&parcel, key, begun).await,
            Lane::Webhook(name) => self.post(&parcel, key, name).await,
        })
    }

    async fn mail(&self, parcel: &Parcel<'_>, key: &Key, begun: &Begun) -> Left {
        let assignments = self.context.known_assignments();
        let mut recipients = notifications::recipients(parcel.message, parcel.request, parcel.settings, &assignments);
        let (count, asked) = (recipients.len(), is_anybody_asked(parcel.message.kind, &recipients));
        recipients.retain(|recipient| !begun.over.contains(&digest(&recipient.address)));
        // The customer comes first; and who is in the way of the others at one attempt is the last at the next.
        recipients.sort_by_key(|recipient| recipient.audience == Audience::Requester);
        let first = usize::try_from(begun.attempts).unwrap_or_default() % recipients.len().max(1);
        recipients.rotate_left(first);
        let mut left = Left::Nothing;
        for (number, recipient) in recipients.iter().enumerate() {
            if number >= A_TURN {
                return Left::More;
            }
            // A decision may have come while others were written to.
            if !self.outbox.holds(key) {
                return Left::Idle;
            }
            let outcome = self.carrier.mail(parcel, recipient).await;
            self.count(Channel::Mail, &outcome);
            tell(key, &recipient.address, &outcome);
            let whom = recipient.audience.to_string();
            match self.take_down(key, &Lane::Mail, digest(&recipient.address), &whom, outcome) {
                Left::Nothing | Left::Idle | Left::More => {}
                Left::Lane(after) => return Left::Lane(after),
                Left::Some(after) => left = Left::Some(after),
            }
        }
        self.outbox.note(key, &Lane::Mail, |way| {
            way.destinations = count.max(way.over.len()) + usize::from(!asked);
            if !asked {
                way.trouble = Some(NOBODY.into());
            }
            way.settled = asked && matches!(left, Left::Nothing);
        });
        // An address may still be added.
        if asked || !matches!(left, Left::Nothing) { left } else { Left::Some(None) }
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
    }

    fn take_down(&self, key: &Key, lane: &Lane, digest: u64, whom: &str, outcome: Outcome) -> Left {
        let said = |shown: &str| clip_bytes(&format!("{whom}: {shown}"), WORDS);
        let refused = |way: &mut Way, shown: String| {
            if way.over.insert(digest) {
                way.refused += 1;
            }
            way.trouble = Some(shown);
        };
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
            Outcome::Never { shown, .. } => {
                self.outbox.note(key, lane, |way| refused(way, said(&shown)));
                Left::Nothing
            }
            Outcome::Later { lane: whole, after, uncertain, shown, .. } => {
                let mut over = false;
                self.outbox.note(key, lane, |way| {
                    // Once more, in case it got lost; then it was sent as often as it may be.
                    over = uncertain && !way.unanswered.insert(digest);
                    if over {
                        refused(way, said("sent twice, and never answered: it may have arrived"));
                    } else {
                        way.trouble = Some(said(&shown));
                    }
                });
                match (over, whole) {
                    (true, _) => Left::Nothing,
                    (false, true) => Left::Lane(after),
                    (false, false) => Left::Some(after),
                }
            }
        }
    }
}

fn tell(key: &Key, to: &str, outcome: &Outcome) {
    match outcome {
        Outcome::Delivered => tracing::info!(uid = key.uid, message = key.id, to, "delivered"),
        Outcome::Later { words, .. } => {
            tracing::warn!(uid = key.uid, message = key.id, to, words, "not delivered yet; will be tried again");
        }
        Outcome::Never { words, .. } => {
            tracing::error!(uid = key.uid, message = key.id, to, words, "cannot be delivered");
        }
    }
}

/// Of an address, in whatever spelling.
fn digest(address: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(address.to_ascii_lowercase())
}
