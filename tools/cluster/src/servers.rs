//! The three servers of a cluster: their flags, their start and their end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::certificates::{Authority, token_key_pem};
use crate::guard::{Guard, Spec};
use crate::{Error, Options, cache, output, port};

pub(crate) const ETCD: &str = "etcd";
pub(crate) const APISERVER: &str = "kube-apiserver";
pub(crate) const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// On an idle machine each wait takes 3 s at most; a busy one with two cores may need many times that.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// A polite end takes the API server about 2 s, a minute without our flag for it.
const STOPPED_WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
/// For waits that run kubectl, which costs a tenth of a second of a core.
const POLL_KUBECTL: Duration = Duration::from_millis(100);

/// Relative to the data folder, in which the servers run: a socket's path may have only about 100 characters.
const ETCD_SOCKET: &str = "unix://etcd.sock";
const ETCD_PEER_SOCKET: &str = "unix://etcd-peer.sock";

/// Those that Lockbox and its tests rely on: each more costs memory and watches.
const CONTROLLERS: [&str; 9] = [
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
];

/// The servers that this process has started; they end with this value.
pub(crate) struct Servers {
    data: PathBuf,
    /// The folder of etcd and kubectl.
    tools: PathBuf,
    /// The folder of kube-apiserver and kube-controller-manager.
    binaries: PathBuf,
    options: Options,
    /// Taken as long as anything of a named cluster runs.
    lock: Option<File>,
    keep: bool,
    port: u16,
    guards: BTreeMap<&'static str, Guard>,
}

impl Servers {
    /// Writes keys and policies into the data folder and starts etcd and the API server, which then listens but is not
    /// yet ready.
    pub(crate) fn start(
        data: &Path,
        (tools, binaries): (&Path, &Path),
        options: Options,
        authority: &Authority,
        (lock, keep): (Option<File>, bool),
    ) -> Result<Servers, Error> {
        let server = authority.server()?;
        let (token_key, token_public_key) = token_key_pem()?;
        for (name, text) in [
            ("ca.crt", authority.certificate_pem.clone()),
            ("ca.key", authority.key_pem()?),
            ("apiserver.crt", server.certificate_pem),
            ("apiserver.key", server.key_pem),
            ("service-accounts.key", token_key),
            ("service-accounts.pub", token_public_key),
            ("audit-policy.yaml", options.audit_policy()),
        ] {
            cache::write(&data.join(name), text)?;
        }
        if let Some(port) = options.audit_webhook {
            let listener = authority.server()?;
            let token = format!("{:016x}{:016x}", port::random(), port::random());
            for (name, text) in [
                ("audit-webhook.crt", listener.certificate_pem),
                ("audit-webhook.key", listener.key_pem),
                ("audit-webhook.yaml", Options::audit_webhook(port, &token)),
                ("audit-webhook.token", token),
            ] {
                cache::write(&data.join(name), text)?;
            }
        }
        let mut servers = Servers {
            data: data.to_owned(),
            tools: tools.to_owned(),
            binaries: binaries.to_owned(),
            options,
            lock,
            keep,
            port: 0,
            guards: BTreeMap::new(),
        };
        let started = servers.spawn(ETCD, etcd_flags()).and_then(|()| servers.start_apiserver_on(&mut port::free));
        // The error names a log in the data folder.
        started.inspect_err(|_| servers.keep_data())?;
        Ok(servers)
    }

    /// Where the API server listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the API server, starts the controllers and waits until they work.
    pub(crate) fn complete(&mut self, kubectl: &dyn Fn() -> Command, kubeconfig: &Path) -> Result<(), Error> {
        let completed =
            self.spawn(CONTROLLER_MANAGER, controller_manager_flags(kubeconfig, &self.options)).and_then(|()| {
                self.wait_until_ready(kubectl)?;
                self.wait_until_controllers_work(kubectl)
            });
        completed.inspect_err(|_| self.keep_data())
    }

    pub(crate) fn stop_apiserver(&mut self, signal: &str) -> Result<(), Error> {
        let Some(mut guard) = self.guards.remove(APISERVER) else { return Ok(()) };
        guard.signal(signal);
        if !guard.wait(STOPPED_WITHIN) {
            let (log, what) = (guard.log().to_owned(), format!("the API server did not end after SIG{signal}"));
            let tail = cache::tail(&log, 20);
            return Err(Error::Deadline {
                what,
                waited: STOPPED_WITHIN,
                last: "it has been killed".to_owned(),
                log,
                tail,
            });
        }
        guard.status();
        Ok(())
    }

    pub(crate) fn restart_apiserver(&mut self, kubectl: &dyn Fn() -> Command) -> Result<(), Error> {
        if self.guards.contains_key(APISERVER) {
            return Err(Error::Refused("the API server runs already: stop it first".to_owned()));
        }
        self.start_apiserver(self.port)?;
        self.wait_until_ready(kubectl)
    }

    pub(crate) fn signal_apiserver(&mut self, signal: &str) -> Result<(), Error> {
        let guard = self.guards.get_mut(APISERVER);
        guard.ok_or_else(|| Error::Refused("the API server is stopped: start it first".to_owned()))?.signal(signal);
        Ok(())
    }

    fn keep_data(&mut self) {
        self.keep = true;
        self.guards.values_mut().for_each(Guard::keep);
    }

    fn spawn(&mut self, name: &'static str, args: Vec<String>) -> Result<(), Error> {
        let folder = if name == ETCD { &self.tools } else { &self.binaries };
        let envs = if name == APISERVER { self.options.garbage.environment() } else { vec![] };
        let guard = Guard::spawn(&Spec {
            name,
            program: folder.join(name),
            args,
            envs,
            data: &self.data,
            cwd: &self.data,
            remove: !self.keep,
            lock: self.lock.as_ref(),
        })?;
        self.guards.insert(name, guard);
        Ok(())
    }

    /// Another process may take a port between the look and the start: then the next one is tried.
    fn start_apiserver_on(&mut self, ports: &mut dyn FnMut() -> Result<u16, Error>) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            self.port = ports()?;
            tries += 1;
            match self.start_apiserver(self.port) {
                Err(Error::ServerEnded { tail, .. }) if tries < 5 && tail.contains("address already in use") => {}
                result => return result,
            }
        }
    }

    /// Starts it and waits until it listens. That it says so itself tells it from a stranger on the same port.
    fn start_apiserver(&mut self, port: u16) -> Result<(), Error> {
        let log = self.data.join(format!("{APISERVER}.log"));
        let before = fs::metadata(&log).map_or(0, |file| file.len());
        self.spawn(APISERVER, apiserver_flags(port, &self.options))?;
        self.wait(APISERVER, "the API server did not listen", POLL, || {
            let text = fs::read(&log).unwrap_or_default();
            let new = text.get(usize::try_from(before).unwrap_or(0)..).unwrap_or_default();
            let listens = String::from_utf8_lossy(new).contains("Serving securely on");
            if listens { Ok(()) } else { Err("it has not said so in its log".to_owned()) }
        })
    }

    fn wait_until_ready(&mut self, kubectl: &dyn Fn() -> Command) -> Result<(), Error> {
        self.wait(APISERVER, "the API server was not ready", POLL_KUBECTL, || raw(kubectl, "/readyz").map(drop))
    }

    /// The controllers work when they have done what they do first in a new cluster.
    fn wait_until_controllers_work(&mut self, kubectl: &dyn Fn() -> Command) -> Result<(), Error> {
        self.wait(CONTROLLER_MANAGER, "the controllers did not work", POLL_KUBECTL, || {
            raw(kubectl, "/api/v1/namespaces/default/serviceaccounts/default")?;
            let view = raw(kubectl, "/apis/rbac.authorization.k8s.io/v1/clusterroles/view")?;
            if view.contains("\"rules\":[") {
                Ok(())
            } else {
                Err("ClusterRole `view` is not aggregated yet".to_owned())
            }
        })
    }

    /// Asks until the answer is yes, the deadline passes or a server ends.
    fn wait(
        &mut self,
        server: &'static str,
        what: &str,
        poll: Duration,
        done: impl Fn() -> Result<(), String>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let Err(last) = done() else { return Ok(()) };
            let ended = self.guards.iter().find(|(_, guard)| guard.has_ended()).map(|(name, _)| *name);
            if let Some(guard) = ended.and_then(|name| self.guards.remove(name)) {
                return Err(guard.into_error());
            }
            if Instant::now() > deadline {
                let log = self.data.join(format!("{server}.log"));
                let tail = cache::tail(&log, 20);
                return Err(Error::Deadline { what: what.to_owned(), waited: READY_WITHIN, last, log, tail });
            }
            thread::sleep(poll);
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // All at once, then wait for each.
        self.guards.values_mut().for_each(Guard::kill);
        self.guards.clear();
        if !self.keep {
            // The guards have done it already, unless one of them was killed.
            let _ = fs::remove_dir_all(&self.data);
        }
    }
}

fn raw(kubectl: &dyn Fn() -> Command, path: &str) -> Result<String, String> {
    let mut get = kubectl();
    get.args(["get", "--raw", path]);
    output(get).map_err(|error| error.to_string())
}

fn etcd_flags() -> Vec<String> {
    vec![
        "--name=default".to_owned(),
        "--data-dir=etcd".to_owned(),
        // What is lost when the machine crashes is a test's.
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={ETCD_SOCKET}"),
        format!("--advertise-client-urls={ETCD_SOCKET}"),
        format!("--listen-peer-urls={ETCD_PEER_SOCKET}"),
        format!("--initial-advertise-peer-urls={ETCD_PEER_SOCKET}"),
        format!("--initial-cluster=default={ETCD_PEER_SOCKET}"),
    ]
}

fn apiserver_flags(port: u16, options: &Options) -> Vec<String> {
    let mut flags = vec![
        format!("--etcd-servers={ETCD_SOCKET}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        "--tls-cert-file=apiserver.crt".to_owned(),
        "--tls-private-key-file=apiserver.key".to_owned(),
        "--client-ca-file=ca.crt".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        // Without nodes nobody routes to a Service, and loopback may not be an endpoint.
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        // The usual one of real clusters; it must stay the same whatever the port is.
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-account-key-file=service-accounts.pub".to_owned(),
        "--service-account-signing-key-file=service-accounts.key".to_owned(),
        "--event-ttl=1h".to_owned(),
        // A polite end takes 2 s; without this it waits a minute for the controllers to close their watches.
        "--shutdown-send-retry-after=true".to_owned(),
    ];
    if options.is_audited() {
        flags.push("--audit-policy-file=audit-policy.yaml".to_owned());
        flags.push("--audit-log-path=audit.log".to_owned());
        // In MB. Readers want one file; the default begins another one after 100 MB.
        flags.push("--audit-log-maxsize=100000".to_owned());
    }
    if options.audit_webhook.is_some() {
        flags.push("--audit-webhook-config-file=audit-webhook.yaml".to_owned());
        flags.push("--audit-webhook-batch-max-wait=1s".to_owned());
        flags.push("--audit-webhook-initial-backoff=1s".to_owned());
    }
    flags.extend(options.apiserver_args.iter().cloned());
    flags
}

fn controller_manager_flags(kubeconfig: &Path, options: &Options) -> Vec<String> {
    let mut flags = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--leader-elect=false".to_owned(),
        // Admission policies know the garbage collector and the namespace controller by their names.
        "--use-service-account-credentials".to_owned(),
        "--service-account-private-key-file=service-accounts.key".to_owned(),
        "--root-ca-file=ca.crt".to_owned(),
        // It needs no port: nobody asks it anything.
        "--secure-port=0".to_owned(),
        format!("--controllers={}", CONTROLLERS.join(",")),
    ];
    flags.extend(options.controller_manager_args.iter().cloned());
    flags
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::{Version, binaries};

    #[test]
    fn a_port_that_somebody_takes_in_between_is_left_to_them() {
        let data = std::env::temp_dir().join(format!("lockbox-port-{}", std::process::id()));
        cache::create(&data).unwrap();
        let tools = binaries::build(Version::Newest).unwrap();
        let authority = Authority::new().unwrap();
        let mut servers =
            Servers::start(&data, (&tools, &tools), Options::default(), &authority, (None, false)).unwrap();
        servers.stop_apiserver("KILL").unwrap();

        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = stranger.local_addr().unwrap().port();
        let mut ports = [taken, port::free().unwrap()].into_iter();
        servers.start_apiserver_on(&mut || Ok(ports.next().unwrap())).unwrap();
        assert_ne!(servers.port(), taken);
        drop(servers);
        assert!(!data.exists());
    }
}
