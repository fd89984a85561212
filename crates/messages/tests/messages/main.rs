//! What messages say: golden files that a person has read, hostile words, templates, events, examples.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod examples;
mod golden;
mod hostile;
mod scenes;
mod templates;
