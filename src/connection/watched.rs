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
}

impl Watched {
    /// A watch is being started, or failed.
    pub fn moved(&self, call: &Call) {
        let Some(key) = &call.watch else { return };
        let now = Instant::now();
        let fresh = || Watch { resource: call.resource, heard: now, moved: now };
        self.lock().entry(key.clone()).or_insert_with(fresh).moved = now;
    }

    /// Something came.
    pub fn heard(&self, call: &Call) {
        let Some(key) = &call.watch else { return };
        let now = Instant::now();
        self.lock().insert(key.clone(), Watch { resource: call.resource, heard: now, moved: now });
    }

    /// For how long each has heard nothing.
    pub fn silent(&self) -> Vec<(&'static str, Duration)> {
        self.lock().values().map(|watch| (watch.resource, watch.heard.elapsed())).collect()
    }

    /// For how long each has neither heard anything nor failed.
    pub fn still(&self) -> Vec<(&'static str, Duration)> {
        self.lock().values().map(|watch| (watch.resource, watch.moved.elapsed())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Watch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
