//! Evaluating: rows, and what is looked at before anybody is asked.

use super::*;

pub fn evaluating_rows() -> Vec<Row> {
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
