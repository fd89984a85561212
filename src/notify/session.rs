//! One connection to the mail server, step by step, each with its time limit.

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lettre::transport::smtp::{
    Error as SmtpError,
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, AsyncTokioStream},
    commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Rset},
    extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    response::Response,
};
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    DeliveryStep, Security, SmtpConfig,
    access::Access,
    delivery::{Failed, causes},
    letter::Sealed,
    stream::Lines,
    trust::Trust,
};

/// Most addresses of a host that are tried.
const ADDRESSES: usize = 8;
/// The answer to a message's end may take as long as this many steps.
pub(super) const CONTENT: u32 = 10;
/// How long a polite end may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Told of each step that went well, and what was learnt in it.
pub(super) type Report<'a> = &'a (dyn Fn(DeliveryStep, &str) + Send + Sync);

/// A connection that is ready for the next letter.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    limit: Duration,
    /// Most bytes of a message that the server takes, if it says so; 0 is no limit.
    size: Option<usize>,
    /// Whether nothing is left of the letter before.
    clean: bool,
    /// How many letters were tried on it.
    pub(super) letters: u32,
    /// When it was last used.
    pub(super) used: Instant,
}

/// Why a letter was not taken.
pub(super) struct Refused {
    pub(super) failed: Failed,
    pub(super) connection: Fate,
}

/// What becomes of a connection after a refusal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was the letter that was refused: the next one may be sent.
    Alive,
    /// It is of no use any more.
    Gone,
    /// It had ended before anything of the letter was said: another one may do for the same letter.
    Stale,
}

/// What came of waiting for one answer.
enum Broken {
    Silent,
    Said(SmtpError),
}

impl Session {
    /// Connects, encrypts and signs in.
    pub(super) async fn open(config: &SmtpConfig, access: &Access, report: Report<'_>) -> Result<Self, Failed> {
        let trust = Trust::new(access.ca.as_deref()).map_err(Failed::Later)?;
        let limit = config.timeout;
        let name = hello(&config.helo_name);
        let socket = connect(config, report).await?;
        let peer = socket.peer_addr().map_err(|error| Failed::later(DeliveryStep::Connect, error))?;
        let stream: Box<dyn AsyncTokioStream> = if config.security == Security::TLS {
            Box::new(Lines::new(encrypt(config, &trust, socket, report).await?, peer))
        } else {
            Box::new(Lines::new(socket, peer))
        };
        let greeted = wait(limit, AsyncSmtpConnection::connect_with_transport(stream, &name)).await;
        let mut connection = greeted.map_err(|broken| judge(DeliveryStep::Greeting, &broken, limit))?;
        report(DeliveryStep::Greeting, connection.server_info().name());
        if config.security == Security::StartTLS {
            // Whoever could hide the offer could read everything: no offer is no message.
            if !connection.server_info().supports_feature(Extension::StartTls) {
                return Err(Failed::later(DeliveryStep::Tls, "the server does not offer STARTTLS; nothing was sent"));
            }
            let parameters = trust.starttls(&config.host).map_err(Failed::Later)?;
            wait(limit, connection.starttls(parameters, &name))
                .await
                .map_err(|broken| judge(DeliveryStep::Tls, &broken, limit))?;
            report(DeliveryStep::Tls, "STARTTLS; the certificate is good");
        }
        // The library keeps no SIZE, so the server is asked once more.
        let offers = wait(limit, connection.command(Ehlo::new(name)))
            .await
            .map_err(|broken| judge(DeliveryStep::Greeting, &broken, limit))?;
        let size = size(&offers);
        if let Some((mechanism, credentials)) = &access.credentials {
            authenticate(&mut connection, limit, *mechanism, credentials).await?;
            report(DeliveryStep::Authentication, &mechanism.to_string());
        }
        Ok(Session { connection, limit, size, clean: true, letters: 0, used: Instant::now() })
    }

    /// Hands over one letter.
    pub(super) async fn send(&mut self, letter: &Sealed, report: Report<'_>) -> Result<(), Refused> {
        let fresh = self.letters == 0;
        self.letters += 1;
        self.used = Instant::now();
        let alive = |failed| Refused { failed, connection: Fate::Alive };
        // Before the recipient is named, a connection that has ended means nothing but that.
        let early = |refused: Refused| match refused.connection {
            Fate::Gone if !fresh => Refused { connection: Fate::Stale, ..refused },
            _ => refused,
        };
        let parameters = self.parameters(letter).map_err(alive)?;
        if !self.clean {
            self.say(DeliveryStep::Sender, Rset).await.map_err(early)?;
        }
        self.clean = false;
        self.say(DeliveryStep::Sender, Mail::new(Some(letter.from.clone()), parameters)).await.map_err(early)?;
        report(DeliveryStep::Sender, letter.from.as_ref());
        self.say(DeliveryStep::Recipient, Rcpt::new(letter.to.clone(), vec![])).await?;
        report(DeliveryStep::Recipient, letter.to.as_ref());
        self.say(DeliveryStep::Content, Data).await?;
        // Servers look at a message before they take it. Who gives up too early sends it again although it was taken (RFC 5321,
        // 4.5.3.2.6).
        let limit = self.limit * CONTENT;
        let taken = wait(limit, self.connection.message(&letter.bytes)).await;
        let taken = taken.map_err(|broken| {
            let refused = refuse(DeliveryStep::Content, &broken, limit);
            let answered = matches!(&broken, Broken::Said(error) if error.status().is_some());
            if answered { refused } else { Refused { failed: refused.failed.uncertain(), ..refused } }
        })?;
        report(DeliveryStep::Content, taken.first_line().unwrap_or_default());
        self.clean = true;
        self.used = Instant::now();
        Ok(())
    }

    async fn say(&mut self, step: DeliveryStep, command: impl fmt::Display) -> Result<Response, Refused> {
        let answer = wait(self.limit, self.connection.command(command)).await;
        answer.map_err(|broken| refuse(step, &broken, self.limit))
    }

    /// What MAIL says besides the sender.
    fn parameters(&self, letter: &Sealed) -> Result<Vec<MailParameter>, Failed> {
        let server = self.connection.server_info();
        let mut parameters = vec![];
        if let Some(most) = self.size {
            if most > 0 && letter.bytes.len() > most {
                let words = format!("the message has {} bytes, and the server takes {most}", letter.bytes.len());
                return Err(Failed::never(DeliveryStep::Content, words));
            }
            parameters.push(MailParameter::Size(letter.bytes.len()));
        }
        if !AsRef::<str>::as_ref(&letter.to).is_ascii() {
            if !server.supports_feature(Extension::SmtpUtfEight) {
                let words = "the address has letters that are not ASCII, and the server does not offer SMTPUTF8";
                return Err(Failed::never(DeliveryStep::Recipient, words));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !letter.bytes.is_ascii() {
            if !server.supports_feature(Extension::EightBitMime) {
                return Err(Failed::never(DeliveryStep::Content, "the server does not offer 8BITMIME"));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }

    /// Ends the connection politely, within two seconds.
    pub(super) async fn close(mut self) {
        let _ = timeout(GOODBYE, self.connection.command(Quit)).await;
    }
}

/// A connection to one of the host's addresses; all of them together have the time of one step.
async fn connect(config: &SmtpConfig, report: Report<'_>) -> Result<TcpStream, Failed> {
    let host = config.host.as_str();
    let found = match timeout(config.timeout, lookup_host((host, config.port))).await {
        Err(_) => return Err(silent(DeliveryStep::Resolve, config.timeout)),
        Ok(Err(error)) => return Err(Failed::later(DeliveryStep::Resolve, format!("{host}: {error}"))),
        Ok(Ok(found)) => found.take(ADDRESSES).collect::<Vec<SocketAddr>>(),
    };
    let listed: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    report(DeliveryStep::Resolve, &format!("{host}: {}", listed.join(", ")));
    let each = config.timeout / u32::try_from(found.len()).unwrap_or(1).max(1);
    let mut last = Failed::later(DeliveryStep::Resolve, format!("{host} has no address"));
    for address in found {
        match timeout(each, TcpStream::connect(address)).await {
            Err(_) => last = silent(DeliveryStep::Connect, each),
            Ok(Err(error)) => last = Failed::later(DeliveryStep::Connect, format!("{address}: {error}")),
            Ok(Ok(socket)) => {
                report(DeliveryStep::Connect, &address.to_string());
                return Ok(socket);
            }
        }
    }
    Err(last)
}

async fn encrypt(
    config: &SmtpConfig,
    trust: &Trust,
    socket: TcpStream,
    report: Report<'_>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failed> {
    let later = |error: &dyn std::error::Error| Failed::later(DeliveryStep::Tls, causes(error));
    let name = ServerName::try_from(config.host.clone()).map_err(|error| later(&error))?;
    let connector = TlsConnector::from(Arc::new(trust.client().map_err(Failed::Later)?));
    match timeout(config.timeout, connector.connect(name, socket)).await {
        Err(_) => Err(silent(DeliveryStep::Tls, config.timeout)),
        Ok(Err(error)) => Err(later(&error)),
        Ok(Ok(stream)) => {
            report(DeliveryStep::Tls, "the certificate is good");
            Ok(stream)
        }
    }
}

async fn authenticate(
    connection: &mut AsyncSmtpConnection,
    limit: Duration,
    mechanism: Mechanism,
    credentials: &Credentials,
) -> Result<(), Failed> {
    let step = DeliveryStep::Authentication;
    if !connection.server_info().supports_auth_mechanism(mechanism) {
        return Err(Failed::later(step, format!("the server does not offer {mechanism}")));
    }
    let judged = |broken: Broken| match judge(step, &broken, limit) {
        // Credentials are rotated, at the server first or here: whatever it says now, it may say otherwise.
        Failed::Later(trouble) | Failed::Never(trouble) => Failed::Later(trouble),
    };
    if mechanism != Mechanism::Xoauth2 {
        return wait(limit, connection.auth(&[mechanism], credentials)).await.map(drop).map_err(judged);
    }
    let auth = Auth::new(mechanism, credentials.clone(), None).map_err(|error| Failed::later(step, causes(&error)))?;
    let answer = wait(limit, connection.command(auth)).await.map_err(judged)?;
    if answer.has_code(334) {
        // A refusal is a challenge that an empty line answers; only then does the server say why.
        wait(limit, connection.command("\r\n")).await.map_err(judged)?;
    }
    Ok(())
}

async fn wait<T>(limit: Duration, answer: impl Future<Output = Result<T, SmtpError>>) -> Result<T, Broken> {
    match timeout(limit, answer).await {
        Err(_) => Err(Broken::Silent),
        Ok(Err(error)) => Err(Broken::Said(error)),
        Ok(Ok(answer)) => Ok(answer),
    }
}

fn silent(step: DeliveryStep, limit: Duration) -> Failed {
    Failed::later(DeliveryStep::Timeout, format!("{step}: no answer within {} s", limit.as_secs_f32()))
}

/// A refusal, and what it means for the connection: an answer with a code leaves it as it is, but 421 announces its end.
fn refuse(step: DeliveryStep, broken: &Broken, limit: Duration) -> Refused {
    let code = match broken {
        Broken::Silent => None,
        Broken::Said(error) => error.status().map(u16::from),
    };
    let connection = if code.is_some_and(|code| code != 421) { Fate::Alive } else { Fate::Gone };
    Refused { failed: judge(step, broken, limit), connection }
}

/// What a refusal amounts to. Only what the server says about recipient and content is final: the rest is for whoever
/// installed Lockbox, or for the server's administrators, to put right.
fn judge(step: DeliveryStep, broken: &Broken, limit: Duration) -> Failed {
    let error = match broken {
        Broken::Silent => return silent(step, limit),
        Broken::Said(error) => error,
    };
    let Some(code) = error.status() else { return Failed::later(step, causes(error)) };
    let said = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let words = format!("{code} {said}");
    match (u16::from(code), step) {
        // Of a recipient: this server does not relay there for us, and may well take others.
        (530 | 534 | 535 | 538, DeliveryStep::Recipient) => Failed::later(step, words),
        (530 | 534 | 535 | 538, _) => Failed::later(DeliveryStep::Authentication, words),
        (552 | 523, DeliveryStep::Sender) => Failed::never(DeliveryStep::Content, words),
        (500.., DeliveryStep::Recipient | DeliveryStep::Content) => Failed::never(step, words),
        _ => Failed::later(step, words),
    }
}

/// What the server says about SIZE.
fn size(offers: &Response) -> Option<usize> {
    offers.message().find_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| word.eq_ignore_ascii_case("SIZE"))?;
        Some(words.next().and_then(|number| number.parse().ok()).unwrap_or(0))
    })
}

fn hello(name: &str) -> ClientId {
    match name.parse() {
        Ok(std::net::IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(std::net::IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(name.to_owned()),
    }
}
