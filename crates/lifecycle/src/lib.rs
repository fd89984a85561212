//! What happens next: [`step`] decides, from facts that are handed in and a time that is handed in.
//!
//! Nothing in here reads a clock, calls the API server, or knows that there is one. A test holds it to that.

pub mod access;
pub mod admission;
pub mod approvers;
pub mod audit;
pub mod conditions;
pub mod decisions;
pub mod evaluate;
pub mod facts;
mod grant;
pub mod history;
pub mod jit;
pub mod people;
pub mod policies;
pub mod proofs;
pub mod recognition;
pub mod services;
pub mod settings;
mod step;
pub mod text;
mod why;

pub use facts::{Facts, GrantView, RoleView};
pub use grant::GrantPlan;
pub use proofs::{Proof, Proofs};
pub use step::{Action, Step, step};
pub use why::Why;
