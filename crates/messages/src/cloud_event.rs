//! A CloudEvent 1.0 in structured mode. What others wrote stands in it as they wrote it, bounded: receivers are programs.

use lockbox_api::{
    LockboxRequestSpec, MessageKind, Moment,
    request::{Incident, SupportRequest},
    time::text as stored,
};
use lockbox_lifecycle::text::clip;
use serde::Serialize;

use crate::{links, message_id, request, scene::Scene, webhook::LONGEST_BODY};

#[derive(Serialize)]
struct Event {
    specversion: &'static str,
    id: String,
    source: String,
    r#type: String,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    data: Data,
}

#[derive(Serialize)]
struct Data {
    kind: MessageKind,
    request: Request,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Entry>,
    links: Links,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    namespace: String,
    name: String,
    uid: String,
    phase: String,
    requester: String,
    origin: String,
    circumstance: String,
    service: String,
    access_level: String,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<String>>,
    justification: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<Ticket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<Ticket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_approvals: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decide_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

#[derive(Serialize)]
struct Ticket {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    sequence: i64,
    at: String,
    action: String,
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    message: String,
    hash: String,
}

#[derive(Serialize)]
struct Links {
    #[serde(skip_serializing_if = "Option::is_none")]
    portal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<String>,
}

/// `dev.lockbox.request.approvalAsked.v1`.
fn kind_of(kind: MessageKind) -> String {
    let name = kind.to_string();
    let (first, rest) = name.split_at(1);
    format!("dev.lockbox.request.{}{rest}.v1", first.to_ascii_lowercase())
}

fn ticket(ticket: &SupportRequest) -> Ticket {
    Ticket { id: clip(&ticket.id, 64), summary: Some(clip(&ticket.summary, 1024)) }
}

fn incident(incident: &Incident) -> Ticket {
    Ticket { id: clip(&incident.id, 64), summary: incident.summary.as_deref().map(|text| clip(text, 1024)) }
}

fn resources(spec: &LockboxRequestSpec) -> Option<Vec<String>> {
    Some(spec.resources.as_ref()?.iter().take(32).map(|object| clip(&object.to_string(), 384)).collect())
}

/// The event as JSON: less than 64 KiB, whatever stands in the request.
pub(crate) fn of(scene: &Scene<'_>) -> Vec<u8> {
    let (spec, status) = (scene.spec(), scene.status());
    let (namespace, name) = (clip(request::namespace(scene.request), 63), clip(request::name(scene.request), 253));
    let moment = |which: Option<Moment>| which.map(stored);
    let mut event = Event {
        specversion: "1.0",
        id: message_id(request::uid(scene.request), &scene.message.id),
        source: format!("/apis/lockbox.dev/v1alpha1/namespaces/{namespace}/lockboxrequests/{name}"),
        r#type: kind_of(scene.kind()),
        subject: format!("{namespace}/{name}"),
        time: stored(scene.message.at),
        datacontenttype: "application/json",
        data: Data {
            kind: scene.kind(),
            request: Request {
                namespace,
                name,
                uid: clip(request::uid(scene.request), 64),
                phase: scene.phase().to_string(),
                requester: clip(&spec.requester.username, 256),
                origin: spec.origin.to_string(),
                circumstance: spec.circumstance.to_string(),
                service: clip(&spec.service, 63),
                access_level: clip(&spec.access_level, 63),
                scope: spec.scope.to_string(),
                resources: resources(spec),
                justification: clip(&spec.justification, 4096),
                ticket: spec.support_request.as_ref().map(ticket),
                incident: spec.incident.as_ref().map(incident),
                duration: status.and_then(|status| status.duration).or(spec.duration).map(|length| length.to_string()),
                effect_hash: status.and_then(|status| status.effect.as_ref()).map(|effect| clip(&effect.hash, 71)),
                required_approvals: status.and_then(|status| status.required_approvals),
                until: moment(status.and_then(|status| status.until)),
                decide_by: moment(scene.deadline()),
                approved_at: moment(status.and_then(|status| status.approved_at)),
                granted_at: moment(status.and_then(|status| status.granted_at)),
                access_until: moment(status.and_then(|status| status.access_until)),
                ended_at: moment(status.and_then(|status| status.ended_at)),
            },
            entry: scene.entry().map(|entry| Entry {
                sequence: entry.sequence,
                at: stored(entry.at),
                action: entry.action.to_string(),
                actor: clip(&entry.actor, 256),
                reason: entry.reason.as_deref().map(|reason| clip(reason, 512)),
                message: clip(&entry.message, 512),
                hash: clip(&entry.hash, 71),
            }),
            links: Links {
                portal: links::portal(scene),
                ticket: links::ticket(spec, scene.settings),
                incident: links::incident(spec, scene.settings),
            },
        },
    };
    // Texts, numbers and lists: nothing in it can fail to be written.
    let bytes = serde_json::to_vec(&event).unwrap_or_default();
    if bytes.len() <= LONGEST_BODY {
        return bytes;
    }
    // No names of objects are so long that only escapes could write them; without them there is room.
    event.data.request.resources = None;
    serde_json::to_vec(&event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_an_event_is_its_kind_in_lower_camel_case() {
        assert_eq!(kind_of(MessageKind::ApprovalAsked), "dev.lockbox.request.approvalAsked.v1");
        assert_eq!(kind_of(MessageKind::EndOverdue), "dev.lockbox.request.endOverdue.v1");
    }
}
