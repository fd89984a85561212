//! Full records, as JSON lines, written by a thread of their own: a disk that hangs holds nothing up.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use lockbox_activity::Record;

/// Lines that wait to be written. Beyond that they are dropped and counted: each has a few kilobytes at most.
const MOST_WAITING: usize = 4_096;

/// Where full records go.
#[derive(Debug)]
pub struct Records {
    lines: SyncSender<String>,
    dropped: AtomicU64,
}

impl Records {
    /// Appends to a file, or writes to standard output (`-`).
    pub fn open(path: &Path) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            Box::new(OpenOptions::new().create(true).append(true).open(path)?)
        };
        let (lines, waiting) = sync_channel(MOST_WAITING);
        std::thread::Builder::new().name("activity-records".into()).spawn(move || write(out, &waiting))?;
        Ok(Self { lines, dropped: AtomicU64::new(0) })
    }

    /// Writes one, soon. Returns whether there was room for it.
    pub fn write(&self, record: &Record) -> bool {
        let Ok(mut line) = serde_json::to_string(record) else { return false };
        line.push('\n');
        let written = self.lines.try_send(line).is_ok();
        if !written {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::error!(
                    dropped,
                    "records of what was done with accesses are dropped: they cannot be written fast enough"
                );
            }
        }
        written
    }
}

fn write(mut out: impl Write, lines: &Receiver<String>) {
    let mut failed = 0_u64;
    while let Ok(line) = lines.recv() {
        // One write a line: a reader of the file sees whole ones.
        if let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            failed += 1;
            if failed.is_power_of_two() {
                tracing::error!(%error, failed, "a record of what was done with an access was not written");
            }
        }
    }
}
