//! `status.activity`: what the API server's audit stream shows of what a requester did with an access.
//!
//! Bounded in every part, and in ASCII: most of the texts in it are chosen by the engineer whose access it is about.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{time::Moment, vocabulary::shown_as_stored};

/// Kinds of calls that are listed.
pub const MOST_OPERATIONS: usize = 24;
/// Objects that are listed.
pub const MOST_OBJECTS: usize = 16;
/// Sessions that are listed.
pub const MOST_SESSIONS: usize = 16;
/// Refused attempts that are listed.
pub const MOST_REFUSED: usize = 16;
/// Objects left behind that are listed.
pub const MOST_RESIDUE: usize = 20;
/// User agents, and addresses, that are listed.
pub const MOST_CLIENTS: usize = 8;

/// Characters of a word: a verb, a group, a kind.
pub const LONGEST_WORD: usize = 63;
/// Characters of an object's name.
pub const LONGEST_OBJECT: usize = 253;
/// Characters of a sentence or a command.
pub const LONGEST_TEXT: usize = 512;
/// Characters of a user agent or an address.
pub const LONGEST_CLIENT: usize = 128;

shown_as_stored!(Coverage, SessionKind, Change);

/// Whether the API server's audit stream covers the time of the access.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coverage {
    /// It does not: nothing is known, and that nothing is shown says nothing.
    #[default]
    None,
    /// It covers a part of the time.
    Partial,
    /// It covers the time from the beginning on, without a known gap.
    Covered,
}

/// What kind of session it is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionKind {
    /// A command, or a shell, in a container.
    Exec,
    /// Attached to a container's own process.
    Attach,
    /// Ports of a Pod or a virtual machine.
    PortForward,
    /// A virtual machine's serial console.
    Console,
    /// A virtual machine's screen.
    Screen,
}

/// How an object came to be as it is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It was made.
    Created,
    /// It was there and was changed.
    Changed,
}

/// What the requester did, as far as the API server's audit stream shows it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// Whether an audit stream covers the time of the access: None, Partial or Covered. Where it does not, that nothing is
    /// shown says nothing.
    pub coverage: Coverage,
    /// The same in a sentence, with what is missing.
    #[schemars(length(max = LONGEST_TEXT))]
    pub message: String,
    /// From when on the stream shows what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub since: Option<Moment>,
    /// Until when the stream shows what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub until: Option<Moment>,
    /// When this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub recorded_at: Option<Moment>,
    /// Calls that were allowed by this access.
    #[schemars(range(min = 0))]
    pub calls: i64,
    /// How many of them came to nothing (an error other than a refusal).
    #[schemars(range(min = 0))]
    pub failed: i64,
    /// How many of them came after the end that the request records: the API server's own cache of bindings lags a moment.
    #[schemars(range(min = 0))]
    pub after_the_end: i64,
    /// The first call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub first: Option<Moment>,
    /// The last call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub last: Option<Moment>,
    /// What was done to which kind, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_OPERATIONS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub operations: Vec<Operation>,
    /// Calls that are in none of the listed operations.
    #[schemars(range(min = 0))]
    pub more_operations: i64,
    /// The objects that were named in calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_OBJECTS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub objects: Vec<TouchedObject>,
    /// Calls that name an object which is not listed.
    #[schemars(range(min = 0))]
    pub more_objects: i64,
    /// Exec, attach, port-forward and console sessions, and attempts at them. What was typed in them is not in the stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_SESSIONS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub sessions: Vec<Session>,
    /// Sessions that are not listed.
    #[schemars(range(min = 0))]
    pub more_sessions: i64,
    /// What the requester was refused in this time.
    pub refused: Refused,
    /// What the requester did in this time by rights that are not this access. RBAC names the first binding that allows a
    /// call: rights of one's own can hide a use of the access.
    pub by_other_rights: ByOtherRights,
    /// What the clients called themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_CLIENTS), inner(length(max = LONGEST_CLIENT)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub user_agents: Vec<String>,
    /// Calls from user agents that are not listed.
    #[schemars(range(min = 0))]
    pub more_user_agents: i64,
    /// Where they called from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_CLIENTS), inner(length(max = LONGEST_CLIENT)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub addresses: Vec<String>,
    /// Calls from addresses that are not listed.
    #[schemars(range(min = 0))]
    pub more_addresses: i64,
    /// Who used the access in the requester's name, by impersonation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_CLIENTS), inner(length(max = LONGEST_OBJECT)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub impersonated_by: Vec<String>,
    /// Objects that were created or changed by the access and whose deletion the stream does not show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_RESIDUE))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub residue: Vec<Residue>,
    /// Objects left behind that are not listed.
    #[schemars(range(min = 0))]
    pub more_residue: i64,
}

/// One verb on one kind.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What RBAC calls it, such as get or create.
    #[schemars(length(max = LONGEST_WORD))]
    pub verb: String,
    /// API group; absent for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_OBJECT))]
    pub group: String,
    /// Kind, with its subresource, such as pods/exec; or a path that is no resource.
    #[schemars(length(max = LONGEST_OBJECT))]
    pub resource: String,
    /// How often.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// The first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub first: Option<Moment>,
    /// The last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub last: Option<Moment>,
}

/// An object that was named in calls.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TouchedObject {
    /// API group; absent for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_OBJECT))]
    pub group: String,
    /// Plural name of the kind.
    #[schemars(length(max = LONGEST_WORD))]
    pub resource: String,
    /// Its namespace; absent for what belongs to none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_WORD))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(max = LONGEST_OBJECT))]
    pub name: String,
    /// What was done to it, with the subresource where there is one, such as get or create exec.
    #[schemars(length(max = 8), inner(length(max = LONGEST_WORD)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub verbs: Vec<String>,
    /// How often it was named.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// The last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub last: Option<Moment>,
}

/// A session in a container or a virtual machine, or an attempt at one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Exec, Attach, PortForward, Console or Screen.
    pub kind: SessionKind,
    /// Plural name of the kind that it was in: pods, or a virtual machine's.
    #[schemars(length(max = LONGEST_WORD))]
    pub resource: String,
    /// Namespace.
    #[schemars(length(max = LONGEST_WORD))]
    pub namespace: String,
    /// Name of the Pod or virtual machine.
    #[schemars(length(max = LONGEST_OBJECT))]
    pub name: String,
    /// The container, where the call names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LONGEST_OBJECT))]
    pub container: Option<String>,
    /// The command that was started, or the ports, where the call names them. What was typed into a shell is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LONGEST_TEXT))]
    pub command: Option<String>,
    /// When it was asked for.
    #[schemars(extend("maxLength" = 64))]
    pub start: Moment,
    /// When it ended; absent while it goes on, or where the stream does not show its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub end: Option<Moment>,
    /// How long it lasted, such as 4m10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub lasted: Option<String>,
    /// HTTP status of the answer. 101 and 200: it began. Anything else: it was attempted and did not begin.
    #[schemars(range(min = 0, max = 999))]
    pub code: i32,
    /// Whether it began.
    pub began: bool,
}

/// What the requester was refused.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Calls that were refused.
    #[schemars(range(min = 0))]
    pub calls: i64,
    /// What was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_REFUSED))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub attempts: Vec<Attempt>,
    /// Refused calls that are not listed.
    #[schemars(range(min = 0))]
    pub more_attempts: i64,
    /// Refused calls outside the scope of the request.
    #[schemars(range(min = 0))]
    pub elsewhere: i64,
}

/// Something that was refused.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// What RBAC calls it.
    #[schemars(length(max = LONGEST_WORD))]
    pub verb: String,
    /// API group; absent for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_OBJECT))]
    pub group: String,
    /// Kind, with its subresource.
    #[schemars(length(max = LONGEST_OBJECT))]
    pub resource: String,
    /// Its namespace; absent for what belongs to none, and for all namespaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_WORD))]
    pub namespace: String,
    /// The object, where one was named.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_OBJECT))]
    pub name: String,
    /// HTTP status of the last answer.
    #[schemars(range(min = 0, max = 999))]
    pub code: i32,
    /// How often.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// The last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub last: Option<Moment>,
}

/// What the requester did by rights that are not this access.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ByOtherRights {
    /// Calls in the scope of the request.
    #[schemars(range(min = 0))]
    pub calls: i64,
    /// How many of these were allowed by another access that Lockbox granted.
    #[schemars(range(min = 0))]
    pub by_other_grants: i64,
    /// Calls outside the scope of the request.
    #[schemars(range(min = 0))]
    pub elsewhere: i64,
    /// Calls that only ask what the API server offers: everybody who is signed in may make them.
    #[schemars(range(min = 0))]
    pub discovery: i64,
    /// Calls in somebody else's name, by impersonation.
    #[schemars(range(min = 0))]
    pub as_somebody_else: i64,
    /// In whose name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_CLIENTS), inner(length(max = LONGEST_OBJECT)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub impersonated: Vec<String>,
    /// What was done to which kind in the scope of the request, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_OPERATIONS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub operations: Vec<Operation>,
    /// Calls that are in none of the listed operations.
    #[schemars(range(min = 0))]
    pub more_operations: i64,
    /// Why the API server allowed it, in its own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_CLIENTS), inner(length(max = LONGEST_TEXT)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub rights: Vec<String>,
}

/// An object that the access left behind.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Residue {
    /// API group; absent for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_OBJECT))]
    pub group: String,
    /// Plural name of the kind.
    #[schemars(length(max = LONGEST_WORD))]
    pub resource: String,
    /// Its namespace; absent for what belongs to none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_WORD))]
    pub namespace: String,
    /// Its name; absent where the API server made it up and the stream does not show it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_OBJECT))]
    pub name: String,
    /// Created or Changed.
    pub change: Change,
    /// What was done, in words.
    #[schemars(length(max = LONGEST_TEXT))]
    pub done: String,
    /// When it was done last.
    #[schemars(extend("maxLength" = 64))]
    pub at: Moment,
    /// The command that shows it.
    #[schemars(length(max = LONGEST_TEXT))]
    pub look: String,
}

impl Activity {
    /// What is said where no stream covers the time of the access.
    pub fn unwatched() -> Self {
        Self {
            message: "No audit stream of the API server reaches Lockbox: what was done with this access is not known here. The API server's own audit log may show it (lockbox-operator activity).".into(),
            ..Self::default()
        }
    }

    /// Whether both say the same about what was done; how far the stream reaches, and when that was written, aside.
    pub fn shows_the_same(&self, other: &Self) -> bool {
        let essence =
            |activity: &Self| Self { until: None, recorded_at: None, message: String::new(), ..activity.clone() };
        essence(self) == essence(other)
    }
}
