//! Why something is in the state it is in.

use crate::{reason::Reason, text::clip};

/// Characters that a message has at most; the schema's limit too.
const LONGEST: usize = 1024;

/// A reason in one word, and in a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// In one word.
    pub reason: Reason,
    /// In a sentence of at most 1024 characters.
    pub message: String,
}

impl Why {
    pub(crate) fn new(reason: Reason, message: impl AsRef<str>) -> Self {
        Self { reason, message: clip(message.as_ref(), LONGEST) }
    }
}
