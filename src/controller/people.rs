//! RBAC for people, kept as settings and assignments say. The whole set is compared: what is missing is created, what
//! is too much is removed, so that a deleted assignment needs no finalizer to take its rights with it.
//!
//! No binding waits for another: each is created or removed by itself, removals come first, and each that fails is
//! tried again by itself. Why it failed shows on the assignment that it stems from, or on the settings.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{Resource, ResourceExt, core::PartialObjectMeta, runtime::reflector::Store};
use tokio::time::{sleep_until, timeout};

use super::{
    Context,
    changes::{Change, Changes},
    view,
};
use crate::cluster::Error;
use lockbox_api::{RoleAssignment, names};
use lockbox_lifecycle::{
    people::{self, Difference, PeopleBinding, Place, Source, There},
    settings::SettingsView,
    text::clip,
};

/// The set is compared from time to time too.
const INTERVAL: Duration = Duration::from_secs(30);
/// Many changes in a row (an installer's) are one.
const SETTLE: Duration = Duration::from_millis(20);
/// Removals that are under way at most.
const REMOVALS: usize = 32;
/// Makings that are under way at most.
const MAKINGS: usize = 16;

/// What stands in the way of people's bindings, by place. Holds what is wrong now and nothing else.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<Place, Trouble>>);

/// Why a binding could not be made or removed.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// As one word.
    pub reason: &'static str,
    /// In the API server's words.
    pub why: String,
    /// Whether an assignment shows it. What nobody else does, the settings show.
    has_assignment: bool,
    again: Instant,
}

impl Troubles {
    /// What stands in the way of one of these bindings.
    pub fn of(&self, bindings: &[PeopleBinding]) -> Option<Trouble> {
        let troubles = self.lock();
        bindings.iter().find_map(|binding| troubles.get(&(binding.namespace.clone(), binding.name())).cloned())
    }

    /// What stands in the way of bindings that no assignment calls for: how many there are, and the first of them.
    pub fn of_no_assignment(&self) -> Option<(usize, Trouble)> {
        let troubles = self.lock();
        let mut others = troubles.values().filter(|trouble| !trouble.has_assignment);
        let first = others.next()?.clone();
        Some((1 + others.count(), first))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a binding fares; whether that is news.
    fn note(&self, place: &Place, trouble: Option<Trouble>) -> bool {
        let mut troubles = self.lock();
        let said = |trouble: &Trouble| (trouble.reason, trouble.why.clone());
        match trouble {
            Some(trouble) => {
                let now = said(&trouble);
                troubles.insert(place.clone(), trouble).is_none_or(|before| said(&before) != now)
            }
            None => troubles.remove(place).is_some(),
        }
    }

    /// Forgets all but these; returns what was forgotten.
    fn forget_others(&self, wrong: &HashSet<Place>) -> Vec<Place> {
        let mut troubles = self.lock();
        let over: Vec<_> = troubles.keys().filter(|place| !wrong.contains(*place)).cloned().collect();
        for place in &over {
            troubles.remove(place);
        }
        over
    }

    fn again(&self, place: &Place) -> Option<Instant> {
        self.lock().get(place).map(|trouble| trouble.again)
    }
}

/// The stores of people's bindings.
pub struct People {
    /// What all reconcilers look at.
    pub shared: Arc<Context>,
    /// Bindings in namespaces.
    pub bindings: Store<PartialObjectMeta<RoleBinding>>,
    /// Bindings in the cluster.
    pub cluster_bindings: Store<PartialObjectMeta<ClusterRoleBinding>>,
    /// What changes.
    pub changes: Changes,
}

/// What is done to one binding.
#[derive(Clone, Debug)]
enum Work {
    Remove(There),
    Make(PeopleBinding, Option<Source>),
}

impl Work {
    fn place(&self) -> Place {
        match self {
            Self::Remove(there) => there.place.clone(),
            Self::Make(binding, _) => (binding.namespace.clone(), binding.name()),
        }
    }
}

type Done = (Work, Result<(), Error>);

/// What is to be done, and under way.
#[derive(Default)]
struct Working<'a> {
    removals: VecDeque<Work>,
    makings: VecDeque<Work>,
    removing: FuturesUnordered<BoxFuture<'a, Done>>,
    making: FuturesUnordered<BoxFuture<'a, Done>>,
    busy: HashSet<Place>,
}

impl People {
    /// Compares whenever something changed, when an activation ends, and from time to time, until it is stopped.
    pub async fn run(self) {
        let mut changes = self.changes.read();
        let mut working = Working::default();
        let mut again = self.compare(&mut working).await;
        loop {
            self.start(&mut working);
            tokio::select! {
                Some(done) = working.removing.next() => again = again.min(self.done(&mut working, done)),
                Some(done) = working.making.next() => again = again.min(self.done(&mut working, done)),
                Some(change) = changes.next() => {
                    // None of these says who is who.
                    if matches!(change, Change::Troubles | Change::Proofs | Change::Level | Change::Told { .. }) {
                        continue;
                    }
                    // Whatever comes within the time that a burst takes.
                    let burst = async { while changes.next().await.is_some() {} };
                    let _ = timeout(SETTLE, burst).await;
                    again = self.compare(&mut working).await;
                }
                () = sleep_until(again.into()) => again = self.compare(&mut working).await,
            }
        }
    }

    /// Finds out what is to be done now. Returns when to look again.
    async fn compare(&self, working: &mut Working<'_>) -> Instant {
        let (now, at) = (Instant::now(), self.shared.proofs.now());
        let settings = self.shared.settings_or_read().await;
        let settings = match &settings {
            Ok(settings) => view(settings.as_deref()),
            // Nobody knows what they say, so they take nothing away.
            Err(error) => {
                tracing::warn!(%error, "whether the LockboxSettings are gone is not known; what they gave stays");
                SettingsView::Unreadable("the API server did not answer")
            }
        };
        let stored = self.shared.assignments.state();
        let readable = || stored.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        let unreadable =
            stored.iter().filter(|guarded| guarded.0.is_err()).filter_map(|guarded| guarded.uid()).collect();
        let wanted = people::bindings(settings, readable(), at);
        let Difference { too_many, missing } = people::compare(&wanted, self.there(), settings, &unreadable);

        let removals = too_many.into_iter().map(Work::Remove);
        let makings = missing.into_iter().map(|(binding, source)| Work::Make(binding, source));
        let all: Vec<Work> = removals.chain(makings).collect();
        let wrong: HashSet<Place> = all.iter().map(Work::place).collect();
        let over = self.shared.troubles.forget_others(&wrong);
        if !over.is_empty() {
            for place in &over {
                self.shared.retries.succeeded(&key(place));
            }
            self.changes.tell(Change::Troubles);
        }
        working.removals.clear();
        working.makings.clear();
        let mut next = now + INTERVAL;
        for work in all {
            match self.shared.troubles.again(&work.place()) {
                Some(again) if again > now => next = next.min(again),
                _ if matches!(work, Work::Remove(_)) => working.removals.push_back(work),
                _ => working.makings.push_back(work),
            }
        }
        if let Some(wait) = people::first_end(readable(), at).and_then(|end| (end - at).to_std().ok()) {
            next = next.min(now + wait);
        }
        next
    }

    fn there(&self) -> Vec<There> {
        let mut all: Vec<There> = self.bindings.state().iter().map(|binding| there(binding.as_ref())).collect();
        all.extend(self.cluster_bindings.state().iter().map(|binding| there(binding.as_ref())));
        all
    }

    /// Starts what there is room for.
    fn start<'a>(&'a self, working: &mut Working<'a>) {
        let Working { removals, makings, removing, making, busy } = working;
        for (queue, under_way, most) in [(removals, removing, REMOVALS), (makings, making, MAKINGS)] {
            while under_way.len() < most
                && let Some(work) = queue.pop_front()
            {
                // What is under way for this place is finished first; what is still wrong then is found again.
                if busy.insert(work.place()) {
                    under_way.push(self.perform(work).boxed());
                }
            }
        }
    }

    async fn perform(&self, work: Work) -> Done {
        let done = match &work {
            Work::Remove(There { place: (namespace, name), .. }) => {
                self.shared.cluster.unbind_people(namespace.as_deref(), name).await
            }
            Work::Make(binding, source) => self.shared.cluster.bind_people(binding, source.as_ref()).await,
        };
        (work, done)
    }

    /// Notes what came of it. Returns when to look again.
    fn done(&self, working: &mut Working<'_>, (work, done): Done) -> Instant {
        let place = work.place();
        working.busy.remove(&place);
        let (namespace, name) = (place.0.as_deref(), &place.1);
        let mut next = Instant::now() + INTERVAL;
        let news = match done {
            Ok(()) => {
                match &work {
                    Work::Remove(There { role, source, .. }) => {
                        tracing::info!(binding = name, namespace, role, "took rights back that nothing gives any more");
                        self.tell_of_source(role, source.as_ref());
                    }
                    Work::Make(binding, _) => {
                        let (role, principal) = (binding.role.short(), binding.principal.to_string());
                        tracing::info!(binding = name, namespace, role, principal, "gave people their rights");
                    }
                }
                self.shared.retries.succeeded(&key(&place));
                self.shared.troubles.note(&place, None)
            }
            Err(error) => {
                let wait = self.shared.retries.failed(&key(&place));
                let (doing, has_assignment) = match &work {
                    Work::Remove(There { role, .. }) => (format!("take the role lockbox-{role} back"), false),
                    Work::Make(PeopleBinding { role, principal, .. }, source) => {
                        (format!("give {principal} the role {}", role.cluster_role()), source.is_some())
                    }
                };
                tracing::warn!(binding = name, namespace, doing, %error, "will be tried again");
                let kind = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
                let place_in_words = namespace.map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
                let why = clip(&format!("could not {doing} ({kind} {place_in_words}): {error}"), 1024);
                next = Instant::now() + wait;
                let trouble = Trouble { reason: error.reason(), why, has_assignment, again: next };
                self.shared.troubles.note(&place, Some(trouble))
            }
        };
        if news {
            self.changes.tell(Change::Troubles);
        }
        next
    }

    /// An assignment that was deleted while nobody watched is known by the rights that it left.
    fn tell_of_source(&self, role: &str, source: Option<&Source>) {
        let Some(source) = source else { return };
        let known = self.shared.assignments.find(|assignment| assignment.uid().as_deref() == Some(&source.uid));
        if known.is_none() {
            self.shared.gone.assignment_of(source, &format!("its role was lockbox-{role}"));
        }
    }
}

fn key((namespace, name): &Place) -> String {
    format!("people {}/{name}", namespace.as_deref().unwrap_or_default())
}

fn there<K>(binding: &PartialObjectMeta<K>) -> There
where
    PartialObjectMeta<K>: Resource,
{
    let annotation = |key: &str| binding.annotations().get(key).cloned();
    let source = annotation(names::ASSIGNMENT).zip(annotation(names::ASSIGNMENT_UID)).and_then(|(place, uid)| {
        let (namespace, name) = place.split_once('/')?;
        Some(Source { namespace: namespace.into(), name: name.into(), uid })
    });
    There {
        place: (binding.namespace(), binding.name_any()),
        role: binding.labels().get(names::PEOPLE).cloned().unwrap_or_default(),
        source,
    }
}

/// The condition of an assignment: why the rights that it calls for could not be made.
pub fn trouble_of(shared: &Context, assignment: &RoleAssignment) -> Option<Trouble> {
    shared.troubles.of(&people::of_assignment(assignment, shared.proofs.now()))
}
