//! One running control plane.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::access::Access;
use crate::certificates::Authority;
use crate::guard::read_pid;
use crate::servers::{CONTROLLER_MANAGER, Servers};
use crate::{Error, Options, User, Version, binaries, cache, named, port};

/// A control plane on loopback: etcd, kube-apiserver and kube-controller-manager, without nodes.
///
/// One that was started here ends when the value is dropped or its process ends, however that ends; the data folder is
/// removed then, unless `LOCKBOX_KEEP=1` is set in the environment. All calls block: in async code make them in
/// `spawn_blocking` or before the runtime starts. Threads may share it.
pub struct Cluster {
    version: Version,
    access: Access,
    /// None when another process holds the servers.
    servers: Option<Mutex<Servers>>,
}

impl Cluster {
    /// Builds what is not built yet, starts a cluster in a temporary folder and waits until it is ready, which takes
    /// a few seconds. Ready means that the API server says so, and that the controllers have made the first
    /// ServiceAccount and filled the aggregated ClusterRoles.
    ///
    /// When a server fails, the error holds the end of its log, and the folder stays for a closer look.
    pub fn start(options: Options) -> Result<Cluster, Error> {
        let name = format!("lockbox-cluster-{}-{:08x}", std::process::id(), port::random() & 0xffff_ffff);
        let data = env::temp_dir().join(name);
        if keep() {
            binaries::say(&format!("LOCKBOX_KEEP=1: the cluster's data stays in {}", data.display()));
        }
        Cluster::start_in(&data, options, None)
    }

    /// The cluster that `lockbox-cluster up NAME` has started. It stays up when this value is dropped.
    pub fn open(name: &str) -> Result<Cluster, Error> {
        named::open(name)
    }

    /// Starts a cluster in a folder that does not exist yet; `lock` stays taken until the last of its processes ends.
    pub(crate) fn start_in(data: &Path, options: Options, lock: Option<File>) -> Result<Cluster, Error> {
        let tools = binaries::build(Version::Newest)?;
        let version = options.version;
        let folder = binaries::build(version)?;
        // Servers run in the data folder, so a relative path would mean another place to them.
        let data = std::path::absolute(data).map_err(Error::io("find", data))?;
        if let Some(parent) = data.parent() {
            cache::create(parent)?;
        }
        // Nobody else on this machine may read the keys or reach etcd's socket.
        DirBuilder::new().mode(0o700).create(&data).map_err(Error::io("create", &data))?;
        cache::write(&data.join("owner.pid"), std::process::id().to_string())?;

        let authority = Authority::new()?;
        let mut servers = Servers::start(&data, (&tools, &folder), options, &authority, (lock, keep()))?;
        let access = Access::new(&data, &url(servers.port()), &tools, authority)?;
        let controllers = access.user(&format!("system:{CONTROLLER_MANAGER}"), &[])?;
        servers.complete(&|| access.kubectl(&access.admin), &controllers.kubeconfig)?;
        named::record(&data, version, servers.port())?;
        Ok(Cluster { version, access, servers: Some(Mutex::new(servers)) })
    }

    /// A cluster whose servers another process holds.
    pub(crate) fn attach(data: &Path, version: Version, port: u16) -> Result<Cluster, Error> {
        let tools = binaries::build(Version::Newest)?;
        let authority = Authority::load(cache::read(&data.join("ca.crt"))?, &cache::read(&data.join("ca.key"))?)?;
        let access = Access::new(data, &url(port), &tools, authority)?;
        Ok(Cluster { version, access, servers: None })
    }

    /// Which Kubernetes this is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The API server's URL, such as `https://127.0.0.1:23456`.
    pub fn server(&self) -> &str {
        &self.access.server
    }

    /// The certificate authority of the API server and of the users, PEM.
    pub fn ca_pem(&self) -> &str {
        self.access.ca_pem()
    }

    /// The data folder. It holds the logs `etcd.log`, `kube-apiserver.log` and `kube-controller-manager.log`.
    pub fn data(&self) -> &Path {
        &self.access.data
    }

    /// The audit log: one JSON object of kind `Event` (`audit.k8s.io/v1`) a line, written before the call's answer ends.
    pub fn audit_log(&self) -> PathBuf {
        self.access.audit_log()
    }

    /// The path of `kubectl`, `helm` or `etcd`.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.access.binaries.join(name)
    }

    /// The process id of `etcd`, `kube-apiserver` or `kube-controller-manager`.
    pub fn pid(&self, server: &str) -> Result<u32, Error> {
        read_pid(&self.data().join(format!("{server}.pid")))
    }

    /// A member of `system:masters`, who may do everything.
    pub fn admin(&self) -> &User {
        &self.access.admin
    }

    /// A user of this name in these groups, with a client certificate. Any name and groups will do, at any time.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<User, Error> {
        self.access.user(name, groups)
    }

    /// A user with extra attributes (such as a proof of multi-factor authentication), which certificates cannot carry:
    /// the kubeconfig is that of the administrator, who impersonates the user.
    pub fn user_with_extra(&self, name: &str, groups: &[&str], extra: &[(&str, &[&str])]) -> Result<User, Error> {
        self.access.user_with_extra(name, groups, extra)
    }

    /// A ServiceAccount, which must exist, with a token that is valid for 8 hours.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<User, Error> {
        self.access.service_account(namespace, name)
    }

    /// `kubectl` as this user. Configuration and discovery cache are the cluster's own, never those of the person at
    /// the keyboard.
    pub fn kubectl(&self, user: &User) -> Command {
        self.access.kubectl(user)
    }

    /// `helm` as this user, with repositories and cache of the cluster's own.
    pub fn helm(&self, user: &User) -> Command {
        self.access.helm(user)
    }

    /// Any program with the [`environment`](Cluster::environment) of this user.
    pub fn command(&self, user: &User, program: impl AsRef<OsStr>) -> Command {
        self.access.command(user, program)
    }

    /// The environment in which kubectl, helm and other clients are this user on this cluster: `KUBECONFIG`, `PATH`
    /// with kubectl and helm first, `LOCKBOX_AUDIT_LOG` with the audit log's path, and caches of the cluster's own.
    pub fn environment(&self, user: &User) -> Vec<(&'static str, OsString)> {
        self.access.environment(user)
    }

    /// Stops the API server as an upgrade would (SIGTERM) and waits for its end, which takes about 2 s.
    pub fn stop_apiserver(&self) -> Result<(), Error> {
        self.servers()?.stop_apiserver("TERM")
    }

    /// Kills the API server (SIGKILL) and waits for its end.
    pub fn kill_apiserver(&self) -> Result<(), Error> {
        self.servers()?.stop_apiserver("KILL")
    }

    /// Starts a stopped API server with the same port and data, and waits until it is ready.
    pub fn start_apiserver(&self) -> Result<(), Error> {
        self.servers()?.restart_apiserver(&|| self.kubectl(self.admin()))
    }

    /// Stops the API server politely and starts it again.
    pub fn restart_apiserver(&self) -> Result<(), Error> {
        self.stop_apiserver()?;
        self.start_apiserver()
    }

    /// Freezes the API server (SIGSTOP): connections stay open, and nothing is answered.
    pub fn pause_apiserver(&self) -> Result<(), Error> {
        self.servers()?.signal_apiserver("STOP")
    }

    /// Lets a frozen API server go on (SIGCONT).
    pub fn resume_apiserver(&self) -> Result<(), Error> {
        self.servers()?.signal_apiserver("CONT")
    }

    /// Ends the cluster as dropping it does, and fails when the data folder is left.
    pub fn stop(self) -> Result<(), Error> {
        let (data, owned) = (self.data().to_owned(), self.servers.is_some());
        drop(self);
        if owned && data.exists() && !keep() {
            return Err(Error::Refused(format!("{} could not be removed: remove it by hand", data.display())));
        }
        Ok(())
    }

    fn servers(&self) -> Result<MutexGuard<'_, Servers>, Error> {
        let servers = self.servers.as_ref().ok_or_else(|| {
            Error::Refused("only the process that has started a cluster can stop and start its servers".to_owned())
        })?;
        Ok(servers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn keep() -> bool {
    env::var_os("LOCKBOX_KEEP").is_some_and(|value| value == "1")
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}
