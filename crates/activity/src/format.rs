//! The forms in which audit events come: as Kubernetes writes them, and in the envelopes of clouds.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    call::Call,
    event::{Event, Text},
    gke,
};

/// Bytes of one line, or of one event in a list: the API server takes no larger object, and logs it twice at most.
pub const LONGEST_LINE: usize = 8 * 1024 * 1024;
/// Envelopes within envelopes that are opened.
const DEEPEST: usize = 3;

/// Who wrote the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Any of the others, told apart line by line.
    #[default]
    Auto,
    /// Kubernetes: `Event` and `EventList` of `audit.k8s.io/v1`.
    Kubernetes,
    /// Google Cloud Logging: `LogEntry` with a `protoPayload`.
    Gke,
    /// Amazon CloudWatch Logs: the event is the text `message`, alone or in `events` or `logEvents`.
    Eks,
    /// Azure diagnostic logs: the event is the text `log` in `properties`, alone or in `records`; or the column `log_s`.
    Aks,
}

/// Why no call was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No JSON, or an event with something else where a text or a number belongs.
    #[error("no JSON of this form")]
    Json,
    /// Too long to be an event.
    #[error("longer than {LONGEST_LINE} bytes")]
    TooLong,
    /// JSON, and no audit event: other logs of the control plane come in the same files.
    #[error("no audit event")]
    Other,
}

/// One value of a cloud's: what is not there is none.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rest {
    proto_payload: Option<gke::Payload>,
    labels: Option<BTreeMap<String, Text>>,
    insert_id: Text,
    timestamp: Text,
    message: Option<Inner>,
    events: Option<Vec<Envelope>>,
    log_events: Option<Vec<Envelope>>,
    records: Option<Vec<Record>>,
    properties: Option<Properties>,
    #[serde(rename = "log_s")]
    log_column: Option<Inner>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope {
    message: Option<Inner>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record {
    properties: Option<Properties>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Properties {
    log: Option<Inner>,
}

/// An event within an envelope: as a text, or as it is.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Inner {
    Text(String),
    Event(Box<Event>),
}

/// Reads the calls of one line; a line can hold several.
pub fn read(line: &str, format: Format) -> Result<Vec<Call>, Unreadable> {
    read_to(line, format, DEEPEST)
}

/// Reads the calls of what an API server posts: an `EventList` whose length the caller has bounded.
pub fn read_list(body: &[u8]) -> Result<Vec<Call>, Unreadable> {
    let head: Head = serde_json::from_slice(body).map_err(|_| Unreadable::Json)?;
    if !head.is_of_audit() || head.kind.0 != "EventList" {
        return Err(Unreadable::Other);
    }
    let list: EventList = serde_json::from_slice(body).map_err(|_| Unreadable::Json)?;
    Ok(list.items.into_iter().filter_map(Event::call).collect())
}

/// Reads the calls of one value that was read from JSON already.
pub fn read_value(value: &serde_json::Value, format: Format) -> Result<Vec<Call>, Unreadable> {
    // Back to text: the typed reader skips bodies, and values are read from documents of the clouds alone.
    read_to(&value.to_string(), format, DEEPEST)
}

fn read_to(line: &str, format: Format, depth: usize) -> Result<Vec<Call>, Unreadable> {
    if line.len() > LONGEST_LINE {
        return Err(Unreadable::TooLong);
    }
    let Some(depth) = depth.checked_sub(1) else { return Err(Unreadable::Other) };
    let json = without_prefix(line);
    // Most lines are plain events.
    let head: Head = serde_json::from_str(json).map_err(|_| Unreadable::Json)?;
    let may_be = |wanted: Format| format == Format::Auto || format == wanted;
    if head.is_of_audit() {
        if !(may_be(Format::Kubernetes) || format == Format::Eks || format == Format::Aks) {
            return Err(Unreadable::Other);
        }
        return events(json, &head.kind.0);
    }
    let any: Rest = serde_json::from_str(json).map_err(|_| Unreadable::Json)?;
    if let Some(payload) = any.proto_payload.filter(|payload| may_be(Format::Gke) && payload.is_of_kubernetes()) {
        let labels = any.labels.unwrap_or_default();
        return payload
            .call(&labels, &any.insert_id.0, &any.timestamp.0)
            .map(|call| vec![call])
            .ok_or(Unreadable::Other);
    }
    let mut inner: Vec<Inner> = vec![];
    if may_be(Format::Eks) {
        let listed = any.events.into_iter().chain(any.log_events).flatten().filter_map(|envelope| envelope.message);
        inner.extend(any.message.into_iter().chain(listed));
    }
    if may_be(Format::Aks) {
        let listed = any.records.into_iter().flatten().filter_map(|record| record.properties);
        inner.extend(any.properties.into_iter().chain(listed).filter_map(|properties| properties.log));
        inner.extend(any.log_column);
    }
    let mut calls = vec![];
    for inner in inner {
        match inner {
            Inner::Text(text) => calls.extend(read_to(&text, format, depth).unwrap_or_default()),
            Inner::Event(event) => calls.extend(event.call()),
        }
    }
    if calls.is_empty() { Err(Unreadable::Other) } else { Ok(calls) }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    kind: Text,
    api_version: Text,
}

impl Head {
    fn is_of_audit(&self) -> bool {
        self.api_version.0.starts_with("audit.k8s.io/")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EventList {
    items: Vec<Event>,
}

fn events(json: &str, kind: &str) -> Result<Vec<Call>, Unreadable> {
    let event = |json: &str| serde_json::from_str::<Event>(json).map_err(|_| Unreadable::Json);
    match kind {
        "Event" => event(json)?.call().map(|call| vec![call]).ok_or(Unreadable::Other),
        "EventList" => {
            let list: EventList = serde_json::from_str(json).map_err(|_| Unreadable::Json)?;
            Ok(list.items.into_iter().filter_map(Event::call).collect())
        }
        _ => Err(Unreadable::Other),
    }
}

/// Exports of CloudWatch put the time, and its command line the stream's name as well, in front of each message.
fn without_prefix(line: &str) -> &str {
    const LONGEST_PREFIX: usize = 512;
    let line = line.trim();
    match line.find('{') {
        Some(at) if at <= LONGEST_PREFIX && line.starts_with(|c: char| c.is_ascii_digit()) => &line[at..],
        _ => line,
    }
}
