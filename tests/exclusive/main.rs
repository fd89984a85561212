//! Lockbox on real API servers, where a test takes away what others rely on: it kills the operator, removes policies,
//! switches Lockbox off. Each file has a cluster of its own, or its tests take [`turn`]s on a shared one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    missing_docs
)]

mod activity;
mod attacks_admission;
mod attacks_net;
mod attacks_people;
mod attacks_strict;
mod attacks_unattended;
mod attacks_views;
mod crashes;
mod ends;
mod proxy;
mod replicas;
mod requirements_activation;
#[path = "../support/mod.rs"]
mod support;
mod swallowed;
mod told;
mod without_settings;
mod writes;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use support::{World, requirements};

/// The cluster with the settings of the examples, for one test at a time; what it changes it puts back.
fn turn() -> (&'static World, MutexGuard<'static, ()>) {
    static WORLD: LazyLock<World> = LazyLock::new(World::new);
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (&*WORLD, turn)
}
