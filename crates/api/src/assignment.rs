//! `RoleAssignment`: who may approve what.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AssignedRole, duration::Duration, notifications::AssignmentNotification, principal::Principal, rules, time::Moment,
    vocabulary::shown_as_stored,
};

const ANOTHER: &str = "is immutable: delete this assignment and create another";

/// Who may approve what. Everything but the activation is fixed at creation.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "lockbox.dev",
    version = "v1alpha1",
    kind = "RoleAssignment",
    doc = "Makes a user or group a designated approver of lockbox requests. It counts for requests that are made after it.",
    namespaced,
    status = "RoleAssignmentStatus",
    derive = "PartialEq",
    shortname = "lra",
    category = "lockbox",
    selectable = ".spec.principal.name",
    selectable = ".spec.role",
    printcolumn(name = "Principal", type_ = "string", json_path = ".spec.principal.name"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.principal.kind", priority = 1),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "Scope", type_ = "string", json_path = ".spec.scope"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Recognized", type_ = "string", json_path = r#".status.conditions[?(@.type=="Recognized")].status"#),
    printcolumn(name = "Active", type_ = "string", json_path = r#".status.conditions[?(@.type=="Active")].status"#),
    printcolumn(name = "Until", type_ = "string", json_path = ".status.activeUntil"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Why", type_ = "string", json_path = r#".status.conditions[?(@.type=="Active")].message"#, priority = 1),
    validation = rules::forbidden("has(self.status) || !has(self.spec.activation)", "leave activation out: the principal activates the assignment after it is created").field_path(".spec.activation"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::forbidden("self.type == 'Eligible' || !has(self.activation)", "only an Eligible assignment can be activated; this one is Active").field_path(".activation"),
    validation = rules::forbidden("self.type != 'Eligible' || self.principal.kind == 'User'", "only a user can be Eligible: a group cannot activate").field_path(".principal.kind"),
    validation = rules::forbidden("(self.role == 'GlobalAdministrator') == (self.scope == 'Tenant')", "GlobalAdministrator goes with scope Tenant; Owner and LockboxApprover with Subscription (or ManagementGroup, which is not supported)").field_path(".scope"),
    validation = kube::core::Rule::new("self.type != 'Eligible' || !has(oldSelf.activation) || has(self.activation)").message("an activation cannot be taken back: it ends by itself").reason(Reason::FieldValueForbidden).field_path(".activation"),
)]
pub struct RoleAssignmentSpec {
    /// Who becomes an approver.
    #[x_kube(validation = rules::forbidden("self == oldSelf", ANOTHER))]
    pub principal: Principal,
    /// Owner (approves in this namespace, and assigns roles there), `LockboxApprover` (approves in this namespace) or
    /// `GlobalAdministrator` (approves tenant requests, and administers Lockbox).
    #[x_kube(validation = rules::forbidden("self == oldSelf", ANOTHER))]
    pub role: AssignedRole,
    /// Subscription: this namespace. Tenant: the cluster; create such an assignment in the tenant's home namespace.
    /// `ManagementGroup` is accepted and reported as not supported.
    #[x_kube(validation = rules::forbidden("self == oldSelf", ANOTHER))]
    pub scope: AssignmentScope,
    /// Active: counts as long as it exists. Eligible: counts while it is activated; for users only.
    #[x_kube(validation = rules::forbidden("self == oldSelf", ANOTHER))]
    #[serde(default, rename = "type")]
    pub type_: AssignmentType,
    /// Written by the principal, to make an Eligible assignment active for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Where the principal gets e-mail. May be changed at any time. Left out: at their name, if it is an address, or at
    /// the address that the settings give them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<AssignmentNotification>,
}

/// Where an assignment counts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssignmentScope {
    /// The assignment's own namespace.
    Subscription,
    /// The cluster.
    Tenant,
    /// A group of namespaces: not supported for approvers (M10).
    ManagementGroup,
}

/// Whether an assignment must be activated before it counts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssignmentType {
    /// It counts as long as it exists.
    #[default]
    Active,
    /// It counts while it is activated.
    Eligible,
}

/// The activation of an eligible assignment.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Why it is activated now. At most 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::visible())]
    pub justification: String,
    /// For how long, such as 4h, from 1s to 30d, counted from when the operator records it.
    #[x_kube(validation = rules::between("1s", "30d"))]
    pub duration: Duration,
}

/// The state of an assignment, as the operator sees it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignmentStatus {
    /// The generation that this status reflects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Recognized: it can count at all. Active: it counts now. Bound is present, and False, while the principal's RBAC
    /// could not be created; it says why, in the API server's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// When the operator recorded the activation, by its own clock and never a client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub activated_at: Option<Moment>,
    /// When the activation ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub active_until: Option<Moment>,
    /// The activation that was recorded. A change of spec.activation is a new activation, counted from when it is
    /// recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// What happened to the assignment: its creation and its latest activations. At most 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["sequence".into()]))]
    pub history: Vec<AssignmentEntry>,
}

/// Something that happened to an assignment.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct AssignmentEntry {
    /// Number of the entry; it is part of the name of its Event.
    #[schemars(range(min = 1))]
    pub sequence: i64,
    /// When it happened.
    #[schemars(extend("maxLength" = 64))]
    pub at: Moment,
    /// What happened: `CreateRoleAssignment`, `ActivateRoleAssignment`, `EndActivation`.
    pub action: AssignmentAction,
    /// Who did it; absent if the API server does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub actor: Option<String>,
    /// What happened, in a sentence.
    #[schemars(length(max = 512))]
    pub message: String,
}

/// What happens to an assignment.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssignmentAction {
    /// It was created.
    CreateRoleAssignment,
    /// Its principal activated it.
    ActivateRoleAssignment,
    /// Its activation ended by the clock.
    EndActivation,
}

shown_as_stored!(AssignmentType, AssignmentAction);
