//! What needs no API server: definitions and their rules, documents, `explain`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    missing_docs
)]

mod diagram;
mod docs;
mod explain;
mod monitoring;
mod review;
mod schema_generated;
mod schema_rules;
#[path = "../schema_support/mod.rs"]
mod schema_support;
