//! What happened: sidecars' spans come in by OTLP, are judged, stored durably before they are acknowledged, and found again
//! by who asked whom for what (regulation, article 3, note 2).

mod metrics;
mod read;
mod retention;
mod span;
mod write;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::trace::v1::Span;

pub use self::{
    metrics::Metrics,
    read::{Call, Query, StoredSpan, Wanted},
    retention::keep_bounded,
    span::{Account, Rejection, ReportedSpan, judged},
};
use crate::{
    api::caller::SidecarCaller,
    audit::AuditEntry,
    store::{Store, StoreError},
};

/// Rejections of one reporter are audited at most this often, in milliseconds: a broken or hostile sidecar must not fill the
/// audit. What is left out is counted in the next entry.
const AUDIT_PAUSE_MS: i64 = 10_000;

/// Rejections that are told in full, to the reporter and the audit.
const TOLD_MAX: usize = 5;

/// The ledger. Clones speak of the same.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store,
    metrics: Metrics,
    /// By reporter; one entry a sidecar that ever sent something wrong.
    audited: Arc<Mutex<HashMap<String, Audited>>>,
}

#[derive(Debug)]
struct Audited {
    at_ms: i64,
    left_out: u64,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    /// New spans, durable now.
    pub stored: usize,
    /// Spans that were there already.
    pub known: usize,
    /// Spans that are not taken, and why.
    pub rejected: Vec<Rejection>,
}

impl Ingested {
    /// The rejections as one text for the reporter; empty when there are none.
    #[must_use]
    pub fn complaint(&self) -> String {
        let told: Vec<_> = self.rejected.iter().take(TOLD_MAX).map(|why| format!("{}: {why}", why.reason())).collect();
        let more = self.rejected.len().saturating_sub(TOLD_MAX);
        if more == 0 { told.join("; ") } else { format!("{}; and {more} more", told.join("; ")) }
    }
}

impl Ledger {
    /// A ledger in this store.
    #[must_use]
    pub fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics, audited: Arc::default() }
    }

    /// Takes a batch: what may be taken is stored in one write, durable when this returns. Sent again, it changes nothing.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was taken, and the batch may be sent again.
    pub async fn ingest(&self, reporter: &SidecarCaller, spans: Vec<Span>) -> Result<Ingested, StoreError> {
        let now_ms = self.store.clock().now_ms();
        let mut ingested = Ingested::default();
        let mut taken = Vec::with_capacity(spans.len());
        for span in spans {
            match judged(span, &reporter.agency, now_ms) {
                Ok(span) => taken.push(span),
                Err(why) => ingested.rejected.push(why),
            }
        }
        let name = reporter.id.to_string();
        let refusal = self.refusal_to_audit(&name, &ingested, now_ms);
        if !taken.is_empty() || refusal.is_some() {
            let mut tx = self.store.write().await?;
            for span in &taken {
                if write::span(&mut tx, &name, span).await? { ingested.stored += 1 } else { ingested.known += 1 }
            }
            if let Some(entry) = refusal {
                tx.audit(entry).await?;
            }
            tx.commit().await?;
        }
        self.metrics.ingested(&ingested);
        Ok(ingested)
    }

    /// As if the disk were gone.
    #[cfg(test)]
    pub(crate) async fn closed(&self) {
        self.store.close().await;
    }

    fn refusal_to_audit(&self, reporter: &str, ingested: &Ingested, now_ms: i64) -> Option<AuditEntry> {
        let first = ingested.rejected.first()?;
        let refused = u64::try_from(ingested.rejected.len()).unwrap_or(u64::MAX);
        // An entry in the map is one number and one time: nothing is half done if a holder panicked.
        let mut audited = self.audited.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = match audited.get_mut(reporter) {
            Some(last) if now_ms < last.at_ms.saturating_add(AUDIT_PAUSE_MS) => {
                last.left_out = last.left_out.saturating_add(refused);
                return None;
            }
            Some(last) => last.left_out,
            None => 0,
        };
        audited.insert(reporter.to_owned(), Audited { at_ms: now_ms, left_out: 0 });
        let details = serde_json::json!({ "spans": refused, "leftOut": left_out, "problem": ingested.complaint() });
        Some(AuditEntry::refused(reporter, "trace.refuse", "spans", first.reason()).with(details))
    }

    /// Calls, newest first, and the token of the next page.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn calls(&self, query: &Query, page: &crate::api::Page) -> Result<(Vec<Call>, String), crate::api::Problem> {
        read::calls(self.store.read(), query, page).await
    }

    /// The spans of a trace, oldest first, by its ID or by that of a call in it. Empty: there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn trace(&self, id: &str) -> Result<Vec<StoredSpan>, StoreError> {
        read::trace(self.store.read(), id).await
    }
}

#[cfg(test)]
mod tests;
