//! The names under which everything is shown: each is registered once, with its help.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry, Unit},
};

/// Before every name.
const PREFIX: &str = "lockbox";

/// What is registered, and under which names it is read.
#[derive(Debug)]
pub struct Register {
    registry: Registry,
    names: Vec<String>,
}

impl Default for Register {
    fn default() -> Self {
        Self { registry: Registry::with_prefix(PREFIX), names: vec![] }
    }
}

/// What takes labels, or has none.
pub trait Labels: EncodeLabelSet + std::hash::Hash + Eq + Clone + std::fmt::Debug + Send + Sync + 'static {}

impl<T: EncodeLabelSet + std::hash::Hash + Eq + Clone + std::fmt::Debug + Send + Sync + 'static> Labels for T {}

impl Register {
    /// Something that only grows; `_total` is added to its name.
    pub fn counter<L: Labels>(&mut self, name: &str, help: &str) -> Family<L, Counter> {
        let family = Family::<L, Counter>::default();
        self.add(name, help, family.clone(), &["_total"]);
        family
    }

    /// Something that goes up and down.
    pub fn gauge<L: Labels>(&mut self, name: &str, help: &str) -> Family<L, Gauge> {
        let family = Family::<L, Gauge>::default();
        self.add(name, help, family.clone(), &[""]);
        family
    }

    /// The same, of one value.
    pub fn plain_gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.add(name, help, gauge.clone(), &[""]);
        gauge
    }

    /// An age or a length of time, in seconds; `_seconds` is added to its name.
    pub fn age<L: Labels>(&mut self, name: &str, help: &str) -> Ages<L> {
        let family = Ages::<L>::default();
        self.registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        self.names.push(format!("{PREFIX}_{name}_seconds"));
        family
    }

    /// The same, of one value.
    pub fn plain_age(&mut self, name: &str, help: &str) -> Age {
        let age = Age::default();
        self.registry.register_with_unit(name, help, Unit::Seconds, age.clone());
        self.names.push(format!("{PREFIX}_{name}_seconds"));
        age
    }

    /// How long something took, in seconds; `_seconds` is added to its name.
    pub fn times<L: Labels>(&mut self, name: &str, help: &str, new: fn() -> Histogram) -> Times<L> {
        let family = Family::<L, Histogram, fn() -> Histogram>::new_with_constructor(new);
        self.registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        self.names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{PREFIX}_{name}_seconds{suffix}")));
        family
    }

    /// The same, without labels.
    pub fn plain_times(&mut self, name: &str, help: &str, new: fn() -> Histogram) -> Histogram {
        let times = new();
        self.registry.register_with_unit(name, help, Unit::Seconds, times.clone());
        self.names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{PREFIX}_{name}_seconds{suffix}")));
        times
    }

    fn add(&mut self, name: &str, help: &str, metric: impl Metric, suffixes: &[&str]) {
        self.registry.register(name, help, metric);
        self.names.extend(suffixes.iter().map(|suffix| format!("{PREFIX}_{name}{suffix}")));
    }

    /// Everything, and the names of its series.
    pub fn done(self) -> (Registry, Vec<String>) {
        (self.registry, self.names)
    }
}

/// Lengths of time, by labels.
pub type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// A length of time that goes up and down.
pub type Age = Gauge<f64, AtomicU64>;

/// The same, by labels.
pub type Ages<L> = Family<L, Age>;
