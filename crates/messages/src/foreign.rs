//! Words of others, made safe to show: visible, on one line, bounded, and without anything that a mail or chat program
//! would turn into a link.
//!
//! What the schema refuses already is not relied on: every text that somebody else wrote goes through here.

use lockbox_lifecycle::{notifications::is_address, text::clip};
use textwrap::core::display_width;

/// Stands for a character that cannot be seen.
const UNSEEN: char = '\u{fffd}';
/// Marks of no width that may follow each other: accents are one or two, and a pile of them covers other lines.
const MOST_MARKS: usize = 2;
/// Characters that are a dot to a browser's address bar, or look like one.
const DOTS: [char; 7] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}', '\u{2024}', '\u{fe52}', '\u{ff65}'];

/// Begins text that keeps its direction to itself.
pub(crate) const ISOLATE: char = '\u{2068}';
/// Ends it.
pub(crate) const END_OF_ISOLATE: char = '\u{2069}';

/// Control, bidirectional, zero-width and other invisible characters, as the schema has them.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Chooses how a picture is drawn, and is nothing by itself.
const fn is_variant(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}')
}

/// A text as one line of at most `most` characters: blanks of any kind are one blank, what cannot be seen is shown as
/// `�`, and no more marks than two stand on one character.
pub(crate) fn visible(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let (mut marks, mut blank) = (0, false);
    let mut buffer = [0; 4];
    // What is cut off is not looked at; blanks and marks that are dropped are room to spare.
    for c in text.chars().take(most.saturating_mul(4)) {
        if c.is_whitespace() {
            blank = true;
            continue;
        }
        if is_variant(c) {
            continue;
        }
        if std::mem::take(&mut blank) && !shown.is_empty() {
            shown.push(' ');
            marks = 0;
        }
        if is_invisible(c) {
            marks = 0;
            shown.push(UNSEEN);
        } else if display_width(c.encode_utf8(&mut buffer)) == 0 {
            marks += 1;
            if marks <= MOST_MARKS {
                shown.push(c);
            }
        } else {
            marks = 0;
            shown.push(c);
        }
    }
    clip(&shown, most)
}

/// The same, with whatever looks like a link broken up: `https://pay.example` becomes `hxxps[:]//pay[.]example`, as
/// security reports write it. Nothing in it can be clicked, and everybody can still read what it says.
pub(crate) fn shown(text: &str, most: usize) -> String {
    clip(&broken(&visible(text, most)), most)
}

/// Breaks up links in a text that is visible already.
pub(crate) fn broken(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let at = |index: usize| letters.get(index).copied();
    let mut out = String::with_capacity(text.len());
    for (index, &c) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(at);
        match c {
            ':' | '\u{ff1a}' | '\u{fe55}' => {
                let scheme = out.len() - out.chars().rev().take_while(char::is_ascii_alphanumeric).count();
                let name = out.split_off(scheme);
                let slashes = at(index + 1).is_some_and(|next| matches!(next, '/' | '\\'));
                let ends_in = |scheme: &str| {
                    let start = name.len().checked_sub(scheme.len())?;
                    name.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(scheme)).then_some(start)
                };
                match ends_in("https").or_else(|| ends_in("http")) {
                    Some(start) => {
                        out.push_str(name.get(..start).unwrap_or_default());
                        out.push_str(if ends_in("https").is_some() { "hxxps" } else { "hxxp" });
                    }
                    None => out.push_str(&name),
                }
                out.push_str(if slashes { "[:]" } else { ":" });
            }
            // A share of a Windows server: some programs open it, and sign in there.
            '\\' if before == Some('\\') => out.push_str("[\\]"),
            _ if DOTS.contains(&c)
                && before.is_none_or(|c| !DOTS.contains(&c))
                && at(index + 1).is_some_and(|c| c.is_alphabetic() || !c.is_ascii() && !DOTS.contains(&c))
                && at(index + 2).is_some_and(|c| c.is_alphanumeric() || c == '-' || !c.is_ascii()) =>
            {
                out.push_str("[.]");
            }
            _ => out.push(c),
        }
    }
    out
}

/// What a user name, or the name of a group, is made of where nobody plays tricks.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "@._%+=,:/#-".contains(c)
}

/// A name of a person or group: as it is, if it is a plain address or word; otherwise in quotation marks that it cannot
/// end, with links broken up.
pub(crate) fn person(name: &str, most: usize) -> String {
    let is_mail =
        |name: &str| is_address(name) && name.chars().all(|c| c.is_ascii_alphanumeric() || "@._%+-".contains(c));
    if is_mail(name) && name.chars().count() <= most {
        return name.to_owned();
    }
    word(name, most)
}

/// A name of anything: as it is, if it is a plain word; otherwise in quotation marks that it cannot end, with links
/// broken up.
pub(crate) fn word(name: &str, most: usize) -> String {
    let name = shown(name, most);
    if !name.is_empty() && name.chars().all(|c| is_plain(c) || matches!(c, '[' | ']' | '…')) {
        return name;
    }
    quoted(&name)
}

/// A text of others within a sentence of ours: in quotation marks that it cannot end, and with the direction of its
/// script kept to itself.
pub(crate) fn inline(text: &str, most: usize) -> String {
    quoted(&shown(text, most))
}

fn quoted(shown: &str) -> String {
    let inner: String = shown
        .chars()
        .map(|c| {
            if matches!(c, '"' | '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{ff02}' | '\u{301d}'..='\u{301f}') {
                '\''
            } else {
                c
            }
        })
        .collect();
    isolated(&format!("\u{201c}{inner}\u{201d}"))
}

/// Whether a letter is written from right to left.
const fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Text from right to left, between the marks that keep it from moving what stands beside it.
pub(crate) fn isolated(text: &str) -> String {
    if text.chars().any(is_right_to_left) { format!("{ISOLATE}{text}{END_OF_ISOLATE}") } else { text.to_owned() }
}

/// A name with every letter outside ASCII spelled out, if it has one: `k\u{456}m` is not kim.
pub(crate) fn spelled_out(name: &str, most: usize) -> Option<String> {
    (!name.is_ascii()).then(|| {
        let spelled: String = name
            .chars()
            .take(most)
            .flat_map(|c| if c.is_ascii_graphic() || c == ' ' { vec![c] } else { c.escape_unicode().collect() })
            .collect();
        clip(&broken(&spelled), most)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_and_lines_are_one() {
        assert_eq!(visible("a\r\nSubject: b\t\u{a0}c", 99), "a Subject: b c");
        assert_eq!(visible("pay\u{202e}gpj\u{200b}\u{7}", 99), "pay\u{fffd}gpj\u{fffd}\u{fffd}");
        assert_eq!(visible("  a  ", 99), "a");
        assert_eq!(visible(&format!("e{}", "\u{301}".repeat(50)), 99), "e\u{301}\u{301}");
        assert_eq!(visible(&"x".repeat(500), 10).chars().count(), 10);
    }

    #[test]
    fn what_looks_like_a_link_is_broken_up_and_the_rest_stays() {
        for (text, expected) in [
            ("see https://pay.example/a.b?c", "see hxxps[:]//pay[.]example/a.b?c"),
            ("HTTP://10.0.0.1/x", "hxxp[:]//10.0.0.1/x"),
            ("http:\\\\evil", "hxxp[:]\\[\\]evil"),
            ("ftp://host", "ftp[:]//host"),
            ("xhttps://h", "xhxxps[:]//h"),
            ("www.evil.example", "www[.]evil[.]example"),
            ("evil\u{3002}com and evil\u{ff0e}com", "evil[.]com and evil[.]com"),
            ("\\\\server\\share", "\\[\\]server\\share"),
            (".com wait...what", "[.]com wait...what"),
            ("ask e.g. bob, v1.2.3, 3.5 GB. Then go.", "ask e.g. bob, v1.2.3, 3.5 GB. Then go."),
            ("reason: time 12:30, contoso:security", "reason: time 12:30, contoso:security"),
            ("login.xn--pypal-4ve.com", "login[.]xn--pypal-4ve[.]com"),
            ("p\u{430}ypal.com", "p\u{430}ypal[.]com"),
        ] {
            assert_eq!(shown(text, 999), expected);
            assert_eq!(shown(expected, 999), expected, "breaking up twice is breaking up once");
        }
    }

    #[test]
    fn a_name_is_shown_as_it_is_or_in_quotation_marks_that_it_cannot_end() {
        assert_eq!(person("kim@provider.example", 99), "kim@provider.example");
        assert_eq!(person("provider:support-leads", 99), "provider:support-leads");
        assert_eq!(person("evil.example/x@provider.example", 99), "evil[.]example/x@provider[.]example");
        assert_eq!(person("kim\u{201d} approved it. \u{201c}", 99), "\u{201c}kim' approved it. '\u{201d}");
        assert_eq!(person("", 99), "\u{201c}\u{201d}");
        let hebrew = person("\u{5e9}\u{5dc}\u{5d5}\u{5dd}", 99);
        assert!(hebrew.starts_with('\u{2068}') && hebrew.ends_with('\u{2069}'), "{hebrew:?}");
    }

    #[test]
    fn a_letter_that_only_looks_like_ascii_is_spelled_out() {
        assert_eq!(spelled_out("k\u{456}m@p.example", 99).unwrap(), "k\\u{456}m@p[.]example");
        assert_eq!(spelled_out("kim", 99), None);
    }
}
