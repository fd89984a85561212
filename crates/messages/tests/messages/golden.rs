//! Every message, as a person has read it. After a change: `UPDATE_GOLDEN=1 cargo test -p lockbox-messages`, and read
//! what git shows.

use std::{collections::BTreeSet, fs, path::PathBuf};

use lockbox_api::{
    Audience::{Alternates, Approvers, InternalApprovers, Requester},
    MessageKind,
    notifications::Webhook,
};
use lockbox_messages::{event, letter};
use serde_json::{Value, json};

use crate::scenes::{all, told_to};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

/// Compares with the files, or writes them. No other file may be there.
fn compare(extension: &str, files: Vec<(String, String)>) {
    let mut wrong = vec![];
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let expected: BTreeSet<_> = files.iter().map(|(name, _)| format!("{name}.{extension}")).collect();
    assert_eq!(expected.len(), files.len(), "each has a name of its own");
    for (name, text) in files {
        let path = folder().join(format!("{name}.{extension}"));
        if update {
            fs::write(&path, &text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            wrong.push(path.file_name().unwrap().to_owned());
        }
    }
    assert!(wrong.is_empty(), "not as they were read: {wrong:?}. UPDATE_GOLDEN=1 writes them anew; then read them");
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(&format!(".{extension}")) && !expected.contains(&name) {
            assert!(update, "{name}: nothing is compared with it");
            fs::remove_file(folder().join(name)).unwrap();
        }
    }
}

#[test]
fn every_kind_is_written_for_every_audience_that_the_lifecycle_tells() {
    let told: BTreeSet<_> = told_to().into_iter().map(|(_, told, audience)| (told.message.kind, audience)).collect();
    for kind in MessageKind::ALL {
        assert!(told.iter().any(|(one, _)| *one == kind), "{kind}");
    }
    for (kind, audience) in [
        (MessageKind::Reminder, InternalApprovers),
        (MessageKind::Reminder, Approvers),
        (MessageKind::Reminder, Alternates),
        (MessageKind::Rejected, InternalApprovers),
        (MessageKind::Expired, InternalApprovers),
        (MessageKind::Cancelled, InternalApprovers),
        (MessageKind::Excluded, Approvers),
        (MessageKind::EndOverdue, Requester),
    ] {
        assert!(told.contains(&(kind, audience)), "{kind} to {audience}");
    }
}

#[test]
fn the_plain_text_of_every_message_is_as_it_was_read() {
    let letters = told_to().into_iter().map(|(name, told, audience)| {
        let rendered = letter(&told.scene(), audience);
        assert_eq!(rendered.trouble, None, "{name}");
        (name, format!("Subject: {}\n\n{}", rendered.what.subject, rendered.what.text))
    });
    compare("txt", letters.collect());
}

#[test]
fn the_html_of_every_message_is_as_it_was_read() {
    let letters = told_to().into_iter().map(|(name, told, audience)| (name, letter(&told.scene(), audience).what.html));
    compare("html", letters.collect());
}

#[test]
fn the_event_of_every_message_is_as_it_was_read() {
    let webhook: Webhook = serde_json::from_value(json!({"name": "siem"})).unwrap();
    let events = all().into_iter().map(|told| {
        let rendered = event(&told.scene(), &webhook);
        assert_eq!(rendered.trouble, None);
        assert_eq!(rendered.what.content_type, "application/cloudevents+json");
        let value: Value = serde_json::from_slice(&rendered.what.bytes).unwrap();
        (told.name.to_owned(), serde_json::to_string_pretty(&value).unwrap() + "\n")
    });
    compare("json", events.collect());
}
