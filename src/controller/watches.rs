//! The watches, with what nobody reads left out of memory.

use std::hash::Hash;

use futures::{Stream, StreamExt, future};
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;

/// Objects a page when a list is read: large lists never stand in memory twice.
const PAGE: u32 = 250;

/// A watch that keeps a store up to date and yields every object that came, changed or went.
pub fn stored<K>(
    api: Api<K>,
    config: watcher::Config,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static)
where
    K: Resource<DynamicType: Default + Eq + Hash + Clone>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    stored_telling(api, config, || {})
}

/// The same, and says each time when the store holds everything. Of many who wait for a store directly, kube wakes the
/// last one alone.
pub fn stored_telling<K>(
    api: Api<K>,
    config: watcher::Config,
    filled: impl Fn() + Send + 'static,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static)
where
    K: Resource<DynamicType: Default + Eq + Hash + Clone>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let stream = watcher(api, config.page_size(PAGE))
        .default_backoff()
        .modify(|object: &mut K| {
            object.managed_fields_mut().clear();
            object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
        })
        .inspect(log)
        .reflect(writer)
        .inspect(move |event| {
            if matches!(event, Ok(watcher::Event::InitDone)) {
                filled();
            }
        })
        .touched_objects();
    (store, stream)
}

fn log<T>(event: &Result<T, watcher::Error>) {
    if let Err(error) = event {
        tracing::warn!(%error, "a watch failed and is being started again");
    }
}

/// Only what went well: failures are logged, and the watch starts again by itself.
pub fn healthy<T>(stream: impl Stream<Item = Result<T, watcher::Error>>) -> impl Stream<Item = T> {
    stream.filter_map(|item| future::ready(item.ok()))
}
