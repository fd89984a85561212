//! How a cluster is started.

use crate::Version;

/// How a cluster is started. The default is the newest version with an audit log of metadata.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which Kubernetes.
    pub version: Version,
    /// How much of each API call goes to the audit log.
    pub audit: AuditLevel,
    /// A whole audit policy (YAML, kind `Policy` of `audit.k8s.io/v1`) in place of `audit`.
    pub audit_policy: Option<String>,
    /// The port of 127.0.0.1 to which kube-apiserver posts its audit events as well, each within a second. Whoever listens
    /// there finds its certificate, key and token in the data folder: `audit-webhook.crt`, `.key` and `.token`.
    pub audit_webhook: Option<u16>,
    /// How often kube-apiserver collects garbage.
    pub garbage: Garbage,
    /// Flags of kube-apiserver, after ours: the last one counts.
    pub apiserver_args: Vec<String>,
    /// Flags of kube-controller-manager, after ours.
    pub controller_manager_args: Vec<String>,
}

/// How much of each API call the audit log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditLevel {
    /// Nothing: there is no audit log.
    None,
    /// Who did what to which object, and the answer's status.
    #[default]
    Metadata,
    /// The same, and the objects that were sent.
    Request,
    /// The same, and the objects that were answered.
    RequestResponse,
}

/// How often kube-apiserver collects garbage (`GOGC`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Garbage {
    /// When its heap is five times what was alive the last time, or as `GOGC` in the environment says. A call takes 40 %
    /// less CPU than as usual, and the server 500 MB more memory: what tests want.
    #[default]
    Seldom,
    /// As Go does it, and as a server in production does: what measurements want.
    AsUsual,
}

impl Garbage {
    /// What is added to the server's environment.
    pub(crate) fn environment(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Seldom if std::env::var_os("GOGC").is_none() => vec![("GOGC", "400".to_owned())],
            Self::Seldom | Self::AsUsual => vec![],
        }
    }
}

impl Options {
    /// What tells kube-apiserver where to post its audit events, and as whom: a kubeconfig, in JSON, which is YAML too.
    pub(crate) fn audit_webhook(port: u16, token: &str) -> String {
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "lockbox",
                "cluster": { "server": format!("https://127.0.0.1:{port}/"), "certificate-authority": "ca.crt" },
            }],
            "users": [{ "name": "kube-apiserver", "user": { "token": token } }],
            "contexts": [{ "name": "lockbox", "context": { "cluster": "lockbox", "user": "kube-apiserver" } }],
            "current-context": "lockbox",
        });
        format!("{config:#}\n")
    }

    pub(crate) fn is_audited(&self) -> bool {
        self.audit_policy.is_some() || self.audit != AuditLevel::None
    }

    /// The audit policy's text. The stage in which a request has only been received is left out: each call is logged
    /// once, a watch when it begins and when it ends.
    pub(crate) fn audit_policy(&self) -> String {
        self.audit_policy.clone().unwrap_or_else(|| {
            format!(
                "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{{level: {:?}}}]\n",
                self.audit
            )
        })
    }
}
