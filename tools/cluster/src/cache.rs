//! Where things are kept that outlive a run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use crate::Error;

/// `$LOCKBOX_CACHE`, else `$XDG_CACHE_HOME/lockbox`, else `~/.cache/lockbox`: binaries and named clusters.
/// Safe to delete while no cluster is up.
pub fn folder() -> Result<PathBuf, Error> {
    let given = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = given("LOCKBOX_CACHE")
        .or_else(|| given("XDG_CACHE_HOME").map(|cache| cache.join("lockbox")))
        .or_else(|| given("HOME").map(|home| home.join(".cache/lockbox")))
        .ok_or_else(|| {
            Error::Refused("no place for built binaries: set LOCKBOX_CACHE to a folder (HOME is not set)".to_owned())
        })?;
    // Servers run in a folder of their own and get paths from here.
    std::path::absolute(&folder).map_err(Error::io("find", &folder))
}

/// Makes a folder and those above it.
pub(crate) fn create(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))
}

/// Writes a file whole.
pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), Error> {
    fs::write(path, contents).map_err(Error::io("write", path))
}

/// Reads a text file whole.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}

/// Writes a file whole so that no reader ever sees a part of it.
pub(crate) fn replace(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), Error> {
    static WRITES: AtomicU32 = AtomicU32::new(0);
    let write_number = WRITES.fetch_add(1, Ordering::Relaxed);
    let next = path.with_extension(format!("{}-{write_number}.next", std::process::id()));
    write(&next, contents)?;
    fs::rename(&next, path).map_err(Error::io("write", path))
}

/// Sixteen hexadecimal digits that change with any of the texts.
pub(crate) fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    base16ct::lower::encode_string(&hash.finalize()[..8])
}

/// The last `lines` lines of a file, or why they cannot be shown.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    match fs::read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("(cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_changes_with_each_text_and_with_their_borders() {
        let of = digest(&["ab", "c"]);
        assert_eq!(of.len(), 16);
        assert_ne!(of, digest(&["a", "bc"]));
        assert_ne!(of, digest(&["ab", "d"]));
    }
}
