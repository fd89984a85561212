//! Processes that never outlive their owner.
//!
//! Every server is the child of a small shell (`guard.sh`), whose standard input is a pipe from the process that owns
//! the [`Guard`]. When the owner ends in whatever way, `kill -9` included, the kernel closes the pipe and the shell
//! kills its server and removes the data folder. The shell is in a process group of its own, so that Ctrl-C in a
//! terminal reaches the owner alone. When it is the shell that is killed with -9, the kernel kills the server through
//! its parent-death signal, which `setpriv` of util-linux sets; on a system without it (macOS) that one server then
//! runs on until it is killed by hand.
//!
//! A shell rather than a binary of ours: a test of another crate has no dependable way to find such a binary.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::cache;

const SCRIPT: &str = include_str!("guard.sh");

/// How long the end of a killed process may take before it is given up on.
const KILLED_WITHIN: Duration = Duration::from_secs(15);

/// What to run.
pub(crate) struct Spec<'a> {
    /// Names its log (`NAME.log`) and the file with its process id (`NAME.pid`) in `data`.
    pub(crate) name: &'a str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) envs: Vec<(&'static str, String)>,
    /// Holds log and process id.
    pub(crate) data: &'a Path,
    /// The working directory.
    pub(crate) cwd: &'a Path,
    /// Remove `data` when the owner ends without [`Guard::keep`].
    pub(crate) remove: bool,
    /// A locked file: the lock stays taken until owner and guard have both ended.
    pub(crate) lock: Option<&'a File>,
}

/// A running process that ends with this value, or with the process that holds it.
pub(crate) struct Guard {
    name: String,
    log: PathBuf,
    shell: Child,
    orders: Option<ChildStdin>,
    ended: Arc<(Mutex<bool>, Condvar)>,
}

impl Guard {
    pub(crate) fn spawn(spec: &Spec<'_>) -> Result<Guard, Error> {
        let log = spec.data.join(format!("{}.log", spec.name));
        let pidfile = spec.data.join(format!("{}.pid", spec.name));
        // A stale one would name a process of somebody else.
        let _ = std::fs::remove_file(&pidfile);
        let stderr = match spec.lock {
            Some(lock) => Stdio::from(lock.try_clone().map_err(Error::io("hold the lock for", spec.data))?),
            None => Stdio::null(),
        };
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg(SCRIPT)
            .arg("lockbox-guard")
            .arg(&log)
            .arg(&pidfile)
            .arg(if spec.remove { spec.data } else { Path::new("") })
            .arg(&spec.program)
            .args(&spec.args)
            .envs(spec.envs.iter().map(|(key, value)| (key, value)))
            .current_dir(spec.cwd)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(Error::io("run `sh` to start", &spec.program))?;
        let ended = Arc::new((Mutex::new(false), Condvar::new()));
        if let Some(mut stdout) = shell.stdout.take() {
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                // Nothing is ever written: this returns when the server, the only holder of the other end, is gone.
                let _ = stdout.read(&mut [0; 1]);
                *ended.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                ended.1.notify_all();
            });
        }
        let orders = shell.stdin.take();
        Ok(Guard { name: spec.name.to_owned(), log, shell, orders, ended })
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the process has ended; false if it still runs after `within`.
    pub(crate) fn wait(&self, within: Duration) -> bool {
        let ended = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, _) =
            self.ended.1.wait_timeout_while(ended, within, |ended| !*ended).unwrap_or_else(PoisonError::into_inner);
        *ended
    }

    /// Sends a signal to the server, by its name without SIG. A server that has ended is left alone.
    pub(crate) fn signal(&mut self, name: &str) {
        self.order(name);
    }

    /// Kills the server without waiting for its end; dropping waits.
    pub(crate) fn kill(&mut self) {
        self.orders = None;
    }

    /// From now on the data folder is not removed when the owner ends.
    pub(crate) fn keep(&mut self) {
        self.order("keep");
    }

    fn order(&mut self, order: &str) {
        if let Some(orders) = &mut self.orders {
            // A pipe without a reader means that the shell has been killed, and the server with it.
            let _ = orders.write_all(format!("{order}\n").as_bytes());
        }
    }

    /// After [`Guard::has_ended`]: how it ended.
    pub(crate) fn status(mut self) -> Option<ExitStatus> {
        self.order("end");
        self.orders = None;
        self.reap()
    }

    /// After [`Guard::has_ended`]: the error that tells it, with the end of the log.
    pub(crate) fn into_error(self) -> Error {
        let (server, log) = (self.name.clone(), self.log.clone());
        let status = match self.status() {
            // A shell reports 128 and the signal's number.
            Some(status) => match status.code() {
                Some(code) if code > 128 => format!("killed by signal {}", code - 128),
                _ => status.to_string(),
            },
            None => "status unknown".to_owned(),
        };
        let tail = cache::tail(&log, 20);
        Error::ServerEnded { server, status, log, tail }
    }

    fn reap(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + KILLED_WITHIN;
        loop {
            match self.shell.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }
}

impl Drop for Guard {
    /// Kills the server and waits for its end.
    fn drop(&mut self) {
        self.orders = None;
        self.reap();
    }
}

/// Reads what the guard has written.
pub(crate) fn read_pid(pidfile: &Path) -> Result<u32, Error> {
    let text = cache::read(pidfile)?;
    text.trim()
        .parse()
        .map_err(|_| Error::Refused(format!("{} holds no process id: `{}`", pidfile.display(), text.trim())))
}
