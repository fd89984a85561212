//! Webhooks to a receiver that checks signatures by itself.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lockbox::notify::{DeliveryStep, Post, Sent, Webhooks};
use lockbox_api::Moment;
use ring::hmac;

use crate::{
    Mounted, PATIENCE, assert_later, assert_never,
    receiver::{Received, Receiver},
};

const OLD: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn post(body: &str) -> Post {
    Post {
        id: "msg_1".into(),
        at: Moment::from_timestamp(1_795_867_200, 0).unwrap(),
        content_type: "application/cloudevents+json".into(),
        body: body.into(),
    }
}

/// A Secret with the webhook `ops`, whose receiver answers with a status.
fn mounted(receiver: &Receiver, path: &str) -> Mounted {
    let mounted = Mounted::new();
    mounted.set("ca.crt", &receiver.loopback.ca_pem);
    mounted.set("webhook-ops-url", &format!("{}\n", receiver.url(path)));
    mounted.set("webhook-ops-secret", &format!("whsec_{OLD}\n"));
    mounted
}

/// Which of the signatures a key verifies: as a receiver does it, with another library than ours.
fn verified(received: &Received, key: &str) -> Vec<bool> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(key).unwrap());
    let mut signed =
        format!("{}.{}.", received.header("webhook-id"), received.header("webhook-timestamp")).into_bytes();
    signed.extend_from_slice(&received.body);
    let signatures = received.header("webhook-signature").split(' ');
    let bytes = signatures.map(|signature| BASE64_STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap());
    bytes.map(|bytes| hmac::verify(&key, &signed, &bytes).is_ok()).collect()
}

#[tokio::test]
async fn a_receiver_that_has_one_of_the_keys_can_verify_a_message() {
    let receiver = Receiver::start().await;
    let mounted = mounted(&receiver, "200");
    let webhooks = Webhooks::new(mounted.secrets());
    assert_eq!(webhooks.send("ops", &post("{\"größe\": 1}")).await, Sent::Delivered);
    // While keys are rotated, receivers with the old one and with the new one are served.
    mounted.set("webhook-ops-secret", &format!("whsec_{NEW}\nwhsec_{OLD}\n"));
    assert_eq!(webhooks.send("ops", &post("{}")).await, Sent::Delivered);
    let received = receiver.received();
    assert_eq!(received[0].header("content-type"), "application/cloudevents+json");
    assert_eq!((received[0].header("webhook-id"), received[0].header("webhook-timestamp")), ("msg_1", "1795867200"));
    assert_eq!(received[0].body, "{\"größe\": 1}");
    assert_eq!(verified(&received[0], OLD), [true]);
    assert_eq!(verified(&received[0], NEW), [false]);
    assert_eq!(verified(&received[1], OLD), [false, true]);
    assert_eq!(verified(&received[1], NEW), [true, false]);
}

#[tokio::test]
async fn without_a_key_nothing_is_sent_unless_the_file_says_so() {
    let receiver = Receiver::start().await;
    let mounted = mounted(&receiver, "200");
    mounted.remove("webhook-ops-secret");
    let webhooks = Webhooks::new(mounted.secrets());
    let sent = webhooks.send("ops", &post("{}")).await;
    assert_later(&sent, DeliveryStep::Credentials, "webhook-ops-secret is not in the Secret");
    assert!(receiver.received().is_empty());
    mounted.set("webhook-ops-secret", "unsigned");
    assert_eq!(webhooks.send("ops", &post("{}")).await, Sent::Delivered);
    assert!(!receiver.received()[0].headers.contains_key("webhook-signature"));
}

#[tokio::test]
async fn an_answer_decides_whether_it_is_tried_again_and_when() {
    let receiver = Receiver::start().await;
    let mounted = mounted(&receiver, "200");
    let webhooks = Webhooks::new(mounted.secrets());
    for (status, is_final, after) in [
        ("400", true, None),
        ("410", true, None),
        ("422", true, None),
        ("302", false, None),
        ("401", false, None),
        ("403", false, None),
        ("404", false, None),
        ("408", false, None),
        ("429", false, Some(7)),
        ("500", false, None),
        // Nobody makes us wait for more than an hour.
        ("503", false, Some(3600)),
    ] {
        mounted.set("webhook-ops-url", &receiver.url(status));
        let sent = webhooks.send("ops", &post("{}")).await;
        let check = if is_final { assert_never } else { assert_later };
        check(&sent, DeliveryStep::Status, status);
        let (Sent::Later(trouble) | Sent::Never(trouble)) = sent else { panic!("{status}") };
        assert_eq!(trouble.after, after.map(Duration::from_secs), "{status}");
    }
    // A redirect was not followed: eleven requests, eleven messages.
    assert_eq!(receiver.received().len(), 11);
    mounted.set("webhook-ops-url", &receiver.url("204"));
    assert_eq!(webhooks.send("ops", &post("{}")).await, Sent::Delivered);
}

#[tokio::test]
async fn a_receiver_that_answers_too_late_or_too_much_is_cut_off() {
    let receiver = Receiver::start().await;
    let mounted = mounted(&receiver, "slow");
    let webhooks = Webhooks::new(mounted.secrets()).within(Duration::from_secs(1));
    let sent = tokio::time::timeout(PATIENCE, webhooks.send("ops", &post("{}"))).await.expect("an attempt has an end");
    assert_later(&sent, DeliveryStep::Timeout, "no answer within 1 s");
    mounted.set("webhook-ops-url", &receiver.url("endless"));
    let webhooks = Webhooks::new(mounted.secrets());
    let Sent::Never(trouble) = webhooks.send("ops", &post("{}")).await else { panic!("400 is final") };
    assert!(trouble.words.starts_with("400 Bad Request xxx") && trouble.words.len() <= 256, "{trouble:?}");
}

#[tokio::test]
async fn an_address_that_is_not_https_or_not_trusted_gets_nothing() {
    let receiver = Receiver::start().await;
    let mounted = mounted(&receiver, "200");
    let webhooks = Webhooks::new(mounted.secrets());
    mounted.set("webhook-ops-url", &receiver.url("200").replace("https", "http"));
    assert_later(&webhooks.send("ops", &post("{}")).await, DeliveryStep::Credentials, "must begin with https://");
    mounted.set("webhook-ops-url", "hooks.contoso.example/x");
    assert_later(&webhooks.send("ops", &post("{}")).await, DeliveryStep::Credentials, "webhook-ops-url is no URL");
    mounted.set("webhook-ops-url", &receiver.url("200"));
    mounted.remove("ca.crt");
    assert_later(&webhooks.send("ops", &post("{}")).await, DeliveryStep::Tls, "UnknownIssuer");
    for name in ["../x", "", "Ops", "a/b"] {
        assert_later(&webhooks.send(name, &post("{}")).await, DeliveryStep::Configuration, "a webhook's name");
    }
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn the_address_of_a_webhook_is_in_no_message() {
    let mounted = Mounted::new();
    mounted.set("webhook-ops-url", "https://localhost:1/services/T000/hunter2");
    mounted.set("webhook-ops-secret", "unsigned");
    let sent = Webhooks::new(mounted.secrets()).send("ops", &post("{}")).await;
    assert_later(&sent, DeliveryStep::Connect, "");
    assert!(!format!("{sent:?}").contains("hunter2"), "{sent:?}");
}
