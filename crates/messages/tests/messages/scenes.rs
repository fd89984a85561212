//! Requests in every state that somebody is told of, as the lifecycle leaves them.

use lockbox_api::{
    Audience, AuditAction, LockboxRequest, LockboxRequestStatus, LockboxSettingsSpec, MessageKind, Moment, Phase,
    time::parse,
};
use lockbox_lifecycle::{
    Message,
    history::{self, Happening},
    notifications,
};
use lockbox_messages::Scene;
use serde_json::{Value, json};

pub const KIM: &str = "kim@provider.example";
pub const ALICE: &str = "alice@contoso.example";
pub const LEAD: &str = "lead@provider.example";
const UID: &str = "2f6c0f0e-6d0b-4b52-9d53-6f4f1c1a9d10";

/// A request, the message about it, and the settings.
#[derive(Clone)]
pub struct Told {
    pub name: &'static str,
    pub request: LockboxRequest,
    pub message: Message,
    pub settings: LockboxSettingsSpec,
}

impl Told {
    pub fn scene(&self) -> Scene<'_> {
        Scene { request: &self.request, message: &self.message, settings: &self.settings }
    }

    /// With other rules for messages.
    pub fn with(mut self, rules: &Value) -> Self {
        let notifications = merged(notifications(), rules);
        self.settings.notifications = Some(serde_json::from_value(notifications).unwrap());
        self
    }

    /// With another request.
    pub fn asking(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut value = serde_json::to_value(&self.request).unwrap();
        change(&mut value);
        self.request = serde_json::from_value(value).unwrap();
        self
    }
}

pub fn at(text: &str) -> Moment {
    parse(text).unwrap()
}

fn merged(mut one: Value, other: &Value) -> Value {
    for (field, value) in other.as_object().unwrap() {
        one[field] = value.clone();
    }
    one
}

pub fn notifications() -> Value {
    json!({
        "portalURL": "https://lockbox.contoso.example/requests/{namespace}",
        "timeZone": "Europe/Berlin",
        "reminders": ["24h", "2h"],
        "email": {"alternate": ["soc@contoso.example"]},
    })
}

pub fn settings() -> LockboxSettingsSpec {
    serde_json::from_value(json!({
        "enabled": true, "supportPlan": "Developer",
        "supportPortal": {"hosts": ["support.example"]},
        "notifications": notifications(),
    }))
    .unwrap()
}

fn request() -> Value {
    json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
        "metadata": {"name": "sr-4711", "namespace": "contoso-prod", "uid": UID, "creationTimestamp": "2026-11-29T12:00:00Z"},
        "spec": {
            "requester": {"username": KIM, "groups": ["provider:engineers"]},
            "origin": "SupportRequest",
            "supportRequest": {
                "id": "INC-4711", "url": "https://support.example/INC-4711",
                "summary": "The shop answers 502 since the update",
                "openedBy": "dana@contoso.example", "openedAt": "2026-11-28T08:12:00Z",
                "assignedTo": KIM,
                "history": [{"at": "2026-11-28T09:40:00Z", "by": KIM, "note": "Gateway and Pods are healthy. The upstream in the shop's settings looks wrong, but the running process has to be seen to be sure."}],
            },
            "justification": "I need a shell in one of the shop's Pods to see which upstream its process really uses. The settings look right, the log says otherwise, and restarting it would lose the state that I want to see.",
            "scope": "Subscription", "service": "AppService", "accessLevel": "Shell",
            "resources": [{"resource": "pods", "name": "shop-7d9c5b6f4-x2x8q"}],
            "duration": "8h",
        },
    })
}

fn effect() -> Value {
    json!({
        "form": "Named", "role": "lockbox-shell",
        "rules": [
            "get: pods shop-7d9c5b6f4-x2x8q",
            "run commands, such as a shell, in (create, get pods/exec): pods shop-7d9c5b6f4-x2x8q",
            "read the logs of (get pods/log): pods shop-7d9c5b6f4-x2x8q",
            "Note: what is done inside a Pod can use the rights of its service account, and can stay behind: restart Pods that were entered",
            "Note: a session, or a log that is being followed, does not break off when the access ends",
        ],
        "reasons": ["create, get pods/exec: support cannot see what a process does without entering its Pod"],
        "leftOut": ["watch pods: never granted, because a watch goes on after the access has ended"],
        "hash": format!("sha256:{}", "4f2a".repeat(16)),
    })
}

struct Scenes {
    request: Value,
    status: Value,
    entries: Vec<(&'static str, Happening)>,
}

fn happening(action: AuditAction, actor: &str, phase: Phase, reason: Option<&str>, message: &str) -> Happening {
    Happening {
        action,
        actor: actor.into(),
        phase,
        reason: reason.map(str::to_owned),
        message: message.into(),
        rules: vec![],
        facts: vec![],
    }
}

impl Scenes {
    /// Right after its creation.
    fn new() -> Self {
        let status = json!({
            "effect": effect(), "duration": "8h", "requiredApprovals": 1,
            "approvers": [
                {"kind": "User", "name": ALICE, "role": "Owner", "assignment": "contoso-prod/alice-owner", "uid": "a"},
                {"kind": "Group", "name": "contoso:security", "role": "LockboxApprover", "assignment": "contoso-prod/security-team", "uid": "b"},
            ],
        });
        Self { request: request(), status, entries: vec![] }
    }

    fn spec(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.request["spec"]);
        self
    }

    fn set(mut self, fields: &Value) -> Self {
        self.status = merged(self.status, fields);
        self
    }

    fn entry(mut self, at: &'static str, happening: Happening) -> Self {
        self.status["phase"] = json!(happening.phase);
        self.status["message"] = json!(happening.message);
        self.entries.push((at, happening));
        self
    }

    fn internally_asked(self) -> Self {
        let message = "asked the provider's own approvers until 2026-12-03T12:00:00Z: rule shell: 1 of Group provider:support-leads";
        let justification = self.request["spec"]["justification"].as_str().unwrap().to_owned();
        self.set(&json!({
            "internalUntil": "2026-12-03T12:00:00Z", "until": "2026-12-03T12:00:00Z",
            "internalApprovals": [{"rule": "shell", "approvers": [{"kind": "Group", "name": "provider:support-leads"}], "count": 1}],
        }))
        .entry(
            "2026-11-29T12:00:02Z",
            happening(
                AuditAction::RequestInternalApproval,
                KIM,
                Phase::AwaitingInternalApproval,
                Some(&justification),
                message,
            ),
        )
    }

    fn asked(self) -> Self {
        let justification = self.request["spec"]["justification"].as_str().unwrap().to_owned();
        self.set(&json!({
            "notifiedAt": "2026-11-29T12:00:02Z", "pendingUntil": "2026-12-03T12:00:02Z", "until": "2026-12-03T12:00:02Z",
        }))
        .entry(
            "2026-11-29T12:00:02Z",
            happening(
                AuditAction::CreateLockboxRequest,
                KIM,
                Phase::CustomerNotified,
                Some(&justification),
                "asked until 2026-12-03T12:00:02Z: alice@contoso.example, contoso:security.",
            ),
        )
    }

    fn approved(self) -> Self {
        self.asked()
            .set(&json!({
                "approvedAt": "2026-11-29T14:30:05Z", "accessUntil": "2026-11-29T22:30:05Z", "until": "2026-11-29T22:30:05Z",
                "grant": {"name": "lockbox-2f6c0f0e", "resources": [{"resource": "pods", "name": "shop-7d9c5b6f4-x2x8q"}]},
            }))
            .entry(
                "2026-11-29T14:30:05Z",
                happening(
                    AuditAction::ApproveLockboxRequest,
                    ALICE,
                    Phase::Approved,
                    Some("Maintenance window agreed with the shop's team"),
                    "alice@contoso.example approved",
                ),
            )
    }

    fn granted(self) -> Self {
        self.approved().set(&json!({"grantedAt": "2026-11-29T14:30:06Z"})).entry(
            "2026-11-29T14:30:06Z",
            happening(
                AuditAction::GrantAccess,
                "lockbox",
                Phase::AccessGranted,
                None,
                "kim@provider.example has access until 2026-11-29T22:30:05Z",
            ),
        )
    }

    fn ends(self, when: &'static str, happening: Happening) -> Self {
        self.set(&json!({"endedAt": when, "until": when})).entry(when, happening)
    }

    /// The message of this kind, as the lifecycle has it at a moment.
    fn told(mut self, name: &'static str, kind: MessageKind, now: &str) -> Told {
        let mut status: LockboxRequestStatus = serde_json::from_value(self.status).unwrap();
        for (when, happening) in self.entries {
            assert!(history::append(&mut status.history, UID, at(when), happening));
        }
        self.request["status"] = serde_json::to_value(status).unwrap();
        let request: LockboxRequest = serde_json::from_value(self.request).unwrap();
        let settings = settings();
        let due = notifications::due(&request, &settings, at(now));
        let message = due.into_iter().rfind(|message| message.kind == kind);
        Told { name, message: message.unwrap_or_else(|| panic!("{name}: nobody is told")), request, settings }
    }
}

/// Every message that there is, each with an example of every way in which it comes about.
pub fn all() -> Vec<Told> {
    use AuditAction as A;
    use MessageKind as K;
    let by = happening;
    let soon = "2026-11-29T23:00:00Z";
    vec![
        Scenes::new().internally_asked().told("internal-approval-asked", K::InternalApprovalAsked, soon),
        Scenes::new().asked().told("approval-asked", K::ApprovalAsked, soon),
        Scenes::new()
            .spec(|spec| {
                spec["supportRequest"]["assignedTo"] = json!("lee@provider.example");
                spec["escalation"] = json!({"team": "Messaging, third level", "reason": "The queue between shop and stock is stuck, and only our team knows its protocol."});
                spec["incident"] = json!({"id": "P-2290", "url": "https://status.provider.example/P-2290", "summary": "Queues stall after the update of 27 November"});
                spec["resources"] = json!([]);
                spec.as_object_mut().unwrap().remove("resources");
            })
            .set(&json!({"requiredApprovals": 2, "effect": {
                "form": "Whole", "role": "lockbox-read-objects", "hash": format!("sha256:{}", "77b1".repeat(16)),
                "rules": ["read the values in (get, list configmaps): all configmaps of the namespace", "get, list: all deployments.apps, services of the namespace"],
            }}))
            .asked()
            .told("approval-asked-escalated", K::ApprovalAsked, soon),
        Scenes::new()
            .spec(|spec| {
                spec["scope"] = json!("Tenant");
                spec["service"] = json!("KubernetesService");
                spec["accessLevel"] = json!("ReadObjects");
                spec["resources"] = json!([{"resource": "nodes", "name": "node-a"}]);
            })
            .set(&json!({"effect": {"form": "Named", "role": "lockbox-read-objects", "rules": ["get: nodes node-a"], "hash": format!("sha256:{}", "90cc".repeat(16))}}))
            .asked()
            .told("approval-asked-tenant", K::ApprovalAsked, soon)
            .asking(|request| request["metadata"]["namespace"] = json!("lockbox-tenant")),
        Scenes::new().internally_asked().told("reminder-internal", K::Reminder, "2026-12-02T13:00:00Z"),
        Scenes::new().asked().told("reminder", K::Reminder, "2026-12-03T11:00:00Z"),
        Scenes::new().approved().told("approved", K::Approved, soon),
        Scenes::new()
            .set(&json!({
                "approvedAt": "2026-11-29T12:00:02Z", "accessUntil": "2026-11-29T20:00:02Z",
            }))
            .entry("2026-11-29T12:00:02Z", by(A::AutoApproveLockboxRequest, "lockbox", Phase::Approved, Some("I need a shell in one of the shop's Pods."), "no customer data is needed: approved by just-in-time rule no-customer-data"))
            .told("approved-by-rules", K::Approved, soon),
        Scenes::new()
            .asked()
            .ends("2026-11-29T15:02:11Z", by(A::DenyLockboxRequest, ALICE, Phase::Denied, Some("Not during the sale. Please ask again on Monday."), "alice@contoso.example denied the request (Not during the sale. Please ask again on Monday.); no access was granted."))
            .told("denied", K::Denied, soon),
        Scenes::new()
            .ends("2026-11-29T12:00:01Z", by(A::AutoDenyLockboxRequest, "lockbox", Phase::Rejected, None, "spec.duration: 12h is longer than the maximum of access level Shell, 8h; ask for 8h or less."))
            .told("rejected", K::Rejected, soon),
        Scenes::new()
            .internally_asked()
            .ends("2026-11-29T13:40:00Z", by(A::DenyInternally, LEAD, Phase::Rejected, Some("The log is enough for this."), "lead@provider.example denied the request for the provider (The log is enough for this.); the customer was not asked."))
            .told("rejected-internally", K::Rejected, soon),
        Scenes::new()
            .ends("2026-11-29T12:00:01Z", by(A::SkipLockboxRequest, "lockbox", Phase::NotTriggered, None, "Lockbox is switched off (spec.enabled of the LockboxSettings)."))
            .told("not-processed", K::Rejected, soon),
        Scenes::new()
            .asked()
            .ends("2026-12-03T12:00:02Z", by(A::ExpireLockboxRequest, "lockbox", Phase::Expired, None, "The customer's approvers did not decide in time; no access was granted. Create a new request."))
            .told("expired", K::Expired, "2026-12-03T13:00:00Z"),
        Scenes::new()
            .internally_asked()
            .ends("2026-12-03T12:00:00Z", by(A::ExpireInternalApproval, "lockbox", Phase::Expired, None, "The provider's own approvers did not decide in time; the customer was not asked. Create a new request."))
            .told("expired-internally", K::Expired, "2026-12-03T13:00:00Z"),
        Scenes::new()
            .asked()
            .ends("2026-11-29T16:10:00Z", by(A::CancelLockboxRequest, KIM, Phase::Cancelled, Some("Found it in the log."), "kim@provider.example withdrew the request; nothing was granted."))
            .told("cancelled", K::Cancelled, soon),
        Scenes::new()
            .internally_asked()
            .ends("2026-11-29T12:10:00Z", by(A::CancelBeforeNotification, "lockbox", Phase::Cancelled, None, "A Global Administrator locked kim@provider.example (laptop stolen). Nothing was granted."))
            .told("cancelled-before", K::Cancelled, soon),
        Scenes::new().granted().told("access-began", K::AccessBegan, soon),
        Scenes::new()
            .granted()
            .ends("2026-11-29T22:30:05Z", by(A::CompleteAccess, "lockbox", Phase::Completed, None, "Access ended on time."))
            .told("access-began-late", K::AccessBegan, soon),
        Scenes::new()
            .granted()
            .ends("2026-11-29T22:30:05Z", by(A::CompleteAccess, "lockbox", Phase::Completed, None, "Access ended on time."))
            .told("access-ended", K::AccessEnded, soon),
        Scenes::new()
            .granted()
            .ends("2026-11-29T15:55:00Z", by(A::CompleteAccess, KIM, Phase::Completed, Some("Done: the upstream is the old one."), "kim@provider.example gave the access back."))
            .told("access-given-back", K::AccessEnded, soon),
        Scenes::new()
            .granted()
            .ends("2026-11-29T15:20:00Z", by(A::RevokeAccess, ALICE, Phase::Revoked, Some("Enough has been seen."), "alice@contoso.example ended the access."))
            .told("access-revoked", K::AccessRevoked, soon),
        Scenes::new()
            .approved()
            .ends("2026-11-29T14:30:08Z", by(A::FailAccess, "lockbox", Phase::Failed, None, "Create a new request: what the access level allows has changed since approvers were asked. Added: delete: pods shop-7d9c5b6f4-x2x8q."))
            .told("access-failed", K::AccessFailed, soon),
        Scenes::new()
            .granted()
            .entry("2026-11-29T22:31:00Z", by(A::EndOverdue, "lockbox", Phase::AccessGranted, None, "The access should have ended by 2026-11-29T22:30:05Z, and has not; Lockbox tries again until it has. Remove what refuses the deletion: admission webhook \"guard.policies.example\" denied the request: bindings are kept for audit"))
            .told("end-overdue", K::EndOverdue, soon),
        Scenes::new()
            .spec(|spec| {
                spec["circumstance"] = json!("BreakGlass");
                spec["origin"] = json!("ProviderInitiated");
                spec.as_object_mut().unwrap().remove("supportRequest");
                spec["incident"] = json!({"id": "P-2291", "url": "https://support.example/P-2291", "summary": "Storage nodes of the region restart in a loop"});
                spec["justification"] = json!("The region's storage has to be repaired by hand. Data of the shop may be seen on the consoles of its nodes.");
            })
            .ends("2026-11-29T12:00:01Z", by(A::ExcludeLockboxRequest, KIM, Phase::Excluded, Some("The region's storage has to be repaired by hand. Data of the shop may be seen on the consoles of its nodes."), "recorded as an exclusion: break glass"))
            .told("excluded", K::Excluded, soon),
    ]
}

/// Every message with every audience that it has, by a name for its files.
pub fn told_to() -> Vec<(String, Told, Audience)> {
    let scenes = all().into_iter();
    scenes
        .flat_map(|told| {
            let audiences = told.message.audiences.clone();
            audiences.into_iter().map(move |audience| {
                let suffix = match audience {
                    Audience::InternalApprovers => "internal-approvers",
                    Audience::Approvers => "approvers",
                    Audience::Requester => "requester",
                    Audience::Alternates => "alternates",
                };
                (format!("{}.{suffix}", told.name), told.clone(), audience)
            })
        })
        .collect()
}
