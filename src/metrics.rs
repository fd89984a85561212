//! Metrics, in the `OpenMetrics` text format.

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

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

/// What is counted.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    attempts: Family<Attempt, Counter>,
    waiting: Gauge,
    heard: Family<Event, Counter>,
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

    /// All of them as text.
    pub fn text(&self) -> String {
        let mut registry = Registry::with_prefix("lockbox");
        registry.register(
            "message_deliveries",
            "Attempts to deliver a message to one destination",
            self.0.attempts.clone(),
        );
        registry.register(
            "messages_waiting",
            "Messages that some destination has not taken yet",
            self.0.waiting.clone(),
        );
        registry.register(
            "audit_events",
            "Events of the API server's audit stream, by what became of them",
            self.0.heard.clone(),
        );
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
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
}
