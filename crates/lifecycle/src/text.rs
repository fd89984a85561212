//! Texts of a bounded length, and their digests.

use sha2::{Digest, Sha256};

/// Room for "and N more" in a list that is cut short.
const AND_MORE: usize = 20;

/// `sha256:` and the digest of `text` as 64 hexadecimal digits.
pub fn sha256(text: &str) -> String {
    format!("sha256:{}", base16ct::lower::encode_string(&Sha256::digest(text)))
}

/// At most `most` characters of `text`.
pub fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    let mut out: String = text.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// A text without line breaks and runs of white space.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first bytes of a text, cut between characters, with an ellipsis if something is cut off.
pub fn clip_bytes(text: &str, most: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}{ELLIPSIS}", &text[..text.floor_char_boundary(most.saturating_sub(ELLIPSIS.len()))])
}

/// Items with commas, as many as there is room for, and how many more there are.
pub fn list(items: &[String], room: usize) -> String {
    list_by(items, ", ", room)
}

/// The same with another separator.
pub fn list_by(items: &[String], separator: &str, room: usize) -> String {
    let mut text = String::new();
    let mut length = 0;
    for (index, item) in items.iter().enumerate() {
        let left = items.len() - index;
        let item_length = item.chars().count() + if index == 0 { 0 } else { separator.len() };
        let reserve = if left > 1 { AND_MORE } else { 0 };
        if length + item_length + reserve > room {
            if index > 0 {
                return format!("{text} and {left} more");
            }
            let first = clip(item, room.saturating_sub(reserve));
            return if left > 1 { format!("{first} and {} more", left - 1) } else { first };
        }
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(item);
        length += item_length;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_counts_characters_and_says_that_it_clipped() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöüß", 3), "äö…");
    }

    #[test]
    fn clipping_bytes_cuts_between_characters_and_says_that_it_clipped() {
        assert_eq!(clip_bytes("äöü", 6), "äöü");
        assert_eq!(clip_bytes("äöüß", 7), "äö…");
        assert_eq!(clip_bytes("äöüß", 6), "ä…");
    }

    #[test]
    fn a_list_holds_what_there_is_room_for_and_says_how_many_more_there_are() {
        let items = |lengths: &[usize]| -> Vec<_> {
            lengths.iter().zip('a'..).map(|(length, letter)| letter.to_string().repeat(*length)).collect()
        };
        let room = 40;
        // The last one needs no room for how many more there are.
        assert_eq!(list(&items(&[2, 36]), room), format!("aa, {}", "b".repeat(36)));
        assert_eq!(list(&items(&[2, 37]), room), "aa and 1 more");
        assert_eq!(list(&items(&[room - AND_MORE, 60]), room), format!("{} and 1 more", "a".repeat(room - AND_MORE)));
        assert_eq!(list(&items(&[room]), room), "a".repeat(room));
        assert_eq!(list(&items(&[room + 1]), room), format!("{}…", "a".repeat(room - 1)));
        let cut = "a".repeat(room - AND_MORE - 1);
        assert_eq!(list(&items(&[60, 60, 60]), room), format!("{cut}… and 2 more"));
        assert_eq!(list(&[], room), "");
    }
}
