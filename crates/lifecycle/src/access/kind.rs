use lockbox_api::Scope;

/// Where the objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindScope {
    /// In namespaces.
    Namespace,
    /// In none: they belong to the cluster.
    Cluster,
    /// Not known here: a kind of an extension. The API server's discovery knows.
    Unknown,
}

/// Kinds that belong to the cluster: those of Kubernetes itself (as `kubectl api-resources --namespaced=false` of 1.33
/// and 1.37 lists them) and of the extensions in the shipped catalogue of services.
const CLUSTER: &[(&str, &[&str])] = &[
    ("", &["componentstatuses", "namespaces", "nodes", "persistentvolumes"]),
    (
        "admissionregistration.k8s.io",
        &[
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
    ),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    ("authentication.k8s.io", &["selfsubjectreviews", "tokenreviews"]),
    ("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"]),
    ("certificates.k8s.io", &["certificatesigningrequests", "clustertrustbundles"]),
    ("flowcontrol.apiserver.k8s.io", &["flowschemas", "prioritylevelconfigurations"]),
    ("gateway.networking.k8s.io", &["gatewayclasses"]),
    ("groupsnapshot.storage.k8s.io", &["volumegroupsnapshotclasses", "volumegroupsnapshotcontents"]),
    ("instancetype.kubevirt.io", &["virtualmachineclusterinstancetypes", "virtualmachineclusterpreferences"]),
    ("internal.apiserver.k8s.io", &["storageversions"]),
    ("lockbox.dev", &["lockboxsettings"]),
    ("networking.k8s.io", &["ingressclasses", "ipaddresses", "servicecidrs"]),
    ("node.k8s.io", &["runtimeclasses"]),
    ("objectstorage.k8s.io", &["bucketaccessclasses", "bucketclasses", "buckets"]),
    ("rbac.authorization.k8s.io", &["clusterrolebindings", "clusterroles"]),
    ("resource.k8s.io", &["deviceclasses", "devicetaintrules", "resourcepoolstatusrequests", "resourceslices"]),
    ("scheduling.k8s.io", &["priorityclasses"]),
    ("snapshot.storage.k8s.io", &["volumesnapshotclasses", "volumesnapshotcontents"]),
    ("storage.k8s.io", &["csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses"]),
    ("storagemigration.k8s.io", &["storageversionmigrations"]),
];

/// Groups of Kubernetes itself that are settled: a kind of theirs that is not in [`CLUSTER`] lives in namespaces.
const SETTLED: &[&str] = &[
    "",
    "apps",
    "autoscaling",
    "batch",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "lockbox.dev",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
];

/// Where the objects of a kind live, as far as that can be known without asking the API server. Group and plural name,
/// without a subresource.
pub fn kind_scope(group: &str, resource: &str) -> KindScope {
    let of_cluster = CLUSTER.iter().any(|(of, kinds)| *of == group && kinds.contains(&resource));
    if of_cluster {
        KindScope::Cluster
    } else if SETTLED.contains(&group) {
        KindScope::Namespace
    } else {
        KindScope::Unknown
    }
}

/// A namespace is cluster-scoped, and yet a Role in it allows calls on it by name: the API server puts such a call into
/// that very namespace.
pub(super) fn is_namespaces(group: &str, resource: &str) -> bool {
    group.is_empty() && resource == "namespaces"
}

/// Whether objects of the kind, by name, certainly do not live where the scope reaches.
pub(super) fn is_elsewhere(group: &str, resource: &str, scope: Scope) -> bool {
    match scope {
        Scope::Subscription => kind_scope(group, resource) == KindScope::Cluster && !is_namespaces(group, resource),
        Scope::Tenant => kind_scope(group, resource) == KindScope::Namespace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_live_where_kubernetes_puts_them() {
        for (group, resource, scope) in [
            ("", "nodes", KindScope::Cluster),
            ("", "pods", KindScope::Namespace),
            ("apps", "deployments", KindScope::Namespace),
            ("storage.k8s.io", "volumeattachments", KindScope::Cluster),
            ("storage.k8s.io", "csistoragecapacities", KindScope::Namespace),
            ("lockbox.dev", "roleassignments", KindScope::Namespace),
            ("lockbox.dev", "lockboxsettings", KindScope::Cluster),
            ("kubevirt.io", "virtualmachines", KindScope::Unknown),
            ("apps", "nodes", KindScope::Namespace),
        ] {
            assert_eq!(kind_scope(group, resource), scope, "{resource}.{group}");
        }
    }

    #[test]
    fn a_namespace_can_be_reached_from_within() {
        assert!(!is_elsewhere("", "namespaces", Scope::Subscription));
        assert!(!is_elsewhere("", "namespaces", Scope::Tenant));
        assert!(is_elsewhere("", "nodes", Scope::Subscription));
        assert!(is_elsewhere("", "pods", Scope::Tenant));
        assert!(!is_elsewhere("example.com", "things", Scope::Tenant), "unknown here: discovery decides");
    }
}
