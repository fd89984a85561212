//! `lockbox-operator`: parse, then call the library.

mod explain;
mod notice;
mod review;

use std::{
    io::IsTerminal as _,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use lockbox::{
    config::{Activity, Config, Marks},
    connection::Connection,
    crds,
    notify::{ConfigError, Notifications, Secrets},
    operator,
};

/// Customer Lockbox for Kubernetes: support access that the customer approves, and that ends by itself.
#[derive(Parser)]
#[command(name = "lockbox-operator", version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator.
    ///
    /// It uses the cluster of KUBECONFIG, or of the Pod that it runs in. It needs the rights of the chart's
    /// ServiceAccount and the chart's admission policies: without them no decision is authentic.
    Run(Box<Run>),
    /// Write the CustomResourceDefinitions that the chart ships.
    ///
    /// Without --out they go to standard output, as YAML documents.
    Crds {
        /// Folder to write them to, one file each.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Show how the just-in-time rules would treat a request, without a cluster.
    ///
    /// Reads LockboxSettings, a LockboxRequest, and, where given, ClusterRoles and RoleAssignments from files. Shows
    /// for each rule whether it matches, why not, and what it requires; then what happens to the request. The exit code
    /// is 0 if the request proceeds, 1 if it is refused, 2 if a file cannot be read.
    Explain(explain::Explain),
    /// Send one test message, and show at which step it fails.
    ///
    /// Does what the operator does to deliver an e-mail (--to) or a webhook (--webhook), with the same configuration and
    /// the same Secret, one step after the other: configuration, credentials, resolve, connect, TLS, greeting,
    /// authentication, sender, recipient, content; for a webhook configuration, credentials, status. Each step that went
    /// well is a line with what was learnt in it. When one fails, the last lines say which, what the other side said, and
    /// what to do about it. Passwords, tokens and addresses of webhooks are never shown.
    ///
    /// In the operator's Pod both flags have their values already:
    /// kubectl exec -n lockbox-system deploy/lockbox-operator -- lockbox-operator notify --test --to ada@contoso.example
    ///
    /// The exit code is 0 when the other side has taken the message, 1 when it has not, 2 when the command makes no sense.
    Notify(notice::Notice),
    /// Show what was done with an access, from audit logs, without a cluster.
    ///
    /// For clusters whose API server cannot send its audit stream to the operator: reads the log that it wrote or that
    /// the cloud exported, and one or several LockboxRequests with their status. Shows for each access whether the log
    /// covers its time, what was done by it, sessions, what was refused, what the same person did by other rights, and what
    /// was left behind. A call belongs to an access when the event's annotation authorization.k8s.io/reason names the
    /// access's binding. The exit code is 0 when the logs cover the time of every access, 1 when they do not, 2 when
    /// something cannot be read.
    ///
    /// Example: kubectl get lbr sr-4711 -n contoso-prod -o yaml > request.yaml; lockbox-operator activity --request
    /// request.yaml --audit-log /var/log/kubernetes/audit.log
    Activity(review::Review),
    /// Write shell completions to standard output.
    ///
    /// For bash: lockbox-operator completion bash > /etc/bash_completion.d/lockbox-operator
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(clap::Args)]
struct Run {
    /// The operator's own namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "lockbox-system", value_name = "NAMESPACE")]
    namespace: String,
    /// The tenant's home namespace, for requests and assignments of scope Tenant.
    #[arg(long, env = "LOCKBOX_TENANT_NAMESPACE", default_value = "lockbox-tenant", value_name = "NAMESPACE")]
    tenant_namespace: String,
    /// Address for probes (/healthz, /readyz) and /metrics, such as [::]:8080 (IPv6, and IPv4 where Linux serves both). If
    /// omitted: neither.
    #[arg(long, env = "LOCKBOX_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Act only while holding the Lease lockbox-operator in the operator's namespace, so that of several operators one acts
    /// and the others stand by. Left out: acts at once, which is for a single operator outside the cluster.
    #[arg(long, env = "LOCKBOX_LEADER_ELECTION")]
    leader_election: bool,
    /// How many requests to work on at the same time.
    #[arg(long, env = "LOCKBOX_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "COUNT")]
    concurrency: u16,
    /// Name of this instance in Events.
    #[arg(long, env = "POD_NAME", default_value = "lockbox-operator", value_name = "NAME")]
    instance: String,
    /// Image in the Pod templates of deadline Jobs. It never runs, but policies on images check it.
    #[arg(
        long,
        env = "LOCKBOX_DEADLINE_JOB_IMAGE",
        default_value = "registry.k8s.io/pause:3.10",
        value_name = "IMAGE"
    )]
    deadline_job_image: String,
    /// A label of every object of a grant, besides Lockbox's own. May be repeated.
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    grant_label: Vec<(String, String)>,
    /// An annotation of every object of a grant, besides Lockbox's own. May be repeated.
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    grant_annotation: Vec<(String, String)>,
    /// A label of deadline Jobs and their Pod templates, besides those of every object of a grant. May be repeated.
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    deadline_job_label: Vec<(String, String)>,
    /// An annotation of deadline Jobs and their Pod templates, besides those of every object of a grant. May be repeated.
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    deadline_job_annotation: Vec<(String, String)>,
    /// File that says which mail server is used, as the chart writes it from its value notifications. Left out: nobody is
    /// told anything.
    #[arg(long, env = "LOCKBOX_NOTIFICATIONS_CONFIG", value_name = "FILE", requires = "notifications_secrets")]
    notifications_config: Option<PathBuf>,
    /// Folder in which the Secret with credentials, keys and webhooks is mounted. Its files are read whenever they are used.
    #[arg(long, env = "LOCKBOX_NOTIFICATIONS_SECRETS", value_name = "FOLDER")]
    notifications_secrets: Option<PathBuf>,
    /// Address at which the API server's audit stream is taken (its audit webhook backend, HTTPS), such as [::]:8443. Left
    /// out: what is done with an access is not known. Needs a certificate, and a token or a client authority.
    #[arg(
        long,
        env = "LOCKBOX_ACTIVITY_LISTEN",
        value_name = "ADDRESS",
        requires = "activity_tls_cert",
        requires = "activity_tls_key"
    )]
    activity_listen: Option<SocketAddr>,
    /// Address, without a port, at which other operators reach this one: whoever stands by hands the stream on to the one that
    /// acts. Left out: it answers 503.
    #[arg(long, env = "LOCKBOX_ACTIVITY_ADDRESS", value_name = "ADDRESS", requires = "activity_listen")]
    activity_address: Option<IpAddr>,
    /// Certificate chain of that address, PEM. It is read again when it changes, as are the other files.
    #[arg(long, env = "LOCKBOX_ACTIVITY_TLS_CERT", value_name = "FILE")]
    activity_tls_cert: Option<PathBuf>,
    /// Key of that certificate, PEM.
    #[arg(long, env = "LOCKBOX_ACTIVITY_TLS_KEY", value_name = "FILE")]
    activity_tls_key: Option<PathBuf>,
    /// File with the bearer token that the API server has to send.
    #[arg(long, env = "LOCKBOX_ACTIVITY_TOKEN_FILE", value_name = "FILE")]
    activity_token_file: Option<PathBuf>,
    /// Authorities of the client certificate that the API server has to show, PEM. With a token file too, both are needed.
    #[arg(long, env = "LOCKBOX_ACTIVITY_CLIENT_CA", value_name = "FILE")]
    activity_client_ca: Option<PathBuf>,
    /// Where the full record of each call that belongs to an access goes, as JSON lines: a file, or - for standard output.
    /// Left out: nowhere.
    #[arg(long, env = "LOCKBOX_ACTIVITY_LOG", value_name = "FILE")]
    activity_log: Option<PathBuf>,
    /// Log format. RUST_LOG sets what is logged, such as info or lockbox=debug.
    #[arg(long, env = "LOCKBOX_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json, value_name = "FORMAT")]
    log_format: LogFormat,
}

impl Run {
    fn config(self) -> Result<Config, ConfigError> {
        let marks = |labels: Vec<(String, String)>, annotations: Vec<(String, String)>| Marks {
            labels: labels.into_iter().collect(),
            annotations: annotations.into_iter().collect(),
        };
        let activity = self.activity_listen.zip(self.activity_tls_cert).zip(self.activity_tls_key);
        let activity = activity.map(|((listen, certificate), key)| Activity {
            listen,
            reached_at: self.activity_address,
            certificate,
            key,
            token: self.activity_token_file,
            client_authority: self.activity_client_ca,
            log: self.activity_log,
        });
        let secrets = self.notifications_secrets.map(Secrets::new);
        let notifications = self.notifications_config.zip(secrets);
        Ok(Config {
            namespace: self.namespace,
            tenant_namespace: self.tenant_namespace,
            instance: self.instance,
            listen: self.listen,
            activity,
            leader_election: self.leader_election,
            concurrency: self.concurrency,
            deadline_job_image: self.deadline_job_image,
            grant: marks(self.grant_label, self.grant_annotation),
            deadline_job: marks(self.deadline_job_label, self.deadline_job_annotation),
            notifications: notifications.map(|(file, secrets)| Notifications::read(&file, secrets)).transpose()?,
        })
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".into()),
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// Threads that the operator's work is spread over.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run(*arguments).map(|()| ExitCode::SUCCESS),
        Command::Crds { out } => crds::write(out.as_deref()).map(|()| ExitCode::SUCCESS).map_err(Into::into),
        Command::Explain(arguments) => return arguments.run(),
        Command::Notify(arguments) => return arguments.run(),
        Command::Activity(arguments) => return arguments.run(),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "lockbox-operator", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error: Box<dyn std::error::Error>| {
        eprintln!("lockbox-operator: {error}");
        ExitCode::FAILURE
    })
}

fn run(arguments: Run) -> Result<(), Box<dyn std::error::Error>> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,kube=warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Json => logs.json().flatten_event(true).with_span_list(false).init(),
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
    }
    let config = arguments.config()?;
    // The operator waits for the API server most of the time. A thread for each processor of a large node would only keep
    // memory of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(async {
        let connection = Connection::new(kube::Config::infer().await?)?;
        Box::pin(operator::run(connection, config, stop_signal())).await?;
        Ok(())
    })
}

/// Completes on SIGTERM (Kubernetes stops a Pod) or SIGINT (Ctrl-C).
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt => {}
            }
        }
        Err(_) => {
            // Without a handler the process still ends on SIGTERM, only less gently.
            let _ = interrupt.await;
        }
    }
}
