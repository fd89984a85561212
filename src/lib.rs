//! **Lockbox**: Customer Lockbox for Kubernetes.
//!
//! A provider's support engineer requests access to a customer's resources with a `LockboxRequest`. Just-in-time rules
//! check it, and the provider's own approvers too if a rule requires them. The customer's designated approvers approve
//! or deny it. Approved access is RBAC for exactly that user and those resources, and ends by itself.
//!
//! # Code map
//!
//! | module | what it answers | may |
//! |---|---|---|
//! | [`api`] | what is stored | serde and schema only |
//! | [`lifecycle`] | what happens next | decide; no I/O, no clock |
//! | [`cluster`] | what is written to the API server | write, each call with a time limit |
//! | [`controller`] | when to look, and at what | watch, gather facts, perform a step |
//! | [`connection`] | how the API server is reached | send, and notice silence |
//! | `outbox` | which messages are on their way | send, and remember nothing that matters |
//! | [`notify`] | how a message leaves the cluster | talk to mail servers and webhooks, one message at a time |
//! | `activity` | what the API server's audit stream says of accesses | listen; write nothing |
//! | `lease` | which of several operators acts | hold one Lease |
//! | `health` | whether the operator does its work | look |
//! | [`metrics`] | what is counted and measured | count |
//! | [`operator`] | how it is wired and stopped | start and stop |
//!
//! # Invariants
//!
//! 1. No binding exists without a recorded approval, an absolute end, and a live request.
//! 2. Status is the only memory: kill the process between any two writes, start it again, and it continues.
//! 3. Fail closed: what is unknown, unreadable or late gives nobody access.
//! 4. Every write is a compare-and-swap, or idempotent by name.

mod activity;
pub mod cluster;
pub mod config;
pub mod connection;
mod controller;
pub mod crds;
mod health;
mod http;
mod lease;
pub mod metrics;
pub mod notify;
pub mod operator;
mod outbox;
