//! What the ledger counts.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::Ingested;

/// Counters of reported spans. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    stored: IntCounter,
    known: IntCounter,
    rejected: IntCounterVec,
    pub(super) forgotten: IntCounter,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// When something else was registered under one of the names.
    pub fn registered(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            stored: IntCounter::new("chapar_control_plane_spans_stored_total", "Spans taken into the ledger")?,
            known: IntCounter::new(
                "chapar_control_plane_spans_deduplicated_total",
                "Spans that were reported again and were there already",
            )?,
            rejected: IntCounterVec::new(
                Opts::new("chapar_control_plane_spans_rejected_total", "Spans not taken into the ledger, by reason"),
                &["reason"],
            )?,
            forgotten: IntCounter::new(
                "chapar_control_plane_spans_forgotten_total",
                "Spans removed because they were older, or more, than the ledger keeps",
            )?,
        };
        registry.register(Box::new(metrics.stored.clone()))?;
        registry.register(Box::new(metrics.known.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        registry.register(Box::new(metrics.forgotten.clone()))?;
        Ok(metrics)
    }

    pub(super) fn ingested(&self, ingested: &Ingested) {
        self.stored.inc_by(ingested.stored as u64);
        self.known.inc_by(ingested.known as u64);
        for why in &ingested.rejected {
            self.rejected.with_label_values(&[why.reason()]).inc();
        }
    }
}
