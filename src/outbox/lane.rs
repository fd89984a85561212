//! Lanes: what is to be tried when, in the order of time. A lane whose other side is in trouble rests as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{Key, Lane};

/// All lanes; each is there from its first message on.
#[derive(Default)]
pub(super) struct Lanes {
    queues: Mutex<BTreeMap<Lane, Arc<Queue>>>,
    /// A lane was opened.
    opened: Notify,
}

/// One lane.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Something came that may be due before anything else.
    came: Notify,
}

#[derive(Default)]
struct Waiting {
    /// When, in which order, what.
    due: BTreeSet<(Instant, u64, Key)>,
    next: u64,
    /// Nothing is tried before.
    rests_until: Option<Instant>,
    /// Troubles of the other side in a row.
    troubles: u32,
}

impl Lanes {
    /// Tries a message on a lane, after a while.
    pub fn push(&self, lane: &Lane, key: Key, after: Duration) {
        self.queue(lane).push(key, after);
    }

    /// The lanes that are open.
    pub fn open(&self) -> Vec<(Lane, Arc<Queue>)> {
        self.queues().iter().map(|(lane, queue)| (lane.clone(), queue.clone())).collect()
    }

    /// Completes when a lane was opened since this was called last.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    fn queue(&self, lane: &Lane) -> Arc<Queue> {
        let mut queues = self.queues();
        if let Some(queue) = queues.get(lane) {
            return queue.clone();
        }
        let queue = Arc::new(Queue::default());
        queues.insert(lane.clone(), queue.clone());
        self.opened.notify_one();
        queue
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<Lane, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Tries a message after a while.
    pub fn push(&self, key: Key, after: Duration) {
        {
            let mut waiting = self.waiting();
            waiting.next += 1;
            let place = waiting.next;
            waiting.due.insert((Instant::now() + after, place, key));
        }
        self.came.notify_one();
    }

    /// The next message whose time has come.
    pub async fn next(&self) -> Key {
        loop {
            let until = match self.take() {
                Ok(key) => {
                    // Whoever else waits looks again: there may be more.
                    self.came.notify_one();
                    return key;
                }
                Err(until) => until,
            };
            let came = self.came.notified();
            match until {
                Some(until) => {
                    let _ = tokio::time::timeout_at(until, came).await;
                }
                None => came.await,
            }
        }
    }

    fn take(&self) -> Result<Key, Option<Instant>> {
        let mut waiting = self.waiting();
        let Some(at) = waiting.due.first().map(|(at, _, _)| *at) else { return Err(None) };
        let at = waiting.rests_until.map_or(at, |until| until.max(at));
        if at > Instant::now() {
            return Err(Some(at));
        }
        waiting.due.pop_first().map(|(_, _, key)| key).ok_or(None)
    }

    /// Messages that wait.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.waiting().due.len()
    }

    /// The other side is in trouble: the lane rests, longer each time.
    pub fn rest(&self, longer: impl FnOnce(u32) -> Duration) {
        let mut waiting = self.waiting();
        let now = Instant::now();
        // Of several that fail at once, the first counts.
        if waiting.rests_until.is_none_or(|until| until <= now) {
            waiting.troubles = waiting.troubles.saturating_add(1);
            waiting.rests_until = Some(now + longer(waiting.troubles));
        }
    }

    /// The other side answers.
    pub fn works(&self) {
        let mut waiting = self.waiting();
        (waiting.rests_until, waiting.troubles) = (None, 0);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
