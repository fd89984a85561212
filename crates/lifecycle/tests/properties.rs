//! Properties of a step over random worlds, and over statuses that no operator wrote.

#![allow(clippy::unwrap_used, clippy::unnecessary_wraps, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "model/world.rs"]
mod world;

use lockbox_api::{
    AuditAction, LockboxRequestStatus, Phase,
    request::{Entry, Grant},
};
use lockbox_lifecycle::{Action, Proof, RoleView, audit, history};
use proptest::{option, prelude::*, sample::select};
use serde_json::{Value, json};
use world::*;

fn phase() -> impl Strategy<Value = Phase> {
    select(Phase::ALL.to_vec())
}

fn seconds() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(10), Just(EIGHT_HOURS), Just(FOUR_DAYS), -100..2 * FOUR_DAYS]
}

fn decision() -> impl Strategy<Value = Value> {
    let cut = option::of(select(vec!["1h", "8h", "9h"]));
    let left = option::of(select(vec!["shop-0", "shop-1", "other"]));
    let group = option::of(select(vec!["contoso:oncall", "provider:engineers"]));
    (any::<bool>(), cut, left, group, ".{0,512}").prop_map(|(approves, cut, left, group, reason)| {
        let mut decision = json!({"verdict": if approves { "Approve" } else { "Deny" }, "reason": reason});
        if let Some(cut) = cut {
            decision["duration"] = json!(cut);
        }
        if let Some(name) = left {
            decision["resources"] = json!([{"resource": "pods", "name": name}]);
        }
        if let Some(group) = group {
            decision["group"] = json!(group);
        }
        decision
    })
}

fn people() -> impl Strategy<Value = String> {
    prop_oneof![select(vec![ALICE, BOB, CAROL, KIM, LEAD, "system:admin"]).prop_map(str::to_owned), ".{1,256}"]
}

fn a_world() -> impl Strategy<Value = World> {
    let base = (0..4_u8, 1..4_i64, 0..4_u8, 0..4_u8, (seconds(), 0..8_u8));
    let written = (
        proptest::collection::vec((people(), decision()), 0..4),
        proptest::collection::vec((people(), any::<bool>()), 0..3),
        option::of(people()),
        option::of(people()),
        option::of(people()),
    );
    (base, written, ".{1,300}", any::<bool>()).prop_map(
        |(
            (kind, quorum, settings, role, (now, proofs)),
            (decisions, internal, cancel, release, revoke),
            text,
            group,
        )| {
            let mut world = match kind {
                0 => World::without_customer_data(),
                1 => World::with_internal_approval(),
                _ => World::new(),
            };
            world.change_settings(|spec| spec["approvals"] = json!({"required": quorum}));
            world.request.spec.justification = text;
            if group {
                world.assignments.push(assignment("contoso:oncall", "Owner", -5));
            }
            match settings {
                0 => world.settings = None,
                1 => world.change_settings(|spec| spec["enabled"] = json!(false)),
                _ => {}
            }
            match role {
                0 => world.role = RoleView::Missing,
                1 => world.role = RoleView::Rules(changed_rules()),
                _ => {}
            }
            match proofs {
                0 => world.proofs.authentic = Proof::Unknown("not tried".into()),
                1 => world.proofs.authentic = Proof::Disproven("a policy is gone".into()),
                2 => world.proofs.clock = Proof::Disproven("late".into()),
                3 => world.proofs.safety_net = Proof::Unknown("not tried".into()),
                _ => {}
            }
            for (user, decision) in decisions {
                world.decide(&user, decision);
            }
            for (user, approves) in internal {
                world.decide_internally(&user, json!({"verdict": if approves { "Approve" } else { "Deny" }}));
            }
            world.request.spec.cancellation = cancel.and_then(|by| ending(&by));
            world.request.spec.release = release.and_then(|by| ending(&by));
            world.request.spec.revocation = revoke.and_then(|by| ending(&by));
            world.at(now)
        },
    )
}

/// A status that nobody wrote: any phase with any moments and any entries.
fn garbage() -> impl Strategy<Value = LockboxRequestStatus> {
    let moment = || option::of(seconds().prop_map(at));
    let entry = (phase(), people(), ".{0,80}", 0..99_i64).prop_map(|(phase, actor, message, sequence)| Entry {
        sequence,
        at: at(sequence),
        action: AuditAction::ApproveLockboxRequest,
        actor,
        phase,
        reason: None,
        message,
        rules: vec![],
        facts: vec![],
        hash: "sha256:".into(),
    });
    (
        option::of(phase()),
        (moment(), moment(), moment(), moment(), moment(), moment()),
        proptest::collection::vec(entry, 0..70),
        option::of(any::<i32>()),
        option::of(any::<i64>()),
        any::<bool>(),
    )
        .prop_map(
            |(phase, (evaluate, internal, pending, approved, access, granted), history, required, published, grant)| {
                LockboxRequestStatus {
                    phase,
                    evaluate_until: evaluate,
                    internal_until: internal,
                    pending_until: pending,
                    approved_at: approved,
                    access_until: access,
                    granted_at: granted,
                    history,
                    required_approvals: required,
                    events_published: published.map(|count| count.max(0)),
                    grant: grant.then(|| Grant { name: "x".into(), resources: Some(vec![]) }),
                    ..LockboxRequestStatus::default()
                }
            },
        )
}

/// What the schema would refuse of a status.
fn too_long(status: &LockboxRequestStatus) -> Option<String> {
    let over = |what: &str, text: &str, most: usize| {
        (text.chars().count() > most).then(|| format!("{what} has {} characters", text.chars().count()))
    };
    let own = [
        over("reason", status.reason.as_deref().unwrap_or_default(), 64),
        over("message", status.message.as_deref().unwrap_or_default(), 1024),
        over("jit.message", status.jit.as_ref().map_or("", |jit| &jit.message), 1024),
        (status.history.len() > 64).then(|| "history is too long".into()),
    ];
    let entries = status.history.iter().flat_map(|entry| {
        [
            over("entry.actor", &entry.actor, 256),
            entry.actor.is_empty().then(|| "entry.actor is empty".into()),
            over("entry.reason", entry.reason.as_deref().unwrap_or_default(), 512),
            over("entry.message", &entry.message, 512),
        ]
    });
    own.into_iter().chain(entries).flatten().next()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_life_keeps_the_rules_whatever_is_written_and_whenever_it_is_met(
        mut world in a_world(),
        waits in proptest::collection::vec((0..3_u8, 0..FOUR_DAYS, any::<bool>()), 1..10),
    ) {
        for (wait, some, present) in waits {
            let before = world.request.status.clone().unwrap_or_default();
            let phase = world.phase();
            world.binding = present;
            let now = world.now;
            let next = world.take();
            let after = world.request.status.clone().unwrap_or_default();
            prop_assert!(phase == world.phase() || phase.next().contains(&world.phase()));
            prop_assert!(after.history.starts_with(&before.history));
            prop_assert_eq!(history::verify(&after.history, UID), Ok(()));
            prop_assert_eq!(too_long(&after), None);
            for entry in &after.history {
                prop_assert!(audit::note(&world.request, entry).len() <= audit::NOTE_LIMIT);
            }
            for action in next.to_the_grant() {
                if let Action::MakeGrant(plan) = action {
                    prop_assert_eq!(phase, Phase::Approved, "only from an approval that is recorded");
                    prop_assert!(before.history.iter().any(|entry| matches!(
                        entry.action,
                        AuditAction::ApproveLockboxRequest | AuditAction::AutoApproveLockboxRequest
                    )));
                    prop_assert_eq!(Some(plan.until()), before.access_until);
                    prop_assert!(at(now) < plan.until());
                    prop_assert_eq!(plan.user(), KIM);
                }
            }
            if !world.phase().is_terminal() {
                let wake = next.wake.expect("a request that has not ended wakes");
                prop_assert!(wake > at(now) || next.status.is_some(), "wakes in the past with nothing to do");
            }
            if phase.is_terminal() {
                let made = next.to_the_grant().iter().any(|action| matches!(action, Action::MakeGrant(_)));
                prop_assert!(!made, "nothing is made for a request that has ended");
                prop_assert_eq!(after.phase, before.phase);
                prop_assert_eq!(after.history, before.history);
            }
            let until = world.status().until.map(|until| (until - at(0)).num_seconds());
            world.now = match (wait, until) {
                (0, Some(until)) => now.max(until),
                (1, _) => now + some,
                _ => now,
            };
        }
    }

    #[test]
    fn a_step_on_its_own_result_changes_nothing(mut world in a_world()) {
        world.settle();
        let next = world.look();
        let changes = next.publishes() || !next.to_the_grant().is_empty();
        prop_assert_eq!((next.status, changes), (None, false));
    }

    #[test]
    fn no_stored_status_makes_a_step_panic_or_grant_without_approval(
        mut world in a_world(),
        status in garbage(),
        published in 0..99_usize,
    ) {
        let recorded = status.access_until.is_some() && status.grant.is_some() && status.effect.is_some();
        world.request.status = Some(status);
        world.published = Some(published);
        let next = world.look();
        let grants = next.did.iter().any(|action| matches!(action, Action::MakeGrant(_)));
        prop_assert!(!grants || (recorded && world.phase() == Phase::Approved));
    }

    #[test]
    fn a_note_fits_whatever_is_written(message in ".{0,512}", reason in ".{0,512}", actor in ".{1,256}", ticket in "[!-~]{1,64}") {
        let mut request = request();
        request.spec.support_request.as_mut().unwrap().id = ticket.clone();
        let entry = Entry {
            sequence: 64,
            at: at(0),
            action: AuditAction::AutoApproveLockboxRequest,
            actor,
            phase: Phase::Approved,
            reason: Some(reason),
            message,
            rules: vec![],
            facts: vec![],
            hash: format!("sha256:{}", "0".repeat(64)),
        };
        let note = audit::note(&request, &entry);
        prop_assert!(note.len() <= audit::NOTE_LIMIT, "{} bytes", note.len());
        let end = format!("sequence 64, {}]", entry.hash);
        prop_assert!(note.ends_with(&end) && note.contains(&ticket), "{}", note);
    }
}
