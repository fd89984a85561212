//! Wiring: which watch feeds which reconciler, and how everything is stopped.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, future};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Controller,
        controller::{self, Error as ControllerError},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio::sync::Notify;

use crate::{
    api::{LockboxRequest, LockboxSettings, RoleAssignment, names},
    cluster::Cluster,
    config::Config,
    controller::{
        Context, Guarded, assignments,
        people::People,
        requests::{self, Requests},
        retry::Retries,
        settings, sweep,
        watches::{healthy, stored, stored_metadata},
    },
    http::{self, Readiness},
};

/// Requests that are closed are never sent to us: the watch stays as small as what is open.
const OPEN: &str = "status.closed!=true";

/// Why the operator stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CRDs are not there.
    #[error("the kinds of lockbox.dev are not installed in this cluster ({0}): install the chart, or kubectl apply -f crds/")]
    NoKinds(String),
    /// The address for probes is taken.
    #[error("cannot serve probes: {0}")]
    Http(#[from] std::io::Error),
    /// A part ended that never should.
    #[error("{0} ended by itself")]
    Ended(&'static str),
}

/// Runs until `stop` completes.
pub async fn run(client: Client, config: Config, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let cluster = Cluster::new(client.clone(), config.clone());
    check_kinds(&client).await?;
    let readiness = Readiness::default();

    let all = watcher::Config::default;
    let guarded_settings: Api<Guarded<LockboxSettings>> = Api::all(client.clone());
    let (settings_store, settings_changes) = stored(guarded_settings.clone(), all());
    let guarded_assignments: Api<Guarded<RoleAssignment>> = Api::all(client.clone());
    let (assignment_store, assignment_changes) = stored(guarded_assignments.clone(), all());
    let (request_store, request_changes) =
        stored(Api::<Guarded<LockboxRequest>>::all(client.clone()), all().fields(OPEN));

    let of_grants = || all().labels(names::REQUEST_UID);
    let of_people = || all().labels(names::PEOPLE);
    let bindings = || Api::<PartialObjectMeta<RoleBinding>>::all(client.clone());
    let cluster_bindings = || Api::<PartialObjectMeta<ClusterRoleBinding>>::all(client.clone());
    let (grants, grant_changes) = stored_metadata(bindings(), of_grants());
    let (cluster_grants, cluster_grant_changes) = stored_metadata(cluster_bindings(), of_grants());
    let (people_bindings, people_changes) = stored_metadata(bindings(), of_people());
    let (people_cluster_bindings, people_cluster_changes) = stored_metadata(cluster_bindings(), of_people());
    let levels: Api<PartialObjectMeta<ClusterRole>> = Api::all(client.clone());
    let (_, level_changes) = stored_metadata(levels, all().labels(names::ACCESS_LEVEL));

    let context = Arc::new(Context {
        cluster: cluster.clone(),
        settings: settings_store.clone(),
        assignments: assignment_store.clone(),
        retries: Retries::default(),
    });
    let people_changed = Arc::new(Notify::new());

    // One watch each for settings and assignments, fanned out to whoever must look again.
    let (settings_fan, settings_for_requests, settings_for_assignments) = fan(settings_changes, &people_changed);
    let (assignments_fan, assignments_for_requests, _) = fan(assignment_changes, &people_changed);
    let people_fan = {
        let changed = people_changed.clone();
        let changed_too = people_changed.clone();
        future::join(
            healthy(people_changes).for_each(move |_| future::ready(changed.notify_one())),
            healthy(people_cluster_changes).for_each(move |_| future::ready(changed_too.notify_one())),
        )
    };

    let every_request = {
        let store = request_store.clone();
        move || store.state().into_iter().map(|request| ObjectRef::from_obj(request.as_ref())).collect::<Vec<_>>()
    };
    let requests_of = {
        let (store, home) = (request_store.clone(), config.tenant_namespace.clone());
        move |namespace: Option<String>| {
            let everywhere = namespace.as_deref() == Some(&home);
            let near = |request: &Arc<Guarded<LockboxRequest>>| everywhere || request.meta().namespace == namespace;
            store
                .state()
                .into_iter()
                .filter(near)
                .map(|request| ObjectRef::from_obj(request.as_ref()))
                .collect::<Vec<_>>()
        }
    };
    let home = config.tenant_namespace.clone();
    let of_grant = |labels: &std::collections::BTreeMap<String, String>, namespace: String| {
        labels.get(names::REQUEST).map(|name| ObjectRef::<Guarded<LockboxRequest>>::new(name).within(&namespace))
    };
    let every_assignment = {
        let store = assignment_store.clone();
        move || store.state().into_iter().map(|object| ObjectRef::from_obj(object.as_ref())).collect::<Vec<_>>()
    };

    let limits = controller::Config::default().concurrency(config.concurrency);
    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let shutdown = || {
        let mut stopped = stopped.clone();
        async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        }
    };

    let run_requests = Controller::for_stream(request_changes, request_store.clone())
        .with_config(limits.clone())
        .watches_stream(settings_for_requests.map(Ok), move |_| every_request())
        .watches_stream(assignments_for_requests.map(Ok), move |changed: Guarded<RoleAssignment>| {
            requests_of(changed.meta().namespace.clone())
        })
        .watches_stream(grant_changes, move |binding: PartialObjectMeta<RoleBinding>| {
            of_grant(binding.labels(), binding.namespace().unwrap_or_default())
        })
        .watches_stream(cluster_grant_changes, move |binding: PartialObjectMeta<ClusterRoleBinding>| {
            of_grant(binding.labels(), home.clone())
        })
        .graceful_shutdown_on(shutdown());
    let requests = Arc::new(Requests {
        shared: context.clone(),
        bindings: grants.clone(),
        cluster_bindings: cluster_grants.clone(),
        published: Mutex::new(HashMap::new()),
    });

    let run_assignments = Controller::new(guarded_assignments, all())
        .with_config(limits.clone())
        .watches_stream(settings_for_assignments.map(Ok), move |_| every_assignment())
        .graceful_shutdown_on(shutdown());
    let run_settings = Controller::new(guarded_settings, all())
        .with_config(limits.concurrency(1))
        .watches_stream(level_changes, |_: PartialObjectMeta<ClusterRole>| [ObjectRef::new(names::SETTINGS)])
        .graceful_shutdown_on(shutdown());

    let people = People {
        shared: context.clone(),
        bindings: people_bindings.clone(),
        cluster_bindings: people_cluster_bindings.clone(),
        changed: people_changed.clone(),
    };

    // Whatever is decided is decided with everything known: nobody reconciles before the stores are filled.
    let ready = {
        let readiness = readiness.clone();
        async move {
            wait_for(&settings_store).await;
            wait_for(&assignment_store).await;
            wait_for(&grants).await;
            wait_for(&cluster_grants).await;
            wait_for(&people_bindings).await;
            wait_for(&people_cluster_bindings).await;
            wait_for(&request_store).await;
            readiness.set();
            tracing::info!("ready: everything that is open was read");
        }
    };
    let ready = futures::FutureExt::shared(ready);

    let reconcilers = async {
        let wait = |name: &'static str| {
            let ready = ready.clone();
            async move {
                ready.await;
                tracing::debug!(name, "starts");
            }
        };
        let gate = |name| wait(name);
        tokio::join!(
            async {
                let requests = requests.clone();
                let gate = ready.clone();
                run_requests
                    .run(
                        move |object, ctx: Arc<Requests>| {
                            let gate = gate.clone();
                            async move {
                                gate.await;
                                requests::reconcile(object, ctx).await
                            }
                        },
                        |object, error, ctx| requests::on_error(object, error, ctx),
                        requests,
                    )
                    .for_each(|result| future::ready(log("request", result.map(drop))))
                    .await;
            },
            async {
                gate("assignments").await;
                run_assignments
                    .run(assignments::reconcile, assignments::on_error, context.clone())
                    .for_each(|result| future::ready(log("assignment", result.map(drop))))
                    .await;
            },
            async {
                gate("settings").await;
                run_settings
                    .run(settings::reconcile, settings::on_error, context.clone())
                    .for_each(|result| future::ready(log("settings", result.map(drop))))
                    .await;
            },
        );
    };
    let background = async {
        let people = async {
            ready.clone().await;
            people.run().await;
        };
        tokio::join!(settings_fan, assignments_fan, people_fan, people, sweep::run(cluster));
    };
    let probes = async {
        match config.listen {
            Some(address) => http::serve(address, readiness).await.map_err(Error::Http),
            None => future::pending().await,
        }
    };

    tokio::pin!(stop);
    tokio::pin!(reconcilers);
    tokio::select! {
        () = &mut stop => {}
        () = &mut reconcilers => return Err(Error::Ended("the controllers")),
        () = background => return Err(Error::Ended("a watch")),
        failed = probes => return failed.and(Err(Error::Ended("the probes"))),
    }
    tracing::info!("stopping: what is being worked on is finished first");
    let _ = stopping.send(true);
    // What is left is taken up again at the next start: status is the only memory.
    let _ = tokio::time::timeout(Duration::from_secs(10), reconcilers).await;
    Ok(())
}

/// Says at once, and by name, when the CRDs are missing.
async fn check_kinds(client: &Client) -> Result<(), Error> {
    let listed = client.list_api_group_resources("lockbox.dev/v1alpha1");
    match tokio::time::timeout(Duration::from_secs(30), listed).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Error::NoKinds(error.to_string())),
        Err(_) => Err(Error::NoKinds("no answer from the API server within 30 s".into())),
    }
}

async fn wait_for<K>(store: &Store<K>)
where
    K: kube::runtime::reflector::Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    // An error means that the writer is gone, and then the whole operator is ending.
    let _ = store.wait_until_ready().await;
}

/// Splits a stream of changes: two copies, and a nudge for people's rights. What a slow reader misses is nothing but a
/// repeated "look again"; the channels are bounded.
fn fan<K: Clone + Send + 'static>(
    changes: impl futures::Stream<Item = Result<K, watcher::Error>> + Send + 'static,
    people: &Arc<Notify>,
) -> (
    impl Future<Output = ()>,
    impl futures::Stream<Item = K> + Send + 'static,
    impl futures::Stream<Item = K> + Send + 'static,
) {
    let people = people.clone();
    let (one, first) = futures::channel::mpsc::channel(64);
    let (two, second) = futures::channel::mpsc::channel(64);
    let run = async move {
        let mut changes = std::pin::pin!(healthy(changes));
        let (mut one, mut two) = (one, two);
        while let Some(change) = changes.next().await {
            people.notify_one();
            // A receiver that is gone wants nothing.
            let _ = futures::SinkExt::send(&mut one, change.clone()).await;
            let _ = futures::SinkExt::send(&mut two, change).await;
        }
    };
    (run, first, second)
}

fn log<E: std::error::Error + 'static>(kind: &'static str, result: Result<(), ControllerError<E, watcher::Error>>) {
    match result {
        // The object went, or left our selection, before its turn came.
        Ok(()) | Err(ControllerError::ObjectNotFound(_)) => {}
        // Logged with the object's name where it was handled.
        Err(ControllerError::ReconcilerFailed(..)) => {}
        Err(error) => tracing::warn!(kind, %error, "the controller's queue failed and goes on"),
    }
}
