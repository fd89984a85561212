//! What the operator is told when it starts.

use std::collections::BTreeMap;

/// Where the operator lives, and where the tenant does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The operator's own namespace.
    pub namespace: String,
    /// The tenant's home namespace: requests and assignments for the tenant live there.
    pub tenant_namespace: String,
    /// Name of this instance in Events: the Pod's, or another.
    pub instance: String,
    /// Address for probes, such as `[::]:8080`; none for none.
    pub listen: Option<std::net::SocketAddr>,
    /// Requests that are worked on at the same time.
    pub concurrency: u16,
    /// Image that the deadline Jobs' Pod templates name. It is never run.
    pub deadline_job_image: String,
    /// What every object of a grant bears besides Lockbox's own, for policies that ask for it.
    pub grant: Marks,
    /// What the deadline Job and its Pod template bear besides that.
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
