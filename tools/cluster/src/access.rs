//! Users of a cluster, and commands run as them.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificates::Authority;
use crate::{Credential, Error, User, cache, output};

/// Of the person at the keyboard, for another cluster.
const FOREIGN: [&str; 9] = [
    "HELM_KUBEAPISERVER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBEASUSER",
    "HELM_KUBECAFILE",
    "HELM_KUBECONTEXT",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
    "HELM_KUBETOKEN",
    "HELM_NAMESPACE",
    "KUBECTL_COMMAND_HEADERS",
];

/// What it takes to be anybody on a cluster.
pub(crate) struct Access {
    pub(crate) data: PathBuf,
    /// The API server's URL.
    pub(crate) server: String,
    /// The folder of kubectl and helm.
    pub(crate) binaries: PathBuf,
    authority: Authority,
    pub(crate) admin: User,
}

impl Access {
    pub(crate) fn new(data: &Path, server: &str, binaries: &Path, authority: Authority) -> Result<Access, Error> {
        let issued = authority.client("admin", &["system:masters"])?;
        let mut access = Access {
            data: data.to_owned(),
            server: server.to_owned(),
            binaries: binaries.to_owned(),
            authority,
            admin: User {
                name: "admin".to_owned(),
                groups: vec!["system:masters".to_owned()],
                extra: BTreeMap::new(),
                kubeconfig: data.join("admin.kubeconfig"),
                credential: Credential::Certificate {
                    certificate_pem: issued.certificate_pem,
                    key_pem: issued.key_pem,
                },
            },
        };
        access.admin = access.written(access.admin.clone())?;
        Ok(access)
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.authority.certificate_pem
    }

    pub(crate) fn user(&self, name: &str, groups: &[&str]) -> Result<User, Error> {
        let issued = self.authority.client(name, groups)?;
        let credential = Credential::Certificate { certificate_pem: issued.certificate_pem, key_pem: issued.key_pem };
        self.written(User {
            name: name.to_owned(),
            groups: owned(groups),
            extra: BTreeMap::new(),
            kubeconfig: self.kubeconfig(name, groups, &[]),
            credential,
        })
    }

    pub(crate) fn user_with_extra(
        &self,
        name: &str,
        groups: &[&str],
        extra: &[(&str, &[&str])],
    ) -> Result<User, Error> {
        let Credential::Certificate { certificate_pem, key_pem } = self.admin.credential.clone() else {
            return Err(Error::Refused("the administrator of this cluster has no certificate".to_owned()));
        };
        self.written(User {
            name: name.to_owned(),
            groups: owned(groups),
            extra: extra.iter().map(|&(key, values)| (key.to_owned(), owned(values))).collect(),
            kubeconfig: self.kubeconfig(name, groups, extra),
            credential: Credential::Impersonation { certificate_pem, key_pem },
        })
    }

    pub(crate) fn service_account(&self, namespace: &str, name: &str) -> Result<User, Error> {
        let mut create = self.kubectl(&self.admin);
        create.args(["create", "token", name, "--namespace", namespace, "--duration", "8h"]);
        let token = output(create)?.trim().to_owned();
        let user = format!("system:serviceaccount:{namespace}:{name}");
        self.written(User {
            groups: vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
            extra: BTreeMap::new(),
            kubeconfig: self.kubeconfig(&user, &[], &[]),
            credential: Credential::Token(token),
            name: user,
        })
    }

    fn written(&self, user: User) -> Result<User, Error> {
        if let Some(folder) = user.kubeconfig.parent() {
            cache::create(folder)?;
        }
        cache::replace(&user.kubeconfig, user.kubeconfig_text(&self.server, self.ca_pem()))?;
        Ok(user)
    }

    /// A file name that a person recognizes and that no two users share.
    fn kubeconfig(&self, name: &str, groups: &[&str], extra: &[(&str, &[&str])]) -> PathBuf {
        let key = cache::digest(&[name, &format!("{groups:?}"), &format!("{extra:?}")]);
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "@._-".contains(*c);
        let readable: String = name.chars().map(|c| if is_plain(&c) { c } else { '_' }).take(100).collect();
        self.data.join("users").join(format!("{readable}-{}.kubeconfig", &key[..8]))
    }

    pub(crate) fn kubectl(&self, user: &User) -> Command {
        let mut command = self.command(user, self.binaries.join("kubectl"));
        command.env("HOME", self.home());
        command
    }

    pub(crate) fn helm(&self, user: &User) -> Command {
        let mut command = self.command(user, self.binaries.join("helm"));
        command.env("HOME", self.home());
        command
    }

    pub(crate) fn command(&self, user: &User, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.envs(self.environment(user));
        command
    }

    pub(crate) fn environment(&self, user: &User) -> Vec<(&'static str, OsString)> {
        let home = self.home();
        let mut path = self.binaries.clone().into_os_string();
        if let Some(rest) = env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        vec![
            ("KUBECONFIG", user.kubeconfig.clone().into()),
            ("PATH", path),
            ("KUBECACHEDIR", home.join("kubectl").into()),
            ("KUBERC", "off".into()),
            ("HELM_CACHE_HOME", home.join("helm/cache").into()),
            ("HELM_CONFIG_HOME", home.join("helm/config").into()),
            ("HELM_DATA_HOME", home.join("helm/data").into()),
            ("LOCKBOX_AUDIT_LOG", self.audit_log().into()),
        ]
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.data.join("audit.log")
    }

    fn home(&self) -> PathBuf {
        self.data.join("home")
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
