//! When each watch last heard anything.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Call;

/// All watches that were ever started. There are as many as the operator has: a fixed number.
#[derive(Clone, Debug, Default)]
pub struct Watched(Arc<Mutex<BTreeMap<String, Watch>>>);

#[derive(Debug)]
struct Watch {
    resource: &'static str,
    /// When something came: a change, a bookmark, or the answer that it is open.
    heard: Instant,
    /// When it did anything at all: it may have failed, and be tried again.
    moved: Instant,
    /// Since when it is not open; none while it is.
    closed: Option<Instant>,
}

impl Watched {
    /// A watch is being started, failed, or is over; or what it begins with is listed.
    pub fn moved(&self, call: &Call) {
        let Some(key) = &call.selection else { return };
        let now = Instant::now();
        let mut watches = self.lock();
        if call.is_watch() {
            let fresh = || Watch { resource: call.resource, heard: now, moved: now, closed: None };
            let watch = watches.entry(key.clone()).or_insert_with(fresh);
            watch.moved = now;
            watch.closed.get_or_insert(now);
        } else if let Some(watch) = watches.get_mut(key).filter(|watch| watch.closed.is_some()) {
            // While it is open, somebody else lists the same.
            watch.moved = now;
        }
    }

    /// Something came.
    pub fn heard(&self, call: &Call) {
        let Some(key) = call.selection.as_ref().filter(|_| call.is_watch()) else { return };
        let now = Instant::now();
        self.lock().insert(key.clone(), Watch { resource: call.resource, heard: now, moved: now, closed: None });
    }

    /// For how long each has heard nothing.
    pub fn silent(&self) -> Vec<(&'static str, Duration)> {
        self.each(|watch| Some(watch.heard))
    }

    /// For how long each has not been open.
    pub fn closed(&self) -> Vec<(&'static str, Duration)> {
        self.each(|watch| watch.closed)
    }

    /// For how long each has neither heard anything nor failed.
    pub fn still(&self) -> Vec<(&'static str, Duration)> {
        self.each(|watch| Some(watch.moved))
    }

    fn each(&self, since: impl Fn(&Watch) -> Option<Instant>) -> Vec<(&'static str, Duration)> {
        self.lock().values().filter_map(|watch| Some((watch.resource, since(watch)?.elapsed()))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Watch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
