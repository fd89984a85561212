//! Telling whoever must look again that something changed.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, StreamExt};
use kube::{
    Resource, ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use super::Guarded;
use lockbox_api::{LockboxSettings, RoleAssignment, condition::holds};
use lockbox_lifecycle::proofs;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The settings: everybody looks again.
    Settings,
    /// An assignment in this namespace.
    Assignment(String),
    /// The `ClusterRole` of an access level.
    Level,
    /// A binding of people.
    People,
    /// What stands in the way of people's bindings.
    Troubles,
    /// What is proven of the cluster.
    Proofs,
    /// A message about this request is settled.
    Told {
        /// The request's namespace.
        namespace: String,
        /// The request's name.
        name: String,
    },
}

/// A bounded channel to any number of readers. A reader that falls behind is told that everything changed, so the bound
/// loses nothing.
#[derive(Clone, Debug)]
pub struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(256))
    }
}

impl Changes {
    /// Tells all readers. Without any, nobody needs to know.
    pub fn tell(&self, change: Change) {
        let _ = self.0.send(change);
    }

    /// What changes from now on.
    pub fn read(&self) -> impl Stream<Item = Change> + Send + 'static {
        // The one error is that the reader fell behind.
        BroadcastStream::new(self.0.subscribe()).map(|change| change.unwrap_or(Change::Settings))
    }
}

/// Tells of changes of one kind, unless they change nothing that others look at: most writes are the operator's own.
pub struct News<K> {
    changes: Changes,
    /// What others look at, as a digest.
    look: fn(&K) -> u64,
    change: fn(&K) -> Change,
    /// By UID; as many as there are objects.
    known: Arc<Mutex<HashMap<String, u64>>>,
}

impl<K> Clone for News<K> {
    fn clone(&self) -> Self {
        Self { changes: self.changes.clone(), look: self.look, change: self.change, known: self.known.clone() }
    }
}

impl<K> News<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    /// Nothing is known yet.
    pub fn new(changes: Changes, look: fn(&K) -> u64, change: fn(&K) -> Change) -> Self {
        Self { changes, look, change, known: Arc::default() }
    }

    /// An object went.
    pub fn went(&self, object: &K) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&object.uid().unwrap_or_default());
        self.changes.tell((self.change)(object));
    }

    /// Tells of what comes along this stream, which keeps `store` up to date.
    pub fn tell<E: Send + 'static>(
        self,
        stream: impl Stream<Item = Result<K, E>> + Send + 'static,
        store: Store<K>,
    ) -> impl Stream<Item = Result<K, E>> + Send + 'static {
        stream.inspect(move |changed| {
            let Ok(object) = changed else { return };
            // What went comes along here too, and was told of already.
            if store.get(&ObjectRef::from_obj(object)).is_some() && self.is_new(object) {
                self.changes.tell((self.change)(object));
            }
        })
    }

    fn is_new(&self, object: &K) -> bool {
        let now = (self.look)(object);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(object.uid().unwrap_or_default(), now) != Some(now)
    }
}

/// What others look at in the settings.
pub fn of_settings(guarded: &Guarded<LockboxSettings>) -> u64 {
    let conditions = guarded.0.as_ref().ok().and_then(|settings| settings.status.as_ref());
    let conditions = conditions.map_or(&[][..], |status| &status.conditions);
    let proofs = [proofs::ADMISSION, proofs::SAFETY_NET, proofs::CLOCK].map(|type_| holds(conditions, type_));
    digest(&(guarded.meta().generation, guarded.0.is_ok(), proofs))
}

/// What others look at in an assignment.
pub fn of_assignment(guarded: &Guarded<RoleAssignment>) -> u64 {
    let status = guarded.0.as_ref().ok().and_then(|assignment| assignment.status.as_ref());
    let counts = status.map(|status| {
        let conditions = &status.conditions;
        (holds(conditions, "Recognized"), holds(conditions, "Active"), status.activated_at, status.active_until)
    });
    let ends = guarded.meta().deletion_timestamp.is_some();
    digest(&(guarded.meta().generation, guarded.0.is_ok(), ends, counts))
}

fn digest(what: &impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_fell_behind_is_told_that_everything_changed() {
        let changes = Changes::default();
        let mut reader = changes.read();
        for _ in 0..1_000 {
            changes.tell(Change::Assignment("contoso-prod".into()));
        }
        assert_eq!(reader.next().await, Some(Change::Settings));
    }
}
