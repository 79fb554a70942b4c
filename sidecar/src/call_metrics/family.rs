//! Families of metrics in Prometheus' words.

use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};

pub(super) fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

pub(super) fn counter(labels: Vec<LabelPair>, count: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(float(count));
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

pub(super) fn labels(names: &[&str], values: &[&str]) -> Vec<LabelPair> {
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut labels: Vec<_> = names.iter().zip(values).map(pair).collect();
    // In the order in which the registry writes those of its own metrics.
    labels.sort_by(|one, other| one.name().cmp(other.name()));
    labels
}

/// Prometheus counts in floating point: exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

pub(super) const fn seconds(us: u64) -> f64 {
    float(us) / 1e6
}
