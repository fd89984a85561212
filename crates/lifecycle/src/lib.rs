//! What happens next: [`step`] decides from the facts and the time that are passed in.
//!
//! Nothing in this crate reads a clock or calls the API server: it depends on no client, and its `clippy.toml` forbids
//! the clocks, files and sockets of the standard library.

pub mod access;
pub mod admission;
pub mod approvers;
mod asking;
pub mod audit;
pub mod changes;
pub mod conditions;
pub mod decisions;
pub mod evaluate;
pub mod facts;
mod grant;
pub mod history;
pub mod jit;
pub mod limits;
mod locks;
pub mod notifications;
pub mod people;
pub mod placement;
pub mod policies;
pub mod proofs;
mod reason;
pub mod recognition;
pub mod removal;
pub mod services;
pub mod settings;
mod state;
mod step;
pub mod text;
mod transition;
pub mod views;
mod why;

pub use facts::{Attempt, Facts, Forgery, GrantView, OpenRequests, Outcomes, RoleView};
pub use grant::GrantPlan;
pub use notifications::{Channels, Delivery, Message, Recipient};
pub use placement::PlacementView;
pub use proofs::{Proof, Proofs};
pub use reason::Reason;
pub use settings::SettingsView;
pub use step::{Action, Step, is_degraded, step};
pub use why::Why;
