//! A trial of the safety net: a Job of a second that owns an empty Role, as a grant's deadline Job owns the grant. Where
//! the cluster's own Job, TTL and garbage-collection controllers work, both are gone a few seconds later.

use k8s_openapi::api::{batch::v1::Job, rbac::v1::Role};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
    core::PartialObjectMeta,
};

use super::{Cluster, Error, background, deleted, grants, limited};
use lockbox_api::names;

impl Cluster {
    /// Makes the Job and the Role, in the operator's namespace.
    pub async fn make_canary(&self, name: &str) -> Result<(), Error> {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.config.namespace.clone()),
            labels: Some(
                [(names::CANARY, "true"), (names::MANAGED_BY, names::MANAGER)]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        };
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let job = grants::job_of_no_pods(metadata.clone(), 1);
        let job = limited("try the safety net", jobs.create(&PostParams::default(), &job)).await?;
        let roles: Api<Role> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let owner = grants::owner(&job, "batch/v1", "Job");
        let role =
            Role { metadata: ObjectMeta { owner_references: Some(vec![owner]), ..metadata }, rules: Some(vec![]) };
        let made = limited("try the safety net", roles.create(&PostParams::default(), &role)).await;
        if made.is_err() {
            // Nothing is left of a trial that did not come about.
            deleted("end a trial of the safety net", jobs.delete(name, &background())).await?;
        }
        made.map(drop)
    }

    /// Whether nothing is left of it.
    pub async fn canary_is_gone(&self, name: &str) -> Result<bool, Error> {
        let jobs: Api<PartialObjectMeta<Job>> = Api::namespaced(self.client.clone(), &self.config.namespace);
        if limited("look at a trial of the safety net", jobs.get_opt(name)).await?.is_some() {
            return Ok(false);
        }
        let roles: Api<PartialObjectMeta<Role>> = Api::namespaced(self.client.clone(), &self.config.namespace);
        Ok(limited("look at a trial of the safety net", roles.get_opt(name)).await?.is_none())
    }
}
