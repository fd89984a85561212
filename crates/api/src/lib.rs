//! What is stored: the three kinds, their schema and their serde. No client, no runtime, no clock.

pub mod activity;
pub mod assignment;
pub mod condition;
pub mod duration;
pub mod names;
pub mod notifications;
pub mod principal;
pub mod request;
mod rules;
pub mod schema;
pub mod settings;
pub mod time;
pub mod vocabulary;

pub use activity::Activity;
pub use assignment::{RoleAssignment, RoleAssignmentSpec, RoleAssignmentStatus};
pub use duration::Duration;
pub use notifications::{Audience, DeliveryState, MessageKind};
pub use principal::Principal;
pub use request::{LockboxRequest, LockboxRequestSpec, LockboxRequestStatus};
pub use settings::{LockboxSettings, LockboxSettingsSpec, LockboxSettingsStatus};
pub use time::Moment;
pub use vocabulary::{
    AssignedRole, AuditAction, Circumstance, GrantForm, Identity, Origin, Phase, PrincipalKind, RuleEffect, Scope,
    Verdict,
};
