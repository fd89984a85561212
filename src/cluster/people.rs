//! Bindings of the chart's roles to people.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};

use super::{Cluster, Error, background, deleted, limited};
use lockbox_api::{PrincipalKind, names};
use lockbox_lifecycle::people::PeopleBinding;

const RBAC: &str = "rbac.authorization.k8s.io";

impl Cluster {
    /// Binds people to a role. The name says what the binding says, so one that is there is the one that is wanted.
    pub async fn bind_people(&self, wanted: &PeopleBinding) -> Result<(), Error> {
        let metadata = ObjectMeta {
            name: Some(wanted.name()),
            namespace: wanted.namespace.clone(),
            labels: Some(BTreeMap::from([
                (names::PEOPLE.to_owned(), wanted.role.short().to_owned()),
                (names::MANAGED_BY.to_owned(), names::MANAGER.to_owned()),
            ])),
            ..ObjectMeta::default()
        };
        let role_ref = RoleRef { api_group: RBAC.into(), kind: "ClusterRole".into(), name: wanted.role.cluster_role() };
        let kind = match wanted.principal.kind {
            PrincipalKind::User => "User",
            PrincipalKind::Group => "Group",
        };
        let subjects = Some(vec![Subject {
            api_group: Some(RBAC.into()),
            kind: kind.into(),
            name: wanted.principal.name.clone(),
            namespace: None,
        }]);
        let parameters = PostParams::default();
        let made = if let Some(namespace) = &wanted.namespace {
            let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
            let binding = RoleBinding { metadata, role_ref, subjects };
            limited("bind people to a role", bindings.create(&parameters, &binding)).await.map(drop)
        } else {
            let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
            let binding = ClusterRoleBinding { metadata, role_ref, subjects };
            limited("bind people to a role", bindings.create(&parameters, &binding)).await.map(drop)
        };
        match made {
            Err(error) if error.already_exists() || error.namespace_is_ending() => Ok(()),
            made => made,
        }
    }

    /// Removes a binding that is no longer wanted.
    pub async fn unbind_people(&self, namespace: Option<&str>, name: &str) -> Result<(), Error> {
        if let Some(namespace) = namespace {
            let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
            deleted("unbind people from a role", bindings.delete(name, &background())).await.map(drop)
        } else {
            let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
            deleted("unbind people from a role", bindings.delete(name, &background())).await.map(drop)
        }
    }
}
