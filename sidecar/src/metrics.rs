//! What is counted, in the names under which Prometheus finds it. Every label takes its values from a fixed set.

use std::fmt;

use chapar_core::time::Timestamp;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use rustls::CommonState;

use crate::{call_metrics::CallMetrics, report::SpoolStatus};

/// All metrics of the sidecar.
pub struct Metrics {
    registry: Registry,
    call_metrics: CallMetrics,
    connections: IntGaugeVec,
    connections_refused: IntCounterVec,
    connections_passed: IntCounterVec,
    handshakes: IntCounterVec,
    handshakes_failed: IntCounterVec,
    limit_breaches: IntCounterVec,
    dialled_connections: IntGaugeVec,
    ejections: IntCounterVec,
    retries: IntCounter,
    ejected: IntGaugeVec,
    snapshot_revision: IntGauge,
    snapshot_policy_version: IntGauge,
    snapshot_age: IntGauge,
    snapshot_left: IntGauge,
    certificate_left: IntGauge,
    records_waiting: IntGauge,
    records_lost: IntCounter,
    records_damaged: IntCounter,
    spool_bytes: IntGauge,
    spool_oldest_age: IntGauge,
    export_lag: IntGauge,
    upstream_healthy: IntGaugeVec,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The agency's own applications.
    Outbound,
    /// Other sidecars.
    Inbound,
}

impl Listener {
    /// Stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When two metrics have one name, which only a mistake in this file can bring about.
    #[allow(clippy::too_many_lines)] // One line a metric.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("chapar_sidecar".to_owned()), None)?;
        let call_metrics = CallMetrics::new()?;
        registry.register(Box::new(call_metrics.clone()))?;
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let retries = IntCounter::new("retries_total", "Calls sent again because the first endpoint had not taken them on.")?;
        registry.register(Box::new(retries.clone()))?;
        let records_lost = IntCounter::new("records_lost_total", "Records of calls that were lost before their export.")?;
        registry.register(Box::new(records_lost.clone()))?;
        let records_damaged = IntCounter::new("records_damaged_total", "Records of calls that the spool could not give back.")?;
        registry.register(Box::new(records_damaged.clone()))?;
        Ok(Self {
            call_metrics,
            connections: gauges("connections_open", "Connections that came in and are open.", &["listener"])?,
            connections_refused: counters("connections_refused_total", "Connections closed at once.", &["listener", "cause"])?,
            connections_passed: counters(
                "connections_passed_total",
                "Connections that a worker left to a less busy one.",
                &["listener"],
            )?,
            handshakes: counters("handshakes_total", "TLS handshakes completed.", &["with", "suite", "key_exchange"])?,
            handshakes_failed: counters("handshakes_failed_total", "TLS handshakes refused.", &["cause"])?,
            limit_breaches: counters("limit_breaches_total", "Times that a peer broke a limit of the relay.", &["limit"])?,
            dialled_connections: gauges("links_open", "Connections to peers and upstreams that are open.", &["to"])?,
            ejections: counters("ejections_total", "Endpoints left out because they failed.", &["to"])?,
            retries,
            ejected: gauges("endpoints_ejected", "Endpoints that are left out now.", &["to"])?,
            snapshot_revision: gauge("snapshot_revision", "Revision of the snapshot in force; 0 without one.")?,
            snapshot_policy_version: gauge("snapshot_policy_version", "Policy version in force; 0 without one.")?,
            snapshot_age: gauge("snapshot_age_seconds", "Time since the snapshot in force was signed; -1 without one.")?,
            snapshot_left: gauge("snapshot_valid_seconds", "Time until the snapshot in force is stale; negative when it is.")?,
            certificate_left: gauge("certificate_valid_seconds", "Time until the sidecar's certificate expires.")?,
            records_waiting: gauge("records_waiting", "Records of calls that wait for their export.")?,
            records_lost,
            records_damaged,
            spool_bytes: gauge("spool_bytes", "Bytes of the files that hold records of calls.")?,
            spool_oldest_age: gauge("spool_oldest_age_seconds", "Age of the oldest call whose record waits; 0 when none does.")?,
            export_lag: gauge("export_lag_milliseconds", "Age of the oldest record of the last export when it was taken.")?,
            upstream_healthy: gauges("upstream_healthy", "1 if the agency's server answers, else 0.", &["service", "address"])?,
            registry,
        })
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// When the encoder cannot write.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }

    /// For those who keep metrics of their own.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What the workers count of calls.
    #[must_use]
    pub const fn calls(&self) -> &CallMetrics {
        &self.call_metrics
    }

    pub(crate) fn connections(&self, listener: Listener) -> IntGauge {
        self.connections.with_label_values(&[listener.as_str()])
    }

    pub(crate) fn connection_refused(&self, listener: Listener, cause: &'static str) {
        self.connections_refused.with_label_values(&[listener.as_str(), cause]).inc();
    }

    /// A worker left a connection to a less busy one.
    pub(crate) fn connection_passed(&self, listener: Listener) {
        self.connections_passed.with_label_values(&[listener.as_str()]).inc();
    }

    /// A handshake was completed `with` a peer that was called, one that calls, or an upstream.
    pub(crate) fn handshake(&self, with: &'static str, session: &CommonState) {
        let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        // The library writes TLS13_ where the registry has TLS_.
        let suite = suite.map_or_else(|| "unknown".to_owned(), |name| name.replacen("TLS13_", "TLS_", 1));
        let exchange = session.negotiated_key_exchange_group().and_then(|group| group.name().as_str()).unwrap_or("unknown");
        self.handshakes.with_label_values(&[with, &suite, exchange]).inc();
    }

    pub(crate) fn handshake_failed(&self, cause: &'static str) {
        self.handshakes_failed.with_label_values(&[cause]).inc();
    }

    pub(crate) fn dialled_connections(&self, to: &'static str) -> IntGauge {
        self.dialled_connections.with_label_values(&[to])
    }

    pub(crate) fn ejection(&self, to: &'static str) {
        self.ejections.with_label_values(&[to]).inc();
    }

    /// Of one worker's endpoints `count` are left out, and `before` were when it last said so.
    pub(crate) fn ejected(&self, to: &'static str, count: usize, before: usize) {
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.ejected.with_label_values(&[to]).add(signed(count) - signed(before));
    }

    pub(crate) fn retried(&self, times: u64) {
        self.retries.inc_by(times);
    }

    pub(crate) fn limit_breached(&self, limit: &'static str, times: u64) {
        self.limit_breaches.with_label_values(&[limit]).inc_by(times);
    }

    pub(crate) fn upstream_healthy(&self, service: &str, address: &str, healthy: bool) {
        self.upstream_healthy.with_label_values(&[service, address]).set(i64::from(healthy));
    }

    pub(crate) fn snapshot(&self, revision: u64, policy_version: u64, age_s: i64, left_s: i64) {
        self.snapshot_revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        self.snapshot_policy_version.set(i64::try_from(policy_version).unwrap_or(i64::MAX));
        self.snapshot_age.set(age_s);
        self.snapshot_left.set(left_s);
    }

    pub(crate) fn account(&self, status: &SpoolStatus, now: Timestamp) {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.records_waiting.set(whole(status.records));
        self.spool_bytes.set(whole(status.bytes));
        self.spool_oldest_age.set(status.oldest_at.map_or(0, |oldest| whole(now.duration_since(oldest).as_secs())));
        self.export_lag.set(i64::try_from(status.lag.as_millis()).unwrap_or(i64::MAX));
        self.records_lost.inc_by(status.lost.saturating_sub(self.records_lost.get()));
        self.records_damaged.inc_by(status.damaged.saturating_sub(self.records_damaged.get()));
    }

    pub(crate) fn certificate(&self, left_s: i64) {
        self.certificate_left.set(left_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_every_metric_once() {
        let metrics = Metrics::new().expect("names differ");
        metrics.calls().add_worker().began(chapar_core::policy::Side::Consumer);
        let text = String::from_utf8(metrics.text().expect("encodes")).expect("is text");
        assert!(text.contains("chapar_sidecar_calls_live{side=\"consumer\"} 1"), "{text}");
    }
}
