//! What distribution counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters of snapshot streams. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    sent: IntCounterVec,
    answered: IntCounterVec,
    /// Streams that are open now.
    pub(crate) streams: IntGauge,
    /// Revision of the newest state.
    pub(crate) revision: IntGauge,
    /// States that could not be made, because the store failed.
    pub(crate) rebuild_failures: IntCounter,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// When something else was registered under one of the names.
    pub fn registered(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            sent: IntCounterVec::new(
                Opts::new("chapar_control_plane_snapshot_updates_total", "Snapshot updates sent, by whole set or delta"),
                &["kind"],
            )?,
            answered: IntCounterVec::new(
                Opts::new("chapar_control_plane_snapshot_answers_total", "Updates that sidecars answered"),
                &["answer"],
            )?,
            streams: IntGauge::new("chapar_control_plane_snapshot_streams", "Sidecars that are connected now")?,
            revision: IntGauge::new("chapar_control_plane_distribution_revision", "Newest revision distributed")?,
            rebuild_failures: IntCounter::new(
                "chapar_control_plane_distribution_rebuild_failures_total",
                "Times that the newest state could not be read from the store",
            )?,
        };
        registry.register(Box::new(metrics.sent.clone()))?;
        registry.register(Box::new(metrics.answered.clone()))?;
        registry.register(Box::new(metrics.streams.clone()))?;
        registry.register(Box::new(metrics.revision.clone()))?;
        registry.register(Box::new(metrics.rebuild_failures.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn sent(&self, full: bool) {
        self.sent.with_label_values(&[if full { "full" } else { "delta" }]).inc();
    }

    pub(crate) fn accepted(&self) {
        self.answered.with_label_values(&["accepted"]).inc();
    }

    pub(crate) fn refused(&self) {
        self.answered.with_label_values(&["refused"]).inc();
    }
}
