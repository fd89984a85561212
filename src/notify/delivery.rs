//! What came of one attempt.

use std::{fmt, time::Duration};

use lockbox_lifecycle::text::clip_bytes;
use serde::Serialize;

/// Most bytes of the other side's words that are kept.
pub(super) const WORDS: usize = 256;

/// What came of one attempt to deliver a message.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The other side has taken it.
    Delivered,
    /// Not now: the same message may well be taken later. It may have arrived nevertheless, if the answer got lost.
    Later(Trouble),
    /// The other side will never take this message for this destination.
    Never(Trouble),
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// The step that failed.
    pub step: DeliveryStep,
    /// Why, in the other side's words where it had any: one line of at most 256 bytes. Never a password, a token or a
    /// webhook's address.
    pub words: String,
    /// How long the other side asks us to wait; at most an hour. Only webhooks do.
    #[serde(skip)]
    pub after: Option<Duration>,
    /// The whole message was handed over, and no answer came: it may have arrived.
    #[serde(skip)]
    pub uncertain: bool,
}

impl Trouble {
    /// Trouble in a step. The words become one line, and are cut to 256 bytes.
    pub fn new(step: DeliveryStep, words: impl fmt::Display) -> Self {
        Trouble { step, words: one_line(&words.to_string(), WORDS), after: None, uncertain: false }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.words)
    }
}

/// The same text on one line, without control characters and runs of blanks, of at most `most` bytes.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let blank = |c: char| c.is_whitespace() || c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
    let words: Vec<&str> = text.split(blank).filter(|word| !word.is_empty()).collect();
    clip_bytes(&words.join(" "), most)
}

/// The steps of an attempt, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum DeliveryStep {
    /// The configuration is read.
    Configuration,
    /// User name, password, token, key, certificates and addresses are read from the mounted Secret.
    Credentials,
    /// The host's addresses are looked up.
    Resolve,
    /// A connection is made.
    Connect,
    /// The connection is encrypted, and the server's certificate verified.
    Tls,
    /// The server greets, and says what it can do.
    Greeting,
    /// We say who we are.
    Authentication,
    /// The server takes the sender.
    Sender,
    /// The server takes the recipient.
    Recipient,
    /// The server takes the message itself.
    Content,
    /// The receiver of a webhook answers with a status.
    Status,
    /// Nothing failed, but nothing came in time either.
    Timeout,
}

impl DeliveryStep {
    /// What to do when this step failed.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Configuration => "correct the field that is named, in the chart's values under notifications",
            Self::Credentials => {
                "correct the file that is named, in the Secret of notifications.existingSecret; a change reaches the Pod \
                 within about a minute"
            }
            Self::Resolve => "check the host's name, and the DNS of the Pod that sends",
            Self::Connect => {
                "check host and port, NetworkPolicies and firewalls; behind a proxy set HTTPS_PROXY (webhooks alone)"
            }
            Self::Tls => {
                "check notifications.smtp.security and the port (587 is for StartTLS, 465 for TLS); for a private \
                 authority put its certificate into the Secret as ca.crt"
            }
            Self::Greeting => "read what the server said: it may refuse our address, or be something else than SMTP",
            Self::Authentication => {
                "check smtp-username, smtp-password or smtp-token in the Secret, and notifications.smtp.authentication"
            }
            Self::Sender => "let the server's administrators allow notifications.smtp.from for this login",
            Self::Recipient => "check the recipient's address, and whether this server relays to it",
            Self::Content => "read what the server said: the message may be too large, or taken for spam",
            Self::Status => "check the webhook's address and keys in the Secret, and the receiver's own log",
            Self::Timeout => {
                "check host and port, NetworkPolicies and firewalls; a slow server needs a larger \
                 notifications.smtp.timeoutSeconds"
            }
        }
    }
}

impl fmt::Display for DeliveryStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::Credentials => "credentials",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "TLS",
            Self::Greeting => "greeting",
            Self::Authentication => "authentication",
            Self::Sender => "sender",
            Self::Recipient => "recipient",
            Self::Content => "content",
            Self::Status => "status",
            Self::Timeout => "timeout",
        })
    }
}

/// An attempt that failed, before it becomes [`Sent`].
#[derive(Clone, Debug)]
pub(super) enum Failed {
    Later(Trouble),
    Never(Trouble),
}

impl Failed {
    pub(super) fn later(step: DeliveryStep, words: impl fmt::Display) -> Self {
        Failed::Later(Trouble::new(step, words))
    }

    /// The whole message was handed over before.
    pub(super) fn uncertain(self) -> Self {
        match self {
            Failed::Later(trouble) => Failed::Later(Trouble { uncertain: true, ..trouble }),
            never @ Failed::Never(_) => never,
        }
    }

    pub(super) fn never(step: DeliveryStep, words: impl fmt::Display) -> Self {
        Failed::Never(Trouble::new(step, words))
    }
}

impl From<Result<(), Failed>> for Sent {
    fn from(result: Result<(), Failed>) -> Self {
        match result {
            Ok(()) => Sent::Delivered,
            Err(Failed::Later(trouble)) => Sent::Later(trouble),
            Err(Failed::Never(trouble)) => Sent::Never(trouble),
        }
    }
}

/// An error with all that caused it, on one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    for _ in 0..8 {
        let Some(cause) = next else { break };
        let said = cause.to_string();
        // Many errors repeat their cause.
        if !words.contains(&said) {
            words.push_str(": ");
            words.push_str(&said);
        }
        next = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_other_side_are_one_line_of_at_most_256_bytes() {
        let trouble =
            Trouble::new(DeliveryStep::Content, format!("no\r\n\u{202e}\u{1b}[31m more  than {}", "é".repeat(300)));
        assert!(trouble.words.starts_with("no [31m more than é"), "{trouble}");
        assert!(trouble.words.len() <= 256 && !trouble.words.contains(['\n', '\u{1b}']), "{trouble}");
    }
}
