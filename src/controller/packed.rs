//! A request as the cache keeps it: what the operator looks at in all of them as it is, and the rest packed, until the
//! request's turn comes. Tens of thousands may wait for days, and each is read a few times in its life.

use std::fmt;

use kube::{
    Resource,
    api::ObjectMeta,
    core::{DeserializeGuard, NamespaceResourceScope},
};
use lockbox_api::{LockboxRequest, LockboxRequestSpec, LockboxRequestStatus, Moment, Phase};
use lockbox_lifecycle::limits;
use serde::{Deserialize, Deserializer, Serialize};

/// A request, or an object of its kind that this operator cannot read.
#[derive(Clone, Debug)]
pub struct Packed {
    metadata: ObjectMeta,
    contents: Result<Contents, Box<str>>,
}

#[derive(Clone)]
struct Contents {
    glance: Glance,
    /// Spec and status as JSON, compressed.
    body: Box<[u8]>,
}

/// What is looked at in all requests at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// The phase; a request without one is being evaluated.
    pub phase: Phase,
    /// The requester's user name.
    pub requester: Box<str>,
    /// Until when access lasts.
    pub access_until: Option<Moment>,
    /// Entries of the history.
    pub entries: usize,
    /// As many of these as are recorded as published.
    pub published: usize,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").field("glance", &self.glance).field("bytes", &self.body.len()).finish()
    }
}

#[derive(Serialize)]
struct BodyRef<'a> {
    spec: &'a LockboxRequestSpec,
    status: &'a Option<LockboxRequestStatus>,
}

#[derive(Deserialize)]
struct Body {
    spec: LockboxRequestSpec,
    status: Option<LockboxRequestStatus>,
}

impl Packed {
    /// Packs what is stored, without what the operator never reads from the cache: whoever shows that shows the stored
    /// object.
    fn pack(guarded: DeserializeGuard<LockboxRequest>) -> Self {
        let mut metadata = guarded.meta().clone();
        (metadata.managed_fields, metadata.annotations, metadata.labels) = (None, None, None);
        let contents = match guarded.0 {
            Err(invalid) => Err(invalid.error.into_boxed_str()),
            Ok(mut request) => {
                trim(&mut request.spec);
                contents(&request).map_err(|error| error.to_string().into_boxed_str())
            }
        };
        Self { metadata, contents }
    }

    /// The request; or why it cannot be read.
    pub fn unpack(&self) -> Result<LockboxRequest, String> {
        let contents = self.contents.as_ref().map_err(ToString::to_string)?;
        let json = lz4_flex::decompress_size_prepended(&contents.body).map_err(|error| error.to_string())?;
        let Body { spec, status } = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        Ok(LockboxRequest { metadata: self.metadata.clone(), spec, status })
    }

    /// What can be seen without unpacking it; nothing of what cannot be read.
    pub fn glance(&self) -> Option<&Glance> {
        self.contents.as_ref().ok().map(|contents| &contents.glance)
    }

    /// The same, as the limits on open requests count it.
    pub fn open(&self) -> Option<limits::Open<'_>> {
        let glance = self.glance()?;
        Some(limits::Open {
            namespace: self.metadata.namespace.as_deref().unwrap_or_default(),
            requester: &glance.requester,
            phase: glance.phase,
            created: self.metadata.creation_timestamp.as_ref().map(|at| at.0),
            uid: self.metadata.uid.as_deref().unwrap_or_default(),
        })
    }
}

fn contents(request: &LockboxRequest) -> serde_json::Result<Contents> {
    let status = request.status.as_ref();
    let glance = Glance {
        phase: status.and_then(|status| status.phase).unwrap_or_default(),
        requester: request.spec.requester.username.as_str().into(),
        access_until: status.and_then(|status| status.access_until),
        entries: status.map_or(0, |status| status.history.len()),
        published: status
            .and_then(|status| usize::try_from(status.events_published.unwrap_or_default()).ok())
            .unwrap_or_default(),
    };
    let json = serde_json::to_vec(&BodyRef { spec: &request.spec, status: &request.status })?;
    Ok(Contents { glance, body: lz4_flex::compress_prepend_size(&json).into_boxed_slice() })
}

fn trim(spec: &mut LockboxRequestSpec) {
    if let Some(ticket) = &mut spec.support_request {
        ticket.summary = String::new();
        ticket.history = vec![];
    }
    if let Some(incident) = &mut spec.incident {
        incident.summary = None;
    }
    if let Some(escalation) = &mut spec.escalation {
        escalation.reason = String::new();
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DeserializeGuard::deserialize(deserializer).map(Self::pack)
    }
}

impl Resource for Packed {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> std::borrow::Cow<'_, str> {
        LockboxRequest::kind(&())
    }

    fn group((): &()) -> std::borrow::Cow<'_, str> {
        LockboxRequest::group(&())
    }

    fn version((): &()) -> std::borrow::Cow<'_, str> {
        LockboxRequest::version(&())
    }

    fn plural((): &()) -> std::borrow::Cow<'_, str> {
        LockboxRequest::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn packed(object: &Value) -> Packed {
        serde_json::from_value(object.clone()).unwrap()
    }

    fn request(text: &str) -> Value {
        json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
            "metadata": {"name": "r", "namespace": "shop", "uid": "u", "resourceVersion": "7", "annotations": {"a": text}},
            "spec": {"requester": {"username": "kim", "groups": ["provider:engineers"]}, "origin": "SupportRequest",
                "justification": "because", "scope": "Subscription", "service": "AppService", "accessLevel": "Shell",
                "supportRequest": {"id": "42", "url": "https://support.example/42", "summary": text,
                    "openedBy": "dana", "assignedTo": "kim",
                    "history": vec![json!({"at": "2026-11-27T12:00:00Z", "by": "kim", "note": text}); 16]},
                "escalation": {"team": "t", "reason": text}, "incident": {"id": "1", "summary": text}},
            "status": {"phase": "AccessGranted", "accessUntil": "2026-11-27T20:00:00Z", "eventsPublished": 1, "history": [
                {"sequence": 1, "at": "2026-11-27T12:00:00Z", "actor": "kim", "action": "CreateLockboxRequest",
                    "phase": "CustomerNotified", "message": "asked", "hash": "h"},
                {"sequence": 2, "at": "2026-11-27T12:00:00Z", "actor": "alice", "action": "ApproveLockboxRequest",
                    "phase": "Approved", "message": "approved", "hash": "h"}]},
        })
    }

    #[test]
    fn what_is_unpacked_is_what_was_stored_but_for_what_nobody_reads_from_a_cache() {
        let stored: LockboxRequest = serde_json::from_value(request("")).unwrap();
        let unpacked = packed(&request("")).unpack().unwrap();
        assert_eq!((&unpacked.status, unpacked.metadata.uid.as_deref()), (&stored.status, Some("u")));
        let shown = |request: &LockboxRequest| serde_json::to_value(&request.spec).unwrap();
        let mut expected = shown(&stored);
        expected["supportRequest"].as_object_mut().unwrap().remove("history");
        expected["incident"].as_object_mut().unwrap().remove("summary");
        assert_eq!(shown(&unpacked), expected);
        assert_eq!(unpacked.metadata.annotations, None);
    }

    #[test]
    fn what_is_looked_at_in_all_requests_needs_no_unpacking() {
        let packed = packed(&request("text"));
        let glance = packed.glance().unwrap();
        assert_eq!((glance.phase, &*glance.requester), (Phase::AccessGranted, "kim"));
        assert_eq!((glance.entries, glance.published), (2, 1));
        assert!(glance.access_until.is_some());
        assert_eq!(packed.open().unwrap().namespace, "shop");
    }

    #[test]
    fn what_cannot_be_read_says_why_and_has_its_name() {
        let odd = packed(&json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
            "metadata": {"name": "odd", "namespace": "shop"}, "spec": {"requester": 7},
        }));
        assert_eq!(odd.meta().name.as_deref(), Some("odd"));
        assert!(odd.glance().is_none() && odd.open().is_none());
        assert!(odd.unpack().unwrap_err().to_lowercase().contains("invalid type"), "{odd:?}");
    }

    /// The bound on what one request costs: the largest that the schema takes, with the longest annotations.
    #[test]
    fn of_the_largest_request_little_is_kept_and_of_a_usual_one_a_kilobyte() {
        let bytes = |object: &Value| packed(object).contents.unwrap().body.len();
        assert!(bytes(&request(&"\u{20000}".repeat(1024))) < 2_000);
        assert!(bytes(&request("The shop answers 502 since the update")) < 1_000);
    }
}
