//! Records whose removal a Global Administrator asked for. They are over, so nothing else watches them. They are read
//! field by field: what another version of the operator wrote can be removed, too.

use std::{sync::Arc, time::Duration};

use kube::{
    Resource, ResourceExt,
    core::{ApiResource, DynamicObject},
    runtime::controller::Action as Requeue,
};

use super::{Context, retry::Retries};
use crate::cluster::Error;
use lockbox_api::LockboxRequest;
use lockbox_lifecycle::removal::Removal;

/// Selects what somebody asked to be removed. The API server takes a field that is not there for an empty one.
pub const ASKED: &str = "spec.removal.by!=";
/// Until the policies are known to be in force again, or the rest of the history is published.
const LATER: Duration = Duration::from_secs(5);

/// The kind of the requests, as an object of any content.
pub fn kind() -> ApiResource {
    ApiResource::erase::<LockboxRequest>(&())
}

/// Reconciles one request whose removal was asked for.
pub async fn reconcile(stored: Arc<DynamicObject>, ctx: Arc<Context>) -> Result<Requeue, Error> {
    let key = key(&stored);
    let Some(removal) = serde_json::to_value(&*stored).ok().as_ref().and_then(Removal::of) else {
        tracing::error!(request = key, "a removal was asked for, but the request is not over; it stays");
        return Ok(Requeue::await_change());
    };
    // While a policy is missing, anybody who may write to requests may have asked for this in an administrator's name.
    if let Some(why) = ctx.proofs.read().admission().missing() {
        tracing::warn!(request = key, why, "the record is removed when the admission policies are in force");
        return Ok(Requeue::requeue(LATER));
    }
    // What this operator can read, it closes first.
    if !removal.closed && (*stored).clone().try_parse::<LockboxRequest>().is_ok() {
        return Ok(Requeue::requeue(LATER));
    }
    ctx.cluster.remove_request(stored.object_ref(&kind()), &removal, ctx.proofs.now()).await?;
    ctx.retries.succeeded(&key);
    Ok(Requeue::await_change())
}

/// What to do after a failure.
#[allow(clippy::needless_pass_by_value, reason = "the controller's own signature")]
pub fn on_error(stored: Arc<DynamicObject>, error: &Error, ctx: Arc<Context>) -> Requeue {
    let key = key(&stored);
    tracing::warn!(request = key, uid = stored.uid(), %error, "its record will be removed later");
    if error.is_conflict() {
        return Requeue::requeue(Retries::conflict());
    }
    Requeue::requeue(ctx.retries.failed(&key))
}

fn key(stored: &DynamicObject) -> String {
    format!("removal {}/{}", stored.namespace().unwrap_or_default(), stored.name_any())
}
