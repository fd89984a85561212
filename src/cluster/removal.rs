//! Removing the record of a request: first it is reported, then deleted.

use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};

use super::{Cluster, Error, EventRecord, deleted};
use k8s_openapi::api::core::v1::ObjectReference;
use lockbox_api::{LockboxRequest, Moment};
use lockbox_lifecycle::removal::{ACTION, Removal};

impl Cluster {
    /// Publishes who has this record removed, and why; writes it into the log; then deletes the record, and no other of its
    /// name. Can be repeated.
    pub async fn remove_request(
        &self,
        regarding: ObjectReference,
        removal: &Removal,
        now: Moment,
    ) -> Result<(), Error> {
        let record = EventRecord {
            name: removal.event_name(),
            namespace: removal.namespace.clone(),
            reason: ACTION.into(),
            note: removal.note(),
            warning: false,
            at: now,
        };
        self.publish_event(regarding, None, &record).await?;
        tracing::info!(
            request = removal.name,
            uid = removal.uid,
            namespace = removal.namespace,
            phase = removal.phase,
            action = ACTION,
            actor = removal.by,
            reason = removal.reason,
            requester = removal.requester,
            ticket = removal.ticket,
            incident = removal.incident,
            sequence = removal.entries,
            hash = removal.head,
            "audit"
        );
        let requests: Api<LockboxRequest> = Api::namespaced(self.client.clone(), &removal.namespace);
        let this_one = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(removal.uid.clone()), ..Preconditions::default() }),
            ..DeleteParams::background()
        };
        match deleted("delete a LockboxRequest", requests.delete(&removal.name, &this_one)).await {
            // Another one has the name: this one is gone.
            Err(error) if error.is_conflict() => Ok(()),
            done => done.map(drop),
        }
    }
}
