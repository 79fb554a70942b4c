//! Counting calls without a lock, a look-up or a shared cache line: each worker counts for itself, and the page of metrics adds
//! up.

mod counters;
mod family;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chapar_core::{
    policy::{GrpcCode, Reason, Side},
    record::Outcome,
};
use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, Gauge, Histogram, Metric, MetricFamily, MetricType},
};

pub use self::counters::CallCounters;
use self::{
    counters::{DURATION_BUCKETS_US, Flowed, SIDES, ending, read},
    family::{counter, family, float, labels, seconds},
};

/// What all workers count of their calls, as Prometheus finds it.
#[derive(Clone)]
pub struct CallMetrics {
    all: Arc<Mutex<Vec<Arc<CallCounters>>>>,
    descs: Arc<[Desc]>,
}

impl fmt::Debug for CallMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallMetrics").finish_non_exhaustive()
    }
}

/// Name, help, labels and type of each metric.
const METRICS: [(&str, &str, &[&str], MetricType); 5] = [
    (
        "calls_total",
        "Calls that ended, by side, outcome, reason of refusal and gRPC status.",
        &["side", "outcome", "reason", "status"],
        MetricType::COUNTER,
    ),
    ("call_duration_seconds", "Duration of calls, by side.", &["side"], MetricType::HISTOGRAM),
    ("messages_total", "gRPC messages of calls that ended.", &["side", "direction"], MetricType::COUNTER),
    ("message_bytes_total", "Bytes of gRPC messages of calls that ended.", &["side", "direction"], MetricType::COUNTER),
    ("calls_live", "Calls under way.", &["side"], MetricType::GAUGE),
];

impl CallMetrics {
    /// No worker counts yet.
    ///
    /// # Errors
    /// When a metric's name is none, which only a mistake in this file can bring about.
    pub fn new() -> Result<Self, prometheus::Error> {
        let desc = |(name, help, labels, _): &(&str, &str, &[&str], MetricType)| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new((*name).to_owned(), (*help).to_owned(), labels, std::collections::HashMap::new())
        };
        let descs = METRICS.iter().map(desc).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { all: Arc::default(), descs: descs.into() })
    }

    /// A counters for one worker more.
    #[must_use]
    pub fn add_worker(&self) -> Arc<CallCounters> {
        let counters = Arc::new(CallCounters::default());
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counters));
        counters
    }

    /// Calls under way.
    #[must_use]
    pub fn live(&self) -> usize {
        let live: u64 = SIDES.iter().map(|side| self.sum(|counters| counters.live(*side))).sum();
        usize::try_from(live).unwrap_or(usize::MAX)
    }

    fn sum(&self, count: impl Fn(&CallCounters) -> u64) -> u64 {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|counters| count(counters)).sum()
    }

    fn endings(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        let reasons = || std::iter::once(None).chain(Reason::ALL.iter().copied().map(Some));
        for (side, outcome) in SIDES.iter().flat_map(|side| Outcome::ALL.iter().map(move |outcome| (*side, *outcome))) {
            for (reason, code) in reasons().flat_map(|reason| (0..=16).map(move |code| (reason, GrpcCode::from_number(code)))) {
                let at = ending(side, outcome, reason, code);
                let count = self.sum(|counters| counters.endings.get(at).map_or(0, read));
                if count > 0 {
                    let reason = reason.map_or("", Reason::as_str);
                    let values = [side.as_str(), outcome.as_str(), reason, code.as_str()];
                    metrics.push(counter(labels(METRICS[0].2, &values), count));
                }
            }
        }
        metrics
    }

    fn durations(&self, side: Side) -> Metric {
        let mut below = 0;
        let mut buckets = Vec::with_capacity(DURATION_BUCKETS_US.len());
        for (at, bound_us) in DURATION_BUCKETS_US.into_iter().enumerate() {
            below += self.sum(|counters| read(&counters.sides[side as usize].durations[at]));
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(below);
            bucket.set_upper_bound(seconds(bound_us));
            buckets.push(bucket);
        }
        let above = self.sum(|counters| read(&counters.sides[side as usize].durations[DURATION_BUCKETS_US.len()]));
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(below + above);
        histogram.set_sample_sum(seconds(self.sum(|counters| read(&counters.sides[side as usize].duration_us))));
        let mut metric = Metric::from_label(labels(METRICS[1].2, &[side.as_str()]));
        metric.set_histogram(histogram);
        metric
    }

    fn flows(&self, metric: usize, count: impl Fn(&Flowed) -> u64) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for side in SIDES {
            let of = |counters: &CallCounters| {
                let side = &counters.sides[side as usize];
                [count(&side.request), count(&side.response)]
            };
            for (at, direction) in ["request", "response"].into_iter().enumerate() {
                let labels = labels(METRICS[metric].2, &[side.as_str(), direction]);
                metrics.push(counter(labels, self.sum(|counters| of(counters)[at])));
            }
        }
        metrics
    }

    fn lives(&self) -> Vec<Metric> {
        let live = |side: Side| {
            let mut gauge = Gauge::default();
            gauge.set_value(float(self.sum(|counters| counters.live(side))));
            let mut metric = Metric::from_label(labels(METRICS[4].2, &[side.as_str()]));
            metric.set_gauge(gauge);
            metric
        };
        SIDES.into_iter().map(live).collect()
    }
}

impl Collector for CallMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let durations = SIDES.into_iter().map(|side| self.durations(side)).collect();
        let flows = [self.flows(2, |flowed| read(&flowed.messages)), self.flows(3, |flowed| read(&flowed.bytes))];
        let [messages, bytes] = flows;
        let families = METRICS.iter().zip([self.endings(), durations, messages, bytes, self.lives()]);
        families.map(|((name, help, _, kind), metrics)| family(name, help, *kind, metrics)).collect()
    }
}

#[cfg(test)]
mod tests {
    use chapar_core::{
        record::{CallId, CallRecord, Flow, TraceContext},
        time::Timestamp,
    };
    use prometheus::{Encoder as _, Registry, TextEncoder};

    use super::{counters::ENDINGS, *};

    fn record(side: Side, duration_us: u64) -> CallRecord<'static> {
        let trace = TraceContext { trace_id: [1; 16], span_id: [2; 8], parent_span_id: None, sampled: true };
        let mut record = CallRecord::begun(CallId::from_bytes([3; 16]), trace, side, "/a/b", Timestamp::from_unix_ms(0), "peer");
        record.duration_us = duration_us;
        record.request = Flow { messages: 2, bytes: 30 };
        record
    }

    fn page(call_metrics: &CallMetrics) -> String {
        let registry = Registry::new_custom(Some("chapar_sidecar".to_owned()), None).expect("a name");
        registry.register(Box::new(call_metrics.clone())).expect("names differ");
        let mut page = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut page).expect("encodes");
        String::from_utf8(page).expect("is text")
    }

    #[test]
    fn what_all_workers_counted_is_on_the_page() {
        let call_metrics = CallMetrics::new().expect("names are good");
        let workers = [call_metrics.add_worker(), call_metrics.add_worker()];
        for counters in &workers {
            counters.began(Side::Consumer);
            counters.began(Side::Consumer);
            counters.ended(&record(Side::Consumer, 500));
        }
        let mut refused = record(Side::Consumer, 90_000_000);
        (refused.outcome, refused.reason, refused.status) = (Outcome::Refused, Some(Reason::NoGrant), GrpcCode::PermissionDenied);
        workers[1].ended(&refused);
        let page = page(&call_metrics);
        for line in [
            "chapar_sidecar_calls_total{outcome=\"abandoned\",reason=\"\",side=\"consumer\",status=\"CANCELLED\"} 2",
            "chapar_sidecar_calls_total{outcome=\"refused\",reason=\"NO_GRANT\",side=\"consumer\",status=\"PERMISSION_DENIED\"} 1",
            "chapar_sidecar_calls_live{side=\"consumer\"} 1",
            "chapar_sidecar_call_duration_seconds_bucket{side=\"consumer\",le=\"0.00025\"} 0",
            "chapar_sidecar_call_duration_seconds_bucket{side=\"consumer\",le=\"0.0005\"} 2",
            "chapar_sidecar_call_duration_seconds_bucket{side=\"consumer\",le=\"+Inf\"} 3",
            "chapar_sidecar_call_duration_seconds_count{side=\"consumer\"} 3",
            "chapar_sidecar_messages_total{direction=\"request\",side=\"consumer\"} 6",
            "chapar_sidecar_message_bytes_total{direction=\"request\",side=\"consumer\"} 90",
            "chapar_sidecar_message_bytes_total{direction=\"response\",side=\"provider\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert_eq!(call_metrics.live(), 1);
    }

    #[test]
    fn every_ending_has_a_place_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for side in SIDES {
            for outcome in Outcome::ALL {
                for reason in std::iter::once(None).chain(Reason::ALL.iter().copied().map(Some)) {
                    for code in 0..=16 {
                        let at = ending(side, outcome, reason, GrpcCode::from_number(code));
                        assert!(at < ENDINGS && seen.insert(at));
                    }
                }
            }
        }
        assert_eq!(seen.len(), ENDINGS);
    }
}
