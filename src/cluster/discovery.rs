//! Which kinds this cluster serves.

use std::collections::BTreeSet;

use super::{Cluster, Error, limited};
use lockbox_api::settings::GroupResource;

impl Cluster {
    /// All kinds that the cluster serves, whatever their version. A group that does not answer (an aggregated API that
    /// is down) is taken as not served for now.
    pub async fn served_kinds(&self) -> Result<BTreeSet<GroupResource>, Error> {
        let mut kinds = BTreeSet::new();
        let core = limited("list the kinds of the core group", self.client.list_core_api_resources("v1")).await?;
        let plain = |name: &str| !name.contains('/');
        kinds.extend(
            core.resources
                .into_iter()
                .filter(|resource| plain(&resource.name))
                .map(|resource| GroupResource { group: String::new(), resource: resource.name }),
        );
        let groups = limited("list API groups", self.client.list_api_groups()).await?;
        for group in groups.groups {
            for version in group.versions {
                let listed = self.client.list_api_group_resources(&version.group_version);
                match limited("list the kinds of an API group", listed).await {
                    Ok(list) => kinds.extend(
                        list.resources
                            .into_iter()
                            .filter(|resource| plain(&resource.name))
                            .map(|resource| GroupResource { group: group.name.clone(), resource: resource.name }),
                    ),
                    Err(error) => {
                        tracing::warn!(group = version.group_version, %error, "this API group does not answer");
                    }
                }
            }
        }
        Ok(kinds)
    }
}
