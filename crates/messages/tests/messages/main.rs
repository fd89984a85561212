//! What messages say: golden files that a person has read, hostile words, templates, events, examples.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    reason = "tests, which read and write files"
)]

mod examples;
mod golden;
mod hostile;
mod scenes;
mod templates;
