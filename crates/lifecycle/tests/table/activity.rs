//! What the requester did: when it is written, and what of it is chained into the history.

use chrono::TimeDelta;
use lockbox_api::{Activity, Moment, activity::Coverage};

use super::*;

/// What a stream shows that covers the access: so many calls, heard until then.
fn seen(calls: i64, until: i64) -> Activity {
    Activity { coverage: Coverage::Covered, calls, since: Some(at(0)), until: Some(at(until)), ..Activity::default() }
}

/// Access has begun, and a stream shows nothing of its use yet.
fn granted() -> World {
    let mut world = World::new();
    world.activity = Some(seen(0, 0));
    let mut world = world.into_phase(Phase::AccessGranted);
    world.settle();
    world
}

fn recorded(world: &World) -> &Activity {
    world.status().activity.as_ref().unwrap()
}

#[test]
fn what_a_stream_shows_is_written_along_with_the_beginning_of_access() {
    let world = granted();
    assert_eq!((recorded(&world).calls, recorded(&world).recorded_at), (0, Some(at(world.now))));
    assert!(world.look().status.is_none(), "and not again");
}

#[test]
fn a_use_is_written_at_most_once_a_minute() {
    let mut world = granted();
    let began = world.now;
    world.activity = Some(seen(1, began));
    world.now = began + 59;
    let taken = world.look();
    assert!(taken.status.is_none());
    assert_eq!(taken.wake, Some(at(began + 60)), "and then it is looked at again");
    world.now = began + 60;
    world.take();
    assert_eq!((recorded(&world).calls, recorded(&world).recorded_at), (1, Some(at(began + 60))));
    world.activity = Some(seen(2, began));
    world.now = began + 119;
    assert!(world.look().status.is_none());
}

#[test]
fn that_the_stream_goes_on_is_no_reason_to_write() {
    let mut world = granted();
    world.now += 3_600;
    world.settle();
    world.activity = Some(Activity { message: "another sentence".into(), ..seen(0, world.now) });
    assert!(world.look().status.is_none());
}

#[test]
fn without_a_stream_nothing_is_written_before_the_end_and_the_end_says_so() {
    let mut world = World::new().into_phase(Phase::AccessGranted);
    world.settle();
    assert_eq!(world.status().activity, None);
    assert!(world.look().status.is_none());
    let mut world = past_deadline(world);
    world.take();
    assert_eq!(world.phase(), Phase::Completed);
    assert_eq!(recorded(&world).coverage, Coverage::None);
    assert!(recorded(&world).message.contains("not known"));
    world.settle();
    assert_eq!(world.status().closed, Some(true), "nothing is waited for");
    assert!(!world.actions().contains(&RecordActivity));
}

#[test]
fn what_came_to_nothing_without_access_says_nothing_of_activity() {
    let mut world = deciding(World::new().into_phase(Phase::CustomerNotified), &[(ALICE, no())]);
    world.activity = Some(seen(0, 0));
    world.settle();
    assert_eq!((world.phase(), world.status().activity.as_ref()), (Phase::Denied, None));
    assert_eq!(world.status().closed, Some(true));
}

/// The access has ended, its Events are out, and the stream was heard until so many seconds after the end.
fn ended(heard: i64) -> (World, i64) {
    let mut world = past_deadline(granted());
    let end = world.now;
    world.activity = Some(seen(3, end + heard));
    world.settle();
    assert_eq!((world.phase(), world.status().closed), (Phase::Completed, None));
    (world, end)
}

#[test]
fn the_last_word_waits_until_the_stream_has_brought_the_last_of_it() {
    let (mut world, end) = ended(1);
    assert_eq!(world.look().wake, Some(at(end + 5)));
    world.now = end + 14;
    assert!(world.look().status.is_none());
    world.now = end + 15;
    world.take();
    assert_eq!(world.actions().last(), Some(&RecordActivity));
    // A stream that has not reached the end has a minute, and no longer.
    let (mut world, end) = ended(-1);
    world.now = end + 59;
    assert!(world.look().status.is_none());
    world.now = end + 60;
    world.take();
    assert_eq!(world.actions().last(), Some(&RecordActivity));
}

#[test]
fn the_last_word_is_chained_by_its_digest_then_published_then_the_request_is_closed() {
    let (mut world, end) = ended(1);
    world.now = end + 15;
    world.take();
    let entry = world.history().last().unwrap().clone();
    assert_eq!((entry.actor.as_str(), entry.phase), ("lockbox", Phase::Completed));
    assert!(entry.message.contains("Covered; 3 calls by this access"), "{}", entry.message);
    let stored = serde_json::to_value(recorded(&world)).unwrap().to_string();
    assert!(entry.message.ends_with(&lockbox_lifecycle::text::sha256(&stored)), "{}", entry.message);
    assert_eq!(history::verify(world.history(), UID), Ok(()));
    assert!(world.look().publishes());
    // What comes later changes nothing any more.
    world.activity = Some(seen(9, end + 20));
    world.settle();
    assert_eq!((world.status().closed, recorded(&world).calls), (Some(true), 3));
    assert_eq!(world.actions().iter().filter(|action| **action == RecordActivity).count(), 1);
}

#[test]
fn a_stream_that_is_switched_off_leaves_what_was_recorded() {
    let mut world = granted();
    world.activity = Some(seen(2, world.now));
    world.now += 60;
    world.take();
    world.activity = None;
    let mut world = past_deadline(world);
    world.settle();
    assert_eq!((recorded(&world).calls, world.status().closed), (2, Some(true)));
    assert!(recorded(&world).recorded_at.map(|at| at - Moment::UNIX_EPOCH).is_some_and(|at| at > TimeDelta::zero()));
}
