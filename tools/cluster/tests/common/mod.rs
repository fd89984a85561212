//! What the tests share.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Asks until there is an answer; fails the test after a minute.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command that must succeed and reads its output as JSON.
pub fn json(mut command: Command, args: &[&str]) -> Value {
    command.args(args);
    serde_json::from_str(&lockbox_cluster::output(command).unwrap()).unwrap()
}

/// Runs a command that must succeed.
pub fn succeed(mut command: Command, args: &[&str]) -> String {
    command.args(args);
    lockbox_cluster::output(command).unwrap()
}

/// The processes that have this text in their command line, this one aside.
pub fn processes_with(text: &str) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|&pid| pid != std::process::id())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
        })
        .collect()
}

/// The processes whose working directory this is: servers run in their data folder.
pub fn processes_in(folder: &Path) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            // " (deleted)" follows a removed one.
            fs::read_link(format!("/proc/{pid}/cwd"))
                .is_ok_and(|cwd| cwd.to_string_lossy().starts_with(&*folder.to_string_lossy()))
        })
        .collect()
}

/// `lockbox-cluster`.
pub fn tool() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lockbox-cluster"))
}

/// A new empty folder.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("lockbox-test-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
