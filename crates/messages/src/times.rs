//! Moments and lengths of time as people read them.

use chrono::TimeZone as _;
use chrono_tz::Tz;
use lockbox_api::{Duration, Moment};

/// The zone of this name in the IANA's list, such as Europe/Berlin.
pub(crate) fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// `2026-12-03 12:00 UTC`. Seconds are cut off: a deadline is never told later than it is.
pub(crate) fn utc(moment: Moment) -> String {
    moment.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// In the zone: `13:00 CET`, and with the date where that is another one.
pub(crate) fn local(moment: Moment, zone: Tz) -> String {
    let there = zone.from_utc_datetime(&moment.naive_utc());
    let format = if there.date_naive() == moment.date_naive() { "%H:%M %Z" } else { "%Y-%m-%d %H:%M %Z" };
    there.format(format).to_string()
}

/// `2026-12-03 12:00 UTC (13:00 CET)`.
pub(crate) fn both(moment: Moment, zone: Option<Tz>) -> String {
    match zone {
        Some(zone) if zone != Tz::UTC => format!("{} ({})", utc(moment), local(moment, zone)),
        _ => utc(moment),
    }
}

/// `1 hour 30 minutes`.
pub(crate) fn length(duration: Duration) -> String {
    let mut left = duration.seconds();
    let mut parts = vec![];
    for (name, seconds) in [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)] {
        let count = left / seconds;
        left %= seconds;
        if count > 0 {
            parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockbox_api::time::parse;

    #[test]
    fn a_moment_is_told_in_utc_and_in_the_zone_with_its_date_where_that_differs() {
        let noon = parse("2026-12-03T12:00:59Z").unwrap();
        assert_eq!(both(noon, None), "2026-12-03 12:00 UTC");
        assert_eq!(both(noon, zone("Europe/Berlin")), "2026-12-03 12:00 UTC (13:00 CET)");
        assert_eq!(both(noon, zone("UTC")), "2026-12-03 12:00 UTC");
        assert_eq!(both(noon, zone("Pacific/Auckland")), "2026-12-03 12:00 UTC (2026-12-04 01:00 NZDT)");
        let summer = parse("2026-07-01T12:00:00Z").unwrap();
        assert_eq!(both(summer, zone("Europe/Berlin")), "2026-07-01 12:00 UTC (14:00 CEST)");
        assert_eq!(zone("Europe/Nowhere"), None);
    }

    #[test]
    fn a_length_of_time_is_told_in_words() {
        for (text, words) in [
            ("8h", "8 hours"),
            ("1h30m", "1 hour 30 minutes"),
            ("90m", "1 hour 30 minutes"),
            ("1d1s", "1 day 1 second"),
        ] {
            assert_eq!(length(text.parse().unwrap()), words);
        }
    }
}
