//! `LockboxRequest`: who asks for what, and what became of it.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Activity, AssignedRole, AuditAction, Circumstance, GrantForm, Identity, Origin, Phase, PrincipalKind, RuleEffect,
    Scope, Verdict,
    duration::Duration,
    notifications::{MOST_RECORDED, Notification},
    principal::{LONGEST_NAME, MOST_GROUPS, Principal},
    rules,
    time::Moment,
};

const SERVICE: &str = "must be a name in the catalogue of services, such as AppService: kubectl get lockboxsettings default -o yaml lists them in status.services";
const LEVEL: &str = "must be the name of an access level, such as ReadObjects: kubectl get lockboxsettings default -o yaml lists them in spec.accessLevels";

/// Decisions that a request holds at most, on each side.
pub const MOST_DECISIONS: usize = 16;

/// What is requested, fixed at creation, and what people decide about it later.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "lockbox.dev",
    version = "v1alpha1",
    kind = "LockboxRequest",
    doc = "A support engineer's request for time-bound access to a customer's resources. Create it, let the customer's approvers decide with kubectl patch --type=merge, and follow it in status.phase, conditions, history and Events.",
    namespaced,
    status = "LockboxRequestStatus",
    derive = "PartialEq",
    shortname = "lbr",
    category = "lockbox",
    selectable = ".status.phase",
    selectable = ".status.closed",
    selectable = ".spec.requester.username",
    selectable = ".spec.service",
    selectable = ".spec.scope",
    selectable = ".spec.removal.by",
    printcolumn(name = "Requester", type_ = "string", json_path = ".spec.requester.username"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Level", type_ = "string", json_path = ".spec.accessLevel"),
    printcolumn(name = "Ticket", type_ = "string", json_path = ".spec['supportRequest','incident'].id"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Until", type_ = "string", json_path = ".status.until"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Scope", type_ = "string", json_path = ".spec.scope", priority = 1),
    // Not `[*].name`: the API server would show the first of them alone.
    printcolumn(name = "Resources", type_ = "string", json_path = ".spec.resources", priority = 1),
    printcolumn(name = "Assigned-To", type_ = "string", json_path = ".spec.supportRequest.assignedTo", priority = 1),
    printcolumn(name = "Why", type_ = "string", json_path = ".status.message", priority = 1),
    validation = rules::starts_undecided(),
    validation = rules::forbidden("self.metadata.name.size() <= 63", "metadata.name has at most 63 characters: it becomes a label"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::required_if("true", "requester", "say who asks: set requester.username to your own user name and requester.groups to all your groups (Kubernetes 1.36 and later fills this in)"),
    validation = rules::as_created("supportRequest"),
    validation = rules::as_created("incident"),
    validation = rules::as_created("escalation"),
    validation = rules::as_created("resources"),
    validation = rules::as_created("duration"),
    validation = rules::required_if("self.origin == 'SupportRequest'", "supportRequest", "name the support request (id, url, summary): origin SupportRequest requires it"),
    validation = rules::required_if("self.origin == 'ProviderInitiated'", "incident", "name the incident (id, summary): origin ProviderInitiated requires it"),
    validation = rules::required_if("self.circumstance != 'Standard'", "incident", "name the incident: every circumstance except Standard requires it"),
    validation = rules::forbidden("self.circumstance == 'LegalDemand' || !has(self.incident) || has(self.incident.summary)", "say what happened in incident.summary: only a LegalDemand may leave it out").field_path(".incident.summary"),
    validation = rules::recorded_map("internalDecisions"),
    validation = rules::recorded_map("decisions"),
    validation = rules::shortens(),
    validation = rules::leaves_out(),
    validation = rules::stays_recorded("cancellation"),
    validation = rules::stays_recorded("release"),
    validation = rules::stays_recorded("revocation"),
    validation = rules::stays_recorded("removal"),
)]
pub struct LockboxRequestSpec {
    /// Who makes the request. The API server refuses anything that is not true of the caller. On Kubernetes 1.36 and
    /// later, leave this out: the API server fills it in.
    #[x_kube(validation = rules::immutable())]
    pub requester: Requester,
    /// What prompted the request: SupportRequest (the customer's ticket; requires supportRequest) or ProviderInitiated
    /// (a problem that the provider found; requires incident).
    #[x_kube(validation = rules::immutable())]
    pub origin: Origin,
    /// The customer's support ticket, as the provider states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::immutable())]
    pub support_request: Option<SupportRequest>,
    /// The provider's own incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::immutable())]
    pub incident: Option<Incident>,
    /// Why an engineer other than the ticket's assignee makes the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::immutable())]
    pub escalation: Option<Escalation>,
    /// Standard, or an exclusion: `BreakGlass` (an emergency outside standard operating procedure),
    /// `PlatformTroubleshooting` (data may be seen by accident) or `LegalDemand` (an external legal demand for data). An
    /// exclusion leaves a record for the customer and grants nothing.
    #[x_kube(validation = rules::immutable())]
    #[serde(default)]
    pub circumstance: Circumstance,
    /// Why the access is needed, for the approver to read. At most 4096 characters.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = rules::immutable(), validation = rules::visible())]
    pub justification: String,
    /// Subscription: this namespace. Tenant: the cluster (create such a request in the tenant's home namespace).
    #[x_kube(validation = rules::immutable())]
    pub scope: Scope,
    /// Name of a service in the catalogue: kubectl get lockboxsettings default -o yaml lists them in status.services.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::immutable(), validation = rules::spelled(rules::NAME, SERVICE))]
    pub service: String,
    /// The objects to access, by name; at most 32. If omitted, the request is for the whole scope, and rules and
    /// approvers see that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::immutable(), validation = rules::unique(), merge_strategy = ListMerge::Atomic)]
    pub resources: Option<Vec<NamedObject>>,
    /// An access level that the service allows, by its name in accessLevels of the LockboxSettings, such as
    /// RemoteDesktop.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::immutable(), validation = rules::spelled(rules::NAME, LEVEL))]
    pub access_level: String,
    /// How long access lasts, such as 8h or 90m, from 1s to 7d. If omitted: the shortest of the settings' default, the
    /// access level's maximum and the settings' maximum. Anything longer than a maximum is refused, never shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::immutable(), validation = rules::between("1s", "7d"))]
    pub duration: Option<Duration>,
    /// Shorthand for an entry in decisions under your own name (Kubernetes 1.36 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Shorthand for an entry in internalDecisions under your own name (Kubernetes 1.36 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_decision: Option<InternalDecision>,
    /// What the provider's own approvers decided, by user name. Each writes one entry, under their own name, once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = MOST_DECISIONS))]
    #[x_kube(validation = rules::recorded_entries(), validation = rules::user_name_keys())]
    pub internal_decisions: BTreeMap<String, InternalDecision>,
    /// What the customer's approvers decided, by user name. Each writes one entry, under their own name, once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = MOST_DECISIONS))]
    #[x_kube(validation = rules::recorded_entries(), validation = rules::user_name_keys())]
    pub decisions: BTreeMap<String, Decision>,
    /// Written by the requester to withdraw a request that is not yet decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::recorded())]
    pub cancellation: Option<Ending>,
    /// Written by the requester to return access early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::recorded())]
    pub release: Option<Ending>,
    /// Written by the customer to end access early: by one of status.approvers, by anyone else who may approve there
    /// now, or by a Global Administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::recorded())]
    pub revocation: Option<Ending>,
    /// Written by a Global Administrator to have the operator remove the record of a finished request. The removal and
    /// its reason are recorded as an Event and in the operator's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::recorded())]
    pub removal: Option<Removal>,
}

/// Facts about the caller.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = rules::forbidden("!has(self.extra) || self.extra.all(k, k.size() <= 256)", "keys have at most 256 characters").field_path(".extra"))]
pub struct Requester {
    /// Your own user name.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::forbidden("!self.startsWith('system:')", "access is granted to people: a service account or component cannot ask for it"))]
    pub username: String,
    /// All your groups; at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_GROUPS), inner(length(min = 1, max = LONGEST_NAME)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub groups: Vec<String>,
    /// Extra attributes of your sign-in, such as a second factor; at most 8 keys with 8 values each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub extra: BTreeMap<String, Values>,
}

// A type of its own because schemars has no attribute for the values of a map.
/// The values of one attribute.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Values(
    #[schemars(length(max = 8), inner(length(max = 256)), extend("x-kubernetes-list-type" = "atomic"))] pub Vec<String>,
);

/// The customer's support ticket.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SupportRequest {
    /// The ticket's number.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rules::spelled("^[!-~]+$", "must be a number or reference in ASCII, without spaces, such as INC-4711"))]
    pub id: String,
    /// Link to the ticket, on a host of supportPortal.hosts in the LockboxSettings.
    #[schemars(length(min = 9, max = 1024))]
    #[x_kube(validation = rules::https())]
    pub url: String,
    /// What the ticket is about.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::visible())]
    pub summary: String,
    /// Who opened it, on the customer's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::visible())]
    pub opened_by: Option<String>,
    /// When it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub opened_at: Option<Moment>,
    /// The engineer it is assigned to. If somebody else makes the request, everybody is told so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::visible())]
    pub assigned_to: Option<String>,
    /// The ticket's history, as the provider states it; at most 16 notes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub history: Vec<Note>,
}

/// One note in a ticket's history.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Note {
    /// When it was written.
    #[schemars(extend("maxLength" = 64))]
    pub at: Moment,
    /// Who wrote it.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::visible())]
    pub by: String,
    /// The note.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::visible())]
    pub note: String,
}

/// The provider's own incident.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Incident {
    /// The incident's number, or an opaque reference.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rules::spelled("^[!-~]+$", "must be a number or reference in ASCII, without spaces, such as INC-4711"))]
    pub id: String,
    /// Link to it, on a host of supportPortal.hosts in the LockboxSettings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 1024))]
    #[x_kube(validation = rules::https())]
    pub url: Option<String>,
    /// What happened. Only a legal demand may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::visible())]
    pub summary: Option<String>,
}

/// Why an engineer other than the assignee makes the request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Escalation {
    /// The provider's team that took over.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::visible())]
    pub team: String,
    /// Why that team took over.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::visible())]
    pub reason: String,
}

/// One object by name. The name is never empty: RBAC would take an empty name for all objects.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedObject {
    /// API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(validation = rules::spelled("^[a-z0-9.-]*$", "must be an API group without its version, such as apps for apps/v1, or empty for the core group"))]
    pub group: String,
    /// Plural name of the kind, such as pods.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::spelled("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "must be the plural name of a kind, as kubectl api-resources lists it, such as configmaps for ConfigMap"))]
    pub resource: String,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::spelled("^[a-zA-Z0-9:._-]+$", "must be the name of one object: letters, digits and : . _ - only, no wildcards"))]
    pub name: String,
}

impl fmt::Display for NamedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        write!(f, "/{}", self.name)
    }
}

/// A decision of one of the customer's approvers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Approve or Deny.
    pub verdict: Verdict,
    /// Why: shown in history and Events. At most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::visible())]
    pub reason: Option<String>,
    /// The group that makes you an approver. Not needed if you are named yourself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = LONGEST_NAME))]
    pub group: Option<String>,
    /// Shortens the requested time, for example to 4h; from 1s to 7d. It never lengthens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::between("1s", "7d"))]
    pub duration: Option<Duration>,
    /// Narrows the requested resources to those named here, at least one. It never adds any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::unique(), merge_strategy = ListMerge::Atomic)]
    pub resources: Option<Vec<NamedObject>>,
    /// The value of status.effect.hash, to approve exactly what status.effect describes and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    #[x_kube(validation = rules::spelled("^sha256:[0-9a-f]{64}$", "must be the whole text of status.effect.hash: sha256: and 64 hexadecimal digits"))]
    pub effect_hash: Option<String>,
}

/// A decision of one of the provider's own approvers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct InternalDecision {
    /// Approve or Deny.
    pub verdict: Verdict,
    /// Why: shown in history and Events. At most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::visible())]
    pub reason: Option<String>,
    /// The group that makes you an approver. Not needed if you are named yourself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = LONGEST_NAME))]
    pub group: Option<String>,
}

/// Who ended something early, and why.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Your own user name (Kubernetes 1.36 and later fills it in).
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub by: String,
    /// Why: shown in history and Events. At most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::visible())]
    pub reason: Option<String>,
}

/// Who has a record removed, and why.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Your own user name (Kubernetes 1.36 and later fills it in).
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub by: String,
    /// Why: shown in the Event and the operator's log. At most 512 characters.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::visible())]
    pub reason: String,
}

/// The state of a request. Only the operator writes it, by compare-and-swap.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::kept("phase"),
    validation = rules::kept("history"),
    validation = rules::kept("approvers"),
    validation = rules::kept("barred"),
    validation = rules::kept("evaluateUntil"),
    validation = rules::kept("internalUntil"),
    validation = rules::kept("notifiedAt"),
    validation = rules::kept("pendingUntil"),
    validation = rules::kept("approvedAt"),
    validation = rules::kept("accessUntil"),
    validation = rules::kept("grantedAt"),
    validation = rules::kept("endedAt"),
    validation = rules::forbidden("!has(self.phase) || self.phase != 'AccessGranted' || (has(self.accessUntil) && has(self.grantedAt))", "access is granted only until a recorded moment").field_path(".accessUntil"),
)]
pub struct LockboxRequestStatus {
    /// The generation of the request that this status reflects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The phase that the request is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::next_phase())]
    pub phase: Option<Phase>,
    /// Why it is in this phase, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Why it is in this phase and what to do next, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// The deadline of the current phase, or the time at which the request ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub until: Option<Moment>,
    /// Conditions by type: `JitEvaluated`, `InternallyApproved`, `CustomerNotified`, Approved, `AccessGranted`, Finished;
    /// `MessagesDelivered` where somebody is told by e-mail or webhook; Degraded where something failed over and over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What the just-in-time rules came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jit: Option<JitResult>,
    /// The approvals required of the provider's own approvers, rule by rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["rule".into()]))]
    pub internal_approvals: Vec<InternalApproval>,
    /// How many of the customer's approvers must approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub required_approvals: Option<i32>,
    /// Who may decide for the customer: a snapshot, taken once, when the request left Evaluating. An approver added
    /// later cannot approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]), validation = rules::once("the snapshot of approvers is taken once"))]
    pub approvers: Option<Vec<Approver>>,
    /// Who may not decide even though a `RoleAssignment` names them, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub excluded_approvers: Vec<ExcludedApprover>,
    /// The provider's people: they never decide for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::once("is recorded once and never changed"))]
    pub barred: Option<Barred>,
    /// What the access allows, in words, and its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// How long access lasts from the approval, such as 8h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// The deadline for the evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::once("a deadline is recorded once and never moved"))]
    pub evaluate_until: Option<Moment>,
    /// The deadline for the decision of the provider's own approvers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::once("a deadline is recorded once and never moved"))]
    pub internal_until: Option<Moment>,
    /// When the customer was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::once("a moment is recorded once and never moved"))]
    pub notified_at: Option<Moment>,
    /// The deadline for the customer's decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::once("a deadline is recorded once and never moved"))]
    pub pending_until: Option<Moment>,
    /// When it was approved: the duration of access counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::once("a moment is recorded once and never moved"))]
    pub approved_at: Option<Moment>,
    /// When access ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::once("a deadline is recorded once and never moved"))]
    pub access_until: Option<Moment>,
    /// When access began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::once("a moment is recorded once and never moved"))]
    pub granted_at: Option<Moment>,
    /// When the request ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    #[x_kube(validation = rules::once("a moment is recorded once and never moved"))]
    pub ended_at: Option<Moment>,
    /// The objects that make up the access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// What the requester did with the access, as far as the API server's audit stream shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
    /// Everything that happened: one entry per action, chained by hashes, append-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["sequence".into()]),
        validation = rules::forbidden("self.size() >= oldSelf.size()", "the history only grows"),
        validation = rules::forbidden("self.all(e, e.sequence <= self.size())", "entries are numbered 1, 2, 3 without a gap"))]
    pub history: Vec<Entry>,
    /// How many entries of the history have been published as Events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub events_published: Option<i64>,
    /// What became of the messages about this request, the latest 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_RECORDED))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub notifications: Vec<Notification>,
    /// Finished, with every Event published and every message settled: the operator no longer looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<bool>,
}

/// What the just-in-time rules came to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JitResult {
    /// The rules that matched; on Deny, those that denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub rules: Vec<String>,
    /// Permit or Deny.
    pub verdict: RuleEffect,
    /// What the matching rules, taken together, require of the requester's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Why, in a sentence.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The internal approvals that one rule requires.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalApproval {
    /// Name of the rule.
    #[schemars(length(min = 1, max = 63))]
    pub rule: String,
    /// Who may approve for the provider.
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub approvers: Vec<Principal>,
    /// How many of them must approve.
    #[schemars(range(min = 1, max = 16))]
    pub count: i32,
}

/// Somebody who may decide for the customer.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Approver {
    /// User or Group.
    pub kind: PrincipalKind,
    /// Name of the user or group.
    #[schemars(length(min = 1, max = LONGEST_NAME))]
    pub name: String,
    /// The role that makes them an approver.
    pub role: AssignedRole,
    /// The `RoleAssignment`, as namespace/name.
    #[schemars(length(max = 320))]
    pub assignment: String,
    /// Its UID: a later assignment of the same name is a different one.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// When the activation of an Eligible assignment ends; the decision must be processed before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub active_until: Option<Moment>,
}

/// Somebody who may not decide, and why.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExcludedApprover {
    /// User or Group.
    pub kind: PrincipalKind,
    /// Name of the user or group.
    #[schemars(length(min = 1, max = LONGEST_NAME))]
    pub name: String,
    /// Why, in one word.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why, in a sentence.
    #[schemars(length(max = 320))]
    pub message: String,
}

/// The provider's people, who never decide for the customer.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Barred {
    /// Their user names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = LONGEST_NAME)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub users: Vec<String>,
    /// Names of their groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = LONGEST_NAME)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub groups: Vec<String>,
}

/// What the access allows.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// Whole: everything of these kinds in the scope. Named: the named objects alone.
    pub form: GrantForm,
    /// The access level's `ClusterRole`.
    #[schemars(length(max = 253))]
    pub role: String,
    /// What it allows, rule by rule, in words, with the full name of every object.
    #[schemars(length(max = 96), inner(length(max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub rules: Vec<String>,
    /// Why it allows more than reading, in the words of the customer's administrator (`extraRights` of the access
    /// level).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 600)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub reasons: Vec<String>,
    /// What the access level allows and this access leaves out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub left_out: Vec<String>,
    /// Hash of exactly what is granted. An approver may quote it as effectHash in a decision.
    #[schemars(length(min = 71, max = 71))]
    pub hash: String,
}

/// The objects that make up the access.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Name shared by the Role (or `ClusterRole`), its binding and, in the subscription scope, the deadline Job.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The requested resources that were approved; absent if the whole scope was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub resources: Option<Vec<NamedObject>>,
}

/// One action in the history.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::once("an entry of the history is never changed"))]
pub struct Entry {
    /// Number of the entry: 1, 2, 3 and so on.
    #[schemars(range(min = 1))]
    pub sequence: i64,
    /// When the operator recorded it.
    #[schemars(extend("maxLength" = 64))]
    pub at: Moment,
    /// What happened; also the Event's reason.
    pub action: AuditAction,
    /// Who did it; lockbox if a rule or the clock did.
    #[schemars(length(min = 1, max = 256))]
    pub actor: String,
    /// The phase after the action.
    pub phase: Phase,
    /// The reason that the actor gave, in their own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub reason: Option<String>,
    /// What happened, in a sentence.
    #[schemars(length(max = 512))]
    pub message: String,
    /// The just-in-time rules that decided something here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub rules: Vec<String>,
    /// Facts about the requester that those rules used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub facts: Vec<String>,
    /// SHA-256 over the hash of the previous entry and this entry, as sha256: and 64 hexadecimal digits.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub hash: String,
}
