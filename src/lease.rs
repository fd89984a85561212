//! Which of several operators acts: the one that holds the Lease. The others keep their caches filled and wait.
//!
//! Two that act at the same time do no harm, since every write is a compare-and-swap or idempotent by name; the Lease spares
//! the work of the second. All the same whoever cannot renew it stops before anybody else may take it: that is measured by
//! each by its own monotonic clock, and nobody compares the clocks of two machines.

use std::{
    future::{self, Future},
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
    pin::pin,
    task::Poll,
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    cluster::{Cluster, Error},
    metrics::Metrics,
};

/// For how long the Lease holds after it was renewed.
const HOLDS: Duration = Duration::from_secs(15);
/// Whoever has not renewed it for so long stops. What is left of [`HOLDS`] is for calls that are still on their way.
const RENEWED_WITHIN: Duration = Duration::from_secs(10);
/// Time between two renewals.
const RENEW: Duration = Duration::from_secs(2);
/// Time between two looks of those that wait.
const LOOK: Duration = Duration::from_secs(1);
/// Time until a call that failed is made again.
const RETRY: Duration = Duration::from_secs(1);
/// The same when somebody else wrote in between.
const CONFLICT: Duration = Duration::from_millis(50);
/// A Lease holds no longer than this, whatever it says.
const LONGEST: Duration = Duration::from_mins(1);

/// Why this process no longer leads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It could not be renewed.
    #[error("the Lease could not be renewed within {} s, and another may lead soon", RENEWED_WITHIN.as_secs())]
    Late,
    /// Somebody else holds it.
    #[error("{0} holds the Lease")]
    Taken(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Waits,
    /// Until then at least nobody else leads; for ever, where there is no Lease.
    Leads(Option<Instant>),
    Lost(Lost),
}

/// Whether this process leads. Each copy is the same.
#[derive(Clone, Debug)]
pub struct Lead(watch::Receiver<State>);

impl Lead {
    /// There is no Lease and nobody else.
    pub fn alone(metrics: &Metrics) -> Self {
        metrics.leads(true);
        Self(watch::Sender::new(State::Leads(None)).subscribe())
    }

    /// Whether it leads now.
    pub fn is_leading(&self) -> bool {
        matches!(*self.0.borrow(), State::Leads(_))
    }

    /// Completes when it leads.
    pub fn elected(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut state = self.0.clone();
        async move {
            if state.wait_for(|state| matches!(state, State::Leads(_))).await.is_err() {
                // Whoever would say so is gone: it never will.
                future::pending::<()>().await;
            }
        }
    }

    /// Completes when it is not certain any more that nobody else leads. It looks at the time whenever it is polled: if the
    /// process stood still, whatever is polled after this comes too late to act.
    pub async fn lost(&self) -> Lost {
        let mut state = self.0.clone();
        loop {
            let until = match &*state.borrow_and_update() {
                State::Waits | State::Leads(None) => None,
                State::Leads(until) => *until,
                State::Lost(why) => return why.clone(),
            };
            tokio::select! {
                biased;
                changed = state.changed() => if changed.is_err() {
                    past(until).await;
                    return Lost::Late;
                },
                () = past(until) => return Lost::Late,
            }
        }
    }
}

/// Completes when this moment has passed; never, where there is none.
async fn past(until: Option<Instant>) {
    let Some(until) = until else { return future::pending().await };
    let mut timer = pin!(sleep_until(until));
    future::poll_fn(|context| match timer.as_mut().poll(context) {
        Poll::Pending if Instant::now() < until => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

/// What counts of a Lease: a label that somebody adds does not prolong it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    holder: Option<String>,
    holds: Duration,
    renewed: Option<Timestamp>,
    transitions: i32,
}

impl Record {
    fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let holds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            holds: holds.map_or(HOLDS, Duration::from_secs).min(LONGEST),
            renewed: spec.renew_time.map(|at| at.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }
}

/// What was seen of the Lease last, and since when it has been so.
#[derive(Debug, Default)]
struct Seen(Option<(Record, Instant)>);

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// To take it, or to renew it.
    Write,
    /// Until this one lets go of it.
    Wait(String),
    /// It was ours.
    Lost(String),
}

impl Seen {
    /// Somebody looked. A Lease that is gone leaves its holder the time that it had.
    fn note(&mut self, found: Option<Record>, now: Instant) {
        if let Some(found) = found
            && self.0.as_ref().is_none_or(|(before, _)| *before != found)
        {
            self.0 = Some((found, now));
        }
    }

    fn decide(&self, me: &str, leads: bool, now: Instant) -> Decision {
        let Some((record, since)) = &self.0 else { return Decision::Write };
        match &record.holder {
            Some(other) if other != me && leads => Decision::Lost(other.clone()),
            Some(other) if other != me && now < *since + record.holds => Decision::Wait(other.clone()),
            _ => Decision::Write,
        }
    }
}

/// One that wants to lead.
pub struct Candidate {
    cluster: Cluster,
    metrics: Metrics,
    me: String,
    state: watch::Sender<State>,
    seen: Seen,
    /// The Lease as this process wrote it last.
    written: Option<Lease>,
    /// Whom it waits for.
    waits_for: Option<String>,
    /// Where the one that acts takes the audit stream.
    stream: watch::Sender<Option<SocketAddr>>,
}

/// What an attempt came to.
enum Turn {
    Leads,
    Waits,
    /// Somebody wrote in between.
    Again,
    Lost(String),
}

impl Candidate {
    /// It has not looked yet. While another acts, it says there where that one takes the audit stream.
    pub fn new(cluster: Cluster, metrics: Metrics, stream: watch::Sender<Option<SocketAddr>>) -> (Self, Lead) {
        let (state, lead) = watch::channel(State::Waits);
        // Whoever starts again in the same Pod is somebody else.
        let me = format!("{}_{:016x}", cluster.config().instance, RandomState::new().hash_one(0));
        let candidate =
            Self { cluster, metrics, me, state, seen: Seen::default(), written: None, waits_for: None, stream };
        (candidate, Lead(lead))
    }

    /// Tries to lead, and to go on leading, as soon as `known` says that what is stored is known: who takes over needs it. When
    /// `stop` says so, the Lease is given back; when it is dropped, it is not.
    pub async fn run(mut self, known: oneshot::Receiver<()>, stop: oneshot::Receiver<()>) {
        let told = tokio::select! {
            () = self.campaign(known) => return,
            told = stop => told,
        };
        if told.is_ok() {
            self.give_back().await;
        }
    }

    async fn campaign(&mut self, known: oneshot::Receiver<()>) {
        if known.await.is_err() {
            return;
        }
        loop {
            // Before the call: the others count from when it was answered.
            let begun = Instant::now();
            let turn = self.attempt(begun).await;
            let wait = match turn {
                Ok(Turn::Leads) => {
                    self.leads(begun + RENEWED_WITHIN);
                    RENEW
                }
                Ok(Turn::Waits) => LOOK,
                Ok(Turn::Again) => CONFLICT,
                Ok(Turn::Lost(by)) => {
                    self.state.send_replace(State::Lost(Lost::Taken(by)));
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the Lease will be tried again");
                    RETRY
                }
            };
            // Whoever holds on to the other end has seen by itself that it is too late.
            sleep(wait).await;
        }
    }

    async fn attempt(&mut self, begun: Instant) -> Result<Turn, Error> {
        // What was written last is what is stored, or the write is refused.
        let read = match self.written.take() {
            Some(written) => Some(written),
            None => self.cluster.read_lease().await?,
        };
        self.seen.note(read.as_ref().map(Record::of), Instant::now());
        match self.seen.decide(&self.me, self.is_leading(), begun) {
            Decision::Lost(other) => return Ok(Turn::Lost(other)),
            Decision::Wait(other) => {
                if self.waits_for.as_ref() != Some(&other) {
                    tracing::info!(holder = other, "standing by: what is stored is known, and another operator acts");
                    self.waits_for = Some(other);
                }
                let stream = read.as_ref().and_then(Cluster::takes_the_stream);
                self.stream.send_if_modified(|known| std::mem::replace(known, stream) != stream);
                return Ok(Turn::Waits);
            }
            Decision::Write => {}
        }
        let spec = self.spec(read.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default());
        match self.cluster.write_lease(read, spec).await {
            Ok(written) => {
                self.seen.note(Some(Record::of(&written)), Instant::now());
                self.written = Some(written);
                Ok(Turn::Leads)
            }
            Err(error) if error.is_overtaken() => Ok(Turn::Again),
            Err(error) => Err(error),
        }
    }

    /// The Lease, held by this process.
    fn spec(&self, before: LeaseSpec) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let is_taken = before.holder_identity.as_ref() != Some(&self.me);
        LeaseSpec {
            acquire_time: before.acquire_time.filter(|_| !is_taken).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(HOLDS.as_secs()).ok(),
            lease_transitions: Some(before.lease_transitions.unwrap_or_default().saturating_add(is_taken.into())),
            ..LeaseSpec::default()
        }
    }

    fn is_leading(&self) -> bool {
        matches!(*self.state.borrow(), State::Leads(_))
    }

    fn leads(&mut self, until: Instant) {
        if !self.is_leading() {
            // From now on it is taken here.
            self.stream.send_replace(None);
            self.cluster.acts();
            self.metrics.leads(true);
            tracing::info!(holder = self.me, "this operator acts from now on");
        }
        self.state.send_replace(State::Leads(Some(until)));
    }

    /// Lets the next one have it at once.
    async fn give_back(&mut self) {
        if !self.is_leading() {
            return;
        }
        // A renewal may just have been on its way.
        for _ in 0..2 {
            let read = match self.written.take() {
                Some(written) => Ok(Some(written)),
                None => self.cluster.read_lease().await,
            };
            let spec = match &read {
                Ok(Some(lease)) => lease.spec.clone().filter(|spec| spec.holder_identity.as_ref() == Some(&self.me)),
                Ok(None) | Err(_) => None,
            };
            let (Ok(read), Some(spec)) = (read, spec) else { return };
            let free = LeaseSpec {
                holder_identity: None,
                lease_duration_seconds: Some(1),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..spec
            };
            match self.cluster.write_lease(read, free).await {
                Ok(_) => return tracing::info!("the Lease is given back"),
                Err(error) if error.is_overtaken() => {}
                Err(error) => return tracing::warn!(%error, "the Lease is not given back, and runs out by itself"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn record(holder: &str, seconds: i32, renewed: i64) -> Record {
        let spec = LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(seconds),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        };
        Record::of(&Lease { spec: Some(spec), ..Lease::default() })
    }

    fn waits(for_: &str) -> Decision {
        Decision::Wait(for_.into())
    }

    #[test]
    fn a_lease_runs_out_when_it_has_stood_still_for_its_time_by_the_clock_of_who_looks() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        assert_eq!(seen.decide("a", false, start), Decision::Write, "there is none");
        // The times in it are of another clock, and count for nothing.
        seen.note(Some(record("b", 15, 0)), start);
        assert_eq!(seen.decide("a", false, start), waits("b"));
        seen.note(Some(record("b", 15, 0)), start + 14 * SECOND);
        assert_eq!(seen.decide("a", false, start + 14 * SECOND), waits("b"));
        assert_eq!(seen.decide("a", false, start + 15 * SECOND), Decision::Write);
        seen.note(Some(record("b", 15, 2)), start + 15 * SECOND);
        assert_eq!(seen.decide("a", false, start + 29 * SECOND), waits("b"), "it was renewed");
    }

    #[test]
    fn a_lease_that_was_given_back_is_taken_at_once_and_one_that_was_deleted_after_its_time() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        seen.note(Some(record("b", 15, 0)), start);
        seen.note(None, start + SECOND);
        assert_eq!(seen.decide("a", false, start + SECOND), waits("b"), "its holder does not know yet");
        assert_eq!(seen.decide("a", false, start + 15 * SECOND), Decision::Write);
        seen.note(Some(record("", 1, 3)), start + 2 * SECOND);
        assert_eq!(seen.decide("a", false, start + 2 * SECOND), Decision::Write);
    }

    #[test]
    fn who_leads_and_finds_another_in_it_has_lost_it_at_once() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        seen.note(Some(record("a", 15, 0)), start);
        assert_eq!(seen.decide("a", true, start + 60 * SECOND), Decision::Write);
        seen.note(Some(record("b", 15, 1)), start);
        assert_eq!(seen.decide("a", true, start), Decision::Lost("b".into()));
    }

    #[test]
    fn nobody_keeps_the_others_out_for_long_by_what_is_written_in_it() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        seen.note(Some(record("b", i32::MAX, 0)), start);
        assert_eq!(seen.decide("a", false, start + LONGEST), Decision::Write);
        seen.note(Some(record("b", -1, 1)), start);
        assert_eq!(seen.decide("a", false, start + SECOND), waits("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_renew_it_has_lost_it_before_another_may_take_it() {
        let (state, receiver) = watch::channel(State::Waits);
        let lead = Lead(receiver);
        let start = Instant::now();
        let renewed = async {
            sleep(SECOND).await;
            for _ in 0..3 {
                state.send_replace(State::Leads(Some(Instant::now() + RENEWED_WITHIN)));
                sleep(RENEW).await;
            }
            future::pending::<()>().await;
        };
        let why = tokio::select! {
            why = lead.lost() => why,
            () = renewed => unreachable!(),
        };
        assert_eq!(why, Lost::Late);
        let last_renewal = start + SECOND + 2 * RENEW;
        assert!(Instant::now() >= last_renewal + RENEWED_WITHIN);
        assert!(Instant::now() < last_renewal + HOLDS);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_lease_one_leads_for_ever() {
        let lead = Lead::alone(&Metrics::default());
        lead.elected().await;
        assert!(lead.is_leading());
        assert!(tokio::time::timeout(Duration::from_hours(24), lead.lost()).await.is_err());
    }
}
