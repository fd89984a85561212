//! Calls to the API server.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

use super::{
    Metrics,
    register::{Register, Times},
};
use crate::connection::Call;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    verb: &'static str,
    resource: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Took {
    verb: &'static str,
    resource: &'static str,
}

/// See [`Metrics::called`].
pub struct Calls {
    answered: Family<Answered, Counter>,
    took: Times<Took>,
}

impl Calls {
    pub fn new(register: &mut Register) -> Self {
        let answered = register.counter(
            "api_calls",
            "Calls to the API server, each attempt and the dry runs of trials included; code is the status of the answer, or none without one",
        );
        let took = register.times(
            "api_call_duration",
            "Time from a call to the API server to the head of its answer; watches are left out",
            || Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
        );
        Self { answered, took }
    }
}

impl Metrics {
    /// A call was answered after this time, or not at all.
    pub fn called(&self, call: &Call, code: Option<u16>, took: Duration) {
        let Call { verb, resource, .. } = *call;
        let code = code.map_or_else(|| "none".into(), |code| code.to_string());
        self.0.calls.answered.get_or_create(&Answered { verb, resource, code }).inc();
        if verb != "watch" {
            self.0.calls.took.get_or_create(&Took { verb, resource }).observe(took.as_secs_f64());
        }
    }
}
