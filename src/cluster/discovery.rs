//! Which kinds this cluster serves, and how ours are defined.

use std::{borrow::Cow, collections::BTreeSet};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Resource, core::PartialObjectMeta};

use super::{Cluster, Error, limited};
use crate::crds;
use lockbox_api::{LockboxRequest, LockboxSettings, RoleAssignment, names, settings::GroupResource};

/// Whether our kinds are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OurKinds {
    /// They are.
    Served,
    /// The API server does not know them: the definitions are not installed.
    Missing,
}

impl Cluster {
    /// All kinds that the cluster serves, whatever their version, in two calls. For an aggregated API that is down, the
    /// API server returns what it knew last, or nothing.
    pub async fn served_kinds(&self) -> Result<BTreeSet<GroupResource>, Error> {
        let core = limited("list the kinds of the core group", self.client.list_core_api_versions_aggregated());
        let groups = limited("list the kinds of all API groups", self.client.list_api_groups_aggregated());
        let (core, groups) = futures::future::try_join(core, groups).await?;
        let mut kinds = BTreeSet::new();
        for group in core.items.into_iter().chain(groups.items) {
            let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            let resources = group.versions.into_iter().flat_map(|version| version.resources);
            kinds.extend(
                resources
                    .filter_map(|resource| resource.resource)
                    .map(|resource| GroupResource { group: name.clone(), resource }),
            );
        }
        Ok(kinds)
    }

    /// Whether our kinds are served. An error says that nobody knows.
    pub async fn our_kinds(&self) -> Result<OurKinds, Error> {
        let version = LockboxRequest::api_version(&());
        match limited("look for the kinds of lockbox.dev", self.client.list_api_group_resources(&version)).await {
            // The group is there as soon as the first of the definitions is.
            Ok(list) => {
                let served = |plural: Cow<'_, str>| list.resources.iter().any(|resource| resource.name == plural);
                let all = [LockboxRequest::plural(&()), LockboxSettings::plural(&()), RoleAssignment::plural(&())];
                let all = all.into_iter().all(served);
                Ok(if all { OurKinds::Served } else { OurKinds::Missing })
            }
            // For a group that it does not know the API server answers 404 in plain text, without a reason.
            Err(error) if error.status().is_some_and(|status| status.code == 404) => Ok(OurKinds::Missing),
            Err(error) => Err(error),
        }
    }

    /// The names of our definitions that are not those of this version of the operator.
    pub async fn other_definitions(&self) -> Result<Vec<String>, Error> {
        let definitions: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(self.client.clone());
        let mut others = vec![];
        for (name, digest) in crds::digests() {
            let there = limited("read a CustomResourceDefinition", definitions.get_metadata_opt(&name)).await?;
            let stamp = there
                .as_ref()
                .and_then(|there| there.metadata.annotations.as_ref())
                .and_then(|annotations| annotations.get(names::DEFINITION));
            if stamp != Some(&digest) {
                others.push(name);
            }
        }
        Ok(others)
    }
}
