//! The Roles that name the requests which one of the provider's people sees, and their bindings.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use kube::{
    Api, Resource as _,
    api::{ObjectMeta, PostParams},
};

use super::{
    Cluster, Error, background, deleted, limited,
    rbac::{role_ref, subject},
};
use lockbox_api::{LockboxRequest, Principal, names};

/// To patch is to withdraw, to give back, to decide: which of it is for the admission policies.
const VERBS: [&str; 4] = ["get", "list", "watch", "patch"];

impl Cluster {
    /// Makes a Role that names these requests, or finds the one that is there. `requests` has one at least: without
    /// names RBAC takes a rule for all.
    pub async fn make_view(&self, namespace: &str, name: &str, requests: &[String]) -> Result<Role, Error> {
        let roles: Api<Role> = Api::namespaced(self.client.clone(), namespace);
        let role = Role { metadata: metadata(namespace, name), rules: Some(rules(requests)) };
        match limited("make a Role for requests", roles.create(&PostParams::default(), &role)).await {
            Err(error) if error.already_exists() => {}
            made => return made,
        }
        let there = limited("read a Role for requests", roles.get(name)).await?;
        if there.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(names::VIEW)) {
            return Ok(there);
        }
        Err(Error::Foreign { kind: "Role", name: name.into(), what: format!("it lacks the label {}", names::VIEW) })
    }

    /// Lets a Role name these requests, over the version that was read.
    pub async fn change_view(&self, role: &Role, requests: &[String]) -> Result<Role, Error> {
        let namespace = role.metadata.namespace.as_deref().unwrap_or_default();
        let name = role.metadata.name.as_deref().unwrap_or_default();
        let roles: Api<Role> = Api::namespaced(self.client.clone(), namespace);
        let version = role.metadata.resource_version.clone();
        let metadata = ObjectMeta { resource_version: version, ..metadata(namespace, name) };
        let changed = Role { metadata, rules: Some(rules(requests)) };
        limited("change a Role for requests", roles.replace(name, &PostParams::default(), &changed)).await
    }

    /// Binds a principal to the Role of this name. The name follows from the principal, so a binding that is there is
    /// the one that is wanted.
    pub async fn bind_view(&self, namespace: &str, name: &str, principal: &Principal) -> Result<(), Error> {
        let binding = RoleBinding {
            metadata: metadata(namespace, name),
            role_ref: role_ref("Role", name),
            subjects: Some(vec![subject(principal)]),
        };
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
        match limited("bind a Role for requests", bindings.create(&PostParams::default(), &binding)).await {
            Err(error) if !error.already_exists() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a Role that names nothing any more, its binding first.
    pub async fn remove_view(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
        deleted("unbind a Role for requests", bindings.delete(name, &background())).await?;
        let roles: Api<Role> = Api::namespaced(self.client.clone(), namespace);
        deleted("remove a Role for requests", roles.delete(name, &background())).await?;
        Ok(())
    }
}

/// The requests that such a Role names.
pub fn named_by(role: &Role) -> Vec<String> {
    let rules = role.rules.iter().flatten();
    rules.flat_map(|rule| rule.resource_names.iter().flatten()).cloned().collect()
}

fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(namespace.into()),
        labels: Some(BTreeMap::from([
            (names::VIEW.to_owned(), "true".to_owned()),
            (names::MANAGED_BY.to_owned(), names::MANAGER.to_owned()),
        ])),
        ..ObjectMeta::default()
    }
}

fn rules(requests: &[String]) -> Vec<PolicyRule> {
    vec![PolicyRule {
        api_groups: Some(vec![LockboxRequest::group(&()).into()]),
        resources: Some(vec![LockboxRequest::plural(&()).into()]),
        resource_names: Some(requests.to_vec()),
        verbs: VERBS.map(Into::into).into(),
        ..PolicyRule::default()
    }]
}
