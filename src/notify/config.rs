//! Which mail server is used, and how: said by whoever installs Lockbox, in a file.
//!
//! The settings (`LockboxSettings`) never name a server. They can be changed by people of the customer who may not read
//! the operator's Secret, and who names the server gets the password.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use lettre::message::Mailbox;
use rustls::pki_types::ServerName;
use serde::Deserialize;

use super::Secrets;

/// Most bytes of the file.
const MOST: u64 = 64 * 1024;
/// Seconds that a step may take.
const SECONDS: std::ops::RangeInclusive<u64> = 1..=300;

/// All that is needed to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notifications {
    /// The mail server; none if no e-mail is sent.
    pub smtp: Option<SmtpConfig>,
    /// The mounted Secret.
    pub secrets: Secrets,
}

/// A mail server, and how Lockbox talks to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpConfig {
    /// DNS name or IP address; the server's certificate must be for it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Sender of every message: a name and an address.
    pub from: Mailbox,
    /// How Lockbox proves who it is.
    pub authentication: Authentication,
    /// What Lockbox calls itself (EHLO).
    pub helo_name: String,
    /// How long each step of an attempt may take.
    pub timeout: Duration,
}

/// How a connection to the mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Security {
    /// The connection starts in plaintext and is encrypted before anything is said. Never goes on without.
    #[default]
    StartTLS,
    /// Encrypted from the first byte.
    TLS,
    /// Not protected at all: only without authentication.
    Plaintext,
}

/// How Lockbox proves to the mail server who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Authentication {
    /// Not at all.
    #[default]
    None,
    /// SASL PLAIN, with `smtp-username` and `smtp-password`.
    Plain,
    /// LOGIN, with `smtp-username` and `smtp-password`.
    Login,
    /// OAuth 2.0, with `smtp-username` and `smtp-token`.
    XOAuth2,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no such document.
    #[error("{}: {reason}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        reason: String,
    },
    /// A field has a value that makes no sense.
    #[error("{}: {field}: {problem}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Such as `smtp.host`.
        field: &'static str,
        /// What is wrong, and what to do instead.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    smtp: Option<Smtp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Smtp {
    host: String,
    port: Option<u16>,
    #[serde(default)]
    security: Security,
    from: String,
    #[serde(default)]
    authentication: Authentication,
    helo_name: Option<String>,
    timeout_seconds: Option<u64>,
}

impl Notifications {
    /// Reads a file such as
    ///
    /// ```yaml
    /// smtp:
    ///   host: smtp.contoso.example
    ///   port: 587                   # default: 587 for StartTLS, 465 for TLS, 25 for Plaintext
    ///   security: StartTLS          # or TLS; or Plaintext, without authentication
    ///   from: Lockbox <lockbox@contoso.example>
    ///   authentication: Plain       # or Login, XOAuth2; default: None
    ///   heloName: lockbox.contoso.example    # default: the domain of `from`
    ///   timeoutSeconds: 30          # of each step, 1 to 300; default: 30
    /// ```
    ///
    /// An error names the field and the way out.
    pub fn read(path: &Path, secrets: Secrets) -> Result<Self, Error> {
        let io = |source| Error::File { path: path.to_owned(), source };
        let mut text = String::new();
        File::open(path).map_err(io)?.take(MOST + 1).read_to_string(&mut text).map_err(io)?;
        let document = |reason: String| Error::Document { path: path.to_owned(), reason };
        if text.len() as u64 > MOST {
            return Err(document(format!("more than {MOST} bytes")));
        }
        let Document { smtp } = serde_yaml_ng::from_str(&text).map_err(|error| document(error.to_string()))?;
        let smtp = smtp.map(Smtp::checked).transpose().map_err(|(field, problem)| Error::Field {
            path: path.to_owned(),
            field,
            problem,
        })?;
        Ok(Notifications { smtp, secrets })
    }
}

impl Smtp {
    fn checked(self) -> Result<SmtpConfig, (&'static str, String)> {
        let wrong = |field, problem: &str| Err((field, problem.to_owned()));
        if !is_host(&self.host) {
            return wrong("smtp.host", "write a DNS name or an IP address, without port and scheme");
        }
        if self.port == Some(0) {
            return wrong("smtp.port", "write a port from 1 to 65535");
        }
        if self.security == Security::Plaintext && self.authentication != Authentication::None {
            return wrong(
                "smtp.authentication",
                "credentials are never sent in plaintext: write security: StartTLS or TLS, or authentication: None",
            );
        }
        let Ok(from) = self.from.parse::<Mailbox>() else {
            return wrong("smtp.from", "write one address, such as Lockbox <lockbox@contoso.example>");
        };
        if self.from.chars().any(char::is_control) || self.from.len() > 320 {
            return wrong("smtp.from", "write a name and an address of at most 320 bytes on one line");
        }
        if !from.email.to_string().is_ascii() {
            return wrong(
                "smtp.from",
                "write the address in ASCII, the domain as xn--…; the name may have any letters",
            );
        }
        let helo_name = self.helo_name.unwrap_or_else(|| from.email.domain().to_owned());
        if !is_host(&helo_name) {
            return wrong("smtp.heloName", "write a DNS name");
        }
        let seconds = self.timeout_seconds.unwrap_or(30);
        if !SECONDS.contains(&seconds) {
            return wrong("smtp.timeoutSeconds", "write 1 to 300");
        }
        let port = self.port.unwrap_or(match self.security {
            Security::StartTLS => 587,
            Security::TLS => 465,
            Security::Plaintext => 25,
        });
        Ok(SmtpConfig {
            host: self.host,
            port,
            security: self.security,
            from,
            authentication: self.authentication,
            helo_name,
            timeout: Duration::from_secs(seconds),
        })
    }
}

fn is_host(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Notifications, Error> {
        static FILES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = FILES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lockbox-notifications-{}-{number}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let read = Notifications::read(&path, Secrets::new("/nowhere"));
        std::fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn what_is_left_out_has_the_safe_default() {
        let smtp =
            read("smtp: {host: smtp.contoso.example, from: Lockbox <lockbox@contoso.example>}").unwrap().smtp.unwrap();
        assert_eq!((smtp.port, smtp.security, smtp.authentication), (587, Security::StartTLS, Authentication::None));
        assert_eq!((smtp.helo_name.as_str(), smtp.timeout), ("contoso.example", Duration::from_secs(30)));
        assert_eq!(read("{}").unwrap().smtp, None);
    }

    #[test]
    fn a_value_that_makes_no_sense_is_named_with_the_way_out() {
        for (fields, field, way_out) in [
            ("host: 'https://smtp'", "smtp.host", "DNS name"),
            ("port: 0", "smtp.port", "1 to 65535"),
            ("port: 70000", "smtp.port", "u16"),
            ("security: Opportunistic", "smtp.security", "StartTLS"),
            ("security: None", "smtp.security", "Plaintext"),
            ("security: Plaintext, authentication: Plain", "smtp.authentication", "never sent in plaintext"),
            ("from: nobody", "smtp.from", "one address"),
            (r#"from: "A\r\nBcc: eve@evil.example <a@b.example>""#, "smtp.from", "one"),
            ("from: größe@contoso.example", "smtp.from", "ASCII"),
            ("heloName: 'a b'", "smtp.heloName", "DNS name"),
            ("timeoutSeconds: 0", "smtp.timeoutSeconds", "1 to 300"),
            ("timeoutSeconds: 301", "smtp.timeoutSeconds", "1 to 300"),
            ("user: me", "smtp", "unknown field"),
        ] {
            let usual = [("host", "smtp.contoso.example"), ("from", "lockbox@contoso.example")];
            let given = |name: &str| fields.split(", ").any(|field| field.starts_with(&format!("{name}:")));
            let rest: Vec<String> = usual
                .iter()
                .filter(|(name, _)| !given(name))
                .map(|(name, value)| format!(", {name}: {value}"))
                .collect();
            let error = read(&format!("smtp: {{{fields}{}}}", rest.concat())).unwrap_err().to_string();
            assert!(error.contains(field) && error.contains(way_out), "{fields}: {error}");
        }
    }
}
