//! By which right the API server allowed a call: what its RBAC authorizer wrote into the event.

use lockbox_api::{Scope, names};

/// What every reason of the RBAC authorizer begins with.
const RBAC: &str = "RBAC: allowed by ";

/// A binding, as the RBAC authorizer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// Where it is; none for a `ClusterRoleBinding`.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
}

impl<'a> Binding<'a> {
    /// The binding that a reason names: `RBAC: allowed by RoleBinding "NAME/NAMESPACE" of Role "…" to User "…"`, or
    /// `ClusterRoleBinding "NAME"`. Only what stands where the authorizer writes it counts: names further on are not
    /// looked at.
    pub fn of(reason: &'a str) -> Option<Self> {
        let rest = reason.strip_prefix(RBAC)?;
        let quoted = |rest: &'a str| rest.strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(name, _)| name);
        if let Some(rest) = rest.strip_prefix("ClusterRoleBinding ") {
            return Some(Self { namespace: None, name: quoted(rest)? });
        }
        let (name, namespace) = quoted(rest.strip_prefix("RoleBinding ")?)?.rsplit_once('/')?;
        Some(Self { namespace: Some(namespace), name })
    }

    /// The UID of the request whose access it is, if it is one.
    pub fn request(self) -> Option<&'a str> {
        self.name.strip_prefix(names::grant("").as_str()).filter(|uid| !uid.is_empty())
    }

    /// Whether it is where the access of a request with this scope and namespace is.
    pub fn is_in(self, scope: Scope, namespace: &str) -> bool {
        match scope {
            Scope::Subscription => self.namespace == Some(namespace),
            Scope::Tenant => self.namespace.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binding_of_an_access_is_recognised() {
        let reason =
            "RBAC: allowed by RoleBinding \"lockbox-grant-u1/shop\" of Role \"lockbox-grant-u1\" to User \"kim\"";
        let binding = Binding::of(reason).unwrap();
        assert_eq!(binding, Binding { namespace: Some("shop"), name: "lockbox-grant-u1" });
        assert_eq!(binding.request(), Some("u1"));
        assert!(binding.is_in(Scope::Subscription, "shop"));
        assert!(!binding.is_in(Scope::Subscription, "other"));
        assert!(!binding.is_in(Scope::Tenant, "shop"));
        let reason = "RBAC: allowed by ClusterRoleBinding \"lockbox-grant-u2\" of ClusterRole \"lockbox-grant-u2\" to User \"kim\"";
        let binding = Binding::of(reason).unwrap();
        assert_eq!(binding.request(), Some("u2"));
        assert!(binding.is_in(Scope::Tenant, "anything"));
        assert!(!binding.is_in(Scope::Subscription, "shop"));
    }

    #[test]
    fn a_name_that_stands_elsewhere_in_a_reason_is_no_attribution() {
        for reason in [
            "",
            "access granted by IAM permissions.",
            "RBAC: allowed by ClusterRoleBinding \"admins\" of ClusterRole \"lockbox-grant-u1\" to User \"kim\"",
            "RBAC: allowed by ClusterRoleBinding \"admins\" of ClusterRole \"x\" to User \"RoleBinding \\\"lockbox-grant-u1/shop\\\"\"",
            "RBAC: allowed by RoleBinding \"x-lockbox-grant-u1/shop\" of Role \"x\" to User \"kim\"",
            "allowed by RoleBinding \"lockbox-grant-u1/shop\"",
            "RBAC: allowed by RoleBinding \"lockbox-grant-/shop\" of Role \"x\" to User \"kim\"",
            "RBAC: allowed by RoleBinding \"lockbox-grant-u1",
        ] {
            assert_eq!(Binding::of(reason).and_then(Binding::request), None, "{reason}");
        }
    }
}
