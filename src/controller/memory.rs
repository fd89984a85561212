//! What the operator remembers of a request between two looks at it. It only spares asking the API server for what it
//! would refuse: a restart forgets it, and nothing depends on it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lockbox_api::LockboxRequest;

/// Requests that are remembered at most.
const MOST: usize = 20_000;

/// By request UID; forgotten when a request is closed or gone.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Remembered>>);

/// What we did to a request.
#[derive(Clone, Debug, Default)]
struct Remembered {
    /// Entries published. Status catches up with every transition.
    published: usize,
    /// The version that our last write made.
    version: u64,
    /// Something forged about it was let in: a sentence says what.
    forgeable: Option<String>,
}

impl Memory {
    /// Entries of the history that are published: what status says, or more.
    pub fn published(&self, request: &LockboxRequest) -> usize {
        let recorded = request.status.as_ref().and_then(|status| status.events_published).unwrap_or_default();
        usize::try_from(recorded).unwrap_or_default().max(self.read(request).published)
    }

    /// Remembers how many entries are published.
    pub fn remember_published(&self, request: &LockboxRequest, published: usize) {
        self.write(request, |known| known.published = published);
    }

    /// Whether this is older than the version that our last write made. Versions are numbers on every API server; should
    /// one not be, nothing counts as old, and a write over it is refused.
    pub fn is_behind(&self, request: &LockboxRequest) -> bool {
        version(request).is_some_and(|version| version < self.read(request).version)
    }

    /// Remembers the version that our write made.
    pub fn remember_version(&self, request: &LockboxRequest) {
        self.write(request, |known| known.version = version(request).unwrap_or_default());
    }

    /// What forged thing about it was let in.
    pub fn forgeable(&self, request: &LockboxRequest) -> Option<String> {
        self.read(request).forgeable
    }

    /// Remembers that something forged about it was let in.
    pub fn remember_forgeable(&self, request: &LockboxRequest, what: &str) {
        self.write(request, |known| known.forgeable = Some(what.to_owned()));
    }

    /// Forgets a request that is closed or gone.
    pub fn forget(&self, request: &LockboxRequest) {
        self.lock().remove(uid(request));
    }

    fn read(&self, request: &LockboxRequest) -> Remembered {
        self.lock().get(uid(request)).cloned().unwrap_or_default()
    }

    fn write(&self, request: &LockboxRequest, what: impl FnOnce(&mut Remembered)) {
        let mut memory = self.lock();
        if memory.len() >= MOST {
            // Of requests that were deleted while they were open. What was found forged is kept.
            memory.retain(|_, known| known.forgeable.is_some());
        }
        what(memory.entry(uid(request).to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn uid(request: &LockboxRequest) -> &str {
    request.metadata.uid.as_deref().unwrap_or_default()
}

fn version(request: &LockboxRequest) -> Option<u64> {
    request.metadata.resource_version.as_deref()?.parse().ok()
}
