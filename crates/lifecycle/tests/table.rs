//! The diagram of the lifecycle as a table: a row for every edge and for every reason along it. Facts in, step out.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::unnecessary_wraps,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "model/world.rs"]
mod world;

use std::collections::BTreeSet;

use lockbox_api::{
    AssignedRole, AuditAction, Identity, LockboxRequestStatus, Phase, Principal, RuleEffect, Scope,
    condition::{Truth, set},
    settings::ApproverModel,
    time::to_kubernetes,
};
use lockbox_lifecycle::{
    Action, Attempt, Forgery, OpenRequests, PlacementView, Proof, Proofs, Reason, RoleView, SettingsView,
    approvers::{self, Subject},
    conditions, facts, history, jit,
    people::{self, PeopleRole},
    recognition,
};
use serde_json::{Value, json};
use world::*;

use AuditAction::*;

/// What is done before the status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    MakeGrant,
    EndGrant { early: bool },
    MakeGrantAndEndIt,
}

/// One row: a world in a phase, and what one step makes of it.
struct Row {
    name: &'static str,
    world: World,
    from: Phase,
    to: Phase,
    reason: &'static str,
    entries: Vec<AuditAction>,
    before: Before,
    /// Something that the message has to name, besides a field or an object.
    says: &'static str,
}

fn row(name: &'static str, world: World, from: Phase, to: Phase, reason: &'static str, entries: &[AuditAction]) -> Row {
    Row { name, world, from, to, reason, entries: entries.into(), before: Before::Nothing, says: "" }
}

impl Row {
    fn before(self, before: Before) -> Self {
        Self { before, ..self }
    }

    fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }
}

/// The last second before a deadline, and the deadline itself.
fn deadline(world: &World) -> i64 {
    (world.status().until.unwrap() - at(0)).num_seconds()
}

fn past_deadline(world: World) -> World {
    let now = deadline(&world);
    world.at(now)
}

fn off(world: World) -> World {
    world.settings(|spec| spec["enabled"] = json!(false))
}

fn without_settings(mut world: World) -> World {
    world.settings = None;
    world
}

fn deciding(mut world: World, decisions: &[(&str, Value)]) -> World {
    for (user, decision) in decisions {
        world.decide(user, decision.clone());
    }
    world
}

fn deciding_internally(mut world: World, user: &str, decision: Value) -> World {
    world.decide_internally(user, decision);
    world
}

fn cancelled(mut world: World, by: &str) -> World {
    world.request.spec.cancellation = ending(by);
    world
}

fn released(mut world: World) -> World {
    world.request.spec.release = ending(KIM);
    world
}

fn revoked(mut world: World) -> World {
    world.request.spec.revocation = ending(ALICE);
    world
}

fn attempted(mut world: World, attempt: Attempt) -> World {
    world.attempt = attempt;
    world
}

fn tried(mut world: World, forgery: Forgery) -> World {
    world.forgery = forgery;
    world
}

fn bound(mut world: World, binding: bool) -> World {
    world.binding = binding;
    world
}

fn stuck(mut world: World) -> World {
    world.not_ended = Some("admission webhook \"guard\" denied the request.".into());
    world
}

fn placed(mut world: World, placement: PlacementView) -> World {
    world.placement = placement;
    world
}

/// So many open requests of the requester, and in the namespace.
fn open(mut world: World, of_requester: usize, in_namespace: usize) -> World {
    world.open = OpenRequests { of_requester, in_namespace };
    world
}

fn unreadable(mut world: World) -> World {
    world.unreadable = Some("spec.grant: unknown variant `Later`.".into());
    world
}

fn locked(world: World) -> World {
    world.settings(|spec| spec["locks"] = json!([{"user": "KIM@provider.example", "reason": "laptop stolen"}]))
}

/// All access that was approved before so many seconds after the request ends.
fn stopped(world: World, before: i64) -> World {
    world.settings(|spec| spec["stop"] = json!({"before": lockbox_api::time::text(at(before)), "reason": "INC-9"}))
}

fn with_role(mut world: World, role: RoleView) -> World {
    world.role = role;
    world
}

/// Whether the admission policies are in force was not tried yet.
fn untried(mut world: World) -> World {
    world.proofs.authentic = Proof::Unknown("it was not tried yet.".into());
    world
}

/// They are known not to be.
fn forgeable(mut world: World) -> World {
    world.proofs.authentic = Proof::Disproven("policy lockbox-requests-decide is not there.".into());
    world
}

fn proven(mut world: World) -> World {
    world.proofs = Proofs::ALL;
    world
}

/// They are in force, but only since the request was made.
fn put_back(mut world: World) -> World {
    world.proofs = Proofs { authentic_since: at(1), ..Proofs::ALL };
    world
}

fn yes() -> Value {
    json!({"verdict": "Approve", "reason": "window agreed"})
}

fn no() -> Value {
    json!({"verdict": "Deny", "reason": "not today"})
}

fn quorum_of_two() -> World {
    World::new().settings(|spec| spec["approvals"] = json!({"required": 2}))
}

fn excluded_world(circumstance: &str) -> World {
    World::new()
        .settings(|spec| {
            spec["exclusions"] = json!({
                "allowed": [{"circumstance": circumstance, "by": [{"kind": "Group", "name": "provider:engineers"}]}],
                "legalDemandsURL": "https://provider.example/legal"
            });
        })
        .request(|spec| {
            spec["circumstance"] = json!(circumstance);
            spec["incident"] = json!({"id": "INC-7", "summary": "the platform burns"});
        })
}

fn evaluating_rows() -> Vec<Row> {
    use Phase::{
        AwaitingInternalApproval, Cancelled, CustomerNotified, Evaluating, Excluded, Expired, NotTriggered, Rejected,
    };
    let rejected = |name, world: World, reason, says| {
        row(name, world, Evaluating, Rejected, reason, &[AutoDenyLockboxRequest]).says(says)
    };
    let not_triggered = |name, world: World, reason, says| {
        row(name, world, Evaluating, NotTriggered, reason, &[SkipLockboxRequest]).says(says)
    };
    vec![
        row(
            "customer data: the customer is asked",
            World::new(),
            Evaluating,
            CustomerNotified,
            "WaitingForCustomer",
            &[CreateLockboxRequest],
        )
        .says(ALICE),
        row(
            "no customer data: the rules approve",
            World::without_customer_data(),
            Evaluating,
            Phase::Approved,
            "Approved",
            &[AutoApproveLockboxRequest],
        ),
        row(
            "a rule demands an internal approval",
            World::with_internal_approval(),
            Evaluating,
            AwaitingInternalApproval,
            "WaitingForInternalApproval",
            &[RequestInternalApproval],
        )
        .says("named"),
        row("no settings: it waits", without_settings(World::new()), Evaluating, Evaluating, "SettingsMissing", &[])
            .says("LockboxSettings"),
        row(
            "settings that cannot be used: it waits",
            World::new().settings(|s| s["previewServices"] = json!({"optIn": "Listed", "names": ["Nonsense"]})),
            Evaluating,
            Evaluating,
            "SettingsInvalid",
            &[],
        )
        .says("spec.previewServices.names"),
        row(
            "no settings, a second before four days are over",
            without_settings(World::new()).at(FOUR_DAYS - 1),
            Evaluating,
            Evaluating,
            "SettingsMissing",
            &[],
        ),
        row(
            "no settings for four days",
            without_settings(World::new()).at(FOUR_DAYS),
            Evaluating,
            Expired,
            "NotEvaluatedInTime",
            &[ExpireInternalApproval],
        ),
        row(
            "withdrawn while it waits for settings",
            cancelled(without_settings(World::new()), KIM),
            Evaluating,
            Cancelled,
            "Withdrawn",
            &[CancelBeforeNotification],
        ),
        row(
            "withdrawn before it was evaluated",
            cancelled(World::new(), KIM),
            Evaluating,
            Cancelled,
            "Withdrawn",
            &[CancelBeforeNotification],
        ),
        row(
            "somebody else's cancellation is none",
            cancelled(World::new(), BOB),
            Evaluating,
            CustomerNotified,
            "WaitingForCustomer",
            &[CreateLockboxRequest],
        ),
        row(
            "a decision that was written early is not looked at",
            deciding(World::new(), &[(ALICE, yes())]),
            Evaluating,
            CustomerNotified,
            "WaitingForCustomer",
            &[CreateLockboxRequest],
        ),
        row(
            "settings that cannot be read: it waits",
            unreadable(World::new()),
            Evaluating,
            Evaluating,
            "SettingsUnreadable",
            &[],
        )
        .says("spec.grant"),
        row(
            "somebody else's policy would refuse the access: it waits",
            placed(World::new(), PlacementView::Refused("policy 'labels' denied request: add label team".into())),
            Evaluating,
            Evaluating,
            "GrantWouldBeRefused",
            &[],
        )
        .says("add label team"),
        row(
            "a quota would refuse the access: it waits",
            placed(World::new(), PlacementView::Blocked("exceeded quota".into())),
            Evaluating,
            Evaluating,
            "GrantWouldBeRefused",
            &[],
        )
        .says("exceeded quota"),
        rejected("the requester is locked", locked(World::new()), "RequesterLocked", "spec.locks"),
        rejected(
            "the requester has too many open requests",
            open(World::new(), 33, 33),
            "TooManyOpenRequests",
            "spec.limits.openPerRequester",
        ),
        rejected(
            "the namespace has too many open requests",
            open(World::new(), 32, 257),
            "TooManyOpenRequests",
            "spec.limits.openPerNamespace",
        ),
        row(
            "as many open requests as may be",
            open(World::new(), 32, 256),
            Evaluating,
            CustomerNotified,
            "WaitingForCustomer",
            &[CreateLockboxRequest],
        ),
        not_triggered("switched off", off(World::new()), "LockboxDisabled", "spec.enabled"),
        not_triggered(
            "plan too small",
            World::new().settings(|s| s["supportPlan"] = json!("Basic")),
            "SupportPlanTooLow",
            "spec.supportPlan",
        ),
        not_triggered(
            "automatic, but the plan is too small",
            World::new().settings(|s| {
                s["supportPlan"] = json!("Basic");
                s["enablement"] = json!("AutomaticWithPlan");
            }),
            "SupportPlanTooLow",
            "Developer",
        ),
        row(
            "automatic with the plan",
            World::new().settings(|s| {
                s["enabled"] = json!(false);
                s["enablement"] = json!("AutomaticWithPlan");
            }),
            Evaluating,
            CustomerNotified,
            "WaitingForCustomer",
            &[CreateLockboxRequest],
        ),
        not_triggered(
            "unknown service",
            World::new().request(|r| r["service"] = json!("AppServise")),
            "UnknownService",
            "Did you mean AppService?",
        ),
        not_triggered(
            "service not supported",
            World::new().request(|r| r["service"] = json!("VirtualMachinesClassic")),
            "ServiceNotSupported",
            "VirtualMachines",
        ),
        not_triggered(
            "preview without opting in",
            World::new().request(|r| r["service"] = json!("Batch")),
            "PreviewNotOptedIn",
            "spec.previewServices",
        ),
        row(
            "preview with opting in",
            World::new()
                .request(|r| r["service"] = json!("Batch"))
                .settings(|s| s["previewServices"] = json!({"optIn": "Listed", "names": ["Batch"]})),
            Evaluating,
            CustomerNotified,
            "WaitingForCustomer",
            &[CreateLockboxRequest],
        ),
        rejected(
            "not the provider's",
            World::new().request(|r| r["requester"]["groups"] = json!(["others"])),
            "NotTheProvider",
            "spec.requester",
        ),
        rejected(
            "origin not accepted",
            World::new().settings(|s| s["origins"] = json!(["ProviderInitiated"])),
            "OriginNotAccepted",
            "spec.origin",
        ),
        rejected(
            "origin not stated",
            World::new().request(|r| {
                r.as_object_mut().unwrap().remove("supportRequest");
            }),
            "OriginNotStated",
            "spec.origin",
        ),
        rejected(
            "a tenant request outside its home",
            World::new().request(|r| r["scope"] = json!("Tenant")),
            "WrongNamespace",
            HOME,
        ),
        rejected(
            "a subscription request in the tenant's home",
            {
                let mut w = World::new();
                w.request.metadata.namespace = Some(HOME.into());
                w
            },
            "WrongNamespace",
            "spec.scope",
        ),
        rejected(
            "unknown access level",
            World::new().request(|r| r["accessLevel"] = json!("Shel")),
            "UnknownAccessLevel",
            "spec.accessLevel: Shel is not in spec.accessLevels of the LockboxSettings, which has Shell, ReadObjects.",
        ),
        rejected(
            "no access level at all",
            World::new().settings(|spec| spec["accessLevels"] = json!([])),
            "UnknownAccessLevel",
            "which has none.",
        ),
        rejected(
            "access level outside the service's entry",
            World::new().request(|r| r["service"] = json!("Storage")),
            "AccessLevelNotAllowed",
            "spec.accessLevel",
        ),
        rejected(
            "the level does not serve the service",
            World::new().settings(|s| s["accessLevels"][0]["services"] = json!(["Databricks"])),
            "AccessLevelNotAllowed",
            "spec.accessLevel",
        ),
        rejected(
            "scope outside the service's entry",
            {
                let mut w = World::new().request(|r| r["scope"] = json!("Tenant"));
                w.request.metadata.namespace = Some(HOME.into());
                w
            },
            "ScopeNotAllowed",
            "spec.scope",
        ),
        rejected(
            "resource outside the service's entry",
            World::new().request(|r| r["resources"] = json!([{"resource": "secrets", "name": "db"}])),
            "ResourceNotAllowed",
            "secrets/db",
        ),
        rejected(
            "a link to somewhere else",
            World::new().request(|r| r["supportRequest"]["url"] = json!("https://support.example@evil.example/1")),
            "UnknownHost",
            "spec.supportRequest.url",
        ),
        rejected(
            "an incident's link to somewhere else",
            World::new()
                .request(|r| r["incident"] = json!({"id": "1", "url": "https://evil.example/", "summary": "x"})),
            "UnknownHost",
            "spec.incident.url",
        ),
        rejected(
            "longer than the level's maximum",
            World::new().request(|r| r["duration"] = json!("13h")),
            "DurationTooLong",
            "12h",
        ),
        rejected(
            "longer than the settings' maximum",
            World::without_customer_data().request(|r| r["duration"] = json!("25h")),
            "DurationTooLong",
            "grant.maximum",
        ),
        rejected(
            "the level's role does not exist",
            with_role(World::new(), RoleView::Missing),
            "AccessLevelUnusable",
            "lockbox-shell",
        ),
        rejected(
            "the level's role was not read",
            with_role(World::new(), RoleView::Unread),
            "AccessLevelUnusable",
            "lockbox-shell",
        ),
        rejected(
            "a level that says falsely that it reaches no customer data",
            with_role(World::without_customer_data(), RoleView::Rules(shell_rules())),
            "AccessLevelUnusable",
            "customerData",
        ),
        rejected(
            "a role that reaches none of it",
            World::new()
                .request(|r| r["resources"] = json!([{"group": "apps", "resource": "deployments", "name": "shop"}])),
            "NothingToGrant",
            "spec.resources",
        ),
        rejected(
            "an empty list of resources is never everything",
            {
                let mut w =
                    World::new().settings(|s| s["jit"]["rules"][0] = json!({"name": "all", "effect": "Permit"}));
                w.request.spec.resources = Some(vec![]);
                w
            },
            "NothingToGrant",
            "spec.resources",
        ),
        rejected(
            "a rule denies",
            World::new().settings(|s| {
                s["jit"]["rules"].as_array_mut().unwrap().push(json!({"name": "never", "effect": "Deny"}));
            }),
            "DeniedByRule",
            "never",
        ),
        rejected(
            "no rule matches",
            World::new().settings(|s| s["jit"]["rules"][0]["match"]["resources"] = json!("Whole")),
            "NoRuleMatches",
            "just-in-time rule",
        ),
        rejected(
            "no rule at all",
            World::new().settings(|s| s["jit"] = json!({})),
            "NoRuleMatches",
            "just-in-time rule",
        ),
        rejected(
            "identity not sufficient",
            World::new().settings(|s| s["jit"]["rules"][0]["require"] = json!({"identity": "Both"})),
            "IdentityNotSufficient",
            "spec.requester",
        ),
        rejected(
            "nobody may approve",
            {
                let mut w = World::new();
                w.assignments.clear();
                w
            },
            "NoEligibleApprover",
            "RoleAssignment",
        ),
        rejected(
            "only people who do not count may approve",
            {
                let mut w = World::new();
                w.assignments = vec![assignment(KIM, "Owner", -1), assignment(ALICE, "Owner", 1)];
                w
            },
            "NoEligibleApprover",
            "status.excludedApprovers",
        ),
        rejected(
            "fewer approvers than must approve",
            {
                let mut w = quorum_of_two();
                w.assignments.truncate(1);
                w
            },
            "NotEnoughApprovers",
            "spec.approvals.required",
        ),
        rejected(
            "an exclusion by somebody who may not",
            World::new().request(|r| {
                r["circumstance"] = json!("BreakGlass");
                r["incident"] = json!({"id": "INC-7", "summary": "x"});
            }),
            "ExclusionNotAllowed",
            "spec.circumstance",
        ),
        rejected(
            "an exclusion of another kind than is allowed",
            excluded_world("BreakGlass").request(|r| r["circumstance"] = json!("LegalDemand")),
            "ExclusionNotAllowed",
            "spec.exclusions.allowed",
        ),
        row("an emergency", excluded_world("BreakGlass"), Evaluating, Excluded, "BreakGlass", &[ExcludeLockboxRequest])
            .says("INC-7"),
        row(
            "an emergency while Lockbox is off",
            off(excluded_world("BreakGlass")),
            Evaluating,
            Excluded,
            "BreakGlass",
            &[ExcludeLockboxRequest],
        )
        .says("INC-7"),
        row(
            "trouble in the platform",
            excluded_world("PlatformTroubleshooting"),
            Evaluating,
            Excluded,
            "PlatformTroubleshooting",
            &[ExcludeLockboxRequest],
        )
        .says("INC-7"),
        row(
            "a legal demand",
            excluded_world("LegalDemand"),
            Evaluating,
            Excluded,
            "LegalDemand",
            &[ExcludeLockboxRequest],
        )
        .says("https://provider.example/legal"),
        row(
            "whether anybody checked who asks is not known yet",
            untried(World::new()),
            Evaluating,
            Evaluating,
            "WaitingForAdmission",
            &[],
        )
        .says("not tried yet"),
        row(
            "whether anybody checked who asks did not become known in time",
            untried(World::new()).at(FOUR_DAYS),
            Evaluating,
            Expired,
            "NotEvaluatedInTime",
            &[ExpireInternalApproval],
        ),
        row(
            "withdrawn before anybody knows who checked it",
            cancelled(untried(World::new()), KIM),
            Evaluating,
            Cancelled,
            "Withdrawn",
            &[CancelBeforeNotification],
        ),
        row(
            "made while anybody could ask in another's name",
            forgeable(World::new()),
            Evaluating,
            Rejected,
            "AdmissionNotEnforced",
            &[AutoDenyLockboxRequest],
        )
        .says("lockbox-requests-decide is not there"),
        row(
            "made before the admission policies were",
            put_back(World::new()),
            Evaluating,
            Rejected,
            "AdmissionNotEnforced",
            &[AutoDenyLockboxRequest],
        )
        .says("in force since 2027-01-15T08:00:01Z only"),
        row(
            "made when the admission policies had just been made",
            {
                let mut w = World::new();
                w.proofs.authentic_since = at(0);
                w
            },
            Evaluating,
            CustomerNotified,
            "WaitingForCustomer",
            &[CreateLockboxRequest],
        ),
        row(
            "not even an exclusion is recorded then",
            forgeable(excluded_world("BreakGlass")),
            Evaluating,
            Rejected,
            "AdmissionNotEnforced",
            &[AutoDenyLockboxRequest],
        ),
    ]
}

fn internal_rows() -> Vec<Row> {
    use Phase::{AwaitingInternalApproval as Awaiting, Cancelled, CustomerNotified, Expired, NotTriggered, Rejected};
    let waiting = || World::with_internal_approval().into_phase(Awaiting);
    let voided = |name, world, entries: &[AuditAction]| {
        row(name, world, Awaiting, Cancelled, "AdmissionNotEnforced", entries).says("Create a new request")
    };
    let no_data = || {
        let mut world = World::without_customer_data().settings(|spec| {
            spec["jit"]["rules"][0]["require"] =
                json!({"internalApproval": {"approvers": [{"kind": "User", "name": LEAD}], "count": 1}});
        });
        world.take();
        world
    };
    let stays = |name, world, entries: &[AuditAction]| {
        row(name, world, Awaiting, Awaiting, "WaitingForInternalApproval", entries)
    };
    vec![
        row(
            "approved internally: the customer is asked",
            deciding_internally(waiting(), LEAD, yes()),
            Awaiting,
            CustomerNotified,
            "WaitingForCustomer",
            &[ApproveInternally, CreateLockboxRequest],
        ),
        row(
            "approved internally, without customer data",
            deciding_internally(no_data(), LEAD, yes()),
            Awaiting,
            Phase::Approved,
            "Approved",
            &[ApproveInternally, AutoApproveLockboxRequest],
        ),
        row(
            "denied internally",
            deciding_internally(waiting(), LEAD, no()),
            Awaiting,
            Rejected,
            "DeniedInternally",
            &[DenyInternally],
        )
        .says("not today"),
        row(
            "nobody decided internally",
            past_deadline(waiting()),
            Awaiting,
            Expired,
            "NoInternalApproval",
            &[ExpireInternalApproval],
        ),
        row(
            "approved internally, but met after the deadline",
            past_deadline(deciding_internally(waiting(), LEAD, yes())),
            Awaiting,
            Expired,
            "NoInternalApproval",
            &[ExpireInternalApproval],
        ),
        row(
            "withdrawn before the customer was asked",
            cancelled(waiting(), KIM),
            Awaiting,
            Cancelled,
            "Withdrawn",
            &[CancelBeforeNotification],
        ),
        row(
            "switched off before the customer was asked",
            off(waiting()),
            Awaiting,
            NotTriggered,
            "LockboxDisabled",
            &[SkipLockboxRequest],
        ),
        row(
            "settings deleted before the customer was asked",
            without_settings(waiting()),
            Awaiting,
            NotTriggered,
            "SettingsMissing",
            &[SkipLockboxRequest],
        ),
        stays(
            "a second before the deadline it still waits",
            {
                let w = waiting();
                let last = deadline(&w) - 1;
                w.at(last)
            },
            &[],
        ),
        stays("somebody who may not decide internally", deciding_internally(waiting(), BOB, no()), &[RejectDecision]),
        stays(
            "the requester does not decide internally",
            deciding_internally(waiting(), KIM, yes()),
            &[RejectDecision],
        ),
        stays("a customer's decision is not looked at yet", deciding(waiting(), &[(ALICE, no())]), &[]),
        stays("somebody else's cancellation", cancelled(waiting(), LEAD), &[]),
        row(
            "approved internally, and whether anybody checked by whom is not known yet",
            untried(deciding_internally(waiting(), LEAD, yes())),
            Awaiting,
            Awaiting,
            "WaitingForAdmission",
            &[],
        )
        .says("not tried yet"),
        voided(
            "approved internally while anybody could do it in the lead's name",
            forgeable(deciding_internally(waiting(), LEAD, yes())),
            &[RejectDecision, CancelBeforeNotification],
        ),
        voided(
            "approved internally, while nobody knows what was forged before",
            put_back(deciding_internally(waiting(), LEAD, yes())),
            &[RejectDecision, CancelBeforeNotification],
        ),
        voided("a gap ends what it voids at once", put_back(waiting()), &[CancelBeforeNotification]),
        row(
            "the requester is locked before the customer was asked",
            locked(waiting()),
            Awaiting,
            Cancelled,
            "RequesterLocked",
            &[CancelBeforeNotification],
        )
        .says("laptop stolen"),
        stays("settings that cannot be read end nothing", unreadable(waiting()), &[]),
        row(
            "a Deny needs no proof internally",
            forgeable(deciding_internally(waiting(), LEAD, no())),
            Awaiting,
            Rejected,
            "DeniedInternally",
            &[DenyInternally],
        ),
    ]
}

fn notified_rows() -> Vec<Row> {
    use Phase::{Cancelled, CustomerNotified as Notified, Denied, Expired};
    let asked = || World::new().into_phase(Notified);
    let two = || quorum_of_two().into_phase(Notified);
    let voided = |name, world, entries: &[AuditAction]| {
        row(name, world, Notified, Cancelled, "AdmissionNotEnforced", entries).says("Create a new request")
    };
    let stays =
        |name, world, entries: &[AuditAction]| row(name, world, Notified, Notified, "WaitingForCustomer", entries);
    let approved =
        |name, world, entries: &[AuditAction]| row(name, world, Notified, Phase::Approved, "Approved", entries);
    let denied = |name, world, entries: &[AuditAction]| row(name, world, Notified, Denied, "DeniedByCustomer", entries);
    let group = || {
        let mut world = World::new();
        world.assignments = vec![assignment("contoso:oncall", "Owner", -100)];
        world.into_phase(Notified)
    };
    let ending_activation = || {
        let mut world = World::new();
        world.assignments = vec![eligible(ALICE, "Owner", -100, Some((-50, 600)))];
        world.into_phase(Notified)
    };
    vec![
        approved("approved", deciding(asked(), &[(ALICE, yes())]), &[ApproveLockboxRequest]),
        approved(
            "approved in the last second",
            {
                let w = deciding(asked(), &[(ALICE, yes())]);
                let last = deadline(&w) - 1;
                w.at(last)
            },
            &[ApproveLockboxRequest],
        ),
        approved(
            "a member of a group approves",
            deciding(group(), &[("dave@contoso.example", json!({"verdict": "Approve", "group": "contoso:oncall"}))]),
            &[ApproveLockboxRequest],
        ),
        approved(
            "two at once, where one is enough",
            deciding(asked(), &[(ALICE, yes()), (BOB, yes())]),
            &[ApproveLockboxRequest, ApproveLockboxRequest],
        ),
        approved(
            "a quorum of two",
            deciding(two(), &[(ALICE, yes()), (CAROL, yes())]),
            &[ApproveLockboxRequest, ApproveLockboxRequest],
        ),
        approved(
            "the activation still runs",
            deciding(ending_activation(), &[(ALICE, yes())]).at(599),
            &[ApproveLockboxRequest],
        ),
        denied(
            "one who was not asked, and whom the API server let in, says no, and one who was asked says yes",
            deciding(asked(), &[("gert@contoso.example", no()), (ALICE, yes())]),
            &[ApproveLockboxRequest, DenyLockboxRequest],
        ),
        approved(
            "one of the provider says no, one who may says yes",
            deciding(
                asked(),
                &[("pat@provider.example", json!({"verdict": "Deny", "group": "provider:engineers"})), (ALICE, yes())],
            ),
            &[ApproveLockboxRequest, RejectDecision],
        ),
        denied("denied", deciding(asked(), &[(ALICE, no())]), &[DenyLockboxRequest]).says("not today"),
        denied(
            "a Deny with an Approve in the same read",
            deciding(asked(), &[(ALICE, yes()), (BOB, no())]),
            &[ApproveLockboxRequest, DenyLockboxRequest],
        )
        .says(BOB),
        denied(
            "a Deny with an Approve, the other way round",
            deciding(asked(), &[(ALICE, no()), (BOB, yes())]),
            &[ApproveLockboxRequest, DenyLockboxRequest],
        )
        .says(ALICE),
        denied(
            "two say no",
            deciding(asked(), &[(ALICE, no()), (BOB, no())]),
            &[DenyLockboxRequest, DenyLockboxRequest],
        )
        .says(ALICE),
        row(
            "one of a quorum of two",
            deciding(two(), &[(ALICE, yes())]),
            Notified,
            Notified,
            "WaitingForQuorum",
            &[ApproveLockboxRequest],
        )
        .says("1 of 2"),
        row(
            "approved, and whether anybody checked by whom is not known yet",
            untried(deciding(asked(), &[(ALICE, yes())])),
            Notified,
            Notified,
            "WaitingForAdmission",
            &[],
        )
        .says("not tried yet"),
        row(
            "the second of two approvals, and whether anybody checked it is not known yet",
            {
                let mut w = deciding(two(), &[(ALICE, yes())]);
                w.take();
                untried(deciding(w, &[(BOB, yes())]))
            },
            Notified,
            Notified,
            "WaitingForAdmission",
            &[],
        ),
        approved(
            "approved before, and looked at when admission is proven",
            {
                let mut w = untried(deciding(asked(), &[(ALICE, yes())]));
                w.take();
                proven(w)
            },
            &[ApproveLockboxRequest],
        ),
        voided(
            "approved while anybody could do it in an approver's name",
            forgeable(deciding(asked(), &[(ALICE, yes())])),
            &[RejectDecision, CancelLockboxRequest],
        ),
        voided(
            "approved, while nobody knows what was forged before the policies were put back",
            put_back(deciding(asked(), &[(ALICE, yes())])),
            &[RejectDecision, CancelLockboxRequest],
        ),
        voided("a gap ends what it voids at once", forgeable(asked()), &[CancelLockboxRequest]),
        row(
            "the requester is locked",
            locked(asked()),
            Notified,
            Cancelled,
            "RequesterLocked",
            &[CancelLockboxRequest],
        )
        .says("laptop stolen"),
        stays("all access is stopped, and what waits goes on waiting", stopped(asked(), 1_000), &[]),
        stays("settings that cannot be read end nothing", unreadable(asked()), &[]),
        denied(
            "an Owner who was not asked denies",
            {
                let mut w = asked();
                w.assignments.push(recognised(assignment("dora@contoso.example", "Owner", 11)));
                deciding(w, &[("dora@contoso.example", no())])
            },
            &[DenyLockboxRequest],
        ),
        denied(
            "a Global Administrator who was not asked denies",
            {
                let mut w = asked();
                w.assignments.push(recognised(assignment("gert@contoso.example", "GlobalAdministrator", -50)));
                deciding(w, &[("gert@contoso.example", no())])
            },
            &[DenyLockboxRequest],
        ),
        stays(
            "an Owner who was not asked does not approve",
            {
                let mut w = asked();
                w.assignments.push(recognised(assignment("dora@contoso.example", "Owner", 11)));
                deciding(w, &[("dora@contoso.example", yes())])
            },
            &[RejectDecision],
        )
        .says("does not count"),
        row(
            "the second of two approvals, when the author of the first is no approver any more",
            {
                let mut w = deciding(two(), &[(ALICE, yes())]);
                w.take();
                w.assignments.remove(0);
                deciding(w, &[(BOB, yes())])
            },
            Notified,
            Notified,
            "WaitingForQuorum",
            &[ApproveLockboxRequest],
        )
        .says("The approval of alice@contoso.example no longer counts"),
        approved(
            "one of two assignments of the same role is gone, and the other was in place too",
            {
                let mut w = deciding(asked(), &[(ALICE, yes())]);
                let mut second = w.assignments.remove(0);
                second.metadata.uid = Some("another".into());
                w.assignments.push(second);
                w
            },
            &[ApproveLockboxRequest],
        ),
        stays(
            "after it was not looked at, an approval that does not count leaves the request with the customer",
            {
                let mut w = untried(deciding(asked(), &[("mallory@contoso.example", yes())]));
                w.take();
                proven(w)
            },
            &[RejectDecision],
        ),
        denied("a Deny needs no proof", forgeable(deciding(asked(), &[(ALICE, no())])), &[DenyLockboxRequest]),
        denied(
            "a Deny needs no proof, nor waits for one beside an Approve",
            untried(deciding(asked(), &[(ALICE, yes()), (BOB, no())])),
            &[DenyLockboxRequest],
        ),
        row("nobody decided", past_deadline(asked()), Notified, Expired, "NotDecidedInTime", &[ExpireLockboxRequest]),
        row(
            "approved, but met at the deadline",
            past_deadline(deciding(asked(), &[(ALICE, yes())])),
            Notified,
            Expired,
            "NotDecidedInTime",
            &[ExpireLockboxRequest],
        ),
        row(
            "denied, but met at the deadline",
            past_deadline(deciding(asked(), &[(ALICE, no())])),
            Notified,
            Expired,
            "NotDecidedInTime",
            &[ExpireLockboxRequest],
        ),
        row("withdrawn", cancelled(asked(), KIM), Notified, Cancelled, "Withdrawn", &[CancelLockboxRequest]),
        row(
            "withdrawn and approved at once",
            cancelled(deciding(asked(), &[(ALICE, yes())]), KIM),
            Notified,
            Cancelled,
            "Withdrawn",
            &[CancelLockboxRequest],
        ),
        row(
            "switched off and approved at once",
            off(deciding(asked(), &[(ALICE, yes())])),
            Notified,
            Cancelled,
            "LockboxDisabled",
            &[CancelLockboxRequest],
        ),
        row(
            "settings deleted",
            without_settings(asked()),
            Notified,
            Cancelled,
            "SettingsMissing",
            &[CancelLockboxRequest],
        ),
        row(
            "plan too small by now",
            asked().settings(|s| s["supportPlan"] = json!("Basic")),
            Notified,
            Cancelled,
            "SupportPlanTooLow",
            &[CancelLockboxRequest],
        ),
        stays(
            "a second before the deadline it still waits",
            {
                let w = asked();
                let last = deadline(&w) - 1;
                w.at(last)
            },
            &[],
        ),
        stays("somebody else's cancellation", cancelled(asked(), ALICE), &[]),
        stays("release and revocation are for later", revoked(released(asked())), &[]),
        stays("the requester approves", deciding(asked(), &[(KIM, yes())]), &[RejectDecision]),
        stays(
            "the requester under another spelling",
            deciding(asked(), &[("Kim@Provider.Example", yes())]),
            &[RejectDecision],
        ),
        stays(
            "a service account approves",
            deciding(asked(), &[("system:serviceaccount:a:b", yes())]),
            &[RejectDecision],
        ),
        denied(
            "somebody outside the snapshot, without an assignment, whom the API server let deny: a cluster administrator",
            deciding(asked(), &[("mallory@contoso.example", no())]),
            &[DenyLockboxRequest],
        ),
        stays(
            "somebody of the provider, through a group of the provider",
            deciding(
                asked(),
                &[("pat@provider.example", json!({"verdict": "Approve", "group": "provider:engineers"}))],
            ),
            &[RejectDecision],
        ),
        stays(
            "an approver's assignment is gone",
            {
                let mut w = deciding(asked(), &[(ALICE, yes())]);
                w.assignments.remove(0);
                w
            },
            &[RejectDecision],
        ),
        stays(
            "an assignment of the same name, made later, is another",
            {
                let mut w = deciding(asked(), &[(ALICE, yes())]);
                w.assignments[0].metadata.uid = Some("another".into());
                w.assignments[0].metadata.creation_timestamp = Some(to_kubernetes(at(1)));
                w
            },
            &[RejectDecision],
        ),
        stays(
            "an approver's assignment is being deleted",
            {
                let mut w = deciding(asked(), &[(ALICE, yes())]);
                w.assignments[0].metadata.deletion_timestamp = Some(to_kubernetes(at(11)));
                w
            },
            &[RejectDecision],
        ),
        stays("the activation ended", deciding(ending_activation(), &[(ALICE, yes())]).at(600), &[RejectDecision]),
        stays(
            "something else was approved",
            deciding(
                asked(),
                &[(ALICE, json!({"verdict": "Approve", "effectHash": format!("sha256:{}", "0".repeat(64))}))],
            ),
            &[RejectDecision],
        ),
        stays(
            "for longer than was asked",
            deciding(asked(), &[(ALICE, json!({"verdict": "Approve", "duration": "9h"}))]),
            &[RejectDecision],
        ),
        stays(
            "more than was asked",
            deciding(
                asked(),
                &[(ALICE, json!({"verdict": "Approve", "resources": [{"resource": "pods", "name": "other"}]}))],
            ),
            &[RejectDecision],
        ),
        denied(
            "a Deny needs no right hash",
            deciding(
                asked(),
                &[(ALICE, json!({"verdict": "Deny", "effectHash": format!("sha256:{}", "0".repeat(64))}))],
            ),
            &[DenyLockboxRequest],
        ),
    ]
}

fn approved_rows() -> Vec<Row> {
    use Phase::{AccessGranted, Approved, Completed, Failed, Revoked};
    let approved = || World::new().into_phase(Approved);
    let failed = |name, world, reason, says| {
        row(name, world, Approved, Failed, reason, &[FailAccess]).before(Before::EndGrant { early: true }).says(says)
    };
    let cut_apart = || {
        let only = |name: &str| json!({"verdict": "Approve", "resources": [{"resource": "pods", "name": name}]});
        let mut world = deciding(
            quorum_of_two().into_phase(Phase::CustomerNotified),
            &[(ALICE, only("shop-0")), (BOB, only("shop-1"))],
        );
        world.take();
        world
    };
    let waits = |name, world, reason| row(name, world, Approved, Approved, reason, &[]);
    let later = |world: World, seconds: i64| {
        let then = (world.status().approved_at.unwrap() - at(0)).num_seconds();
        world.at(then + seconds)
    };
    // In force since so many seconds after the approval.
    let since = |mut world: World, seconds: i64| {
        world.proofs.authentic_since = world.status().approved_at.unwrap() + chrono::TimeDelta::seconds(seconds);
        world
    };
    let with_clock = |clock| {
        let mut world = approved();
        world.proofs.clock = clock;
        world
    };
    let without_net = || {
        let mut world = approved();
        world.proofs.safety_net = Proof::Disproven("it hangs.".into());
        world
    };
    let approved_and_back = |seconds| {
        let world = approved();
        let then = (world.status().approved_at.unwrap() - at(0)).num_seconds();
        world.at(then - seconds)
    };
    vec![
        row("access is made", approved(), Approved, AccessGranted, "Granted", &[GrantAccess])
            .before(Before::MakeGrant)
            .says(KIM),
        row(
            "access is made in the last second",
            {
                let w = approved();
                let last = deadline(&w) - 1;
                w.at(last)
            },
            Approved,
            AccessGranted,
            "Granted",
            &[GrantAccess],
        )
        .before(Before::MakeGrant),
        failed("its end came first", past_deadline(approved()), "DeadlinePassed", "status.accessUntil"),
        failed("the role changed", with_role(approved(), RoleView::Rules(changed_rules())), "RoleChanged", "Shell"),
        failed(
            "the role can do less by now",
            with_role(approved(), RoleView::Rules(reading_rules())),
            "RoleChanged",
            "Shell",
        ),
        failed("the role is gone", with_role(approved(), RoleView::Missing), "RoleGone", "lockbox-shell"),
        failed(
            "the access level is gone",
            approved().settings(|s| {
                s["accessLevels"].as_array_mut().unwrap().remove(0);
            }),
            "AccessLevelGone",
            "Shell",
        ),
        failed("nothing is left that all approved", cut_apart(), "NothingLeft", "resources"),
        row(
            "the API server refuses it",
            attempted(approved(), Attempt::Refused("RoleBinding lockbox-grant-x exists and is not ours".into())),
            Approved,
            Failed,
            "GrantRefused",
            &[FailAccess],
        )
        .before(Before::MakeGrantAndEndIt)
        .says("RoleBinding"),
        failed(
            "status records no approval",
            {
                let mut w = approved();
                w.request.status.as_mut().unwrap().grant = None;
                w
            },
            "StatusIncomplete",
            "status",
        ),
        failed(
            "status records no effect",
            {
                let mut w = approved();
                w.request.status.as_mut().unwrap().effect = None;
                w
            },
            "StatusIncomplete",
            "status",
        ),
        failed(
            "status records no end",
            {
                let mut w = approved();
                w.request.status.as_mut().unwrap().access_until = None;
                w
            },
            "StatusIncomplete",
            "status.accessUntil",
        ),
        row(
            "a quota stands in the way",
            attempted(approved(), Attempt::Blocked("exceeded quota: small".into())),
            Approved,
            Approved,
            "GrantBlocked",
            &[],
        )
        .before(Before::MakeGrant)
        .says("exceeded quota: small"),
        row(
            "a quota stood in the way until the end",
            past_deadline(attempted(approved(), Attempt::Blocked("exceeded quota".into()))),
            Approved,
            Failed,
            "DeadlinePassed",
            &[FailAccess],
        )
        .before(Before::EndGrant { early: true }),
        waits("whether admission is enforced is not known", untried(approved()), "WaitingForAdmission")
            .says("not tried yet"),
        waits("admission is not enforced", later(forgeable(approved()), 11), "WaitingForAdmission")
            .says("is not there"),
        failed(
            "approved a moment before admission was found not to be enforced",
            later(forgeable(approved()), 10),
            "AdmissionNotEnforced",
            "the admission policies were missing when it was approved",
        ),
        failed(
            "approved a moment before the policies were put back",
            since(approved(), 10),
            "AdmissionNotEnforced",
            "missing",
        ),
        row(
            "approved long before the policies were put back",
            since(approved(), 11),
            Approved,
            AccessGranted,
            "Granted",
            &[GrantAccess],
        )
        .before(Before::MakeGrant),
        waits("the clock is wrong", with_clock(Proof::Disproven("it is late.".into())), "WaitingForClock")
            .says("it is late"),
        waits("the clock was not compared", with_clock(Proof::Unknown("not yet.".into())), "WaitingForClock"),
        waits("nothing in the cluster would end it", without_net(), "WaitingForSafetyNet").says("it hangs"),
        row(
            "nothing in the cluster would end it, and the settings accept that",
            without_net().settings(|spec| spec["grant"]["safetyNet"] = json!("Preferred")),
            Approved,
            AccessGranted,
            "Granted",
            &[GrantAccess],
        )
        .before(Before::MakeGrant),
        row(
            "what was missing is proven",
            {
                let mut w = later(forgeable(approved()), 11);
                w.take();
                proven(w)
            },
            Approved,
            AccessGranted,
            "Granted",
            &[GrantAccess],
        )
        .before(Before::MakeGrant),
        failed(
            "something forged about this very request was let in",
            tried(approved(), Forgery::LetIn("the API server let in a decision.".into())),
            "AdmissionNotEnforced",
            "let in a decision",
        ),
        row(
            "approved since the policies were put back",
            since(approved(), 0),
            Approved,
            AccessGranted,
            "Granted",
            &[GrantAccess],
        )
        .before(Before::MakeGrant),
        failed(
            "nothing was proven until the end",
            past_deadline(forgeable(approved())),
            "DeadlinePassed",
            "accessUntil",
        ),
        row(
            "the clock was put back by as much as clocks may differ",
            approved_and_back(5),
            Approved,
            AccessGranted,
            "Granted",
            &[GrantAccess],
        )
        .before(Before::MakeGrant),
        failed("the clock was put back since the approval", approved_and_back(6), "ClockWentBack", "accessUntil"),
        row("released before access began", released(approved()), Approved, Completed, "Released", &[CompleteAccess])
            .before(Before::EndGrant { early: true })
            .says(KIM),
        row(
            "revoked before access began",
            revoked(approved()),
            Approved,
            Revoked,
            "RevokedByCustomer",
            &[RevokeAccess],
        )
        .before(Before::EndGrant { early: true })
        .says(ALICE),
        row(
            "revoked when access was made and not recorded yet",
            bound(revoked(approved()), true),
            Approved,
            Revoked,
            "RevokedByCustomer",
            &[GrantAccess, RevokeAccess],
        )
        .before(Before::EndGrant { early: true }),
        row(
            "its end came when access was made and not recorded yet",
            bound(past_deadline(approved()), true),
            Approved,
            Completed,
            "TimeIsUp",
            &[GrantAccess, CompleteAccess],
        )
        .before(Before::EndGrant { early: true }),
        waits("what must not stay cannot be removed yet", stuck(revoked(approved())), "GrantBlocked")
            .before(Before::EndGrant { early: true })
            .says("guard"),
        waits(
            "whether forgeries are refused cannot be told",
            tried(approved(), Forgery::Unknown("no room.".into())),
            "WaitingForAdmission",
        )
        .says("no room"),
        row("locked before access began", locked(approved()), Approved, Revoked, "RequesterLocked", &[RevokeAccess])
            .before(Before::EndGrant { early: true })
            .says("laptop stolen"),
        row(
            "all access stopped before it began",
            stopped(approved(), 20),
            Approved,
            Revoked,
            "AccessStopped",
            &[RevokeAccess],
        )
        .before(Before::EndGrant { early: true })
        .says("INC-9"),
        row(
            "all access that was approved before this was stopped",
            stopped(approved(), 10),
            Approved,
            AccessGranted,
            "Granted",
            &[GrantAccess],
        )
        .before(Before::MakeGrant),
        waits("settings that cannot be read end nothing", unreadable(approved()), "SettingsUnreadable")
            .says("spec.grant"),
        row("switched off before access began", off(approved()), Approved, Revoked, "LockboxDisabled", &[RevokeAccess])
            .before(Before::EndGrant { early: true }),
        row(
            "settings deleted before access began",
            without_settings(approved()),
            Approved,
            Revoked,
            "SettingsMissing",
            &[RevokeAccess],
        )
        .before(Before::EndGrant { early: true }),
        row(
            "a cancellation is too late",
            cancelled(approved(), KIM),
            Approved,
            AccessGranted,
            "Granted",
            &[GrantAccess],
        )
        .before(Before::MakeGrant),
    ]
}

fn granted_rows() -> Vec<Row> {
    use Phase::{AccessGranted, Completed, Revoked};
    let granted = || World::new().into_phase(AccessGranted);
    let tampered = |world| bound(world, false);
    let early = Before::EndGrant { early: true };
    let in_time = Before::EndGrant { early: false };
    vec![
        row("time is up", past_deadline(granted()), AccessGranted, Completed, "TimeIsUp", &[CompleteAccess])
            .before(in_time),
        row(
            "time is up, and the binding is gone already",
            tampered(past_deadline(granted())),
            AccessGranted,
            Completed,
            "TimeIsUp",
            &[CompleteAccess],
        )
        .before(in_time),
        row(
            "time is up, and Lockbox went off since",
            off(past_deadline(granted())),
            AccessGranted,
            Completed,
            "TimeIsUp",
            &[CompleteAccess],
        )
        .before(in_time),
        row(
            "time is up, and it was revoked too",
            past_deadline(revoked(granted())),
            AccessGranted,
            Revoked,
            "RevokedByCustomer",
            &[RevokeAccess],
        )
        .before(early),
        row(
            "no end is recorded",
            {
                let mut w = granted();
                w.request.status.as_mut().unwrap().access_until = None;
                w
            },
            AccessGranted,
            Revoked,
            "StatusIncomplete",
            &[RevokeAccess],
        )
        .before(early),
        row("released", released(granted()), AccessGranted, Completed, "Released", &[CompleteAccess])
            .before(early)
            .says(KIM),
        row(
            "released, and the binding is gone",
            tampered(released(granted())),
            AccessGranted,
            Completed,
            "Released",
            &[CompleteAccess],
        )
        .before(early),
        row("revoked", revoked(granted()), AccessGranted, Revoked, "RevokedByCustomer", &[RevokeAccess])
            .before(early)
            .says(ALICE),
        row(
            "revoked, and the binding is gone",
            tampered(revoked(granted())),
            AccessGranted,
            Revoked,
            "RevokedByCustomer",
            &[RevokeAccess],
        )
        .before(early),
        row("switched off", off(granted()), AccessGranted, Revoked, "LockboxDisabled", &[RevokeAccess]).before(early),
        row("locked", locked(granted()), AccessGranted, Revoked, "RequesterLocked", &[RevokeAccess])
            .before(early)
            .says("laptop stolen"),
        row("all access stopped", stopped(granted(), 20), AccessGranted, Revoked, "AccessStopped", &[RevokeAccess])
            .before(early)
            .says("INC-9"),
        row(
            "an earlier stop does not concern it",
            stopped(granted(), 10),
            AccessGranted,
            AccessGranted,
            "Granted",
            &[],
        ),
        row(
            "settings that cannot be read end nothing",
            unreadable(granted()),
            AccessGranted,
            AccessGranted,
            "Granted",
            &[],
        ),
        row(
            "time is up, and somebody's webhook refuses the deletion",
            stuck(past_deadline(granted())),
            AccessGranted,
            AccessGranted,
            "EndOverdue",
            &[EndOverdue],
        )
        .before(in_time)
        .says("guard"),
        row(
            "revoked, and somebody's webhook refuses the deletion",
            stuck(revoked(granted())),
            AccessGranted,
            AccessGranted,
            "EndOverdue",
            &[EndOverdue],
        )
        .before(early)
        .says("guard"),
        row(
            "the webhook is gone, and the access ends",
            {
                let mut w = stuck(past_deadline(granted()));
                w.settle();
                w.not_ended = None;
                w
            },
            AccessGranted,
            Completed,
            "TimeIsUp",
            &[CompleteAccess],
        )
        .before(in_time),
        row(
            "settings deleted",
            without_settings(granted()),
            AccessGranted,
            Revoked,
            "SettingsMissing",
            &[RevokeAccess],
        )
        .before(early),
        row(
            "somebody removed the binding",
            tampered(granted()),
            AccessGranted,
            Revoked,
            "TamperWithGrant",
            &[TamperWithGrant, RevokeAccess],
        )
        .before(early),
        row(
            "a second before the end it still runs",
            {
                let w = granted();
                let last = deadline(&w) - 1;
                w.at(last)
            },
            AccessGranted,
            AccessGranted,
            "Granted",
            &[],
        ),
        row(
            "a late Deny changes nothing",
            deciding(granted(), &[(BOB, no())]),
            AccessGranted,
            AccessGranted,
            "Granted",
            &[],
        ),
        row(
            "an assignment that is gone ends nothing",
            {
                let mut w = granted();
                w.assignments.clear();
                w
            },
            AccessGranted,
            AccessGranted,
            "Granted",
            &[],
        ),
    ]
}

fn rows() -> Vec<Row> {
    [evaluating_rows(), internal_rows(), notified_rows(), approved_rows(), granted_rows()]
        .into_iter()
        .flatten()
        .collect()
}

fn before_of(taken: &Taken) -> Before {
    match taken.to_the_grant().as_slice() {
        [] => Before::Nothing,
        [Action::MakeGrant(_)] => Before::MakeGrant,
        [Action::EndGrant { early }] => Before::EndGrant { early: *early },
        [Action::MakeGrant(_), Action::EndGrant { early: true }] => Before::MakeGrantAndEndIt,
        other => panic!("{other:?}"),
    }
}

/// Whether a text names a field, a kind of ours, or something that has a name.
fn names_something(message: &str) -> bool {
    [
        "spec.",
        "status.",
        "LockboxSettings",
        "RoleAssignment",
        "ClusterRole",
        "RoleBinding",
        "grant.maximum",
        "just-in-time rule",
        "access level ",
        "resources",
    ]
    .iter()
    .any(|word| message.contains(word))
}

#[test]
fn every_row_of_the_table_holds() {
    let mut wrong = vec![];
    for row in rows() {
        let name = row.name;
        let mut check = |holds: bool, what: String| {
            if !holds {
                wrong.push(format!("{name}: {what}"));
            }
        };
        check(row.world.phase() == row.from, format!("starts in {}", row.world.phase()));
        let old = row.world.history().to_vec();
        let next = row.world.look();
        let empty = LockboxRequestStatus::default();
        let status = next.status.as_deref().or(row.world.request.status.as_ref()).unwrap_or(&empty);
        let phase = status.phase.unwrap_or_default();
        let message = status.message.clone().unwrap_or_default();
        check(phase == row.to, format!("goes to {phase}: {message}"));
        check(status.reason.as_deref() == Some(row.reason), format!("reason is {:?}: {message}", status.reason));
        check(status.history.starts_with(&old), "the history was changed".into());
        let entries: Vec<_> = status.history.iter().skip(old.len()).map(|entry| entry.action).collect();
        let sorted = |mut actions: Vec<AuditAction>| {
            actions.sort();
            actions
        };
        check(sorted(entries.clone()) == sorted(row.entries.clone()), format!("entries are {entries:?}"));
        check(history::verify(&status.history, UID).is_ok(), "the history does not verify".into());
        check(before_of(&next) == row.before, format!("before the status: {:?}", next.did));
        check(message.contains(row.says), format!("does not say {:?}: {message}", row.says));
        if matches!(row.to, Phase::Rejected | Phase::NotTriggered | Phase::Failed) && row.reason != "DeniedInternally" {
            check(names_something(&message), format!("names no field or object: {message}"));
        }
        check(!message.is_empty() && message.matches(['.', ':']).count() > 0, format!("is no sentence: {message}"));
        // Publishing comes after the status that it is about.
        check(next.status.is_none() || !next.publishes(), "it publishes before it has written".into());
        // The wake-up is the phase's own deadline.
        let deadline = match row.to {
            Phase::Evaluating => status.evaluate_until,
            Phase::AwaitingInternalApproval => status.internal_until,
            Phase::CustomerNotified => status.pending_until,
            Phase::Approved | Phase::AccessGranted => status.access_until,
            _ => None,
        };
        let settled = {
            let mut world = row.world.clone();
            world.settle();
            world.look().wake
        };
        check(
            if row.to.is_terminal() { settled.is_none() } else { settled.is_some() && settled <= deadline },
            format!("wakes at {settled:?}, and its deadline is {deadline:?}"),
        );
        check(row.to.is_terminal() == status.ended_at.is_some(), "endedAt is for what has ended".into());
        check(row.to.is_terminal() || status.until == deadline, "until is not the deadline".into());
        let types: Vec<_> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
        check(types == conditions::TYPES, format!("conditions are {types:?}"));
        let reason = Reason::ALL.iter().find(|reason| reason.as_str() == row.reason);
        check(
            reason.is_some_and(|reason| reason.phases().contains(&row.to)),
            "the reason is not one of its phase".into(),
        );
        let finished = lockbox_api::condition::holds(&status.conditions, "Finished");
        check(finished == row.to.is_terminal(), "Finished is for what has ended".into());
        let granted = lockbox_api::condition::holds(&status.conditions, "AccessGranted");
        check(granted == (row.to == Phase::AccessGranted), "AccessGranted is for what is granted".into());
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_edge_of_the_diagram_has_a_row_and_no_row_leaves_it() {
    let rows = rows();
    let taken: BTreeSet<_> = rows.iter().filter(|row| row.from != row.to).map(|row| (row.from, row.to)).collect();
    let edges: BTreeSet<_> =
        Phase::ALL.into_iter().flat_map(|from| from.next().iter().map(move |to| (from, *to))).collect();
    assert_eq!(taken, edges);
}

#[test]
fn no_two_rows_bear_one_name() {
    let rows = rows();
    let names: BTreeSet<_> = rows.iter().map(|row| (row.from, row.name)).collect();
    assert_eq!(names.len(), rows.len());
}

#[test]
fn every_audit_action_comes_out_of_some_row() {
    let seen: BTreeSet<_> = rows().iter().flat_map(|row| row.entries.clone()).collect();
    let all = BTreeSet::from([
        RequestInternalApproval,
        ApproveInternally,
        DenyInternally,
        CreateLockboxRequest,
        ApproveLockboxRequest,
        DenyLockboxRequest,
        AutoApproveLockboxRequest,
        AutoDenyLockboxRequest,
        ExpireLockboxRequest,
        ExpireInternalApproval,
        CancelLockboxRequest,
        CancelBeforeNotification,
        GrantAccess,
        CompleteAccess,
        RevokeAccess,
        FailAccess,
        SkipLockboxRequest,
        ExcludeLockboxRequest,
        RejectDecision,
        TamperWithGrant,
        EndOverdue,
    ]);
    assert_eq!(seen, all);
}

#[test]
fn the_phases_in_a_history_follow_the_diagram() {
    for row in rows() {
        let mut world = row.world;
        world.take();
        for pair in world.history().windows(2) {
            let (before, after) = (pair[0].phase, pair[1].phase);
            assert!(
                before == after || before.next().contains(&after),
                "{}: an entry in {before} is followed by one in {after}",
                row.name
            );
        }
    }
}

#[test]
fn a_request_that_has_ended_is_published_and_closed_and_then_left_alone() {
    for row in rows().into_iter().filter(|row| row.to.is_terminal()) {
        let mut world = row.world;
        world.settle();
        let status = world.status().clone();
        assert_eq!(status.closed, Some(true), "{}", row.name);
        assert_eq!(status.events_published, Some(i64::try_from(status.history.len()).unwrap()), "{}", row.name);
        // Nothing moves it any more.
        let world = revoked(released(cancelled(deciding(world, &[(CAROL, yes())]), KIM)));
        assert_eq!(world.at(10 * FOUR_DAYS).look(), Taken::default(), "{}", row.name);
    }
}

#[test]
fn what_a_crash_left_unpublished_is_published_before_a_request_is_closed() {
    for row in rows().into_iter().filter(|row| row.to.is_terminal()) {
        let mut world = row.world;
        world.take();
        // The operator dies before it publishes what it has just recorded, and remembers nothing.
        world.published = None;
        let recorded = usize::try_from(world.status().events_published.unwrap()).unwrap();
        assert!(recorded < world.history().len(), "{}", row.name);
        let next = world.take();
        assert_eq!(next.did, [Action::Publish { after: recorded }], "{}", row.name);
        assert_eq!(world.status().closed, Some(true), "{}", row.name);
    }
}

#[test]
fn the_role_is_read_wherever_a_step_or_one_that_follows_without_a_pause_depends_on_it() {
    let settled = |mut world: World| {
        world.settle();
        world.request.status
    };
    for row in rows() {
        let depends = settled(with_role(row.world.clone(), RoleView::Missing)) != settled(row.world);
        assert!(!depends || facts::needs_role(row.from), "{}", row.name);
    }
    for phase in Phase::ALL.into_iter().filter(|phase| phase.is_terminal()) {
        assert!(!facts::needs_role(phase), "{phase}");
    }
    assert!(!facts::needs_role(Phase::AccessGranted), "a granted copy does not follow the role");
}

/// Nothing that is recorded for good is decided from what a cache says.
#[test]
fn what_ends_or_moves_a_request_for_good_is_decided_from_what_is_stored_now() {
    for row in rows().into_iter().filter(|row| row.from != row.to) {
        let next = row.world.look();
        let by_clock_or_by_the_request = [
            "NotDecidedInTime",
            "NoInternalApproval",
            "TimeIsUp",
            "Released",
            "RevokedByCustomer",
            "Withdrawn",
            "TamperWithGrant",
            "StatusIncomplete",
            "AdmissionNotEnforced",
            "DeniedInternally",
        ];
        let read = next.did.iter().any(|action| matches!(action, Action::Read { .. }));
        assert!(read || by_clock_or_by_the_request.contains(&row.reason), "{}: {:?}", row.name, next.did);
    }
}

#[test]
fn a_step_taken_twice_changes_nothing_the_second_time() {
    for row in rows() {
        let mut world = row.world;
        world.settle();
        let next = world.look();
        assert_eq!(next.status, None, "{}", row.name);
        let ends = next.to_the_grant().iter().any(|action| matches!(action, Action::EndGrant { .. }));
        assert!(!next.publishes() && (!ends || world.not_ended.is_some()), "{}: {:?}", row.name, next.did);
    }
}

#[test]
fn access_ends_when_its_request_is_deleted() {
    for phase in [Phase::Approved, Phase::AccessGranted] {
        let mut world = World::new().into_phase(phase);
        world.request.metadata.deletion_timestamp = Some(to_kubernetes(at(20)));
        let next = world.look();
        assert_eq!(next.did, [Action::EndGrant { early: true }]);
        assert_eq!(next.status, None);
    }
    let mut world = World::new().into_phase(Phase::CustomerNotified);
    world.request.metadata.deletion_timestamp = Some(to_kubernetes(at(20)));
    world.decide(ALICE, yes());
    assert_eq!(world.look(), Taken::default(), "nothing is granted for a request that is being deleted");
}

#[test]
fn conditions_follow_from_where_a_request_stands_and_how_it_came_there() {
    use Phase::{AccessGranted, Approved, AwaitingInternalApproval as Awaiting, CustomerNotified};
    let after_step = |mut world: World| {
        world.take();
        world
    };
    let no_data = || World::without_customer_data().into_phase(Approved);
    let rejected = World::new().settings(|spec| spec["jit"]["rules"][0]["effect"] = json!("Deny"));
    // Of JitEvaluated, InternallyApproved, CustomerNotified, Approved, AccessGranted, Finished: status and reason.
    for (name, world, expected) in vec![
        (
            "evaluating",
            after_step(without_settings(World::new())),
            "Unknown SettingsMissing, Unknown NotYet, Unknown NotYet, Unknown NotYet, False NotYet, False Evaluating",
        ),
        (
            "denied by a rule",
            after_step(rejected),
            "False Deny, True NotRequired, False DeniedByRule, False DeniedByRule, False DeniedByRule, True DeniedByRule",
        ),
        (
            "off",
            after_step(off(World::new())),
            "False LockboxDisabled, False LockboxDisabled, False LockboxDisabled, False LockboxDisabled, False LockboxDisabled, True LockboxDisabled",
        ),
        (
            "waiting for the provider",
            World::with_internal_approval().into_phase(Awaiting),
            "True Permit, Unknown Waiting, Unknown NotYet, Unknown NotYet, False NotYet, False AwaitingInternalApproval",
        ),
        (
            "denied by the provider",
            after_step(deciding_internally(World::with_internal_approval().into_phase(Awaiting), LEAD, no())),
            "True Permit, False Denied, False DeniedInternally, False DeniedInternally, False DeniedInternally, True DeniedInternally",
        ),
        (
            "expired with the provider",
            after_step(past_deadline(World::with_internal_approval().into_phase(Awaiting))),
            "True Permit, False NoInternalApproval, False NoInternalApproval, False NoInternalApproval, False NoInternalApproval, True NoInternalApproval",
        ),
        (
            "waiting for the customer",
            World::new().into_phase(CustomerNotified),
            "True Permit, True NotRequired, True Notified, Unknown NotYet, False NotYet, False CustomerNotified",
        ),
        (
            "waiting for the customer, after the provider",
            World::with_internal_approval().into_phase(CustomerNotified),
            "True Permit, True Approved, True Notified, Unknown NotYet, False NotYet, False CustomerNotified",
        ),
        (
            "denied by the customer",
            after_step(deciding(World::new().into_phase(CustomerNotified), &[(ALICE, no())])),
            "True Permit, True NotRequired, True Notified, False DeniedByCustomer, False DeniedByCustomer, True DeniedByCustomer",
        ),
        (
            "approved",
            World::new().into_phase(Approved),
            "True Permit, True NotRequired, True Notified, True Approved, False NotYet, False Approved",
        ),
        (
            "approved by the rules alone",
            no_data(),
            "True Permit, True NotRequired, False NotNeeded, True Approved, False NotYet, False Approved",
        ),
        (
            "approved by the provider alone",
            {
                let world = World::without_customer_data().settings(|spec| {
                    spec["jit"]["rules"][0]["require"] =
                        json!({"internalApproval": {"approvers": [{"kind": "User", "name": LEAD}], "count": 1}});
                });
                world.into_phase(Approved)
            },
            "True Permit, True Approved, False NotNeeded, True Approved, False NotYet, False Approved",
        ),
        (
            "granted",
            World::new().into_phase(AccessGranted),
            "True Permit, True NotRequired, True Notified, True Approved, True Granted, False AccessGranted",
        ),
        (
            "ended by the clock",
            after_step(past_deadline(World::new().into_phase(AccessGranted))),
            "True Permit, True NotRequired, True Notified, True Approved, False TimeIsUp, True TimeIsUp",
        ),
    ] {
        let said: Vec<_> = world.status().conditions.iter().map(|c| format!("{} {}", c.status, c.reason)).collect();
        assert_eq!(said.join(", "), expected, "{name}");
    }
}

#[test]
fn an_end_without_a_name_is_recorded_all_the_same() {
    for phase in [Phase::Approved, Phase::AccessGranted] {
        let mut world = World::new().into_phase(phase);
        world.request.spec.revocation = ending("");
        world.take();
        assert_eq!(world.phase(), Phase::Revoked);
        assert!(!world.history().last().unwrap().actor.is_empty(), "the schema refuses an entry without an actor");
    }
}

#[test]
fn what_several_approvers_cut_down_is_cut_down_for_all() {
    let mut world = quorum_of_two().into_phase(Phase::CustomerNotified);
    world.decide(ALICE, json!({"verdict": "Approve", "duration": "2h"}));
    world.take();
    world.now = 3_600;
    world.decide(BOB, json!({"verdict": "Approve", "resources": [{"resource": "pods", "name": "shop-1"}]}));
    world.take();
    let status = world.status();
    assert_eq!(status.access_until, Some(at(3_600 + 7_200)), "access runs from the approval");
    let names: Vec<_> = status.grant.as_ref().unwrap().resources.iter().flatten().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["shop-1"]);
    let next = world.take();
    let [Action::MakeGrant(plan)] = next.to_the_grant()[..] else { panic!("{next:?}") };
    assert_eq!(plan.user(), KIM);
    assert_eq!(plan.until(), at(3_600 + 7_200));
    let mut reached: Vec<_> =
        plan.rules().iter().flat_map(|rule| rule.resource_names.clone().unwrap_or_default()).collect();
    reached.dedup();
    assert_eq!(reached, ["shop-1"]);
}

#[test]
fn a_deadline_never_moves_once_it_is_recorded() {
    let mut world = World::with_internal_approval().settings(|s| {
        s["internalTimeout"] = json!("1h");
        s["pendingTimeout"] = json!("2h");
    });
    world.take();
    assert_eq!(world.status().internal_until, Some(at(10 + 3_600)));
    world.change_settings(|s| {
        s["internalTimeout"] = json!("9h");
    });
    world.now = 100;
    world.settle();
    assert_eq!(world.status().internal_until, Some(at(10 + 3_600)), "the internal clock started when it was asked for");
    world.decide_internally(LEAD, yes());
    world.take();
    assert_eq!(world.status().pending_until, Some(at(100 + 7_200)), "the customer's starts at notification");
    world.change_settings(|s| s["pendingTimeout"] = json!("9h"));
    world.now = 200;
    world.settle();
    world.decide(ALICE, yes());
    world.take();
    assert_eq!(world.status().pending_until, Some(at(100 + 7_200)));
    assert_eq!(world.status().access_until, Some(at(200 + EIGHT_HOURS)), "the grant's starts at approval");
    world.now = 300;
    world.settle();
    assert_eq!(world.status().access_until, Some(at(200 + EIGHT_HOURS)));
}

#[test]
fn one_person_under_two_spellings_is_one_approval() {
    let mut world = quorum_of_two();
    world.assignments = vec![assignment("contoso:oncall", "Owner", -100)];
    let mut world = world.into_phase(Phase::CustomerNotified);
    let member = json!({"verdict": "Approve", "group": "contoso:oncall"});
    world.decide("dave@contoso.example", member.clone());
    world.decide("Dave@contoso.example", member.clone());
    world.settle();
    assert_eq!(world.phase(), Phase::CustomerNotified, "{:?}", world.status().message);
    world.decide("erin@contoso.example", member);
    world.take();
    assert_eq!(world.phase(), Phase::Approved);
}

#[test]
fn internal_approvals_are_met_rule_by_rule() {
    let mut world = World::new().settings(|spec| {
        spec["jit"]["rules"] = json!([
            {"name": "leads", "effect": "Permit", "require": {"internalApproval": {"approvers": [{"kind": "Group", "name": "provider:leads"}], "count": 2}}},
            {"name": "devops", "effect": "Permit", "require": {"internalApproval": {"approvers": [{"kind": "User", "name": "lee@provider.example"}], "count": 1}}}
        ]);
    });
    world.take();
    let yes_as_lead = json!({"verdict": "Approve", "group": "provider:leads"});
    world.decide_internally("lee@provider.example", yes_as_lead.clone());
    world.settle();
    assert_eq!(world.phase(), Phase::AwaitingInternalApproval, "one of two leads");
    world.decide_internally("max@provider.example", yes_as_lead);
    world.settle();
    assert_eq!(world.phase(), Phase::CustomerNotified, "who is named in one and a member of the other counts for both");
}

#[test]
fn another_engineer_than_the_tickets_is_pointed_out_to_everybody() {
    let mut world = World::new().request(|r| {
        r["supportRequest"]["assignedTo"] = json!("robin@provider.example");
        r["escalation"] = json!({"team": "kernel", "reason": "needs a stack"});
    });
    world.take();
    let message = world.status().message.clone().unwrap();
    let entry = &world.history()[0].message;
    for text in [&message, entry] {
        assert!(text.contains("robin@provider.example") && text.contains("kernel"), "{text}");
    }
    let mut own = World::new().request(|r| r["supportRequest"]["assignedTo"] = json!(KIM));
    own.take();
    assert!(!own.history()[0].message.contains("Note"), "{}", own.history()[0].message);
}

#[test]
fn who_did_it_and_why_is_recorded_with_every_entry() {
    let after = |mut world: World| {
        world.take();
        let entry = world.history().last().unwrap();
        (entry.action, entry.actor.clone(), entry.reason.clone(), entry.phase)
    };
    let justification = World::new().request.spec.justification;
    let recorded = after(excluded_world("BreakGlass"));
    assert_eq!(recorded, (ExcludeLockboxRequest, KIM.into(), Some(justification), Phase::Excluded));
    let rejected = after(World::new().settings(|spec| spec["jit"]["rules"][0]["effect"] = json!("Deny")));
    assert_eq!(rejected, (AutoDenyLockboxRequest, "lockbox".into(), None, Phase::Rejected));
    // The entry that completes a quorum is the transition's entry, and no other is.
    let first = deciding(quorum_of_two().into_phase(Phase::CustomerNotified), &[(ALICE, yes())]);
    let reason = Some("window agreed".to_owned());
    assert_eq!(after(first.clone()), (ApproveLockboxRequest, ALICE.into(), reason.clone(), Phase::CustomerNotified));
    let second = deciding(first, &[(BOB, yes())]);
    assert_eq!(after(second), (ApproveLockboxRequest, BOB.into(), reason, Phase::Approved));
    let asked = World::new().into_phase(Phase::CustomerNotified);
    let ignored = after(deciding(asked.clone(), &[("mallory@contoso.example", yes())]));
    assert_eq!(ignored.3, Phase::CustomerNotified);
    let denied = after(deciding(asked, &[(ALICE, no())]));
    assert_eq!(denied, (DenyLockboxRequest, ALICE.into(), Some("not today".into()), Phase::Denied));
}

#[test]
fn the_history_says_what_an_approver_cut_down() {
    let cut = json!({"verdict": "Approve", "duration": "1h", "resources": [{"resource": "pods", "name": "shop-1"}]});
    let mut world = deciding(World::new().into_phase(Phase::CustomerNotified), &[(ALICE, cut)]);
    world.take();
    let said = &world.history()[1].message;
    assert_eq!(said, "alice@contoso.example approved, for 1h at most, only pods/shop-1");
}

#[test]
fn a_decision_may_repeat_what_was_asked_for_and_hold_no_more() {
    let decides = |decision: Value| {
        let mut world = deciding(World::new().into_phase(Phase::CustomerNotified), &[(ALICE, decision)]);
        world.take();
        world.phase()
    };
    assert_eq!(decides(json!({"verdict": "Approve", "duration": "8h"})), Phase::Approved);
    assert_eq!(decides(json!({"verdict": "Approve", "duration": "8h1s"})), Phase::CustomerNotified);
    let objects = |names: &[&str]| -> Vec<_> { names.iter().map(|n| json!({"resource": "pods", "name": n})).collect() };
    let only = |names: &[&str]| json!({"verdict": "Approve", "resources": objects(names)});
    assert_eq!(decides(only(&["shop-0", "shop-1"])), Phase::Approved);
    assert_eq!(decides(only(&["shop-0", "other"])), Phase::CustomerNotified);
}

#[test]
fn who_became_one_of_the_providers_people_does_not_decide_and_groups_decide_for_themselves_alone() {
    let group = || {
        let mut world = World::new();
        world.assignments = vec![assignment("contoso:oncall", "Owner", -100), assignment(ALICE, "Owner", -100)];
        world.into_phase(Phase::CustomerNotified)
    };
    let decides = |mut world: World, user: &str, decision: Value| {
        world.decide(user, decision);
        world.take();
        world.phase()
    };
    let barred = |users: &[&str], groups: &[&str]| {
        let mut world = group();
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let status = world.request.status.as_mut().unwrap();
        status.barred = Some(lockbox_api::request::Barred { users: owned(users), groups: owned(groups) });
        world
    };
    let as_group = |group: &str| json!({"verdict": "Approve", "group": group});
    let (nobody, dave) = (|| barred(&[], &[]), "dave@contoso.example");
    assert_eq!(decides(nobody(), ALICE, yes()), Phase::Approved);
    assert_eq!(decides(nobody(), dave, as_group("contoso:oncall")), Phase::Approved);
    let refused = |world: World, user: &str, decision: Value| {
        assert_eq!(decides(world, user, decision.clone()), Phase::CustomerNotified, "{user} {decision}");
    };
    refused(barred(&["ALICE@contoso.example"], &[]), ALICE, yes());
    refused(barred(&[dave], &[]), dave, as_group("contoso:oncall"));
    refused(barred(&[], &["contoso:oncall"]), dave, as_group("contoso:oncall"));
    refused(nobody(), dave, as_group("contoso:others"));
    refused(nobody(), dave, as_group(ALICE));
    refused(nobody(), dave, yes());
    // The group's name is no user's.
    refused(nobody(), "contoso:oncall", yes());
}

#[test]
fn a_rule_set_that_the_status_cannot_hold_still_gives_a_status_that_it_can() {
    let world = World::new().settings(|spec| {
        let rules: Vec<_> =
            (0..128).map(|n| json!({"name": format!("rule-{n}-{}", "x".repeat(50)), "effect": "Permit"})).collect();
        spec["jit"]["rules"] = json!(rules);
    });
    let status = world.look().status.unwrap();
    let message = &status.jit.as_ref().unwrap().message;
    assert!(message.chars().count() <= 1024, "status.jit.message has {} characters", message.chars().count());

    let demanding = |count: usize| {
        World::new().settings(|spec| {
        let rules: Vec<_> = (0..count)
            .map(|n| json!({"name": format!("rule-{n}"), "effect": "Permit", "require": {"internalApproval": {"approvers": [{"kind": "User", "name": LEAD}], "count": 1}}}))
            .collect();
        spec["jit"]["rules"] = json!(rules);
    })
    };
    let status = demanding(16).look().status.unwrap();
    assert_eq!((status.internal_approvals.len(), status.phase), (16, Some(Phase::AwaitingInternalApproval)));
    let status = demanding(17).look().status.unwrap();
    assert!(status.internal_approvals.len() <= 16, "status.internalApprovals has {}", status.internal_approvals.len());
    assert_eq!(status.phase, Some(Phase::Rejected), "no demand is dropped silently");
    assert_eq!(status.reason.as_deref(), Some("TooManyInternalApprovals"));
    assert!(names_something(status.message.as_deref().unwrap()));
}

// --- just-in-time rules ---

fn verdict_of(world: &World) -> jit::Verdict {
    let settings = world.settings.as_ref().unwrap();
    let level = settings.access_levels.iter().find(|level| level.name == world.request.spec.access_level).unwrap();
    jit::evaluate(settings, &world.request.spec, &world.request.spec.service, level)
}

#[test]
fn every_field_of_a_match_fits_and_does_not_fit() {
    for (field, fits, does_not) in [
        ("scopes", json!(["Subscription"]), json!(["Tenant"])),
        ("resources", json!("Named"), json!("Whole")),
        ("kinds", json!([{"resource": "pods"}]), json!([{"group": "apps", "resource": "pods"}])),
        ("services", json!(["AppService", "Batch"]), json!(["Batch"])),
        ("accessLevels", json!(["Shell"]), json!(["ReadObjects"])),
        ("origins", json!(["SupportRequest"]), json!(["ProviderInitiated"])),
        ("requesterGroups", json!(["x", "provider:engineers"]), json!(["x"])),
        ("customerData", json!(true), json!(false)),
    ] {
        for (value, expected) in [(fits, true), (does_not, false)] {
            let world = World::new().settings(|s| {
                s["jit"]["rules"][0]["match"] = json!({});
                s["jit"]["rules"][0]["match"][field] = value.clone();
            });
            let verdict = verdict_of(&world);
            assert_eq!(verdict.outcome.is_ok(), expected, "{field}: {value}");
            let misses = &verdict.trace[0].misses;
            assert_eq!(misses.is_empty(), expected);
            assert!(expected || misses[0].starts_with(field), "{misses:?} does not name {field}");
        }
    }
}

#[test]
fn kinds_fit_only_when_every_requested_kind_is_listed_and_never_the_whole_scope() {
    let kinds =
        |world: World| world.settings(|s| s["jit"]["rules"][0]["match"] = json!({"kinds": [{"resource": "pods"}]}));
    let whole = kinds(World::new()).request(|r| {
        r.as_object_mut().unwrap().remove("resources");
    });
    assert!(verdict_of(&whole).outcome.is_err());
    let other = kinds(World::new()).request(|r| {
        r["resources"] =
            json!([{"resource": "pods", "name": "a"}, {"group": "apps", "resource": "deployments", "name": "b"}]);
    });
    assert!(verdict_of(&other).outcome.is_err());
}

#[test]
fn a_rule_without_a_match_is_about_all_requests() {
    let world = World::new().settings(|s| s["jit"]["rules"] = json!([{"name": "all", "effect": "Permit"}]));
    assert!(verdict_of(&world).outcome.is_ok());
}

#[test]
fn a_denying_rule_wins_wherever_it_stands() {
    let permit = json!({"name": "permit", "effect": "Permit"});
    let deny = json!({"name": "deny", "effect": "Deny"});
    for rules in [json!([permit, deny]), json!([deny, permit])] {
        let world = World::new().settings(|s| s["jit"]["rules"] = rules.clone());
        let verdict = verdict_of(&world);
        assert_eq!(verdict.outcome.unwrap_err().reason, Reason::DeniedByRule);
        assert_eq!(verdict.rules, ["deny"], "those that denied are named");
    }
    let elsewhere = World::new().settings(|s| {
        s["jit"]["rules"] = json!([permit, {"name": "deny", "effect": "Deny", "match": {"scopes": ["Tenant"]}}]);
    });
    assert!(verdict_of(&elsewhere).outcome.is_ok(), "a rule about something else denies nothing");
}

#[test]
fn requirements_of_all_matching_rules_add_up() {
    let identities = ["Any", "MultiFactor", "Isolated", "Both"];
    // What the two demand together: Both as soon as each of the facts is demanded.
    let sum = |one: &str, other: &str| match (one, other) {
        ("Any", demanded) | (demanded, "Any") => demanded.to_owned(),
        (one, other) if one == other => one.to_owned(),
        _ => "Both".to_owned(),
    };
    for one in identities {
        for other in identities {
            let world = World::new().settings(|s| {
                s["jit"]["rules"] = json!([
                    {"name": "one", "effect": "Permit", "require": {"identity": one}},
                    {"name": "other", "effect": "Permit", "require": {"identity": other}}
                ]);
            });
            let verdict = verdict_of(&world);
            assert_eq!(format!("{:?}", verdict.identity.unwrap()), sum(one, other), "{one} and {other}");
            assert_eq!(verdict.rules, ["one", "other"]);
        }
    }
}

#[test]
fn the_trace_says_what_each_rule_requires_in_words() {
    let required = |rule: Value| {
        let world = World::new().settings(|spec| spec["jit"]["rules"] = json!([rule]));
        verdict_of(&world).trace.remove(0).requires
    };
    let by = |count: i32| json!({"approvers": [{"kind": "User", "name": LEAD}, {"kind": "Group", "name": "provider:leads"}], "count": count});
    for (require, words) in [
        (json!({}), vec!["an isolated identity or multi-factor authentication"]),
        (json!({"identity": "MultiFactor"}), vec!["multi-factor authentication"]),
        (json!({"identity": "Isolated"}), vec!["an isolated identity"]),
        (
            json!({"identity": "Both", "internalApproval": by(2)}),
            vec![
                "an isolated identity and multi-factor authentication",
                "internal approval by 2 of User lead@provider.example, Group provider:leads",
            ],
        ),
    ] {
        assert_eq!(required(json!({"name": "one", "effect": "Permit", "require": require})), words);
        let nothing: [&str; 0] = [];
        assert_eq!(required(json!({"name": "one", "effect": "Deny", "require": require})), nothing);
    }
}

#[test]
fn identity_is_what_the_rule_demands_of_the_two_facts() {
    for (multi_factor, isolated, holds) in [
        (false, false, [false, false, false, false]),
        (true, false, [true, true, false, false]),
        (false, true, [true, false, true, false]),
        (true, true, [true, true, true, true]),
    ] {
        for (demanded, expected) in
            [Identity::Any, Identity::MultiFactor, Identity::Isolated, Identity::Both].into_iter().zip(holds)
        {
            let world = World::new()
                .settings(|s| {
                    s["identity"]["isolatedIdentity"] = json!({"groups": ["provider:secure-workstations"]});
                    s["jit"]["rules"][0]["require"] = json!({"identity": format!("{demanded:?}")});
                })
                .request(|r| {
                    if !multi_factor {
                        r["requester"]["extra"] = json!({});
                    }
                    if isolated {
                        r["requester"]["groups"] = json!(["provider:engineers", "provider:secure-workstations"]);
                    }
                });
            let verdict = verdict_of(&world);
            assert_eq!(verdict.facts, jit::IdentityOf { multi_factor, isolated });
            assert_eq!(verdict.outcome.is_ok(), expected, "{demanded:?} of {multi_factor} and {isolated}");
            if let Err(denial) = verdict.outcome {
                assert_eq!(denial.reason, Reason::IdentityNotSufficient);
                assert!(denial.message.contains(jit::identity_words(demanded)), "{}", denial.message);
            }
        }
    }
}

#[test]
fn a_fact_is_proved_by_a_group_or_by_a_value_and_never_by_an_absent_definition() {
    let undefined = World::new().settings(|s| s["identity"] = json!({}));
    assert_eq!(verdict_of(&undefined).facts, jit::IdentityOf::default());
    let by_group = World::new().settings(|s| s["identity"]["multiFactor"] = json!({"groups": ["provider:engineers"]}));
    assert!(verdict_of(&by_group).facts.multi_factor);
    let other_value = World::new().request(|r| r["requester"]["extra"] = json!({"provider.example/amr": ["pwd"]}));
    assert!(!verdict_of(&other_value).facts.multi_factor);
    let other_key = World::new().request(|r| r["requester"]["extra"] = json!({"amr": ["mfa"]}));
    assert!(!verdict_of(&other_key).facts.multi_factor);
}

#[test]
fn the_history_says_which_rules_decided_and_by_which_facts() {
    for mut world in [World::new(), World::without_customer_data(), World::with_internal_approval()] {
        world.take();
        let entry = &world.history()[0];
        assert_eq!(entry.rules, ["named"]);
        assert_eq!(entry.facts, ["multi-factor authentication: yes", "isolated identity: no"]);
        assert_eq!(world.status().jit.as_ref().unwrap().verdict, RuleEffect::Permit);
    }
    let mut denied = World::new().settings(|s| s["jit"]["rules"] = json!([{"name": "never", "effect": "Deny"}]));
    denied.take();
    assert_eq!(denied.history()[0].rules, ["never"]);
    assert_eq!(denied.status().jit.as_ref().unwrap().verdict, RuleEffect::Deny);
}

// --- approvers ---

fn snapshot(world: &World, scope: Scope) -> approvers::Snapshot {
    let namespace = if scope == Scope::Tenant { HOME } else { NAMESPACE };
    let subject = Subject { scope, namespace, created: at(0), requester: &world.request.spec.requester };
    approvers::snapshot(&world.assignments, world.settings.as_ref().unwrap(), &subject, HOME)
}

fn judged(assignments: Vec<lockbox_api::RoleAssignment>) -> (Vec<String>, Vec<(String, String)>) {
    let mut world = World::new();
    world.assignments = assignments;
    let snapshot = snapshot(&world, Scope::Subscription);
    for excluded in &snapshot.excluded {
        assert!(names_something(&excluded.message), "{}: {}", excluded.reason, excluded.message);
        assert!(excluded.message.chars().count() <= 320);
    }
    (
        snapshot.approvers.into_iter().map(|approver| approver.name).collect(),
        snapshot.excluded.into_iter().map(|excluded| (excluded.name, excluded.reason)).collect(),
    )
}

#[test]
fn everybody_left_out_is_left_out_for_a_reason() {
    let management_group = {
        let mut assignment = assignment(ALICE, "Owner", -1);
        assignment.spec.scope = lockbox_api::assignment::AssignmentScope::ManagementGroup;
        assignment
    };
    for (reason, assignment) in [
        ("ManagementGroup", management_group),
        ("Provider", assignment("provider:engineers", "Owner", -1)),
        ("IsRequester", assignment(KIM, "Owner", -1)),
        ("IsRequester", assignment("KIM@provider.example", "Owner", -1)),
        ("AddedLater", assignment(ALICE, "Owner", 1)),
        ("NotActive", eligible(ALICE, "Owner", -9, None)),
        ("NotActive", eligible(ALICE, "Owner", -9, Some((-8, -1)))),
        ("NotActive", eligible(ALICE, "Owner", -9, Some((-8, 0)))),
        ("ActivatedLater", eligible(ALICE, "Owner", -9, Some((1, 60)))),
    ] {
        let name = assignment.spec.principal.name.clone();
        assert_eq!(judged(vec![assignment]), (vec![], vec![(name, reason.to_owned())]));
    }
    let twice = judged(vec![assignment(ALICE, "Owner", -5), assignment(ALICE, "LockboxApprover", -4)]);
    assert_eq!(twice, (vec![ALICE.to_owned()], vec![(ALICE.to_owned(), "Duplicate".to_owned())]));
}

#[test]
fn what_was_in_place_in_the_same_second_counts() {
    assert_eq!(judged(vec![assignment(ALICE, "Owner", 0)]).0, [ALICE]);
    assert_eq!(judged(vec![eligible(ALICE, "Owner", 0, Some((0, 1)))]).0, [ALICE]);
    let never_stored = {
        let mut a = assignment(ALICE, "Owner", 0);
        a.metadata.creation_timestamp = None;
        a
    };
    assert_eq!(judged(vec![never_stored]).1[0].1, "AddedLater");
}

#[test]
fn an_active_eligible_approver_is_recorded_with_the_end_of_the_activation() {
    let mut world = World::new();
    world.assignments = vec![eligible(ALICE, "Owner", -9, Some((-8, 60)))];
    assert_eq!(snapshot(&world, Scope::Subscription).approvers[0].active_until, Some(at(60)));
}

#[test]
fn who_approves_follows_from_scope_and_model() {
    let people = || {
        vec![
            assignment(ALICE, "Owner", -3),
            assignment(BOB, "LockboxApprover", -2),
            assignment(CAROL, "GlobalAdministrator", -1),
            {
                let mut a = assignment("elsewhere@contoso.example", "Owner", -1);
                a.metadata.namespace = Some("other".into());
                a
            },
            // Where these are, their roles mean nothing.
            {
                let mut a = assignment("at-home@contoso.example", "Owner", -1);
                a.metadata.namespace = Some(HOME.into());
                a
            },
            {
                let mut a = assignment("not-at-home@contoso.example", "GlobalAdministrator", -1);
                a.metadata.namespace = Some(NAMESPACE.into());
                a
            },
        ]
    };
    for (scope, model, expected, left_out) in [
        (Scope::Subscription, ApproverModel::ByScope, vec![ALICE, BOB], vec![]),
        (Scope::Subscription, ApproverModel::OwnerOrGlobalAdministrator, vec![ALICE, CAROL], vec![BOB]),
        (Scope::Subscription, ApproverModel::OwnerOnly, vec![ALICE], vec![BOB]),
        (Scope::Tenant, ApproverModel::ByScope, vec![CAROL], vec![]),
        (Scope::Tenant, ApproverModel::OwnerOrGlobalAdministrator, vec![CAROL], vec![]),
        (Scope::Tenant, ApproverModel::OwnerOnly, vec![CAROL], vec![]),
    ] {
        let mut world = World::new().settings(|s| s["approvals"] = json!({"model": format!("{model:?}")}));
        world.assignments = people();
        let snapshot = snapshot(&world, scope);
        let names: Vec<_> = snapshot.approvers.iter().map(|approver| approver.name.as_str()).collect();
        assert_eq!(names, expected, "{scope:?} {model:?}");
        let excluded: Vec<_> = snapshot.excluded.iter().map(|e| (e.name.as_str(), e.reason.as_str())).collect();
        let left_out: Vec<_> = left_out.into_iter().map(|name| (name, "RoleDoesNotCount")).collect();
        assert_eq!(excluded, left_out, "{scope:?} {model:?}");
    }
}

#[test]
fn the_provider_is_everybody_whom_the_settings_name_for_it() {
    let world = excluded_world("BreakGlass").settings(|s| {
        s["jit"]["rules"][0]["require"] =
            json!({"internalApproval": {"approvers": [{"kind": "User", "name": LEAD}], "count": 1}});
        s["exclusions"]["allowed"][0]["by"] = json!([{"kind": "Group", "name": "provider:commanders"}]);
    });
    let barred = approvers::barred(world.settings.as_ref().unwrap());
    assert_eq!(barred.users, [LEAD]);
    assert_eq!(barred.groups, ["provider:commanders", "provider:engineers"]);
}

#[test]
fn nobody_of_the_provider_is_forgotten_however_many_there_are() {
    let mut world = World::new().settings(|s| {
        let rules: Vec<_> = (0..16)
            .map(|rule| {
                let approvers: Vec<_> = (0..16)
                    .map(|n| json!({"kind": "User", "name": format!("lead-{rule:02}-{n:02}@provider.example")}))
                    .collect();
                json!({"name": format!("rule-{rule}"), "effect": "Permit", "require": {"internalApproval": {"approvers": approvers, "count": 1}}})
            })
            .collect();
        s["jit"]["rules"] = json!(rules);
    });
    world.assignments = vec![assignment("lead-15-15@provider.example", "Owner", -1)];
    let snapshot = snapshot(&world, Scope::Subscription);
    assert_eq!(snapshot.approvers, []);
}

#[test]
fn a_group_reaches_any_quorum_and_users_only_their_number() {
    let mut world = World::new();
    let approvers = snapshot(&world, Scope::Subscription).approvers;
    assert!(approvers::can_reach(&approvers, 3));
    assert!(!approvers::can_reach(&approvers, 4));
    world.assignments = vec![assignment("contoso:oncall", "Owner", -1)];
    assert!(approvers::can_reach(&snapshot(&world, Scope::Subscription).approvers, 16));
}

#[test]
fn a_snapshot_holds_the_oldest_and_says_whom_it_could_not_hold() {
    let mut world = World::new();
    world.assignments =
        (0..70).map(|n| assignment(&format!("user{n:02}@contoso.example"), "Owner", -i64::from(n) - 1)).collect();
    let snapshot = snapshot(&world, Scope::Subscription);
    assert_eq!(snapshot.approvers.len(), 64);
    assert_eq!(snapshot.approvers[0].name, "user69@contoso.example", "the oldest comes first");
    assert_eq!(snapshot.excluded.len(), 6);
    assert!(snapshot.excluded.iter().all(|excluded| excluded.reason == "TooMany"));
    world.assignments = (0..100).map(|n| assignment(&format!("user{n:03}@contoso.example"), "Owner", -1)).collect();
    assert_eq!(self::snapshot(&world, Scope::Subscription).excluded.len(), 32, "no more than a status holds");
}

// --- recognition and people ---

fn condition<'a>(status: &'a lockbox_api::RoleAssignmentStatus, type_: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status.as_str(), found.reason.as_str())
}

#[test]
fn an_assignment_is_recognised_or_says_why_not() {
    let in_namespace = |mut a: lockbox_api::RoleAssignment, namespace: &str| {
        a.metadata.namespace = Some(namespace.into());
        a
    };
    let management_group = {
        let mut assignment = assignment(ALICE, "Owner", 0);
        assignment.spec.scope = lockbox_api::assignment::AssignmentScope::ManagementGroup;
        assignment
    };
    let crossed = {
        let mut assignment = assignment(ALICE, "Owner", 0);
        assignment.spec.role = AssignedRole::GlobalAdministrator;
        assignment
    };
    for (assignment, expected) in [
        (assignment(ALICE, "Owner", 0), ("True", "Recognized")),
        (assignment(ALICE, "LockboxApprover", 0), ("True", "Recognized")),
        (assignment(ALICE, "GlobalAdministrator", 0), ("True", "Recognized")),
        (management_group, ("False", "ManagementGroup")),
        (in_namespace(assignment(ALICE, "Owner", 0), HOME), ("False", "WrongNamespace")),
        (in_namespace(assignment(ALICE, "GlobalAdministrator", 0), NAMESPACE), ("False", "WrongNamespace")),
        (crossed, ("False", "RoleAndScope")),
        (assignment("provider:engineers", "Owner", 0), ("False", "Provider")),
    ] {
        let (status, _) = recognition::recognise(&assignment, Some(&settings()), HOME, at(0));
        assert_eq!(condition(&status, "Recognized"), expected, "{:?}", assignment.spec);
        let active = if expected.0 == "True" { ("True", "Active") } else { ("False", "NotRecognized") };
        assert_eq!(condition(&status, "Active"), active, "{:?}", assignment.spec);
    }
}

#[test]
fn an_activation_counts_from_when_the_operator_saw_it_and_once() {
    let settings = settings();
    let mut assignment = eligible(ALICE, "Owner", 0, None);
    let recognise = |assignment: &lockbox_api::RoleAssignment, now: i64| {
        recognition::recognise(assignment, Some(&settings), HOME, at(now))
    };
    let (status, wake) = recognise(&assignment, 5);
    assert_eq!((condition(&status, "Active"), wake), (("False", "NotActivated"), None));

    assignment.spec.activation = serde_json::from_value(json!({"justification": "on call", "duration": "1m"})).unwrap();
    let (status, wake) = recognise(&assignment, 10);
    assert_eq!((status.activated_at, status.active_until, wake), (Some(at(10)), Some(at(70)), Some(at(70))));
    assignment.status = Some(status.clone());
    assert!(recognition::is_active(&assignment, at(69)));
    assert!(!recognition::is_active(&assignment, at(70)));

    let (again, _) = recognise(&assignment, 30);
    assert_eq!(again, status, "the same activation is not recorded twice");
    let (ended, wake) = recognise(&assignment, 70);
    assert_eq!((condition(&ended, "Active"), wake), (("False", "ActivationEnded"), None));

    assignment.spec.activation = serde_json::from_value(json!({"justification": "again", "duration": "1m"})).unwrap();
    let (renewed, _) = recognise(&assignment, 80);
    assert_eq!((renewed.activated_at, renewed.active_until), (Some(at(80)), Some(at(140))));
}

fn recognised(mut assignment: lockbox_api::RoleAssignment) -> lockbox_api::RoleAssignment {
    let mut status = assignment.status.take().unwrap_or_default();
    set(&mut status.conditions, "Recognized", Truth::True, "Recognized", "", at(0), None);
    assignment.status = Some(status);
    assignment
}

#[test]
fn people_get_what_settings_and_assignments_say_and_nothing_else() {
    let settings = excluded_world("BreakGlass").settings(|s| {
        s["jit"]["rules"][0]["require"] =
            json!({"internalApproval": {"approvers": [{"kind": "User", "name": LEAD}], "count": 1}});
        s["exclusions"]["allowed"][0]["by"] = json!([{"kind": "Group", "name": "provider:commanders"}]);
    });
    let deleting = {
        let mut a = recognised(assignment("gone@contoso.example", "Owner", 0));
        a.metadata.deletion_timestamp = Some(to_kubernetes(at(1)));
        a
    };
    let assignments = [
        recognised(assignment(ALICE, "Owner", 0)),
        recognised(assignment(BOB, "LockboxApprover", 0)),
        recognised(assignment(CAROL, "GlobalAdministrator", 0)),
        recognised(eligible("eve@contoso.example", "Owner", 0, Some((0, 60)))),
        recognised(eligible("frank@contoso.example", "Owner", 0, Some((0, 30)))),
        assignment("unrecognised@contoso.example", "Owner", 0),
        deleting,
    ];
    let wanted = people::bindings(SettingsView::Known(settings.settings.as_ref().unwrap()), &assignments, at(30));
    let words: BTreeSet<_> = wanted
        .keys()
        .map(|binding| {
            format!(
                "{} {} {}",
                binding.namespace.as_deref().unwrap_or("*"),
                binding.role.short(),
                binding.principal.name
            )
        })
        .collect();
    let expected: BTreeSet<_> = [
        "* requester provider:engineers".to_owned(),
        "* requester provider:commanders".to_owned(),
        format!("* internal-approver {LEAD}"),
        format!("* settings-viewer {ALICE}"),
        format!("* settings-viewer {BOB}"),
        "* settings-viewer eve@contoso.example".to_owned(),
        format!("{NAMESPACE} owner {ALICE}"),
        format!("{NAMESPACE} approver {BOB}"),
        format!("* administrator {CAROL}"),
        format!("{NAMESPACE} owner-activated eve@contoso.example"),
        format!("{NAMESPACE} eligible eve@contoso.example"),
        format!("{NAMESPACE} eligible frank@contoso.example"),
    ]
    .into();
    assert_eq!(words, expected);
    assert!(people::bindings(SettingsView::Missing, &[], at(0)).is_empty());
}

#[test]
fn a_binding_for_people_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    let mut count = 0;
    for namespace in [None, Some("a".to_owned()), Some("b".to_owned())] {
        for role in [PeopleRole::Owner, PeopleRole::Approver] {
            for principal in [Principal::user("x"), Principal::group("x"), Principal::user("y")] {
                let binding = people::PeopleBinding { namespace: namespace.clone(), role, principal };
                let name = binding.name();
                assert!(name.len() <= 63 && name.starts_with("lockbox-people-"), "{name}");
                names.insert(name);
                count += 1;
            }
        }
    }
    assert_eq!(names.len(), count);
    assert_eq!(PeopleRole::Eligible.cluster_role(), "lockbox-eligible");
}

#[test]
fn settings_that_come_after_the_deadline_come_too_late() {
    let mut world = without_settings(World::new());
    world.settle();
    assert_eq!(world.status().evaluate_until, Some(at(FOUR_DAYS)));
    world.settings = Some(settings());
    let in_time = world.clone().at(FOUR_DAYS - 1).look().status.unwrap();
    assert_eq!(in_time.phase, Some(Phase::CustomerNotified));
    let late = world.at(FOUR_DAYS).look().status.unwrap();
    assert_eq!((late.phase, late.reason.as_deref()), (Some(Phase::Expired), Some("NotEvaluatedInTime")));
}
