//! What messages say: a [`Scene`] becomes a [`Letter`] for an audience, or the [`Body`] of a webhook.
//!
//! Pure: it sends nothing, reads no clock and no file. Whatever somebody else wrote is made safe to show (one line,
//! visible, bounded, in marked blocks), and the only links are the customer's portal and tickets on hosts that the
//! settings allow.

mod check;
mod cloud_event;
mod commands;
mod document;
mod engine;
mod foreign;
mod layout;
mod letter;
mod links;
mod request;
mod scene;
mod subject;
mod times;
mod variables;
mod webhook;

pub use check::check;
pub use letter::{Letter, letter};
pub use scene::Scene;
pub use webhook::{Body, LONGEST_BODY, event};

/// What was made, and what could not be made as the settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered<T> {
    /// What to send. With trouble it is the built-in text, or lacks the settings' zone.
    pub what: T,
    /// What of the settings could not be used, by field, in a sentence of at most 1024 characters.
    pub trouble: Option<String>,
}

impl<T> Rendered<T> {
    fn new(what: T, troubles: &[String]) -> Self {
        let trouble = (!troubles.is_empty()).then(|| lockbox_lifecycle::text::clip(&troubles.join("; "), 1024));
        Self { what, trouble }
    }
}

/// What a message is called wherever it goes, the same at every attempt: `lockbox-UID-0003`, from the request's UID and
/// the message's id. It is the `id` of the event; with `@` and a host behind it, it is an e-mail's Message-ID. At most 128
/// characters, of letters, digits, `-` and `_` alone: signed webhooks take no dot in an id.
pub fn message_id(uid: &str, id: &str) -> String {
    let part = |text: &str, most: usize| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(most).collect()
    };
    format!("lockbox-{}-{}", part(uid, 64), part(id, 40))
}

#[cfg(test)]
mod tests {
    use super::message_id;

    #[test]
    fn a_message_is_called_the_same_at_every_attempt_and_never_breaks_a_header() {
        assert_eq!(message_id("6f1c-22", "0003"), "lockbox-6f1c-22-0003");
        assert_eq!(message_id("6f1c-22", "internal-reminder-1h30m"), "lockbox-6f1c-22-internal-reminder-1h30m");
        assert_eq!(message_id("a>\r\nBcc: x@y", "<1 2>"), "lockbox-aBccxy-12");
    }
}
