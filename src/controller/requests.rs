//! Requests: gather the facts, take a step, do what it asks for; again, until there is nothing to do now.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        controller::Action as Requeue,
        reflector::{ObjectRef, Store},
    },
};
use lockbox_api::{LockboxRequest, LockboxSettings, LockboxSettingsSpec, Moment, Phase, RoleAssignment, Scope, names};
use lockbox_lifecycle::{
    Action, Attempt, Delivery, Facts, Forgery, GrantPlan, GrantView, OpenRequests, Outcomes, Proof, Proofs, RoleView,
    SettingsView, Step, approvers, facts::needs_role, limits, placement, step,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Context, Guarded, LONGEST_SLEEP, memory::Memory, packed::Packed, queue::Queue};
use crate::cluster::{Error, NotGranted, Prepared};

/// Steps in one go at most. A request's whole life has fewer; beyond that somebody writes it all the time.
const MOST_STEPS: usize = 48;
/// How long the cache may be behind our own writes before the API server is asked.
const BEHIND: TimeDelta = TimeDelta::milliseconds(500);
/// Requests at a time for which is done what nobody waits for, while others wait for their access.
const AFTERWARDS: usize = 4;
/// The longest that this is put off.
const PUT_OFF: Duration = Duration::from_secs(1);
/// After so many failures in a row the request itself says what fails.
const SAID_AFTER: u32 = 3;

/// What this reconciler looks at besides the [`Context`].
pub struct Requests {
    shared: Arc<Context>,
    /// The open requests.
    open: Store<Packed>,
    /// Bindings of grants in namespaces.
    bindings: Store<PartialObjectMeta<RoleBinding>>,
    /// Bindings of grants in the cluster.
    cluster_bindings: Store<PartialObjectMeta<ClusterRoleBinding>>,
    memory: Memory,
    queue: Queue,
    /// Turns of what comes after access: its record, and Events.
    afterwards: Semaphore,
}

/// What the facts of a step are taken from.
struct View {
    request: LockboxRequest,
    settings: Option<Arc<Guarded<LockboxSettings>>>,
    assignments: Vec<RoleAssignment>,
    role: RoleView,
    outcomes: Outcomes,
    open: OpenRequests,
    published: usize,
    proofs: Proofs,
    deliveries: Vec<Delivery>,
    /// What of the grant is there already and gives nobody access.
    prepared: Option<Prepared>,
}

/// Reconciles one request.
pub async fn reconcile(packed: Arc<Packed>, ctx: Arc<Requests>) -> Result<Requeue, Error> {
    let request = match packed.unpack() {
        Ok(request) => request,
        Err(error) => {
            tracing::error!(
                request = packed.name_any(),
                namespace = packed.namespace().unwrap_or_default(),
                error,
                "this operator cannot read this request, and leaves it as it is"
            );
            return Ok(Requeue::requeue(LONGEST_SLEEP));
        }
    };
    let wake = Box::pin(ctx.advance(request)).await?;
    let wait = wake.map_or(LONGEST_SLEEP, |wake| until(wake, ctx.now()));
    Ok(Requeue::requeue(wait))
}

/// What to do after a failure: try again, never later than the request's own deadline.
#[allow(clippy::needless_pass_by_value, reason = "the controller's own signature")]
pub fn on_error(packed: Arc<Packed>, error: &Error, ctx: Arc<Requests>) -> Requeue {
    let namespace = packed.namespace().unwrap_or_default();
    tracing::warn!(request = packed.name_any(), uid = packed.uid(), namespace, %error, "will be tried again");
    let backoff = ctx.shared.retries.failed(&key(packed.meta()));
    let deadline = packed.unpack().ok().and_then(|request| request.status).and_then(|status| status.until);
    let wait = deadline.map_or(backoff, |deadline| match until(deadline, ctx.now()) {
        // A deadline that has passed is what was being worked on.
        Duration::ZERO => backoff,
        left => backoff.min(left),
    });
    Requeue::requeue(wait)
}

fn key(meta: &kube::api::ObjectMeta) -> String {
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// How long to sleep until a moment.
fn until(moment: Moment, now: Moment) -> Duration {
    (moment - now).to_std().unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
}

impl Requests {
    /// Looks at these stores.
    pub fn new(
        shared: Arc<Context>,
        open: Store<Packed>,
        bindings: Store<PartialObjectMeta<RoleBinding>>,
        cluster_bindings: Store<PartialObjectMeta<ClusterRoleBinding>>,
        queue: Queue,
    ) -> Self {
        Self {
            shared,
            open,
            bindings,
            cluster_bindings,
            memory: Memory::default(),
            queue,
            afterwards: Semaphore::new(AFTERWARDS),
        }
    }

    /// Entries of histories that are not published yet.
    pub fn unpublished(&self) -> usize {
        let of = |request: &Packed| {
            let (glance, uid) = (request.glance()?, request.meta().uid.as_deref()?);
            Some(glance.entries.saturating_sub(self.memory.published_of(uid, glance.published)))
        };
        self.open.state().iter().filter_map(|request| of(request)).sum()
    }

    fn now(&self) -> Moment {
        self.shared.proofs.now()
    }

    /// Takes steps until there is nothing to do now. Returns when to look again.
    async fn advance(&self, request: LockboxRequest) -> Result<Option<Moment>, Error> {
        let key = key(&request.metadata);
        let mut view = self.view(request);
        // The cache may not have seen yet what we wrote ourselves. The watch brings it in a moment, and wakes us; if it does
        // not, the API server is asked.
        if self.memory.is_behind(&view.request) {
            if self.memory.may_wait(&view.request) {
                return Ok(Some(self.now() + BEHIND));
            }
            if !self.read_request(&mut view).await? {
                return Ok(None);
            }
        }
        for _ in 0..MOST_STEPS {
            let next = self.step(&view);
            let _turn = self.turn(&view, &next).await;
            match next {
                Step::Sleep(wake) if view.outcomes.trouble.is_some() => {
                    let again = self.now() + self.shared.retries.failed(&key);
                    return Ok(Some(wake.map_or(again, |wake| wake.min(again))));
                }
                Step::Sleep(wake) => {
                    self.shared.retries.succeeded(&key);
                    return Ok(wake);
                }
                Step::Write(status) => match self.shared.cluster.write_request_status(&view.request, *status).await {
                    // Taken, and nothing changed: the definition drops what we wrote, and would drop it again.
                    Ok(written) if written.resource_version() == view.request.resource_version() => {
                        return Err(Error::Restless);
                    }
                    Ok(written) => self.written(&mut view, written),
                    // Somebody wrote in between. What was done is done, and is a fact of the next step all the same.
                    Err(error) if error.is_conflict() => {
                        if !self.read_request(&mut view).await? {
                            return Ok(None);
                        }
                    }
                    Err(error) => return Err(error),
                },
                Step::Do(action) => match self.perform(&mut view, &action).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(None),
                    Err(error) if self.shared.retries.count(&key) >= SAID_AFTER => {
                        tracing::warn!(request = key, %error, "fails over and over; the request says so");
                        view.outcomes.trouble = Some(error.to_string());
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        Err(Error::Restless)
    }

    /// Who waits for access goes first: where access is there, its record and its Events take turns, a few at a time. Never
    /// for long, so that no trouble of one holds up all others.
    async fn turn(&self, view: &View, next: &Step) -> Option<SemaphorePermit<'_>> {
        let can_wait = match next {
            Step::Write(_) => view.outcomes.grant == GrantView::Present,
            Step::Do(action) => matches!(action, Action::Publish { .. }),
            Step::Sleep(_) => false,
        };
        if !can_wait {
            return None;
        }
        tokio::time::timeout(PUT_OFF, self.afterwards.acquire()).await.ok()?.ok()
    }

    /// What is known before anything is asked.
    fn view(&self, request: LockboxRequest) -> View {
        let settings = self.shared.settings();
        let there = self.has_binding(&request);
        View {
            role: RoleView::Unread,
            assignments: vec![],
            outcomes: Outcomes {
                grant: if there { GrantView::Present } else { GrantView::Unknown },
                forgery: self.memory.forgeable(&request).map_or(Forgery::Untried, Forgery::LetIn),
                ..Outcomes::default()
            },
            open: self.open(&request),
            published: self.memory.published(&request),
            proofs: self.proofs(settings.as_deref()),
            deliveries: self.shared.outbox.deliveries(&request),
            prepared: None,
            settings,
            request,
        }
    }

    /// What is proven, with what the settings' status recorded of earlier trials.
    fn proofs(&self, settings: Option<&Guarded<LockboxSettings>>) -> Proofs {
        let status =
            settings.and_then(|settings| settings.0.as_ref().ok()).and_then(|settings| settings.status.as_ref());
        self.shared.proofs.read().with_recorded(status.map_or(&[], |status| &status.conditions))
    }

    /// Decides, and knows nothing but the view.
    fn step(&self, view: &View) -> Step {
        let settings = match view.settings.as_deref().map(|guarded| &guarded.0) {
            None => SettingsView::Missing,
            Some(Ok(settings)) => SettingsView::Known(&settings.spec),
            Some(Err(invalid)) => SettingsView::Unreadable(&invalid.error),
        };
        let activity = self.shared.activity.as_ref().and_then(|books| books.activity(&view.request));
        let facts = Facts {
            request: &view.request,
            settings,
            assignments: &view.assignments,
            role: &view.role,
            outcomes: &view.outcomes,
            published: view.published,
            open: view.open,
            proofs: &view.proofs,
            channels: self.shared.outbox.channels(),
            deliveries: &view.deliveries,
            tenant_namespace: &self.shared.cluster.config().tenant_namespace,
            activity: activity.as_ref(),
        };
        step(&facts, self.now())
    }

    /// Does what a step asked for, and takes down what came of it. Returns whether the request is still there.
    async fn perform(&self, view: &mut View, action: &Action) -> Result<bool, Error> {
        let cluster = &self.shared.cluster;
        match action {
            Action::Read { request } => {
                if *request && !self.read_request(view).await? {
                    return Ok(false);
                }
                Box::pin(self.read(view)).await?;
            }
            Action::TryPlacement => {
                let settings = view.settings.as_deref().and_then(|settings| settings.0.as_ref().ok());
                let rules = placement::rules(&view.request, settings.map(|settings| &settings.spec), &view.role);
                view.outcomes.placement = cluster.try_placement(&view.request, &rules, self.now()).await?;
            }
            Action::PrepareGrant(plan) => {
                let (forgery, prepared) =
                    tokio::join!(Box::pin(self.try_forgery(&view.request)), self.prepare(&view.request, plan));
                // What was found meanwhile counts too.
                view.proofs = self.proofs(view.settings.as_deref());
                // What was let in is known whatever became of the rest.
                view.outcomes.forgery = forgery?;
                match prepared? {
                    Ok(prepared) => view.prepared = Some(prepared),
                    Err(why) => view.outcomes.attempt = attempt(why),
                }
            }
            Action::MakeGrant(plan) => {
                let prepared = match view.prepared.take().filter(|prepared| prepared.is_of(plan)) {
                    Some(prepared) => Ok(prepared),
                    None => self.prepare(&view.request, plan).await?,
                };
                let made = match prepared {
                    Ok(prepared) => cluster.make_grant(&view.request, prepared).await?,
                    Err(why) => Err(why),
                };
                match made {
                    Ok(()) => {
                        self.shared.metrics.bound(&view.request, self.queue.on_its_way(&view.request), self.now());
                        (view.outcomes.attempt, view.outcomes.grant) = (Attempt::None, GrantView::Present);
                    }
                    Err(why) => view.outcomes.attempt = attempt(why),
                }
            }
            Action::FindGrant => {
                let (scope, namespace, name) = grant_of(&view.request);
                let there = cluster.grant_exists(scope, &namespace, &name).await?;
                view.outcomes.grant = if there { GrantView::Present } else { GrantView::Absent };
            }
            Action::EndGrant { early } => {
                let (scope, namespace, name) = grant_of(&view.request);
                match cluster.end_grant(scope, &namespace, &name, *early).await {
                    Ok(was_there) => {
                        if was_there {
                            self.shared.metrics.unbound(&view.request, self.now());
                        }
                        let was_there = was_there || view.outcomes.grant == GrantView::Present;
                        (view.outcomes.grant, view.outcomes.not_ended) = (GrantView::Ended { was_there }, None);
                    }
                    // An answer that did not come says nothing yet about the deletion.
                    Err(error)
                        if !error.is_refusal()
                            && self.shared.retries.count(&key(&view.request.metadata)) < SAID_AFTER =>
                    {
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::error!(request = key(&view.request.metadata), %error, "an access was not ended");
                        view.outcomes.not_ended = Some(error.to_string());
                    }
                }
            }
            Action::Tell { messages } => {
                let settings = view.settings.as_deref().and_then(|settings| settings.0.as_ref().ok());
                let outbox = &self.shared.outbox;
                match settings {
                    Some(settings) => {
                        let assignments = self.shared.known_assignments();
                        outbox.hold(&view.request, &settings.spec, &assignments, messages, self.now());
                    }
                    // Without settings nobody is told anything.
                    None => outbox.forget(view.request.metadata.uid.as_deref().unwrap_or_default()),
                }
                view.deliveries = self.shared.outbox.deliveries(&view.request);
            }
            Action::Publish { after } => {
                let history = view.request.status.as_ref().map_or(&[][..], |status| &status.history);
                cluster.publish(&view.request, history.get(*after..).unwrap_or_default()).await?;
                view.published = history.len();
                self.memory.remember_published(&view.request, view.published);
            }
        }
        Ok(true)
    }

    /// Reads the request past every cache. Returns whether it is still there.
    async fn read_request(&self, view: &mut View) -> Result<bool, Error> {
        let (namespace, name) = (view.request.namespace().unwrap_or_default(), view.request.name_any());
        let current = self.shared.cluster.read_request(&namespace, &name).await?;
        let Some(current) = current.filter(|current| current.metadata.uid == view.request.metadata.uid) else {
            self.forget(&view.request);
            return Ok(false);
        };
        (view.request, view.outcomes.request_read) = (current, true);
        Ok(true)
    }

    /// Reads settings, assignments and role past every cache.
    async fn read(&self, view: &mut View) -> Result<(), Error> {
        let cluster = &self.shared.cluster;
        let home = &cluster.config().tenant_namespace;
        let namespace = view.request.namespace().unwrap_or_default();
        let asked = view.request.status.as_ref().and_then(|status| status.approvers.as_deref()).unwrap_or_default();
        let (scope, administrators) = (view.request.spec.scope, approvers::has_administrators(asked));
        // Which assignments and which role, the settings say. Those that are known are the right ones but for a moment after
        // a change, so all is read at once; and what turns out to be missing, after it.
        let known = view.settings.as_deref().and_then(|settings| settings.0.as_ref().ok()).map(|known| &known.spec);
        let asks_home = |settings: Option<&LockboxSettingsSpec>| {
            namespace != *home
                && settings.is_none_or(|settings| {
                    administrators || approvers::asks_the_tenant(settings.approvals.model, scope)
                })
        };
        let role_of = |settings: Option<&LockboxSettingsSpec>, request: &LockboxRequest| {
            let phase = request.status.as_ref().and_then(|status| status.phase).unwrap_or_default();
            let level = settings.and_then(|settings| settings.access_level(&request.spec.access_level));
            level.filter(|_| needs_role(phase)).map(|level| level.cluster_role.clone())
        };
        let guess = role_of(known, &view.request);
        let home_is_asked = known.is_some() && asks_home(known);
        let of_the_tenant = async { if home_is_asked { cluster.read_assignments(home).await } else { Ok(vec![]) } };
        let (settings, mut assignments, of_the_tenant, mut role) = tokio::try_join!(
            cluster.read_settings(),
            cluster.read_assignments(&namespace),
            of_the_tenant,
            self.role(guess.as_deref())
        )?;
        assignments.extend(of_the_tenant);
        let read = settings.as_ref().and_then(|settings| settings.0.as_ref().ok()).map(|read| &read.spec);
        if !home_is_asked && asks_home(read) {
            assignments.extend(cluster.read_assignments(home).await?);
        }
        let wanted = role_of(read, &view.request);
        if wanted != guess {
            role = self.role(wanted.as_deref()).await?;
        }
        view.settings = settings.map(Arc::new);
        view.assignments = assignments.into_iter().filter_map(|guarded| guarded.0.ok()).collect();
        view.proofs = self.proofs(view.settings.as_deref());
        view.role = role;
        view.outcomes.read = true;
        Ok(())
    }

    async fn role(&self, name: Option<&str>) -> Result<RoleView, Error> {
        match name {
            Some(name) => self.shared.role(name).await,
            None => Ok(RoleView::Unread),
        }
    }

    /// Tries whether something forged about this request is refused. Where it was let in once, that is not
    /// forgotten: it ends the request, even if somebody writes it over and over so that the end is not recorded before the
    /// policies are put right.
    async fn try_forgery(&self, request: &LockboxRequest) -> Result<Forgery, Error> {
        Ok(match self.shared.cluster.try_forged_approval(request).await? {
            Proof::Proven => Forgery::Refused,
            Proof::Unknown(why) => Forgery::Unknown(why),
            Proof::Disproven(why) => {
                self.shared.proofs.doubt();
                self.memory.remember_forgeable(request, &why);
                Forgery::LetIn(why)
            }
        })
    }

    async fn prepare(&self, request: &LockboxRequest, plan: &GrantPlan) -> Result<Result<Prepared, NotGranted>, Error> {
        self.shared.cluster.prepare_grant(request, plan, self.now()).await
    }

    fn written(&self, view: &mut View, written: LockboxRequest) {
        self.shared.metrics.recorded(&view.request, &written);
        (view.request, view.outcomes.request_read) = (written, true);
        if view.request.status.as_ref().is_some_and(|status| status.closed == Some(true)) {
            self.memory.close(&view.request);
            self.shared.outbox.forget(view.request.metadata.uid.as_deref().unwrap_or_default());
            self.unfollow(&view.request);
        } else {
            self.memory.remember_version(&view.request);
        }
    }

    fn forget(&self, request: &LockboxRequest) {
        self.memory.forget(request);
        self.shared.outbox.forget(request.metadata.uid.as_deref().unwrap_or_default());
        self.unfollow(request);
    }

    fn unfollow(&self, request: &LockboxRequest) {
        if let Some(books) = &self.shared.activity {
            books.forget(request);
        }
    }

    /// Whether the cache knows the binding of the request's grant. That it is not there, only the API server says.
    fn has_binding(&self, request: &LockboxRequest) -> bool {
        let (scope, namespace, name) = grant_of(request);
        match scope {
            Scope::Subscription => self.bindings.get(&ObjectRef::new(&name).within(&namespace)).is_some(),
            Scope::Tenant => self.cluster_bindings.get(&ObjectRef::new(&name)).is_some(),
        }
    }

    /// The open requests, where they matter: when a request is evaluated.
    fn open(&self, request: &LockboxRequest) -> OpenRequests {
        if request.status.as_ref().and_then(|status| status.phase).unwrap_or_default() != Phase::Evaluating {
            return OpenRequests::default();
        }
        let all = self.open.state();
        limits::open(request, all.iter().filter_map(|open| open.open()))
    }
}

fn attempt(not_granted: NotGranted) -> Attempt {
    match not_granted {
        NotGranted::Refused(why) => Attempt::Refused(why),
        NotGranted::Blocked(why) => Attempt::Blocked(why),
    }
}

/// Where the grant of a request is, and what it is called.
fn grant_of(request: &LockboxRequest) -> (Scope, String, String) {
    let name = names::grant(request.metadata.uid.as_deref().unwrap_or_default());
    (request.spec.scope, request.namespace().unwrap_or_default(), name)
}
