//! The diagram of the lifecycle as a table: a row for every edge and for every reason along it. Facts in, step out.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::unnecessary_wraps,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod activity;
mod approved;
mod assignments;
mod awaiting;
mod evaluating;
mod granted;
mod notifications;
mod notified;
mod record;
mod rules;
mod scenes;
mod snapshot;
#[path = "../model/world.rs"]
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

use scenes::*;
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

fn rows() -> Vec<Row> {
    [
        evaluating::evaluating_rows(),
        awaiting::internal_rows(),
        notified::notified_rows(),
        approved::approved_rows(),
        granted::granted_rows(),
    ]
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
        let writes_history = next.status.as_ref().is_some_and(|written| written.history != row.world.history());
        check(!(writes_history && next.publishes()), "it publishes before it has written".into());
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
            match (row.to.is_terminal(), deadline) {
                (true, _) => settled.is_none(),
                // What is overdue is tried again after a pause.
                (false, Some(deadline)) if deadline <= at(row.world.now) => settled > Some(at(row.world.now)),
                (false, _) => settled.is_some() && settled <= deadline,
            },
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
        // NotificationFailed has its own tests, in notifications.rs: it belongs to no phase.
        // `RecordActivity` comes after the end: `activity.rs`.
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
fn at_rest_how_much_is_published_is_recorded_once_before_the_events_are_gone() {
    for phase in [Phase::CustomerNotified, Phase::AccessGranted] {
        let mut world = World::new().into_phase(phase);
        world.take();
        let since = world.now;
        world.now = since + 599;
        assert!(world.look().status.is_none(), "{phase}: the next transition may come and record it");
        world.now = since + 600;
        let before = world.status().clone();
        world.take();
        let recorded = Some(i64::try_from(before.history.len()).unwrap());
        assert_ne!(before.events_published, recorded);
        assert_eq!(*world.status(), LockboxRequestStatus { events_published: recorded, ..before }, "{phase}");
        assert!(world.look().status.is_none(), "{phase}: once");
        // The operator starts anew and remembers nothing.
        world.published = None;
        assert_eq!(world.look().did, [], "{phase}");
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
