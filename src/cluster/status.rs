//! Writing `/status`: always the whole of it, and only over the version that was read.

use kube::{Api, api::PostParams};

use super::{Cluster, Error, limited};
use lockbox_api::{
    LockboxRequest, LockboxRequestStatus, LockboxSettings, LockboxSettingsStatus, RoleAssignment, RoleAssignmentStatus,
};

impl Cluster {
    /// Writes the status of a request; a conflict when somebody wrote the request in between. Returns what is stored.
    pub async fn write_request_status(
        &self,
        request: &LockboxRequest,
        status: LockboxRequestStatus,
    ) -> Result<LockboxRequest, Error> {
        let (namespace, name) = place(&request.metadata);
        let requests: Api<LockboxRequest> = Api::namespaced(self.client.clone(), namespace);
        let next = LockboxRequest { status: Some(status), ..request.clone() };
        limited("write the status of a LockboxRequest", requests.replace_status(name, &PostParams::default(), &next))
            .await
    }

    /// Reads a request as it is stored now, past every cache.
    pub async fn read_request(&self, namespace: &str, name: &str) -> Result<Option<LockboxRequest>, Error> {
        let requests: Api<LockboxRequest> = Api::namespaced(self.client.clone(), namespace);
        limited("read a LockboxRequest", requests.get_opt(name)).await
    }

    /// Writes the status of an assignment.
    pub async fn write_assignment_status(
        &self,
        assignment: &RoleAssignment,
        status: RoleAssignmentStatus,
    ) -> Result<(), Error> {
        let (namespace, name) = place(&assignment.metadata);
        let assignments: Api<RoleAssignment> = Api::namespaced(self.client.clone(), namespace);
        let next = RoleAssignment { status: Some(status), ..assignment.clone() };
        let parameters = PostParams::default();
        let write = assignments.replace_status(name, &parameters, &next);
        limited("write the status of a RoleAssignment", write).await.map(drop)
    }

    /// Writes the status of the settings.
    pub async fn write_settings_status(
        &self,
        settings: &LockboxSettings,
        status: LockboxSettingsStatus,
    ) -> Result<(), Error> {
        let (_, name) = place(&settings.metadata);
        let all: Api<LockboxSettings> = Api::all(self.client.clone());
        let next = LockboxSettings { status: Some(status), ..settings.clone() };
        let parameters = PostParams::default();
        let write = all.replace_status(name, &parameters, &next);
        limited("write the status of the LockboxSettings", write).await.map(drop)
    }
}

fn place(metadata: &kube::api::ObjectMeta) -> (&str, &str) {
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}
