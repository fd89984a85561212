//! Watches, facts, a step, writes: one file a kind, plus the sweep.

pub mod assignments;
pub mod changes;
mod memory;
pub mod people;
pub mod proofs;
pub mod requests;
pub mod retry;
pub mod settings;
pub mod sweep;
pub mod views;
pub mod watches;

use std::sync::Arc;

use kube::{Resource, core::DeserializeGuard, runtime::reflector::Store};

use crate::cluster::Cluster;
use lockbox_api::{LockboxSettings, Moment, RoleAssignment, names};

/// What an object that cannot be read is kept as: the watch goes on for the others.
pub type Guarded<K> = DeserializeGuard<K>;

/// What every reconciler looks at.
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// The settings, of which there is one.
    pub settings: Store<Guarded<LockboxSettings>>,
    /// All assignments.
    pub assignments: Store<Guarded<RoleAssignment>>,
    /// Retries by object.
    pub retries: retry::Retries,
    /// What is proven of the cluster.
    pub proofs: proofs::Board,
}

impl Context {
    /// The settings as they are known now. Unreadable ones are none: nothing is granted by what cannot be read.
    pub fn settings(&self) -> Option<Arc<Guarded<LockboxSettings>>> {
        self.settings.find(|settings| settings.meta().name.as_deref() == Some(names::SETTINGS))
    }
}

/// The operator's own clock, in one place. What it means for deadlines says [`proofs::Board::now`].
fn now() -> Moment {
    chrono::Utc::now()
}
