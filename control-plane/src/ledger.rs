//! What happened: sidecars' spans come in by OTLP, are judged, stored durably before they are acknowledged, paired, and found again
//! by who asked whom for what (regulation, article 3, note 2).
//!
//! The ledger is a file of its own. One thread writes it ([`writer`]), in groups of whatever waits; others read it.

mod evidence;
mod file;
mod forward;
mod judge;
mod metrics;
mod read;
mod retention;
mod rows;
mod stored;
mod subjects;
mod sums;
mod upkeep;
mod verify;
mod wire;
mod words;
mod writer;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use bytes::Bytes;
use chapar_core::{identity::AgencyName, record::LossCause};
use tokio::sync::mpsc;

pub(crate) use self::subjects::hash_text;
pub use self::{
    evidence::{NoEvidence, Piece, Recorded},
    forward::{ForwardError, forwarder},
    judge::Rejection,
    metrics::Metrics,
    read::{Call, Missing, Query, Wanted},
    stored::StoredSpan,
    subjects::About,
    sums::{Sum, Wanted as WantedSums},
    upkeep::keep_up,
    verify::{Finding, Progress, Trust},
    wire::{EXPORT_SPANS_MAX, Unreadable},
};
use self::{
    file::Readers,
    writer::{Export, Writer},
};
use crate::{
    caller::SidecarCaller,
    store::AuditEntry,
    store::{Store, StoreError},
};

/// Rejections of one reporter are audited at most this often, in milliseconds: a broken or hostile sidecar must not fill the
/// audit. What is left out is counted in the next entry.
const AUDIT_PAUSE_MS: i64 = 10_000;

/// Rejections that are told in full, to the reporter and the audit.
const TOLD_MAX: usize = 5;

/// Steps of a verification that wait to be told.
const PROGRESS_MAX: usize = 4;

/// The ledger. Clones speak of the same.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Where the audit is.
    store: Store,
    writer: Writer,
    readers: Readers,
    metrics: Metrics,
    /// By reporter; one entry a sidecar that ever sent something wrong.
    audited: Arc<Mutex<HashMap<String, Audited>>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
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
    /// New signatures under pieces of evidence chains.
    pub checkpoints: usize,
    /// Losses that are told for the first time: why, and how many records.
    pub lost: Vec<(LossCause, u64)>,
    /// When the first of the new calls ended, in Unix microseconds.
    pub oldest_ended_us: Option<i64>,
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

/// An export that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Its sender's software must be put right.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It may be sent again.
    #[error("the ledger cannot be written")]
    Store(#[from] StoreError),
}

impl Ledger {
    /// Opens the ledger in this file, and makes it if it is not there. What it refuses is audited in `store`.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version of this program.
    pub fn open(file: &Path, store: Store, metrics: Metrics) -> Result<Self, StoreError> {
        let conn = file::writer(file)?;
        let no_thread = |source| StoreError::Make { file: file.to_owned(), source };
        let (writer, thread) = Writer::start(conn).map_err(no_thread)?;
        let readers = Readers::of(file);
        let thread = Arc::new(Mutex::new(Some(thread)));
        Ok(Self { store, writer, readers, metrics, audited: Arc::default(), thread })
    }

    /// Takes an `ExportTraceServiceRequest`: what may be taken is durable when this returns. Sent again, it changes nothing.
    ///
    /// # Errors
    /// When it is unreadable, or the ledger cannot be written; then nothing was taken.
    pub async fn ingest(&self, reporter: &SidecarCaller, export: Bytes) -> Result<Ingested, IngestError> {
        wire::spans(&export)?;
        let now_ms = self.store.clock().now_ms();
        let export = Export { reporter: reporter.clone(), bytes: export, received_at_ms: now_ms };
        let ingested = self.writer.take(export).await?;
        let refusal = self.refusal_to_audit(&reporter.id.to_string(), &ingested, now_ms);
        if let Some(entry) = refusal {
            self.store.audit(entry).await?;
        }
        self.metrics.ingested(&ingested, self.store.clock().now_ms());
        Ok(ingested)
    }

    /// Waits until the writer has written what it was given, and ends it. Other clones can only read from then on.
    pub async fn close(self) {
        let Self { writer, thread, .. } = self;
        writer.end().await;
        let ended = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            // The thread ends by itself: a failure in it was told to whoever waited for it.
            let _ = tokio::task::spawn_blocking(move || ended.join()).await;
        }
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
    /// When the ledger cannot be read, or the page's token is none of its.
    pub async fn calls(&self, query: &Query, page: &crate::page::Page) -> Result<(Vec<Call>, String), crate::problem::Problem> {
        let (query, before, count) = (query.clone(), page.after_number()?, page.limit());
        let mut calls = self.readers.read(move |conn| Ok(read::calls(conn, &query, before, count)?)).await?;
        let next = page.cut(&mut calls, |call| call.id.to_string());
        Ok((calls, next))
    }

    /// Calls that only one side has reported after the grace time, newest first, and the token of the next page.
    ///
    /// # Errors
    /// As [`Self::calls`].
    pub async fn unpaired(
        &self,
        query: Query,
        grace_s: u32,
        page: &crate::page::Page,
    ) -> Result<(Vec<Call>, String), crate::problem::Problem> {
        let due_us = self.store.clock().now_ms().saturating_sub(i64::from(grace_s) * 1_000).saturating_mul(1_000);
        let until_us = Some(query.until_us.map_or(due_us, |until_us| until_us.min(due_us)));
        let missing = query.missing.or(Some(Missing::Either));
        self.calls(&Query { until_us, missing, ..query }, page).await
    }

    /// The spans of a trace, oldest first, by its ID or by that of a call in it. Empty: there is none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn trace(&self, id: &str) -> Result<Vec<StoredSpan>, StoreError> {
        let id = id.to_owned();
        self.readers.read(move |conn| Ok(read::trace(conn, &id)?)).await
    }

    /// Calls about whom one of these hashes means, newest first, and the token of the next page.
    ///
    /// # Errors
    /// As [`Self::calls`].
    pub async fn calls_about(
        &self,
        hashes: &[[u8; 16]],
        from_us: Option<i64>,
        until_us: Option<i64>,
        page: &crate::page::Page,
    ) -> Result<(Vec<About>, String), crate::problem::Problem> {
        let row = |us: i64| us.clamp(0, i64::MAX >> rows::TIE_BITS) << rows::TIE_BITS;
        let until = until_us.map_or(i64::MAX, row).min(page.after_number()?.unwrap_or(i64::MAX));
        let (hashes, rows, count) = (hashes.to_vec(), from_us.map_or(0, row)..until, page.limit());
        let mut calls = self.readers.read(move |conn| Ok(subjects::about(conn, &hashes, rows, count)?)).await?;
        let next = page.cut(&mut calls, |about| about.call.id.to_string());
        Ok((calls, next))
    }

    /// Verifies all evidence chains, or those of one reporter: the progress, a chain at a time, with what was found. It ends when
    /// nobody listens any more.
    #[must_use]
    pub fn verify(&self, reporter: String, trust: Trust) -> mpsc::Receiver<Result<Progress, StoreError>> {
        let (tell, told) = mpsc::channel(PROGRESS_MAX);
        let ledger = self.clone();
        tokio::spawn(async move {
            let verified = async {
                let forgotten_before_ms = ledger.forgotten_before_ms().await?;
                let progress = tell.clone();
                let verify = move |conn: &rusqlite::Connection| {
                    let step = |progress_now: &mut Progress| {
                        let step = progress_now.clone();
                        progress_now.findings.clear();
                        progress.blocking_send(Ok(step)).is_ok()
                    };
                    Ok(verify::verify(conn, &reporter, &trust, forgotten_before_ms, step)?)
                };
                ledger.readers.read(verify).await
            };
            if let Err(error) = verified.await {
                // Whoever asked may have gone away.
                let _ = tell.send(Err(error)).await;
            }
        });
        told
    }

    /// What began before then retention may have removed, as the audit says.
    async fn forgotten_before_ms(&self) -> Result<i64, StoreError> {
        let before: Option<i64> = sqlx::query_scalar(
            "SELECT MAX(CAST(json_extract(details, '$.beforeMs') AS BIGINT)) FROM audit WHERE action = 'ledger.forget'",
        )
        .fetch_one(self.store.read())
        .await?;
        Ok(before.unwrap_or(i64::MIN))
    }

    /// Sums of hours that have ended, the newest first, and the token of the next page.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the page's token is none of its.
    pub async fn sums(
        &self,
        wanted: &WantedSums,
        page: &crate::page::Page,
    ) -> Result<(Vec<Sum>, String), crate::problem::Problem> {
        let malformed =
            || crate::problem::Problem::invalid("PAGE_TOKEN_MALFORMED", "page_token is not one that this list answered with");
        let after = match &page.after {
            None => None,
            Some(key) => {
                let numbers: Vec<i64> = key.split('/').map_while(|part| part.parse().ok()).collect();
                Some(<[i64; 5]>::try_from(numbers).map_err(|_| malformed())?)
            }
        };
        let (wanted, count) = (wanted.clone(), page.limit());
        let mut sums = self.readers.read(move |conn| Ok(sums::list(conn, &wanted, after, count)?)).await?;
        let next = page.cut(&mut sums, |sum| sum.key.map(|number| number.to_string()).join("/"));
        Ok((sums, next))
    }
}

/// Reads and judges an export as the ledger does, without taking it; counts the spans that would be taken.
///
/// # Errors
/// When the export is none, or too large.
pub fn judged_only(export: &[u8], reporter: &AgencyName, now_ms: i64) -> Result<usize, Unreadable> {
    let mut path = String::new();
    let spans = wire::spans(export)?;
    Ok(spans.iter().filter(|arrived| judge::judged(*arrived, reporter, now_ms, &mut path).is_ok()).count())
}

#[cfg(test)]
mod tests;
