//! Texts of a bounded length, and their digests.

use sha2::{Digest, Sha256};

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

/// A text without line breaks and runs of blanks.
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
}
