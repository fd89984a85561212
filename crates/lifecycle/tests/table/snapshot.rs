//! The snapshot of approvers.

use super::*;

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
