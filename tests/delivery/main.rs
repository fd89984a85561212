//! How messages leave the cluster: to a real mail server (Mailpit), to a receiver of webhooks that checks signatures by
//! itself, and to servers that misbehave. No API server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod command;
mod hostile;
mod mail;
mod receiver;
mod relay;
mod script;
mod webhooks;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use lockbox::notify::{Authentication, DeliveryStep, Letter, Secrets, Security, Sent, SmtpConfig};
use lockbox_api::Moment;
use lockbox_cluster::mailpit::{Mailpit, Options, Tls};
use serde_json::Value;

const USER: &str = "lockbox";
const PASSWORD: &str = "correct-horse";

/// Longer than anything here takes, even where two cores are shared with many others.
const PATIENCE: Duration = Duration::from_mins(1);

fn options(tls: Tls) -> Options {
    Options { tls, users: vec![(USER.into(), PASSWORD.into())], ..Options::default() }
}

/// A server that wants STARTTLS and a login.
static SERVER: LazyLock<Mailpit> = LazyLock::new(|| Mailpit::start(&options(Tls::Required)).unwrap());

/// A mounted Secret, and how the kubelet swaps its files. Removed at the end.
struct Mounted {
    folder: PathBuf,
    versions: AtomicU32,
}

impl Mounted {
    fn new() -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("lockbox-delivery-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Mounted { folder, versions: AtomicU32::new(0) }
    }

    /// Credentials for a server, and its authority.
    fn of(server: &Mailpit) -> Self {
        let mounted = Mounted::new();
        mounted.set("smtp-username", USER);
        mounted.set("smtp-password", &format!("{PASSWORD}\n"));
        mounted.set("ca.crt", server.ca_pem());
        mounted
    }

    /// Writes a file as the kubelet does: another one, and a link that is swapped for the old one at once.
    fn set(&self, name: &str, content: &str) {
        let version = self.versions.fetch_add(1, Ordering::Relaxed);
        let data = self.folder.join(format!("..data-{version}"));
        fs::write(&data, content).unwrap();
        let link = self.folder.join("..next");
        symlink(&data, &link).unwrap();
        fs::rename(link, self.folder.join(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.join(name)).unwrap();
    }

    fn secrets(&self) -> Secrets {
        Secrets::new(&self.folder)
    }

    fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn config(port: u16, security: Security, authentication: Authentication) -> SmtpConfig {
    SmtpConfig {
        host: "127.0.0.1".into(),
        port,
        security,
        from: "Lockbox <lockbox@contoso.example>".parse().unwrap(),
        authentication,
        helo_name: "lockbox.contoso.example".into(),
        timeout: PATIENCE,
    }
}

fn letter(to: &str) -> Letter {
    Letter {
        id: format!("sr-2611.{}", to.split('@').next().unwrap().replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
        to: to.into(),
        subject: "A request waits for you".into(),
        text: "Kim asks for access.\n".into(),
        html: "<p>Kim asks for access.</p>\n".into(),
        at: Moment::from_timestamp(1_795_867_200, 0).unwrap(),
    }
}

/// A client for Mailpit's API, which is not encrypted. One for each call: a test's runtime ends with it.
fn http() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

async fn get(url: &str) -> String {
    http().get(url).send().await.unwrap().text().await.unwrap()
}

/// What a mailbox has received.
async fn arrived(server: &Mailpit, to: &str) -> Vec<Value> {
    let mut url = reqwest::Url::parse(&format!("{}/api/v1/search?limit=1000", server.api())).unwrap();
    url.query_pairs_mut().append_pair("query", &format!("to:\"{to}\""));
    let found: Value = serde_json::from_str(&get(url.as_str()).await).unwrap();
    found["messages"].as_array().unwrap().clone()
}

/// A message with its texts.
async fn read(server: &Mailpit, message: &Value) -> Value {
    let id = message["ID"].as_str().unwrap();
    serde_json::from_str(&get(&format!("{}/api/v1/message/{id}", server.api())).await).unwrap()
}

/// The headers of a message as they were sent, each on one line.
async fn headers(server: &Mailpit, message: &Value) -> Vec<String> {
    let id = message["ID"].as_str().unwrap();
    let raw = get(&format!("{}/api/v1/message/{id}/raw", server.api())).await.replace("\r\n", "\n");
    let head = raw.split_once("\n\n").unwrap().0.replace("\n ", " ").replace("\n\t", " ");
    head.lines().map(str::to_owned).collect()
}

/// The value of one header.
fn header<'a>(headers: &'a [String], name: &str) -> &'a str {
    let found = headers.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name));
    found.unwrap_or_else(|| panic!("no {name} in {headers:#?}")).1
}

#[track_caller]
fn assert_later(sent: &Sent, step: DeliveryStep, words: &str) {
    let Sent::Later(trouble) = sent else { panic!("{sent:?}") };
    assert!(trouble.step == step && trouble.words.contains(words), "{trouble:?}");
}

#[track_caller]
fn assert_never(sent: &Sent, step: DeliveryStep, words: &str) {
    let Sent::Never(trouble) = sent else { panic!("{sent:?}") };
    assert!(trouble.step == step && trouble.words.contains(words), "{trouble:?}");
}
