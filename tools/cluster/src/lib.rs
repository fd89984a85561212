//! Real Kubernetes control planes for Lockbox's demo, tests and benchmarks.
//!
//! [`build`] makes etcd, kube-apiserver, kube-controller-manager, kubectl and helm from their Go modules, once per
//! machine. [`Cluster::start`] starts a cluster of its own on loopback within seconds; it ends with the value, or with
//! the process that holds it, however that ends. There are no nodes: Pods are stored but never run. [`mailpit`] is a mail
//! server that shows what it was sent.
//!
//! ```no_run
//! use lockbox_cluster::{Cluster, Options, output};
//!
//! # fn main() -> Result<(), lockbox_cluster::Error> {
//! let cluster = Cluster::start(Options::default())?;
//! let kim = cluster.user("kim@provider.example", &["provider:engineers"])?;
//! let mut whoami = cluster.kubectl(&kim);
//! whoami.args(["auth", "whoami"]);
//! print!("{}", output(whoami)?);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod access;
mod binaries;
pub mod cache;
mod certificates;
mod cluster;
mod error;
mod go;
mod guard;
pub mod mailpit;
pub mod named;
mod options;
pub mod port;
mod run;
mod servers;
mod user;
mod version;

pub use binaries::build;
pub use certificates::Loopback;
pub use cluster::Cluster;
pub use error::Error;
pub use options::{AuditLevel, Garbage, Options};
pub use run::output;
pub use user::{Credential, User};
pub use version::Version;
