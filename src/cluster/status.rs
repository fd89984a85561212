//! Writing `/status`: always the whole of it, and only over the version that was read.

use kube::{
    Api, Resource,
    api::{DynamicObject, PostParams},
    core::{ApiResource, NamespaceResourceScope},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Cluster, Error, limited};
use lockbox_api::{
    LockboxRequest, LockboxRequestStatus, LockboxSettings, LockboxSettingsStatus, RoleAssignment, RoleAssignmentStatus,
    names,
};

impl Cluster {
    /// Writes the status of a request; a conflict when somebody wrote the request in between. Returns what is stored.
    pub async fn write_request_status(
        &self,
        request: &LockboxRequest,
        status: LockboxRequestStatus,
    ) -> Result<LockboxRequest, Error> {
        let requests = self.namespaced(request);
        write("write the status of a LockboxRequest", &requests, request, &status).await
    }

    /// Reads a request as it is stored now, past every cache.
    pub async fn read_request(&self, namespace: &str, name: &str) -> Result<Option<LockboxRequest>, Error> {
        let requests: Api<LockboxRequest> = Api::namespaced(self.client.clone(), namespace);
        limited("read a LockboxRequest", requests.get_opt(name)).await
    }

    /// Reads a request as plain data, for what is stored and cannot be read otherwise.
    pub async fn read_request_plain(&self, namespace: &str, name: &str) -> Result<Option<DynamicObject>, Error> {
        let kind = ApiResource::erase::<LockboxRequest>(&());
        let requests: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        limited("read a LockboxRequest", requests.get_opt(name)).await
    }

    /// Writes the status of an assignment.
    pub async fn write_assignment_status(
        &self,
        assignment: &RoleAssignment,
        status: RoleAssignmentStatus,
    ) -> Result<(), Error> {
        let assignments = self.namespaced(assignment);
        write("write the status of a RoleAssignment", &assignments, assignment, &status).await.map(drop)
    }

    /// Writes the status of the settings.
    pub async fn write_settings_status(
        &self,
        settings: &LockboxSettings,
        status: LockboxSettingsStatus,
    ) -> Result<(), Error> {
        let all: Api<LockboxSettings> = Api::all(self.client.clone());
        write("write the status of the LockboxSettings", &all, settings, &status).await.map(drop)
    }

    /// Edits the conditions of settings that cannot be read, as plain data. Whatever else their status holds stays.
    pub async fn edit_settings_conditions(&self, edit: impl FnOnce(&mut Value) -> bool) -> Result<(), Error> {
        let kind = ApiResource::erase::<LockboxSettings>(&());
        let all: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        let Some(mut settings) = limited("read the LockboxSettings", all.get_opt(names::SETTINGS)).await? else {
            return Ok(());
        };
        if !edit(&mut settings.data) {
            return Ok(());
        }
        let parameters = PostParams::default();
        let write = all.replace_subresource("status", names::SETTINGS, &parameters, &settings);
        limited("write the status of the LockboxSettings", write).await.map(drop)
    }

    fn namespaced<K>(&self, object: &K) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), object.meta().namespace.as_deref().unwrap_or_default())
    }
}

/// Only what names the object and its version goes along with the status: the API server takes nothing else from such a
/// write, and a cached object lacks what nobody reads.
async fn write<K>(doing: &'static str, api: &Api<K>, object: &K, status: &impl Serialize) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let metadata = object.meta();
    let name = metadata.name.as_deref().unwrap_or_default();
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {
            "name": name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
        "status": status,
    });
    limited(doing, api.replace_subresource("status", name, &PostParams::default(), &body)).await
}
