//! The Kubernetes versions that Lockbox is tested on.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// One of the two Kubernetes versions: the newest, and the oldest that the chart claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Version {
    /// 1.37.2; etcd 3.7.0, kubectl 1.37.2 and helm 4.3.1 are built with it.
    #[default]
    Newest,
    /// 1.33.13, which has no mutating admission policies; it runs with etcd, kubectl and helm of the newest.
    Oldest,
}

/// How one version is built.
pub(crate) struct Release {
    /// Such as `1.37.2`.
    pub(crate) number: &'static str,
    /// The minor version alone, such as `37`.
    pub(crate) minor: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
    /// What `go build tool` calls each binary, and what we call it.
    pub(crate) binaries: &'static [(&'static str, &'static str)],
    /// Minutes that a first build takes on two cores.
    pub(crate) minutes: u32,
}

impl Version {
    /// Both versions, the newest first.
    pub const ALL: [Version; 2] = [Version::Newest, Version::Oldest];

    /// The full number, such as `1.37.2`.
    pub fn number(self) -> &'static str {
        self.release().number
    }

    /// Major and minor number, such as `1.37`.
    pub fn minor(self) -> &'static str {
        match self {
            Version::Newest => "1.37",
            Version::Oldest => "1.33",
        }
    }

    pub(crate) fn release(self) -> &'static Release {
        match self {
            Version::Newest => &NEWEST,
            Version::Oldest => &OLDEST,
        }
    }
}

static NEWEST: Release = Release {
    number: "1.37.2",
    minor: "37",
    go_mod: include_str!("../kubernetes/1.37/go.mod"),
    go_sum: include_str!("../kubernetes/1.37/go.sum"),
    binaries: &[
        // The module's path is go.etcd.io/etcd/server/v3, and Go names a binary after its folder.
        ("server", "etcd"),
        ("kube-apiserver", "kube-apiserver"),
        ("kube-controller-manager", "kube-controller-manager"),
        ("kubectl", "kubectl"),
        ("helm", "helm"),
    ],
    minutes: 11,
};

static OLDEST: Release = Release {
    number: "1.33.13",
    minor: "33",
    go_mod: include_str!("../kubernetes/1.33/go.mod"),
    go_sum: include_str!("../kubernetes/1.33/go.sum"),
    binaries: &[("kube-apiserver", "kube-apiserver"), ("kube-controller-manager", "kube-controller-manager")],
    minutes: 5,
};

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

impl FromStr for Version {
    type Err = Error;

    /// Understands `newest` and `oldest`, `1.37` and `1.37.2`, with or without a leading `v`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wanted = text.strip_prefix('v').unwrap_or(text);
        match wanted {
            "newest" => Ok(Version::Newest),
            "oldest" => Ok(Version::Oldest),
            _ => Version::ALL.into_iter().find(|v| v.number() == wanted || v.minor() == wanted).ok_or_else(|| {
                Error::Refused(format!(
                    "there is no module file for Kubernetes `{text}`: use {} (newest) or {} (oldest)",
                    NEWEST.number, OLDEST.number
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_understood_in_each_of_its_spellings() {
        for (text, version) in [
            ("newest", Version::Newest),
            ("1.37", Version::Newest),
            ("v1.37.2", Version::Newest),
            ("oldest", Version::Oldest),
            ("1.33", Version::Oldest),
            ("1.33.13", Version::Oldest),
        ] {
            assert_eq!(text.parse::<Version>().unwrap(), version, "{text}");
        }
        let error = "1.36".parse::<Version>().unwrap_err().to_string();
        assert!(error.contains("1.37.2") && error.contains("1.33.13"), "{error}");
    }

    #[test]
    fn each_module_file_names_the_version_that_it_is_stamped_with() {
        for version in Version::ALL {
            let release = version.release();
            let line = format!("k8s.io/kubernetes v{}", release.number);
            assert!(release.go_mod.contains(&line), "{line}");
            assert_eq!(format!("1.{}", release.minor), version.minor());
            assert!(release.number.starts_with(version.minor()));
        }
    }
}
