//! Customer Lockbox for Kubernetes.

pub mod api;
