//! Several clusters at once, the oldest version, and the end of a cluster.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::net::TcpStream;
use std::thread;

use common::{json, succeed};
use lockbox_cluster::{Cluster, Options, Version};

#[test]
fn clusters_of_both_versions_run_side_by_side_and_end_without_a_trace() {
    let start = |version| Cluster::start(Options { version, ..Options::default() }).unwrap();
    let (newest, oldest) = thread::scope(|scope| {
        let newest = scope.spawn(|| start(Version::Newest));
        let oldest = scope.spawn(|| start(Version::Oldest));
        (newest.join().unwrap(), oldest.join().unwrap())
    });
    assert_ne!(newest.server(), oldest.server());
    for (cluster, version, label) in [(&newest, "v1.37.2", "newest"), (&oldest, "v1.33.13", "oldest")] {
        let told = json(cluster.kubectl(cluster.admin()), &["get", "--raw", "/version"]);
        assert_eq!(told["gitVersion"], version);
        succeed(cluster.kubectl(cluster.admin()), &["create", "namespace", &format!("only-on-{label}")]);
    }
    // Each has its own data, its own users, and its own kinds.
    let namespaces =
        |cluster: &Cluster| succeed(cluster.kubectl(cluster.admin()), &["get", "namespaces", "-o", "name"]);
    assert!(namespaces(&newest).contains("only-on-newest") && !namespaces(&newest).contains("only-on-oldest"));
    assert!(namespaces(&oldest).contains("only-on-oldest") && !namespaces(&oldest).contains("only-on-newest"));
    let mut crossed = newest.kubectl(oldest.admin());
    crossed.args(["--server", newest.server(), "get", "namespaces"]);
    let error = lockbox_cluster::output(crossed).unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    let kinds = |cluster: &Cluster| {
        succeed(
            cluster.kubectl(cluster.admin()),
            &["api-resources", "--api-group", "admissionregistration.k8s.io", "-o", "name"],
        )
    };
    assert!(kinds(&newest).contains("mutatingadmissionpolicies"));
    assert!(kinds(&oldest).contains("validatingadmissionpolicies"));
    assert!(!kinds(&oldest).contains("mutatingadmissionpolicies"), "the chart counts on this version not having them");

    let left: Vec<_> = [&newest, &oldest].map(|c| (c.data().to_owned(), c.server().replace("https://", ""))).into();
    newest.stop().unwrap();
    drop(oldest);
    for (data, address) in left {
        assert!(!data.exists(), "{}", data.display());
        assert_eq!(common::processes_with(&data.to_string_lossy()), Vec::<u32>::new());
        assert_eq!(common::processes_in(&data), Vec::<u32>::new());
        assert!(TcpStream::connect(&address).is_err(), "{address}");
    }
}
