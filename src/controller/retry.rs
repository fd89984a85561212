//! How long to wait before trying again: longer each time, with jitter, never more than a minute.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The first wait.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(1);
/// Somebody wrote in between: the watch delivers their version at once.
const CONFLICT: Duration = Duration::from_millis(50);
/// Objects that are counted before those that are long over are forgotten.
const MANY: usize = 1_000;
/// A failure that is older than this was the object's last: it would have been tried again long ago.
const OVER: Duration = Duration::from_mins(10);

/// Failures in a row, by object. Forgotten on success, when the object is no longer tried, and by a restart: it is an
/// optimisation, not a memory.
#[derive(Debug, Default)]
pub struct Retries {
    failures: Mutex<HashMap<String, Failures>>,
    random: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

/// The wait after so many failures: doubled each time, and up to a quarter more by chance, so that many that failed together
/// do not try together.
pub fn backoff(first: Duration, longest: Duration, failures: u32, chance: u64) -> Duration {
    let wait = first.saturating_mul(1_u32 << failures.saturating_sub(1).min(16)).min(longest);
    let spread = u32::try_from(chance % 256).unwrap_or_default();
    wait + (wait / 4) * spread / 256
}

impl Retries {
    /// The wait after a conflict, which is nobody's failure.
    pub const fn conflict() -> Duration {
        CONFLICT
    }

    /// Counts a failure of `object` and says how long to wait.
    pub fn failed(&self, object: &str) -> Duration {
        self.failed_at(object, Instant::now())
    }

    fn failed_at(&self, object: &str, now: Instant) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        // What is deleted while it fails never succeeds. Looked for when the number has doubled.
        let many = failures.len() == MANY || (failures.len() > MANY && failures.len().is_power_of_two());
        if many && !failures.contains_key(object) {
            failures.retain(|_, failures| now.saturating_duration_since(failures.last) < OVER);
        }
        let entry = failures.entry(object.to_owned()).or_insert(Failures { count: 0, last: now });
        *entry = Failures { count: entry.count.saturating_add(1), last: now };
        let count = entry.count;
        backoff(FIRST, LONGEST, count, self.random.hash_one((object, count)))
    }

    /// Failures of `object` in a row so far.
    pub fn count(&self, object: &str) -> u32 {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).get(object).map_or(0, |failures| failures.count)
    }

    /// Forgets the failures of `object`.
    pub fn succeeded(&self, object: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_start_anew_after_success() {
        let retries = Retries::default();
        let first = retries.failed("a");
        assert!(first >= FIRST && first < FIRST * 2);
        for _ in 0..100 {
            assert!(retries.failed("a") <= LONGEST + LONGEST / 4);
        }
        assert!(retries.failed("a") >= LONGEST);
        retries.succeeded("a");
        assert!(retries.failed("a") < FIRST * 2);
    }

    #[test]
    fn what_failed_and_is_never_tried_again_is_forgotten() {
        let retries = Retries::default();
        let (mut now, mut most) = (Instant::now(), 0);
        for object in 0..20_000 {
            retries.failed_at(&object.to_string(), now);
            now += Duration::from_secs(1);
            most = most.max(retries.failures.lock().unwrap().len());
        }
        assert!(most <= 2 * MANY, "{most} are kept");
    }
}
