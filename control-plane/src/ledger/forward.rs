//! Calls on to the platform's own collector. The queue is the ledger itself: what was forwarded is a position in it, so that a slow
//! collector holds nothing up and a restart loses nothing.

mod collector;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chapar_core::time::Timestamp;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use rand::RngExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use self::collector::ForwardError;
use self::collector::{Collector, Taken};
use super::{Ledger, masking::mask};
use crate::{config, problem::WithSources, store::StoreError};

/// Pause when there is nothing to forward.
const IDLE_PAUSE: Duration = Duration::from_millis(500);

/// Pauses after a failure, from the first to the longest; each is shortened by chance, so that many never come back at once.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How often the position is written down. What was forwarded since is forwarded again after a crash.
const MARK_INTERVAL: Duration = Duration::from_secs(5);

/// Name and scope of the spans.
const SCOPE: &str = "chapar-sidecar";

/// A portion of the ledger.
#[derive(Debug, Default)]
struct Portion {
    /// Position of its last span; of spans that are left out as well.
    until: i64,
    /// By reporter.
    spans: BTreeMap<String, Vec<Span>>,
    count: u64,
    /// Spans that can no longer be read.
    unreadable: u64,
    /// Spans that were passed over because too many wait.
    passed_over: u64,
    /// How many more there are, and when the first of this portion came.
    behind: i64,
    oldest_at: Option<Timestamp>,
}

/// Forwards until told to stop.
///
/// # Errors
/// When the collector's configuration cannot be used.
pub fn forwarder(
    ledger: Ledger,
    config: config::Forward,
    stopping: CancellationToken,
) -> Result<impl Future<Output = ()> + Send, ForwardError> {
    let collector = Collector::new(&config)?;
    Ok(async move {
        let forwarding = Forwarding { ledger, config, collector, position: 0, marked: 0, marked_at: Instant::now() };
        stopping.clone().run_until_cancelled(forwarding.run()).await;
    })
}

struct Forwarding {
    ledger: Ledger,
    config: config::Forward,
    collector: Collector,
    position: i64,
    marked: i64,
    marked_at: Instant,
}

impl Forwarding {
    async fn run(mut self) {
        let mut pause = RETRY_PAUSE_MIN;
        while let Err(error) = self.begin().await {
            tracing::error!(error = %WithSources(&error), "cannot read how far the ledger was forwarded; trying again");
            sleep(RETRY_PAUSE_MAX).await;
        }
        loop {
            match self.step().await {
                Ok(more) => {
                    pause = RETRY_PAUSE_MIN;
                    if !more {
                        sleep(IDLE_PAUSE).await;
                    }
                }
                Err(error) => {
                    let jittered = pause.mul_f64(rand::rng().random_range(0.5..1.0));
                    tracing::warn!(error = %WithSources(&error), "cannot forward spans; trying again in {jittered:?}");
                    sleep(jittered).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
    }

    /// Goes on where it was; the first time, with what comes from now on.
    async fn begin(&mut self) -> Result<(), StoreError> {
        self.position = match self.ledger.store.forwarded().await? {
            0 => self.ledger.store.newest_position().await?,
            held => held,
        };
        self.mark().await
    }

    /// One portion. Says whether there is more.
    async fn step(&mut self) -> Result<bool, ForwardError> {
        let portion = self.portion().await?;
        let metrics = &self.ledger.metrics;
        if portion.passed_over > 0 {
            metrics.forward_dropped.with_label_values(&["behind"]).inc_by(portion.passed_over);
            tracing::warn!(spans = portion.passed_over, "the collector is too slow: the oldest spans are not forwarded");
        }
        metrics.forward_behind.set(portion.behind);
        let now_ms = self.ledger.now().unix_ms();
        metrics.forward_lag_s.set(portion.oldest_at.map_or(0, |oldest_at| (now_ms - oldest_at.unix_ms()) / 1_000));
        let more = portion.until > self.position;
        if portion.count > 0 {
            let count = portion.count;
            let refused = match self.collector.send(&export(portion.spans)).await? {
                Taken::Whole => 0,
                Taken::But(refused) => refused.min(count),
            };
            self.ledger.metrics.forwarded.inc_by(count - refused);
            self.ledger.metrics.forward_dropped.with_label_values(&["rejected"]).inc_by(refused);
        }
        self.ledger.metrics.forward_dropped.with_label_values(&["unreadable"]).inc_by(portion.unreadable);
        self.position = portion.until.max(self.position);
        if self.position != self.marked && (!more || self.marked_at.elapsed() >= MARK_INTERVAL) {
            self.mark().await?;
        }
        Ok(more)
    }

    /// The next spans.
    async fn portion(&self) -> Result<Portion, StoreError> {
        let (store, config) = (&self.ledger.store, &self.config);
        let newest = store.newest_position().await?;
        let behind_max = i64::try_from(config.behind_spans_max).unwrap_or(i64::MAX);
        let from = self.position.max(newest.saturating_sub(behind_max));
        let passed_over = u64::try_from(from - self.position).unwrap_or_default();
        let mut portion = Portion { until: from, passed_over, behind: newest - from, ..Portion::default() };
        for queued in store.spans_after(from, config.batch_spans).await? {
            portion.until = queued.position;
            portion.oldest_at.get_or_insert(queued.received_at);
            let Some(mut span) = queued.span else {
                portion.unreadable += 1;
                continue;
            };
            if is_sampled(&span.trace_id, config.sample_ratio) {
                // A collector is for operations, and is no inspector.
                mask(&mut span);
                portion.spans.entry(queued.reporter).or_default().push(span);
                portion.count += 1;
            }
        }
        Ok(portion)
    }

    async fn mark(&mut self) -> Result<(), StoreError> {
        let position = self.position;
        self.ledger.store.set_forwarded(position).await?;
        (self.marked, self.marked_at) = (position, Instant::now());
        Ok(())
    }
}

/// The same for all spans of a trace, at whichever collector's ratio: by the random part of its ID (W3C Trace Context, level 2).
fn is_sampled(trace_id: &[u8], ratio: f64) -> bool {
    let random = trace_id.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes) >> 8);
    const ALL: f64 = (1_u64 << 56) as f64;
    (random as f64) < ratio * ALL || ratio >= 1.0
}

fn export(spans: BTreeMap<String, Vec<Span>>) -> ExportTraceServiceRequest {
    let resource_spans = spans.into_iter().map(|(reporter, spans)| {
        let agency = reporter.split('/').nth(4).unwrap_or_default().to_owned();
        let attributes = vec![
            text("service.name", SCOPE.to_owned()),
            text("service.namespace", agency),
            text("service.instance.id", reporter.clone()),
            text("chapar.sidecar", reporter),
        ];
        let scope = Some(InstrumentationScope { name: SCOPE.to_owned(), ..InstrumentationScope::default() });
        ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope, spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

fn text(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(Value::StringValue(value)) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests;
