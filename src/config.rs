//! The operator's configuration, fixed at start.

use std::{collections::BTreeMap, path::PathBuf};

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
    /// Where the API server's audit stream is taken; none for nowhere.
    pub activity: Option<Activity>,
    /// Whether one of several acts, the one that holds the Lease; otherwise there is only this one.
    pub leader_election: bool,
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

/// Where and from whom the API server's audit stream is taken. At least one of token and authority is needed; where both are
/// given, both are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Address, such as `[::]:8443`.
    pub listen: std::net::SocketAddr,
    /// Where another operator reaches it, to hand on what comes there while this one acts.
    pub reached_at: Option<std::net::IpAddr>,
    /// File with the certificate chain, PEM.
    pub certificate: PathBuf,
    /// File with its key, PEM.
    pub key: PathBuf,
    /// File with the token that the API server sends.
    pub token: Option<PathBuf>,
    /// File with the authorities of the certificate that the API server shows, PEM.
    pub client_authority: Option<PathBuf>,
    /// Where full records go: a file, or `-` for standard output; none for nowhere.
    pub log: Option<PathBuf>,
}

/// Labels and annotations. Where a key is Lockbox's own, Lockbox's value holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}
