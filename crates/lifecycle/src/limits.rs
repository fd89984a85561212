//! How many requests are open. The limits bound how much of the operator's memory one requester or one namespace can
//! fill.

use crate::OpenRequests;
use k8s_openapi::jiff::Timestamp;
use lockbox_api::{LockboxRequest, Phase, principal::same_user};

/// What is counted of a request.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The requester's user name.
    pub requester: &'a str,
    /// Its phase.
    pub phase: Phase,
    /// When it was made, by the API server's clock.
    pub created: Option<Timestamp>,
    /// Its UID.
    pub uid: &'a str,
}

impl<'a> From<&'a LockboxRequest> for Open<'a> {
    fn from(request: &'a LockboxRequest) -> Self {
        Self {
            namespace: request.metadata.namespace.as_deref().unwrap_or_default(),
            requester: &request.spec.requester.username,
            phase: request.status.as_ref().and_then(|status| status.phase).unwrap_or_default(),
            created: request.metadata.creation_timestamp.as_ref().map(|at| at.0),
            uid: request.metadata.uid.as_deref().unwrap_or_default(),
        }
    }
}

/// Counts `request` and the open ones that came before it, so that those that were there first stay and what comes beyond
/// a limit is refused, in whatever order they are looked at. `all` may hold the request itself and finished ones.
pub fn open<'a>(request: &LockboxRequest, all: impl IntoIterator<Item = Open<'a>>) -> OpenRequests {
    let own = Open::from(request);
    // Of the same second, by UID.
    let mut open = OpenRequests { of_requester: 1, in_namespace: 1 };
    for other in all.into_iter().filter(|other| !other.phase.is_terminal()) {
        let here = other.namespace == own.namespace;
        let same = same_user(other.requester, own.requester);
        if (here || same) && (other.created, other.uid) < (own.created, own.uid) {
            open.in_namespace += usize::from(here);
            open.of_requester += usize::from(same);
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(uid: &str, namespace: &str, who: &str, second: u32, phase: &str) -> LockboxRequest {
        serde_json::from_value(json!({
            "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
            "metadata": {"name": uid, "namespace": namespace, "uid": uid,
                "creationTimestamp": format!("2026-11-29T12:00:{second:02}Z")},
            "spec": {"requester": {"username": who}, "origin": "SupportRequest", "justification": "j",
                "scope": "Subscription", "service": "AppService", "accessLevel": "Shell"},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    #[test]
    fn open_requests_that_came_before_are_counted_by_requester_and_by_namespace() {
        let own = request("m", "shop", "kim", 5, "Evaluating");
        let all: Vec<_> = vec![
            own.clone(),
            request("a", "shop", "kim", 1, "CustomerNotified"),
            request("b", "shop", "bob", 1, "AccessGranted"),
            request("c", "erp", "Kim", 1, "Approved"),
            request("d", "erp", "bob", 1, "CustomerNotified"),
            request("e", "shop", "kim", 1, "Denied"),
            request("f", "shop", "kim", 6, "CustomerNotified"),
            request("l", "shop", "kim", 5, "Evaluating"),
            request("n", "shop", "kim", 5, "Evaluating"),
        ];
        assert_eq!(open(&own, all.iter().map(Open::from)), OpenRequests { of_requester: 4, in_namespace: 4 });
    }

    #[test]
    fn of_many_made_at_once_as_many_pass_as_the_limit_says() {
        let all: Vec<_> = (0..30).map(|n| request(&format!("{n:02}"), "shop", "kim", 1, "Evaluating")).collect();
        let pass = all.iter().filter(|request| open(request, all.iter().map(Open::from)).of_requester <= 20).count();
        assert_eq!(pass, 20);
    }
}
