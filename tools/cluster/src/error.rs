//! What can go wrong, and what to do about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that building, starting or using a cluster can fail with. Each message ends with the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Go is not installed, or not where it is looked for.
    #[error(
        "`go` was not found in PATH or in /usr/local/go/bin: {product} is built from its Go modules. \
         Install Go {minimum} or later from your distribution or from go.dev/dl, then run this again"
    )]
    GoMissing {
        /// What was to be built, such as `Kubernetes 1.37.2`.
        product: String,
        /// The oldest Go that builds it.
        minimum: &'static str,
    },
    /// Go is there, but too old.
    #[error(
        "{found} is too old to build {product}: install Go {minimum} or later from your distribution or \
         from go.dev/dl, or unset GOTOOLCHAIN so that Go fetches the toolchain itself{detail}"
    )]
    GoTooOld {
        /// What `go` calls itself, such as `go1.24.1`.
        found: String,
        /// What was to be built, such as `Kubernetes 1.37.2`.
        product: String,
        /// The oldest Go that builds it.
        minimum: &'static str,
        /// What `go` said, if it said anything.
        detail: String,
    },
    /// `go build` failed.
    #[error(
        "building {product} failed; the last lines of {}:\n{tail}\nThe modules come from the Go module \
         proxy (see `go env GOPROXY`), and the first build needs about 6 GB of free disk in {} and in Go's caches",
        log.display(), folder.display()
    )]
    Build {
        /// What was to be built, such as `Kubernetes 1.37.2`.
        product: String,
        /// The whole output of `go`.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
        /// The folder that was to hold the binaries.
        folder: PathBuf,
    },
    /// A server ended although it should run.
    #[error("{server} ended ({status}); the last lines of {}:\n{tail}", log.display())]
    ServerEnded {
        /// Which one: `etcd`, `kube-apiserver`, `kube-controller-manager` or `mailpit`.
        server: String,
        /// Exit status in words.
        status: String,
        /// Its whole log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A wait passed its deadline.
    #[error("{what} within {waited:?}: {last}; the last lines of {}:\n{tail}", log.display())]
    Deadline {
        /// What did not happen.
        what: String,
        /// How long it was waited for.
        waited: Duration,
        /// What was seen last.
        last: String,
        /// The log of the server that was waited for.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A command that was run for the caller failed.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        /// Program and arguments.
        command: String,
        /// Exit status in words.
        status: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// A file, folder or program could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `create`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A certificate or key could not be made or read.
    #[error("cannot {action}: {reason}")]
    Certificate {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// The request makes no sense for this cluster; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// For `map_err`: an [`Error::Io`] about `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }
}
