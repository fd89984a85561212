//! What the tests of the schema share: the three definitions, a walk over a schema, and one object of each kind in which
//! every field is filled in.

#![allow(dead_code, reason = "no binary needs all of it")]

pub mod limits;
pub mod texts;

use lockbox_api::schema::definitions;
use serde_json::Value;

/// One of the three kinds.
pub struct Kind {
    /// Such as `LockboxRequest`.
    pub name: String,
    /// Such as `lockboxrequests.yaml`.
    pub file: &'static str,
    /// The whole `CustomResourceDefinition`.
    pub definition: Value,
}

impl Kind {
    /// The `openAPIV3Schema` of the one version.
    pub fn schema(&self) -> &Value {
        &self.version()["schema"]["openAPIV3Schema"]
    }

    /// The one version.
    pub fn version(&self) -> &Value {
        &self.definition["spec"]["versions"][0]
    }
}

/// The three kinds as they are shipped.
pub fn kinds() -> Vec<Kind> {
    let kind = |definition: &Value| definition["spec"]["names"]["kind"].as_str().unwrap().to_owned();
    definitions().into_iter().map(|(file, definition)| Kind { name: kind(&definition), file, definition }).collect()
}

/// One of the three.
pub fn kind(name: &str) -> Kind {
    kinds().into_iter().find(|kind| kind.name == name).unwrap()
}

/// Calls `see` with each node of a schema and its path: `.spec.resources[].name`, `.spec.decisions{}.verdict`.
pub fn walk<'a>(schema: &'a Value, path: &str, see: &mut impl FnMut(&str, &'a Value)) {
    see(path, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            walk(property, &format!("{path}.{name}"), see);
        }
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{path}[]"), see);
    }
    if schema["additionalProperties"].is_object() {
        walk(&schema["additionalProperties"], &format!("{path}{{}}"), see);
    }
}

/// Whether a field belongs to `metav1.Condition`, whose words are Kubernetes' own.
pub fn is_condition(path: &str) -> bool {
    path.starts_with(".status.conditions[]")
}

/// Sets the value at a JSON pointer, making objects that are missing on the way.
pub fn set(object: &mut Value, pointer: &str, value: impl Into<Value>) {
    let mut at = object;
    for part in pointer.trim_start_matches('/').split('/') {
        at = match part.parse::<usize>() {
            Ok(index) if at.is_array() => &mut at[index],
            _ => &mut at[part],
        };
    }
    *at = value.into();
}

/// The object with another value at a JSON pointer.
pub fn with(object: &Value, pointer: &str, value: impl Into<Value>) -> Value {
    let mut object = object.clone();
    set(&mut object, pointer, value);
    object
}

/// The object without the field at a JSON pointer.
pub fn without(object: &Value, pointer: &str) -> Value {
    let mut object = object.clone();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let removed = object.pointer_mut(parent).and_then(Value::as_object_mut).and_then(|parent| parent.remove(field));
    assert!(removed.is_some(), "{pointer} is not there");
    object
}

/// An object of a kind in which every field is filled in.
pub fn full(kind: &str) -> Value {
    let text = match kind {
        "LockboxRequest" => REQUEST,
        "LockboxSettings" => SETTINGS,
        _ => ASSIGNMENT,
    };
    serde_yaml_ng::from_str(text).unwrap()
}

/// A request with nothing in it that is not needed.
pub fn small_request() -> Value {
    let small = ["incident", "escalation", "resources", "duration"]
        .iter()
        .fold(created("LockboxRequest"), |object, field| without(&object, &format!("/spec/{field}")));
    ["history", "openedBy", "assignedTo"]
        .iter()
        .fold(small, |object, field| without(&object, &format!("/spec/supportRequest/{field}")))
}

/// The same as a user creates it: no status, nothing decided, nothing activated.
pub fn created(kind: &str) -> Value {
    let mut object = without(&full(kind), "/status");
    let later: &[&str] = match kind {
        "LockboxRequest" => &[
            "decision",
            "internalDecision",
            "decisions",
            "internalDecisions",
            "cancellation",
            "release",
            "revocation",
            "removal",
        ],
        "LockboxSettings" => &[],
        _ => &["activation"],
    };
    for field in later {
        object["spec"].as_object_mut().unwrap().remove(*field).unwrap();
    }
    object
}

const REQUEST: &str = r#"
apiVersion: lockbox.dev/v1alpha1
kind: LockboxRequest
metadata: {name: sr-1, namespace: default}
spec:
  requester:
    username: kim@provider.example
    groups: [provider:engineers, system:authenticated]
    extra: {amr: [mfa]}
  origin: SupportRequest
  supportRequest:
    id: "2611210040000123"
    url: https://support.example/2611210040000123
    summary: The shop answers 502
    openedBy: dana@contoso.example
    openedAt: "2026-11-21T08:12:00Z"
    assignedTo: robin@provider.example
    history: [{at: "2026-11-21T09:40:00Z", by: robin@provider.example, note: The upstream looks wrong}]
  incident: {id: INC-7, url: https://support.example/INC-7, summary: A host was updated}
  escalation: {team: Networking, reason: Robin is on leave}
  circumstance: Standard
  justification: Need to see which upstream the shop uses
  scope: Subscription
  service: AppService
  resources:
  - {group: "", resource: configmaps, name: shop-settings}
  - {group: apps, resource: deployments, name: shop}
  accessLevel: ReadObjects
  duration: 8h
  decision: &decision
    verdict: Approve
    reason: agreed
    group: contoso:owners
    duration: 4h
    resources: [{group: "", resource: configmaps, name: shop-settings}]
    effectHash: &hash sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  decisions: {alice: *decision}
  internalDecision: &internal {verdict: Approve, reason: agreed, group: provider:support-leads}
  internalDecisions: {lea: *internal}
  cancellation: {by: kim@provider.example, reason: solved}
  release: {by: kim@provider.example, reason: solved}
  revocation: {by: alice, reason: enough}
  removal: {by: ada, reason: made by mistake}
status:
  observedGeneration: 1
  phase: AccessGranted
  reason: AccessGranted
  message: Kim has access until noon
  until: &until "2026-11-23T12:00:00Z"
  conditions:
  - {type: Approved, status: "True", reason: Approved, message: by alice, observedGeneration: 1, lastTransitionTime: *until}
  jit: {rules: [named-objects], verdict: Permit, identity: Any, message: One rule permits it}
  internalApprovals: [{rule: named-objects, approvers: [{kind: Group, name: "provider:support-leads"}], count: 1}]
  requiredApprovals: 1
  approvers:
  - {kind: User, name: alice, role: Owner, assignment: default/alice, uid: 7b1c, activeUntil: *until}
  excludedApprovers: [{kind: User, name: kim, reason: Requester, message: Kim asks}]
  barred: {users: [kim@provider.example], groups: [provider:engineers]}
  effect: {form: Named, role: lockbox-read-objects, rules: [get configmaps], reasons: [shops change], leftOut: [list secrets], hash: *hash}
  duration: 4h
  evaluateUntil: *until
  internalUntil: *until
  notifiedAt: *until
  pendingUntil: *until
  approvedAt: *until
  accessUntil: *until
  grantedAt: *until
  activity:
    coverage: Covered
    message: the audit stream covers it
    since: *until
    until: *until
    recordedAt: *until
    calls: 3
    failed: 1
    afterTheEnd: 0
    first: *until
    last: *until
    operations: [{verb: create, group: batch, resource: jobs, count: 2, first: *until, last: *until}]
    moreOperations: 0
    objects: [{group: batch, resource: jobs, namespace: shop, name: fix, verbs: [create], count: 2, last: *until}]
    moreObjects: 0
    sessions:
    - {kind: Exec, resource: pods, namespace: shop, name: web, container: app, command: ls, start: *until, end: *until, lasted: 1m0s, code: 101, began: true}
    moreSessions: 0
    refused:
      calls: 1
      attempts: [{verb: get, group: apps, resource: deployments, namespace: shop, name: web, code: 403, count: 1, last: *until}]
      moreAttempts: 0
      elsewhere: 0
    byOtherRights:
      calls: 1
      byOtherGrants: 0
      elsewhere: 0
      discovery: 4
      asSomebodyElse: 0
      impersonated: [bob]
      operations: [{verb: list, group: apps, resource: deployments, count: 1, first: *until, last: *until}]
      moreOperations: 0
      rights: ['RBAC: allowed by RoleBinding "own/shop" of Role "own" to User "kim"']
    userAgents: [kubectl/v1.37.2]
    moreUserAgents: 0
    addresses: [192.0.2.7]
    moreAddresses: 0
    impersonatedBy: [admin]
    residue:
    - {group: batch, resource: jobs, namespace: shop, name: fix, change: Created, done: created, at: *until, look: kubectl get jobs.batch/fix -n shop -o yaml}
    moreResidue: 0
  endedAt: *until
  grant: {name: lockbox-grant-7b1c, resources: [{group: "", resource: configmaps, name: shop-settings}]}
  history:
  - {sequence: 1, at: *until, action: CreateLockboxRequest, actor: lockbox, phase: CustomerNotified, reason: r,
     message: Create Lockbox Request, rules: [named-objects], facts: [isolatedIdentity], hash: *hash}
  eventsPublished: 1
  notifications: [{id: "0001", kind: ApprovalAsked, state: Waiting, at: *until, delivered: 1, destinations: 2, message: try again later}]
  closed: false
"#;

const SETTINGS: &str = r#"
apiVersion: lockbox.dev/v1alpha1
kind: LockboxSettings
metadata: {name: default}
spec:
  enablement: Manual
  enabled: true
  supportPlan: Developer
  origins: [SupportRequest, ProviderInitiated]
  provider: {engineers: [{kind: Group, name: "provider:engineers"}]}
  supportPortal: {hosts: [support.example]}
  pendingTimeout: 4d
  internalTimeout: 4d
  grant: {default: 8h, maximum: 1d, safetyNet: Preferred}
  approvals: {required: 1, model: ByScope}
  previewServices: {optIn: Listed, names: [Bots]}
  services:
  - name: Bots
    displayName: Azure Bots
    stage: Preview
    scenarios: [{accessLevel: ReadObjects, stage: NotSupported}]
    scopes: [Subscription]
    resources: [{group: bots.example, resource: bots}]
    accessLevels: [ReadObjects]
    aliases: [BotService]
    advice: Ask again next year
  accessLevels:
  - name: ReadObjects
    clusterRole: lockbox-read-objects
    customerData: true
    maximum: 8h
    services: [Bots]
    extraRights: [{group: bots.example, resource: bots/scale, verbs: [patch], reason: Support stops bots}]
    sameName: [{group: bots.example, resource: bots}]
  identity:
    multiFactor: {groups: [provider:second-factor], extra: {key: provider.example/amr, values: [mfa]}}
    isolatedIdentity: {groups: [provider:secure-workstations], extra: {key: provider.example/paw, values: ["true"]}}
  jit:
    rules:
    - name: named-objects
      match:
        scopes: [Subscription]
        resources: Named
        kinds: [{group: bots.example, resource: bots}]
        services: [Bots]
        accessLevels: [ReadObjects]
        origins: [SupportRequest]
        requesterGroups: [provider:engineers]
        customerData: true
      effect: Permit
      require:
        identity: Any
        internalApproval: {approvers: [{kind: User, name: lea@provider.example}], count: 1}
  exclusions:
    allowed: [{circumstance: BreakGlass, by: [{kind: Group, name: "provider:incident-commanders"}]}]
    legalDemandsURL: https://provider.example/legal
  limits: {openPerRequester: 32, openPerNamespace: 256}
  locks: [{user: mallory@provider.example, reason: under investigation}]
  stop: {before: "2026-11-23T12:00:00Z", reason: drill}
  notifications:
    portalURL: https://lockbox.contoso.example/{namespace}/{name}
    timeZone: Europe/Berlin
    reminders: [2h]
    giveUpAfter: 3d
    email:
      addresses: [{kind: Group, name: "contoso:owners", address: owners@contoso.example}]
      alternate: [soc@contoso.example]
    webhooks: [{name: slack, kinds: [ApprovalAsked], template: "{}"}]
    mute: [{kind: Approved, audience: Requester}]
    templates: [{kind: Denied, subject: No, text: No., html: <p>No.</p>}]
status:
  observedGeneration: 1
  enabled: true
  conditions:
  - {type: Ready, status: "True", reason: Ready, message: in use, observedGeneration: 1, lastTransitionTime: "2026-11-23T12:00:00Z"}
  services: [{name: Bots, displayName: Azure Bots, stage: Preview, applies: true, reason: You opted in}]
  admissionSince: "2026-11-23T12:00:00Z"
  recorded: [{field: grant.maximum, value: 24h}]
  benchmark: {control: PA-8, title: Determine access process for cloud provider support, formerly: "3.13"}
"#;

const ASSIGNMENT: &str = r#"
apiVersion: lockbox.dev/v1alpha1
kind: RoleAssignment
metadata: {name: alice, namespace: default}
spec:
  principal: {kind: User, name: alice@contoso.example}
  role: Owner
  scope: Subscription
  type: Eligible
  activation: {justification: On call, duration: 4h}
  notification: {emails: [alice@phone.example], alternate: [deputy@contoso.example]}
status:
  observedGeneration: 1
  conditions:
  - {type: Active, status: "True", reason: Activated, message: until noon, observedGeneration: 1, lastTransitionTime: "2026-11-23T12:00:00Z"}
  activatedAt: "2026-11-23T08:00:00Z"
  activeUntil: "2026-11-23T12:00:00Z"
  activation: {justification: On call, duration: 4h}
  history:
  - {sequence: 1, at: "2026-11-23T08:00:00Z", action: CreateRoleAssignment, actor: ada@contoso.example, message: made}
"#;
