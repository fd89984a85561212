//! What can go wrong with a measurement.

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The control plane.
    #[error(transparent)]
    Cluster(#[from] lockbox_cluster::Error),
    /// A call that should have worked.
    #[error("{doing}: {source}")]
    Call {
        /// What was called.
        doing: String,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// A client that cannot be made.
    #[error("make a client: {0}")]
    Client(String),
    /// A file or a process.
    #[error("{what}: {source}")]
    Io {
        /// What was done with which.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// JSON that is not as it should be.
    #[error("{what}: {source}")]
    Json {
        /// What was read.
        what: String,
        /// Why it failed.
        source: serde_json::Error,
    },
    /// Something did not happen in time.
    #[error("not within {within} s: {what}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        within: u64,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Said(String),
}

impl Error {
    /// Wraps an I/O error: `.map_err(Error::io("read x"))`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Wraps a JSON error.
    pub fn json(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        let what = what.into();
        move |source| Self::Json { what, source }
    }

    /// Wraps a client's error.
    pub fn call(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Call { doing, source: Box::new(source) }
    }
}
