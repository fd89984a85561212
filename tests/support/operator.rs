//! The operator as a process: the binary that is shipped, with the ServiceAccount's token, and nothing else.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use lockbox_cluster::User;

/// Name of the log in the cluster's data folder.
pub const LOG: &str = "lockbox-operator.log";

/// Runs the operator as a child and kills it with -9 when standard input closes: when the test drops it, or is killed.
const GUARD: &str =
    r#"exec 3>&1 >&2; "$@" 3>&- </dev/null & echo $! >&3; exec 3>&-; read -r _; kill -KILL $!; wait $!"#;

/// A running operator; dropping it is `kill -9`.
pub struct Operator {
    shell: Child,
    orders: Option<ChildStdin>,
    pid: u32,
}

impl Operator {
    /// Starts it with this user's credential; its log goes into `folder`.
    pub fn start(account: &User, folder: &Path, more: &[&str]) -> Self {
        let log: File = OpenOptions::new().create(true).append(true).open(folder.join(LOG)).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", GUARD, "guard", env!("CARGO_BIN_EXE_lockbox-operator"), "run"])
            .args(more)
            .env("KUBECONFIG", &account.kubeconfig)
            .env("RUST_LOG", "info,lockbox=debug")
            .env_remove("POD_NAME")
            .env_remove("POD_NAMESPACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        let orders = shell.stdin.take();
        Self { shell, orders, pid: pid.trim().parse().unwrap() }
    }

    /// Its process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks it to stop, as Kubernetes stops a Pod, and waits until it has.
    pub fn stop(self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().unwrap();
        assert!(asked.success());
        super::eventually("the operator stops when asked", || self.ended());
    }

    /// Whether it has ended.
    pub fn ended(&self) -> Option<()> {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // A zombie has ended: the shell reaps it later.
        (state.is_empty() || state.contains(") Z ")).then_some(())
    }

    /// Asks it to stop, and says with which code it ended.
    pub fn exit_code(mut self) -> Option<i32> {
        let pid = self.pid;
        let asked = Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
        assert!(asked.success());
        super::eventually("the operator stops when asked", || self.ended());
        // The shell ends as the operator did.
        self.orders = None;
        self.shell.wait().unwrap().code()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.shell.wait();
    }
}
