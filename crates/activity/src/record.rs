//! The full record of one call: what is kept of it for good, one JSON object a line. No bodies, and no query: that can hold
//! what is secret to an application behind a proxy.

use lockbox_api::{Moment, activity::Session};
use serde::{Serialize, Serializer};

use crate::{account::Access, call::Call, session, uri};

/// How a call belongs to an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Belongs {
    /// The access allowed it.
    ThisAccess,
    /// Another access that Lockbox granted allowed it.
    AnotherAccess,
    /// The requester did it in this time, by other rights.
    OtherRights,
    /// It was refused.
    Refused,
}

/// One call that belongs to an access, or to its time. The names of the fields do not change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When the call was received.
    #[serde(serialize_with = "precise")]
    pub received: Moment,
    /// When it was answered, or when its answer began.
    #[serde(serialize_with = "precise")]
    pub at: Moment,
    /// Whether its answer goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
    /// The audit event's id.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// Name of the request whose access or time it belongs to.
    pub request: String,
    /// Its namespace.
    pub request_namespace: String,
    /// Its UID.
    #[serde(rename = "requestUID")]
    pub request_uid: String,
    /// How it belongs to the access.
    pub belongs: Belongs,
    /// In whose name.
    pub user: String,
    /// Who acted in that name, if somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated_by: Option<String>,
    /// What RBAC calls it.
    pub verb: String,
    /// API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Subresource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Path, without what follows the question mark.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Nothing was to be stored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// HTTP status of the answer.
    pub code: u16,
    /// Why it was allowed or refused, in the authorizer's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    /// Where it came from.
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
    /// The session, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
}

impl Record {
    pub(crate) fn new(call: &Call, access: &Access, belongs: Belongs) -> Self {
        Self {
            received: call.received,
            at: call.at,
            goes_on: call.stage == crate::Stage::Started,
            audit_id: call.id.clone(),
            request: access.name.clone(),
            request_namespace: access.namespace.clone(),
            request_uid: access.uid.clone(),
            belongs,
            user: call.effective_user().to_owned(),
            impersonated_by: call.impersonated.is_some().then(|| call.user.clone()),
            verb: call.verb.clone(),
            group: call.group.clone(),
            resource: call.resource.clone(),
            subresource: call.subresource.clone(),
            namespace: call.namespace.clone(),
            name: call.name.clone(),
            path: crate::text::plain(uri::path(&call.uri), 1024),
            dry_run: call.is_dry(),
            code: call.code,
            reason: call.reason.clone(),
            user_agent: call.user_agent.clone(),
            source_ips: call.addresses.clone(),
            session: session::of(call),
        }
    }
}

fn precise<S: Serializer>(moment: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&moment.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
}
