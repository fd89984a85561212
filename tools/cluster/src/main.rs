//! `lockbox-cluster`: builds, starts and stops real Kubernetes control planes by hand and for scripts.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};
use lockbox_cluster::named::{self, Claim};
use lockbox_cluster::{AuditLevel, Cluster, Error, Garbage, Options, User, Version, build, cache, mailpit};

/// How long another process may take to start or end the cluster whose name is wanted.
const SETTLED_WITHIN: Duration = Duration::from_mins(3);

/// Real Kubernetes control planes on loopback, built from their Go modules: etcd, kube-apiserver,
/// kube-controller-manager, kubectl and helm, no nodes.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build what is not built yet and print the folders: both versions and Mailpit when no version is named.
    Build {
        /// `1.37` (or `newest`) or `1.33` (or `oldest`); may be given several times.
        #[arg(long = "kubernetes", short = 'k', value_name = "VERSION")]
        versions: Vec<Version>,
    },
    /// Build Mailpit, a mail server that shows what arrived, if it is not built yet, and print its path.
    Mailpit,
    /// Start a cluster that stays up until `down`.
    Up {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        settings: Settings,
    },
    /// End a cluster and remove its data.
    Down {
        #[command(flatten)]
        name: Name,
        /// End all named clusters.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// List the clusters that are up.
    List,
    /// Print `export` lines for a shell: eval "$(lockbox-cluster env)".
    Env {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        who: Who,
    },
    /// Write the kubeconfig of any user, group or ServiceAccount, and print its path; the administrator's without options.
    Kubeconfig {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        who: Who,
    },
    /// Start a cluster, run a command with it as administrator, and end it; the status is the command's.
    Run {
        #[command(flatten)]
        settings: Settings,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Holds a named cluster until it is killed.
    #[command(hide = true)]
    Hold {
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Args)]
struct Name {
    /// The cluster's name.
    #[arg(default_value = "lockbox")]
    name: String,
}

#[derive(Args)]
struct Settings {
    /// `1.37` (or `newest`) or `1.33` (or `oldest`).
    #[arg(long, short, value_name = "VERSION", default_value = "newest")]
    kubernetes: Version,
    /// How much of each call the audit log holds.
    #[arg(long, value_enum, default_value = "metadata")]
    audit: Audit,
    /// A further flag of kube-apiserver; may be given several times.
    #[arg(long = "apiserver-arg", value_name = "FLAG", allow_hyphen_values = true)]
    apiserver_args: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Audit {
    None,
    Metadata,
    Request,
    RequestResponse,
}

#[derive(Args)]
struct Who {
    /// The user's name, such as kim@provider.example.
    #[arg(long, conflicts_with = "service_account")]
    user: Option<String>,
    /// A group of the user; may be given several times.
    #[arg(long = "group", requires = "user")]
    groups: Vec<String>,
    /// An extra attribute of the user; may be given several times. The kubeconfig then impersonates the user.
    #[arg(long = "extra", value_name = "KEY=VALUE", requires = "user")]
    extra: Vec<String>,
    /// A ServiceAccount that exists.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    service_account: Option<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(status) => status,
        Err(error) => {
            let _ = writeln!(io::stderr(), "lockbox-cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<ExitCode, Error> {
    match action {
        Action::Build { versions } => {
            let all = versions.is_empty();
            for version in if all { Version::ALL.to_vec() } else { versions } {
                say(&build(version)?.display().to_string());
            }
            if all {
                say(&mailpit::build()?.display().to_string());
            }
        }
        Action::Mailpit => say(&mailpit::build()?.join("mailpit").display().to_string()),
        Action::Up { name, settings } => up(&name.name, &settings)?,
        Action::Down { all: true, .. } => {
            for cluster in named::list()? {
                down(&cluster.name)?;
            }
        }
        Action::Down { name, .. } => down(&name.name)?,
        Action::List => {
            for cluster in named::list()? {
                match (cluster.version, cluster.server) {
                    (Some(version), Some(server)) => say(&format!("{}\t{version}\t{server}", cluster.name)),
                    _ => say(&format!("{}\t(starting or ending)", cluster.name)),
                }
            }
        }
        Action::Env { name, who } => {
            let cluster = Cluster::open(&name.name)?;
            let user = who.of(&cluster)?;
            for (key, value) in cluster.environment(&user) {
                // In quotes, with each quote in the value taken out of them.
                say(&format!("export {key}='{}'", value.to_string_lossy().replace('\'', r"'\''")));
            }
        }
        Action::Kubeconfig { name, who } => {
            let cluster = Cluster::open(&name.name)?;
            say(&who.of(&cluster)?.kubeconfig.display().to_string());
        }
        Action::Run { settings, command } => return with_cluster(&settings, &command),
        Action::Hold { name, settings } => return Ok(hold(&name, &settings)),
    }
    Ok(ExitCode::SUCCESS)
}

fn up(name: &str, settings: &Settings) -> Result<(), Error> {
    // Here, where the person sees how far it is, and not in the process that holds the cluster.
    build(Version::Newest)?;
    build(settings.kubernetes)?;
    let Some(claim) = claim(name, settings.kubernetes)? else {
        say(&format!("Cluster `{name}` is up already."));
        return tell(name);
    };
    let log = named::log(name)?;
    let io = |action: &'static str, path: &std::path::Path| {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    };
    let program = std::env::current_exe().map_err(io("find", "lockbox-cluster".as_ref()))?;
    let mut holder = Command::new(&program)
        .args(["hold", name])
        .args(settings.to_args())
        // Ctrl-C and the end of the terminal are not meant for it.
        .process_group(0)
        .current_dir("/")
        .env("LOCKBOX_CACHE", cache::folder()?)
        .stdin(claim.into_file())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).map_err(io("create", &log))?)
        .spawn()
        .map_err(io("run", &program))?;
    let mut answer = String::new();
    if let Some(stdout) = holder.stdout.take() {
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut answer).map_err(io("hear of", &log))?;
        if answer == "ready\n" {
            return tell(name);
        }
        stdout.read_to_string(&mut answer).map_err(io("hear of", &log))?;
    }
    // The name is free once it has ended.
    let _ = holder.wait();
    Err(Error::Refused(if answer.is_empty() {
        format!("the cluster's holder ended; see {}", log.display())
    } else {
        answer
    }))
}

/// The name, or None when its cluster is up with the wanted version; waits while it starts or ends.
fn claim(name: &str, version: Version) -> Result<Option<Claim>, Error> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        if let Some(claim) = named::claim(name)? {
            return Ok(Some(claim));
        }
        match named::status(name)?.version {
            Some(running) if running == version => return Ok(None),
            Some(running) => {
                return Err(Error::Refused(format!(
                    "cluster `{name}` is up with Kubernetes {running}, not {version}: end it with `lockbox-cluster down {name}`, or choose another name"
                )));
            }
            None if Instant::now() > deadline => {
                return Err(Error::Refused(format!(
                    "cluster `{name}` has been starting or ending for {SETTLED_WITHIN:?}: end it with `lockbox-cluster down {name}`"
                )));
            }
            None => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn tell(name: &str) -> Result<(), Error> {
    let cluster = Cluster::open(name)?;
    say(&format!("Kubernetes {} at {}", cluster.version(), cluster.server()));
    say(&format!("export KUBECONFIG={}", cluster.admin().kubeconfig.display()));
    Ok(())
}

/// Runs in a process of its own: standard input is the claim, standard output tells `up` how it went.
fn hold(name: &str, settings: &Settings) -> ExitCode {
    let start = || -> Result<Cluster, Error> {
        let lock = io::stdin().as_fd().try_clone_to_owned().map_err(|source| Error::Io {
            action: "hold",
            path: name.into(),
            source,
        })?;
        Claim::from_file(name, File::from(lock))?.start(settings.options())
    };
    let mut stdout = io::stdout();
    match start() {
        // When nobody listens any more, `up` was interrupted, and the cluster is not wanted.
        Ok(cluster) => {
            if writeln!(stdout, "ready").is_err() {
                return ExitCode::FAILURE;
            }
            loop {
                // Until `down` or anything else kills this process; the guards see to the rest.
                thread::park();
                let _ = &cluster;
            }
        }
        Err(error) => {
            let _ = write!(stdout, "{error}");
            ExitCode::FAILURE
        }
    }
}

fn with_cluster(settings: &Settings, command: &[String]) -> Result<ExitCode, Error> {
    let cluster = Cluster::start(settings.options())?;
    let Some((program, args)) = command.split_first() else { return Ok(ExitCode::FAILURE) };
    let status = cluster.command(cluster.admin(), program).args(args).status().map_err(|source| Error::Io {
        action: "run",
        path: program.into(),
        source,
    })?;
    cluster.stop()?;
    // As shells do it.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn down(name: &str) -> Result<(), Error> {
    let was_up = named::down(name)?;
    say(&format!("Cluster `{name}` {}.", if was_up { "is down" } else { "was not up" }));
    Ok(())
}

impl Settings {
    fn options(&self) -> Options {
        let audit = match self.audit {
            Audit::None => AuditLevel::None,
            Audit::Metadata => AuditLevel::Metadata,
            Audit::Request => AuditLevel::Request,
            Audit::RequestResponse => AuditLevel::RequestResponse,
        };
        // Who starts one by hand looks at it, or measures.
        let garbage = Garbage::AsUsual;
        let apiserver_args = self.apiserver_args.clone();
        Options { version: self.kubernetes, audit, garbage, apiserver_args, ..Options::default() }
    }

    /// What makes another process of this program read the same settings.
    fn to_args(&self) -> Vec<String> {
        let audit = self.audit.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut args = vec![format!("--kubernetes={}", self.kubernetes), format!("--audit={audit}")];
        args.extend(self.apiserver_args.iter().map(|arg| format!("--apiserver-arg={arg}")));
        args
    }
}

impl Who {
    fn of(&self, cluster: &Cluster) -> Result<User, Error> {
        if let Some(account) = &self.service_account {
            let (namespace, name) = account
                .split_once('/')
                .ok_or_else(|| Error::Refused(format!("`{account}` names no ServiceAccount: write NAMESPACE/NAME")))?;
            return cluster.service_account(namespace, name);
        }
        let Some(user) = &self.user else { return Ok(cluster.admin().clone()) };
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        if self.extra.is_empty() {
            return cluster.user(user, &groups);
        }
        let mut extra: Vec<(&str, Vec<&str>)> = Vec::new();
        for pair in &self.extra {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| Error::Refused(format!("`{pair}` is not KEY=VALUE")))?;
            match extra.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) => values.push(value),
                None => extra.push((key, vec![value])),
            }
        }
        let extra: Vec<(&str, &[&str])> = extra.iter().map(|(key, values)| (*key, values.as_slice())).collect();
        cluster.user_with_extra(user, &groups, &extra)
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
