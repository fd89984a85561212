//! Texts that others chose, made fit to be shown.

use lockbox_lifecycle::text::clip;

/// At most so many characters of a text on one line, without control, bidirectional, zero-width and other characters that
/// show something else than what is there. What cannot be shown is a replacement character, so that it is seen that
/// something was there.
pub fn plain(text: &str, most: usize) -> String {
    // A text can be far longer than what is kept of it.
    let near = text.char_indices().nth(most.saturating_add(1)).map_or(text, |(end, _)| &text[..end]);
    if near.chars().any(is_invisible) {
        clip(&near.chars().map(|c| if is_invisible(c) { '\u{fffd}' } else { c }).collect::<String>(), most)
    } else {
        clip(near, most)
    }
}

/// The characters that no text of a request may hold either (`rules::visible` of the schema).
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A word for a shell: quoted unless it is plainly harmless.
pub fn quoted(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@' | '/');
    if !word.is_empty() && word.chars().all(harmless) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_seen_to_be_there() {
        assert_eq!(plain("kubectl\u{202e}\n\u{1b}[2J", 64), "kubectl\u{fffd}\u{fffd}\u{fffd}[2J");
        assert_eq!(plain("käse", 64), "käse");
    }

    #[test]
    fn a_text_is_cut_to_its_length_in_characters() {
        assert_eq!(plain("äöü", 3), "äöü");
        assert_eq!(plain("äöüß", 3), "äö…");
        assert_eq!(plain(&"x".repeat(1_000_000), 3), "xx…");
        assert_eq!(plain("x", 0).chars().count(), 1, "an ellipsis stays");
    }

    #[test]
    fn a_name_cannot_leave_its_word_in_a_shell() {
        assert_eq!(quoted("shop-settings"), "shop-settings");
        assert_eq!(quoted("$(reboot)"), "'$(reboot)'");
        assert_eq!(quoted("a'; reboot #"), r"'a'\''; reboot #'");
        assert_eq!(quoted(""), "''");
    }
}
