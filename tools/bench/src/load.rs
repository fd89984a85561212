//! Lives that people begin and approve: at a fixed rate, whatever the answers take, or as many as go.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream};
use serde_json::json;

use crate::{
    client::paths,
    error::Error,
    progress::Work,
    quantiles::Quantiles,
    tracker::Seen,
    world::{AT_ONCE, Ground, PATIENCE, World, request},
};

/// Requests and approvals that come when they come.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A second.
    pub rate: f64,
    /// How many.
    pub lives: usize,
    /// Seconds of access.
    pub duration: u64,
    /// All requests wait before the first is approved; otherwise each is made two seconds before it is to be approved.
    pub waiting: bool,
}

/// One life, as those saw it who took part.
#[derive(Clone, Debug, Default)]
pub struct Lived {
    /// When the request was sent.
    pub created: Option<Instant>,
    /// When the approval was due.
    pub due: Option<Instant>,
    /// When it was sent.
    pub sent: Option<Instant>,
    /// When its answer was there.
    pub answered: Option<Instant>,
    /// What the watches saw.
    pub seen: Seen,
}

/// Times of many lives.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From the answer to the approval until the binding was seen.
    pub answered: Quantiles,
    /// From sending the approval.
    pub sent: Quantiles,
    /// From when the approval was due.
    pub due: Quantiles,
    /// From creating the request until the customer was seen to be notified.
    pub notified: Quantiles,
    /// From the end that was recorded until the binding was seen to be gone.
    pub gone: Quantiles,
}

/// Between a request and its approval.
const CONSIDERED: Duration = Duration::from_secs(2);

/// When people come who know nothing of each other, `rate` a second on average: at fixed distances, what one of them sets off
/// would meet what the others do always, or never. The same for all who are compared.
fn arrivals(rate: f64) -> impl Iterator<Item = Duration> {
    let mut random = fastrand::Rng::with_seed(20_261_129);
    let mut at = 0.0;
    std::iter::repeat_with(move || {
        at -= (1.0 - random.f64()).ln() / rate;
        Duration::from_secs_f64(at)
    })
}

impl World {
    /// Creates a request.
    pub async fn create(&self, ground: &Ground, number: usize, duration: &str) -> Result<Instant, Error> {
        let (namespace, name, engineer) = ground.place(number);
        let sent = Instant::now();
        engineer.post(&paths::requests(namespace), &request(&name, None, duration)).await?;
        Ok(sent)
    }

    /// Waits until the customer is asked.
    pub async fn notified(&self, ground: &Ground, number: usize) -> Result<(), Error> {
        let (namespace, name, _) = ground.place(number);
        self.tracker.life(namespace, &name).wait("notified", PATIENCE, |seen| seen.notified).await.map(drop)
    }

    /// Approves a request; for a shorter time, if one is given. Returns when that was sent and answered.
    pub async fn approve(
        &self,
        ground: &Ground,
        number: usize,
        shorter: Option<u64>,
    ) -> Result<(Instant, Instant), Error> {
        let (namespace, name, _) = ground.place(number);
        let mut decision = json!({"verdict": "Approve", "reason": "maintenance window agreed"});
        if let Some(seconds) = shorter {
            decision["duration"] = json!(format!("{seconds}s"));
        }
        let sent = Instant::now();
        self.alice.patch(&paths::request(namespace, &name), &json!({"spec": {"decision": decision}})).await?;
        Ok((sent, Instant::now()))
    }

    /// Lives at a pace. A life that did not go as it should is an error in the list.
    pub async fn at_pace(&self, ground: &Ground, first: usize, pace: Pace, work: &Work) -> Vec<Result<Lived, Error>> {
        let duration = format!("{}s", pace.duration);
        if pace.waiting {
            let made = stream::iter(first..first + pace.lives).map(async |number| {
                self.create(ground, number, &duration).await?;
                self.notified(ground, number).await
            });
            let made: Vec<_> = made.buffer_unordered(AT_ONCE).collect().await;
            if let Some(error) = made.into_iter().find_map(Result::err) {
                return vec![Err(error)];
            }
            // What is still told of it is not to be in the way.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let start = Instant::now() + Duration::from_millis(100);
        let arrivals = arrivals(pace.rate).take(pace.lives).enumerate();
        let lives = arrivals.map(|(n, after)| {
            let at = start + after;
            let duration = &duration;
            async move {
                let lived = self.one_at(ground, first + n, at, (!pace.waiting).then_some(duration)).await;
                work.done();
                lived
            }
        });
        futures::future::join_all(lives).await
    }

    /// One life that begins, or is approved, at a moment.
    async fn one_at(
        &self,
        ground: &Ground,
        number: usize,
        at: Instant,
        create: Option<&String>,
    ) -> Result<Lived, Error> {
        let (namespace, name, _) = ground.place(number);
        let mut life = self.tracker.life(namespace, &name);
        tokio::time::sleep_until(at.into()).await;
        let mut lived = Lived { due: Some(at), ..Lived::default() };
        if let Some(duration) = create {
            lived.due = Some(at + CONSIDERED);
            lived.created = Some(self.create(ground, number, duration).await?);
            tokio::time::sleep_until((at + CONSIDERED).into()).await;
            life.wait("notified", PATIENCE, |seen| seen.notified).await?;
        }
        let (sent, answered) = self.approve(ground, number, None).await?;
        (lived.sent, lived.answered) = (Some(sent), Some(answered));
        life.wait("granted", PATIENCE, |seen| seen.bound).await?;
        life.wait_past_the_end("closed", PATIENCE, |seen| seen.closed.is_some() && seen.gone.is_some()).await?;
        lived.seen = life.seen();
        Ok(lived)
    }

    /// As many whole lives as go, so many at a time. Each is approved as soon as the customer is asked.
    pub async fn as_many_as_go(
        &self,
        ground: &Ground,
        first: usize,
        lives: usize,
        at_once: usize,
        work: &Work,
    ) -> Vec<Result<Lived, Error>> {
        let lives = stream::iter(first..first + lives).map(async |number| {
            let (namespace, name, _) = ground.place(number);
            let mut life = self.tracker.life(namespace, &name);
            let created = Some(self.create(ground, number, "5s").await?);
            life.wait("notified", PATIENCE, |seen| seen.notified).await?;
            let (sent, answered) = self.approve(ground, number, None).await?;
            life.wait("granted", PATIENCE, |seen| seen.bound).await?;
            life.wait_past_the_end("closed", PATIENCE, |seen| seen.closed.is_some() && seen.gone.is_some()).await?;
            work.done();
            let (sent, answered) = (Some(sent), Some(answered));
            Ok(Lived { created, due: sent, sent, answered, seen: life.seen() })
        });
        lives.buffer_unordered(at_once).collect().await
    }
}

impl Times {
    /// Of these lives.
    pub fn of(lives: &[Lived]) -> Self {
        let until_bound = |from: fn(&Lived) -> Option<Instant>| {
            let times = lives.iter().filter_map(|life| Some(life.seen.bound?.saturating_duration_since(from(life)?)));
            Quantiles::of(times)
        };
        let notified = |life: &Lived| Some(life.seen.notified?.saturating_duration_since(life.created?));
        Self {
            answered: until_bound(|life| life.answered),
            sent: until_bound(|life| life.sent),
            due: until_bound(|life| life.due),
            notified: Quantiles::of(lives.iter().filter_map(notified)),
            gone: gone(lives.iter().map(|life| &life.seen)),
        }
    }
}

/// From the end that was recorded until the binding was seen to be gone.
pub fn gone<'a>(lives: impl IntoIterator<Item = &'a Seen>) -> Quantiles {
    let late = |(until, gone): (DateTime<Utc>, DateTime<Utc>)| (gone - until).to_std().unwrap_or_default();
    Quantiles::of(lives.into_iter().filter_map(|seen| Some(late((seen.until?, seen.gone?)))))
}

/// How many lives ended a second, between the first tenth and the last: neither the start nor the end counts.
pub fn throughput(lives: &[Lived]) -> f64 {
    let mut ends: Vec<_> = lives.iter().filter_map(|life| life.seen.closed).collect();
    ends.sort();
    let (from, to) = (ends.len() / 10, (ends.len() * 9 / 10).min(ends.len().saturating_sub(1)));
    match (ends.get(from), ends.get(to)) {
        (Some(first), Some(last)) if last > first => (to - from) as f64 / (*last - *first).as_secs_f64(),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn throughput_is_that_of_the_middle() {
        let start = Instant::now();
        let closed = |ms: u64| Lived {
            seen: Seen { closed: Some(start + Duration::from_millis(ms)), ..Seen::default() },
            ..Lived::default()
        };
        let mut lives: Vec<_> = (0..100).map(|n| closed(n * 100)).collect();
        lives[99] = closed(60_000);
        assert!((throughput(&lives) - 10.0).abs() < 0.01);
        assert!(throughput(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn times_are_taken_from_each_moment_and_never_below_zero() {
        let at = |ms| Some(Instant::now() + Duration::from_millis(ms));
        let until = Utc::now();
        let life = Lived {
            created: at(0),
            due: at(1000),
            sent: at(1010),
            answered: at(1020),
            seen: Seen {
                notified: at(50),
                bound: at(1050),
                until: Some(until),
                gone: Some(until + TimeDelta::milliseconds(40)),
                ..Seen::default()
            },
        };
        let times = Times::of(std::slice::from_ref(&life));
        let medians = [times.due.p50, times.sent.p50, times.answered.p50, times.notified.p50, times.gone.p50];
        for (got, expected) in medians.into_iter().zip([50.0, 40.0, 30.0, 50.0, 40.0]) {
            assert!((got - expected).abs() < 1.0, "{medians:?}");
        }
        let early =
            Lived { seen: Seen { bound: at(0), gone: Some(until - TimeDelta::seconds(1)), ..life.seen }, ..life };
        assert!(Times::of(&[early]).gone.max.abs() < 0.02);
    }
}
