//! Nothing is left running, whoever is killed.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::{eventually, processes_in, processes_with, succeed};

/// A process that holds a cluster, as a test does.
struct Holder {
    process: Child,
    data: PathBuf,
    address: String,
}

fn holder() -> Holder {
    let mut process = common::tool()
        .args([
            "run",
            "--",
            "sh",
            "-c",
            "echo \"$LOCKBOX_AUDIT_LOG\"; kubectl config view -o jsonpath='{..server}'; echo; read _; true",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let data = Path::new(&lines.next().unwrap()).parent().unwrap().to_owned();
    let address = lines.next().unwrap().replace("https://", "");
    Holder { process, data, address }
}

fn parent_of(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

fn pid_of(server: &str, data: &Path) -> u32 {
    fs::read_to_string(data.join(format!("{server}.pid"))).unwrap().trim().parse().unwrap()
}

fn kill(pid: u32) {
    succeed(std::process::Command::new("sh"), &["-c", &format!("kill -9 {pid}")]);
}

#[test]
fn nothing_is_left_when_the_owner_is_killed() {
    let mut holder = holder();
    assert!(TcpStream::connect(&holder.address).is_ok());
    assert_eq!(processes_with(&holder.data.to_string_lossy()).len(), 4, "three guards and the controller manager");
    assert!(processes_in(&holder.data).len() >= 6, "three guards and three servers");
    holder.process.kill().unwrap();
    holder.process.wait().unwrap();
    eventually("no process of the cluster", || {
        (processes_in(&holder.data).is_empty() && processes_with(&holder.data.to_string_lossy()).is_empty())
            .then_some(())
    });
    assert!(!holder.data.exists(), "{}", holder.data.display());
    assert!(TcpStream::connect(&holder.address).is_err());
}

#[test]
fn a_server_ends_with_its_guard_and_the_rest_with_the_owner() {
    let has_setpriv = std::process::Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).status();
    if !has_setpriv.is_ok_and(|status| status.success()) {
        // Documented: on such a system one server then runs on.
        return;
    }
    let mut holder = holder();
    let apiserver = pid_of("kube-apiserver", &holder.data);
    kill(parent_of(apiserver));
    eventually("no API server without its guard", || TcpStream::connect(&holder.address).err());
    eventually("the API server's end", || (!Path::new(&format!("/proc/{apiserver}")).exists()).then_some(()));
    holder.process.kill().unwrap();
    holder.process.wait().unwrap();
    eventually("no process of the cluster", || processes_in(&holder.data).is_empty().then_some(()));
    eventually("no data folder", || (!holder.data.exists()).then_some(()));
}

#[test]
fn nothing_is_left_when_all_guards_are_killed_and_then_the_owner() {
    let mut holder = holder();
    let servers = ["etcd", "kube-apiserver", "kube-controller-manager"].map(|server| pid_of(server, &holder.data));
    for server in servers {
        kill(parent_of(server));
    }
    eventually("no server without its guard", || {
        servers.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    // The owner still ends in order and removes what the guards could not.
    drop(holder.process.stdin.take());
    assert!(holder.process.wait().unwrap().success());
    assert!(!holder.data.exists());
}
