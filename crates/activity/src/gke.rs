//! Cloud Logging's `LogEntry` of a GKE cluster: an audit event in Google's own words.
//!
//! `protoPayload` is a `google.cloud.audit.AuditLog` with `serviceName: k8s.io`: `methodName` is
//! `io.k8s.GROUP.VERSION.RESOURCE[.SUBRESOURCE].VERB`, `resourceName` is `GROUP/VERSION[/namespaces/NS]/RESOURCE[/NAME[/SUB]]`,
//! `status.code` is one of gRPC's. The entry's `labels` hold the annotations of the event. There is no path with a query, so
//! neither command nor container of a session is known, and one entry alone for a session.

use std::collections::BTreeMap;

use lockbox_api::activity::{LONGEST_CLIENT, LONGEST_OBJECT, LONGEST_TEXT, LONGEST_WORD};
use serde::Deserialize;

use crate::{
    call::{Call, Stage},
    event::{DECISION, REASON, Text, moment},
    text::plain,
};

/// The service that GKE's API servers log as.
const SERVICE: &str = "k8s.io";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Payload {
    service_name: Text,
    method_name: Text,
    resource_name: Text,
    authentication_info: Authentication,
    request_metadata: RequestMetadata,
    status: Status,
    response: Response,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Authentication {
    principal_email: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestMetadata {
    caller_ip: Text,
    caller_supplied_user_agent: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: Option<i64>,
}

/// Of an answer: the HTTP status, where it is a `Status`, and the name of the object, where it is one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    code: Option<u16>,
    metadata: Option<crate::event::Metadata>,
}

impl Payload {
    /// Whether a Kubernetes API server wrote it; Google's other services log in the same form.
    pub fn is_of_kubernetes(&self) -> bool {
        self.service_name.0 == SERVICE && self.method_name.0.starts_with("io.k8s.")
    }

    /// The call that it tells of.
    pub fn call(self, labels: &BTreeMap<String, Text>, id: &str, timestamp: &str) -> Option<Call> {
        let at = moment(timestamp)?;
        let verb = self.method_name.0.rsplit_once('.').map(|(_, verb)| verb)?;
        let place = Place::of(&self.resource_name.0)?;
        let label = |key: &str| labels.get(key).map_or("", |text| text.0.as_str());
        let name = match (place.name, self.response.metadata) {
            ("", Some(metadata)) if verb == "create" && place.subresource.is_empty() => metadata.name.0,
            (name, _) => name.to_owned(),
        };
        Some(Call {
            id: plain(id, 64),
            stage: Stage::Complete,
            received: at,
            at,
            verb: plain(verb, LONGEST_WORD),
            user: plain(&self.authentication_info.principal_email.0, LONGEST_OBJECT),
            impersonated: None,
            group: plain(place.group, LONGEST_OBJECT),
            resource: plain(place.resource, LONGEST_WORD),
            subresource: plain(place.subresource, LONGEST_WORD),
            namespace: plain(place.namespace, LONGEST_WORD),
            name: plain(&name, LONGEST_OBJECT),
            uri: String::new(),
            code: self.response.code.unwrap_or_else(|| http(self.status.code.unwrap_or_default())),
            forbidden: label(DECISION) == "forbid",
            reason: plain(label(REASON), LONGEST_TEXT),
            user_agent: plain(&self.request_metadata.caller_supplied_user_agent.0, LONGEST_CLIENT),
            addresses: Some(plain(&self.request_metadata.caller_ip.0, 64))
                .filter(|ip| !ip.is_empty())
                .into_iter()
                .collect(),
        })
    }
}

/// The HTTP status that stands for one of gRPC's, as `google.rpc.Code` has them.
const fn http(code: i64) -> u16 {
    match code {
        0 => 200,
        3 | 9 | 11 => 400,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        16 => 401,
        4 => 504,
        14 => 503,
        12 => 501,
        1 => 499,
        _ => 500,
    }
}

/// What a `resourceName` names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Place<'a> {
    group: &'a str,
    namespace: &'a str,
    resource: &'a str,
    name: &'a str,
    subresource: &'a str,
}

impl<'a> Place<'a> {
    fn of(resource_name: &'a str) -> Option<Self> {
        let mut parts = resource_name.split('/').filter(|part| !part.is_empty());
        let group = match parts.next()? {
            "core" => "",
            group => group,
        };
        let _version = parts.next()?;
        let rest: Vec<&str> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            // A namespace itself has no more than its name, or a subresource of its own.
            ["namespaces", namespace, resource, rest @ ..] if !matches!(*resource, "status" | "finalize") => {
                return Some(Self {
                    group,
                    namespace,
                    resource,
                    name: rest.first().copied().unwrap_or_default(),
                    subresource: rest.get(1).copied().unwrap_or_default(),
                });
            }
            rest => ("", rest),
        };
        Some(Self {
            group,
            namespace,
            resource: rest.first().copied()?,
            name: rest.get(1).copied().unwrap_or_default(),
            subresource: rest.get(2).copied().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_resource_name_names_is_read() {
        let place =
            |group, namespace, resource, name, subresource| Place { group, namespace, resource, name, subresource };
        for (text, expected) in [
            ("core/v1/namespaces/shop/pods/web/exec", place("", "shop", "pods", "web", "exec")),
            ("core/v1/namespaces/shop/pods", place("", "shop", "pods", "", "")),
            ("apps/v1/namespaces/shop/deployments/web", place("apps", "shop", "deployments", "web", "")),
            ("core/v1/namespaces/shop", place("", "", "namespaces", "shop", "")),
            ("core/v1/namespaces/shop/finalize", place("", "", "namespaces", "shop", "finalize")),
            ("core/v1/nodes/n1/proxy/metrics", place("", "", "nodes", "n1", "proxy")),
        ] {
            assert_eq!(Place::of(text), Some(expected), "{text}");
        }
        assert_eq!(Place::of("readyz"), None);
        assert_eq!(Place::of(""), None);
    }
}
