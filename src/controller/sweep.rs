//! The sweep: at the start and on a timer, every grant past its deadline or without a live request is ended, whoever
//! made it and whatever anybody remembers. A grant that cannot be looked at or ended stops no other.

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{Context, packed::Packed};
use crate::{
    cluster::{Cluster, Error, EventRecord, FoundGrant},
    lease::Lead,
};
use lockbox_api::{LockboxRequest, Moment, Phase, Scope};
use lockbox_lifecycle::text::sha256;

/// Time between two sweeps.
const INTERVAL: Duration = Duration::from_mins(1);
/// A grant past its end is left to its own request for this long, which ends and records it.
const GRACE: chrono::TimeDelta = chrono::TimeDelta::seconds(10);

/// The same for who stands by. The operator that acts has ended it by then; where none can act, because nobody gets the Lease,
/// access ends all the same.
const GRACE_OF_ANOTHER: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// Sweeps until it is stopped, at once when this operator begins to act. One that stands by ends what is long past its end, and
/// nothing else.
pub async fn run(shared: Arc<Context>, lead: Lead) {
    // What the cache knows of requests need not be asked for again. Until it knows all, every grant is asked about.
    let mut timer = tokio::time::interval(INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut elected = std::pin::pin!(lead.elected());
    let mut leads = false;
    loop {
        tokio::select! {
            biased;
            () = &mut elected, if !leads => {
                leads = true;
                timer.reset();
            }
            _ = timer.tick() => {}
        }
        sweep(&shared, leads).await;
    }
}

/// Looks at every grant once.
async fn sweep(shared: &Context, leads: bool) {
    let (cluster, now) = (&shared.cluster, shared.proofs.now());
    let (grants, mut errors) = cluster.find_grants(now).await;
    let requests = shared.requests.state();
    let known: HashMap<String, &Packed> =
        requests.iter().filter_map(|request| Some((request.uid()?, request.as_ref()))).collect();
    // Of a request that was deleted while it was open, nothing else tells.
    shared.outbox.keep(|uid| known.contains_key(uid));
    if let Some(books) = &shared.activity {
        books.keep(|uid| known.contains_key(uid));
    }
    for grant in &grants {
        if !leads && grant.until.is_none_or(|until| now < until + GRACE_OF_ANOTHER) {
            continue;
        }
        let why = match why_end(cluster, grant, known.get(&grant.uid).copied(), now).await {
            Ok(None) => continue,
            Ok(Some(why)) => why,
            Err(error) => {
                tracing::warn!(request = grant.request, uid = grant.uid, grant = grant.name, %error, "the sweep cannot tell whether a grant may stay");
                errors.push(error);
                continue;
            }
        };
        tracing::warn!(
            request = grant.request,
            uid = grant.uid,
            namespace = grant.namespace,
            grant = grant.name,
            why,
            "the sweep ends a grant"
        );
        if let Err(error) = cluster.end_grant(grant.scope, &grant.namespace, &grant.name, true).await {
            tracing::error!(request = grant.request, uid = grant.uid, namespace = grant.namespace, grant = grant.name, why, %error, "the sweep could not end a grant, and will try again");
            tell(cluster, grant, why, &error, now).await;
            errors.push(error);
        }
    }
    if let Some(first) = errors.first() {
        let (grants, failed) = (grants.len(), errors.len());
        tracing::warn!(grants, failed, %first, "the sweep did not get through, and comes again");
    }
}

/// Says by an Event that a grant could not be ended. Its name follows from what stood in the way, so that each obstacle
/// is told once.
async fn tell(cluster: &Cluster, grant: &FoundGrant, why: &str, error: &Error, now: Moment) {
    let said = error.to_string();
    let namespace = home(cluster, grant).to_owned();
    let regarding = ObjectReference {
        api_version: Some(LockboxRequest::api_version(&()).into()),
        kind: Some(LockboxRequest::kind(&()).into()),
        namespace: Some(namespace.clone()),
        name: Some(grant.request.clone()),
        uid: Some(grant.uid.clone()),
        ..ObjectReference::default()
    };
    let digest = sha256(&said);
    let record = EventRecord {
        name: format!("lockbox.{}.not-ended-{}", grant.uid, digest.get(7..15).unwrap_or_default()),
        namespace,
        reason: "EndAccessFailed".into(),
        note: format!(
            "{} must end ({why}), and could not be ended: {said}. It is tried again every minute.",
            grant.name
        ),
        warning: true,
        at: now,
    };
    if let Err(error) = cluster.publish_about(regarding, &record).await {
        tracing::warn!(uid = grant.uid, grant = grant.name, %error, "that a grant could not be ended could not be told by an Event");
    }
}

/// The namespace of a grant's request.
fn home<'a>(cluster: &'a Cluster, grant: &'a FoundGrant) -> &'a str {
    match grant.scope {
        Scope::Subscription => &grant.namespace,
        Scope::Tenant => &cluster.config().tenant_namespace,
    }
}

/// Why a grant must end; none when it may stay.
async fn why_end(
    cluster: &Cluster,
    grant: &FoundGrant,
    known: Option<&Packed>,
    now: Moment,
) -> Result<Option<&'static str>, Error> {
    if grant.until.is_none_or(|until| now >= until + GRACE) {
        return Ok(Some("its end has passed"));
    }
    // What the cache says is enough to let a grant stay: it ends by its own deadline, and the request's reconciler is
    // told of the same change. To end it, the API server is asked.
    let glance = known.filter(|known| known.meta().uid.as_deref() == Some(&grant.uid)).and_then(Packed::glance);
    if glance.is_some_and(|glance| grants(glance.phase)) {
        return Ok(None);
    }
    // Where the cache has it is where it is: the tenant's home may have been another when the grant was made.
    let namespace = known.and_then(ResourceExt::namespace).unwrap_or_else(|| home(cluster, grant).to_owned());
    match cluster.read_request(&namespace, &grant.request).await {
        Ok(request) => Ok(judge(request.as_ref(), &grant.uid)),
        Err(error) if error.is_unreadable() => {
            let request = cluster.read_request_plain(&namespace, &grant.request).await?;
            let ends = judge_plain(request.as_ref(), &grant.uid);
            if ends.is_none() {
                tracing::error!(request = grant.request, uid = grant.uid, namespace, grant = grant.name, %error, "the request of a grant cannot be read; the access stays until its end, unless it is revoked");
            }
            Ok(ends)
        }
        Err(error) => Err(error),
    }
}

fn judge(request: Option<&LockboxRequest>, uid: &str) -> Option<&'static str> {
    let Some(request) = request.filter(|request| request.metadata.uid.as_deref() == Some(uid)) else {
        return Some("its request is gone");
    };
    let phase = request.status.as_ref().and_then(|status| status.phase).unwrap_or_default();
    (!grants(phase)).then_some("its request does not grant access")
}

fn grants(phase: Phase) -> bool {
    matches!(phase, Phase::Approved | Phase::AccessGranted)
}

/// The same for a request that this version cannot read: what is plain to see ends the access, what is not does not.
fn judge_plain(request: Option<&DynamicObject>, uid: &str) -> Option<&'static str> {
    let Some(request) = request.filter(|request| request.metadata.uid.as_deref() == Some(uid)) else {
        return Some("its request is gone");
    };
    let ended = |field: &str| request.data.pointer(field).is_some_and(|value| !value.is_null());
    if ended("/spec/revocation") || ended("/spec/release") || ended("/status/endedAt") {
        return Some("its request, which cannot be read, was ended");
    }
    let Some(phase) = request.data.pointer("/status/phase").and_then(Value::as_str) else {
        return Some("its request, which cannot be read, does not grant access");
    };
    // A phase that this version does not know may be one of those that grant.
    match serde_json::from_value::<Phase>(phase.into()) {
        Ok(Phase::Approved | Phase::AccessGranted) | Err(_) => None,
        Ok(_) => Some("its request, which cannot be read, does not grant access"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_that_cannot_be_read_keeps_its_access_unless_it_is_plain_that_it_ended() {
        let plain = |spec: Value, status: Value| -> Option<&'static str> {
            let request = json!({
                "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
                "metadata": {"name": "r", "namespace": "shop", "uid": "u"}, "spec": spec, "status": status,
            });
            judge_plain(Some(&serde_json::from_value(request).unwrap()), "u")
        };
        for phase in ["Approved", "AccessGranted", "SomethingNewer"] {
            assert_eq!(plain(json!({"duration": 7}), json!({"phase": phase})), None, "{phase}");
        }
        for (spec, status) in [
            (json!({}), json!({})),
            (json!({}), json!({"phase": "CustomerNotified"})),
            (json!({}), json!({"phase": "Revoked"})),
            (json!({}), json!({"phase": "SomethingNewer", "endedAt": "2026-11-29T12:00:00Z"})),
            (json!({"revocation": {"by": "alice"}}), json!({"phase": "AccessGranted"})),
            (json!({"release": {"by": "kim"}}), json!({"phase": "AccessGranted"})),
        ] {
            assert!(plain(spec.clone(), status.clone()).is_some(), "{spec} {status}");
        }
        assert_eq!(judge_plain(None, "u"), Some("its request is gone"));
    }
}
