//! Wiring: which watch feeds which reconciler, and how everything stops.

use std::{collections::BTreeMap, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{self, BoxFuture, Either, Shared},
    stream::{self, BoxStream},
};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DynamicObject, PartialObjectMeta},
    runtime::{
        Controller,
        controller::{self, Error as ControllerError},
        reflector::{Lookup, ObjectRef, Store},
        watcher,
    },
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tracing::Instrument as _;

use crate::{
    activity::{self, Endpoint},
    cluster::{Cluster, Error as ClusterError, OurKinds},
    config::Config,
    connection::Connection,
    controller::{
        Context, Guarded, assignments,
        changes::{Change, Changes, News, of_assignment, of_settings},
        gone::Gone,
        on_error,
        packed::Packed,
        people::{People, Troubles},
        proofs::{self, CurrentProofs},
        queue::Queue,
        removals,
        requests::{self, Requests},
        retry::Retries,
        seen, settings, standby, sweep, views,
        watches::{changed, stored, stored_telling, stored_watching, without_errors},
    },
    health::Health,
    http,
    lease::{Candidate, Lead, Lost},
    metrics::Metrics,
    outbox::{self, Outbox, Postman},
};
use lockbox_api::{LockboxSettings, Phase, RoleAssignment, names};
use lockbox_lifecycle::Channels;

/// Requests that are closed are never sent to us: the watch stays as small as what is open.
const OPEN: &str = "status.closed!=true";
/// Longest time between two looks for our kinds at the start.
const KINDS_AGAIN: Duration = Duration::from_secs(5);
/// How long what is being worked on may take when we are asked to stop. It can be cut off: status is the only memory.
const STOP_WITHIN: Duration = Duration::from_secs(8);
/// How long it may take to give the Lease back. It runs out by itself.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(4);

/// Why the operator stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address for probes is taken.
    #[error("cannot serve probes: {0}")]
    Http(#[from] std::io::Error),
    /// The audit stream cannot be taken.
    #[error(transparent)]
    Activity(#[from] activity::Error),
    /// Another operator may act now. Whatever is half done here, it does again.
    #[error("this operator no longer leads: {0}; it stops at once, and stands by when it is started again")]
    Lease(#[from] Lost),
    /// A part ended that should never end.
    #[error("{0} ended by itself")]
    Ended(&'static str),
}

/// Runs until `stop` completes. It answers probes from the beginning, and waits for whatever the API server lacks at
/// the start.
pub async fn run(connection: Connection, config: Config, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let Connection { client, metrics, watched } = connection;
    let health = Health::new(watched, &metrics);
    let listen = config.listen;
    let (elsewhere, taken_elsewhere) = watch::channel(None);
    let endpoint = match config.activity.clone() {
        Some(config) => Some(Endpoint::open(config, health.clone(), metrics.clone(), taken_elsewhere).await?),
        None => None,
    };
    let books = endpoint.as_ref().map(Endpoint::books);
    let heard = async move {
        match endpoint {
            Some(endpoint) => endpoint.serve().await,
            None => future::pending().await,
        }
    };
    let probes = probes(listen, health.clone(), metrics.clone());
    let (mut probes, mut heard, mut stop) = (Box::pin(probes), Box::pin(heard), Box::pin(stop));
    let cluster = Cluster::new(client.clone(), config);
    tokio::select! {
        () = wait_for_kinds(&cluster) => {}
        () = &mut stop => return Ok(()),
        failed = &mut probes => return failed.and(Err(Error::Ended("the probes"))),
        () = &mut heard => return Err(Error::Ended("the audit stream")),
    }
    let (concurrency, home) = (cluster.config().concurrency, cluster.config().tenant_namespace.clone());
    let policies = policies(&client);
    let (watches, streams) = Watches::new(&client);
    let outbox = Outbox::new(channels(cluster.config()), watches.changes.clone(), metrics.clone());
    let context = Arc::new(Context {
        cluster,
        settings: watches.settings.clone(),
        assignments: watches.assignments.clone(),
        requests: watches.requests.clone(),
        levels: watches.levels.clone(),
        retries: Retries::default(),
        proofs: CurrentProofs::new(watches.changes.clone()),
        troubles: Troubles::default(),
        outbox,
        gone: watches.gone.clone(),
        metrics: metrics.clone(),
        activity: books,
    });
    let filled = watches.filled();
    let (lead, give_back, elected) = compete(&context, &health, filled.clone(), elsewhere);
    show(&context, &lead);
    let queues = Queues::new(&metrics, &health);
    let ready = ready(filled, elected.clone(), context.clone(), health);
    let (stopping, stopped) = watch::channel(false);
    let wiring = Wiring {
        client,
        context: context.clone(),
        limits: controller::Config::default().concurrency(concurrency),
        lead: lead.clone(),
        elected: elected.clone(),
        ready: ready.clone(),
        queues,
        stopped,
    };
    let reconcilers = future::join4(
        wiring.clone().reconcile_requests(&watches, streams.requests, home),
        wiring.clone().reconcile_assignments(&watches, streams.assignments),
        wiring.clone().reconcile_removals(),
        wiring.reconcile_settings(&watches, streams.settings),
    );
    let trials = trials(elected.clone(), context.clone(), policies);
    let sweeps = sweep::run(context.clone(), lead.clone());
    let telling = tell(ready.clone(), context.clone());
    let told = tell_of_the_gone(elected, context.clone());
    let people = People {
        shared: context,
        bindings: watches.people.clone(),
        cluster_bindings: watches.cluster_people.clone(),
        changes: watches.changes.clone(),
    };
    let people = ready.then(|()| people.run());
    let background = future::join(future::join5(streams.pump, people, sweeps, trials, told), telling);

    let mut reconcilers = Box::pin(reconcilers);
    tokio::select! {
        // First, so that nothing else begins when it is too late.
        biased;
        why = lead.lost() => return Err(why.into()),
        () = stop => {}
        _ = &mut reconcilers => return Err(Error::Ended("the controllers")),
        _ = background => return Err(Error::Ended("a watch")),
        failed = probes => return failed.and(Err(Error::Ended("the probes"))),
        () = heard => return Err(Error::Ended("the audit stream")),
    }
    tracing::info!("stopping: what is being worked on is finished first");
    let _ = stopping.send(true);
    tokio::select! {
        biased;
        why = lead.lost() => return Err(why.into()),
        _ = tokio::time::timeout(STOP_WITHIN, reconcilers) => {}
    }
    hand_over(give_back).await;
    Ok(())
}

/// Nothing acts here any more: the next one may.
async fn hand_over(give_back: Option<GiveBack>) {
    if let Some((give_back, given_back)) = give_back {
        let _ = give_back.send(());
        let _ = tokio::time::timeout(GIVE_BACK_WITHIN, given_back).await;
    }
}

/// Has what there is shown when somebody asks. Who stands by has tried nothing, and of the rest the other one tells.
fn show(context: &Arc<Context>, lead: &Lead) {
    let (shown, lead) = (context.clone(), lead.clone());
    context.metrics.when_asked(move |seen| {
        if lead.is_leading() {
            seen::show(&shown, seen);
        }
    });
}

/// What has the Lease given back, and what says that it is.
type GiveBack = (oneshot::Sender<()>, JoinHandle<()>);

/// Competes for the Lease, if there is to be one, by a task of its own: whoever is busy still renews it. Returns also what
/// completes when this operator acts.
fn compete(
    context: &Context,
    health: &Health,
    filled: Ready,
    elsewhere: watch::Sender<Option<SocketAddr>>,
) -> (Lead, Option<GiveBack>, Ready) {
    if !context.cluster.config().leader_election {
        let lead = Lead::alone(&context.metrics);
        let elected = lead.elected().boxed().shared();
        return (lead, None, elected);
    }
    let (candidate, lead) = Candidate::new(context.cluster.clone(), context.metrics.clone(), elsewhere);
    let ((give_back, stop), (know, known)) = (oneshot::channel(), oneshot::channel());
    let given_back = tokio::spawn(candidate.run(known, stop));
    // The task must not wait for the stores itself: of those who wait for one, kube wakes the last one alone.
    let elected = {
        let (lead, health) = (lead.clone(), health.clone());
        async move {
            filled.await;
            health.stands_by(true);
            let _ = know.send(());
            lead.elected().await;
        }
    };
    (lead, Some((give_back, given_back)), elected.boxed().shared())
}

/// Completes when this operator acts and everything is known: whatever is decided is decided with that.
fn ready(filled: Ready, elected: Ready, context: Arc<Context>, health: Health) -> Ready {
    async move {
        elected.await;
        if let Some(books) = &context.activity {
            books.begin();
        }
        health.stands_by(false);
        filled.await;
        context.proofs.tried().await;
        health.started();
        tracing::info!("ready: what is stored is known, and the admission policies were tried");
    }
    .boxed()
    .shared()
}

/// Answers probes, where there is an address for them.
async fn probes(listen: Option<SocketAddr>, health: Health, metrics: Metrics) -> Result<(), Error> {
    match listen {
        Some(address) => http::serve(address, health, metrics).await.map_err(Error::Http),
        None => future::pending().await,
    }
}

/// Tries the policies, the clock and the safety net, over and over.
async fn trials(elected: Ready, context: Arc<Context>, policies: impl Stream<Item = ()> + Send) {
    elected.await;
    let (board, cluster) = (&context.proofs, &context.cluster);
    let canaries = proofs::run_canaries(board, cluster);
    future::join(Box::pin(proofs::run(board, cluster, policies)), Box::pin(canaries)).await;
}

/// The ways out that the installation offers.
fn channels(config: &Config) -> Channels {
    config.notifications.as_ref().map_or_else(Channels::default, |offered| Channels {
        mail: offered.smtp.is_some(),
        // Which there are, the settings say; their addresses are in the mounted Secret.
        webhooks: true,
    })
}

/// Reports what was deleted.
async fn tell_of_the_gone(elected: Ready, context: Arc<Context>) {
    elected.await;
    context.gone.run(&context.cluster).await;
}

/// Carries messages out, where the installation offers a way.
async fn tell(ready: Ready, context: Arc<Context>) {
    ready.await;
    match context.cluster.config().notifications.clone() {
        Some(offered) => outbox::run(context, Arc::new(Postman::new(offered))).await,
        None => future::pending().await,
    }
}

/// Waits until our kinds are served. Only a 404 says that they are missing; anything else is trouble on the way to the
/// API server, and passes.
async fn wait_for_kinds(cluster: &Cluster) {
    let retries = Retries::default();
    loop {
        match cluster.our_kinds().await {
            Ok(OurKinds::Served) => return,
            Ok(OurKinds::Missing) => tracing::error!(
                "the kinds of lockbox.dev are not served by this cluster: install the chart, or kubectl apply --server-side -f crds/; waiting for them"
            ),
            Err(error) => tracing::warn!(%error, "waiting for the API server"),
        }
        tokio::time::sleep(retries.failed("").min(KINDS_AGAIN)).await;
    }
}

type Changed<K> = BoxStream<'static, Result<K, watcher::Error>>;

/// What is watched once and read by several.
struct Watches {
    settings: Store<Guarded<LockboxSettings>>,
    assignments: Store<Guarded<RoleAssignment>>,
    requests: Store<Packed>,
    levels: Store<ClusterRole>,
    people: Store<PartialObjectMeta<RoleBinding>>,
    cluster_people: Store<PartialObjectMeta<ClusterRoleBinding>>,
    changes: Changes,
    gone: Arc<Gone>,
    news: views::News,
}

/// What keeps the stores up to date: each is polled by the controller of its kind.
struct Streams {
    settings: Changed<Guarded<LockboxSettings>>,
    assignments: Changed<Guarded<RoleAssignment>>,
    requests: Changed<Packed>,
    /// What no controller polls; never ends.
    pump: BoxFuture<'static, ()>,
}

impl Watches {
    fn new(client: &Client) -> (Self, Streams) {
        let all = watcher::Config::default;
        let of_people = || all().labels(names::PEOPLE);
        let (changes, gone) = (Changes::default(), Arc::new(Gone::default()));
        let of_settings = News::new(changes.clone(), of_settings, |_| Change::Settings);
        let (settings, settings_changes) = {
            let (gone, news) = (gone.clone(), of_settings.clone());
            let went = move |went: &Guarded<LockboxSettings>| {
                gone.settings(went);
                news.went(went);
            };
            stored_watching(Api::all(client.clone()), all(), went)
        };
        let settings_changes = of_settings.tell(settings_changes, settings.clone());
        let of_assignments = News::new(changes.clone(), of_assignment, |changed| {
            Change::Assignment(changed.meta().namespace.clone().unwrap_or_default())
        });
        let (assignments, assignment_changes) = {
            let (gone, news) = (gone.clone(), of_assignments.clone());
            let went = move |went: &Guarded<RoleAssignment>| {
                gone.assignment(went);
                news.went(went);
            };
            stored_watching(Api::all(client.clone()), all(), went)
        };
        let assignment_changes = of_assignments.tell(assignment_changes, assignments.clone());
        let news = views::News::default();
        let complete = news.clone();
        let (requests, request_changes) =
            stored_telling::<Packed>(Api::all(client.clone()), all().fields(OPEN), move || {
                complete.filled();
            });
        let (people, people_changes) = stored::<PartialObjectMeta<RoleBinding>>(Api::all(client.clone()), of_people());
        let (cluster_people, cluster_people_changes) =
            stored::<PartialObjectMeta<ClusterRoleBinding>>(Api::all(client.clone()), of_people());
        let (levels, level_changes) =
            stored::<ClusterRole>(Api::all(client.clone()), all().labels(names::ACCESS_LEVEL));
        let pump = {
            let changes = changes.clone();
            let of_people = stream::select(
                without_errors(people_changes).map(|_| Change::People),
                without_errors(cluster_people_changes).map(|_| Change::People),
            );
            stream::select(of_people, without_errors(level_changes).map(|_| Change::Level))
                .for_each(move |change| {
                    changes.tell(change);
                    future::ready(())
                })
                .boxed()
        };
        let streams = Streams {
            settings: settings_changes.boxed(),
            assignments: assignment_changes.boxed(),
            requests: request_changes.boxed(),
            pump,
        };
        (Self { settings, assignments, requests, levels, people, cluster_people, changes, gone, news }, streams)
    }

    /// Completes when the stores are filled.
    fn filled(&self) -> Ready {
        let (settings, assignments, requests) =
            (self.settings.clone(), self.assignments.clone(), self.requests.clone());
        let (levels, people, cluster_people) = (self.levels.clone(), self.people.clone(), self.cluster_people.clone());
        async move {
            filled(&settings).await;
            filled(&assignments).await;
            filled(&requests).await;
            filled(&levels).await;
            filled(&people).await;
            filled(&cluster_people).await;
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
    lead: Lead,
    /// This operator acts.
    elected: Ready,
    /// The same, and everything is known.
    ready: Ready,
    queues: Queues,
    stopped: watch::Receiver<bool>,
}

/// What waits for each reconciler.
#[derive(Clone)]
struct Queues {
    requests: Queue,
    assignments: Queue,
    removals: Queue,
    settings: Queue,
}

impl Queues {
    /// All of them empty, and looked at.
    fn new(metrics: &Metrics, health: &Health) -> Self {
        let queue = |kind| {
            let queue = Queue::new(kind, metrics.clone());
            health.look_at(queue.clone());
            queue
        };
        Self {
            requests: queue("request"),
            assignments: queue("assignment"),
            removals: queue("removal"),
            settings: queue("settings"),
        }
    }
}

impl Wiring {
    fn reconcile_requests(
        self,
        watches: &Watches,
        changed: Changed<Packed>,
        home: String,
    ) -> impl Future<Output = ()> + use<> {
        let queue = self.queues.requests.clone();
        let of_grants = || watcher::Config::default().labels(names::REQUEST_UID);
        let api = || self.client.clone();
        let seen = watches.news.clone();
        let changed = standby::held_in(changed, watches.requests.clone(), self.elected.clone());
        let changed = changed.inspect(move |change| {
            let _ = change.as_ref().map(|request| seen.request(request));
        });
        let changed = changed.inspect(coming(&queue));
        let (bindings, binding_changes) = stored::<PartialObjectMeta<RoleBinding>>(Api::all(api()), of_grants());
        let (cluster_bindings, cluster_binding_changes) =
            stored::<PartialObjectMeta<ClusterRoleBinding>>(Api::all(api()), of_grants());

        let touched = touched_by_changes(watches.requests.clone(), watches.changes.read());
        let of_grant = |labels: &BTreeMap<String, String>, namespace: &str| {
            labels.get(names::REQUEST).map(|name| ObjectRef::<Packed>::new(name).within(namespace))
        };
        let of_bindings = without_errors(binding_changes).filter_map(move |binding| {
            future::ready(of_grant(binding.labels(), binding.meta().namespace.as_deref().unwrap_or_default()))
        });
        let of_cluster_bindings = without_errors(cluster_binding_changes)
            .filter_map(move |binding| future::ready(of_grant(binding.labels(), &home)));

        let heard_of = match self.context.activity.clone() {
            Some(books) => books.changes().boxed(),
            None => stream::pending().boxed(),
        };
        let heard_of = heard_of.map(|(namespace, name)| ObjectRef::<Packed>::new(&name).within(&namespace));
        let until = until_stopped(self.stopped.clone());
        let views = views::run(
            self.context.clone(),
            watches.news.clone(),
            watches.requests.clone(),
            self.ready.clone().map(drop),
            until,
        );
        let (metrics, gone) = (self.context.metrics.clone(), watches.gone.clone());
        let requests = Arc::new(Requests::new(
            self.context,
            watches.requests.clone(),
            bindings.clone(),
            cluster_bindings.clone(),
            queue.clone(),
        ));
        metrics.when_asked({
            let (requests, lead) = (requests.clone(), self.lead);
            move |seen| {
                if lead.is_leading() {
                    seen.events_waiting(requests.unpublished() + gone.waiting());
                }
            }
        });
        // These stores are filled by this very controller, so its reconcilers run already while they wait for them. One
        // shared wait for all: of many who wait for a store directly, kube wakes the last one alone.
        let (ready, elected) = (self.ready, self.elected);
        let known = async move {
            ready.await;
            filled(&bindings).await;
            filled(&cluster_bindings).await;
        }
        .boxed()
        .shared();
        let run = Controller::for_stream(changed, watches.requests.clone())
            .with_config(self.limits)
            .reconcile_on(standby::held(touched, elected.clone()).inspect(called(&queue)))
            .reconcile_on(standby::held(of_bindings, elected.clone()).inspect(called(&queue)))
            .reconcile_on(standby::held(of_cluster_bindings, elected.clone()).inspect(called(&queue)))
            .reconcile_on(standby::held(heard_of, elected).inspect(called(&queue)))
            .graceful_shutdown_on(until_stopped(self.stopped))
            .run(after(known, queue.clone(), requests::reconcile), requests::on_error, requests);
        future::join(drain(queue, run), views).map(drop)
    }

    fn reconcile_assignments(
        self,
        watches: &Watches,
        changed: Changed<Guarded<RoleAssignment>>,
    ) -> impl Future<Output = ()> + use<> {
        let (store, queue) = (watches.assignments.clone(), self.queues.assignments);
        // Changes of assignments reach the controller by its own watch.
        let touched = watches.changes.read().flat_map(move |change| {
            let touched: Vec<_> = match change {
                Change::Settings | Change::Troubles => {
                    store.state().iter().map(|object| ObjectRef::from_obj(object.as_ref())).collect()
                }
                Change::Assignment(_) | Change::Level | Change::People | Change::Proofs | Change::Told { .. } => vec![],
            };
            stream::iter(touched)
        });
        let touched = standby::held(touched, self.elected.clone());
        let changed = standby::held_in(changed, watches.assignments.clone(), self.elected);
        let run = Controller::for_stream(changed.inspect(coming(&queue)), watches.assignments.clone())
            .with_config(self.limits)
            .reconcile_on(touched.inspect(called(&queue)))
            .graceful_shutdown_on(until_stopped(self.stopped))
            .run(after(self.ready, queue.clone(), assignments::reconcile), on_error, self.context);
        drain(queue, run)
    }

    fn reconcile_removals(self) -> impl Future<Output = ()> + use<> {
        let (kind, queue) = (removals::kind(), self.queues.removals);
        let requests = Api::<DynamicObject>::all_with(self.client, &kind);
        let stopped = until_stopped(self.stopped.clone());
        let run = async move {
            let run = Controller::new_with(requests, watcher::Config::default().fields(removals::ASKED), kind)
                .with_config(self.limits.concurrency(1))
                .graceful_shutdown_on(until_stopped(self.stopped))
                .run(after(self.ready, queue.clone(), removals::reconcile), removals::on_error, self.context);
            drain(queue, run).await;
        };
        // There are few, so nothing is kept of them for whoever takes over.
        future::select(Box::pin(self.elected), Box::pin(stopped)).then(|first| async move {
            match first {
                Either::Left(_) => run.await,
                Either::Right(_) => {}
            }
        })
    }

    fn reconcile_settings(
        self,
        watches: &Watches,
        changed: Changed<Guarded<LockboxSettings>>,
    ) -> impl Future<Output = ()> + use<> {
        let queue = self.queues.settings;
        // Whoever fell behind is told of the settings in place of what was missed.
        let shown = watches.changes.read().filter(|change| {
            future::ready(matches!(change, Change::Proofs | Change::Troubles | Change::Settings | Change::Level))
        });
        let shown = standby::held(shown, self.elected.clone());
        let changed = standby::held_in(changed, watches.settings.clone(), self.elected);
        let run = Controller::for_stream(changed.inspect(coming(&queue)), watches.settings.clone())
            .with_config(self.limits.concurrency(1))
            .reconcile_on(shown.map(|_| ObjectRef::new(names::SETTINGS)).inspect(called(&queue)))
            .graceful_shutdown_on(until_stopped(self.stopped))
            .run(after(self.ready, queue.clone(), settings::reconcile), on_error, self.context);
        drain(queue, run)
    }
}

/// The requests that a change touches.
fn touched_by_changes(
    store: Store<Packed>,
    changes: impl Stream<Item = Change> + Send + 'static,
) -> impl Stream<Item = ObjectRef<Packed>> + Send + 'static {
    changes.flat_map(move |change| {
        let touches = |request: &Arc<Packed>| match &change {
            Change::Settings => true,
            Change::Proofs => waits_for_proofs(request),
            Change::Told { namespace, name } => {
                request.meta().namespace.as_ref() == Some(namespace) && request.meta().name.as_ref() == Some(name)
            }
            // Who may decide is read when somebody has decided: no request waits for an assignment.
            Change::Assignment(_) | Change::Level | Change::People | Change::Troubles => false,
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
fn waits_for_proofs(request: &Packed) -> bool {
    request.glance().is_none_or(|glance| !glance.phase.is_terminal() && glance.phase != Phase::AccessGranted)
}

/// Says that one of the chart's admission policies, or of their bindings, changed.
fn policies(client: &Client) -> impl Stream<Item = ()> + Send + use<> {
    let of_lockbox = || watcher::Config::default().labels(&names::of_the_chart());
    let policies = changed::<ValidatingAdmissionPolicy>(Api::all(client.clone()), of_lockbox());
    let bindings = changed::<ValidatingAdmissionPolicyBinding>(Api::all(client.clone()), of_lockbox());
    stream::select(policies, bindings)
}

/// Notes what a watch says.
fn coming<K: Resource, E>(queue: &Queue) -> impl FnMut(&Result<K, E>) + Send + 'static + use<K, E> {
    let queue = queue.clone();
    move |change| {
        if let Ok(object) = change {
            queue.came(object.meta().namespace.as_deref(), object.meta().name.as_deref().unwrap_or_default());
        }
    }
}

/// Notes what is called for by something else.
fn called<K: Lookup>(queue: &Queue) -> impl FnMut(&ObjectRef<K>) + Send + 'static + use<K> {
    let queue = queue.clone();
    move |object| queue.came(object.namespace.as_deref(), &object.name)
}

/// A reconciler that waits until everything is known. Whatever it logs bears the object's UID.
fn after<K, C, A, T>(
    ready: Ready,
    queue: Queue,
    reconcile: impl Fn(Arc<K>, Arc<C>) -> A + Clone + Send + 'static,
) -> impl FnMut(Arc<K>, Arc<C>) -> BoxFuture<'static, A::Output>
where
    K: Resource + Send + Sync + 'static,
    C: Send + Sync + 'static,
    T: Send + 'static,
    A: Future<Output = Result<T, ClusterError>> + Send + 'static,
{
    move |object, context| {
        let (ready, queue, reconcile) = (ready.clone(), queue.clone(), reconcile.clone());
        let meta = object.meta();
        // Of the highest level: with whatever filter a line is let through, its span is.
        let span = tracing::error_span!(
            "reconcile",
            kind = queue.kind(),
            namespace = meta.namespace,
            object = meta.name,
            uid = meta.uid
        );
        async move {
            ready.await;
            queue.work(&*object, ClusterError::class, reconcile(object.clone(), context)).await
        }
        .instrument(span)
        .boxed()
    }
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the end, too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Runs a controller. Failures of a reconciler are logged with the object's name where they are handled.
async fn drain<T, E: std::error::Error + 'static>(
    queue: Queue,
    run: impl Stream<Item = Result<T, ControllerError<E, watcher::Error>>>,
) {
    run.for_each(|result| {
        match result {
            Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
            Err(ControllerError::ObjectNotFound(object)) => queue.gone(object.namespace.as_deref(), &object.name),
            Err(error) => {
                let kind = queue.kind();
                tracing::warn!(kind, %error, "the controller's queue failed and goes on");
            }
        }
        future::ready(())
    })
    .await;
}
