//! Reads by a client of our own: a test that waits for something asks over and over, and a process for each question would
//! take more of the machine than what is tested.

use std::path::Path;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use lockbox_cluster::User;
use serde_json::Value;

/// One user's reads.
pub struct Reader {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Reader {
    /// With the user's kubeconfig.
    pub fn new(user: &User) -> Self {
        Self::of(&user.kubeconfig)
    }

    fn of(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
            Client::try_from(config).unwrap()
        });
        Self { runtime, client }
    }

    /// What the API server answers; an error in kubectl's words, more or less.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        let request = http::Request::get(path).body(vec![]).unwrap();
        self.runtime.block_on(self.client.request::<Value>(request)).map_err(|error| error.to_string())
    }
}

/// Where an object of a kind is, by the name that kubectl takes for it.
pub fn path(kind: &str, namespace: &str, name: &str) -> Option<String> {
    let (group, plural, namespaced) = match kind {
        "lbr" => ("apis/lockbox.dev/v1alpha1", "lockboxrequests", true),
        "lra" => ("apis/lockbox.dev/v1alpha1", "roleassignments", true),
        "lbs" => ("apis/lockbox.dev/v1alpha1", "lockboxsettings", false),
        "job" => ("apis/batch/v1", "jobs", true),
        "role" => ("apis/rbac.authorization.k8s.io/v1", "roles", true),
        "clusterrole" => ("apis/rbac.authorization.k8s.io/v1", "clusterroles", false),
        _ => return None,
    };
    Some(if namespaced {
        format!("/{group}/namespaces/{namespace}/{plural}/{name}")
    } else {
        format!("/{group}/{plural}/{name}")
    })
}
