//! Bindings of the chart's roles to people.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api, Resource,
    api::{ObjectMeta, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Cluster, Error, background, deleted, limited,
    rbac::{role_ref, subject},
};
use lockbox_api::names;
use lockbox_lifecycle::people::{PeopleBinding, Source};

impl Cluster {
    /// Binds people to a role. The name says what the binding says; one of that name that is there already is compared
    /// all the same, and never adopted when it says something else.
    pub async fn bind_people(&self, wanted: &PeopleBinding, source: Option<&Source>) -> Result<(), Error> {
        let metadata = ObjectMeta {
            name: Some(wanted.name()),
            namespace: wanted.namespace.clone(),
            labels: Some(BTreeMap::from([
                (names::PEOPLE.to_owned(), wanted.role.short().to_owned()),
                (names::MANAGED_BY.to_owned(), names::MANAGER.to_owned()),
            ])),
            annotations: source.map(|source| {
                BTreeMap::from([
                    (names::ASSIGNMENT.to_owned(), format!("{}/{}", source.namespace, source.name)),
                    (names::ASSIGNMENT_UID.to_owned(), source.uid.clone()),
                ])
            }),
            ..ObjectMeta::default()
        };
        let role_ref = role_ref("ClusterRole", &wanted.role.cluster_role());
        let subjects = Some(vec![subject(&wanted.principal)]);
        if let Some(namespace) = &wanted.namespace {
            let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
            let binding = RoleBinding { metadata, role_ref, subjects };
            let same = |there: &RoleBinding| there.role_ref == binding.role_ref && there.subjects == binding.subjects;
            make("RoleBinding", &bindings, &binding, same).await
        } else {
            let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
            let binding = ClusterRoleBinding { metadata, role_ref, subjects };
            let same =
                |there: &ClusterRoleBinding| there.role_ref == binding.role_ref && there.subjects == binding.subjects;
            make("ClusterRoleBinding", &bindings, &binding, same).await
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

/// Creates a binding, or finds that it is there as it should be.
async fn make<K>(kind: &'static str, api: &Api<K>, wanted: &K, same: impl Fn(&K) -> bool) -> Result<(), Error>
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let name = wanted.meta().name.as_deref().unwrap_or_default();
    match limited("bind people to a role", api.create(&PostParams::default(), wanted)).await {
        Err(error) if error.already_exists() => {}
        made => return made.map(drop),
    }
    let there = limited("read a binding of people", api.get(name)).await?;
    let label = |object: &K| object.meta().labels.as_ref().and_then(|labels| labels.get(names::PEOPLE)).cloned();
    let what = if there.meta().deletion_timestamp.is_some() {
        "it is being deleted"
    } else if label(&there) != label(wanted) {
        "its label lockbox.dev/people does not name the role; delete it"
    } else if !same(&there) {
        "it binds something else; delete it"
    } else {
        return Ok(());
    };
    Err(Error::Foreign { kind, name: name.into(), what: what.into() })
}
