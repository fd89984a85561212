//! Lockbox on a real API server: one cluster, which all tests share.
//!
//! Each test has namespaces of its own. The settings are one object, so a test says how it stands to them:
//! - [`steady`] keeps them as the examples have them, for the whole test and along with others;
//! - [`WORLD`] promises nothing: [`World::ask`] waits for the examples' settings, and [`World::with_settings`] and
//!   `ask_under` change them while nobody else relies on them.
//!
//! What ends the requests of others (Lockbox is switched off, the settings are deleted), kills the operator or takes
//! policies away is in `tests/exclusive`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    missing_docs
)]

mod attacks_assignments;
mod attacks_audit;
mod attacks_grants;
mod attacks_requests;
mod examples;
mod grantable;
mod messages;
mod requirements_approvers;
mod requirements_audit;
mod requirements_rules;
mod schema_server;
#[path = "../schema_support/mod.rs"]
mod schema_support;
#[path = "../support/mod.rs"]
mod support;
mod workflow;

use std::sync::LazyLock;

use support::{Steady, World, requirements};

static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// The cluster, with the settings of the examples until this value goes.
fn steady() -> Steady<'static> {
    WORLD.steady()
}
