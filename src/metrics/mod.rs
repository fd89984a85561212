//! Metrics, in the `OpenMetrics` text format. Labels have few values each, all of them known here: names of people, requests
//! and namespaces are in none.

mod calls;
mod lives;
mod register;
mod state;
mod work;

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

pub use self::state::Seen;
use self::{calls::Calls, lives::Lives, register::Register, state::State, work::Work};

/// What came of attempts at telling somebody, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Told {
    /// It arrived.
    Delivered,
    /// It did not, and is tried again.
    Delayed,
    /// It was refused for good, or tried for too long.
    Failed,
}

/// The way that a message takes, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Channel {
    /// E-mail.
    Mail,
    /// A webhook.
    Webhook,
}

/// What became of what came on the API server's audit stream, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Heard {
    /// It belongs to an access, or to its time.
    Taken,
    /// It belongs to none.
    Other,
    /// It came a second time.
    Repeated,
    /// A batch that could not be read, or was too large: what was in it is lost.
    Lost,
    /// A post by somebody who may not.
    Refused,
    /// A full record that could not be written fast enough.
    NotRecorded,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Event {
    outcome: Heard,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    channel: Channel,
    outcome: Told,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// What is counted and measured. Each copy is the same.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Counted>);

struct Counted {
    registry: Registry,
    names: Vec<String>,
    attempts: Family<Attempt, Counter>,
    waiting: Gauge,
    heard: Family<Event, Counter>,
    calls: Calls,
    lives: Lives,
    work: Work,
    state: State,
    /// What is looked at when somebody asks.
    sources: Mutex<Vec<Source>>,
}

type Source = Box<dyn Fn(&Seen<'_>) + Send + Sync>;

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Counted {
    fn default() -> Self {
        let mut register = Register::default();
        let build = register.gauge::<Build>("build_info", "Always 1; the label has the version of the operator");
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        let attempts = register
            .counter("message_deliveries", "Attempts to deliver a message to one destination, by what came of it");
        for channel in [Channel::Mail, Channel::Webhook] {
            for outcome in [Told::Delivered, Told::Delayed, Told::Failed] {
                let _ = attempts.get_or_create(&Attempt { channel, outcome });
            }
        }
        let waiting = register.plain_gauge("messages_waiting", "Messages that some destination has not taken yet");
        let heard = register.counter("audit_events", "Events of the API server's audit stream, by what became of them");
        for outcome in [Heard::Taken, Heard::Other, Heard::Repeated, Heard::Lost, Heard::Refused, Heard::NotRecorded] {
            let _ = heard.get_or_create(&Event { outcome });
        }
        let calls = Calls::new(&mut register);
        let lives = Lives::new(&mut register);
        let work = Work::new(&mut register);
        let state = State::new(&mut register);
        let (registry, names) = register.done();
        let sources = Mutex::default();
        Self { registry, names, attempts, waiting, heard, calls, lives, work, state, sources }
    }
}

impl Metrics {
    /// Counts an attempt at telling somebody.
    pub fn told(&self, channel: Channel, outcome: Told) {
        self.0.attempts.get_or_create(&Attempt { channel, outcome }).inc();
    }

    /// Counts what came on the audit stream.
    pub fn heard(&self, outcome: Heard, events: u64) {
        if events > 0 {
            self.0.heard.get_or_create(&Event { outcome }).inc_by(events);
        }
    }

    /// Messages that are on their way now.
    pub fn on_their_way(&self, messages: usize) {
        self.0.waiting.set(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    /// Whether this operator acts.
    pub fn leads(&self, leads: bool) {
        self.0.state.leader.set(leads.into());
    }

    /// Has `look` say what there is whenever somebody asks.
    pub fn when_asked(&self, look: impl Fn(&Seen<'_>) + Send + Sync + 'static) {
        self.0.sources.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(look));
    }

    /// All of them as text.
    pub fn text(&self) -> String {
        let sources = self.0.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.0.state.look();
        sources.iter().for_each(|look| look(&seen));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }
}

/// The names of all series, as alerts and dashboards use them.
pub fn names() -> Vec<String> {
    Counted::default().names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_with_its_labels() {
        let metrics = Metrics::default();
        metrics.told(Channel::Mail, Told::Delivered);
        metrics.told(Channel::Mail, Told::Delivered);
        metrics.told(Channel::Webhook, Told::Failed);
        metrics.on_their_way(3);
        let text = metrics.text();
        for line in [
            r#"lockbox_message_deliveries_total{channel="Mail",outcome="Delivered"} 2"#,
            r#"lockbox_message_deliveries_total{channel="Webhook",outcome="Failed"} 1"#,
            "lockbox_messages_waiting 3",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{text}");
        }
    }

    #[test]
    fn every_series_that_is_shown_has_a_name_that_is_known_and_goes_by_the_conventions() {
        let names = names();
        let metrics = Metrics::default();
        metrics.heard(Heard::Taken, 1);
        let text = metrics.text();
        let shown: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        assert!(!shown.is_empty());
        for series in shown {
            assert!(names.iter().any(|name| name == series), "{series} is in no list");
        }
        for name in &names {
            assert!(name.starts_with("lockbox_"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
        }
    }
}
