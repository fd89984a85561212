//! Which call it is, in the words of RBAC.

use http::{Method, Uri};

/// What the operator calls for. Anything else, a customer's kinds for example, is `other`.
const RESOURCES: &[&str] = &[
    "clusterrolebindings",
    "clusterroles",
    "customresourcedefinitions",
    "events",
    "jobs",
    "leases",
    "lockboxrequests",
    "lockboxrequests/status",
    "lockboxsettings",
    "lockboxsettings/status",
    "namespaces",
    "pods",
    "roleassignments",
    "roleassignments/status",
    "rolebindings",
    "roles",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
];
/// What is no resource: discovery, versions.
const NONE: &str = "none";
const OTHER: &str = "other";

/// One call to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The verb: get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: &'static str,
    /// The resource in the plural, one of [`RESOURCES`].
    pub resource: &'static str,
    /// Of a watch and of a list, what is selected: the same for each start of a watch, and for the list that it begins with.
    pub selection: Option<String>,
}

impl Call {
    /// The call that an HTTP request makes.
    pub fn of(method: &Method, uri: &Uri) -> Self {
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let (resource, named) = resource(path);
        let parameters = || query.split('&').filter_map(|pair| pair.split_once('='));
        let watches = parameters().any(|(name, value)| name == "watch" && matches!(value, "true" | "1"));
        let verb = match method.as_str() {
            "GET" if watches => "watch",
            "GET" if named => "get",
            "GET" if resource == NONE => "get",
            "GET" => "list",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if named => "delete",
            "DELETE" => "deletecollection",
            _ => OTHER,
        };
        let selection = matches!(verb, "watch" | "list").then(|| {
            let selects = parameters().filter(|(name, _)| matches!(*name, "labelSelector" | "fieldSelector"));
            selects.fold(path.to_owned(), |so_far, (name, value)| so_far + " " + name + "=" + value)
        });
        Self { verb, resource, selection }
    }

    /// Whether it is a watch.
    pub fn is_watch(&self) -> bool {
        self.verb == "watch"
    }
}

/// The resource of a path, and whether the path names one object of it.
fn resource(path: &str) -> (&'static str, bool) {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).skip_while(|part| !matches!(*part, "api" | "apis"));
    // A group, and then its version.
    let mut rest = match parts.next() {
        Some("api") => parts.skip(1).collect::<Vec<_>>(),
        Some(_) => parts.skip(2).collect(),
        None => return (NONE, false),
    };
    if rest.len() > 2 && rest.first() == Some(&"namespaces") {
        rest.drain(..2);
    }
    let known = |name: &str| RESOURCES.iter().copied().find(|known| *known == name);
    match rest[..] {
        [] => (NONE, false),
        [plural] => (known(plural).unwrap_or(OTHER), false),
        [plural, _] => (known(plural).unwrap_or(OTHER), true),
        [plural, _, part, ..] => {
            let whole = known(&format!("{plural}/{part}"));
            (whole.or_else(|| known(plural)).unwrap_or(OTHER), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_as_rbac_names_it() {
        let ours = "/apis/lockbox.dev/v1alpha1";
        for (method, uri, verb, resource) in [
            (Method::GET, format!("{ours}/lockboxrequests?limit=20"), "list", "lockboxrequests"),
            (Method::GET, format!("{ours}/lockboxrequests?watch=true&timeoutSeconds=290"), "watch", "lockboxrequests"),
            (Method::GET, format!("{ours}/namespaces/shop/lockboxrequests/a"), "get", "lockboxrequests"),
            (Method::GET, format!("{ours}/lockboxsettings/default"), "get", "lockboxsettings"),
            (
                Method::PUT,
                format!("{ours}/namespaces/shop/lockboxrequests/a/status?"),
                "update",
                "lockboxrequests/status",
            ),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/shop/events".into(), "create", "events"),
            (Method::DELETE, "/apis/batch/v1/namespaces/shop/jobs/a".into(), "delete", "jobs"),
            (Method::DELETE, "/apis/batch/v1/namespaces/shop/jobs".into(), "deletecollection", "jobs"),
            (Method::GET, "/api/v1/namespaces/shop".into(), "get", "namespaces"),
            (Method::GET, "/api/v1/namespaces".into(), "list", "namespaces"),
            (Method::GET, "/k8s/clusters/c-1/api/v1/namespaces/shop/pods/p/log".into(), "get", "pods"),
            (Method::GET, "/apis/shop.example/v1/namespaces/shop/carts/c".into(), "get", "other"),
            (Method::GET, "/apis".into(), "get", "none"),
            (Method::GET, "/version".into(), "get", "none"),
        ] {
            let call = Call::of(&method, &uri.parse().unwrap());
            assert_eq!((call.verb, call.resource), (verb, resource), "{method} {uri}");
            assert_eq!(
                (call.is_watch(), call.selection.is_some()),
                (verb == "watch", matches!(verb, "watch" | "list"))
            );
        }
    }

    #[test]
    fn a_watch_is_the_same_after_each_start_and_its_list_and_another_for_each_selection() {
        let selection =
            |query: &str| Call::of(&Method::GET, &format!("/api/v1/pods?{query}").parse().unwrap()).selection.unwrap();
        let watch = selection("watch=true&labelSelector=a&resourceVersion=1");
        assert_eq!(watch, selection("watch=true&labelSelector=a&resourceVersion=2"));
        assert_eq!(watch, selection("limit=20&labelSelector=a"));
        assert_ne!(watch, selection("watch=true&labelSelector=b"));
    }
}
