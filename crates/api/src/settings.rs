//! `LockboxSettings`: the one configuration of Lockbox in a cluster.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, core::Message};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Circumstance, GrantForm, Identity, Origin, RuleEffect, Scope,
    duration::{Duration, seconds},
    notifications::Notifications,
    principal::{LONGEST_NAME, Principal},
    rules,
    time::Moment,
    vocabulary::shown_as_stored,
};

/// Whether Lockbox is on, who the provider's people are, what can be requested, and under which rules.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "lockbox.dev",
    version = "v1alpha1",
    kind = "LockboxSettings",
    doc = "The configuration of Lockbox in this cluster. There is one, and its name is default.",
    plural = "lockboxsettings",
    singular = "lockboxsettings",
    status = "LockboxSettingsStatus",
    derive = "PartialEq",
    shortname = "lbs",
    category = "lockbox",
    printcolumn(name = "Enabled", type_ = "boolean", json_path = ".status.enabled"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.supportPlan"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Why", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    validation = rules::forbidden("self.metadata.name == 'default'", Message::Expression("'there is one LockboxSettings in a cluster: name it default, not %s'.format([self.metadata.name])".into())),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = grant_default_fits(),
    validation = level_maximum_fits(),
    validation = rules_name_known_levels(),
    validation = rules::forbidden("!has(self.services) || !has(self.accessLevels) || self.services.all(s, !has(s.accessLevels) || s.accessLevels.all(a, self.accessLevels.exists(l, l.name == a)))", "a service names an access level that is not in accessLevels").field_path(".services"),
)]
pub struct LockboxSettingsSpec {
    /// Manual: enabled says whether Lockbox is on. `AutomaticWithPlan`: it is on with a qualifying support plan, as in
    /// the 2019 and 2020 editions of the service.
    #[serde(default)]
    pub enablement: Enablement,
    /// Whether Lockbox is on, when enablement is Manual.
    #[serde(default)]
    pub enabled: bool,
    /// The customer's support plan, from lowest to highest: Basic, Developer, Standard, `ProfessionalDirect`. With
    /// Basic, no request is processed.
    pub support_plan: SupportPlan,
    /// Which origins of requests are accepted: `SupportRequest` (the customer's ticket), `ProviderInitiated` (a problem
    /// that the provider found).
    #[serde(default = "all_origins")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub origins: Vec<Origin>,
    /// The provider's people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// The portal that shows support tickets and incidents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_portal: Option<SupportPortal>,
    /// How long a request waits for the customer, such as 4d, from 1s to 30d; then it expires.
    #[serde(default = "default_pending")]
    #[x_kube(validation = rules::between("1s", "30d"))]
    pub pending_timeout: Duration,
    /// How long a request waits for the provider's own approvers, before the customer is asked, such as 4d, from 1s to
    /// 30d; then it expires.
    #[serde(default = "default_pending")]
    #[x_kube(validation = rules::between("1s", "30d"))]
    pub internal_timeout: Duration,
    /// How long access lasts.
    #[serde(default)]
    pub grant: GrantLimits,
    /// Who approves for the customer, and how many must.
    #[serde(default)]
    pub approvals: Approvals,
    /// Whether requests for services in preview are processed.
    #[serde(default)]
    pub preview_services: PreviewServices,
    /// Adds to the built-in catalogue of services, or overrides an entry of the same name. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<Service>,
    /// What can be requested, each a `ClusterRole` with its limits. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub access_levels: Vec<AccessLevel>,
    /// How Lockbox recognises the two facts about a requester's identity.
    #[serde(default)]
    pub identity: IdentityFacts,
    /// The just-in-time rules.
    #[serde(default)]
    pub jit: Jit,
    /// Exclusions that may be recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusions: Option<Exclusions>,
    /// How many requests may be open at a time. Any further request is rejected at once.
    #[serde(default)]
    pub limits: Limits,
    /// Locked users: Lockbox cancels their pending requests, ends their access, and grants them none while they are in
    /// this list. Nobody else is affected. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["user".into()]))]
    pub locks: Vec<Lock>,
    /// Ends at once all access that was approved before a given time. Pending requests stay pending, and what is
    /// approved later is granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Who is told what, by e-mail and webhooks. Left out: nobody is told anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Notifications>,
}

/// How many requests may be open at a time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Open requests per requester, across all namespaces, from 1 to 1000.
    #[serde(default = "open_per_requester")]
    #[schemars(range(min = 1, max = 1000))]
    pub open_per_requester: i32,
    /// Open requests per namespace, from all requesters, from 1 to 5000.
    #[serde(default = "open_per_namespace")]
    #[schemars(range(min = 1, max = 5000))]
    pub open_per_namespace: i32,
}

fn open_per_requester() -> i32 {
    32
}

fn open_per_namespace() -> i32 {
    256
}

impl LockboxSettingsSpec {
    /// The access level of this name.
    pub fn access_level(&self, name: &str) -> Option<&AccessLevel> {
        self.access_levels.iter().find(|level| level.name == name)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { open_per_requester: open_per_requester(), open_per_namespace: open_per_namespace() }
    }
}

/// A locked user.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The user name, in upper or lower case.
    #[schemars(length(min = 1, max = 256))]
    pub user: String,
    /// Why: the requester and the approvers see it. At most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::visible())]
    pub reason: Option<String>,
}

/// Ends all access that was approved before a given time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Access that was approved before this time ends, such as 2026-11-29T12:00:00Z. A time in the future also ends
    /// what is approved until then.
    #[schemars(extend("maxLength" = 64))]
    pub before: Moment,
    /// Why: the requesters and the approvers see it. At most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::visible())]
    pub reason: Option<String>,
}

fn all_origins() -> Vec<Origin> {
    vec![Origin::SupportRequest, Origin::ProviderInitiated]
}

fn default_pending() -> Duration {
    Duration::DEFAULT_PENDING
}

fn grant_default_fits() -> kube::core::Rule {
    rules::forbidden(
        format!("{} <= {}", seconds("self.grant.default"), seconds("self.grant.maximum")),
        "grant.default must not be longer than grant.maximum",
    )
    .field_path(".grant.default")
}

fn level_maximum_fits() -> kube::core::Rule {
    let fits = format!("!has(l.maximum) || {} <= {}", seconds("l.maximum"), seconds("self.grant.maximum"));
    rules::forbidden(
        format!("!has(self.accessLevels) || self.accessLevels.all(l, {fits})"),
        Message::Expression(format!(
            "'the maximum of access levels %s is longer than grant.maximum'.format([self.accessLevels.filter(l, !({fits})).map(l, l.name)])"
        )),
    )
    .field_path(".accessLevels")
}

fn rules_name_known_levels() -> kube::core::Rule {
    let known = "!has(r.match) || !has(r.match.accessLevels) || r.match.accessLevels.all(a, has(self.accessLevels) && self.accessLevels.exists(l, l.name == a))";
    rules::forbidden(
        format!("!has(self.jit) || !has(self.jit.rules) || self.jit.rules.all(r, {known})"),
        Message::Expression(format!(
            "'rules %s name an access level that is not in accessLevels'.format([self.jit.rules.filter(r, !({known})).map(r, r.name)])"
        )),
    )
    .field_path(".jit.rules")
}

/// How Lockbox is switched on (M3).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Enablement {
    /// `enabled` decides.
    #[default]
    Manual,
    /// On with a qualifying support plan.
    AutomaticWithPlan,
}

/// The customer's support plan, from lowest to highest (M2).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SupportPlan {
    /// Does not qualify for Lockbox.
    Basic,
    /// The lowest plan that qualifies.
    Developer,
    /// Qualifies.
    Standard,
    /// The highest plan.
    ProfessionalDirect,
}

shown_as_stored!(SupportPlan, ApproverModel);

/// The provider's people.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// Who may request access. Lockbox gives them the RBAC for it, and refuses requests from anybody else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub engineers: Vec<Principal>,
}

/// The portal that shows tickets.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct SupportPortal {
    /// Hosts that links to tickets and incidents may point to.
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hosts: Vec<String>,
}

/// How long access lasts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GrantLimits {
    /// How long access lasts if the request does not say, such as 8h, from 1s to 7d.
    #[serde(default = "default_grant")]
    #[x_kube(validation = rules::between("1s", "7d"))]
    pub default: Duration,
    /// The longest access that can be requested, such as 24h, from 1s to 7d. More is refused, never shortened.
    #[serde(default = "default_maximum")]
    #[x_kube(validation = rules::between("1s", "7d"))]
    pub maximum: Duration,
    /// Whether access needs the safety net in the cluster, which ends it even while the operator is down. Required:
    /// access waits until the condition SafetyNet is True. Preferred: access is granted without it, too.
    #[serde(default)]
    pub safety_net: SafetyNet,
}

/// Whether access needs the safety net in the cluster.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SafetyNet {
    /// No access is granted without it.
    #[default]
    Required,
    /// Access is granted without it, too.
    Preferred,
}

fn default_grant() -> Duration {
    Duration::DEFAULT_GRANT
}

fn default_maximum() -> Duration {
    Duration::DEFAULT_MAXIMUM
}

impl Default for GrantLimits {
    fn default() -> Self {
        Self { default: Duration::DEFAULT_GRANT, maximum: Duration::DEFAULT_MAXIMUM, safety_net: SafetyNet::default() }
    }
}

/// Who approves for the customer.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// How many different approvers must approve; the first Deny ends the request.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub required: i32,
    /// Who approves requests in a subscription. `ByScope`: the Owners and Lockbox Approvers of the namespace.
    /// `OwnerOrGlobalAdministrator`: the Owners of the namespace, and Global Administrators. `OwnerOnly`: the Owners of the
    /// namespace. Tenant requests always go to Global Administrators.
    #[serde(default)]
    pub model: ApproverModel,
}

fn one() -> i32 {
    1
}

impl Default for Approvals {
    fn default() -> Self {
        Self { required: 1, model: ApproverModel::default() }
    }
}

/// Who the designated approvers of a request are (M9), by edition of the service. Tenant requests always go to Global
/// Administrators.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApproverModel {
    /// Newest edition: subscription requests go to Owners and Lockbox Approvers there.
    #[default]
    ByScope,
    /// 2023: subscription requests go to Owners there and to Global Administrators.
    OwnerOrGlobalAdministrator,
    /// 2019 to 2021: subscription requests go to Owners there.
    OwnerOnly,
}

/// Whether services in preview are processed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::forbidden("self.optIn == 'Listed' || !has(self.names) || self.names.size() == 0", "set optIn to Listed, or leave names out").field_path(".names"))]
pub struct PreviewServices {
    /// Which services in preview have their requests processed. None: none of them. All: all of them. Listed: those in
    /// names.
    #[serde(default)]
    pub opt_in: PreviewOptIn,
    /// Services in preview that the customer opts into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Vec<String>,
}

/// Which services in preview the customer opts into.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PreviewOptIn {
    /// None of them.
    #[default]
    None,
    /// All of them.
    All,
    /// The listed ones.
    Listed,
}

/// An entry of the catalogue of services.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The name that requests use.
    #[schemars(length(min = 1, max = 63), regex(pattern = rules::NAME))]
    pub name: String,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub display_name: Option<String>,
    /// Whether the service is supported. `GeneralAvailability`: for everybody. Preview: for customers who opt in
    /// (previewServices). `NotSupported`: not at all.
    pub stage: Stage,
    /// Stages of individual access levels, where they differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["accessLevel".into()]))]
    pub scenarios: Vec<Scenario>,
    /// Scopes that can be requested: Subscription (a namespace), Tenant (the cluster).
    #[serde(default = "subscription_only")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub scopes: Vec<Scope>,
    /// Kinds of objects that belong to it. A kind of another service is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["group".into(), "resource".into()]))]
    pub resources: Vec<GroupResource>,
    /// Names of the access levels that make sense for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub access_levels: Vec<String>,
    /// Other names that requests may give it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub aliases: Vec<String>,
    /// What to do if it is not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub advice: Option<String>,
}

fn subscription_only() -> Vec<Scope> {
    vec![Scope::Subscription]
}

/// Whether a service is supported (M4).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Supported.
    GeneralAvailability,
    /// Supported for customers who opt in.
    Preview,
    /// Expressly not supported.
    NotSupported,
}

/// The stage of one access level of a service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Scenario {
    /// Name of the access level.
    #[schemars(length(min = 1, max = 63))]
    pub access_level: String,
    /// Whether that access level is supported: `GeneralAvailability`, Preview or `NotSupported`.
    pub stage: Stage,
}

/// A kind of object by group and plural name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 64), regex(pattern = r"^[a-z0-9.-]*$"))]
    pub group: String,
    /// Plural name of the kind, such as pods.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub resource: String,
}

/// As on the command line of kubectl: `deployments.apps`.
impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// Something that can be requested: a `ClusterRole` and its limits.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AccessLevel {
    /// The name that requests use.
    #[schemars(length(min = 1, max = 63), regex(pattern = rules::NAME))]
    pub name: String,
    /// The `ClusterRole` that says what it allows; it carries the label lockbox.dev/access-level: "true".
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-zA-Z0-9:._-]+$"))]
    pub cluster_role: String,
    /// Whether it reaches customer data; if so, the customer is asked. False is refused for a role that reaches
    /// customer data.
    #[serde(default = "yes")]
    pub customer_data: bool,
    /// The longest time it can be granted for, such as 8h, from 1s to 7d, and no longer than grant.maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::between("1s", "7d"))]
    pub maximum: Option<Duration>,
    /// Names of the services that it applies to. If omitted: any service whose own entry allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub services: Option<Vec<String>>,
    /// Rights of the role that are not known to be harmless, each with the reason that the approver reads in
    /// status.effect.reasons. Reading needs no entry, nor do the shipped levels; every other write does, and so does
    /// reading a subresource other than status, scale and log. The `ClusterRole` lists the same rights in its
    /// annotation lockbox.dev/extra-rights. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["group".into(), "resource".into()]))]
    pub extra_rights: Vec<ExtraRight>,
    /// Kinds whose objects share names by design, such as a virtual machine and its running instance: a request for an
    /// object of one kind reaches the objects of that name of the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub same_name: Vec<GroupResource>,
}

fn yes() -> bool {
    true
}

/// Something that an access level allows beyond reading, and why the customer wants it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ExtraRight {
    /// API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 64), regex(pattern = r"^[a-z0-9.-]*$"))]
    pub group: String,
    /// Plural name of the kind, such as configmaps, or a subresource of one, such as deployments/scale.
    #[schemars(
        length(min = 1, max = 127),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")
    )]
    pub resource: String,
    /// The verbs, such as update and patch.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 16), regex(pattern = r"^[a-z]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub verbs: Vec<String>,
    /// Why, for the approver to read. At most 256 characters.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::visible())]
    pub reason: String,
}

/// How Lockbox recognises the two facts about identity. If one is absent, nobody has it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IdentityFacts {
    /// What shows that the requester used multi-factor authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_factor: Option<IdentityFact>,
    /// What shows that the requester is an isolated identity, such as an account of a secure workstation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated_identity: Option<IdentityFact>,
}

/// A fact holds when the requester is in one of the groups, or has one of the values in the attribute.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = rules::no_built_in_groups())]
#[x_kube(validation = kube::core::Rule::new("has(self.groups) || has(self.extra)").message("name groups, or an attribute in extra").reason(Reason::FieldValueRequired))]
pub struct IdentityFact {
    /// Groups; membership in one is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = LONGEST_NAME)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub groups: Vec<String>,
    /// An attribute of the sign-in; one of its values is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Attribute>,
}

/// An attribute and its values, one of which is enough.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribute {
    /// Its key, such as provider.example/amr.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
    /// Its values, such as mfa, one of which is enough.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub values: Vec<String>,
}

/// The just-in-time rules (M6).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Jit {
    /// Every matching rule applies: a Deny wins, requirements add up, and no match at all means Deny. At most 128.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rules: Vec<JitRule>,
}

/// One just-in-time rule.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = rules::forbidden("self.effect == 'Permit' || !has(self.require)", "leave require out: it belongs to rules with effect Permit").field_path(".require"))]
pub struct JitRule {
    /// Its name, shown wherever it decides something.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Which requests it applies to. If omitted: all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Match>,
    /// Permit: the request proceeds, on the terms of require. Deny: it ends.
    pub effect: RuleEffect,
    /// What a permitted request still needs. If omitted: identity Any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<Require>,
}

/// Which requests a rule applies to. Every field that is set must match; a list matches if one of its items does; an
/// omitted field matches every request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// Scope of the request: Subscription, Tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub scopes: Option<Vec<Scope>>,
    /// Named: the request names its resources. Whole: it asks for the whole scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<GrantForm>,
    /// Kinds of the requested resources; all of them must be in this list. A request for the whole scope does not
    /// match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["group".into(), "resource".into()]))]
    pub kinds: Option<Vec<GroupResource>>,
    /// Service of the request, by its name in the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub services: Option<Vec<String>>,
    /// Access level of the request, by its name in accessLevels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub access_levels: Option<Vec<String>>,
    /// Origin of the request: `SupportRequest`, `ProviderInitiated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub origins: Option<Vec<Origin>>,
    /// Groups of the requester; one is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = LONGEST_NAME)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub requester_groups: Option<Vec<String>>,
    /// Whether the access level of the request reaches customer data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_data: Option<bool>,
}

/// What a permitted request still needs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Require {
    /// What the requester's identity must be. Any: isolated, or with multi-factor authentication. `MultiFactor`: with
    /// multi-factor authentication. Isolated: isolated. Both: isolated and with multi-factor authentication.
    #[serde(default)]
    pub identity: Identity,
    /// Approval by the provider's own people, before the customer is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_approval: Option<RequireInternalApproval>,
}

/// Approval by the provider's own people.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = rules::forbidden("self.approvers.exists(a, a.kind == 'Group') || self.count <= self.approvers.size()", "must not exceed the number of approvers").field_path(".count"))]
pub struct RequireInternalApproval {
    /// Who may approve, such as customer support leads. Lockbox gives them the RBAC for it. At most 4: use groups.
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub approvers: Vec<Principal>,
    /// How many of them must approve.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub count: i32,
}

/// Exclusions that may be recorded (M17).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusions {
    /// Which exclusions may be recorded, and by whom. A request with one that is not listed is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["circumstance".into()]))]
    pub allowed: Vec<AllowedExclusion>,
    /// Where the provider explains how it answers legal demands for data; shown with each such record.
    #[serde(default, rename = "legalDemandsURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 1024))]
    #[x_kube(validation = rules::https())]
    pub legal_demands_url: Option<String>,
}

/// An exclusion and who may record it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct AllowedExclusion {
    /// Which exclusion: `BreakGlass`, `PlatformTroubleshooting` or `LegalDemand`.
    #[x_kube(validation = rules::forbidden("self != 'Standard'", "must be an exclusion: BreakGlass, PlatformTroubleshooting or LegalDemand"))]
    pub circumstance: Circumstance,
    /// Who may record it. Lockbox gives them the RBAC for it.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub by: Vec<Principal>,
}

/// The state of the settings, as the operator sees them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LockboxSettingsStatus {
    /// The generation that this status reflects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether Lockbox is on: switched on, and with a qualifying plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Ready: the settings can be used; if not, it names the field and the reason. `AdmissionEnforced`, `SafetyNet`,
    /// `ClockInSync`: what must be proven before access is granted; if it is not, they say what was found and what to
    /// do. `DefinitionsMatch`: the `CustomResourceDefinitions` are those of this version of the operator.
    /// `NotificationsUsable`, where notifications are set: whether people can be told as they say. `PeopleBound` is
    /// present, and False, while people's RBAC could not be created or removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Since when the admission policies that authenticate requests and decisions have been in force without a known
    /// gap. Older requests that are still pending end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub admission_since: Option<Moment>,
    /// For each service, whether Lockbox applies to it here, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceStatus>,
    /// The benchmark control that calls for this review of services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<Benchmark>,
    /// A summary of the spec that the operator saw last. It compares the next change with this, and the Event says
    /// which fields changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 48))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["field".into()]))]
    pub recorded: Vec<RecordedField>,
}

/// A field of the spec that the operator saw last.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct RecordedField {
    /// Its path, such as grant.maximum.
    #[schemars(length(max = 64))]
    pub field: String,
    /// What it held: a short value as it is, a list as its items with their digests, anything else as a digest.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// Whether Lockbox applies to a service in this cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Name of the service.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub display_name: Option<String>,
    /// Whether it is supported.
    pub stage: Stage,
    /// Whether Lockbox applies to it here.
    pub applies: bool,
    /// Why it applies, or does not.
    #[schemars(length(max = 320))]
    pub reason: String,
}

/// The benchmark control behind the review of services.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Benchmark {
    /// Its number in the Microsoft cloud security benchmark.
    #[schemars(length(max = 32))]
    pub control: String,
    /// Its title.
    #[schemars(length(max = 128))]
    pub title: String,
    /// Its number in the earlier Azure Security Benchmark.
    #[schemars(length(max = 64))]
    pub formerly: String,
}
