//! Finding grants by their labels, whether or not a request remembers them.

use std::{collections::HashSet, time::Duration};

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::{Api, Resource, ResourceExt, api::ListParams, core::PartialObjectMeta};
use serde::de::DeserializeOwned;

use super::{Cluster, Error, each};
use lockbox_api::{Moment, Scope, names, time::parse};

/// A grant's binding, or what is left of a grant, as it stands in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundGrant {
    /// Where its binding is.
    pub scope: Scope,
    /// Its namespace; empty for one of the cluster's.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The request's name.
    pub request: String,
    /// The request's UID.
    pub uid: String,
    /// When it ends; none when that cannot be read, and then it has ended.
    pub until: Option<Moment>,
    /// How long it has been there.
    pub age: Duration,
}

impl Cluster {
    /// All grants in the cluster, as far as they can be listed, and what went wrong with the rest.
    pub async fn find_grants(&self, now: Moment) -> (Vec<FoundGrant>, Vec<Error>) {
        let bindings: Api<PartialObjectMeta<RoleBinding>> = Api::all(self.client.clone());
        let cluster_bindings: Api<PartialObjectMeta<ClusterRoleBinding>> = Api::all(self.client.clone());
        // A ClusterRole whose binding is gone gives nobody anything, but it must not stay.
        let roles: Api<PartialObjectMeta<ClusterRole>> = Api::all(self.client.clone());
        let (mut grants, mut errors) = (vec![], vec![]);
        let mut take = |listed: Result<Vec<FoundGrant>, Error>| match listed {
            Ok(found) => grants.extend(found),
            Err(error) => errors.push(error),
        };
        take(self.find(&bindings, Scope::Subscription, now).await);
        take(self.find(&cluster_bindings, Scope::Tenant, now).await);
        let roles = self.find(&roles, Scope::Tenant, now).await;
        let bound: HashSet<String> = grants.iter().map(|grant| grant.name.clone()).collect();
        match roles {
            Ok(roles) => grants.extend(roles.into_iter().filter(|role| !bound.contains(&role.name))),
            Err(error) => errors.push(error),
        }
        (grants, errors)
    }

    async fn find<K>(
        &self,
        api: &Api<PartialObjectMeta<K>>,
        scope: Scope,
        now: Moment,
    ) -> Result<Vec<FoundGrant>, Error>
    where
        K: Clone + std::fmt::Debug,
        PartialObjectMeta<K>: Resource + DeserializeOwned,
    {
        let mut found = vec![];
        each("list grants", api, ListParams::default().labels(names::REQUEST_UID), |object| {
            let created = object.meta().creation_timestamp.as_ref().map_or(now, lockbox_api::time::from_kubernetes);
            found.push(FoundGrant {
                scope,
                namespace: object.namespace().unwrap_or_default(),
                name: object.name_any(),
                request: object.labels().get(names::REQUEST).cloned().unwrap_or_default(),
                uid: object.labels().get(names::REQUEST_UID).cloned().unwrap_or_default(),
                until: object.annotations().get(names::ACCESS_UNTIL).and_then(|until| parse(until)),
                age: (now - created).to_std().unwrap_or_default(),
            });
        })
        .await?;
        Ok(found)
    }
}
