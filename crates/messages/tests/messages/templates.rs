//! Texts of the settings: used where they can be, and otherwise the built-in ones, with a word about the field.

use lockbox_api::{Audience, notifications::Notifications};
use lockbox_messages::{Letter, Rendered, check, event, letter};
use serde_json::{Value, json};

use crate::scenes::{Told, all, notifications};

fn asked() -> Told {
    all().into_iter().find(|told| told.name == "approval-asked").unwrap()
}

fn with(part: &str, template: &str) -> Rendered<Letter> {
    let mut own = json!({"kind": "ApprovalAsked"});
    own[part] = json!(template);
    let told = asked().with(&json!({"templates": [own]}));
    letter(&told.scene(), Audience::Approvers)
}

fn trouble(part: &str, template: &str) -> String {
    let rendered = with(part, template);
    assert_eq!(rendered.what, letter(&asked().scene(), Audience::Approvers).what, "the built-in text is sent");
    rendered.trouble.unwrap()
}

fn written(template: &str) -> Rendered<lockbox_messages::Body> {
    event(&asked().scene(), &serde_json::from_value(json!({"name": "own", "template": template})).unwrap())
}

#[test]
fn a_text_of_the_settings_takes_the_place_of_the_built_in_one_and_only_of_its_own() {
    let built_in = letter(&asked().scene(), Audience::Approvers).what;
    let own = with("subject", "[{{ kind }}] {{ request.requester }}\r\nBcc: x {{ times.decideBy.local }}");
    assert_eq!(own.trouble, None);
    assert_eq!(own.what.subject, "[ApprovalAsked] kim@provider.example Bcc: x 13:00 CET");
    assert_eq!((&own.what.text, &own.what.html), (&built_in.text, &built_in.html));
    let own = with(
        "text",
        "Hello\r\n{% if ticket %}\n{{ ticket.id }}: {{ ticket.link }}\n{% endif %}\n{{ request.justification|clip(9)|quote }}\n{{ standard.text }}",
    );
    assert_eq!(own.trouble, None);
    assert!(
        own.what.text.starts_with("Hello\nINC-4711: https://support.example/INC-4711\n| I need a\u{2026}\n"),
        "{}",
        own.what.text
    );
    assert!(own.what.text.ends_with(&built_in.text), "{}", own.what.text);
    let own = with("html", "<h1>{{ summary }}</h1>{{ standard.html }}");
    assert_eq!(own.trouble, None);
    assert!(own.what.html.contains("</h1><!DOCTYPE html>"), "the built-in document is no text to escape");
    let other = asked().with(&json!({"templates": [{"kind": "Denied", "subject": "never"}]}));
    assert_eq!(letter(&other.scene(), Audience::Approvers).what, built_in);
}

#[test]
fn every_variable_that_the_documents_list_can_be_shown() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/notifications.md")).unwrap();
    let section = text.split("## Texts of your own").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<_> = section.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    let names: Vec<&str> = rows
        .iter()
        .flat_map(|row| {
            row.split(" | ").next().unwrap().split('`').filter(|name| !name.trim_matches([',', ' ']).is_empty())
        })
        .collect();
    assert!(names.len() > 40, "{names:?}");
    let mut problems = vec![];
    for name in names {
        let told =
            asked().with(&json!({"templates": [{"kind": "ApprovalAsked", "text": format!("{{{{ {name} }}}}")}]}));
        let told = told.asking(|request| {
            request["spec"]["escalation"] = json!({"team": "t", "reason": "r"});
            request["spec"]["incident"] = json!({"id": "P-1", "summary": "s"});
        });
        problems.extend(letter(&told.scene(), Audience::Approvers).trouble);
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn what_a_template_shows_of_others_is_escaped_and_safe_whatever_it_says() {
    let told = |template: &str| {
        asked().with(&json!({"templates": [{"kind": "ApprovalAsked", "html": template}]})).asking(|request| {
            request["spec"]["justification"] = json!("<b>https://evil.example</b>\n\u{202e}");
        })
    };
    let html = |template: &str| letter(&told(template).scene(), Audience::Approvers);
    let made = html("<p>{{ request.justification }}</p>");
    assert_eq!(made.trouble, None);
    assert_eq!(made.what.html, "<p>&lt;b&gt;hxxps[:]&#x2f;&#x2f;evil[.]example&lt;&#x2f;b&gt; \u{fffd}</p>");
    for way in
        ["{{ request.justification|safe }}", "{% autoescape false %}{{ request.justification }}{% endautoescape %}"]
    {
        let made = html(way);
        assert!(made.trouble.as_ref().unwrap().starts_with("spec.notifications.templates[ApprovalAsked].html: "));
        assert!(!made.what.html.contains("<b>"), "{way}");
    }
}

#[test]
fn a_template_that_cannot_be_used_is_told_by_its_field_and_the_built_in_text_is_sent() {
    for (template, says) in [
        ("{{ requestor }}", "undefined"),
        ("{{ request.requestor }}", "undefined"),
        ("{% if %}", "syntax error"),
        ("line\n{{ oops", "(line 2)"),
        ("{% include 'other' %}", "unknown statement"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "unknown statement"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", "too much"),
        ("{% set a = 'aaaaaaaaaaaaaaaa' %}{% set b = a * 99999999 %}{{ b }}", "too much"),
        ("{% for a in range(9000) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}", "bytes"),
        ("{{ undefined_function() }}", "unknown function"),
    ] {
        let said = trouble("text", template);
        assert!(said.starts_with("spec.notifications.templates[ApprovalAsked].text: "), "{said}");
        assert!(said.contains(says), "{template}: {said}");
        assert!(said.chars().count() <= 400);
    }
    assert!(trouble("subject", "  {# nothing #}  ").contains("writes nothing"));
}

#[test]
fn a_webhooks_template_writes_json_or_a_cloud_event_is_sent_with_a_word_about_it() {
    let own = written("{\"text\": {{ standard.subject }}, \"list\": {{ approvers }}, \"none\": {{ incident }}}");
    assert_eq!(own.trouble, None);
    let value: Value = serde_json::from_slice(&own.what.bytes).unwrap();
    assert_eq!(value["list"], json!(["alice@contoso.example", "contoso:security"]));
    assert_eq!(value["none"], Value::Null);
    for (template, says) in [
        ("{\"text\": \"{{ standard.subject }}\"}", "without quotation marks"),
        ("{\"text\": 1,}", "does not write JSON"),
        ("{{ nobody }}", "undefined"),
        ("[{% for a in range(9000) %}\"xxxxxxxxxx\",{% endfor %}1]", "65536"),
    ] {
        let made = written(template);
        assert_eq!(made.what.content_type, "application/cloudevents+json", "{template}");
        let said = made.trouble.unwrap();
        assert!(said.starts_with("spec.notifications.webhooks[own].template: ") && said.contains(says), "{said}");
    }
}

#[test]
fn a_zone_that_is_none_is_told_and_times_are_told_in_utc() {
    let told = asked().with(&json!({"timeZone": "Europe/Nowhere"}));
    let made = letter(&told.scene(), Audience::Approvers);
    assert!(made.trouble.unwrap().starts_with("spec.notifications.timeZone: "));
    assert!(made.what.text.contains("2026-12-03 12:00 UTC\n") && !made.what.text.contains("CET"));
    assert!(event(&told.scene(), &serde_json::from_value(json!({"name": "a"})).unwrap()).trouble.is_some());
}

#[test]
fn settings_are_checked_field_by_field() {
    let checked = |rules: Value| {
        let mut all = notifications();
        for (field, value) in rules.as_object().unwrap() {
            all[field] = value.clone();
        }
        check(&serde_json::from_value::<Notifications>(all).unwrap())
    };
    assert_eq!(checked(json!({})), Ok(()));
    for (rules, field) in [
        (json!({"timeZone": "Mars/Olympus"}), "spec.notifications.timeZone: "),
        (
            json!({"templates": [{"kind": "Denied", "subject": "{{ a"}]}),
            "spec.notifications.templates[Denied].subject: ",
        ),
        (
            json!({"templates": [{"kind": "Denied", "html": "{% autoescape false %}{% endautoescape %}"}]}),
            "spec.notifications.templates[Denied].html: ",
        ),
        (
            json!({"templates": [{"kind": "Denied", "text": "{{ a|nothing }}"}]}),
            "spec.notifications.templates[Denied].text: ",
        ),
        (
            json!({"webhooks": [{"name": "ok"}, {"name": "slack", "template": "{% if %}"}]}),
            "spec.notifications.webhooks[slack].template: ",
        ),
    ] {
        let said = checked(rules).unwrap_err();
        assert!(said.starts_with(field), "{said}");
    }
}
