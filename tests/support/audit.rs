//! The API server's audit log, read as a list of calls.

use std::io::{Read as _, Seek as _, SeekFrom};

use lockbox_cluster::Cluster;
use serde_json::Value;

/// The user name of the operator.
pub const OPERATOR: &str = "system:serviceaccount:lockbox-system:lockbox-operator";

/// One call that the API server has answered.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who called.
    pub user: String,
    /// What RBAC calls it: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`…
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Resource, with its subresource: `lockboxrequests/status`. Empty for paths that are no resources.
    pub resource: String,
    /// Namespace; empty for what belongs to none.
    pub namespace: String,
    /// Name, as far as the call has one.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u64,
    /// Whether nothing was to be stored.
    pub dry: bool,
    /// Which of its tokens the caller showed.
    pub credential: String,
}

impl Call {
    /// Whether it is meant to change something. A review stores nothing.
    pub fn writes(&self) -> bool {
        let reviews = matches!(self.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io");
        !reviews
            && matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
            && !self.dry
    }

    /// Verb and resource, such as `create jobs`.
    pub fn words(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }
}

/// Where the log ends now: what comes later is read with [`since`].
pub fn mark(cluster: &Cluster) -> u64 {
    std::fs::metadata(cluster.audit_log()).unwrap().len()
}

/// The calls since a [`mark`] that were answered, in the order of their answers. A watch is answered when it begins.
pub fn since(cluster: &Cluster, mark: u64) -> Vec<Call> {
    let mut log = std::fs::File::open(cluster.audit_log()).unwrap();
    log.seek(SeekFrom::Start(mark)).unwrap();
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    // The last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut seen = std::collections::HashSet::new();
    whole
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| seen.insert(event["auditID"].as_str().unwrap().to_owned()))
        .map(|event| call(&event))
        .collect()
}

fn call(event: &Value) -> Call {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut resource = text("/objectRef/resource");
    let subresource = text("/objectRef/subresource");
    if !subresource.is_empty() {
        resource = format!("{resource}/{subresource}");
    }
    Call {
        user: text("/user/username"),
        verb: text("/verb"),
        group: text("/objectRef/apiGroup"),
        resource,
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
        dry: text("/requestURI").contains("dryRun="),
        credential: text("/user/extra/authentication.kubernetes.io~1credential-id/0"),
    }
}

/// What the operator wrote since a mark.
pub fn operator_writes(cluster: &Cluster, mark: u64) -> Vec<Call> {
    since(cluster, mark).into_iter().filter(|call| call.user == OPERATOR && call.writes()).collect()
}
