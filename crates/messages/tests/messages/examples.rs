//! The examples for webhooks: for every message, JSON of the shape that the receiver documents.

use std::{fs, path::Path};

use lockbox_api::{
    MessageKind,
    notifications::{Notifications, Webhook},
};
use lockbox_messages::{check, event};
use serde_json::Value;

use crate::{
    hostile,
    scenes::{Told, all},
};

fn webhook(name: &str) -> Webhook {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/notifications/{name}.yaml"));
    let text = fs::read_to_string(path).unwrap();
    let patch: Value = serde_yaml_ng::from_str(&text).unwrap();
    let rules: Notifications = serde_json::from_value(patch["spec"]["notifications"].clone()).unwrap();
    assert_eq!(check(&rules), Ok(()), "{name}");
    assert!(rules.webhooks[0].template.as_ref().unwrap().len() <= 8192, "{name}: the schema refuses it");
    let [webhook] = &rules.webhooks[..] else { panic!("{name}: one webhook") };
    assert_eq!(webhook.name, name);
    webhook.clone()
}

/// Every message, as it is and with hostile words in every field; and what the example makes of it.
fn rendered(name: &str) -> Vec<(Told, Value)> {
    let webhook = webhook(name);
    let hostile = all().into_iter().flat_map(|told| hostile::TEXTS.map(|text| hostile::everywhere(&told, text)));
    all()
        .into_iter()
        .chain(hostile)
        .map(|told| {
            let rendered = event(&told.scene(), &webhook);
            assert_eq!(rendered.trouble, None, "{name} of {}", told.name);
            assert_eq!(rendered.what.content_type, "application/json");
            let value = serde_json::from_slice(&rendered.what.bytes).unwrap();
            (told, value)
        })
        .collect()
}

fn length(value: &Value) -> usize {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).chars().count()
}

#[test]
fn slack_gets_blocks_within_its_limits_and_no_markup_of_others() {
    for (told, value) in rendered("slack") {
        assert!(!value["text"].as_str().unwrap().contains(['<', '>']), "{}", value["text"]);
        let blocks = value["blocks"].as_array().unwrap();
        assert!((3..=50).contains(&blocks.len()));
        for block in blocks {
            match block["type"].as_str().unwrap() {
                "header" => assert!((1..=150).contains(&length(&block["text"]["text"]))),
                "section" if block.get("fields").is_some() => {
                    let fields = block["fields"].as_array().unwrap();
                    assert!((1..=10).contains(&fields.len()));
                    for field in fields {
                        assert_eq!(field["type"], "plain_text");
                        assert!((1..=2000).contains(&length(&field["text"])));
                    }
                }
                "section" => {
                    assert_eq!(block["text"]["type"], "plain_text");
                    assert!((1..=3000).contains(&length(&block["text"]["text"])));
                }
                "actions" => {
                    let [button] = &block["elements"].as_array().unwrap()[..] else { panic!("{block}") };
                    assert!(button["url"].as_str().unwrap().starts_with("https://lockbox.contoso.example/"));
                }
                "context" => assert_eq!(block["elements"][0]["type"], "plain_text"),
                other => panic!("{}: {other}", told.name),
            }
        }
    }
}

#[test]
fn teams_gets_an_adaptive_card_within_its_limit_and_no_markdown_of_others() {
    for (told, value) in rendered("teams") {
        assert_eq!(value["type"], "message");
        let [card] = &value["attachments"].as_array().unwrap()[..] else { panic!("{value}") };
        assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
        assert_eq!((&card["content"]["type"], &card["content"]["version"]), (&"AdaptiveCard".into(), &"1.4".into()));
        for part in card["content"]["body"].as_array().unwrap() {
            assert_eq!(part["type"], "RichTextBlock", "TextBlock would read Markdown");
            for run in part["inlines"].as_array().unwrap() {
                assert_eq!(run["type"], "TextRun");
                assert!(run["text"].is_string());
            }
        }
        for action in card["content"]["actions"].as_array().into_iter().flatten() {
            assert_eq!(action["type"], "Action.OpenUrl", "{}", told.name);
            assert!(action["url"].as_str().unwrap().starts_with("https://lockbox.contoso.example/"));
        }
        assert!(value.to_string().len() <= 28 * 1024);
    }
}

#[test]
fn pagerduty_gets_an_alert_that_what_ends_it_resolves() {
    let mut keys = std::collections::BTreeMap::new();
    for (told, value) in rendered("pagerduty") {
        assert_eq!(length(&value["routing_key"]), 32);
        let action = value["event_action"].as_str().unwrap();
        assert!(["trigger", "resolve"].contains(&action));
        assert!((1..=255).contains(&length(&value["dedup_key"])));
        let payload = &value["payload"];
        assert!((1..=1024).contains(&length(&payload["summary"])));
        assert!(length(&payload["source"]) > 0);
        assert!(["critical", "error", "warning", "info"].contains(&payload["severity"].as_str().unwrap()));
        assert!(value.to_string().len() <= 512 * 1024);
        keys.entry(told.message.kind)
            .or_insert_with(|| (action.to_owned(), value["dedup_key"].as_str().unwrap().to_owned()));
    }
    let key = |kind: MessageKind| keys[&kind].1.as_str();
    for end in [MessageKind::Approved, MessageKind::Denied, MessageKind::Expired, MessageKind::Cancelled] {
        assert_eq!((keys[&end].0.as_str(), key(end)), ("resolve", key(MessageKind::ApprovalAsked)), "{end}");
    }
    assert_eq!(key(MessageKind::Reminder), key(MessageKind::ApprovalAsked), "a reminder is no second alert");
    for end in [MessageKind::AccessEnded, MessageKind::AccessRevoked] {
        assert_eq!((keys[&end].0.as_str(), key(end)), ("resolve", key(MessageKind::EndOverdue)), "{end}");
    }
    assert_ne!(key(MessageKind::EndOverdue), key(MessageKind::ApprovalAsked));
}
