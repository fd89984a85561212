//! What the operator remembers of a request between two looks at it. It only saves calls that the API server would
//! refuse: a restart forgets it, and nothing depends on it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lockbox_api::LockboxRequest;

use super::version;

/// Requests that are remembered at most.
const MOST: usize = 20_000;
/// How long a request is remembered after it was closed: until the cache has heard of it, too.
const AFTER_CLOSING: Duration = Duration::from_mins(1);

/// By request UID; forgotten a moment after a request is closed, or when it is gone.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_uid: HashMap<String, Remembered>,
    /// Closed requests, the first closed first.
    closed: VecDeque<(Instant, String)>,
}

/// What we did to a request.
#[derive(Clone, Debug, Default)]
struct Remembered {
    /// Entries published. Status catches up with every transition.
    published: usize,
    /// The version that our last write made.
    version: u64,
    /// Whether the cache has been given time to hear of that version.
    waited: bool,
    /// Something forged about it was let in: a sentence says what.
    forgeable: Option<String>,
}

impl Memory {
    /// Entries of the history that are published: what status says, or more.
    pub fn published(&self, request: &LockboxRequest) -> usize {
        let recorded = request.status.as_ref().and_then(|status| status.events_published).unwrap_or_default();
        self.published_of(uid(request), usize::try_from(recorded).unwrap_or_default())
    }

    /// The same of the request with this UID, whose status says `recorded`.
    pub fn published_of(&self, uid: &str, recorded: usize) -> usize {
        recorded.max(self.lock().by_uid.get(uid).map_or(0, |known| known.published))
    }

    /// Remembers how many entries are published.
    pub fn remember_published(&self, request: &LockboxRequest, published: usize) {
        self.write(request, |known| known.published = published);
    }

    /// Whether this is older than the version that our last write made. Without a version that is a number nothing counts
    /// as old, and a write over it is refused.
    pub fn is_behind(&self, request: &LockboxRequest) -> bool {
        version(request).is_some_and(|version| version < self.read(request).version)
    }

    /// Remembers the version that our write made.
    pub fn remember_version(&self, request: &LockboxRequest) {
        self.write(request, |known| {
            known.version = version(request).unwrap_or_default();
            known.waited = false;
        });
    }

    /// Whether the cache can be given time to hear of our last write: once for each.
    pub fn may_wait(&self, request: &LockboxRequest) -> bool {
        let mut first = false;
        self.write(request, |known| first = !std::mem::replace(&mut known.waited, true));
        first
    }

    /// What forged thing about it was let in.
    pub fn forgeable(&self, request: &LockboxRequest) -> Option<String> {
        self.read(request).forgeable
    }

    /// Remembers that something forged about it was let in.
    pub fn remember_forgeable(&self, request: &LockboxRequest, what: &str) {
        self.write(request, |known| known.forgeable = Some(what.to_owned()));
    }

    /// Remembers the version that closed a request, and forgets the request as soon as the cache must know it.
    pub fn close(&self, request: &LockboxRequest) {
        self.remember_version(request);
        self.lock().closed.push_back((Instant::now(), uid(request).to_owned()));
    }

    /// Forgets a request that is gone.
    pub fn forget(&self, request: &LockboxRequest) {
        self.lock().by_uid.remove(uid(request));
    }

    fn read(&self, request: &LockboxRequest) -> Remembered {
        self.lock().by_uid.get(uid(request)).cloned().unwrap_or_default()
    }

    fn write(&self, request: &LockboxRequest, what: impl FnOnce(&mut Remembered)) {
        let mut memory = self.lock();
        let Known { by_uid, closed } = &mut *memory;
        while closed.front().is_some_and(|(at, _)| at.elapsed() >= AFTER_CLOSING) {
            if let Some((_, uid)) = closed.pop_front() {
                by_uid.remove(&uid);
            }
        }
        if by_uid.len() >= MOST {
            // Of requests that were deleted while they were open. What was found forged is kept.
            by_uid.retain(|_, known| known.forgeable.is_some());
        }
        what(by_uid.entry(uid(request).to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn uid(request: &LockboxRequest) -> &str {
    request.metadata.uid.as_deref().unwrap_or_default()
}
