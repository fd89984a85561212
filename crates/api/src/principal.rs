//! People and groups of people, as RBAC names them.

use std::fmt;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{PrincipalKind, rules};

/// Characters in the name of a group, or of a user who is named as one: a distinguished name of a directory fits.
pub const LONGEST_NAME: usize = 300;
/// Groups of one person that a request records.
pub const MOST_GROUPS: usize = 256;

/// A user or a group; never a built-in one, whose name starts with system: in Kubernetes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// User or Group.
    pub kind: PrincipalKind,
    /// Name of the user or group.
    #[schemars(length(min = 1, max = LONGEST_NAME))]
    #[x_kube(validation = rules::not_built_in())]
    pub name: String,
}

impl Principal {
    /// A user.
    pub fn user(name: impl Into<String>) -> Self {
        Self { kind: PrincipalKind::User, name: name.into() }
    }

    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self { kind: PrincipalKind::Group, name: name.into() }
    }

    /// Whether somebody of this name, in these groups, is meant. User names are compared without case: who signs in as
    /// `Kim@` must not count as somebody else than `kim@`.
    pub fn includes(&self, username: &str, groups: &[String]) -> bool {
        match self.kind {
            PrincipalKind::User => same_user(&self.name, username),
            PrincipalKind::Group => groups.contains(&self.name),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Whether two user names belong to one person: identity providers differ in case alone, people do not. The case of A to Z
/// only, as CEL's `lowerAscii`: what the admission policies let in, the operator must count, and the other way round.
pub fn same_user(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
