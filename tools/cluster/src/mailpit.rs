//! Mailpit: a real mail server that keeps what it is sent, shows it through an API, and misbehaves when told to.
//!
//! It is built from its Go module without its web pages. It never looks for newer versions of itself.

use std::env;
use std::fs::{self, DirBuilder};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::binaries::Product;
use crate::guard::{Guard, Spec};
use crate::{Error, Loopback, cache, port};

const NAME: &str = "mailpit";
const NUMBER: &str = "1.33.1";
const READY_WITHIN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Messages that are kept: more than any test sends.
const KEPT: u32 = 10_000;

/// Builds Mailpit unless it is there already, and returns its folder. The first time takes about a minute on two cores.
pub fn build() -> Result<PathBuf, Error> {
    let product = Product {
        name: "Mailpit",
        folder: NAME,
        modules: format!("{NAME}-{NUMBER}"),
        number: NUMBER,
        go_mod: include_str!("../mailpit/go.mod"),
        go_sum: include_str!("../mailpit/go.sum"),
        flags: "-s -w".to_owned(),
        binaries: &[(NAME, NAME)],
        costs: "a minute on two cores, 0.3 GB in Go's build cache and 0.4 GB of modules".to_owned(),
    };
    product.build()
}

/// How connections to the server are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    #[default]
    Off,
    /// STARTTLS is offered, and nothing is taken without it.
    Required,
    /// Encrypted from the first byte.
    Implicit,
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How connections are protected.
    pub tls: Tls,
    /// Users and their passwords; with any, nobody else may send.
    pub users: Vec<(String, String)>,
    /// Mailpit's chaos: what fails, and with which code, such as `Recipient:451:100` (a probability in percent).
    pub triggers: Vec<String>,
    /// Further flags.
    pub args: Vec<String>,
}

/// A running mail server on loopback. It ends with this value, or with the process that holds it, however that ends.
pub struct Mailpit {
    guard: Guard,
    data: PathBuf,
    loopback: Loopback,
    smtp: u16,
    http: u16,
}

impl Mailpit {
    /// Builds Mailpit if it is not built yet, starts one on free ports, and waits until it takes messages.
    pub fn start(options: &Options) -> Result<Mailpit, Error> {
        let program = build()?.join(NAME);
        let data = env::temp_dir().join(format!(
            "lockbox-mailpit-{}-{:08x}",
            std::process::id(),
            port::random() & 0xffff_ffff
        ));
        let loopback = Loopback::new()?;
        let users: Vec<String> = options.users.iter().map(|(user, password)| format!("{user}:{password}")).collect();
        let users = users.join("\n");
        let mut tries = 0;
        loop {
            tries += 1;
            DirBuilder::new().mode(0o700).create(&data).map_err(Error::io("create", &data))?;
            for (name, text) in
                [("tls.crt", &loopback.certificate_pem), ("tls.key", &loopback.key_pem), ("users", &users)]
            {
                cache::write(&data.join(name), text)?;
            }
            let (smtp, http) = (port::free()?, port::free()?);
            let guard = Guard::spawn(&Spec {
                name: NAME,
                program: program.clone(),
                args: flags(options, smtp, http),
                envs: vec![],
                data: &data,
                cwd: &data,
                remove: true,
                lock: None,
            })?;
            let server = Mailpit { guard, data: data.clone(), loopback: loopback.clone(), smtp, http };
            match server.wait_until_ready() {
                Ok(()) => return Ok(server),
                Err(error) => {
                    // Another process may take a port between the look and the start: then the next ones are tried.
                    let taken = server.log().contains("address already in use");
                    drop(server);
                    if !taken || tries >= 5 {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The port for SMTP on 127.0.0.1.
    pub fn smtp(&self) -> u16 {
        self.smtp
    }

    /// The URL of the API, such as `http://127.0.0.1:23456`: `/api/v1/messages` lists what arrived.
    pub fn api(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The authority of the server's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.loopback.ca_pem
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        fs::read(self.guard.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn wait_until_ready(&self) -> Result<(), Error> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let last = match is_ready(self.http).and_then(|()| greets(self.smtp)) {
                Ok(()) => return Ok(()),
                Err(last) => last,
            };
            let log = self.guard.log().to_owned();
            let tail = cache::tail(&log, 20);
            if self.guard.has_ended() {
                return Err(Error::ServerEnded {
                    server: NAME.to_owned(),
                    status: "at its start".to_owned(),
                    log,
                    tail,
                });
            }
            if Instant::now() > deadline {
                let what = "Mailpit was not ready".to_owned();
                return Err(Error::Deadline { what, waited: READY_WITHIN, last: last.to_string(), log, tail });
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Mailpit {
    fn drop(&mut self) {
        self.guard.kill();
        self.guard.wait(ANSWER_WITHIN);
        // The guard has done it already, unless it was killed.
        let _ = fs::remove_dir_all(&self.data);
    }
}

fn flags(options: &Options, smtp: u16, http: u16) -> Vec<String> {
    let mut flags = vec![
        format!("--smtp=127.0.0.1:{smtp}"),
        format!("--listen=127.0.0.1:{http}"),
        "--database=mailpit.db".to_owned(),
        "--disable-version-check".to_owned(),
        "--smtp-disable-rdns".to_owned(),
        "--verbose".to_owned(),
        format!("--max={KEPT}"),
    ];
    if options.tls != Tls::Off {
        flags.extend(["--smtp-tls-cert=tls.crt".to_owned(), "--smtp-tls-key=tls.key".to_owned()]);
    }
    match options.tls {
        Tls::Off => {}
        Tls::Required => flags.push("--smtp-require-starttls".to_owned()),
        Tls::Implicit => flags.push("--smtp-require-tls".to_owned()),
    }
    if !options.users.is_empty() {
        flags.push("--smtp-auth-file=users".to_owned());
        if options.tls == Tls::Off {
            flags.push("--smtp-auth-allow-insecure".to_owned());
        }
    }
    if !options.triggers.is_empty() {
        flags.push(format!("--chaos-triggers={}", options.triggers.join(",")));
    }
    flags.extend(options.args.iter().cloned());
    flags
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    Ok(stream)
}

fn is_ready(http: u16) -> std::io::Result<()> {
    let mut stream = connect(http)?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if answer.ends_with(b" 200") { Ok(()) } else { Err(std::io::Error::other(String::from_utf8_lossy(&answer))) }
}

/// That something listens: a server that is encrypted from the first byte says nothing by itself.
fn greets(smtp: u16) -> std::io::Result<()> {
    connect(smtp).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_greets_and_leaves_nothing_behind() {
        let server = Mailpit::start(&Options::default()).unwrap();
        let mut greeting = [0; 3];
        connect(server.smtp()).unwrap().read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"220");
        let (data, smtp) = (server.data.clone(), server.smtp());
        drop(server);
        assert!(!data.exists() && connect(smtp).is_err());
    }
}
