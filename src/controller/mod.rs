//! Watches, facts, a step, writes: one file per kind, plus the sweep and what is reported about deleted objects.

pub mod assignments;
pub mod changes;
pub mod gone;
mod memory;
pub mod packed;
pub mod people;
pub mod proofs;
pub mod queue;
pub mod removals;
pub mod requests;
pub mod retry;
pub mod seen;
pub mod settings;
pub mod standby;
pub mod sweep;
pub mod views;
pub mod watches;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::{
    Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        controller::Action as Requeue,
        reflector::{ObjectRef, Store},
    },
};

use self::{packed::Packed, retry::Retries};
use crate::{
    activity::Books,
    cluster::{Cluster, Error},
    metrics::Metrics,
    outbox::Outbox,
};
use lockbox_api::{LockboxSettings, Moment, RoleAssignment, names};
use lockbox_lifecycle::{RoleView, settings::SettingsView};

/// Longest sleep: a clock that was set, or a machine that slept, is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_mins(10);

/// Holds an object even if it cannot be read, so that the watch goes on for the others.
pub type Guarded<K> = DeserializeGuard<K>;

/// What every reconciler looks at.
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// The settings, of which there is one.
    pub settings: Store<Guarded<LockboxSettings>>,
    /// All assignments.
    pub assignments: Store<Guarded<RoleAssignment>>,
    /// The `ClusterRole`s that bear the label of an access level.
    pub levels: Store<ClusterRole>,
    /// All requests that are not closed.
    pub requests: Store<Packed>,
    /// Retries by object.
    pub retries: Retries,
    /// What is proven of the cluster.
    pub proofs: proofs::CurrentProofs,
    /// What stands in the way of people's bindings.
    pub troubles: people::Troubles,
    /// Messages on their way.
    pub outbox: Arc<Outbox>,
    /// What was deleted and must be reported.
    pub gone: Arc<gone::Gone>,
    /// What is counted.
    pub metrics: Metrics,
    /// What the audit stream says of accesses; none where none reaches us.
    pub activity: Option<Arc<Books>>,
}

impl Context {
    /// The rules of an access level's `ClusterRole`, as the watch has them: what is granted is compared by its hash with what
    /// the approvers saw, so that the worst of a watch that is late is a grant that fails. That there is none, only the API
    /// server can say.
    pub async fn role(&self, name: &str) -> Result<RoleView, Error> {
        match self.levels.get(&ObjectRef::new(name)) {
            Some(role) => Ok(RoleView::Rules(role.rules.clone().unwrap_or_default())),
            None => self.cluster.role(name).await,
        }
    }

    /// All assignments that can be read, as the cache knows them: for the addresses in them.
    pub fn known_assignments(&self) -> Vec<RoleAssignment> {
        self.assignments.state().iter().filter_map(|guarded| guarded.0.as_ref().ok().cloned()).collect()
    }

    /// The settings as the cache knows them, which may be late: whoever ends something because they are missing reads
    /// them first.
    pub fn settings(&self) -> Option<Arc<Guarded<LockboxSettings>>> {
        self.settings.find(|settings| settings.meta().name.as_deref() == Some(names::SETTINGS))
    }

    /// The settings; only a fresh read can say that there are none.
    pub async fn settings_or_read(&self) -> Result<Option<Arc<Guarded<LockboxSettings>>>, Error> {
        match self.settings() {
            Some(cached) => Ok(Some(cached)),
            None => Ok(self.cluster.read_settings().await?.map(Arc::new)),
        }
    }
}

/// What is known by stored settings: none, unreadable ones, or these.
pub fn view(settings: Option<&Guarded<LockboxSettings>>) -> SettingsView<'_> {
    match settings.map(|settings| &settings.0) {
        None => SettingsView::Missing,
        Some(Err(invalid)) => SettingsView::Unreadable(&invalid.error),
        Some(Ok(settings)) => SettingsView::Known(&settings.spec),
    }
}

/// What to do after a failure: try again, later each time.
#[allow(clippy::needless_pass_by_value, reason = "the controller's own signature")]
pub fn on_error<K: Resource<DynamicType = ()>>(object: Arc<Guarded<K>>, error: &Error, ctx: Arc<Context>) -> Requeue {
    if error.is_conflict() {
        return Requeue::requeue(Retries::conflict());
    }
    let key = key(&object);
    tracing::warn!(object = key, uid = object.uid(), %error, "will be tried again");
    Requeue::requeue(ctx.retries.failed(&key))
}

/// The key under which retries are counted.
fn key<K: Resource<DynamicType = ()>>(object: &Guarded<K>) -> String {
    format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}

/// The version of a stored object. Versions are numbers on every API server; should one not be, there is none.
fn version(object: &impl Resource) -> Option<u64> {
    object.meta().resource_version.as_deref()?.parse().ok()
}

/// The operator's own clock, in one place. [`proofs::CurrentProofs::now`] says what it means for deadlines.
fn now() -> Moment {
    chrono::Utc::now()
}
