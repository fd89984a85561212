use std::time::Duration;

use futures::StreamExt as _;
use lockbox_api::{Audience, LockboxRequest, LockboxSettingsSpec, MessageKind, Moment};
use lockbox_lifecycle::{Channels, Message};
use serde_json::{Value, json};

use super::{Key, Lane, Outbox, lane::Lanes};
use crate::controller::changes::{Change, Changes};

fn key(id: &str) -> Key {
    Key { uid: "uid".into(), id: id.into() }
}

fn request() -> LockboxRequest {
    serde_json::from_value(json!({
        "apiVersion": "lockbox.dev/v1alpha1", "kind": "LockboxRequest",
        "metadata": {"name": "sr-1", "namespace": "shop", "uid": "uid"},
        "spec": {
            "requester": {"username": "kim@provider.example"}, "origin": "SupportRequest", "justification": "because",
            "scope": "Subscription", "service": "AppService", "accessLevel": "Shell",
        },
        "status": {"approvers": [
            {"kind": "User", "name": "alice@contoso.example", "role": "Owner", "assignment": "shop/alice", "uid": "1"},
            {"kind": "Group", "name": "contoso:owners", "role": "Owner", "assignment": "shop/owners", "uid": "2"},
        ]},
    }))
    .unwrap()
}

fn settings(notifications: &Value) -> LockboxSettingsSpec {
    serde_json::from_value(json!({"supportPlan": "Developer", "notifications": notifications})).unwrap()
}

fn message(id: &str) -> Message {
    Message {
        id: id.into(),
        kind: MessageKind::ApprovalAsked,
        at: Moment::UNIX_EPOCH,
        until: Moment::UNIX_EPOCH,
        audiences: vec![Audience::Approvers],
    }
}

fn outbox() -> (std::sync::Arc<Outbox>, Changes) {
    let changes = Changes::default();
    (Outbox::new(Channels { mail: true, webhooks: true }, changes.clone(), crate::metrics::Metrics::default()), changes)
}

fn due(outbox: &Outbox, lane: &Lane) -> usize {
    outbox.lanes.open().iter().filter(|(open, _)| open == lane).map(|(_, queue)| queue.len()).sum()
}

#[tokio::test(start_paused = true)]
async fn a_lane_hands_out_what_is_due_in_the_order_of_time() {
    let lanes = Lanes::default();
    for (id, after) in [("later", 5), ("first", 0), ("second", 0)] {
        lanes.push(&Lane::Mail, key(id), Duration::from_secs(after));
    }
    let queue = lanes.open().remove(0).1;
    let before = tokio::time::Instant::now();
    let mut order = vec![];
    for _ in 0..3 {
        order.push(queue.next().await.id);
    }
    assert_eq!(order, ["first", "second", "later"]);
    assert!(before.elapsed() >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_lane_in_trouble_rests_longer_each_time_and_no_other_does() {
    let lanes = Lanes::default();
    lanes.push(&Lane::Mail, key("mail"), Duration::ZERO);
    lanes.push(&Lane::Webhook("slack".into()), key("hook"), Duration::ZERO);
    let open: std::collections::BTreeMap<_, _> = lanes.open().into_iter().collect();
    let (mail, slack) = (&open[&Lane::Mail], &open[&Lane::Webhook("slack".into())]);
    let long = |troubles| Duration::from_secs(u64::from(troubles) * 10);
    mail.rest(long);
    // Of several that fail at once, the first counts.
    mail.rest(long);
    let before = tokio::time::Instant::now();
    assert_eq!(slack.next().await.id, "hook");
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(mail.next().await.id, "mail");
    assert_eq!(before.elapsed().as_secs(), 10);
    mail.rest(long);
    mail.push(key("again"), Duration::ZERO);
    mail.next().await;
    assert_eq!(before.elapsed().as_secs(), 30);
    mail.works();
    mail.rest(long);
    mail.push(key("again"), Duration::ZERO);
    mail.next().await;
    assert_eq!(before.elapsed().as_secs(), 40);
}

#[test]
fn what_is_held_twice_is_tried_once_and_what_is_not_held_any_more_is_not_tried() {
    let (outbox, _) = outbox();
    let settings = settings(&json!({"email": {}, "webhooks": [{"name": "slack"}]}));
    for _ in 0..2 {
        outbox.hold(&request(), &settings, &[], &[message("0001")], Moment::UNIX_EPOCH);
    }
    assert_eq!((due(&outbox, &Lane::Mail), due(&outbox, &Lane::Webhook("slack".into()))), (1, 1));
    assert_eq!(outbox.deliveries(&request())[0].destinations, 2, "Alice and the webhook: the group has no address");
    assert!(outbox.begin(&key("0001"), &Lane::Mail).is_some());
    assert!(outbox.begin(&key("0001"), &Lane::Mail).is_none(), "it is being sent already");
    outbox.hold(&request(), &settings, &[], &[], Moment::UNIX_EPOCH);
    assert!(outbox.begin(&key("0001"), &Lane::Webhook("slack".into())).is_none());
    assert!(outbox.deliveries(&request()).is_empty());
}

#[test]
fn a_question_that_reaches_nobody_who_decides_is_not_delivered_whoever_else_is_told() {
    let (outbox, _) = outbox();
    let mut request = request();
    request.status.as_mut().unwrap().approvers.as_mut().unwrap().remove(0);
    let asked = Message { audiences: vec![Audience::Approvers, Audience::Alternates], ..message("0001") };
    for (email, destinations) in [(json!({}), 1), (json!({"alternate": ["soc@contoso.example"]}), 2)] {
        outbox.hold(&request, &settings(&json!({"email": email})), &[], &[], Moment::UNIX_EPOCH);
        let settings = settings(&json!({"email": email}));
        outbox.hold(&request, &settings, &[], std::slice::from_ref(&asked), Moment::UNIX_EPOCH);
        let delivery = outbox.deliveries(&request).remove(0);
        assert!(!delivery.is_settled());
        assert_eq!(delivery.destinations, destinations);
        assert!(delivery.trouble.unwrap().contains("spec.notification in the RoleAssignment"));
    }
}

#[tokio::test]
async fn what_is_settled_is_told() {
    let (outbox, changes) = outbox();
    let mut told = Box::pin(changes.read());
    outbox.hold(&request(), &settings(&json!({"email": {}})), &[], &[message("0001")], Moment::UNIX_EPOCH);
    outbox.note(&key("0001"), &Lane::Mail, |way| {
        way.over.insert(1);
        way.settled = true;
    });
    assert_eq!(told.next().await, Some(Change::Told { namespace: "shop".into(), name: "sr-1".into() }));
    let delivery = outbox.deliveries(&request()).remove(0);
    assert!(delivery.is_settled());
    assert_eq!((delivery.delivered, delivery.failed), (1, 0));
}
