//! The Lease by which several operators agree on the one that acts. Every write goes over the version that was read.

use std::{future::Future, net::SocketAddr, time::Duration};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use lockbox_api::names;

use super::{Cluster, Error, limited_to};

/// Its name, in the operator's namespace.
const NAME: &str = "lockbox-operator";
/// Where its holder takes the audit stream.
const STREAM: &str = "lockbox.dev/audit-stream";
/// How long one call may take: whoever leads must be able to try again before it has to stop.
const CALL: Duration = Duration::from_secs(3);

impl Cluster {
    /// The Lease as it is stored now.
    pub async fn read_lease(&self) -> Result<Option<Lease>, Error> {
        soon("read the Lease", self.leases().get_opt(NAME)).await
    }

    /// Writes the Lease over what was read of it, or makes it. A conflict means that somebody else was faster.
    pub async fn write_lease(&self, read: Option<Lease>, spec: LeaseSpec) -> Result<Lease, Error> {
        let (leases, parameters) = (self.leases(), PostParams::default());
        let stream = self.config.activity.as_ref().and_then(|activity| {
            let address = SocketAddr::new(activity.reached_at?, activity.listen.port());
            Some((STREAM.to_owned(), address.to_string()))
        });
        if let Some(mut lease) = read {
            let annotations = lease.metadata.annotations.get_or_insert_default();
            annotations.remove(STREAM);
            annotations.extend(stream);
            lease.spec = Some(spec);
            return soon("write the Lease", leases.replace(NAME, &parameters, &lease)).await;
        }
        let labels = [(names::MANAGED_BY.to_owned(), names::MANAGER.to_owned())].into();
        let metadata = ObjectMeta {
            name: Some(NAME.into()),
            labels: Some(labels),
            annotations: Some(stream.into_iter().collect()),
            ..ObjectMeta::default()
        };
        soon("make the Lease", leases.create(&parameters, &Lease { metadata, spec: Some(spec) })).await
    }

    /// Where the holder of a Lease takes the audit stream.
    pub fn takes_the_stream(lease: &Lease) -> Option<SocketAddr> {
        lease.metadata.annotations.as_ref()?.get(STREAM)?.parse().ok()
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.config.namespace)
    }
}

async fn soon<T>(doing: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    limited_to(CALL, doing, call).await
}
