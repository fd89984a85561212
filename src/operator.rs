//! Wiring: which watch feeds which reconciler, and how everything is stopped.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{self, BoxFuture, Shared},
    stream,
};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Controller,
        controller::{self, Error as ControllerError},
        reflector::{Lookup, ObjectRef, Store},
        watcher,
    },
};
use tokio::sync::watch;

use crate::{
    cluster::Cluster,
    config::Config,
    controller::{
        Context, Guarded, assignments,
        changes::{Change, Changes},
        people::People,
        proofs::{self, Board},
        requests::{self, Requests},
        retry::Retries,
        settings, sweep, views,
        watches::{healthy, stored, stored_telling},
    },
    http::{self, Readiness},
};
use lockbox_api::{LockboxRequest, LockboxSettings, Phase, RoleAssignment, names};

/// Requests that are closed are never sent to us: the watch stays as small as what is open.
const OPEN: &str = "status.closed!=true";
/// How long what is being worked on may take when we are asked to stop. It can be cut off: status is the only memory.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// Why the operator stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CRDs are not there.
    #[error(
        "the kinds of lockbox.dev are not served by this cluster ({0}): install the chart, or kubectl apply -f crds/"
    )]
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
    check_kinds(&client).await?;
    let readiness = Readiness::default();
    let (listen, concurrency) = (config.listen, config.concurrency);
    let cluster = Cluster::new(client.clone(), config);
    let policies = policies(&client);
    let watches = Watches::new(&client);
    let context = Arc::new(Context {
        cluster,
        settings: watches.settings.clone(),
        assignments: watches.assignments.clone(),
        retries: Retries::default(),
        proofs: Board::new(watches.changes.clone()),
    });
    let ready = watches.ready(context.clone(), readiness.clone());
    let (stopping, stopped) = watch::channel(false);
    let wiring = Wiring {
        client,
        context: context.clone(),
        limits: controller::Config::default().concurrency(concurrency),
        ready: ready.clone(),
        stopped,
    };
    let reconcilers = future::join3(
        wiring.clone().reconcile_requests(&watches),
        wiring.clone().reconcile_assignments(&watches),
        wiring.reconcile_settings(&watches),
    );
    let trials = {
        let context = context.clone();
        async move {
            let (board, cluster) = (&context.proofs, &context.cluster);
            let canaries = proofs::run_canaries(board, cluster);
            future::join(Box::pin(proofs::run(board, cluster, policies)), Box::pin(canaries)).await
        }
    };
    let sweeps = sweep::run(context.clone());
    let people = People {
        shared: context,
        bindings: watches.people.clone(),
        cluster_bindings: watches.cluster_people.clone(),
        changes: watches.changes.clone(),
    };
    let background = future::join4(watches.pump, ready.then(|()| people.run()), sweeps, trials);
    let probes = async {
        match listen {
            Some(address) => http::serve(address, readiness).await.map_err(Error::Http),
            None => future::pending().await,
        }
    };

    let mut reconcilers = Box::pin(reconcilers);
    tokio::select! {
        () = stop => {}
        _ = &mut reconcilers => return Err(Error::Ended("the controllers")),
        _ = background => return Err(Error::Ended("a watch")),
        failed = probes => return failed.and(Err(Error::Ended("the probes"))),
    }
    tracing::info!("stopping: what is being worked on is finished first");
    let _ = stopping.send(true);
    let _ = tokio::time::timeout(STOP_WITHIN, reconcilers).await;
    Ok(())
}

/// What is watched once and read by several.
struct Watches {
    settings: Store<Guarded<LockboxSettings>>,
    assignments: Store<Guarded<RoleAssignment>>,
    people: Store<PartialObjectMeta<RoleBinding>>,
    cluster_people: Store<PartialObjectMeta<ClusterRoleBinding>>,
    changes: Changes,
    /// Keeps the stores up to date and tells of changes; never ends.
    pump: BoxFuture<'static, ()>,
}

impl Watches {
    fn new(client: &Client) -> Self {
        let all = watcher::Config::default;
        let of_people = || all().labels(names::PEOPLE);
        let changes = Changes::default();
        let (settings, settings_changes) = stored::<Guarded<LockboxSettings>>(Api::all(client.clone()), all());
        let (assignments, assignment_changes) = stored::<Guarded<RoleAssignment>>(Api::all(client.clone()), all());
        let (people, people_changes) = stored::<PartialObjectMeta<RoleBinding>>(Api::all(client.clone()), of_people());
        let (cluster_people, cluster_people_changes) =
            stored::<PartialObjectMeta<ClusterRoleBinding>>(Api::all(client.clone()), of_people());
        let pump = {
            let changes = changes.clone();
            let all = stream::select_all([
                healthy(settings_changes).map(|_| Change::Settings).boxed(),
                healthy(assignment_changes)
                    .map(|changed| Change::Assignment(changed.meta().namespace.clone().unwrap_or_default()))
                    .boxed(),
                healthy(people_changes).map(|_| Change::People).boxed(),
                healthy(cluster_people_changes).map(|_| Change::People).boxed(),
            ]);
            all.for_each(move |change| {
                changes.tell(change);
                future::ready(())
            })
            .boxed()
        };
        Self { settings, assignments, people, cluster_people, changes, pump }
    }

    /// Completes when the stores are filled: whatever is decided is decided with everything known.
    fn ready(&self, context: Arc<Context>, readiness: Readiness) -> Shared<BoxFuture<'static, ()>> {
        let (settings, assignments) = (self.settings.clone(), self.assignments.clone());
        let (people, cluster_people) = (self.people.clone(), self.cluster_people.clone());
        async move {
            filled(&settings).await;
            filled(&assignments).await;
            filled(&people).await;
            filled(&cluster_people).await;
            context.proofs.tried().await;
            readiness.set();
            tracing::info!("ready: settings and assignments are known, and the admission policies were tried");
        }
        .boxed()
        .shared()
    }
}

async fn filled<K>(store: &Store<K>)
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    // An error means that the writer is gone, and then the whole operator is ending.
    let _ = store.wait_until_ready().await;
}

type Ready = Shared<BoxFuture<'static, ()>>;

/// What every controller is given.
#[derive(Clone)]
struct Wiring {
    client: Client,
    context: Arc<Context>,
    limits: controller::Config,
    ready: Ready,
    stopped: watch::Receiver<bool>,
}

impl Wiring {
    fn reconcile_requests(self, watches: &Watches) -> impl Future<Output = ()> + use<> {
        let all = watcher::Config::default;
        let of_grants = || all().labels(names::REQUEST_UID);
        let api = || self.client.clone();
        let news = views::News::default();
        let complete = news.clone();
        let (store, changed) =
            stored_telling::<Guarded<LockboxRequest>>(Api::all(api()), all().fields(OPEN), move || complete.filled());
        let seen = news.clone();
        let changed = changed.inspect(move |change| {
            let _ = change.as_ref().map(|request| seen.request(request));
        });
        let (bindings, binding_changes) = stored::<PartialObjectMeta<RoleBinding>>(Api::all(api()), of_grants());
        let (cluster_bindings, cluster_binding_changes) =
            stored::<PartialObjectMeta<ClusterRoleBinding>>(Api::all(api()), of_grants());
        let home = self.context.cluster.config().tenant_namespace.clone();

        let touched = touched_by_changes(store.clone(), watches.changes.read(), home.clone());
        let of_grant = |labels: &BTreeMap<String, String>, namespace: &str| {
            labels.get(names::REQUEST).map(|name| ObjectRef::<Guarded<LockboxRequest>>::new(name).within(namespace))
        };
        let of_bindings = healthy(binding_changes).filter_map(move |binding| {
            future::ready(of_grant(binding.labels(), binding.meta().namespace.as_deref().unwrap_or_default()))
        });
        let of_cluster_bindings = healthy(cluster_binding_changes)
            .filter_map(move |binding| future::ready(of_grant(binding.labels(), &home)));

        let until = until_stopped(self.stopped.clone());
        let views = views::run(self.context.clone(), news, store.clone(), self.ready.clone().map(drop), until);
        let requests = Arc::new(Requests::new(self.context, store.clone(), bindings.clone(), cluster_bindings.clone()));
        // These stores are filled by this very controller, so its reconcilers run already while they wait for them. One
        // shared wait for all: of many who wait for a store directly, kube wakes the last one alone.
        let ready = self.ready;
        let known = async move {
            ready.await;
            filled(&bindings).await;
            filled(&cluster_bindings).await;
        }
        .boxed()
        .shared();
        let run = Controller::for_stream(changed, store)
            .with_config(self.limits)
            .reconcile_on(touched)
            .reconcile_on(of_bindings)
            .reconcile_on(of_cluster_bindings)
            .graceful_shutdown_on(until_stopped(self.stopped))
            .run(after(known, requests::reconcile), requests::on_error, requests);
        future::join(drain("request", run), views).map(drop)
    }

    fn reconcile_assignments(self, watches: &Watches) -> impl Future<Output = ()> + use<> {
        let store = watches.assignments.clone();
        // Changes of assignments reach the controller by its own watch.
        let touched = watches.changes.read().flat_map(move |change| {
            let touched: Vec<_> = match change {
                Change::Settings => store.state().iter().map(|object| ObjectRef::from_obj(object.as_ref())).collect(),
                Change::Assignment(_) | Change::People | Change::Proofs => vec![],
            };
            stream::iter(touched)
        });
        let run = Controller::new(Api::<Guarded<RoleAssignment>>::all(self.client), watcher::Config::default())
            .with_config(self.limits)
            .reconcile_on(touched)
            .graceful_shutdown_on(until_stopped(self.stopped))
            .run(after(self.ready, assignments::reconcile), assignments::on_error, self.context);
        drain("assignment", run)
    }

    fn reconcile_settings(self, watches: &Watches) -> impl Future<Output = ()> + use<> {
        // Whoever fell behind is told of the settings in place of what was missed.
        let shown =
            watches.changes.read().filter(|change| future::ready(matches!(change, Change::Proofs | Change::Settings)));
        let levels = Api::<PartialObjectMeta<ClusterRole>>::all(self.client.clone());
        let labelled = watcher::Config::default().labels(names::ACCESS_LEVEL);
        let run = Controller::new(Api::<Guarded<LockboxSettings>>::all(self.client), watcher::Config::default())
            .with_config(self.limits.concurrency(1))
            .watches(levels, labelled, |_| [ObjectRef::new(names::SETTINGS)])
            .reconcile_on(shown.map(|_| ObjectRef::new(names::SETTINGS)))
            .graceful_shutdown_on(until_stopped(self.stopped))
            .run(after(self.ready, settings::reconcile), settings::on_error, self.context);
        drain("settings", run)
    }
}

/// The requests that a change of settings or assignments touches. Tenant assignments touch all: under some models
/// Global Administrators decide everywhere.
fn touched_by_changes(
    store: Store<Guarded<LockboxRequest>>,
    changes: impl Stream<Item = Change> + Send + 'static,
    home: String,
) -> impl Stream<Item = ObjectRef<Guarded<LockboxRequest>>> + Send + 'static {
    changes.flat_map(move |change| {
        let touches = |request: &Arc<Guarded<LockboxRequest>>| match &change {
            Change::Settings => true,
            Change::Assignment(namespace) => {
                *namespace == home || request.meta().namespace.as_deref() == Some(namespace)
            }
            Change::Proofs => waits_for_proofs(request),
            Change::People => false,
        };
        let touched: Vec<_> = store
            .state()
            .iter()
            .filter(|request| touches(request))
            .map(|request| ObjectRef::from_obj(request.as_ref()))
            .collect();
        stream::iter(touched)
    })
}

/// What has ended, and what is granted already, depends on no proof.
fn waits_for_proofs(request: &Guarded<LockboxRequest>) -> bool {
    let phase = request.0.as_ref().ok().and_then(|request| request.status.as_ref()).and_then(|status| status.phase);
    let phase = phase.unwrap_or_default();
    !phase.is_terminal() && phase != Phase::AccessGranted
}

/// Says that one of the chart's admission policies, or of their bindings, changed.
fn policies(client: &Client) -> impl Stream<Item = ()> + Send + use<> {
    let of_lockbox = || watcher::Config::default().labels(&names::of_the_chart());
    let (_, policies) = stored::<PartialObjectMeta<ValidatingAdmissionPolicy>>(Api::all(client.clone()), of_lockbox());
    let (_, bindings) =
        stored::<PartialObjectMeta<ValidatingAdmissionPolicyBinding>>(Api::all(client.clone()), of_lockbox());
    stream::select(healthy(policies).map(drop), healthy(bindings).map(drop))
}

/// A reconciler that waits until everything is known.
fn after<K, C, A>(
    ready: Ready,
    reconcile: impl Fn(Arc<K>, Arc<C>) -> A + Clone + Send + 'static,
) -> impl FnMut(Arc<K>, Arc<C>) -> BoxFuture<'static, A::Output>
where
    K: Send + Sync + 'static,
    C: Send + Sync + 'static,
    A: Future + Send + 'static,
{
    move |object, context| {
        let (ready, reconcile) = (ready.clone(), reconcile.clone());
        async move {
            ready.await;
            reconcile(object, context).await
        }
        .boxed()
    }
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the end, too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Runs a controller. Failures of a reconciler are logged with the object's name where they are handled.
async fn drain<T, E: std::error::Error + 'static>(
    kind: &'static str,
    run: impl Stream<Item = Result<T, ControllerError<E, watcher::Error>>>,
) {
    run.for_each(|result| {
        match result {
            Ok(_) | Err(ControllerError::ObjectNotFound(_) | ControllerError::ReconcilerFailed(..)) => {}
            Err(error) => tracing::warn!(kind, %error, "the controller's queue failed and goes on"),
        }
        future::ready(())
    })
    .await;
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
