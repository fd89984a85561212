//! One webhook message, and how it is signed (Standard Webhooks).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use lockbox_api::Moment;
use sha2::Sha256;

use super::{DeliveryStep, Trouble, delivery::Failed, secrets};

/// Most bytes of a body.
const BODY: usize = 1024 * 1024;
/// Most keys of a webhook: two while they are rotated.
const KEYS: usize = 4;
/// Bytes of a key, as Standard Webhooks has them.
const KEY: std::ops::RangeInclusive<usize> = 24..=64;

/// One message to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// The same for every attempt: it becomes `webhook-id`, by which a receiver drops repeats. At most 128 letters, digits,
    /// `-`, `_`, `=` and `:`. No `.`: that separates the parts of what is signed.
    pub id: String,
    /// The moment of this attempt: it becomes `webhook-timestamp`. Receivers refuse what is some minutes old, so it is
    /// another one for every attempt; the moment of what is told belongs into the body.
    pub at: Moment,
    /// Such as `application/cloudevents+json`.
    pub content_type: String,
    /// At most 1 MiB.
    pub body: Vec<u8>,
}

impl Post {
    pub(super) fn check(&self) -> Result<(), Failed> {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_=:".contains(c);
        if self.id.is_empty() || self.id.len() > 128 || !self.id.chars().all(known) {
            return Err(Failed::never(DeliveryStep::Content, "the id has characters that a webhook-id cannot have"));
        }
        if self.body.len() > BODY {
            return Err(Failed::never(DeliveryStep::Content, "the message has more than 1 MiB"));
        }
        Ok(())
    }

    /// The value of `webhook-signature`: one signature with each key.
    pub(super) fn signatures(&self, keys: &Keys) -> String {
        let sign = |key: &Vec<u8>| {
            // HMAC takes keys of any length.
            let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            mac.update(format!("{}.{}.", self.id, self.at.timestamp()).as_bytes());
            mac.update(&self.body);
            Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
        };
        keys.0.iter().filter_map(sign).collect::<Vec<_>>().join(" ")
    }
}

/// The keys of a webhook; none if its receiver checks no signature.
pub(super) struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// Reads `whsec_…` once or several times, separated by blanks or lines, or the word `unsigned`. That a file is needed
    /// even then keeps a forgotten key from passing for a wish.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, Trouble> {
        let words: Vec<&str> = text.split_whitespace().take(KEYS + 1).collect();
        if words == ["unsigned"] {
            return Ok(Keys(vec![]));
        }
        if words.is_empty() || words.len() > KEYS {
            return Err(secrets::trouble(file, "needs one to four keys, or the word unsigned"));
        }
        let key = |word: &&str| {
            let bytes = word.strip_prefix("whsec_").and_then(|key| BASE64_STANDARD.decode(key).ok());
            bytes.filter(|bytes| KEY.contains(&bytes.len()))
        };
        let keys: Option<Vec<_>> = words.iter().map(key).collect();
        keys.map(Keys)
            .ok_or_else(|| secrets::trouble(file, "needs keys of the form whsec_ and 24 to 64 bytes in base64"))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_standards_own_example() {
        let post = Post {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            at: Moment::from_timestamp(1_614_265_330, 0).unwrap(),
            content_type: "application/json".into(),
            body: br#"{"test": 2432232314}"#.to_vec(),
        };
        let keys = Keys::parse("f", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").ok().unwrap();
        assert_eq!(post.signatures(&keys), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn keys_are_read_with_blanks_and_lines_between_and_anything_else_is_refused() {
        let one = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(Keys::parse("f", &format!("{one}\n {one}\n")).ok().unwrap().0.len(), 2);
        assert!(Keys::parse("f", "unsigned").ok().unwrap().is_empty());
        for text in
            ["", " ", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &[one; 5].join(" "), "unsigned x"]
        {
            let refused = Keys::parse("webhook-x-secret", text).err().unwrap();
            assert!(
                refused.words.starts_with("webhook-x-secret ") && !refused.words.contains("MfKQ"),
                "{text}: {refused}"
            );
        }
    }

    #[test]
    fn an_id_that_would_change_what_is_signed_is_refused() {
        for id in ["", "a.1", "a\r\nx: y", "a b", &"a".repeat(129)] {
            let post = Post { id: id.into(), at: Moment::UNIX_EPOCH, content_type: "text/plain".into(), body: vec![] };
            assert!(matches!(post.check(), Err(Failed::Never(_))), "{id:?}");
        }
    }
}
