//! One e-mail to one recipient.

use std::time::{Duration, SystemTime};

use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};
use lockbox_api::Moment;

use super::{
    DeliveryStep,
    delivery::{Failed, one_line},
};

/// Most bytes of a subject; more are cut off.
const SUBJECT: usize = 512;
/// Most bytes of either text.
const TEXT: usize = 1024 * 1024;
/// Most characters of an id.
const ID: usize = 128;

/// One e-mail to one recipient. Whatever its texts hold, it has exactly the headers that follow from these fields, and
/// `Auto-Submitted: auto-generated`, which keeps out-of-office replies away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The same for every attempt: it becomes `Message-ID: <id@domain of the sender>`, by which a mailbox drops repeats.
    /// At most 128 letters, digits, `-`, `_`, `=` and single `.`.
    pub id: String,
    /// The recipient's address, without a name.
    pub to: String,
    /// Any text: it becomes one line of at most 512 bytes.
    pub subject: String,
    /// The message as plain text, at most 1 MiB.
    pub text: String,
    /// The same as HTML, at most 1 MiB.
    pub html: String,
    /// What `Date` says; the same for every attempt.
    pub at: Moment,
}

/// A letter as it is sent.
pub(super) struct Sealed {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) bytes: Vec<u8>,
}

impl Letter {
    pub(super) fn seal(&self, from: &Mailbox) -> Result<Sealed, Failed> {
        let content = |problem: &str| Failed::never(DeliveryStep::Content, problem);
        if !is_id(&self.id) {
            return Err(content("the id has characters that a Message-ID cannot have"));
        }
        if self.text.len() > TEXT || self.html.len() > TEXT {
            return Err(content("the message has more than 1 MiB"));
        }
        let to = recipient(&self.to)?;
        let seconds = u64::try_from(self.at.timestamp()).map_err(|_| content("the date is before 1970"))?;
        let message = Message::builder()
            .message_id(Some(format!("<{}@{}>", self.id, from.email.domain())))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .from(from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(one_line(&self.subject, SUBJECT))
            .raw_header(header("Auto-Submitted", "auto-generated"))
            // Exchange knows this one alone.
            .raw_header(header("X-Auto-Response-Suppress", "All"))
            .multipart(MultiPart::alternative_plain_html(self.text.clone(), self.html.clone()))
            .map_err(|error| Failed::never(DeliveryStep::Content, error))?;
        Ok(Sealed { from: from.email.clone(), to, bytes: message.formatted() })
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn is_id(id: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_=.".contains(c);
    id.len() <= ID && id.chars().all(known) && id.split('.').all(|part| !part.is_empty())
}

/// The address, its domain in ASCII: so only a local part with other letters needs SMTPUTF8.
fn recipient(text: &str) -> Result<Address, Failed> {
    let wrong = || Failed::never(DeliveryStep::Recipient, "is no e-mail address");
    if text.len() > 320 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(wrong());
    }
    let address: Address = text.parse().map_err(|_| wrong())?;
    if address.domain().is_ascii() {
        return Ok(address);
    }
    let domain = idna::domain_to_ascii(address.domain()).map_err(|_| wrong())?;
    Address::new(address.user(), domain).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::Trouble;

    fn letter() -> Letter {
        Letter {
            id: "sr-1.0".into(),
            to: "ada@contoso.example".into(),
            subject: "A request waits".into(),
            text: "Kim asks.\n".into(),
            html: "<p>Kim asks.</p>".into(),
            at: Moment::UNIX_EPOCH,
        }
    }

    fn sealed(letter: &Letter) -> Sealed {
        let from = "Lockbox, the operator <lockbox@contoso.example>".parse();
        let from: Mailbox =
            from.unwrap_or_else(|_| "\"Lockbox, the operator\" <lockbox@contoso.example>".parse().unwrap());
        letter.seal(&from).ok().unwrap()
    }

    fn headers(letter: &Letter) -> Vec<String> {
        let text = String::from_utf8(sealed(letter).bytes).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let names = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        names.map(|line| line.split(':').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn no_text_of_a_letter_makes_a_header() {
        let usual = headers(&letter());
        for hostile in [
            "x\r\nBcc: eve@evil.example",
            "x\nBcc: eve@evil.example",
            "x\rBcc: eve@evil.example",
            "x\u{85}Bcc: eve@evil.example",
            "x\u{2028}\r\n\r\n<h1>body</h1>",
            "=?utf-8?q?=0D=0ABcc:_eve=40evil.example?=",
        ] {
            let letter = Letter { subject: hostile.into(), text: hostile.into(), html: hostile.into(), ..letter() };
            assert_eq!(headers(&letter), usual, "{hostile:?}");
        }
        let long = Letter { subject: "größer ".repeat(300), ..letter() };
        assert_eq!(headers(&long), usual);
    }

    #[test]
    fn an_address_that_is_more_than_one_is_refused() {
        for to in [
            "ada@contoso.example, eve@evil.example",
            "Ada <ada@contoso.example>",
            "ada@contoso.example\r\nRCPT TO:<eve@evil.example>",
            "ada@contoso.example> SIZE=1",
            "ada",
            "",
        ] {
            let refused =
                Letter { to: to.into(), ..letter() }.seal(&"l@contoso.example".parse().unwrap()).err().unwrap();
            assert!(matches!(refused, Failed::Never(Trouble { step: DeliveryStep::Recipient, .. })), "{to}");
        }
    }

    #[test]
    fn a_domain_of_other_letters_is_sent_in_ascii() {
        let sealed = sealed(&Letter { to: "ada@bücher.example".into(), ..letter() });
        assert_eq!(sealed.to.to_string(), "ada@xn--bcher-kva.example");
        assert!(sealed.bytes.is_ascii());
    }

    #[test]
    fn an_id_that_would_end_the_header_is_refused() {
        for id in ["", "a b", "a>", "a@b", "a..b", "a\r\nBcc: x", &"a".repeat(129)] {
            let refused = Letter { id: id.into(), ..letter() }.seal(&"l@contoso.example".parse().unwrap());
            assert!(matches!(refused.err().unwrap(), Failed::Never(_)), "{id}");
        }
    }
}
