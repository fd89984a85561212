//! `CustomerNotified`: the customer's decisions.

use super::*;

pub fn notified_rows() -> Vec<Row> {
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
