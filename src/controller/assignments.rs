//! Role assignments: say whether each counts, and record activations.

use std::{sync::Arc, time::Duration};

use kube::{ResourceExt, runtime::controller::Action as Requeue};

use super::{Context, Guarded, retry::Retries};
use crate::cluster::Error;
use lockbox_api::RoleAssignment;
use lockbox_lifecycle::recognition::recognise;

const LONGEST_SLEEP: Duration = Duration::from_mins(10);

/// Reconciles one assignment.
pub async fn reconcile(guarded: Arc<Guarded<RoleAssignment>>, ctx: Arc<Context>) -> Result<Requeue, Error> {
    let assignment = match &guarded.0 {
        Ok(assignment) => assignment,
        Err(invalid) => {
            tracing::error!(
                assignment = invalid.metadata.name.as_deref().unwrap_or_default(),
                namespace = invalid.metadata.namespace.as_deref().unwrap_or_default(),
                error = invalid.error,
                "this assignment cannot be read, so it does not count"
            );
            return Ok(Requeue::await_change());
        }
    };
    if assignment.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::await_change());
    }
    let settings = ctx.settings();
    let settings = settings.as_ref().and_then(|settings| settings.0.as_ref().ok()).map(|settings| &settings.spec);
    let now = ctx.proofs.now();
    let (status, wake) = recognise(assignment, settings, &ctx.cluster.config().tenant_namespace, now);
    if assignment.status.as_ref() != Some(&status) {
        ctx.cluster.write_assignment_status(assignment, status).await?;
    }
    ctx.retries.succeeded(&key(assignment));
    Ok(Requeue::requeue(
        wake.and_then(|wake| (wake - now).to_std().ok()).map_or(LONGEST_SLEEP, |wait| wait.min(LONGEST_SLEEP)),
    ))
}

/// What to do after a failure.
#[allow(clippy::needless_pass_by_value, reason = "the controller's own signature")]
pub fn on_error(guarded: Arc<Guarded<RoleAssignment>>, error: &Error, ctx: Arc<Context>) -> Requeue {
    if error.is_conflict() {
        return Requeue::requeue(Retries::conflict());
    }
    tracing::warn!(assignment = guarded.name_any(), namespace = guarded.namespace(), %error, "will be tried again");
    Requeue::requeue(ctx.retries.failed(&key(guarded.as_ref())))
}

fn key(object: &impl ResourceExt) -> String {
    format!("assignment {}/{}", object.namespace().unwrap_or_default(), object.name_any())
}
