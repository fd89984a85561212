//! One call of the API server, as an audit event tells it.

use lockbox_api::{Moment, principal::same_user};

use crate::uri;

/// At which point of a call an event was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The call was received; nothing was decided yet.
    Received,
    /// The answer began, and goes on: a watch, or a session.
    Started,
    /// The answer is complete, or never will be.
    Complete,
}

/// What an audit event says. Every text is clean and of a bounded length, except where it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The event's id. The caller can choose it (`Audit-ID`), so it tells no two calls apart by itself.
    pub id: String,
    /// At which point of the call the event was written.
    pub stage: Stage,
    /// When the call was received.
    pub received: Moment,
    /// When the stage was reached.
    pub at: Moment,
    /// What RBAC calls it; of what is no resource, the HTTP method in lower case.
    pub verb: String,
    /// Who is signed in.
    pub user: String,
    /// In whose name they acted, if in another's.
    pub impersonated: Option<String>,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name of the kind; empty for a path that is no resource.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace; empty for what belongs to none, and for all.
    pub namespace: String,
    /// Name of the object, where there is one.
    pub name: String,
    /// Path and query, as they were sent: bounded, not clean, and never shown as a whole.
    pub(crate) uri: String,
    /// HTTP status of the answer; 0 where it is not known.
    pub code: u16,
    /// Whether the authorizer refused the call.
    pub forbidden: bool,
    /// Why the authorizer decided as it did: bounded, in its own words.
    pub reason: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// Where the call came from, the nearest last.
    pub addresses: Vec<String>,
}

impl Call {
    /// Whose rights count.
    pub fn effective_user(&self) -> &str {
        self.impersonated.as_deref().unwrap_or(&self.user)
    }

    /// Whether this person called, in their own name or in another's.
    pub fn is_by(&self, user: &str) -> bool {
        same_user(&self.user, user) || same_user(self.effective_user(), user)
    }

    /// Kind and subresource, such as `pods/exec`; the path of what is no resource.
    pub fn what(&self) -> String {
        match (self.resource.as_str(), self.subresource.as_str()) {
            ("", _) => crate::text::plain(uri::path(&self.uri), 128),
            (resource, "") => resource.to_owned(),
            (resource, subresource) => format!("{resource}/{subresource}"),
        }
    }

    /// Whether it was refused, by the authorizer or by what stands behind it.
    pub const fn is_refused(&self) -> bool {
        self.forbidden || matches!(self.code, 401 | 403)
    }

    /// Whether it did what it was meant to do. A session's answer is 101.
    pub const fn succeeded(&self) -> bool {
        !self.forbidden && (matches!(self.code, 101 | 200..=299) || self.code == 0)
    }

    /// Whether nothing was to be stored.
    pub fn is_dry(&self) -> bool {
        uri::is_dry(&self.uri)
    }

    /// Whether it only asks what the API server offers and how it is: everybody who is signed in may.
    pub fn is_discovery(&self) -> bool {
        let path = uri::path(&self.uri);
        let below = |root: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
        self.resource.is_empty()
            && ["/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz"].into_iter().any(below)
    }

    /// Whether its answer goes on after it has begun: then there are two events about it.
    pub fn is_long(&self) -> bool {
        self.verb == "watch" || crate::session::kind(self).is_some() || self.subresource == "proxy" || self.follows()
    }

    fn follows(&self) -> bool {
        self.subresource == "log" && uri::values(&self.uri, "follow").iter().any(|value| value == "true")
    }
}
