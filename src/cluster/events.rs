//! Publishing history entries as Events.
//!
//! kube's own recorder drops the note of an Event that resembles one of the last minutes: an audit log cannot use it.
//! Ours have names that follow from the object and the entry, so that publishing twice is one Event.

use std::sync::atomic::Ordering;

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Resource,
    api::{ObjectMeta, PostParams},
};

use super::{Cluster, Error, limited};
use lockbox_api::{LockboxRequest, Moment, Scope, names, request::Entry};
use lockbox_lifecycle::{
    audit::{self, NOTE_LIMIT},
    text::clip_bytes,
};

/// An Event to publish, about whichever of our kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its name, the same for every attempt.
    pub name: String,
    /// Its namespace: the object's, or `default` for one of the cluster's.
    pub namespace: String,
    /// The audit action.
    pub reason: String,
    /// What happened.
    pub note: String,
    /// Whether somebody should look at it.
    pub warning: bool,
    /// When it happened.
    pub at: Moment,
}

impl Cluster {
    /// Publishes entries of a request's history, in their order.
    pub async fn publish(&self, request: &LockboxRequest, entries: &[Entry]) -> Result<(), Error> {
        let uid = request.metadata.uid.as_deref().unwrap_or_default();
        let related = request.status.as_ref().and_then(|status| status.grant.as_ref()).map(|grant| ObjectReference {
            api_version: Some("rbac.authorization.k8s.io/v1".into()),
            kind: Some(
                match request.spec.scope {
                    Scope::Subscription => "RoleBinding",
                    Scope::Tenant => "ClusterRoleBinding",
                }
                .into(),
            ),
            name: Some(grant.name.clone()),
            namespace: (request.spec.scope == Scope::Subscription)
                .then(|| request.metadata.namespace.clone())
                .flatten(),
            ..ObjectReference::default()
        });
        for entry in entries {
            let record = EventRecord {
                name: audit::event_name(uid, entry.sequence),
                namespace: request.metadata.namespace.clone().unwrap_or_default(),
                reason: entry.action.to_string(),
                note: audit::note(request, entry),
                warning: audit::is_warning(entry.action),
                at: entry.at,
            };
            self.publish_event(request.object_ref(&()), related.clone(), &record).await?;
            tracing::info!(
                request = request.metadata.name.as_deref().unwrap_or_default(),
                uid,
                namespace = record.namespace,
                phase = %entry.phase,
                action = %entry.action,
                actor = entry.actor,
                sequence = entry.sequence,
                hash = entry.hash,
                "audit"
            );
        }
        Ok(())
    }

    /// Publishes an Event about an object of ours, and logs it. Publishing it again, in whatever words, changes nothing.
    pub async fn publish_about(&self, regarding: ObjectReference, record: &EventRecord) -> Result<(), Error> {
        let (kind, name) = (regarding.kind.clone().unwrap_or_default(), regarding.name.clone().unwrap_or_default());
        let (uid, namespace) = (regarding.uid.clone().unwrap_or_default(), regarding.namespace.clone());
        self.publish_event(regarding, None, record).await?;
        tracing::info!(kind, name, namespace, uid, action = record.reason, note = record.note, "audit");
        Ok(())
    }

    pub(super) async fn publish_event(
        &self,
        regarding: ObjectReference,
        related: Option<ObjectReference>,
        record: &EventRecord,
    ) -> Result<(), Error> {
        // What is from before this start, or from another's time, may be published already, and a read costs less than a
        // write that is refused.
        let before = record.at.timestamp_millis() <= self.acts_since.load(Ordering::Relaxed);
        if before && self.is_published(&regarding, record).await? {
            return Ok(());
        }
        let events: Api<Event> = Api::namespaced(self.client.clone(), &record.namespace);
        let event = event(regarding, related, record, &self.config.instance);
        match limited("publish an Event", events.create(&PostParams::default(), &event)).await {
            // The namespace takes its records with it; there is nobody left to read them.
            Err(error) if error.namespace_is_ending() => Ok(()),
            Err(error) if error.already_exists() => {
                let regarding = event.regarding.unwrap_or_default();
                if self.is_published(&regarding, record).await? {
                    return Ok(());
                }
                // Somebody squatted the name. The history has the entry; the Event cannot be had. Say so, and go on:
                // nobody may hold up a request's end by an Event.
                tracing::error!(event = record.name, namespace = record.namespace, "an Event of this name is not ours");
                Ok(())
            }
            made => made.map(drop),
        }
    }
}

impl Cluster {
    /// Whether an Event of this name is there, and ours. Nobody else reports in our name (policy lockbox-events). The words
    /// may differ: those of an older version, or of another attempt.
    async fn is_published(&self, regarding: &ObjectReference, record: &EventRecord) -> Result<bool, Error> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &record.namespace);
        let there = limited("read an Event", events.get_opt(&record.name)).await?;
        Ok(there.is_some_and(|there| {
            there.reporting_controller.as_deref() == Some(names::CONTROLLER)
                && there.regarding.is_some_and(|about| about.uid == regarding.uid)
        }))
    }
}

/// The Event for a record.
fn event(regarding: ObjectReference, related: Option<ObjectReference>, record: &EventRecord, instance: &str) -> Event {
    // Of the reference, what names the object: its version would differ between attempts.
    let regarding = ObjectReference { resource_version: None, ..regarding };
    Event {
        metadata: ObjectMeta {
            name: Some(record.name.clone()),
            namespace: Some(record.namespace.clone()),
            ..ObjectMeta::default()
        },
        regarding: Some(regarding),
        related,
        reason: Some(record.reason.clone()),
        action: Some(record.reason.clone()),
        // The API server refuses a longer one, whatever went into it: names in a directory may be long.
        note: Some(clip_bytes(&record.note, NOTE_LIMIT)),
        type_: Some(if record.warning { "Warning" } else { "Normal" }.into()),
        event_time: Some(MicroTime(Timestamp::from_second(record.at.timestamp()).unwrap_or_default())),
        reporting_controller: Some(names::CONTROLLER.into()),
        reporting_instance: Some(instance.chars().take(128).collect()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_no_more_bytes_than_the_api_server_takes() {
        let record = EventRecord {
            name: "lockbox.uid.deleted".into(),
            namespace: "contoso-prod".into(),
            reason: "DeleteRoleAssignment".into(),
            note: format!("Delete Role Assignment contoso-prod/one (Owner, User {})", "𠀀".repeat(300)),
            warning: false,
            at: Moment::UNIX_EPOCH,
        };
        let event = event(ObjectReference::default(), None, &record, "op-0");
        assert!(event.note.unwrap().len() <= NOTE_LIMIT);
    }
}
