//! Whether the operator does its work. `/healthz` fails only for what a restart cures: the API server may be away for as long
//! as it likes. `/readyz` fails for whatever keeps the operator from noticing or doing things now.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{connection::Watched, controller::queue::Queue, metrics::Metrics};

/// A watch that cannot be opened is tried again within half a minute.
const CLOSED: Duration = Duration::from_mins(1);
/// A watch lasts 290 seconds, and then something comes: that it ended, and that it is open again.
const SILENT: Duration = Duration::from_secs(330);
/// A watch that fails is tried again at least every half minute: one that does nothing at all for so long is stuck.
const STILL: Duration = Duration::from_mins(10);
/// Each call has a time limit, so work ends one way or the other.
const SLOW: Duration = Duration::from_mins(2);
/// The same, when no way out is left but to start again.
const STUCK: Duration = Duration::from_mins(10);

/// What is looked at. Each copy is the same.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    started: AtomicBool,
    /// What is stored is known, and another operator acts.
    stands_by: AtomicBool,
    watched: Watched,
    queues: Mutex<Vec<Queue>>,
}

impl Health {
    /// Not ready yet.
    pub fn new(watched: Watched, metrics: &Metrics) -> Self {
        let health = Self(Arc::new(Inner { watched, ..Inner::default() }));
        let shown = health.clone();
        metrics.when_asked(move |seen| seen.ready(shown.ready().is_ok()));
        health
    }

    /// What is stored is known, and somebody else acts: it is as ready as it can be, and works on nothing.
    pub fn stands_by(&self, stands_by: bool) {
        self.0.stands_by.store(stands_by, Ordering::Relaxed);
    }

    /// What is stored is known, and the admission policies were tried.
    pub fn started(&self) {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Queue::starts);
        self.0.started.store(true, Ordering::Relaxed);
    }

    /// Whether the start is over.
    pub fn is_started(&self) -> bool {
        self.0.started.load(Ordering::Relaxed)
    }

    /// Looks at this queue, too.
    pub fn look_at(&self, queue: Queue) {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner).push(queue);
    }

    /// Whether it is at work; what keeps it from that, if not.
    pub fn ready(&self) -> Result<(), String> {
        if !self.is_started() && !self.0.stands_by.load(Ordering::Relaxed) {
            return Err("starting".into());
        }
        over(self.0.watched.closed(), CLOSED, "the watch of", "has not been open")?;
        over(self.0.watched.silent(), SILENT, "the watch of", "has heard nothing")?;
        over(self.stuck(), SLOW, "the queue of kind", "does not move")
    }

    /// Whether a start would change nothing; what it would cure, otherwise.
    pub fn alive(&self) -> Result<(), String> {
        over(self.0.watched.still(), STILL, "the watch of", "has done nothing")?;
        // Until what is stored is known, everything waits for that.
        if !self.is_started() {
            return Ok(());
        }
        over(self.stuck(), STUCK, "the queue of kind", "does not move")
    }

    fn stuck(&self) -> Vec<(&'static str, Duration)> {
        let queues = self.0.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.iter().map(|queue| (queue.kind(), queue.fares().stuck)).collect()
    }
}

/// The worst of these, if it has lasted for too long.
fn over(all: Vec<(&'static str, Duration)>, limit: Duration, what: &str, does: &str) -> Result<(), String> {
    match all.into_iter().max_by_key(|(_, lasted)| *lasted) {
        Some((of, lasted)) if lasted > limit => Err(format!("{what} {of} {does} for {} s", lasted.as_secs())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::connection::Call;

    const MINUTE: Duration = Duration::from_mins(1);

    fn watch(of: &str) -> Call {
        Call::of(&Method::GET, &format!("/apis/lockbox.dev/v1alpha1/{of}?watch=true").parse().unwrap())
    }

    fn started(watched: &Watched) -> Health {
        let health = Health::new(watched.clone(), &Metrics::default());
        assert_eq!(health.ready(), Err("starting".into()));
        health.started();
        health
    }

    #[tokio::test(start_paused = true)]
    async fn one_silent_watch_among_others_is_not_ready_and_restarts_nothing_while_it_is_tried_again() {
        let watched = Watched::default();
        let health = started(&watched);
        watched.heard(&watch("lockboxrequests"));
        for _ in 0..180 {
            // The API server is away for three hours: each start of a watch fails.
            watched.moved(&watch("lockboxrequests"));
            watched.heard(&watch("roleassignments"));
            assert_eq!(health.alive(), Ok(()));
            tokio::time::advance(MINUTE).await;
        }
        assert_eq!(health.ready(), Err("the watch of lockboxrequests has not been open for 10800 s".into()));
        watched.heard(&watch("lockboxrequests"));
        assert_eq!(health.ready(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_by_is_ready_as_long_as_it_hears_what_happens() {
        let watched = Watched::default();
        let health = Health::new(watched.clone(), &Metrics::default());
        watched.heard(&watch("lockboxrequests"));
        health.stands_by(true);
        assert_eq!((health.ready(), health.is_started()), (Ok(()), false));
        health.stands_by(false);
        assert_eq!(health.ready(), Err("starting".into()));
        health.stands_by(true);
        tokio::time::advance(6 * MINUTE).await;
        assert!(health.ready().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_starts_anew_in_its_time_is_ready_even_if_nothing_else_comes() {
        let watched = Watched::default();
        let health = started(&watched);
        for _ in 0..100 {
            watched.moved(&watch("lockboxrequests"));
            watched.heard(&watch("lockboxrequests"));
            tokio::time::advance(Duration::from_secs(295)).await;
            assert_eq!((health.ready(), health.alive()), (Ok(()), Ok(())));
        }
        tokio::time::advance(MINUTE).await;
        assert_eq!(health.ready(), Err("the watch of lockboxrequests has heard nothing for 355 s".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_cannot_even_list_is_tried_again_and_restarts_nothing() {
        let watched = Watched::default();
        let health = started(&watched);
        let list = Call::of(&Method::GET, &"/apis/lockbox.dev/v1alpha1/lockboxrequests?limit=20".parse().unwrap());
        watched.heard(&watch("lockboxrequests"));
        watched.moved(&watch("lockboxrequests"));
        for _ in 0..60 {
            watched.moved(&list);
            tokio::time::advance(MINUTE).await;
            assert_eq!(health.alive(), Ok(()));
        }
        assert!(health.ready().is_err());
        // Where the watch is open and silent, a list by somebody else says nothing about it.
        watched.heard(&watch("lockboxrequests"));
        for _ in 0..12 {
            watched.moved(&list);
            tokio::time::advance(MINUTE).await;
        }
        assert_eq!(health.alive(), Err("the watch of lockboxrequests has done nothing for 720 s".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_neither_hears_nor_fails_is_dead() {
        let watched = Watched::default();
        let health = started(&watched);
        watched.heard(&watch("lockboxrequests"));
        tokio::time::advance(10 * MINUTE).await;
        assert_eq!(health.alive(), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(health.alive(), Err("the watch of lockboxrequests has done nothing for 601 s".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_does_not_move_is_first_not_ready_and_then_dead() {
        let health = Health::new(Watched::default(), &Metrics::default());
        let queue = Queue::new("request", Metrics::default());
        health.look_at(queue.clone());
        queue.came(Some("shop"), "a");
        tokio::time::advance(60 * MINUTE).await;
        // Before everything is known all wait for that: nobody restarts it for being at its start.
        assert_eq!((health.ready(), health.alive()), (Err("starting".into()), Ok(())));
        health.started();
        assert_eq!((health.ready(), health.alive()), (Ok(()), Ok(())));
        tokio::time::advance(3 * MINUTE).await;
        assert_eq!(health.ready(), Err("the queue of kind request does not move for 180 s".into()));
        assert_eq!(health.alive(), Ok(()));
        tokio::time::advance(8 * MINUTE).await;
        assert_eq!(health.alive(), Err("the queue of kind request does not move for 660 s".into()));
    }
}
