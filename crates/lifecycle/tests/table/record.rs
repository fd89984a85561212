//! What is recorded of a request: history, conditions, deadlines.

use super::*;

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
