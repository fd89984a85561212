//! What there is at the moment in which somebody asks.

use std::{collections::BTreeMap, time::Duration};

use lockbox_api::Phase;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
};

use super::{
    register::{Age, Ages, Register},
    work::Kind,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InPhase {
    phase: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    proof: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct On {
    resource: &'static str,
}

/// Gauges that are set when somebody asks.
pub struct State {
    requests: Family<InPhase, Gauge>,
    overdue: Age,
    events: Gauge,
    proven: Family<Of, Gauge>,
    proof_age: Ages<Of>,
    watch_age: Ages<On>,
    queued: Family<Kind, Gauge>,
    oldest: Ages<Kind>,
    ready: Gauge,
    pub(super) leader: Gauge,
}

impl State {
    pub fn new(register: &mut Register) -> Self {
        Self {
            requests: register.gauge(
                "requests",
                "Requests that are open, by phase, as the operator's cache has them. One that is finished and published is not watched: it is counted in requests_ended",
            ),
            overdue: register
                .plain_age("access_overdue", "By how much the access that is most overdue is past its end and still stands; 0 when none is"),
            events: register.plain_gauge("events_waiting", "Entries of histories, and reports of deletions, that are not published as Events yet"),
            proven: register.gauge("proof", "Whether something is proven of the cluster (1) or not (0): without all of them nothing is granted"),
            proof_age: register.age("proof_age", "Time since something was last proven; missing when it was not since the start"),
            watch_age: register.age("watch_age", "Time since the watch that has been silent longest heard anything: a change, a bookmark, or that it was opened"),
            queued: register.gauge("queue_length", "Objects of which a change was heard, and whose reconcile has not begun"),
            oldest: register.age("queue_age", "For how long the oldest of them has waited; 0 when none does"),
            ready: register.plain_gauge("ready", "Whether /readyz says so (1) or not (0)"),
            leader: register.plain_gauge("leader", "Whether this operator acts (1), or stands by while another does (0)"),
        }
    }

    /// A look at everything. What is not seen in it is not shown as it was before.
    pub fn look(&self) -> Seen<'_> {
        self.watch_age.clear();
        self.proof_age.clear();
        Seen(self)
    }
}

/// What is seen when somebody asks.
pub struct Seen<'a>(&'a State);

impl Seen<'_> {
    /// Open requests by phase, and by how much the access that is most overdue is past its end.
    pub fn requests(&self, by_phase: &BTreeMap<Phase, i64>, overdue: Duration) {
        for phase in Phase::ALL {
            let count = by_phase.get(&phase).copied().unwrap_or_default();
            self.0.requests.get_or_create(&InPhase { phase: phase.to_string() }).set(count);
        }
        self.0.overdue.set(overdue.as_secs_f64());
    }

    /// What is not published yet.
    pub fn events_waiting(&self, count: usize) {
        self.0.events.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Whether something is proven, and when it last was.
    pub fn proof(&self, proof: &'static str, proven: bool, age: Option<Duration>) {
        self.0.proven.get_or_create(&Of { proof }).set(proven.into());
        if let Some(age) = age {
            self.0.proof_age.get_or_create(&Of { proof }).set(age.as_secs_f64());
        }
    }

    /// For how long a watch of this resource has been silent. Of several the oldest is shown.
    pub fn watch(&self, resource: &'static str, silent: Duration) {
        let age = self.0.watch_age.get_or_create(&On { resource });
        age.set(age.get().max(silent.as_secs_f64()));
    }

    /// What waits in a queue, and for how long the oldest has.
    pub fn queue(&self, kind: &'static str, length: usize, oldest: Duration) {
        self.0.queued.get_or_create(&Kind { kind }).set(i64::try_from(length).unwrap_or(i64::MAX));
        self.0.oldest.get_or_create(&Kind { kind }).set(oldest.as_secs_f64());
    }

    /// Whether the operator is ready.
    pub fn ready(&self, ready: bool) {
        self.0.ready.set(ready.into());
    }
}
