//! Approved: what access waits for, and what fails it.

use super::*;

pub fn approved_rows() -> Vec<Row> {
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
