//! What was measured, as it is kept in a file from which the report is made.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    audit::Calls,
    error::Error,
    process::{Cpu, Memory},
    quantiles::Quantiles,
    world::repository,
};

/// All sections that were measured, each the last time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Approvals and ends at fixed rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Stamped<Latency>>,
    /// As many lives as go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lives: Option<Stamped<Lives>>,
    /// A start with many requests and grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Stamped<Standing>>,
    /// Ends among many live grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Stamped<Grants>>,
    /// Growth with the number of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<Stamped<Growth>>,
    /// Calls one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<Stamped<OneByOne>>,
}

/// A section's result, and where and when it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What was measured: the commit, with a mark if files differ from it.
    pub commit: String,
    /// A quick run: smaller, and less to be relied upon.
    pub quick: bool,
    /// Seconds that the section took.
    pub took: u64,
    /// Where.
    pub machine: Machine,
    /// The result.
    pub result: T,
}

/// A machine, and what runs on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores.
    pub cores: usize,
    /// Model of the processor.
    pub model: String,
    /// Memory in GB.
    pub memory: u64,
    /// Kernel.
    pub kernel: String,
    /// Versions of Kubernetes and etcd.
    pub kubernetes: String,
    /// Load of the machine (1 minute) when the measurement began: others who use it disturb it.
    pub load: f64,
}

/// Lives of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Whether a bare client makes the operator's writes.
    pub bare: bool,
    /// Approvals a second; 0 for as many as go.
    pub rate: f64,
    /// How many lives there were.
    pub lives: usize,
    /// All waited before the first was approved.
    pub waiting: bool,
    /// How many did not go as they should, and what the first of them met.
    pub failed: usize,
    /// The first failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// From the answer to the approval until a watch saw the binding.
    pub answered: Quantiles,
    /// From sending the approval.
    pub sent: Quantiles,
    /// From when the approval was due.
    pub due: Quantiles,
    /// From sending the request until a watch saw that the customer is asked.
    pub notified: Quantiles,
    /// From the recorded end until a watch saw that the binding is gone.
    pub gone: Quantiles,
    /// Lives that ended a second, between the first tenth and the last.
    pub throughput: f64,
    /// CPU of each process for one life, in milliseconds, less what it takes at rest.
    pub cpu: BTreeMap<String, f64>,
    /// CPU of each process meanwhile, and at rest.
    pub cpu_all: Cpu,
    /// CPU at rest.
    pub cpu_rest: Cpu,
    /// Calls with the operator's account.
    pub calls: Calls,
}

impl Run {
    /// So many for each life.
    pub fn each(&self, count: u64) -> f64 {
        count as f64 / self.lives.saturating_sub(self.failed).max(1) as f64
    }
}

/// Approvals and ends at fixed rates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The operator's, then the bare client's.
    pub runs: Vec<Run>,
}

/// As many lives as go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lives {
    /// With the operator.
    pub operator: Run,
    /// With the bare client.
    pub bare: Run,
    /// Lives at a time.
    pub at_once: usize,
    /// Writes that the operator made for the one life that was recorded.
    pub recorded: usize,
    /// Memory of the operator afterwards.
    pub memory: Memory,
    /// How many lives it had seen by then.
    pub seen: usize,
}

/// Requests that wait and access that is live, with a new start of the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Requests that wait.
    pub requests: usize,
    /// Live grants.
    pub grants: usize,
    /// Seconds from the start of the process until it is ready.
    pub ready: f64,
    /// CPU of each process until it is ready and has come to rest, in milliseconds.
    pub start_cpu: Cpu,
    /// Memory after the start, at rest.
    pub memory: Memory,
    /// Calls of the operator from its start until it has come to rest.
    pub start_calls: Calls,
    /// CPU at rest.
    pub rest: Cpu,
    /// Calls at rest.
    pub rest_calls: Calls,
    /// From sending one more request until the customer was seen to be asked.
    pub notified: Quantiles,
    /// From the answer to its approval until the binding was seen.
    pub answered: Quantiles,
    /// Requests that were made and waited for in a second.
    pub filled: f64,
}

/// Growth with the number of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// From few to many.
    pub points: Vec<Standing>,
}

/// Ends among many live grants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grants {
    /// Live grants that stay.
    pub live: usize,
    /// Ends a second.
    pub rate: usize,
    /// From the recorded end until the binding was seen to be gone.
    pub gone: Quantiles,
    /// From the answer to an approval until the binding was seen, among so many, before the ends.
    pub answered: Quantiles,
    /// Memory of the operator.
    pub memory: Memory,
    /// CPU at rest.
    pub rest: Cpu,
    /// Grants that were made in a second.
    pub filled: f64,
}

/// Calls one by one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OneByOne {
    /// How many in a row.
    pub count: usize,
    /// By kind of call.
    pub rows: Vec<Row>,
}

/// One kind of call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which.
    pub call: String,
    /// How many of them a life has, as it was recorded; none if that is not told from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a_life: Option<usize>,
    /// With the policies.
    pub with: Cost,
    /// Without them.
    pub without: Cost,
}

/// What a call costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// CPU of kube-apiserver in milliseconds, less what it takes at rest.
    pub apiserver: f64,
    /// CPU of etcd.
    pub etcd: f64,
    /// How long it took until the answer.
    pub time: Quantiles,
}

impl Results {
    /// Those of a file; none if there is no file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(Error::json(format!("read {}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Io { what: format!("read {}", path.display()), source }),
        }
    }

    /// Writes them.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).map_err(Error::json("write the results"))?;
        write(path, &format!("{text}\n"))
    }
}

/// Writes a file, with its folders.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let what = format!("write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io(what.clone()))?;
    }
    fs::write(path, text).map_err(Error::io(what))
}

impl Machine {
    /// This one.
    pub fn here(kubernetes: String) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kb: u64 = memory.split(' ').next().and_then(|kb| kb.parse().ok()).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            model: field(&read("/proc/cpuinfo"), "model name"),
            memory: (kb * 1024).div_ceil(1_000_000_000),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            kubernetes,
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }
}

/// The commit of the repository, with a mark if files differ from it.
pub fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(repository()).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    // The results themselves do not count.
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!benches"]);
    if changed.is_some_and(|changed| !changed.is_empty()) { format!("{commit} with changes") } else { commit }
}
