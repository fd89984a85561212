//! Whom a binding names, and which role.

use k8s_openapi::api::rbac::v1::{RoleRef, Subject};

use lockbox_api::Principal;

const GROUP: &str = "rbac.authorization.k8s.io";

/// A Role or a `ClusterRole`, as a binding refers to it.
pub(super) fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: GROUP.into(), kind: kind.into(), name: name.into() }
}

/// A user or a group, as a binding names it.
pub(super) fn subject(principal: &Principal) -> Subject {
    Subject {
        api_group: Some(GROUP.into()),
        kind: principal.kind.to_string(),
        name: principal.name.clone(),
        namespace: None,
    }
}
