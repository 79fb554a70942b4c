//! What the ledger counts.

use chapar_core::time::Timestamp;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{intake::Ingested, pairing::Marks};

/// Counters of reported spans. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    stored: IntCounter,
    known: IntCounter,
    rejected: IntCounterVec,
    lost: IntCounterVec,
    checkpoints: IntCounter,
    pub(super) ingest_lag_s: Gauge,
    evicted: IntCounter,
    /// The same under its former name, for one release.
    forgotten: IntCounter,
    pub(super) unpaired: IntGaugeVec,
    disagreeing: IntCounter,
    marked: IntCounterVec,
    pub(super) forwarded: IntCounter,
    pub(super) forward_dropped: IntCounterVec,
    pub(super) forward_behind: IntGauge,
    pub(super) forward_lag_s: IntGauge,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// When something else was registered under one of the names.
    pub fn registered(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, about: &str| {
            let made = IntCounter::new(name, about)?;
            registry.register(Box::new(made.clone())).map(|()| made)
        };
        let counters = |name: &str, about: &str, label: &str| {
            let made = IntCounterVec::new(Opts::new(name, about), &[label])?;
            registry.register(Box::new(made.clone())).map(|()| made)
        };
        let gauge = |name: &str, about: &str| {
            let made = IntGauge::new(name, about)?;
            registry.register(Box::new(made.clone())).map(|()| made)
        };
        let unpaired = unpaired(registry)?;
        let ingest_lag_s = Gauge::new(
            "chapar_control_plane_ingest_lag_seconds",
            "Age of the oldest new call of the last export, from its end until its record was durable here",
        )?;
        registry.register(Box::new(ingest_lag_s.clone()))?;
        Ok(Self {
            ingest_lag_s,
            stored: counter("chapar_control_plane_spans_stored_total", "Spans taken into the ledger")?,
            known: counter(
                "chapar_control_plane_spans_deduplicated_total",
                "Spans that were reported again and were there already",
            )?,
            rejected: counters(
                "chapar_control_plane_spans_rejected_total",
                "Spans not taken into the ledger, by reason",
                "reason",
            )?,
            lost: counters("chapar_control_plane_records_lost_total", "Records that sidecars report as lost, by cause", "cause")?,
            checkpoints: counter("chapar_control_plane_checkpoints_stored_total", "Signed checkpoints of evidence chains taken")?,
            evicted: counter(
                "chapar_control_plane_spans_evicted_total",
                "Spans removed because they were older, or more, than the ledger keeps",
            )?,
            forgotten: counter(
                "chapar_control_plane_spans_forgotten_total",
                "Former name of chapar_control_plane_spans_evicted_total; it goes with the next release",
            )?,
            unpaired,
            disagreeing: counter(
                "chapar_control_plane_calls_disagreeing_total",
                "Calls whose two sides have told what cannot both be true",
            )?,
            marked: counters(
                "chapar_control_plane_calls_marked_total",
                "Calls that claim a time that is not to be believed, what no grant in force allowed, or a subject by a wrong key, by mark",
                "mark",
            )?,
            forwarded: counter("chapar_control_plane_spans_forwarded_total", "Spans that the collector has taken")?,
            forward_dropped: counters(
                "chapar_control_plane_spans_forward_dropped_total",
                "Spans that were not forwarded, by reason",
                "reason",
            )?,
            forward_behind: gauge(
                "chapar_control_plane_spans_forward_behind",
                "Spans in the ledger that have yet to be forwarded",
            )?,
            forward_lag_s: gauge(
                "chapar_control_plane_spans_forward_lag_seconds",
                "Age of the oldest span that has yet to be forwarded; 0 when there is none",
            )?,
        })
    }

    pub(super) fn ingested(&self, ingested: &Ingested, now: Timestamp) {
        if let Some(ended_us) = ingested.oldest_ended_us {
            // A sidecar's clock may be ahead of this one.
            self.ingest_lag_s.set((now.unix_ms() - ended_us / 1_000).max(0) as f64 / 1_000.0);
        }
        self.stored.inc_by(ingested.stored as u64);
        self.known.inc_by(ingested.known as u64);
        self.checkpoints.inc_by(ingested.checkpoints as u64);
        self.disagreeing.inc_by(ingested.disagreeing);
        self.marked(Marks::TIME, ingested.times_doubted);
        self.marked(Marks::SUBJECT, ingested.subjects_doubted);
        for why in &ingested.rejected {
            self.rejected.with_label_values(&[why.reason()]).inc();
        }
        for (cause, records) in &ingested.lost {
            self.lost.with_label_values(&[cause.as_str()]).inc_by(*records);
        }
    }

    /// Counts calls that bear these marks since just now.
    pub(super) fn marked(&self, marks: Marks, calls: u64) {
        for (_, name) in Marks::NAMED.iter().filter(|(mark, _)| marks.has(*mark)) {
            self.marked.with_label_values(&[name]).inc_by(calls);
        }
    }

    #[cfg(test)]
    pub(super) fn disagreeing(&self) -> u64 {
        self.disagreeing.get()
    }

    pub(super) fn evicted(&self, spans: u64) {
        self.evicted.inc_by(spans);
        self.forgotten.inc_by(spans);
    }
}

fn unpaired(registry: &Registry) -> prometheus::Result<IntGaugeVec> {
    let about = Opts::new(
        "chapar_control_plane_calls_unpaired",
        "Calls that one side has reported and the other has not, after the time it is given; by the side that is missing",
    );
    let unpaired = IntGaugeVec::new(about, &["missing"])?;
    registry.register(Box::new(unpaired.clone()))?;
    Ok(unpaired)
}
