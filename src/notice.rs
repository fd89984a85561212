//! `lockbox-operator notify`: one test message, step by step.

use std::{
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use clap::ValueEnum;
use lockbox::notify::{DeliveryStep, Letter, Notifications, Post, Secrets, Sent, Smtp, Trouble, Webhooks};
use serde::Serialize;
use serde_json::json;

/// Options of `notify`.
#[derive(clap::Args, Debug)]
#[command(group(clap::ArgGroup::new("destination").required(true).args(["to", "webhook"])))]
pub struct Notice {
    /// Send a test message. Needed, so that nothing is sent by mistake.
    #[arg(long, required = true)]
    test: bool,
    /// The file that the operator has as --notifications-config.
    #[arg(long, env = "LOCKBOX_NOTIFICATIONS_CONFIG", value_name = "FILE", required_unless_present = "webhook")]
    config: Option<PathBuf>,
    /// The folder that the operator has as --notifications-secrets.
    #[arg(long, env = "LOCKBOX_NOTIFICATIONS_SECRETS", value_name = "FOLDER")]
    secrets: PathBuf,
    /// Send an e-mail to this address.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Send to the webhook of this name: the Secret's webhook-NAME-url and webhook-NAME-secret.
    #[arg(long, value_name = "NAME")]
    webhook: Option<String>,
    /// How the steps are written.
    #[arg(short, long, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    output: Output,
}

/// How the steps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: a line for each step, as it goes well.
    Text,
    /// For scripts: one object at the end, with steps, and failed (step, words, advice, again) if one did.
    Json,
}

/// A step that went well.
#[derive(Serialize)]
struct Step {
    step: DeliveryStep,
    learnt: String,
}

impl Notice {
    /// Prints the steps. 0: delivered; 1: not delivered.
    pub fn run(&self) -> ExitCode {
        let steps = Mutex::new(vec![]);
        let report = |step: DeliveryStep, learnt: &str| {
            if self.output == Output::Text {
                say(&format!("ok      {step}: {learnt}\n"));
            }
            steps.lock().unwrap_or_else(PoisonError::into_inner).push(Step { step, learnt: learnt.to_owned() });
        };
        let sent = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.send(&report)),
            Err(error) => Sent::Later(Trouble::new(DeliveryStep::Configuration, error)),
        };
        let (failed, again) = match &sent {
            Sent::Delivered => (None, false),
            Sent::Later(trouble) => (Some(trouble), true),
            Sent::Never(trouble) => (Some(trouble), false),
        };
        if self.output == Output::Json {
            let failed = failed.map(|trouble| {
                json!({"step": trouble.step, "words": trouble.words, "advice": trouble.step.advice(), "again": again})
            });
            let steps = steps.into_inner().unwrap_or_else(PoisonError::into_inner);
            let report = json!({"delivered": failed.is_none(), "steps": steps, "failed": failed});
            say(&(serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"));
        } else if let Some(trouble) = failed {
            let operator = if again { "tries again after such a failure" } else { "gives up after such a failure" };
            say(&format!("FAILED  {trouble}\nto do:  {}\n(the operator {operator})\n", trouble.step.advice()));
        } else {
            say("delivered\n");
        }
        if failed.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    async fn send(&self, report: &(dyn Fn(DeliveryStep, &str) + Send + Sync)) -> Sent {
        let secrets = Secrets::new(&self.secrets);
        let now = chrono::Utc::now();
        let id = format!("lockbox-test-{}-{}", now.timestamp_millis(), std::process::id());
        if let Some(name) = &self.webhook {
            report(DeliveryStep::Configuration, &format!("webhook {name}"));
            let body = json!({
                "specversion": "1.0",
                "id": id,
                "source": "/lockbox",
                "type": "dev.lockbox.test",
                "time": now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                // What Slack and Microsoft Teams show.
                "text": TEXT,
            });
            let post =
                Post { id, at: now, content_type: "application/json".into(), body: body.to_string().into_bytes() };
            return Webhooks::new(secrets).send_telling(name, &post, report).await;
        }
        let wrong = |words: &str| Sent::Later(Trouble::new(DeliveryStep::Configuration, words));
        let (Some(to), Some(file)) = (&self.to, &self.config) else {
            return wrong("name a recipient with --to, and a file with --config");
        };
        let smtp = match Notifications::read(file, secrets.clone()) {
            Err(error) => return wrong(&error.to_string()),
            Ok(Notifications { smtp: None, .. }) => return wrong("smtp: no mail server is named"),
            Ok(Notifications { smtp: Some(smtp), .. }) => smtp,
        };
        let server = format!("{}:{}, {:?}, as {}", smtp.host, smtp.port, smtp.security, smtp.from);
        report(DeliveryStep::Configuration, &server);
        let letter = Letter {
            id,
            to: to.clone(),
            subject: "Lockbox: test message".into(),
            text: format!("{TEXT}\n"),
            html: format!("<p>{TEXT}</p>\n"),
            at: now,
        };
        Smtp::new(smtp, secrets).send_telling(&letter, report).await
    }
}

const TEXT: &str = "This is a test message of Customer Lockbox for Kubernetes. Nothing has to be done.";

/// Who closes the pipe has read enough.
fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
