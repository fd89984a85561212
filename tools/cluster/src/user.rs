//! Users of a cluster and their kubeconfigs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Somebody who can log in to a cluster.
#[derive(Clone, Debug)]
pub struct User {
    /// The name that the API server sees, such as `kim@provider.example` or `system:serviceaccount:lockbox-system:lockbox-operator`.
    pub name: String,
    /// The groups that were asked for; the API server adds `system:authenticated`.
    pub groups: Vec<String>,
    /// Extra attributes that were asked for; certificate users and ServiceAccounts get `authentication.kubernetes.io/…` ones from the API server.
    pub extra: BTreeMap<String, Vec<String>>,
    /// A kubeconfig that holds everything and refers to no other file.
    pub kubeconfig: PathBuf,
    /// What the kubeconfig logs in with, for clients that are set up without one.
    pub credential: Credential,
}

/// What a user logs in with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A client certificate of the cluster's authority, both parts PEM, the key as PKCS#8.
    Certificate {
        /// The certificate.
        certificate_pem: String,
        /// Its private key.
        key_pem: String,
    },
    /// A bearer token.
    Token(String),
    /// The certificate of an administrator who acts as the user: a client sends `Impersonate-User`,
    /// `Impersonate-Group` and `Impersonate-Extra-…` headers from the [`User`]'s fields with it.
    Impersonation {
        /// The administrator's certificate.
        certificate_pem: String,
        /// Its private key.
        key_pem: String,
    },
}

impl User {
    /// The kubeconfig's text: JSON, which is YAML as well.
    pub(crate) fn kubeconfig_text(&self, server: &str, ca_pem: &str) -> String {
        let certificate = |certificate: &str, key: &str| json!({ "client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key) });
        let mut user = match &self.credential {
            Credential::Token(token) => json!({ "token": token }),
            Credential::Certificate { certificate_pem, key_pem }
            | Credential::Impersonation { certificate_pem, key_pem } => certificate(certificate_pem, key_pem),
        };
        if let (Credential::Impersonation { .. }, Value::Object(fields)) = (&self.credential, &mut user) {
            fields.insert("as".to_owned(), json!(self.name));
            fields.insert("as-groups".to_owned(), json!(self.groups));
            fields.insert("as-user-extra".to_owned(), json!(self.extra));
        }
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "lockbox",
                "cluster": { "server": server, "certificate-authority-data": STANDARD.encode(ca_pem) },
            }],
            "users": [{ "name": self.name, "user": user }],
            "contexts": [{ "name": "lockbox", "context": { "cluster": "lockbox", "user": self.name } }],
            "current-context": "lockbox",
        });
        format!("{config:#}\n")
    }
}
