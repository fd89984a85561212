//! Requests: gather the facts, take a step, perform it; again, until nothing is left to do now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::rbac::v1::{ClusterRoleBinding, RoleBinding},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        controller::Action as Requeue,
        reflector::{ObjectRef, Store},
    },
};

use super::{Context, Guarded, retry::Retries};
use crate::cluster::{Error, NotGranted};
use lockbox_api::{LockboxRequest, LockboxSettings, Moment, Phase, RoleAssignment, Scope, names};
use lockbox_lifecycle::{Action, Facts, GrantView, Proof, Proofs, RoleView, Step, facts, step};

/// Requests that are remembered at most.
const MOST_REMEMBERED: usize = 20_000;
/// Longest sleep: a clock that was set, or a machine that slept, is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_mins(10);
/// How long to wait for a quota to have room.
const TRY_AGAIN: chrono::TimeDelta = chrono::TimeDelta::seconds(5);
/// Steps in one go at most; a request's whole life has fewer.
const MOST_STEPS: usize = 12;

/// What this reconciler looks at besides the [`Context`].
pub struct Requests {
    shared: Arc<Context>,
    /// Bindings of grants in namespaces.
    bindings: Store<PartialObjectMeta<RoleBinding>>,
    /// Bindings of grants in the cluster.
    cluster_bindings: Store<PartialObjectMeta<ClusterRoleBinding>>,
    /// What we did, by request UID. It only spares asking the API server for what it would refuse: forgotten by a restart,
    /// and altogether when it holds [`MOST_REMEMBERED`].
    memory: Mutex<HashMap<String, Remembered>>,
}

/// What we did to a request.
#[derive(Clone, Debug, Default)]
struct Remembered {
    /// Entries published. Status catches up with every transition.
    published: usize,
    /// The version that our last write made.
    version: u64,
    /// Something forged about it was let in. That ends it, even if somebody writes it over and over so that the end is not
    /// recorded before the policies are put right.
    forgeable: Option<String>,
}

/// What a step is decided from, besides the request.
struct Known {
    settings: Option<Arc<Guarded<LockboxSettings>>>,
    assignments: Vec<Arc<Guarded<RoleAssignment>>>,
}

/// Reconciles one request.
pub async fn reconcile(guarded: Arc<Guarded<LockboxRequest>>, ctx: Arc<Requests>) -> Result<Requeue, Error> {
    let request = match &guarded.0 {
        Ok(request) => request.clone(),
        Err(invalid) => {
            tracing::error!(
                request = invalid.metadata.name.as_deref().unwrap_or_default(),
                namespace = invalid.metadata.namespace.as_deref().unwrap_or_default(),
                error = invalid.error,
                "this request cannot be read; it is left alone, and any grant of it is ended by the sweep"
            );
            return Ok(Requeue::requeue(LONGEST_SLEEP));
        }
    };
    let key = key(guarded.as_ref());
    // The cache may not have seen yet what we wrote ourselves: then the API server is asked.
    let behind = ctx.is_behind(&request);
    let request = if behind { ctx.read_again(&request).await? } else { Some(request) };
    let wake = match request {
        Some(request) => ctx.advance(request, behind).await?,
        None => None,
    };
    ctx.shared.retries.succeeded(&key);
    Ok(wake.map_or_else(|| Requeue::requeue(LONGEST_SLEEP), |wake| Requeue::requeue(until(wake, ctx.now()))))
}

/// What to do after a failure.
#[allow(clippy::needless_pass_by_value, reason = "the controller's own signature")]
pub fn on_error(guarded: Arc<Guarded<LockboxRequest>>, error: &Error, ctx: Arc<Requests>) -> Requeue {
    let request = guarded.name_any();
    let namespace = guarded.namespace().unwrap_or_default();
    if error.is_conflict() {
        tracing::debug!(request, namespace, "written by somebody else in between; looking again");
        return Requeue::requeue(Retries::conflict());
    }
    tracing::warn!(request, namespace, %error, "will be tried again");
    Requeue::requeue(ctx.shared.retries.failed(&key(guarded.as_ref())))
}

fn key(object: &Guarded<LockboxRequest>) -> String {
    format!("{}/{}", object.meta().namespace.as_deref().unwrap_or_default(), object.name_any())
}

/// How long to sleep until a moment.
fn until(moment: Moment, now: Moment) -> Duration {
    (moment - now).to_std().unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
}

impl Requests {
    /// Looks at these stores of grants' bindings.
    pub fn new(
        shared: Arc<Context>,
        bindings: Store<PartialObjectMeta<RoleBinding>>,
        cluster_bindings: Store<PartialObjectMeta<ClusterRoleBinding>>,
    ) -> Self {
        Self { shared, bindings, cluster_bindings, memory: Mutex::default() }
    }

    /// Takes steps until there is nothing to do now. Returns when to look again.
    async fn advance(&self, request: LockboxRequest, fresh: bool) -> Result<Option<Moment>, Error> {
        // What a cache says may be old. Before access is made from it, the API server is asked.
        let (mut request, mut fresh) = (request, fresh);
        let mut made = None;
        for _ in 0..MOST_STEPS {
            let phase = request.status.as_ref().and_then(|status| status.phase).unwrap_or_default();
            if phase == Phase::Approved && !fresh {
                match self.read_again(&request).await? {
                    Some(current) => request = current,
                    None => return Ok(None),
                }
                fresh = true;
                continue;
            }
            let blocked = matches!(made, Some(GrantView::Blocked(_)));
            let next = self.next_step(&request, made.take()).await?;
            let mut not_granted = None;
            for action in &next.before {
                if let Err(why) = self.perform(&request, action).await? {
                    not_granted = Some(why);
                    break;
                }
            }
            match not_granted {
                Some(NotGranted::Refused(why)) => {
                    made = Some(GrantView::Refused(why));
                    continue;
                }
                Some(NotGranted::Blocked(why)) => {
                    made = Some(GrantView::Blocked(why));
                    continue;
                }
                None if next.grants() => {
                    made = Some(GrantView::Present);
                }
                None => {}
            }
            let changed = next.status.is_some();
            if let Some(status) = next.status {
                request = self.shared.cluster.write_request_status(&request, *status).await?;
                fresh = true;
                self.remember(&request, |known| known.version = version(&request).unwrap_or_default());
                if request.status.as_ref().is_some_and(|status| status.closed == Some(true)) {
                    return Ok(None);
                }
            }
            for action in &next.after {
                // What comes after the status is publishing alone, which is never refused.
                let _ = self.perform(&request, action).await?;
            }
            if blocked {
                let again = self.now() + TRY_AGAIN;
                return Ok(Some(next.wake.map_or(again, |wake| wake.min(again))));
            }
            if !changed && next.after.is_empty() {
                return Ok(next.wake);
            }
        }
        Ok(Some(self.now()))
    }

    fn now(&self) -> Moment {
        self.shared.proofs.now()
    }

    async fn read_again(&self, request: &LockboxRequest) -> Result<Option<LockboxRequest>, Error> {
        let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
        let current = self.shared.cluster.read_request(&namespace, &name).await?;
        Ok(current.filter(|current| current.metadata.uid == request.metadata.uid))
    }

    /// Gathers the facts and decides.
    async fn next_step(&self, request: &LockboxRequest, made: Option<GrantView>) -> Result<Step, Error> {
        let config = self.shared.cluster.config();
        let phase = request.status.as_ref().and_then(|status| status.phase).unwrap_or_default();
        let namespace = request.namespace().unwrap_or_default();
        let known = self.known(request, phase, &namespace).await?;
        let settings = known.settings.as_ref().and_then(|settings| settings.0.as_ref().ok());
        let recorded =
            settings.and_then(|settings| settings.status.as_ref()).map_or(&[][..], |status| &status.conditions);
        let proofs = self.shared.proofs.read().with_recorded(recorded);
        let settings = settings.map(|settings| &settings.spec);
        let assignments: Vec<&RoleAssignment> =
            known.assignments.iter().filter_map(|guarded| guarded.0.as_ref().ok()).collect();

        let level = settings
            .and_then(|settings| settings.access_levels.iter().find(|level| level.name == request.spec.access_level));
        let role = match level {
            Some(level) if facts::needs_role(phase) => self.shared.cluster.role(&level.cluster_role).await?,
            _ => RoleView::Unread,
        };
        let grant = match made {
            Some(view) => view,
            None if facts::needs_grant(phase) => self.look_for_grant(request).await?,
            None => GrantView::Unread,
        };
        let facts = Facts {
            request,
            settings,
            assignments: &assignments,
            role: &role,
            grant: &grant,
            published: self.published(request),
            proofs: &proofs,
            tenant_namespace: &config.tenant_namespace,
        };
        let next = step(&facts, self.now());
        if next.grants() { self.last_look(&facts, recorded).await } else { Ok(next) }
    }

    /// Decides again before access is made: with a trial of this very request, and what was found meanwhile.
    async fn last_look(&self, facts: &Facts<'_>, recorded: &[Condition]) -> Result<Step, Error> {
        let admission = match self.remembered(facts.request).forgeable {
            Some(why) => Proof::Disproven(why),
            None => self.shared.cluster.try_forged_approval(facts.request).await?,
        };
        let (now, proofs) = (self.now(), self.shared.proofs.read().with_recorded(recorded));
        match admission {
            Proof::Proven => Ok(step(&Facts { proofs: &proofs, ..*facts }, now)),
            Proof::Disproven(why) => {
                if self.remembered(facts.request).forgeable.is_none() {
                    self.shared.proofs.doubt();
                    self.remember(facts.request, |known| known.forgeable = Some(why.clone()));
                }
                Ok(step(&Facts { grant: &GrantView::Forgeable(why), proofs: &proofs, ..*facts }, now))
            }
            Proof::Unknown(_) => {
                let next = step(&Facts { proofs: &Proofs { admission, ..proofs }, ..*facts }, now);
                // Nothing else says when it can be tried.
                Ok(Step { wake: next.wake.map(|wake| wake.min(now + TRY_AGAIN)), ..next })
            }
        }
    }

    /// Settings and assignments for this step. What is recorded for good is decided from what is stored now: a cache
    /// may not have seen yet what was written just before the request, or the decision.
    async fn known(&self, request: &LockboxRequest, phase: Phase, namespace: &str) -> Result<Known, Error> {
        let cluster = &self.shared.cluster;
        let home = &cluster.config().tenant_namespace;
        let decides = match phase {
            Phase::Evaluating => true,
            Phase::CustomerNotified => !request.spec.decisions.is_empty(),
            _ => false,
        };
        if !decides {
            let near = |assignment: &Arc<Guarded<RoleAssignment>>| {
                let there = assignment.meta().namespace.as_deref();
                there == Some(namespace) || there == Some(home)
            };
            let assignments = self.shared.assignments.state().into_iter().filter(near).collect();
            return Ok(Known { settings: self.shared.settings(), assignments });
        }
        let settings = cluster.read_settings().await?.map(Arc::new);
        let mut assignments = cluster.read_assignments(namespace).await?;
        if namespace != home {
            assignments.extend(cluster.read_assignments(home).await?);
        }
        Ok(Known { settings, assignments: assignments.into_iter().map(Arc::new).collect() })
    }

    /// The cache says that a binding is there; that it is not, only the API server says.
    async fn look_for_grant(&self, request: &LockboxRequest) -> Result<GrantView, Error> {
        let Some(grant) = request.status.as_ref().and_then(|status| status.grant.as_ref()) else {
            return Ok(GrantView::Absent);
        };
        let namespace = request.namespace().unwrap_or_default();
        let cached = match request.spec.scope {
            Scope::Subscription => self.bindings.get(&ObjectRef::new(&grant.name).within(&namespace)).is_some(),
            Scope::Tenant => self.cluster_bindings.get(&ObjectRef::new(&grant.name)).is_some(),
        };
        let there = cached || self.shared.cluster.grant_exists(request.spec.scope, &namespace, &grant.name).await?;
        Ok(if there { GrantView::Present } else { GrantView::Absent })
    }

    /// Performs one action.
    async fn perform(&self, request: &LockboxRequest, action: &Action) -> Result<Result<(), NotGranted>, Error> {
        let cluster = &self.shared.cluster;
        match action {
            Action::MakeGrant(plan) => return cluster.make_grant(request, plan, self.now()).await,
            Action::EndGrant { early } => {
                let namespace = request.namespace().unwrap_or_default();
                let name = names::grant(request.metadata.uid.as_deref().unwrap_or_default());
                cluster.end_grant(request.spec.scope, &namespace, &name, *early).await?;
            }
            Action::Publish { after } => {
                let history = request.status.as_ref().map_or(&[][..], |status| &status.history);
                cluster.publish(request, history.get(*after..).unwrap_or_default()).await?;
                self.remember(request, |known| known.published = history.len());
            }
        }
        Ok(Ok(()))
    }

    fn published(&self, request: &LockboxRequest) -> usize {
        let recorded = request.status.as_ref().and_then(|status| status.events_published).unwrap_or_default();
        usize::try_from(recorded).unwrap_or_default().max(self.remembered(request).published)
    }

    /// Whether this is older than what our own last write made. Versions are numbers on every API server; should one not
    /// be, nothing counts as old, and a write over it is refused.
    fn is_behind(&self, request: &LockboxRequest) -> bool {
        version(request).is_some_and(|version| version < self.remembered(request).version)
    }

    fn remembered(&self, request: &LockboxRequest) -> Remembered {
        let uid = request.metadata.uid.as_deref().unwrap_or_default();
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned().unwrap_or_default()
    }

    fn remember(&self, request: &LockboxRequest, what: impl FnOnce(&mut Remembered)) {
        let uid = request.metadata.uid.clone().unwrap_or_default();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= MOST_REMEMBERED {
            memory.clear();
        }
        what(memory.entry(uid).or_default());
    }
}

fn version(request: &LockboxRequest) -> Option<u64> {
    request.metadata.resource_version.as_deref()?.parse().ok()
}
