//! What waits to be reconciled, and what is being reconciled. kube's queue does not show what is in it; what goes in and
//! comes out does.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Namespace and name.
type Key = (String, String);

/// The queue of one controller. What only a timer calls for is not in it until it begins.
#[derive(Clone)]
pub struct Queue {
    kind: &'static str,
    metrics: Metrics,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Since when each waits. There are as many as there are objects.
    waiting: HashMap<Key, Instant>,
    /// Since when each was heard of, and since when it is worked on.
    running: HashMap<Key, (Instant, Instant)>,
    /// When one was finished last, by success or failure.
    moved: Instant,
}

/// How a queue fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fares {
    /// Objects that wait.
    pub waiting: usize,
    /// For how long the oldest of those has waited.
    pub oldest: Duration,
    /// For how long something has been waiting or worked on, and nothing has been finished.
    pub stuck: Duration,
}

impl Queue {
    /// Nothing is in it.
    pub fn new(kind: &'static str, metrics: Metrics) -> Self {
        let state = State { waiting: HashMap::new(), running: HashMap::new(), moved: Instant::now() };
        let queue = Self { kind, metrics, state: Arc::new(Mutex::new(state)) };
        let asked = queue.clone();
        queue.metrics.when_asked(move |seen| {
            let fares = asked.fares();
            seen.queue(asked.kind, fares.waiting, fares.oldest);
        });
        queue
    }

    /// The kind of what is in it.
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// From now on what is in it can be worked on.
    pub fn starts(&self) {
        self.state().moved = Instant::now();
    }

    /// An object has to be reconciled.
    pub fn came(&self, namespace: Option<&str>, name: &str) {
        let key = (namespace.unwrap_or_default().to_owned(), name.to_owned());
        self.state().waiting.entry(key).or_insert_with(Instant::now);
    }

    /// An object is not there any more.
    pub fn gone(&self, namespace: Option<&str>, name: &str) {
        self.state().waiting.remove(&(namespace.unwrap_or_default().to_owned(), name.to_owned()));
    }

    /// For how long an object that is being worked on has been on its way, since its change was heard of.
    pub fn on_its_way(&self, object: &impl Resource) -> Duration {
        self.state().running.get(&key(object)).map_or(Duration::ZERO, |(heard, _)| heard.elapsed())
    }

    /// Does the work for an object, and measures it. `class` names what went wrong.
    pub async fn work<T, E>(
        &self,
        object: &impl Resource,
        class: impl Fn(&E) -> &'static str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let (key, begun) = (key(object), Instant::now());
        {
            let mut state = self.state();
            let heard = state.waiting.remove(&key).unwrap_or(begun);
            state.running.insert(key.clone(), (heard, begun));
            self.metrics.begun(self.kind, begun - heard);
        }
        // Even if it is not finished: at the end of the process, or when it panics.
        let running = Running { queue: self, key };
        let done = work.await;
        drop(running);
        self.metrics.worked(self.kind, begun.elapsed(), done.as_ref().err().map(class));
        done
    }

    /// How it fares.
    pub fn fares(&self) -> Fares {
        let state = self.state();
        let waiting = state.waiting.values().min().map(Instant::elapsed);
        let running = state.running.values().map(|(_, begun)| begun).min().map(Instant::elapsed);
        let oldest = waiting.unwrap_or_default();
        let stuck = waiting.max(running).unwrap_or_default().min(state.moved.elapsed());
        Fares { waiting: state.waiting.len(), oldest, stuck }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Running<'a> {
    queue: &'a Queue,
    key: Key,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.running.remove(&self.key);
        state.moved = Instant::now();
    }
}

fn key(object: &impl Resource) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn object(name: &str) -> ConfigMap {
        let metadata = ObjectMeta { namespace: Some("shop".into()), name: Some(name.into()), ..ObjectMeta::default() };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    async fn work(queue: &Queue, name: &str, takes: Duration) -> Result<(), &'static str> {
        let work = async {
            tokio::time::sleep(takes).await;
            if name == "bad" { Err("bad") } else { Ok(()) }
        };
        queue.work(&object(name), |error| *error, work).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_stuck_while_something_waits_and_nothing_is_finished() {
        let queue = Queue::new("request", Metrics::default());
        tokio::time::advance(60 * MINUTE).await;
        assert_eq!(queue.fares(), Fares { waiting: 0, oldest: Duration::ZERO, stuck: Duration::ZERO });
        queue.came(Some("shop"), "a");
        queue.came(Some("shop"), "b");
        tokio::time::advance(3 * MINUTE).await;
        queue.came(Some("shop"), "a");
        assert_eq!(queue.fares(), Fares { waiting: 2, oldest: 3 * MINUTE, stuck: 3 * MINUTE });
        // A failure is an end, too: it does not wait for the API server to come back.
        assert_eq!(work(&queue, "bad", MINUTE).await, Err("bad"));
        assert_eq!(queue.fares(), Fares { waiting: 2, oldest: 4 * MINUTE, stuck: Duration::ZERO });
        work(&queue, "a", MINUTE).await.unwrap();
        queue.gone(Some("shop"), "b");
        tokio::time::advance(60 * MINUTE).await;
        assert_eq!(queue.fares().stuck, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_holds_up_the_queue_until_it_is_given_up() {
        let queue = Queue::new("request", Metrics::default());
        let long = work(&queue, "a", 60 * MINUTE);
        assert!(
            tokio::time::timeout(7 * MINUTE, async {
                let watch = async {
                    tokio::time::sleep(5 * MINUTE).await;
                    assert_eq!(queue.fares().stuck, 5 * MINUTE);
                    assert_eq!(queue.on_its_way(&object("a")), 5 * MINUTE);
                    std::future::pending::<()>().await;
                };
                tokio::join!(long, watch)
            })
            .await
            .is_err()
        );
        assert_eq!(queue.fares().stuck, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_work_and_errors_are_measured() {
        let metrics = Metrics::default();
        let queue = Queue::new("request", metrics.clone());
        queue.came(Some("shop"), "bad");
        tokio::time::advance(Duration::from_secs(2)).await;
        let text = metrics.text();
        assert!(text.contains("lockbox_queue_length{kind=\"request\"} 1"), "{text}");
        assert!(text.contains("lockbox_queue_age_seconds{kind=\"request\"} 2.0"), "{text}");
        let _ = work(&queue, "bad", Duration::from_secs(3)).await;
        let text = metrics.text();
        for line in [
            "lockbox_queue_length{kind=\"request\"} 0",
            "lockbox_queue_wait_seconds_sum{kind=\"request\"} 2.0",
            "lockbox_reconcile_duration_seconds_sum{kind=\"request\"} 3.0",
            "lockbox_reconcile_errors_total{kind=\"request\",class=\"bad\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }
}
