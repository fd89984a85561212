//! Why something stands where it stands.

/// A reason as one word, and as a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// As one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

impl Why {
    pub(crate) fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}
