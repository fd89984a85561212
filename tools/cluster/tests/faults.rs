//! Servers that stop, hang, fail and are killed.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::net::TcpStream;

use common::succeed;
use lockbox_cluster::{Cluster, Error, Options};

#[test]
fn an_api_server_that_stops_hangs_or_is_killed_comes_back_with_its_data() {
    let cluster = Cluster::start(Options::default()).unwrap();
    let kubectl = |args: &[&str]| {
        let mut command = cluster.kubectl(cluster.admin());
        command.args(args);
        lockbox_cluster::output(command)
    };
    let address = cluster.server().replace("https://", "");
    kubectl(&["create", "namespace", "kept"]).unwrap();
    let first = cluster.pid("kube-apiserver").unwrap();

    cluster.stop_apiserver().unwrap();
    assert!(TcpStream::connect(&address).is_err());
    cluster.start_apiserver().unwrap();
    kubectl(&["get", "namespace", "kept"]).unwrap();
    assert_ne!(cluster.pid("kube-apiserver").unwrap(), first);

    cluster.kill_apiserver().unwrap();
    assert!(TcpStream::connect(&address).is_err());
    cluster.start_apiserver().unwrap();
    kubectl(&["get", "namespace", "kept"]).unwrap();

    cluster.pause_apiserver().unwrap();
    common::eventually("no answer from a frozen server", || {
        kubectl(&["get", "namespace", "kept", "--request-timeout=200ms"]).err()
    });
    assert!(TcpStream::connect(&address).is_ok(), "a frozen server still takes connections");
    cluster.resume_apiserver().unwrap();
    common::eventually("an answer after the pause", || kubectl(&["get", "namespace", "kept"]).ok());

    assert!(cluster.start_apiserver().is_err(), "it runs already");
    // The controllers have survived all of it.
    kubectl(&["create", "namespace", "later"]).unwrap();
    common::eventually("a ServiceAccount in the new namespace", || {
        kubectl(&["get", "serviceaccount", "default", "--namespace", "later"]).ok()
    });
}

#[test]
fn a_server_that_cannot_start_shows_the_end_of_its_log_and_where_it_is() {
    let options = Options { apiserver_args: vec!["--no-such-flag".to_owned()], ..Options::default() };
    let error = Cluster::start(options).err().unwrap();
    let text = error.to_string();
    let Error::ServerEnded { server, log, .. } = error else { panic!("another error: {text}") };
    assert_eq!(server, "kube-apiserver");
    assert!(text.contains("unknown flag: --no-such-flag") && text.contains(&*log.to_string_lossy()), "{text}");
    assert!(fs::read_to_string(&log).unwrap().contains("unknown flag"));
    let data = log.parent().unwrap();
    assert_eq!(common::processes_in(data), Vec::<u32>::new());
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_server_that_dies_later_is_told_by_the_next_wait() {
    let cluster = Cluster::start(Options::default()).unwrap();
    cluster.kill_apiserver().unwrap();
    let etcd = cluster.pid("etcd").unwrap();
    succeed(std::process::Command::new("sh"), &["-c", &format!("kill -9 {etcd}")]);
    let error = cluster.start_apiserver().unwrap_err().to_string();
    assert!(error.starts_with("etcd ended (killed by signal 9)"), "{error}");
}
