//! What a watch says while another operator acts: stores are filled from it, and nobody works on it. Whoever takes over begins
//! with what is stored then, and with nothing that waited since before.

use std::future::{self, Future};

use futures::{Stream, StreamExt as _, stream};
use kube::{
    Resource,
    runtime::reflector::{Lookup, Store},
};

/// Drops what comes until `open` completes, and hands on what comes then.
pub fn held<T: Send + 'static>(
    stream: impl Stream<Item = T> + Send + 'static,
    open: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = T> + Send + 'static {
    stream::once(after(stream, open)).flatten()
}

/// What comes after `open` has completed.
async fn after<T>(stream: impl Stream<Item = T>, open: impl Future<Output = ()>) -> impl Stream<Item = T> {
    let mut stream = Box::pin(stream);
    stream.by_ref().take_until(Box::pin(open)).for_each(|_| future::ready(())).await;
    stream
}

/// The same, and begins with all that is in `store`, which the stream keeps up to date.
pub fn held_in<K, E>(
    stream: impl Stream<Item = Result<K, E>> + Send + 'static,
    store: Store<K>,
    open: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = Result<K, E>> + Send + 'static
where
    K: Resource + Lookup<DynamicType = <K as Resource>::DynamicType> + Clone + Send + Sync + 'static,
    <K as Resource>::DynamicType: Clone + Eq + std::hash::Hash + Send + Sync,
    E: Send + 'static,
{
    stream::once(async move {
        let stream = after(stream, open).await;
        // One by one: what is copied is gone before the next one is.
        let known = stream::iter(store.state()).map(|object| Ok(K::clone(&object)));
        known.chain(stream)
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{
        ResourceExt as _,
        runtime::{WatchStreamExt as _, reflector, watcher},
    };
    use tokio::sync::{mpsc, oneshot};
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;

    fn object(name: &str, version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.into());
        object.metadata.resource_version = Some(version.into());
        object
    }

    #[tokio::test]
    async fn who_takes_over_begins_with_what_is_stored_then_and_with_nothing_older() {
        let (store, writer) = reflector::store();
        let (changes, changed) = mpsc::unbounded_channel();
        let (opens, open) = oneshot::channel::<()>();
        let stream = UnboundedReceiverStream::new(changed).reflect(writer).touched_objects();
        let stream = held_in(stream, store, async move { drop(open.await) });
        let mut stream = Box::pin(stream);
        let apply = |name, version| {
            changes.send(Ok::<_, watcher::Error>(watcher::Event::Apply(object(name, version)))).unwrap();
        };
        changes.send(Ok(watcher::Event::Init)).unwrap();
        changes.send(Ok(watcher::Event::InitDone)).unwrap();
        apply("a", "1");
        apply("b", "2");
        apply("a", "3");
        changes.send(Ok(watcher::Event::Delete(object("b", "4")))).unwrap();
        assert!(futures::poll!(stream.next()).is_pending(), "nothing is handed on");
        opens.send(()).unwrap();
        let seen = |object: ConfigMap| (object.name_any(), object.metadata.resource_version.clone().unwrap());
        assert_eq!(seen(stream.next().await.unwrap().unwrap()), ("a".into(), "3".into()));
        assert!(futures::poll!(stream.next()).is_pending());
        apply("c", "5");
        assert_eq!(seen(stream.next().await.unwrap().unwrap()), ("c".into(), "5".into()));
    }

    #[tokio::test]
    async fn where_nobody_else_acts_everything_is_handed_on() {
        let stream = held(stream::iter([1, 2, 3]), future::ready(()));
        assert_eq!(stream.collect::<Vec<_>>().await, [1, 2, 3]);
    }
}
