//! The command line: clusters that stay up.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::process::Command;

use common::{succeed, tool};
use lockbox_cluster::Cluster;

/// Ends the cluster when the test fails.
struct Down(String);

impl Drop for Down {
    fn drop(&mut self) {
        let _ = tool().args(["down", &self.0]).output();
    }
}

#[test]
fn a_named_cluster_stays_up_until_it_is_ended() {
    let name = format!("test-{}", std::process::id());
    let name = name.as_str();
    let _down = Down(name.to_owned());
    assert!(Cluster::open(name).err().unwrap().to_string().contains(&format!("lockbox-cluster up {name}")));

    // Two at once: one of them starts it, and both succeed.
    let mut other = tool().args(["up", name]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let told = succeed(tool(), &["up", name]);
    assert!(other.wait().unwrap().success());
    assert!(told.contains("Kubernetes 1.37.2 at https://127.0.0.1:"), "{told}");
    let again = succeed(tool(), &["up", name]);
    assert!(again.contains("is up already"), "{again}");
    let mut wrong = tool();
    wrong.args(["up", name, "--kubernetes", "1.33"]);
    assert!(lockbox_cluster::output(wrong).unwrap_err().to_string().contains("is up with Kubernetes 1.37.2"));

    let listed = succeed(tool(), &["list"]);
    assert!(listed.lines().any(|line| line.starts_with(&format!("{name}\t1.37.2\thttps://"))), "{listed}");

    // The exports work in a shell, and as the user that they are asked for.
    let mut shell = Command::new("sh");
    shell.env("TOOL", env!("CARGO_BIN_EXE_lockbox-cluster"));
    let script = format!(
        "eval \"$($TOOL env {name} --user kim@provider.example --group provider:engineers --group x --extra provider.example/mfa=true)\"
         kubectl auth whoami"
    );
    let whoami = succeed(shell, &["-c", &script]);
    for text in
        ["kim@provider.example", "[provider:engineers x system:authenticated]", "provider.example/mfa", "[true]"]
    {
        assert!(whoami.contains(text), "{text}: {whoami}");
    }

    let path = succeed(tool(), &["kubeconfig", name, "--service-account", "default/default"]);
    let cluster = Cluster::open(name).unwrap();
    let mut kubectl = cluster.kubectl(cluster.admin());
    kubectl.args(["--kubeconfig", path.trim(), "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
    assert_eq!(lockbox_cluster::output(kubectl).unwrap(), "system:serviceaccount:default:default");
    assert!(cluster.stop_apiserver().is_err(), "only the process that started it may do that");
    let data = cluster.data().to_owned();
    drop(cluster);
    assert!(data.exists(), "it stays up when a visitor leaves");

    assert!(succeed(tool(), &["down", name]).contains("is down"));
    assert!(!data.exists());
    assert_eq!(common::processes_with(&data.to_string_lossy()), Vec::<u32>::new());
    assert_eq!(common::processes_in(&data), Vec::<u32>::new());
    assert!(!succeed(tool(), &["list"]).contains(name));
    assert!(succeed(tool(), &["down", name]).contains("was not up"));
    let left = |extension: &str| data.with_extension(extension).exists();
    assert!(!left("lock") && !left("log"), "nothing bears the name any more");
}

#[test]
fn the_status_of_a_run_is_that_of_its_command() {
    let status = tool().args(["run", "--", "sh", "-c", "exit 7"]).status().unwrap();
    assert_eq!(status.code(), Some(7));
}

#[test]
fn a_failed_start_is_told_with_the_end_of_the_log() {
    let name = format!("fails-{}", std::process::id());
    let _down = Down(name.clone());
    let mut up = tool();
    up.args(["up", &name, "--apiserver-arg=--no-such-flag"]);
    let error = lockbox_cluster::output(up).unwrap_err().to_string();
    assert!(error.contains("unknown flag: --no-such-flag") && error.contains("kube-apiserver.log"), "{error}");
    assert!(!succeed(tool(), &["list"]).contains(&name));
}
