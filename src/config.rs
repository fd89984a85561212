//! The operator's configuration, fixed at start.

use std::collections::BTreeMap;

/// Where the operator lives, and where the tenant does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The operator's own namespace.
    pub namespace: String,
    /// The tenant's home namespace, for requests and assignments of scope Tenant.
    pub tenant_namespace: String,
    /// Name of this instance in Events: the Pod's, or another.
    pub instance: String,
    /// Address for probes, such as `[::]:8080`; none for none.
    pub listen: Option<std::net::SocketAddr>,
    /// How many requests to work on at the same time.
    pub concurrency: u16,
    /// Image in the Pod templates of deadline Jobs. It never runs.
    pub deadline_job_image: String,
    /// Labels and annotations of every object of a grant, besides Lockbox's own, for policies that require them.
    pub grant: Marks,
    /// Further ones of the deadline Job and its Pod template.
    pub deadline_job: Marks,
    /// How messages leave the cluster; none if nobody is told anything.
    pub notifications: Option<crate::notify::Notifications>,
}

/// Labels and annotations. Where a key is Lockbox's own, Lockbox's value holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}
