//! RBAC for people, kept as settings and assignments say. The whole set is compared: what is missing is made, what is
//! too much is removed, so that a deleted assignment needs no finalizer to take its rights along.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{Resource, core::PartialObjectMeta, runtime::reflector::Store};

use super::{Context, changes::Changes};
use crate::cluster::Error;
use lockbox_api::RoleAssignment;
use lockbox_lifecycle::people::bindings;

/// Activations end by the clock, so the set is compared from time to time too.
const INTERVAL: Duration = Duration::from_secs(30);
/// Many changes in a row (an installer's) are one.
const SETTLE: Duration = Duration::from_millis(20);

/// The stores of people's bindings.
pub struct People {
    /// Shared.
    pub shared: Arc<Context>,
    /// Bindings in namespaces.
    pub bindings: Store<PartialObjectMeta<RoleBinding>>,
    /// Bindings in the cluster.
    pub cluster_bindings: Store<PartialObjectMeta<ClusterRoleBinding>>,
    /// What changes.
    pub changes: Changes,
}

impl People {
    /// Compares whenever something changed, and from time to time, until it is stopped.
    pub async fn run(self) {
        let mut changes = self.changes.read();
        loop {
            let wait = match self.compare().await {
                Ok(()) => {
                    self.shared.retries.succeeded("people");
                    INTERVAL
                }
                Err(error) => {
                    tracing::warn!(%error, "people's rights will be compared again");
                    self.shared.retries.failed("people")
                }
            };
            // Whichever comes first; and then whatever comes within the time that a burst takes.
            let _ = tokio::time::timeout(wait, changes.next()).await;
            let burst = async { while changes.next().await.is_some() {} };
            let _ = tokio::time::timeout(SETTLE, burst).await;
        }
    }

    async fn compare(&self) -> Result<(), Error> {
        let settings = self.shared.settings();
        let settings = settings.as_ref().and_then(|settings| settings.0.as_ref().ok()).map(|settings| &settings.spec);
        let stored = self.shared.assignments.state();
        let assignments: Vec<&RoleAssignment> = stored.iter().filter_map(|guarded| guarded.0.as_ref().ok()).collect();
        let wanted = bindings(settings, assignments, self.shared.proofs.now());

        let place = |meta: &kube::api::ObjectMeta| (meta.namespace.clone(), meta.name.clone().unwrap_or_default());
        let mut there: HashSet<(Option<String>, String)> =
            self.bindings.state().iter().map(|binding| place(binding.meta())).collect();
        there.extend(self.cluster_bindings.state().iter().map(|binding| place(binding.meta())));

        let mut keep = HashSet::with_capacity(wanted.len());
        for binding in &wanted {
            let place = (binding.namespace.clone(), binding.name());
            if !there.contains(&place) {
                self.shared.cluster.bind_people(binding).await?;
                tracing::info!(role = binding.role.short(), principal = %binding.principal, namespace = binding.namespace, "gave people their rights");
            }
            keep.insert(place);
        }
        for (namespace, name) in there.difference(&keep) {
            self.shared.cluster.unbind_people(namespace.as_deref(), name).await?;
            tracing::info!(binding = name, namespace, "took rights back that nothing gives any more");
        }
        Ok(())
    }
}
