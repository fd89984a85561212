//! An e-mail's subject and its two bodies.

use lockbox_api::{Audience, notifications::Template};
use lockbox_lifecycle::text::clip;

use crate::{
    Rendered, Scene, document,
    engine::{self, Format},
    layout::{self, LONGEST_HTML, LONGEST_TEXT},
    scene::Side,
    subject, times, variables,
};

/// What an e-mail says. Both bodies say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// One line of at most 150 characters, without control characters.
    pub subject: String,
    /// Plain text with line feeds, at most 256 KiB.
    pub text: String,
    /// A whole HTML document that loads nothing, at most 512 KiB.
    pub html: String,
}

/// What a scene is to an audience. It never fails: where a template of the settings cannot be used, the built-in text
/// stands in its place, and [`Rendered::trouble`] says so.
pub fn letter(scene: &Scene<'_>, audience: Audience) -> Rendered<Letter> {
    let side = Side::from(audience);
    let document = document::of(scene, side, Some(audience));
    let mut letter =
        Letter { subject: document.subject.clone(), text: layout::text(&document), html: layout::html(&document) };
    let mut troubles = zone_trouble(scene);
    let rules = scene.settings.notifications.as_ref();
    if let Some(own) = rules.and_then(|rules| rules.templates.iter().find(|own| own.kind == scene.kind())) {
        let values = variables::of(scene, side, Some(audience), &document);
        for (part, template, format, most) in parts(own) {
            match engine::render(template, format, &values, most) {
                Ok(text) => match part {
                    "subject" if subject::fit(&text).is_empty() => {
                        troubles.push(trouble(own, part, "it writes nothing"));
                    }
                    "subject" => letter.subject = subject::fit(&text),
                    "text" => letter.text = lines(&text),
                    _ => letter.html = text,
                },
                Err(why) => troubles.push(trouble(own, part, &why)),
            }
        }
    }
    Rendered::new(letter, &troubles)
}

/// The templates for one kind of message: name, template, what it writes, and bytes at most.
pub(crate) fn parts(own: &Template) -> impl Iterator<Item = (&'static str, &str, Format, usize)> {
    [
        ("subject", own.subject.as_deref(), Format::Text, 4096),
        ("text", own.text.as_deref(), Format::Text, LONGEST_TEXT),
        ("html", own.html.as_deref(), Format::Html, LONGEST_HTML),
    ]
    .into_iter()
    .filter_map(|(part, template, format, most)| Some((part, template?, format, most)))
}

/// What is wrong with a template, by its field.
pub(crate) fn trouble(own: &Template, part: &str, why: &str) -> String {
    clip(&format!("spec.notifications.templates[{}].{part}: {why}", own.kind), 400)
}

/// What is wrong with the zone: then times are told in UTC alone.
pub(crate) fn zone_trouble(scene: &Scene<'_>) -> Vec<String> {
    let zone = scene.settings.notifications.as_ref().and_then(|rules| rules.time_zone.as_deref());
    zone.filter(|name| times::zone(name).is_none()).map(unknown_zone).into_iter().collect()
}

/// What is said of a zone that is none.
pub(crate) fn unknown_zone(name: &str) -> String {
    format!(
        "spec.notifications.timeZone: {} is not a zone that the IANA lists, such as Europe/Berlin",
        crate::foreign::inline(name, 64)
    )
}

/// Lines as they are stored here: line feeds alone, and no other control characters but tabs.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}
