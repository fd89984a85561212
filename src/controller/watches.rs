//! The watches, with what nobody reads left out of memory.
//!
//! What a user fills is bounded here in bytes and not in numbers: a cached object keeps what the operator reads of it.

use std::collections::HashSet;

use futures::{Stream, StreamExt, future};
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::{
    Api, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;

use super::{Guarded, packed::Packed};
use lockbox_api::{LockboxSettings, RoleAssignment, names};

/// Objects per page when a list is read. A request may have some 400 KB, and a whole page is in memory at once.
const PAGE: u32 = 20;
/// The same where the operator makes the objects itself, or reads their metadata alone.
const SMALL_PAGE: u32 = 250;

/// What is watched, and what of it is kept.
pub trait Kept: Resource<DynamicType = ()> {
    /// Objects per page.
    const PAGE: u32;
    /// The annotations that are read.
    const ANNOTATIONS: &'static [&'static str];
    /// Takes out what is not read, besides metadata.
    fn trim(&mut self) {}
}

impl Kept for Packed {
    const PAGE: u32 = PAGE;
    const ANNOTATIONS: &'static [&'static str] = &[];
}

impl Kept for Guarded<RoleAssignment> {
    const PAGE: u32 = PAGE;
    const ANNOTATIONS: &'static [&'static str] = &[names::CREATED_BY];

    fn trim(&mut self) {
        self.labels_mut().clear();
    }
}

impl Kept for Guarded<LockboxSettings> {
    const PAGE: u32 = PAGE;
    const ANNOTATIONS: &'static [&'static str] = &[names::CHANGED_BY];
}

impl Kept for Role {
    const PAGE: u32 = SMALL_PAGE;
    const ANNOTATIONS: &'static [&'static str] = &[];
}

impl Kept for ClusterRole {
    const PAGE: u32 = PAGE;
    const ANNOTATIONS: &'static [&'static str] = &[];
}

impl<K> Kept for PartialObjectMeta<K>
where
    Self: Resource<DynamicType = ()>,
{
    const PAGE: u32 = SMALL_PAGE;
    const ANNOTATIONS: &'static [&'static str] = &[names::ASSIGNMENT, names::ASSIGNMENT_UID];
}

/// Takes out of an object what the operator does not read.
pub fn keep<K: Kept>(object: &mut K) {
    object.managed_fields_mut().clear();
    object.annotations_mut().retain(|key, _| K::ANNOTATIONS.contains(&key.as_str()));
    object.trim();
}

/// A watch that keeps a store up to date and yields every object that came, changed or went.
pub fn stored<K>(
    api: Api<K>,
    config: watcher::Config,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static)
where
    K: Kept + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    watched(api, config, |_| {}, || {})
}

/// The same, and says each time when the store holds everything. Of many who wait for a store directly, kube wakes the
/// last one alone.
pub fn stored_telling<K>(
    api: Api<K>,
    config: watcher::Config,
    filled: impl Fn() + Send + 'static,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static)
where
    K: Kept + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    watched(api, config, |_| {}, filled)
}

/// The same, and `gone` is told of each object that went, as it was known last, also of those that went while the watch
/// was interrupted.
pub fn stored_watching<K>(
    api: Api<K>,
    config: watcher::Config,
    gone: impl FnMut(&K) + Send + 'static,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static)
where
    K: Kept + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    watched(api, config, gone, || {})
}

fn watched<K>(
    api: Api<K>,
    config: watcher::Config,
    gone: impl FnMut(&K) + Send + 'static,
    filled: impl Fn() + Send + 'static,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static)
where
    K: Kept + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let stream = kube::runtime::watcher(api, config.page_size(K::PAGE))
        .default_backoff()
        .modify(keep)
        .inspect(log)
        .inspect(departures(store.clone(), gone))
        .reflect(writer)
        .inspect(move |event| {
            if matches!(event, Ok(Event::InitDone)) {
                filled();
            }
        })
        .touched_objects();
    (store, stream)
}

/// A watch of which nothing is kept: it says that something changed.
pub fn changed<K>(api: Api<PartialObjectMeta<K>>, config: watcher::Config) -> impl Stream<Item = ()> + Send + 'static
where
    PartialObjectMeta<K>: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
    K: Send + 'static,
{
    without_errors(
        kube::runtime::watcher(api, config.page_size(SMALL_PAGE)).default_backoff().inspect(log).touched_objects(),
    )
    .map(drop)
}

/// Finds out what went, while the store still holds what was there before.
fn departures<K>(
    store: Store<K>,
    mut gone: impl FnMut(&K) + Send + 'static,
) -> impl FnMut(&Result<Event<K>, watcher::Error>) + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let mut listed: HashSet<String> = HashSet::new();
    move |event| match event {
        Ok(Event::Init) => listed.clear(),
        Ok(Event::InitApply(object)) => {
            listed.extend(object.uid());
        }
        Ok(Event::InitDone) => {
            let known = store.state();
            known
                .iter()
                .filter(|known| known.uid().is_none_or(|uid| !listed.contains(&uid)))
                .for_each(|lost| gone(lost));
            // Nothing of a list is kept until the next one.
            listed = HashSet::new();
        }
        Ok(Event::Delete(object)) => gone(object),
        Ok(Event::Apply(_)) | Err(_) => {}
    }
}

fn log<T>(event: &Result<T, watcher::Error>) {
    if let Err(error) = event {
        tracing::warn!(%error, "a watch failed and is being started again");
    }
}

/// Only what went well: failures are logged, and the watch starts again by itself.
pub fn without_errors<T>(stream: impl Stream<Item = Result<T, watcher::Error>>) -> impl Stream<Item = T> {
    stream.filter_map(|item| future::ready(item.ok()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    fn assignment(name: &str, uid: &str) -> Guarded<RoleAssignment> {
        serde_json::from_value(json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "RoleAssignment",
            "metadata": {"name": name, "namespace": "shop", "uid": uid},
            "spec": {"principal": {"kind": "User", "name": "a"}, "role": "Owner", "scope": "Subscription"},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn what_went_while_a_watch_was_interrupted_is_found_by_the_next_list() {
        let (store, writer) = reflector::store();
        let went = Arc::new(Mutex::new(vec![]));
        let gone = {
            let went = went.clone();
            move |object: &Guarded<RoleAssignment>| went.lock().unwrap().push(object.uid().unwrap())
        };
        let list = |objects: Vec<Guarded<RoleAssignment>>| {
            let objects = objects.into_iter().map(Event::InitApply);
            [Event::Init].into_iter().chain(objects).chain([Event::InitDone])
        };
        let events = list(vec![assignment("a", "1"), assignment("b", "2"), assignment("c", "3")])
            .chain([Event::Delete(assignment("c", "3"))])
            // One is gone, and another is a new one of the same name.
            .chain(list(vec![assignment("b", "4")]))
            .map(Ok);
        let stream = futures::stream::iter(events).inspect(departures(store, gone)).reflect(writer);
        stream.for_each(|_| future::ready(())).await;
        let mut went = went.lock().unwrap().clone();
        went.sort();
        assert_eq!(went, ["1", "2", "3"]);
    }
}
