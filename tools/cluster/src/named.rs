//! Clusters that outlive the command that has started them, each under a name.
//!
//! A process of its own holds such a cluster, exactly as a test holds one. Its folder is `clusters/NAME` in the
//! [cache](crate::cache::folder), and `clusters/NAME.lock` is locked as long as the holder or anything of the cluster
//! runs: no stale file ever makes a cluster look as if it were up.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::guard::read_pid;
use crate::{Cluster, Error, Options, Version, cache, output};

/// Killing takes a moment, removing the data of a large cluster some seconds.
const DOWN_WITHIN: Duration = Duration::from_mins(1);

/// What `cluster.json` in the data folder says once a cluster is ready.
#[derive(Serialize, Deserialize)]
struct Record {
    version: String,
    port: u16,
}

/// A named cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// The version once it is ready; None while it starts or ends.
    pub version: Option<Version>,
    /// The API server's URL once it is ready.
    pub server: Option<String>,
}

/// The right to start the cluster of a name: nothing of it runs.
pub struct Claim {
    name: String,
    lock: File,
}

/// Claims a name; None when its cluster is up, starting or ending.
pub fn claim(name: &str) -> Result<Option<Claim>, Error> {
    let path = beside(name, "lock")?;
    loop {
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        match lock.try_lock() {
            // Otherwise somebody has removed the file between the two lines, and a lock on it says nothing.
            Ok(()) if is_at(&lock, &path) => return Ok(Some(Claim { name: name.to_owned(), lock })),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(found)) => (held.dev(), held.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// What the process that holds a cluster writes to standard error: nothing, unless it is at fault.
pub fn log(name: &str) -> Result<PathBuf, Error> {
    beside(name, "log")
}

impl Claim {
    /// The locked file, for handing the claim to another process.
    pub fn into_file(self) -> File {
        self.lock
    }

    /// A claim that another process has made and handed over.
    pub fn from_file(name: &str, lock: File) -> Result<Claim, Error> {
        check(name)?;
        Ok(Claim { name: name.to_owned(), lock })
    }

    /// Starts the cluster; it ends with the value, as every [`Cluster`].
    pub fn start(self, options: Options) -> Result<Cluster, Error> {
        let data = folder(&self.name)?;
        self.clear()?;
        Cluster::start_in(&data, options, Some(self.lock))
    }

    /// Removes what a cluster of this name has left: the data of a failed start, or of one that was kept.
    fn clear(&self) -> Result<(), Error> {
        let data = folder(&self.name)?;
        if data.exists() {
            fs::remove_dir_all(&data).map_err(Error::io("remove", &data))?;
        }
        Ok(())
    }

    /// Removes everything that bears the name, and gives the name up.
    fn forget(self) -> Result<(), Error> {
        self.clear()?;
        for file in [beside(&self.name, "log")?, beside(&self.name, "lock")?] {
            // It is there or not; only the next `up` needs it, and makes it anew.
            let _ = fs::remove_file(file);
        }
        Ok(())
    }
}

/// All named clusters that are up, starting or ending, by name.
pub fn list() -> Result<Vec<Named>, Error> {
    let folder = clusters()?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".lock") else { continue };
        if claim(name)?.is_none() {
            found.push(status(name)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// What is known of a cluster whose name is taken.
pub fn status(name: &str) -> Result<Named, Error> {
    let record = read(&folder(name)?)?;
    let (version, server) = match record {
        Some((version, port)) => (Some(version), Some(format!("https://127.0.0.1:{port}"))),
        None => (None, None),
    };
    Ok(Named { name: name.to_owned(), version, server })
}

/// Ends a named cluster and waits until nothing of it is left; false when it was not up.
pub fn down(name: &str) -> Result<bool, Error> {
    let data = folder(name)?;
    let deadline = Instant::now() + DOWN_WITHIN;
    let mut was_up = false;
    loop {
        if let Some(claim) = claim(name)? {
            claim.forget()?;
            return Ok(was_up);
        }
        was_up = true;
        // The name is taken, so the process with this number is still the holder, or has just ended: then this fails.
        if let Ok(pid) = read_pid(&data.join("owner.pid")) {
            let mut kill = Command::new("sh");
            kill.args(["-c", "kill -TERM \"$1\"", "kill", &pid.to_string()]);
            let _ = output(kill);
        }
        if Instant::now() > deadline {
            return Err(Error::Refused(format!(
                "cluster `{name}` is still up after {DOWN_WITHIN:?}: look for processes with {} in their command line",
                data.display()
            )));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn open(name: &str) -> Result<Cluster, Error> {
    let refused = |what: &str| Error::Refused(format!("cluster `{name}` {what}"));
    if claim(name)?.is_some() {
        return Err(refused(&format!("is not up: start it with `lockbox-cluster up {name}`")));
    }
    let data = folder(name)?;
    let (version, port) = read(&data)?.ok_or_else(|| refused("is not ready yet: try again in some seconds"))?;
    Cluster::attach(&data, version, port)
}

/// Notes that a cluster is ready.
pub(crate) fn record(data: &Path, version: Version, port: u16) -> Result<(), Error> {
    let record = Record { version: version.number().to_owned(), port };
    let text = serde_json::to_string(&record).map_err(|error| Error::Refused(error.to_string()))?;
    cache::replace(&data.join("cluster.json"), text)
}

fn read(data: &Path) -> Result<Option<(Version, u16)>, Error> {
    let path = data.join("cluster.json");
    if !path.exists() {
        return Ok(None);
    }
    let record: Record = serde_json::from_str(&cache::read(&path)?)
        .map_err(|error| Error::Refused(format!("{} is not what this version writes: {error}", path.display())))?;
    Ok(Some((record.version.parse()?, record.port)))
}

fn folder(name: &str) -> Result<PathBuf, Error> {
    check(name)?;
    Ok(clusters()?.join(name))
}

fn beside(name: &str, extension: &str) -> Result<PathBuf, Error> {
    check(name)?;
    Ok(clusters()?.join(format!("{name}.{extension}")))
}

fn clusters() -> Result<PathBuf, Error> {
    let folder = cache::folder()?.join("clusters");
    cache::create(&folder)?;
    Ok(folder)
}

/// A name is part of a path and of messages.
fn check(name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 40 || !name.chars().all(fits) || name.starts_with('-') {
        return Err(Error::Refused(format!(
            "`{name}` cannot name a cluster: use 1 to 40 small letters, digits and hyphens, and no hyphen first"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        for name in ["", ".", "..", "../x", "a/b", "A", "-x", &"x".repeat(41)] {
            assert!(check(name).is_err(), "{name}");
        }
        for name in ["demo", "1", "a-b", &"x".repeat(40)] {
            assert!(check(name).is_ok(), "{name}");
        }
    }
}
