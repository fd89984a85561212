//! `AccessGranted`: how access ends.

use super::*;

pub fn granted_rows() -> Vec<Row> {
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
fn an_end_without_a_name_is_recorded_all_the_same() {
    for phase in [Phase::Approved, Phase::AccessGranted] {
        let mut world = World::new().into_phase(phase);
        world.request.spec.revocation = ending("");
        world.take();
        assert_eq!(world.phase(), Phase::Revoked);
        assert!(!world.history().last().unwrap().actor.is_empty(), "the schema refuses an entry without an actor");
    }
}
