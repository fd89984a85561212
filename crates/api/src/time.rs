//! Moments: chrono in our own fields, jiff in Kubernetes' own; whole seconds in both.
//!
//! What is stored has whole seconds (`metav1.Time` has no more), so moments are cut before they are stored or compared:
//! otherwise a status that did not change would never compare equal to itself.

use chrono::{DateTime, SubsecRound, Utc};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff};

/// A moment as it is stored: UTC, whole seconds.
pub type Moment = DateTime<Utc>;

/// Cuts off the fraction of a second.
pub fn whole_seconds(moment: Moment) -> Moment {
    moment.trunc_subsecs(0)
}

/// Kubernetes' time as ours. A moment that chrono cannot express (no API server makes one) is its latest.
pub fn from_kubernetes(time: &Time) -> Moment {
    DateTime::from_timestamp(time.0.as_second(), 0).unwrap_or(Moment::MAX_UTC)
}

/// Our time as Kubernetes'. A moment that jiff cannot express is its latest.
pub fn to_kubernetes(moment: Moment) -> Time {
    Time(jiff::Timestamp::from_second(moment.timestamp()).unwrap_or(jiff::Timestamp::MAX))
}

/// As it is written in annotations and sentences: `2026-11-23T12:00:00Z`.
pub fn text(moment: Moment) -> String {
    moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// Reads what [`text`] wrote.
pub fn parse(text: &str) -> Option<Moment> {
    DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.with_timezone(&Utc))
}
