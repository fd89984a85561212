//! `audit.k8s.io/v1` Event, as far as it is looked at. Bodies are skipped while they are read.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use lockbox_api::{
    Moment,
    activity::{LONGEST_CLIENT, LONGEST_OBJECT, LONGEST_TEXT, LONGEST_WORD},
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{
    call::{Call, Stage},
    text::plain,
};

/// Bytes of path and query that are looked at.
const LONGEST_URI: usize = 16 * 1024;
/// Addresses of one call that are kept: proxies in between add theirs.
const MOST_ADDRESSES: usize = 4;
/// The annotation in which the authorizer says yes or no.
pub(crate) const DECISION: &str = "authorization.k8s.io/decision";
/// The annotation in which the authorizer says why.
pub(crate) const REASON: &str = "authorization.k8s.io/reason";

/// A text, whatever stands there: what is no text is none. One that is missing is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Text, E> {
                Ok(Text(text))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
                Ok(Text::default())
            }
            fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
                Ok(Text::default())
            }
            fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
                Ok(Text::default())
            }
            fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
                Ok(Text::default())
            }
            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The fields of an event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Event {
    #[serde(rename = "auditID")]
    pub audit_id: Text,
    pub stage: Text,
    #[serde(rename = "requestURI")]
    pub request_uri: Text,
    pub verb: Text,
    pub user: Option<User>,
    pub impersonated_user: Option<User>,
    #[serde(rename = "sourceIPs")]
    pub source_ips: Option<Vec<Text>>,
    pub user_agent: Text,
    pub object_ref: Option<ObjectReference>,
    pub response_status: Option<ResponseStatus>,
    pub response_object: Option<Named>,
    pub request_received_timestamp: Text,
    pub stage_timestamp: Text,
    pub annotations: Option<BTreeMap<String, Text>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct User {
    pub username: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ObjectReference {
    pub resource: Text,
    pub subresource: Text,
    pub namespace: Text,
    pub name: Text,
    pub api_group: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ResponseStatus {
    pub code: Option<u16>,
}

/// Of an object in an answer, its name alone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    pub metadata: Option<Metadata>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub name: Text,
}

/// A moment with its fraction of a second, within the years that can be reckoned with.
pub(crate) fn moment(text: &str) -> Option<Moment> {
    DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.with_timezone(&Utc))
}

impl Event {
    /// The call that it tells of; none where it lacks what every event has.
    pub fn call(self) -> Option<Call> {
        let stage = match self.stage.0.as_str() {
            "RequestReceived" => Stage::Received,
            "ResponseStarted" => Stage::Started,
            "ResponseComplete" | "Panic" => Stage::Complete,
            _ => return None,
        };
        let at = moment(&self.stage_timestamp.0)?;
        let received = moment(&self.request_received_timestamp.0).unwrap_or(at);
        let object = self.object_ref.unwrap_or_default();
        let name = if object.name.0.is_empty() && self.verb.0 == "create" && object.subresource.0.is_empty() {
            // The API server made the name up: its answer has it, where answers are logged.
            self.response_object.and_then(|object| object.metadata).map(|metadata| metadata.name.0).unwrap_or_default()
        } else {
            object.name.0
        };
        let annotation = |key: &str| self.annotations.as_ref().and_then(|all| all.get(key)).map_or("", |text| &text.0);
        let mut uri = self.request_uri.0;
        uri.truncate(uri.floor_char_boundary(LONGEST_URI));
        Some(Call {
            id: plain(&self.audit_id.0, 64),
            stage,
            received,
            at,
            verb: plain(&self.verb.0, LONGEST_WORD),
            user: plain(&self.user.unwrap_or_default().username.0, LONGEST_OBJECT),
            impersonated: self.impersonated_user.map(|user| plain(&user.username.0, LONGEST_OBJECT)),
            group: plain(&object.api_group.0, LONGEST_OBJECT),
            resource: plain(&object.resource.0, LONGEST_WORD),
            subresource: plain(&object.subresource.0, LONGEST_WORD),
            namespace: plain(&object.namespace.0, LONGEST_WORD),
            name: plain(&name, LONGEST_OBJECT),
            uri,
            code: self.response_status.and_then(|status| status.code).unwrap_or_default(),
            forbidden: annotation(DECISION) == "forbid",
            reason: plain(annotation(REASON), LONGEST_TEXT),
            user_agent: plain(&self.user_agent.0, LONGEST_CLIENT),
            addresses: self
                .source_ips
                .iter()
                .flatten()
                .take(MOST_ADDRESSES)
                .map(|address| plain(&address.0, 64))
                .collect(),
        })
    }
}
