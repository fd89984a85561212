//! What is seen of lives, by two watches: of requests, and of the bindings that are access.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use lockbox_api::names;
use serde::{Deserialize, de::IgnoredAny};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    client::{Caller, Change, Meta, Object, Versioned, paths},
    error::Error,
};

/// A request, as far as a watch looks at it.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// Its metadata.
    pub metadata: Meta,
    /// What was asked and decided.
    pub spec: Spec,
    /// Where it is.
    pub status: Option<Status>,
}

/// What a watch looks at of a spec.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The customer's decisions.
    #[allow(clippy::zero_sized_map_values, reason = "read from a map whose values nobody looks at")]
    #[serde(default)]
    pub decisions: HashMap<String, IgnoredAny>,
    /// Who asks.
    pub requester: Requester,
}

/// Who asks.
#[derive(Clone, Debug, Deserialize)]
pub struct Requester {
    /// User name.
    pub username: String,
}

/// What a watch looks at of a status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The phase.
    #[serde(default)]
    pub phase: String,
    /// The reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether all is told.
    #[serde(default)]
    pub closed: bool,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Versioned for Request {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

/// What was seen of one life, and when.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The customer was notified.
    pub notified: Option<Instant>,
    /// The binding was there.
    pub bound: Option<Instant>,
    /// The status says that access is granted.
    pub granted: Option<Instant>,
    /// When the access is to end.
    pub until: Option<DateTime<Utc>>,
    /// The binding was gone.
    pub gone: Option<DateTime<Utc>>,
    /// All is told.
    pub closed: Option<Instant>,
    /// Phase and reason of a request that has ended.
    pub end: Option<String>,
}

/// All lives by namespace and name.
#[derive(Default)]
pub struct Tracker {
    lives: Mutex<HashMap<(String, String), watch::Sender<Seen>>>,
}

impl Tracker {
    /// Begins to watch; the tasks end with the guard.
    pub fn start(admin: &Caller) -> (Arc<Self>, Watching) {
        let tracker = Arc::new(Self::default());
        let requests = tokio::spawn({
            let (admin, tracker) = (admin.clone(), tracker.clone());
            async move { admin.follow(paths::ALL_REQUESTS, |change, request| tracker.request(change, &request)).await }
        });
        let bindings = tokio::spawn({
            let (admin, tracker) = (admin.clone(), tracker.clone());
            async move { admin.follow(paths::ALL_GRANTS, |change, binding| tracker.binding(change, &binding)).await }
        });
        (tracker, Watching(vec![requests, bindings]))
    }

    fn request(&self, change: Change, request: &Request) {
        let (Some(status), true) = (&request.status, change != Change::Deleted) else { return };
        let now = Instant::now();
        self.change(&request.metadata.namespace, &request.metadata.name, |seen| {
            match status.phase.as_str() {
                "CustomerNotified" => seen.notified = seen.notified.or(Some(now)),
                "AccessGranted" => seen.granted = seen.granted.or(Some(now)),
                _ => {}
            }
            if status.ended_at.is_some() {
                seen.end = Some(format!("{} {}", status.phase, status.reason.as_deref().unwrap_or_default()));
            }
            if status.closed {
                seen.closed = seen.closed.or(Some(now));
            }
        });
    }

    fn binding(&self, change: Change, binding: &Object) {
        let (now, clock) = (Instant::now(), Utc::now());
        let Some(request) = binding.metadata.labels.get(names::REQUEST) else { return };
        let until = binding.metadata.annotations.get(names::ACCESS_UNTIL).and_then(|text| text.parse().ok());
        self.change(&binding.metadata.namespace, request, |seen| match change {
            Change::Added => {
                seen.bound = seen.bound.or(Some(now));
                seen.until = until;
            }
            Change::Deleted => seen.gone = seen.gone.or(Some(clock)),
            Change::Modified => {}
        });
    }

    fn change(&self, namespace: &str, name: &str, change: impl FnOnce(&mut Seen)) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.entry(key).or_default().send_modify(change);
    }

    /// One life.
    pub fn life(&self, namespace: &str, name: &str) -> Life {
        let key = (namespace.to_owned(), name.to_owned());
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        Life { seen: lives.entry(key).or_default().subscribe(), name: format!("{namespace}/{name}") }
    }
}

/// Watches that end with this value.
pub struct Watching(Vec<JoinHandle<()>>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// What is seen of one life.
pub struct Life {
    seen: watch::Receiver<Seen>,
    name: String,
}

impl Life {
    /// Waits until something was seen; fails when the life ends without it.
    pub async fn wait<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut seen: impl FnMut(&Seen) -> Option<T>,
    ) -> Result<T, Error> {
        let mut found = None;
        let name = self.name.clone();
        let look = self.seen.wait_for(|now| {
            found = seen(now);
            found.is_some() || now.end.is_some()
        });
        let ended = match tokio::time::timeout(within, look).await {
            Err(_) => return Err(Error::Late { what: format!("{name} {what}"), within: within.as_secs() }),
            Ok(Err(_)) => return Err(Error::Said("the watches have ended".into())),
            Ok(Ok(now)) => now.end.clone().unwrap_or_default(),
        };
        found.ok_or_else(|| Error::Said(format!("{name} should be {what} and is {ended}")))
    }

    /// The same for what comes after the end, too.
    pub async fn wait_past_the_end(
        &mut self,
        what: &str,
        within: Duration,
        seen: impl FnMut(&Seen) -> bool,
    ) -> Result<(), Error> {
        match tokio::time::timeout(within, self.seen.wait_for(seen)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Late { what: format!("{} {what}", self.name), within: within.as_secs() }),
        }
    }

    /// What was seen until now.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }
}
