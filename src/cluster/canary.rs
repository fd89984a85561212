//! A trial of the safety net: a Job of a second that owns a Role and its binding, made as a grant's are, without rules and
//! for nobody. Where the cluster's own Job, TTL and garbage-collection controllers work, and nothing in the cluster refuses
//! them, all three are gone a few seconds later.

use k8s_openapi::api::{
    batch::v1::Job,
    rbac::v1::{Role, RoleBinding},
};
use kube::{Api, api::PostParams, core::PartialObjectMeta};

use super::{
    Cluster, Error, background, deleted,
    grants::{self, Identity},
    limited,
};
use lockbox_api::{Moment, names};

impl Cluster {
    /// Makes the Job, the Role and the binding, in the operator's namespace.
    pub async fn make_canary(&self, name: &str, now: Moment) -> Result<(), Error> {
        let namespace = &self.config.namespace;
        let identity = Identity { name, namespace: Some(namespace), labels: vec![(names::CANARY, "true")], until: now };
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let job = grants::deadline_job(&self.config, &identity, None, 1);
        let job = limited("try the safety net", jobs.create(&PostParams::default(), &job)).await?;
        let made = self.hang_on(&job, &identity).await;
        if made.is_err() {
            // Nothing is left of a trial that did not come about.
            deleted("end a trial of the safety net", jobs.delete(name, &background())).await?;
        }
        made
    }

    async fn hang_on(&self, job: &Job, identity: &Identity<'_>) -> Result<(), Error> {
        let owner = || Some(grants::owner(job, "batch/v1", "Job"));
        let roles: Api<Role> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let role = grants::role(&self.config.grant, identity, owner(), vec![]);
        limited("try the safety net", roles.create(&PostParams::default(), &role)).await?;
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let binding = grants::binding(&self.config.grant, identity, owner(), identity.name, names::NOBODY);
        limited("try the safety net", bindings.create(&PostParams::default(), &binding)).await.map(drop)
    }

    /// Whether nothing is left of it.
    pub async fn canary_is_gone(&self, name: &str) -> Result<bool, Error> {
        let namespace = &self.config.namespace;
        let jobs: Api<PartialObjectMeta<Job>> = Api::namespaced(self.client.clone(), namespace);
        let roles: Api<PartialObjectMeta<Role>> = Api::namespaced(self.client.clone(), namespace);
        let bindings: Api<PartialObjectMeta<RoleBinding>> = Api::namespaced(self.client.clone(), namespace);
        let look = "look at a trial of the safety net";
        Ok(limited(look, jobs.get_opt(name)).await?.is_none()
            && limited(look, roles.get_opt(name)).await?.is_none()
            && limited(look, bindings.get_opt(name)).await?.is_none())
    }
}
