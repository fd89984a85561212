//! A bounded length of time as people write it: `4d`, `8h`, `90m`, `1h30m`, `5s`.
//!
//! Grammar: days, hours, minutes, seconds, each at most once, in this order, none of them zero, no sign, no fraction,
//! no blank. The grammar is a CEL rule and not a `pattern`, so that kubectl shows a sentence and not a regular
//! expression. CEL's own `duration()` knows no days: [`seconds`] writes the expression that does.

use std::{borrow::Cow, fmt, str::FromStr};

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The grammar as a regular expression.
pub const PATTERN: &str = r"^([1-9][0-9]{0,3}d)?([1-9][0-9]{0,3}h)?([1-9][0-9]{0,4}m)?([1-9][0-9]{0,5}s)?$";
/// What a user is told about a text that is no duration.
pub const MESSAGE: &str = "must be a duration such as 4d, 8h, 90m or 1h30m: days, hours, minutes and seconds, in this order, none of them zero";
/// Longest text that the grammar allows: `9999d9999h99999m999999s`.
const MAX_LENGTH: usize = 23;
/// Units from long to short: suffix, seconds, digits at most.
const UNITS: [(u8, i64, u32); 4] = [(b'd', 86_400, 4), (b'h', 3_600, 4), (b'm', 60, 5), (b's', 1, 6)];

/// CEL: the seconds of the duration text `x`. Total: it evaluates whatever `x` is, so that the grammar's own rule is
/// the only one to report a text that is no duration.
pub fn seconds(x: &str) -> String {
    let part = |unit: u8, factor: i64| {
        let unit = char::from(unit);
        format!("int('0' + {x}.find('[0-9]{{1,6}}{unit}').replace('{unit}', '')) * {factor}")
    };
    let parts: Vec<_> = UNITS.iter().map(|(unit, factor, _)| part(*unit, *factor)).collect();
    format!("({})", parts.join(" + "))
}

/// CEL: whether the text `x` is a duration at all.
pub fn is_legal(x: &str) -> String {
    format!("({x} != '' && {x}.matches('{PATTERN}'))")
}

/// Whole seconds, 1 to 905 998 938 (`9999d9999h99999m999999s`): no arithmetic on it can overflow an `i64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

/// The text was no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MESSAGE}")]
pub struct InvalidDuration;

impl Duration {
    /// Four days: how long a request waits for the customer unless the settings say otherwise (M12).
    pub const DEFAULT_PENDING: Self = Self(4 * 86_400);
    /// Eight hours: how long access lasts unless the settings say otherwise (M14).
    pub const DEFAULT_GRANT: Self = Self(8 * 3_600);
    /// Three days: how long a message is tried again unless the settings say otherwise.
    pub const THREE_DAYS: Self = Self(3 * 86_400);
    /// One day: the longest grant unless the settings say otherwise.
    pub const DEFAULT_MAXIMUM: Self = Self(24 * 3_600);

    /// Length in whole seconds, at least 1.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// The same as chrono's signed difference of two moments.
    pub const fn delta(self) -> TimeDelta {
        // `try_seconds` fails beyond i64::MAX / 1000 only, far above our range.
        match TimeDelta::try_seconds(self.0) {
            Some(delta) => delta,
            None => TimeDelta::MAX,
        }
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        if text.is_empty() || text.len() > MAX_LENGTH {
            return Err(InvalidDuration);
        }
        let (mut next, mut total, mut number, mut digits) = (0, 0_i64, 0_i64, 0_u32);
        for byte in text.bytes() {
            if byte.is_ascii_digit() {
                if (digits == 0 && byte == b'0') || digits == 6 {
                    return Err(InvalidDuration);
                }
                number = number * 10 + i64::from(byte - b'0');
                digits += 1;
            } else {
                let (at, (_, factor, most)) =
                    UNITS.iter().enumerate().skip(next).find(|(_, unit)| unit.0 == byte).ok_or(InvalidDuration)?;
                if digits == 0 || digits > *most {
                    return Err(InvalidDuration);
                }
                total += number * factor;
                (next, number, digits) = (at + 1, 0, 0);
            }
        }
        if digits > 0 { Err(InvalidDuration) } else { Ok(Self(total)) }
    }
}

/// As people write it, the largest unit first: 36 hours are `1d12h`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        for (unit, size, _) in UNITS {
            if left >= size {
                write!(f, "{}{}", left / size, char::from(unit))?;
                left %= size;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 24,
            "x-kubernetes-validations": [{"rule": is_legal("self"), "message": MESSAGE}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_texts_have_their_length() {
        let longest = 9_999 * 86_400 + 9_999 * 3_600 + 99_999 * 60 + 999_999;
        for (text, seconds) in [
            ("4d", 345_600),
            ("8h", 28_800),
            ("90m", 5_400),
            ("1h30m", 5_400),
            ("5s", 5),
            ("1d12h", 129_600),
            ("9999d9999h99999m999999s", longest),
        ] {
            assert_eq!(text.parse::<Duration>().map(Duration::seconds), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_and_nothing_panics() {
        for text in [
            "",
            "0s",
            "0h",
            "08h",
            "8",
            "h",
            "-1h",
            "+1h",
            "1.5h",
            "1h1h",
            "30m1h",
            "4 d",
            "4D",
            "500ms",
            "1w",
            " 8h",
            "8h ",
            "99999999999999999999h",
            "10000d",
            "１h",
            "4d8h30m10s1s",
            "\u{0}",
            "é",
        ] {
            assert_eq!(text.parse::<Duration>(), Err(InvalidDuration), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn writing_and_reading_again_is_the_identity(seconds in 1_i64..=863_000_000) {
            let duration = Duration(seconds);
            let text = duration.to_string();
            if let Ok(read) = text.parse::<Duration>() {
                proptest::prop_assert_eq!(read, duration);
            } else {
                // Only lengths that need more than 9999 days cannot be written.
                proptest::prop_assert!(seconds >= 10_000 * 86_400);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<Duration>();
        }
    }
}
