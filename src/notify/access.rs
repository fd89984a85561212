//! What the mail server is told about us, as the Secret has it now.

use lettre::transport::smtp::authentication::{Credentials, Mechanism};

use super::{Authentication, Secrets, Trouble, trust};

/// Credentials and authorities of one moment: a connection that was made with others is not used again.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) credentials: Option<(Mechanism, Credentials)>,
    pub(super) ca: Option<String>,
}

impl Access {
    pub(super) fn read(authentication: Authentication, secrets: &Secrets) -> Result<Self, Trouble> {
        let (mechanism, secret) = match authentication {
            Authentication::None => return Ok(Access { credentials: None, ca: secrets.optional(trust::FILE)? }),
            Authentication::Plain => (Mechanism::Plain, "smtp-password"),
            Authentication::Login => (Mechanism::Login, "smtp-password"),
            Authentication::XOAuth2 => (Mechanism::Xoauth2, "smtp-token"),
        };
        let credentials = Credentials::new(secrets.line("smtp-username")?, secrets.line(secret)?);
        Ok(Access { credentials: Some((mechanism, credentials)), ca: secrets.optional(trust::FILE)? })
    }
}
