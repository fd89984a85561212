//! A small world for tests of the lifecycle: one request, the settings around it, the people in it. A test changes what
//! it is about and takes steps.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be read is a bug of the test")]

use k8s_openapi::api::rbac::v1::PolicyRule;
use lockbox_api::{
    AuditAction, LockboxRequest, LockboxRequestStatus, LockboxSettingsSpec, Moment, Phase, RoleAssignment,
    request::{Decision, Ending, Entry, InternalDecision},
    time::to_kubernetes,
};
use lockbox_lifecycle::{
    Action, Attempt, Channels, Delivery, Facts, Forgery, GrantView, Message, OpenRequests, Outcomes, PlacementView,
    Proofs, RoleView, SettingsView, Step, step,
};
use serde_json::{Value, json};

/// The request's UID.
pub const UID: &str = "9f0d2c1e-5a77-4c1b-8f5e-000000000001";
/// The request's namespace.
pub const NAMESPACE: &str = "contoso-prod";
/// The tenant's home.
pub const HOME: &str = "lockbox-tenant";
/// Who asks.
pub const KIM: &str = "kim@provider.example";
/// The provider's own approver.
pub const LEAD: &str = "lead@provider.example";
/// The customer's approvers.
pub const ALICE: &str = "alice@contoso.example";
pub const BOB: &str = "bob@contoso.example";
pub const CAROL: &str = "carol@contoso.example";

/// Seconds after the moment at which the request was made.
pub fn at(seconds: i64) -> Moment {
    Moment::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

/// Four days and a bit.
pub const FOUR_DAYS: i64 = 4 * 86_400;
/// Eight hours.
pub const EIGHT_HOURS: i64 = 8 * 3_600;

/// Everything that a step depends on.
#[derive(Clone, Debug)]
pub struct World {
    pub request: LockboxRequest,
    pub settings: Option<LockboxSettingsSpec>,
    pub assignments: Vec<RoleAssignment>,
    pub role: RoleView,
    /// Whether the binding is in the cluster.
    pub binding: bool,
    /// What an attempt at making the grant comes to, where it is not made.
    pub attempt: Attempt,
    /// What a trial with something forged comes to.
    pub forgery: Forgery,
    /// What a trial of the place comes to.
    pub placement: PlacementView,
    /// Why the grant cannot be ended.
    pub not_ended: Option<String>,
    /// Why nothing can be done.
    pub trouble: Option<String>,
    /// Why the settings cannot be read.
    pub unreadable: Option<String>,
    pub open: OpenRequests,
    pub proofs: Proofs,
    /// What the audit stream shows; none: no stream.
    pub activity: Option<lockbox_api::Activity>,
    /// Entries known to be published; none: what status says.
    pub published: Option<usize>,
    /// Where messages can go.
    pub channels: Channels,
    /// What the outbox holds.
    pub deliveries: Vec<Delivery>,
    /// Seconds since the request was made.
    pub now: i64,
}

impl World {
    /// A request for named resources with customer data, one approval needed, three approvers, no internal approval.
    pub fn new() -> Self {
        Self {
            request: request(),
            settings: Some(settings()),
            assignments: [ALICE, BOB, CAROL].map(|name| assignment(name, "Owner", -100)).into(),
            role: RoleView::Rules(shell_rules()),
            binding: false,
            attempt: Attempt::None,
            forgery: Forgery::Refused,
            placement: PlacementView::Fits,
            not_ended: None,
            trouble: None,
            unreadable: None,
            open: OpenRequests { of_requester: 1, in_namespace: 1 },
            proofs: Proofs::ALL,
            activity: None,
            published: None,
            channels: Channels::default(),
            deliveries: vec![],
            now: 10,
        }
    }

    /// As [`World::new`], and a rule demands the approval of the provider's lead.
    pub fn with_internal_approval() -> Self {
        Self::new().settings(|spec| {
            spec["jit"]["rules"][0]["require"] =
                json!({"internalApproval": {"approvers": [{"kind": "User", "name": LEAD}], "count": 1}});
        })
    }

    /// As [`World::new`], for an access level without customer data.
    pub fn without_customer_data() -> Self {
        let mut world = Self::new().request(|spec| spec["accessLevel"] = json!("ReadObjects"));
        world.role = RoleView::Rules(reading_rules());
        world
    }

    pub fn settings(mut self, change: impl FnOnce(&mut Value)) -> Self {
        self.change_settings(change);
        self
    }

    pub fn change_settings(&mut self, change: impl FnOnce(&mut Value)) {
        let mut value = serde_json::to_value(self.settings.as_ref().unwrap()).unwrap();
        change(&mut value);
        self.settings = Some(serde_json::from_value(value).unwrap());
    }

    pub fn request(mut self, change: impl FnOnce(&mut Value)) -> Self {
        self.change_request(change);
        self
    }

    pub fn change_request(&mut self, change: impl FnOnce(&mut Value)) {
        let mut value = serde_json::to_value(&self.request.spec).unwrap();
        change(&mut value);
        self.request.spec = serde_json::from_value(value).unwrap();
    }

    /// With a mail server, and settings that tell people.
    pub fn telling(mut self, notifications: Value) -> Self {
        self.channels = Channels { mail: true, webhooks: true };
        self.settings(|spec| spec["notifications"] = notifications)
    }

    /// Every message that the outbox holds arrives.
    pub fn deliver(&mut self) {
        for delivery in &mut self.deliveries {
            delivery.delivered = delivery.destinations;
        }
    }

    pub fn at(mut self, now: i64) -> Self {
        self.now = now;
        self
    }

    pub fn decide(&mut self, user: &str, decision: Value) {
        let decision: Decision = serde_json::from_value(decision).unwrap();
        self.request.spec.decisions.insert(user.into(), decision);
    }

    pub fn decide_internally(&mut self, user: &str, decision: Value) {
        let decision: InternalDecision = serde_json::from_value(decision).unwrap();
        self.request.spec.internal_decisions.insert(user.into(), decision);
    }

    pub fn status(&self) -> &LockboxRequestStatus {
        self.request.status.as_ref().unwrap()
    }

    pub fn phase(&self) -> Phase {
        self.request.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
    }

    pub fn history(&self) -> &[Entry] {
        self.request.status.as_ref().map_or(&[], |status| &status.history)
    }

    pub fn actions(&self) -> Vec<AuditAction> {
        self.history().iter().map(|entry| entry.action).collect()
    }

    /// The step that these outcomes lead to.
    pub fn step(&self, outcomes: &Outcomes) -> Step {
        let recorded = self.request.status.as_ref().and_then(|status| status.events_published).unwrap_or_default();
        let settings = match (&self.unreadable, &self.settings) {
            (Some(why), _) => SettingsView::Unreadable(why),
            (None, Some(settings)) => SettingsView::Known(settings),
            (None, None) => SettingsView::Missing,
        };
        let facts = Facts {
            request: &self.request,
            settings,
            assignments: &self.assignments,
            role: &self.role,
            outcomes,
            published: self.published.unwrap_or_else(|| usize::try_from(recorded).unwrap()),
            open: self.open,
            proofs: &self.proofs,
            channels: self.channels,
            deliveries: &self.deliveries,
            tenant_namespace: HOME,
            activity: self.activity.as_ref(),
        };
        step(&facts, at(self.now))
    }

    /// What steps would do up to the next write, or until there is nothing to do; nothing is changed.
    pub fn look(&self) -> Taken {
        self.clone().take()
    }

    /// Takes steps up to the next write, or until there is nothing to do now, as the operator does when nothing fails.
    pub fn take(&mut self) -> Taken {
        let mut outcomes = Outcomes {
            grant: if self.binding { GrantView::Present } else { GrantView::Unknown },
            trouble: self.trouble.clone(),
            ..Outcomes::default()
        };
        let mut taken = Taken::default();
        for _ in 0..12 {
            match self.step(&outcomes) {
                Step::Do(action) => {
                    self.perform(&action, &mut outcomes);
                    taken.did.push(action);
                }
                Step::Write(status) => {
                    self.request.status = Some(status.as_ref().clone());
                    taken.wake = status.until.filter(|_| !self.phase().is_terminal());
                    taken.status = Some(status);
                    return taken;
                }
                Step::Sleep(wake) => {
                    taken.wake = wake;
                    return taken;
                }
            }
        }
        panic!("no end of actions: {:?}", taken.did);
    }

    fn perform(&mut self, action: &Action, outcomes: &mut Outcomes) {
        match action {
            Action::Read { request } => {
                outcomes.read = true;
                outcomes.request_read |= request;
            }
            Action::TryPlacement => outcomes.placement = self.placement.clone(),
            Action::PrepareGrant(_) => outcomes.forgery = self.forgery.clone(),
            Action::MakeGrant(_) if self.attempt == Attempt::None => {
                self.binding = true;
                outcomes.grant = GrantView::Present;
            }
            Action::MakeGrant(_) => outcomes.attempt = self.attempt.clone(),
            Action::FindGrant => {
                outcomes.grant = if self.binding { GrantView::Present } else { GrantView::Absent };
            }
            Action::EndGrant { .. } if self.not_ended.is_some() => outcomes.not_ended.clone_from(&self.not_ended),
            Action::EndGrant { .. } => {
                outcomes.grant = GrantView::Ended { was_there: self.binding };
                self.binding = false;
            }
            Action::Publish { .. } => self.published = Some(self.history().len()),
            Action::Tell { messages } => self.tell(messages),
        }
    }

    /// Holds these messages and no others, as the outbox does; each has one destination.
    fn tell(&mut self, messages: &[Message]) {
        self.deliveries.retain(|held| messages.iter().any(|message| message.id == held.id));
        for message in messages {
            if self.deliveries.iter().all(|held| held.id != message.id) {
                self.deliveries.push(Delivery {
                    id: message.id.clone(),
                    kind: message.kind,
                    since: at(self.now),
                    delivered: 0,
                    failed: 0,
                    destinations: 1,
                    trouble: None,
                });
            }
        }
    }

    /// Takes steps until there is nothing to do now.
    pub fn settle(&mut self) {
        for _ in 0..12 {
            let next = self.take();
            if next.status.is_none() {
                return;
            }
        }
        panic!("the request does not settle: {:?}", self.request.status);
    }

    /// Brings the request into a phase by the ordinary way.
    pub fn into_phase(mut self, phase: Phase) -> Self {
        if phase == Phase::Evaluating {
            return self;
        }
        for _ in 0..6 {
            if self.phase() == phase {
                return self;
            }
            match self.phase() {
                Phase::AwaitingInternalApproval => self.decide_internally(LEAD, json!({"verdict": "Approve"})),
                Phase::CustomerNotified => {
                    let required = self.status().required_approvals.unwrap();
                    for user in [ALICE, BOB, CAROL].into_iter().take(usize::try_from(required).unwrap()) {
                        self.decide(user, json!({"verdict": "Approve"}));
                    }
                }
                _ => {}
            }
            self.take();
        }
        assert_eq!(self.phase(), phase, "{:?}", self.request.status);
        self
    }
}

/// What steps did up to a write, or until there was nothing to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    pub did: Vec<Action>,
    pub status: Option<Box<LockboxRequestStatus>>,
    pub wake: Option<Moment>,
}

impl Taken {
    /// What was done to the grant.
    pub fn to_the_grant(&self) -> Vec<&Action> {
        self.did.iter().filter(|action| matches!(action, Action::MakeGrant(_) | Action::EndGrant { .. })).collect()
    }

    /// Whether entries were published.
    pub fn publishes(&self) -> bool {
        self.did.iter().any(|action| matches!(action, Action::Publish { .. }))
    }
}

/// The request, made at second 0.
pub fn request() -> LockboxRequest {
    let mut request: LockboxRequest = serde_json::from_value(json!({
        "apiVersion": "lockbox.dev/v1alpha1",
        "kind": "LockboxRequest",
        "metadata": {"name": "sr-1", "namespace": NAMESPACE, "uid": UID, "generation": 1},
        "spec": {
            "requester": {
                "username": KIM,
                "groups": ["provider:engineers"],
                "extra": {"provider.example/amr": ["mfa"]}
            },
            "origin": "SupportRequest",
            "supportRequest": {"id": "4711", "url": "https://support.example/4711", "summary": "The shop hangs"},
            "justification": "The shop hangs after the update; I need a shell.",
            "scope": "Subscription",
            "service": "AppService",
            "resources": [
                {"group": "", "resource": "pods", "name": "shop-0"},
                {"group": "", "resource": "pods", "name": "shop-1"}
            ],
            "accessLevel": "Shell"
        }
    }))
    .unwrap();
    request.metadata.creation_timestamp = Some(to_kubernetes(at(0)));
    request
}

/// Settings that permit the request.
pub fn settings() -> LockboxSettingsSpec {
    serde_json::from_value(json!({
        "enabled": true,
        "supportPlan": "Developer",
        "provider": {"engineers": [{"kind": "Group", "name": "provider:engineers"}]},
        "supportPortal": {"hosts": ["support.example"]},
        "accessLevels": [
            {"name": "Shell", "clusterRole": "lockbox-shell", "customerData": true, "maximum": "12h"},
            {"name": "ReadObjects", "clusterRole": "lockbox-read-objects", "customerData": false}
        ],
        "identity": {"multiFactor": {"extra": {"key": "provider.example/amr", "values": ["mfa"]}}},
        "jit": {"rules": [{"name": "named", "match": {"resources": "Named"}, "effect": "Permit"}]}
    }))
    .unwrap()
}

/// Made `created` seconds after the request.
pub fn assignment(name: &str, role: &str, created: i64) -> RoleAssignment {
    let (namespace, scope) = if role == "GlobalAdministrator" { (HOME, "Tenant") } else { (NAMESPACE, "Subscription") };
    let short = name.split(['@', ':']).next().unwrap();
    let kind = if name.contains(':') { "Group" } else { "User" };
    let mut assignment: RoleAssignment = serde_json::from_value(json!({
        "apiVersion": "lockbox.dev/v1alpha1",
        "kind": "RoleAssignment",
        "metadata": {"name": short, "namespace": namespace, "uid": format!("uid-of-{short}-{role}"), "generation": 1},
        "spec": {"principal": {"kind": kind, "name": name}, "role": role, "scope": scope}
    }))
    .unwrap();
    assignment.metadata.creation_timestamp = Some(to_kubernetes(at(created)));
    assignment
}

/// Eligible, and activated from and until so many seconds after the request, if at all.
pub fn eligible(name: &str, role: &str, created: i64, active: Option<(i64, i64)>) -> RoleAssignment {
    let mut assignment = assignment(name, role, created);
    assignment.spec.type_ = lockbox_api::assignment::AssignmentType::Eligible;
    assignment.status = active.map(|(from, until)| lockbox_api::RoleAssignmentStatus {
        activated_at: Some(at(from)),
        active_until: Some(at(until)),
        ..Default::default()
    });
    assignment
}

/// The same assignment, whose activation never ends.
pub fn lasting(mut assignment: RoleAssignment) -> RoleAssignment {
    if let Some(status) = assignment.status.as_mut().filter(|status| status.active_until.is_some()) {
        status.active_until = Some(at(1_000_000));
    }
    assignment
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(groups)),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

/// The rules of access level Shell.
pub fn shell_rules() -> Vec<PolicyRule> {
    vec![rule(&[""], &["pods"], &["get"]), rule(&[""], &["pods/exec"], &["create"])]
}

/// The rules of access level `ReadObjects`.
pub fn reading_rules() -> Vec<PolicyRule> {
    vec![rule(&[""], &["pods"], &["get"])]
}

/// More than the approvers saw.
pub fn changed_rules() -> Vec<PolicyRule> {
    vec![rule(&[""], &["pods"], &["get"]), rule(&[""], &["pods/exec", "pods/portforward"], &["create"])]
}

/// Who ends something, and why.
pub fn ending(by: &str) -> Option<Ending> {
    Some(Ending { by: by.into(), reason: Some("done".into()) })
}
