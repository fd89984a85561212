//! The Roles by which the provider's people see requests, kept as the open requests say: what is missing is created,
//! what is too much is removed. Nothing waits for them, and they wait for nothing but the API server; one that fails is
//! tried again by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future, stream::FuturesUnordered};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{
    Api, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    Context,
    packed::Packed,
    retry::Retries,
    version,
    watches::{stored, without_errors},
};
use crate::cluster::{Cluster, Error, named_by};
use lockbox_api::{Principal, names};
use lockbox_lifecycle::views::{self, Seen, View};

/// Roles that are written at the same time. Few: requests that are being decided come first.
const AT_ONCE: usize = 4;
/// Namespaces that are compared before others get a turn.
const COMPARED: usize = 32;
/// How long a Role that was written is left alone: the requests of that time become one write, and the watch brings it.
const PACE: Duration = Duration::from_secs(1);
/// Everything is compared from time to time too.
const INTERVAL: Duration = Duration::from_mins(5);
/// Requests that are remembered at most until they are in their Roles. What is open is in the store besides.
const MOST_REMEMBERED: usize = 20_000;

/// What was seen of requests. A request can be finished, and gone from the store of open ones, before it is in a Role.
#[derive(Clone, Default)]
pub struct News(Arc<Shared>);

#[derive(Default)]
struct Shared {
    told: Mutex<Told>,
    touched: Notify,
    filled: watch::Sender<bool>,
}

#[derive(Default)]
struct Told {
    /// Namespaces that have to be compared.
    dirty: BTreeSet<String>,
    /// Requests by namespace and name, until their Roles are as they should be.
    seen: BTreeMap<String, BTreeMap<String, Remembered>>,
    count: usize,
}

#[derive(Clone, Default)]
struct Remembered {
    created: i64,
    viewers: Option<BTreeSet<Principal>>,
}

impl News {
    /// A request came, changed or went.
    pub fn request(&self, request: &Packed) {
        let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
        {
            let mut told = self.told();
            let room = told.count < MOST_REMEMBERED;
            let here = told.seen.entry(namespace.clone()).or_default();
            if room || here.contains_key(&name) {
                let new = here.insert(name, remembered(request)).is_none();
                told.count += usize::from(new);
            }
            told.dirty.insert(namespace);
        }
        self.0.touched.notify_one();
    }

    /// The store of open requests holds all of them.
    pub fn filled(&self) {
        self.0.filled.send_replace(true);
    }

    /// Something else in this namespace changed.
    fn namespace(&self, namespace: &str) {
        self.told().dirty.insert(namespace.to_owned());
        self.0.touched.notify_one();
    }

    /// All Roles of the namespace are as they should be, or it is ending: what is open is in the store besides. What
    /// came since is kept.
    fn forget(&self, namespace: &str) {
        let mut told = self.told();
        if told.dirty.contains(namespace) {
            return;
        }
        let gone = told.seen.remove(namespace).map_or(0, |here| here.len());
        told.count -= gone;
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remembered(request: &Packed) -> Remembered {
    Remembered {
        created: request.meta().creation_timestamp.as_ref().map_or(i64::MAX, |at| at.0.as_second()),
        viewers: request.unpack().ok().as_ref().map(views::viewers),
    }
}

/// A namespace, and the name of a Role in it.
type Place = (String, String);

/// One Role that is not as it should be.
struct Job {
    place: Place,
    /// The Role as it stands; none to make one.
    role: Option<Arc<Role>>,
    /// Whether its binding is there.
    bound: bool,
    wanted: View,
}

/// What came of a [`Job`].
struct Done {
    place: Place,
    /// The Role as it was written last.
    role: Option<Arc<Role>>,
    bound: bool,
    result: Result<(), Error>,
}

/// Keeps the Roles.
pub struct Views {
    shared: Arc<Context>,
    news: News,
    requests: Store<Packed>,
    roles: Store<Role>,
    bindings: Store<PartialObjectMeta<RoleBinding>>,
    /// Namespaces that wait to be compared, each in its turn after the last one that was.
    queue: BTreeSet<String>,
    last: String,
    /// Roles that are being written.
    busy: BTreeSet<Place>,
    /// What we wrote, until the watch brings it.
    written: BTreeMap<Place, Arc<Role>>,
    bound: BTreeSet<Place>,
    /// Roles that failed, and when they are tried again.
    later: BTreeMap<Place, Instant>,
}

/// Keeps the Roles as the store of open requests and the news say, until `stop` completes.
pub async fn run(
    shared: Arc<Context>,
    news: News,
    requests: Store<Packed>,
    ready: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) {
    let ours = || watcher::Config::default().labels(names::VIEW);
    let client = shared.cluster.client();
    let (roles, role_changes) = stored::<Role>(Api::all(client.clone()), ours());
    let (bindings, binding_changes) = stored::<PartialObjectMeta<RoleBinding>>(Api::all(client.clone()), ours());
    let tell = |meta: &kube::api::ObjectMeta| {
        news.namespace(meta.namespace.as_deref().unwrap_or_default());
        future::ready(())
    };
    let roles_told = without_errors(role_changes).for_each(|role| tell(&role.metadata));
    let bindings_told = without_errors(binding_changes).for_each(|binding| tell(binding.meta()));
    let views = Views {
        shared,
        news: news.clone(),
        requests,
        roles,
        bindings,
        queue: BTreeSet::new(),
        last: String::new(),
        busy: BTreeSet::new(),
        written: BTreeMap::new(),
        bound: BTreeSet::new(),
        later: BTreeMap::new(),
    };
    let kept = async {
        ready.await;
        // Errors mean that the writers are gone, and then the whole operator is ending.
        let _ = views.roles.wait_until_ready().await;
        let _ = views.bindings.wait_until_ready().await;
        let _ = news.0.filled.subscribe().wait_for(|filled| *filled).await;
        views.keep().await;
    };
    tokio::select! {
        () = stop => {}
        _ = future::join3(roles_told, bindings_told, kept) => {}
    }
}

impl Views {
    async fn keep(mut self) {
        let news = self.news.clone();
        let mut timer = tokio::time::interval(INTERVAL);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut running = FuturesUnordered::new();
        loop {
            for job in self.due() {
                self.busy.insert(job.place.clone());
                let cluster = self.shared.cluster.clone();
                running.push(async move { perform(&cluster, job).await }.boxed());
            }
            let next = self.later.values().min().copied();
            let retry = next.unwrap_or_else(|| Instant::now() + INTERVAL);
            tokio::select! {
                Some(done) = running.next(), if !running.is_empty() => self.finished(done),
                () = news.0.touched.notified() => {}
                () = tokio::time::sleep_until(retry) => self.retry(),
                () = tokio::task::yield_now(), if !self.queue.is_empty() && self.busy.len() < AT_ONCE => {}
                _ = timer.tick() => self.look_everywhere(),
            }
        }
    }

    /// The Roles that can be written now, from the namespaces whose turn it is.
    fn due(&mut self) -> Vec<Job> {
        self.queue.append(&mut self.news.told().dirty);
        let mut due: Vec<Job> = vec![];
        if self.busy.len() >= AT_ONCE {
            return due;
        }
        let after = (Bound::Excluded(self.last.clone()), Bound::Unbounded);
        let turn = self.queue.range(after).chain(self.queue.range(..=self.last.clone()));
        let turn: Vec<String> = turn.take(COMPARED).cloned().collect();
        self.queue.retain(|namespace| !turn.contains(namespace));
        self.last = turn.last().cloned().unwrap_or_default();
        let mut requests = self.requests_in(&turn);
        let mut roles = self.roles_in(&turn);
        for namespace in turn {
            let requests = requests.remove(&namespace).unwrap_or_default();
            let roles = roles.remove(&namespace).unwrap_or_default();
            let mut jobs = self.compare(&namespace, requests, &roles);
            let room = AT_ONCE.saturating_sub(self.busy.len() + due.len());
            if jobs.len() > room {
                jobs.truncate(room);
                self.queue.insert(namespace);
            }
            due.extend(jobs);
        }
        due
    }

    /// What is not as it should be in a namespace, without what is being written and what is tried again later.
    fn compare(
        &mut self,
        namespace: &str,
        requests: BTreeMap<String, Remembered>,
        roles: &BTreeMap<String, Arc<Role>>,
    ) -> Vec<Job> {
        let mut requests: Vec<_> = requests.into_iter().collect();
        requests.sort_by(|(one, a), (other, b)| (a.created, one).cmp(&(b.created, other)));
        let requests: Vec<Seen> =
            requests.into_iter().map(|(name, known)| Seen { name, viewers: known.viewers }).collect();
        let held = roles.iter().map(|(name, role)| (name.clone(), named_by(role))).collect();
        let mut jobs = vec![];
        for (name, wanted) in views::views(&requests, &held) {
            let place = (namespace.to_owned(), name);
            let bound = self.is_bound(&place);
            let same = held.get(&place.1).is_some_and(|names| *names == wanted.names);
            // Whose it is, an open request has to say.
            if same && (bound || wanted.principal.is_none()) {
                continue;
            }
            jobs.push(Job { role: roles.get(&place.1).cloned(), place, bound, wanted });
        }
        if jobs.is_empty() {
            self.news.forget(namespace);
        }
        let now = Instant::now();
        jobs.retain(|job| {
            !self.busy.contains(&job.place) && self.later.get(&job.place).is_none_or(|again| *again <= now)
        });
        // What takes away goes first.
        jobs.sort_by_key(|job| held.get(&job.place.1).is_none_or(|names| names.len() < job.wanted.names.len()));
        jobs
    }

    /// The requests of these namespaces by name: what is remembered, and what is open.
    fn requests_in(&self, namespaces: &[String]) -> BTreeMap<String, BTreeMap<String, Remembered>> {
        let mut found: BTreeMap<String, BTreeMap<String, Remembered>> = {
            let told = self.news.told();
            let seen = |namespace: &String| told.seen.get(namespace).cloned().unwrap_or_default();
            namespaces.iter().map(|namespace| (namespace.clone(), seen(namespace))).collect()
        };
        for request in self.requests.state() {
            let namespace = request.meta().namespace.as_deref().unwrap_or_default();
            if let Some(here) = found.get_mut(namespace) {
                here.insert(request.name_any(), remembered(&request));
            }
        }
        found
    }

    /// The Roles of these namespaces by name, each as the watch or our own last write has it.
    fn roles_in(&mut self, namespaces: &[String]) -> BTreeMap<String, BTreeMap<String, Arc<Role>>> {
        let mut found: BTreeMap<String, BTreeMap<String, Arc<Role>>> =
            namespaces.iter().map(|namespace| (namespace.clone(), BTreeMap::new())).collect();
        for role in self.roles.state() {
            let namespace = role.metadata.namespace.as_deref().unwrap_or_default();
            if let Some(here) = found.get_mut(namespace) {
                here.insert(role.name_any(), role);
            }
        }
        self.written.retain(|(namespace, name), written| {
            let Some(here) = found.get_mut(namespace) else { return true };
            let newer = here.get(name).is_none_or(|role| version(&**role) < version(&**written));
            if newer {
                here.insert(name.clone(), written.clone());
            }
            newer
        });
        found
    }

    fn is_bound(&mut self, place: &Place) -> bool {
        let stored = self.bindings.get(&ObjectRef::new(&place.1).within(&place.0)).is_some();
        if stored {
            self.bound.remove(place);
        }
        stored || self.bound.contains(place)
    }

    fn finished(&mut self, done: Done) {
        let (namespace, name) = &done.place;
        let key = format!("view {namespace}/{name}");
        self.busy.remove(&done.place);
        self.written.remove(&done.place);
        self.bound.remove(&done.place);
        match done.result {
            Ok(()) => {
                self.shared.retries.succeeded(&key);
                self.later.insert(done.place.clone(), Instant::now() + PACE);
                self.written.extend(done.role.map(|role| (done.place.clone(), role)));
                self.bound.extend(done.bound.then(|| done.place.clone()));
            }
            // What is there then, the watch says.
            Err(error) if error.is_conflict() => {
                self.later.insert(done.place.clone(), Instant::now() + Retries::conflict());
            }
            Err(error) => {
                tracing::warn!(namespace, role = name, %error, "a Role by which the provider's people see requests will be tried again");
                if error.namespace_is_ending() {
                    self.news.forget(namespace);
                }
                self.later.insert(done.place.clone(), Instant::now() + self.shared.retries.failed(&key));
            }
        }
        self.news.namespace(namespace);
    }

    /// What failed is due again.
    fn retry(&mut self) {
        let now = Instant::now();
        let due: Vec<Place> =
            self.later.iter().filter(|(_, again)| **again <= now).map(|(place, _)| place.clone()).collect();
        for place in due {
            self.later.remove(&place);
            self.news.namespace(&place.0);
        }
    }

    fn look_everywhere(&mut self) {
        // The watch has brought them long ago.
        self.written.clear();
        self.bound.clear();
        let requests = self.requests.state();
        let roles = self.roles.state();
        let namespaces = requests.iter().map(|request| request.meta()).chain(roles.iter().map(|role| role.meta()));
        for namespace in namespaces.filter_map(|meta| meta.namespace.as_deref()) {
            self.news.namespace(namespace);
        }
    }
}

async fn perform(cluster: &Cluster, job: Job) -> Done {
    let Job { place, role, bound, wanted } = job;
    let mut done = Done { place, role, bound, result: Ok(()) };
    done.result = write(cluster, &mut done, &wanted).await;
    done
}

async fn write(cluster: &Cluster, done: &mut Done, wanted: &View) -> Result<(), Error> {
    let (namespace, name) = &done.place;
    if wanted.names.is_empty() {
        cluster.remove_view(namespace, name).await?;
        (done.role, done.bound) = (None, false);
        return Ok(());
    }
    let role = match &done.role {
        None => Arc::new(cluster.make_view(namespace, name, &wanted.names).await?),
        Some(role) if named_by(role) != wanted.names => Arc::new(cluster.change_view(role, &wanted.names).await?),
        Some(role) => role.clone(),
    };
    done.role = Some(role);
    if let Some(principal) = wanted.principal.as_ref().filter(|_| !done.bound) {
        cluster.bind_view(namespace, name, principal).await?;
        done.bound = true;
    }
    Ok(())
}
