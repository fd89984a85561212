//! Processes: what they take of the machine, and the operator as one of them.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use lockbox_cluster::User;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Linux counts CPU in hundredths of a second for all programs, whatever the kernel does inside.
const TICK: Duration = Duration::from_millis(10);

/// CPU of processes until a moment.
#[derive(Clone, Debug)]
pub struct Meter {
    /// When it was read.
    pub at: Instant,
    cpu: BTreeMap<&'static str, Duration>,
}

/// CPU of processes over some time, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// How long it was, in seconds.
    pub seconds: f64,
    /// CPU by process.
    pub ms: BTreeMap<String, f64>,
}

impl Meter {
    /// Reads what each process has taken so far; one that is gone is left out.
    pub fn read(processes: &[(&'static str, u32)]) -> Self {
        let cpu = processes.iter().filter_map(|&(name, pid)| Some((name, cpu(&stat(pid)?)?)));
        Self { at: Instant::now(), cpu: cpu.collect() }
    }

    /// What was taken since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Cpu {
        // One that was started in between had taken nothing.
        let ms = self.cpu.iter().map(|(&name, now)| {
            let before = earlier.cpu.get(name).copied().unwrap_or_default();
            (name.to_owned(), now.saturating_sub(before).as_secs_f64() * 1000.0)
        });
        Cpu { seconds: (self.at - earlier.at).as_secs_f64(), ms: ms.collect() }
    }
}

impl Cpu {
    /// CPU for each of `count` things, less what the processes take at rest.
    pub fn each(&self, count: usize, rest: &Self) -> BTreeMap<String, f64> {
        let each = |(name, ms): (&String, &f64)| {
            let idle = rest.rate(name) * self.seconds;
            (name.clone(), (ms - idle).max(0.0) / count.max(1) as f64)
        };
        self.ms.iter().map(each).collect()
    }

    /// The same, where another rest was calmer with its value.
    #[must_use]
    pub fn or_calmer(mut self, other: &Self) -> Self {
        for (name, ms) in &mut self.ms {
            if other.ms.contains_key(name) {
                *ms = ms.min(other.rate(name) * self.seconds);
            }
        }
        self
    }

    /// Milliseconds of CPU a second.
    pub fn rate(&self, name: &str) -> f64 {
        if self.seconds > 0.0 { self.ms.get(name).copied().unwrap_or_default() / self.seconds } else { 0.0 }
    }
}

fn stat(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// User and system time in a line of `/proc/PID/stat`. The program's name is in parentheses and may hold spaces.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let user: u32 = fields.nth(11)?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

/// Memory of a process in MB: now, and the most there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Resident now.
    pub now: f64,
    /// Resident at most since its start.
    pub peak: f64,
}

/// Memory of a process.
pub fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    let mb = |name| field(name).unwrap_or_default() * 1024.0 / 1e6;
    Memory { now: mb("VmRSS:"), peak: mb("VmHWM:") }
}

/// Runs the operator as a child and kills it with -9 when standard input closes, which happens however we end.
const GUARD: &str =
    r#"exec 3>&1 >&2; "$@" 3>&- </dev/null & echo $! >&3; exec 3>&-; read -r _; kill -KILL $!; wait $!"#;

/// A running operator. Dropping it is `kill -9`.
pub struct Operator {
    shell: Child,
    orders: Option<ChildStdin>,
    /// Its process id.
    pub pid: u32,
    /// Where it answers probes.
    pub port: u16,
    /// When it was started.
    pub started: Instant,
}

impl Operator {
    /// Starts it with this user's credential; its log goes into `folder`.
    pub fn start(binary: &Path, account: &User, folder: &Path, concurrency: usize) -> Result<Self, Error> {
        let log = folder.join("lockbox-operator.log");
        let log =
            OpenOptions::new().create(true).append(true).open(&log).map_err(Error::io("open the operator's log"))?;
        let port = lockbox_cluster::port::free()?;
        let started = Instant::now();
        let mut shell = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(binary)
            .args(["run", "--listen", &format!("127.0.0.1:{port}"), "--concurrency", &concurrency.to_string()])
            .env("KUBECONFIG", &account.kubeconfig)
            .env("RUST_LOG", "info")
            .env_remove("POD_NAME")
            .env_remove("POD_NAMESPACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(Error::io("start the operator"))?;
        let mut pid = String::new();
        if let Some(stdout) = shell.stdout.take() {
            BufReader::new(stdout).read_line(&mut pid).map_err(Error::io("start the operator"))?;
        }
        let orders = shell.stdin.take();
        let pid = pid.trim().parse().map_err(|_| Error::Said("the operator did not start".into()))?;
        Ok(Self { shell, orders, pid, port, started })
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_read_after_the_name_whatever_is_in_it() {
        let line = "42 (a) b (c)) S 1 42 42 0 -1 4194560 9 0 0 0 150 30 0 0 20 0 9 0 100 1 2";
        assert_eq!(cpu(line), Some(Duration::from_millis(1800)));
        assert_eq!(cpu("42 (short) S 1"), None);
    }

    #[test]
    fn what_is_taken_at_rest_is_taken_off() {
        let all = Cpu { seconds: 10.0, ms: [("etcd".to_owned(), 500.0), ("quiet".to_owned(), 0.0)].into() };
        let rest = Cpu { seconds: 5.0, ms: [("etcd".to_owned(), 50.0), ("quiet".to_owned(), 1.0)].into() };
        assert_eq!(all.each(4, &rest), [("etcd".to_owned(), 100.0), ("quiet".to_owned(), 0.0)].into());
    }

    #[test]
    fn the_calmer_rest_counts_for_each_process() {
        let rest = |seconds, etcd, operator: Option<f64>| {
            let ms = [("etcd", Some(etcd)), ("operator", operator)];
            Cpu { seconds, ms: ms.into_iter().filter_map(|(name, ms)| Some((name.to_owned(), ms?))).collect() }
        };
        assert_eq!(rest(2.0, 100.0, None).or_calmer(&rest(4.0, 40.0, Some(8.0))), rest(2.0, 20.0, None));
        assert_eq!(rest(2.0, 10.0, Some(4.0)).or_calmer(&rest(4.0, 40.0, None)), rest(2.0, 10.0, Some(4.0)));
    }

    #[test]
    fn our_own_memory_is_something() {
        let own = memory(std::process::id());
        assert!(own.now > 1.0 && own.peak >= own.now, "{own:?}");
    }
}
