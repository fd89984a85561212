//! What the operator is told when it starts.

/// Where the operator lives, and where the tenant does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The operator's own namespace.
    pub namespace: String,
    /// The tenant's home namespace: requests and assignments for the tenant live there.
    pub tenant_namespace: String,
    /// Name of this instance in Events: the Pod's, or another.
    pub instance: String,
    /// Address for probes, such as `0.0.0.0:8080`; none for none.
    pub listen: Option<std::net::SocketAddr>,
    /// Requests that are worked on at the same time.
    pub concurrency: u16,
}
