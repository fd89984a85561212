//! The sweep: at the start and on a timer, every grant past its deadline or without a live request is ended, whoever
//! made it and whatever anybody remembers.

use std::{sync::Arc, time::Duration};

use super::Context;
use crate::cluster::{Cluster, Error, FoundGrant};
use lockbox_api::{LockboxRequest, Moment, Phase, Scope};

/// Time between two sweeps.
const INTERVAL: Duration = Duration::from_mins(1);
/// A grant past its end is left to its own request for this long, which ends and records it.
const GRACE: chrono::TimeDelta = chrono::TimeDelta::seconds(10);

/// Sweeps until it is stopped. A sweep that fails is logged and comes again.
pub async fn run(shared: Arc<Context>) {
    let mut timer = tokio::time::interval(INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if let Err(error) = sweep(&shared).await {
            tracing::warn!(%error, "the sweep will be tried again");
        }
    }
}

/// Looks at every grant once.
pub async fn sweep(shared: &Context) -> Result<(), Error> {
    let (cluster, now) = (&shared.cluster, shared.proofs.now());
    for grant in cluster.find_grants(now).await? {
        let Some(why) = why_end(cluster, &grant, now).await? else { continue };
        tracing::warn!(
            request = grant.request,
            namespace = grant.namespace,
            grant = grant.name,
            why,
            "the sweep ends a grant"
        );
        cluster.end_grant(grant.scope, &grant.namespace, &grant.name, true).await?;
    }
    Ok(())
}

/// Why a grant must end; none when it may stay.
async fn why_end(cluster: &Cluster, grant: &FoundGrant, now: Moment) -> Result<Option<&'static str>, Error> {
    if grant.until.is_none_or(|until| now >= until + GRACE) {
        return Ok(Some("its end has passed"));
    }
    let home = &cluster.config().tenant_namespace;
    let namespace = match grant.scope {
        Scope::Subscription => &grant.namespace,
        Scope::Tenant => home,
    };
    let request = match cluster.read_request(namespace, &grant.request).await {
        Ok(request) => request,
        // It is there and cannot be read: nobody can say that it is approved.
        Err(Error::Kube { source, .. }) if matches!(*source, kube::Error::SerdeError(_)) => {
            return Ok(Some("its request cannot be read"));
        }
        Err(error) => return Err(error),
    };
    Ok(judge(request.as_ref(), &grant.uid))
}

fn judge(request: Option<&LockboxRequest>, uid: &str) -> Option<&'static str> {
    let Some(request) = request.filter(|request| request.metadata.uid.as_deref() == Some(uid)) else {
        return Some("its request is gone");
    };
    match request.status.as_ref().and_then(|status| status.phase).unwrap_or_default() {
        Phase::Approved | Phase::AccessGranted => None,
        _ => Some("its request does not grant access"),
    }
}
