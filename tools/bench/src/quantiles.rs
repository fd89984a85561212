//! Quantiles of times.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What is drawn: quantiles close enough for a smooth curve, and closer towards the end.
const CURVE: [f64; 22] = [
    0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99,
    0.995, 1.0,
];

/// Quantiles of a number of times, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many times there are.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// 99 of 100 are not longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Points of the distribution: share, and milliseconds.
    pub curve: Vec<(f64, f64)>,
}

impl Quantiles {
    /// Of these times.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        // From 10 µs to 2 h, three digits.
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, 720_000_000, 3) else { return Self::default() };
        for time in times {
            histogram.saturating_record(u64::try_from(time.as_micros() / 10).unwrap_or(u64::MAX));
        }
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |share: f64| histogram.value_at_quantile(share) as f64 / 100.0;
        Self {
            count: histogram.len(),
            p50: at(0.5),
            p99: at(0.99),
            max: histogram.max() as f64 / 100.0,
            curve: CURVE.map(|share| (share, at(share))).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let quantiles = Quantiles::of((1..=1000).map(Duration::from_millis));
        assert_eq!(quantiles.count, 1000);
        for (got, expected) in [(quantiles.p50, 500.0), (quantiles.p99, 990.0), (quantiles.max, 1000.0)] {
            assert!((got - expected).abs() <= expected / 1000.0 + 0.01, "{got} {expected}");
        }
        assert!(quantiles.curve.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
    }

    #[test]
    fn nothing_has_no_quantiles_and_one_is_all_of_them() {
        assert_eq!(Quantiles::of([]), Quantiles::default());
        let one = Quantiles::of([Duration::from_millis(7)]);
        assert!([one.p50, one.p99, one.max].iter().all(|ms| (ms - 7.0).abs() < 0.02), "{one:?}");
    }
}
