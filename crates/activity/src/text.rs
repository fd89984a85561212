//! Texts that others chose, made fit to be shown.

use lockbox_lifecycle::text::clip;

/// At most so many characters of a text, in ASCII: whatever is no printable character of it is escaped (`\u{202e}`), so
/// that nothing shows something else than what is there, and a character is a byte.
pub fn plain(text: &str, most: usize) -> String {
    let mut shown = String::new();
    // A text can be far longer than what is kept of it.
    for c in text.chars() {
        if shown.len() > most {
            break;
        }
        if matches!(c, ' '..='~') {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    clip(&shown, most)
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
        assert_eq!(plain("kubectl\u{202e}\n[2J", 64), r"kubectl\u{202e}\u{a}[2J");
        assert_eq!(plain("käse", 64), r"k\u{e4}se");
    }

    #[test]
    fn a_text_is_cut_to_its_length_in_characters() {
        assert_eq!(plain("abc", 3), "abc");
        assert_eq!(plain("abcd", 3), "ab…");
        assert_eq!(plain("äöü", 3), r"\u…");
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
