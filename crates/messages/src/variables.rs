//! What templates can show. `docs/notifications.md` lists it.

use lockbox_api::{Audience, Moment, time::text as stored};
use lockbox_lifecycle::{audit, text::clip};
use minijinja::{Value, value::Serde};
use serde::Serialize;

use crate::{
    commands::Commands,
    document::{self, Document},
    foreign::{inline, isolated, person, shown, word},
    layout, links, request,
    scene::{Scene, Side},
    times,
};

/// Characters of a name.
const NAME: usize = 256;

/// A moment: UTC, in the settings' zone (or else in UTC again), both, and as it is stored.
#[derive(Serialize)]
struct Time {
    utc: String,
    local: String,
    both: String,
    iso: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    namespace: String,
    name: String,
    uid: String,
    phase: String,
    reason: Option<String>,
    message: Option<String>,
    origin: String,
    circumstance: String,
    scope: String,
    service: String,
    access_level: String,
    resources: Vec<String>,
    duration: Option<String>,
    justification: String,
    requester: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ticket {
    id: String,
    summary: Option<String>,
    opened_by: Option<String>,
    assigned_to: Option<String>,
    link: Option<String>,
}

#[derive(Serialize)]
struct Escalation {
    team: String,
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Effect {
    form: String,
    role: String,
    rules: Vec<String>,
    reasons: Vec<String>,
    left_out: Vec<String>,
    hash: String,
}

#[derive(Serialize)]
struct Entry {
    sequence: i64,
    action: String,
    words: String,
    actor: String,
    reason: Option<String>,
    message: String,
    at: Time,
    hash: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    told: Time,
    decide_by: Option<Time>,
    access_until: Option<Time>,
    granted_at: Option<Time>,
    ended_at: Option<Time>,
}

#[derive(Serialize)]
struct Links {
    portal: Option<String>,
    ticket: Option<String>,
}

#[derive(Serialize)]
struct Standard {
    subject: String,
    text: String,
    html: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Variables {
    kind: String,
    audience: Option<String>,
    id: String,
    summary: String,
    standard: Standard,
    request: Request,
    ticket: Option<Ticket>,
    incident: Option<Ticket>,
    escalation: Option<Escalation>,
    effect: Option<Effect>,
    approvers: Vec<String>,
    required_approvals: i32,
    entry: Option<Entry>,
    times: Times,
    commands: Commands,
    links: Links,
}

fn time(scene: &Scene<'_>, moment: Moment) -> Time {
    Time {
        utc: times::utc(moment),
        local: scene.zone().map_or_else(|| times::utc(moment), |zone| times::local(moment, zone)),
        both: scene.time(moment),
        iso: stored(moment),
    }
}

fn list(texts: &[String], count: usize, most: usize) -> Vec<String> {
    texts.iter().take(count).map(|text| shown(text, most)).collect()
}

fn request_of(scene: &Scene<'_>) -> Request {
    let (spec, status) = (scene.spec(), scene.status());
    Request {
        namespace: word(request::namespace(scene.request), 63),
        name: word(request::name(scene.request), 63),
        uid: shown(request::uid(scene.request), 64),
        phase: scene.phase().to_string(),
        reason: status.and_then(|status| status.reason.as_deref()).map(|reason| shown(reason, 64)),
        message: status.and_then(|status| status.message.as_deref()).map(|message| shown(message, 1024)),
        origin: spec.origin.to_string(),
        circumstance: spec.circumstance.to_string(),
        scope: spec.scope.to_string(),
        service: word(&spec.service, 63),
        access_level: scene.level(63),
        resources: spec.resources.iter().flatten().take(32).map(|object| shown(&object.to_string(), 400)).collect(),
        duration: status.and_then(|status| status.duration).or(spec.duration).map(times::length),
        justification: isolated(&shown(&spec.justification, 4096)),
        requester: scene.who(NAME),
    }
}

fn tickets(scene: &Scene<'_>) -> (Option<Ticket>, Option<Ticket>) {
    let spec = scene.spec();
    let ticket = spec.support_request.as_ref().map(|ticket| Ticket {
        id: word(&ticket.id, 64),
        summary: Some(isolated(&shown(&ticket.summary, 1024))),
        opened_by: ticket.opened_by.as_deref().map(|by| person(by, NAME)),
        assigned_to: ticket.assigned_to.as_deref().map(|to| person(to, NAME)),
        link: links::ticket(spec, scene.settings),
    });
    let incident = spec.incident.as_ref().map(|incident| Ticket {
        id: word(&incident.id, 64),
        summary: incident.summary.as_deref().map(|summary| isolated(&shown(summary, 1024))),
        opened_by: None,
        assigned_to: None,
        link: links::incident(spec, scene.settings),
    });
    (ticket, incident)
}

/// The values for a template, safe to show: of others, visible, bounded, without links.
pub(crate) fn of(scene: &Scene<'_>, side: Side, audience: Option<Audience>, document: &Document) -> Value {
    let status = scene.status();
    let (ticket, incident) = tickets(scene);
    let moment = |which: Option<Moment>| which.map(|moment| time(scene, moment));
    let link = ticket.as_ref().or(incident.as_ref()).and_then(|one| one.link.clone());
    Value::from(Serde(Variables {
        kind: scene.kind().to_string(),
        audience: audience.map(|audience| audience.to_string()),
        id: crate::message_id(request::uid(scene.request), &scene.message.id),
        summary: document::lead(scene, side),
        standard: Standard {
            subject: document.subject.clone(),
            text: layout::text(document),
            html: Value::from_safe_string(layout::html(document)),
        },
        request: request_of(scene),
        ticket,
        incident,
        escalation: scene.spec().escalation.as_ref().map(|escalation| Escalation {
            team: inline(&escalation.team, 128),
            reason: isolated(&shown(&escalation.reason, 1024)),
        }),
        effect: status.and_then(|status| status.effect.as_ref()).map(|effect| Effect {
            form: effect.form.to_string(),
            role: shown(&effect.role, 253),
            rules: list(&effect.rules, 96, 512),
            reasons: list(&effect.reasons, 8, 600),
            left_out: list(&effect.left_out, 16, 512),
            hash: shown(&effect.hash, 71),
        }),
        approvers: status
            .and_then(|status| status.approvers.as_deref())
            .unwrap_or_default()
            .iter()
            .take(64)
            .map(|one| person(&one.name, NAME))
            .collect(),
        required_approvals: status.and_then(|status| status.required_approvals).unwrap_or(1),
        entry: scene.entry().map(|entry| Entry {
            sequence: entry.sequence,
            action: entry.action.to_string(),
            words: audit::words(entry.action).to_owned(),
            actor: person(&entry.actor, NAME),
            reason: entry.reason.as_deref().map(|reason| isolated(&shown(reason, 512))),
            message: isolated(&shown(&entry.message, 512)),
            at: time(scene, entry.at),
            hash: clip(&entry.hash, 71),
        }),
        times: Times {
            told: time(scene, scene.message.at),
            decide_by: moment(scene.deadline()),
            access_until: moment(status.and_then(|status| status.access_until)),
            granted_at: moment(status.and_then(|status| status.granted_at)),
            ended_at: moment(status.and_then(|status| status.ended_at)),
        },
        commands: Commands::of(scene, side),
        links: Links { portal: links::portal(scene).filter(|_| side == Side::Customer), ticket: link },
    }))
}
