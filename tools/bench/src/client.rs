//! Calls to the API server by path: what is measured must not pay for what nobody looks at.

use std::path::Path;

use futures::TryStreamExt as _;
use http::{Method, Request};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::{Status, WatchEvent},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::error::Error;

/// Somebody's client.
#[derive(Clone)]
pub struct Caller {
    client: Client,
}

/// An object of which only its metadata matters.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Object {
    /// Its metadata.
    #[serde(default)]
    pub metadata: Meta,
}

/// What is looked at of an object's metadata.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The namespace.
    #[serde(default)]
    pub namespace: String,
    /// The UID.
    #[serde(default)]
    pub uid: String,
    /// The version.
    #[serde(default)]
    pub resource_version: String,
    /// The labels.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
    /// The annotations.
    #[serde(default)]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// Gives access to an object's version.
pub trait Versioned {
    /// The version.
    fn version(&self) -> &str;
}

impl Versioned for Object {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

/// What happened to a watched object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there, or new.
    Added,
    /// It was changed.
    Modified,
    /// It is gone.
    Deleted,
}

impl Caller {
    /// With a kubeconfig.
    pub async fn new(kubeconfig: &Path) -> Result<Self, Error> {
        let said = |error: kube::config::KubeconfigError| Error::Client(error.to_string());
        let kubeconfig = Kubeconfig::read_from(kubeconfig).map_err(said)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(said)?;
        let client = Client::try_from(config).map_err(|error| Error::Client(error.to_string()))?;
        Ok(Self { client })
    }

    /// Any call. `patch` is a merge patch.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, kube::Error> {
        let content = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method.clone()).uri(path).header(http::header::CONTENT_TYPE, content);
        let request = request.body(body).map_err(kube::core::request::Error::BuildRequest);
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.call(&Method::GET, path, vec![]).await.map_err(Error::call(format!("read {path}")))
    }

    /// Creates.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Object, Error> {
        let body = body.to_string().into_bytes();
        self.call(&Method::POST, path, body).await.map_err(Error::call(format!("create in {path}")))
    }

    /// Asks what the caller may do.
    pub async fn review(&self, review: &Value) -> Result<Value, Error> {
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let body = review.to_string().into_bytes();
        self.call(&Method::POST, path, body).await.map_err(Error::call("ask what one may do"))
    }

    /// Changes, by merge patch.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Object, Error> {
        let body = body.to_string().into_bytes();
        self.call(&Method::PATCH, path, body).await.map_err(Error::call(format!("patch {path}")))
    }

    /// Deletes.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        let done = self.call::<Value>(&Method::DELETE, path, vec![]).await;
        done.map(drop).map_err(Error::call(format!("delete {path}")))
    }

    /// Follows the objects at a path (with `?` and the selectors, if any) as long as it is polled: first those that are
    /// there, as added, then every change.
    pub async fn follow<T>(&self, path: &str, mut each: impl FnMut(Change, T))
    where
        T: Versioned + Clone + DeserializeOwned,
    {
        let mut version = String::new();
        let join = if path.contains('?') { '&' } else { '?' };
        loop {
            let from = if version.is_empty() { String::new() } else { format!("&resourceVersion={version}") };
            let path = format!("{path}{join}watch=true&allowWatchBookmarks=true&timeoutSeconds=3600{from}");
            let ended = async {
                let request = Request::get(path).body(vec![]).map_err(kube::core::request::Error::BuildRequest);
                let events = self.client.request_events::<T>(request.map_err(kube::Error::BuildRequest)?).await?;
                let mut events = std::pin::pin!(events);
                while let Some(event) = events.try_next().await? {
                    let (change, object) = match event {
                        WatchEvent::Added(object) => (Change::Added, object),
                        WatchEvent::Modified(object) => (Change::Modified, object),
                        WatchEvent::Deleted(object) => (Change::Deleted, object),
                        WatchEvent::Bookmark(mark) => {
                            version = mark.metadata.resource_version;
                            continue;
                        }
                        WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
                    };
                    object.version().clone_into(&mut version);
                    each(change, object);
                }
                Ok::<(), kube::Error>(())
            };
            let gone = match ended.await {
                Err(kube::Error::Api(status)) => is_gone(&status),
                _ => false,
            };
            if gone {
                version.clear();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

/// Whether the version from which a watch was to go on is too old.
fn is_gone(status: &Status) -> bool {
    status.code == 410
}

/// Whether an object of that name is there already.
pub fn is_there(error: &Error) -> bool {
    matches!(error, Error::Call { source, .. } if matches!(&**source, kube::Error::Api(status) if status.code == 409))
}

/// Paths of our kinds and of those that a grant has.
pub mod paths {
    /// Requests of a namespace.
    pub fn requests(namespace: &str) -> String {
        format!("/apis/lockbox.dev/v1alpha1/namespaces/{namespace}/lockboxrequests")
    }

    /// One request.
    pub fn request(namespace: &str, name: &str) -> String {
        format!("{}/{name}", requests(namespace))
    }

    /// All requests.
    pub const ALL_REQUESTS: &str = "/apis/lockbox.dev/v1alpha1/lockboxrequests";
    /// All assignments.
    pub const ALL_ASSIGNMENTS: &str = "/apis/lockbox.dev/v1alpha1/roleassignments";
    /// All bindings of grants in namespaces.
    pub const ALL_GRANTS: &str =
        "/apis/rbac.authorization.k8s.io/v1/rolebindings?labelSelector=lockbox.dev%2Frequest-uid";
    /// The settings.
    pub const SETTINGS: &str = "/apis/lockbox.dev/v1alpha1/lockboxsettings/default";
    /// Where settings are created.
    pub const ALL_SETTINGS: &str = "/apis/lockbox.dev/v1alpha1/lockboxsettings";
    /// All namespaces.
    pub const NAMESPACES: &str = "/api/v1/namespaces";
    /// Bindings of the validating policies.
    pub const POLICY_BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
}
