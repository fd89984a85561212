//! What the reconcilers do.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

use super::{
    Metrics,
    register::{Register, Times},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    kind: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    pub kind: &'static str,
}

/// See [`Metrics::worked`].
pub struct Work {
    errors: Family<Failed, Counter>,
    took: Times<Kind>,
    waited: Times<Kind>,
}

fn work() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

impl Work {
    pub fn new(register: &mut Register) -> Self {
        let errors = register
            .counter("reconcile_errors", "Reconciles that failed and are tried again, by what stood in the way");
        let took = register.times("reconcile_duration", "Time that one reconcile took", work);
        let waited = register.times(
            "queue_wait",
            "Time from hearing of a change to the begin of the reconcile that it calls for",
            work,
        );
        Self { errors, took, waited }
    }
}

impl Metrics {
    /// A reconcile began, after waiting for so long.
    pub fn begun(&self, kind: &'static str, waited: Duration) {
        self.0.work.waited.get_or_create(&Kind { kind }).observe(waited.as_secs_f64());
    }

    /// A reconcile ended after so long, perhaps by an error of this class.
    pub fn worked(&self, kind: &'static str, took: Duration, failed: Option<&'static str>) {
        self.0.work.took.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
        if let Some(class) = failed {
            self.0.work.errors.get_or_create(&Failed { kind, class }).inc();
        }
    }
}
