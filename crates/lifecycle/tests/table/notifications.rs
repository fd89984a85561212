//! Who is told what, and when; what becomes of it in the status.

use lockbox_api::{Audience, AuditAction, DeliveryState, MessageKind, Phase, condition};
use lockbox_lifecycle::{Action, Channels, Message, Recipient, history, notifications};
use serde_json::{Value, json};

use super::world::{ALICE, BOB, CAROL, FOUR_DAYS, KIM, LEAD, UID, World, at};

fn everybody() -> Value {
    json!({"reminders": ["1d", "2h"], "email": {"alternate": ["soc@contoso.example"]}})
}

/// The messages that a world hands over, having written and published all that there was.
fn told(world: &World) -> Vec<Message> {
    notifications::due(&world.request, world.settings.as_ref().unwrap(), at(world.now))
}

fn kinds(world: &World) -> Vec<MessageKind> {
    told(world).into_iter().map(|message| message.kind).collect()
}

fn pending() -> World {
    let mut world = World::new().telling(everybody());
    world.settle();
    assert_eq!(world.phase(), Phase::CustomerNotified);
    world
}

fn addresses(message: &Message, world: &World) -> Vec<(String, Audience)> {
    let told = notifications::recipients(message, &world.request, world.settings.as_ref().unwrap(), &world.assignments);
    told.into_iter().map(|Recipient { address, audience }| (address, audience)).collect()
}

#[test]
fn a_request_without_a_channel_is_told_to_nobody_and_costs_no_write() {
    let mut silent = World::new().telling(everybody());
    silent.channels = Channels::default();
    silent.settle();
    let mut plain = World::new();
    plain.settle();
    assert_eq!(silent.status(), plain.status());
    assert!(silent.deliveries.is_empty());
    assert!(silent.look().did.iter().all(|action| !matches!(action, Action::Tell { .. })));
}

#[test]
fn the_customers_approvers_are_told_once_each_after_all_else_is_done() {
    let mut world = World::new().telling(everybody());
    world.take();
    let next = world.take();
    let publishes = next.did.iter().position(|action| matches!(action, Action::Publish { .. }));
    let tells = next.did.iter().position(|action| matches!(action, Action::Tell { .. }));
    assert!(publishes.unwrap() < tells.unwrap(), "{:?}", next.did);
    let [asked] = &told(&world)[..] else { panic!("{:?}", told(&world)) };
    assert_eq!((asked.id.as_str(), asked.kind), ("0001", MessageKind::ApprovalAsked));
    let mut approvers: Vec<_> = addresses(asked, &world);
    approvers.sort();
    let of = |name: &str, audience| (name.to_owned(), audience);
    assert_eq!(
        approvers,
        [
            of(ALICE, Audience::Approvers),
            of(BOB, Audience::Approvers),
            of(CAROL, Audience::Approvers),
            of("soc@contoso.example", Audience::Alternates)
        ]
    );
}

#[test]
fn a_delivered_message_is_recorded_by_one_write_and_not_told_again() {
    let mut world = pending();
    assert_eq!(world.deliveries.len(), 1);
    assert!(world.look().status.is_none(), "what is on its way is not recorded yet");
    world.deliver();
    let written = world.take().status.expect("a write");
    let [told] = &written.notifications[..] else { panic!("{:?}", written.notifications) };
    assert_eq!(
        (told.id.as_str(), told.state, told.delivered, told.destinations),
        ("0001", DeliveryState::Delivered, 1, 1)
    );
    assert!(condition::holds(&written.conditions, "MessagesDelivered"));
    world.settle();
    assert!(world.deliveries.is_empty(), "the outbox lets go of what is recorded");
    assert!(kinds(&world).is_empty());
    // As after a crash: nothing is held, and nothing is due.
    assert!(world.look().status.is_none());
}

#[test]
fn what_was_not_recorded_is_told_again_under_the_same_id_after_a_crash() {
    let mut world = pending();
    let before = told(&world);
    world.deliver();
    world.deliveries.clear();
    world.settle();
    assert_eq!(told(&world), before);
    assert_eq!(world.deliveries.len(), 1);
}

#[test]
fn a_message_that_waits_is_said_after_a_minute_and_its_arrival_later() {
    let mut world = pending();
    world.deliveries[0].trouble = Some("mail: connection refused".into());
    assert_eq!(world.look().wake, Some(at(world.now + 60)));
    world.now += 60;
    let written = world.take().status.expect("a write");
    assert_eq!(written.notifications[0].state, DeliveryState::Waiting);
    assert_eq!(written.notifications[0].message.as_deref(), Some("mail: connection refused"));
    assert!(condition::fails(&written.conditions, "MessagesDelivered"));
    world.settle();
    assert_eq!(world.deliveries.len(), 1, "it is tried on");
    world.deliveries[0].trouble = None;
    world.deliver();
    assert_eq!(world.take().status.expect("a write").notifications[0].state, DeliveryState::Delivered);
}

#[test]
fn giving_up_is_an_entry_of_the_history_and_never_the_end_of_the_request() {
    let mut world = pending();
    world.deliveries[0].failed = 1;
    world.deliveries[0].trouble = Some("soc@contoso.example: 550 no such user".into());
    world.settle();
    assert_eq!(world.phase(), Phase::CustomerNotified);
    assert_eq!(*world.actions().last().unwrap(), AuditAction::NotificationFailed);
    assert!(world.history().last().unwrap().message.contains("550 no such user"));
    assert_eq!(history::verify(world.history(), UID), Ok(()));
    assert_eq!(world.actions().iter().filter(|action| **action == AuditAction::NotificationFailed).count(), 1);
}

#[test]
fn what_was_tried_for_long_enough_is_given_up_by_the_clock_and_the_request_wakes_for_it() {
    let mut world = World::new().telling(json!({"giveUpAfter": "1h", "email": {}}));
    world.settle();
    world.deliveries[0].trouble = Some("Approvers: connect".into());
    world.now += 60;
    world.settle();
    assert_eq!(world.status().notifications[0].state, DeliveryState::Waiting);
    assert_eq!(world.look().wake, Some(at(10 + 3_600)));
    world.now = 10 + 3_600;
    world.settle();
    assert_eq!(world.status().notifications[0].state, DeliveryState::Failed);
    assert_eq!(world.actions().iter().filter(|action| **action == AuditAction::NotificationFailed).count(), 1);
    assert!(world.deliveries.is_empty());
}

#[test]
fn a_question_that_reached_nobody_before_it_was_over_has_failed_and_does_not_wait_for_ever() {
    let mut world = pending();
    world.deliveries[0].trouble = Some("Approvers: connect".into());
    world.now += 60;
    world.settle();
    // As after a crash: nothing is held.
    world.deliveries.clear();
    world.now = 10 + FOUR_DAYS;
    world.settle();
    world.deliver();
    world.settle();
    assert_eq!((world.phase(), world.status().closed), (Phase::Expired, Some(true)));
    let states: Vec<_> = world.status().notifications.iter().map(|told| (told.kind, told.state)).collect();
    assert_eq!(
        states,
        [(MessageKind::ApprovalAsked, DeliveryState::Failed), (MessageKind::Expired, DeliveryState::Delivered)]
    );
    assert!(world.actions().contains(&AuditAction::NotificationFailed));
    assert_eq!(history::verify(world.history(), UID), Ok(()));
}

#[test]
fn a_request_whose_settings_are_gone_is_closed_all_the_same() {
    let mut world = pending();
    world.decide(ALICE, json!({"verdict": "Deny"}));
    world.settle();
    assert_eq!(world.status().closed, None);
    world.settings = None;
    world.settle();
    assert_eq!(world.status().closed, Some(true));
}

#[test]
fn a_finished_request_is_closed_when_its_last_message_is_settled() {
    let mut world = pending();
    world.deliver();
    world.settle();
    world.decide(ALICE, json!({"verdict": "Deny"}));
    world.settle();
    assert_eq!((world.phase(), world.status().closed), (Phase::Denied, None));
    let [denied] = &told(&world)[..] else { panic!("{:?}", told(&world)) };
    assert_eq!(denied.kind, MessageKind::Denied);
    assert_eq!(addresses(denied, &world)[0], (KIM.to_owned(), Audience::Requester));
    world.deliver();
    let written = world.take().status.expect("a write");
    assert_eq!(written.closed, Some(true));
    assert_eq!(written.notifications.len(), 2, "the record and the close are one write");
}

#[test]
fn nobody_is_asked_or_reminded_of_what_is_decided() {
    let mut world = pending();
    world.now = FOUR_DAYS - 3_600;
    assert_eq!(kinds(&world), [MessageKind::ApprovalAsked, MessageKind::Reminder]);
    world.decide(ALICE, json!({"verdict": "Approve"}));
    world.settle();
    assert_eq!(world.phase(), Phase::AccessGranted);
    assert_eq!(kinds(&world), [MessageKind::Approved, MessageKind::AccessBegan]);
}

#[test]
fn reminders_come_before_the_deadline_the_latest_alone_and_the_request_wakes_for_them() {
    let mut world = pending();
    world.deliver();
    world.settle();
    let deadline = 10 + FOUR_DAYS;
    assert_eq!(world.look().wake, Some(at(deadline - 86_400)));
    world.now = deadline - 86_400;
    world.settle();
    let [day] = &told(&world)[..] else { panic!("{:?}", told(&world)) };
    assert_eq!((day.id.as_str(), day.kind), ("reminder-1d", MessageKind::Reminder));
    assert_eq!(day.audiences, [Audience::Approvers, Audience::Alternates]);
    // Who was away for both is reminded once.
    world.now = deadline - 60;
    let late = told(&world);
    assert_eq!(late.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ["reminder-2h"]);
}

#[test]
fn a_reminder_that_would_come_with_the_question_is_none() {
    let mut world = World::new().telling(json!({"reminders": ["4d", "5d"], "email": {}}));
    world.settle();
    assert_eq!(kinds(&world), [MessageKind::ApprovalAsked]);
    world.now = FOUR_DAYS;
    assert!(!kinds(&world).contains(&MessageKind::Reminder));
}

#[test]
fn the_providers_own_approvers_are_asked_and_reminded_by_their_own_clock() {
    let mut world = World::with_internal_approval().telling(everybody());
    world.settle();
    let [asked] = &told(&world)[..] else { panic!("{:?}", told(&world)) };
    assert_eq!(asked.kind, MessageKind::InternalApprovalAsked);
    assert_eq!(addresses(asked, &world), [(LEAD.to_owned(), Audience::InternalApprovers)]);
    world.deliver();
    world.settle();
    world.now = 10 + FOUR_DAYS - 7_200;
    let [reminder] = &told(&world)[..] else { panic!("{:?}", told(&world)) };
    assert_eq!(reminder.id, "internal-reminder-2h");
    assert_eq!(addresses(reminder, &world), [(LEAD.to_owned(), Audience::InternalApprovers)]);
}

#[test]
fn what_is_switched_off_by_kind_and_audience_is_not_told() {
    let mut world = pending();
    world.change_settings(|spec| {
        spec["notifications"]["mute"] = json!([{"kind": "ApprovalAsked", "audience": "Alternates"}]);
    });
    assert_eq!(told(&world)[0].audiences, [Audience::Approvers]);
    world.change_settings(|spec| {
        spec["notifications"]["mute"] = json!([{"audience": "Alternates"}, {"audience": "Approvers"}]);
    });
    assert!(told(&world).is_empty());
    world.change_settings(|spec| spec["notifications"]["mute"] = json!([{"kind": "ApprovalAsked"}]));
    assert!(told(&world).is_empty());
}

#[test]
fn an_address_is_the_assignments_or_the_settings_or_a_name_that_is_one() {
    let mut world = pending();
    let asked = told(&world).remove(0);
    world.assignments[0].spec.notification =
        serde_json::from_value(json!({"emails": ["a@phone.example"], "alternate": ["deputy@contoso.example"]}))
            .unwrap();
    world.change_settings(|spec| {
        spec["notifications"]["email"]["addresses"] =
            json!([{"kind": "User", "name": BOB.to_uppercase(), "address": "b@phone.example"}]);
    });
    let mut told: Vec<_> = addresses(&asked, &world).into_iter().map(|(address, _)| address).collect();
    told.sort();
    assert_eq!(told, ["a@phone.example", "b@phone.example", CAROL, "deputy@contoso.example", "soc@contoso.example"]);
}

#[test]
fn each_address_is_told_once_in_whatever_spelling() {
    let mut world = pending();
    let asked = told(&world).remove(0);
    world.change_settings(|spec| {
        spec["notifications"]["email"]["alternate"] = json!([ALICE.to_uppercase(), "soc@contoso.example"]);
    });
    assert_eq!(addresses(&asked, &world).len(), 4);
}

#[test]
fn a_user_name_that_could_be_more_than_one_address_is_none() {
    for name in [
        "kim",
        "kim@host",
        "a@b.example,c@d.example",
        "a b@c.example",
        "<a@b.example>",
        "a@b.example\nBcc: c@d.example",
        "@b.example",
        "a@.example",
    ] {
        assert!(!notifications::is_address(name), "{name:?}");
    }
    assert!(notifications::is_address("kim@provider.example"));
}

#[test]
fn nothing_is_taken_back_while_the_settings_cannot_be_read() {
    let mut world = pending();
    world.deliver();
    world.settle();
    world.decide(ALICE, json!({"verdict": "Deny"}));
    world.take();
    world.unreadable = Some("a word that this operator does not know".into());
    world.settle();
    assert_eq!(world.status().closed, None, "nobody knows whom to tell: it stays open");
    world.unreadable = None;
    world.settle();
    assert_eq!(world.deliveries.len(), 1);
}

#[test]
fn after_giving_up_nothing_is_tried_for_ever() {
    let mut world = World::new().telling(json!({"giveUpAfter": "1h", "email": {}}));
    world.settle();
    let asked = told(&world).remove(0);
    assert_eq!(asked.until, at(10 + 3_600));
    // A day more in which giving up itself is recorded, and then nothing.
    world.now = 10 + 3_600 + 86_400;
    assert!(told(&world).is_empty());
}
