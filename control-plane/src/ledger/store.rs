//! The ledger's store: a trait a noun, and SQLite behind them. Another database is another module here, and nothing else.
//!
//! What may be kept is settled before it gets here ([`super::validation`]), and so is how two accounts become one call
//! ([`super::pairing`]); a store keeps it and finds it again.

mod sqlite;

use std::{
    fmt,
    ops::{ControlFlow, Range},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use chapar_core::{policy::Side, record::CallId, time::Timestamp};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::{
    call::{Call, CallAbout, CallQuery},
    chain::{ChainRecord, HeldChain, HeldEntry, SignedPiece, UnsignedEntries},
    claims::Claims,
    intake::{Export, Ingested},
    key::CallKey,
    pairing::Marks,
    retention::{Evicted, Eviction},
    subjects::SubjectPair,
    sum::{HourSum, SumKey, SumQuery},
};
use crate::{
    ledger::chain::Form,
    store::{AuditHead, Health, StoreError},
};

#[cfg(test)]
pub(in crate::ledger) use self::sqlite::raw;

/// All that the ledger asks of a store.
pub(super) trait LedgerStore:
    SpanIntake
    + CallSearch
    + ClaimCheck
    + HourSums
    + EvidenceChains
    + Retention
    + ForwardQueue
    + LedgerHeads
    + fmt::Debug
    + Send
    + Sync
{
}

impl<S> LedgerStore for S where
    S: SpanIntake
        + CallSearch
        + ClaimCheck
        + HourSums
        + EvidenceChains
        + Retention
        + ForwardQueue
        + LedgerHeads
        + fmt::Debug
        + Send
        + Sync
{
}

/// Opens the ledger in this file, and makes it if it is not there.
///
/// # Errors
/// When the file cannot be opened, or was written by a newer version of this program.
pub(super) fn open(file: &Path) -> Result<Arc<dyn LedgerStore>, StoreError> {
    Ok(Arc::new(sqlite::SqliteLedger::open(file)?))
}

/// Takes what sidecars report.
#[async_trait]
pub(super) trait SpanIntake {
    /// Keeps the spans of an export that may be kept, once each: durable when this returns. `None`: nothing was kept, since the
    /// reporter's agency has as much waiting as it may; it may be sent again.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was kept.
    async fn append(&self, export: Export) -> Result<Option<Ingested>, StoreError>;

    /// Whether there is still somebody to write it.
    fn is_kept(&self) -> bool;

    /// How writes of the file have gone.
    fn health(&self) -> &Health;

    /// Makes a small write durable.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn try_write(&self) -> Result<(), StoreError>;

    /// Writes what it was given, and then nothing any more. What is there can still be read.
    async fn close(&self);
}

/// What a head that was signed once is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadThen {
    /// The ledger does not reach it any more.
    Gone,
    /// It is reached, and its hash is not known any more.
    Forgotten,
    /// It had this hash.
    Was([u8; 32]),
}

/// How far the ledger has got, which only grows: what retention removes counts as having been there.
#[async_trait]
pub(super) trait LedgerHeads {
    /// Number of the newest span that ever was, and the hash over all; remembered, for it is going to be signed.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn head(&self) -> Result<AuditHead, StoreError>;

    /// What the head of this number is now.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn head_then(&self, number: u64) -> Result<HeadThen, StoreError>;
}

/// Finds calls and their spans.
#[async_trait]
pub(super) trait CallSearch {
    /// Calls, newest first, from below `before`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn calls(&self, query: CallQuery, before: Option<CallKey>, count: usize) -> Result<Vec<Call>, StoreError>;

    /// Calls about whom one of these hashes means, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn calls_about(&self, hashes: Vec<[u8; 16]>, keys: Range<CallKey>, count: usize) -> Result<Vec<CallAbout>, StoreError>;

    /// Who asked whom about somebody, by key.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn subject_pairs(&self) -> Result<Vec<SubjectPair>, StoreError>;

    /// Those of these hashes that some call is on record with.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn hashes_on_record(&self, hashes: Vec<[u8; 16]>) -> Result<Vec<[u8; 16]>, StoreError>;

    /// The spans of a trace by its ID, or by that of a call in it, each with who reported it.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn spans_of_trace(&self, id: CallId) -> Result<Vec<(String, Span)>, StoreError>;

    /// How many calls from below `before` lack the account of this side; counting ends at `count_max`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn count_awaiting(&self, side: Side, before: CallKey, count_max: u32) -> Result<i64, StoreError>;
}

/// Claims of accounts, and marks of calls.
#[async_trait]
pub(super) trait ClaimCheck {
    /// Claims of accounts that came since the last ones that were marked; the position goes up to `count` accounts further.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn unchecked_claims(&self, count: u32) -> Result<Claims, StoreError>;

    /// Marks these calls, and keeps the position up to which claims were looked at. Says how many bore no such mark before.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn mark_claims(&self, calls: Vec<CallKey>, marks: Marks, read_until: i64) -> Result<u64, StoreError>;
}

/// Sums of hours.
#[async_trait]
pub(super) trait HourSums {
    /// Sums some hours that have ended and changed since. Says whether there may be more.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn sum_up(&self, now: Timestamp) -> Result<bool, StoreError>;

    /// Sums, the newest hour first, from beyond `after`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn hour_sums(&self, query: SumQuery, after: Option<SumKey>, count: usize) -> Result<Vec<HourSum>, StoreError>;
}

/// Evidence chains.
#[async_trait]
pub(super) trait EvidenceChains {
    /// The records of a call that are entries of chains, in the order in which they came.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn records_of_call(&self, call_id: CallId) -> Result<Vec<ChainRecord>, StoreError>;

    /// Shows one chain after the other, each in one state of the store whatever is written meanwhile, until the visitor has seen
    /// enough. `reporter`: only the chains of this sidecar; empty for all.
    ///
    /// # Errors
    /// When the store cannot be read, or what the visitor says.
    async fn visit_chains(&self, reporter: String, visitor: ChainVisitor) -> Result<(), StoreError>;

    /// IDs of calls that count other records than there are, as hex.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn miscounted_calls(&self, count_max: usize) -> Result<Vec<String>, StoreError>;
}

/// Looks at one chain. It is called on a thread that may wait.
pub(super) type ChainVisitor = Box<dyn FnMut(&HeldChain, &dyn ChainView) -> Result<ControlFlow<()>, StoreError> + Send>;

/// One chain, in one state of the store. An error is that the store cannot be read.
pub(super) trait ChainView {
    /// Its signed pieces, in the order of their entries.
    fn pieces(&self) -> Result<Vec<SignedPiece>, StoreError>;

    /// Shows the entries from `first` up to and with `last` that are there, in their order.
    fn entries(
        &self,
        first: i64,
        last: i64,
        show: &mut dyn FnMut(HeldEntry<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// What is there beyond this entry.
    fn unsigned_after(&self, last: i64) -> Result<UnsignedEntries, StoreError>;

    /// A call; `None`: it is not there.
    fn call(&self, key: CallKey) -> Result<Option<Call>, StoreError>;
}

/// Removes what is too old or too much. Of an entry of an evidence chain the digest stays until the whole piece that one signature
/// covers has gone.
#[async_trait]
pub(super) trait Retention {
    /// Evicts some of these calls with their spans.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was evicted.
    async fn evict_calls(&self, which: &Eviction) -> Result<Evicted, StoreError>;

    /// Evicts some of the spans of no call that came before then.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was evicted.
    async fn evict_other_spans(&self, before: Timestamp) -> Result<Evicted, StoreError>;

    /// If there are more spans than this, or the file is larger: evicts some of the oldest of what is charged to the agency that takes
    /// most. What an agency loses so, it has pushed out itself.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing was evicted.
    async fn evict_excess(&self, spans_max: u64, bytes_max: u64) -> Result<Evicted, StoreError>;
}

/// Spans in the order in which they came, as they are forwarded. A position is never given twice.
#[async_trait]
pub(super) trait ForwardQueue {
    /// The position up to which spans were forwarded; 0 when none ever was.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn forwarded(&self) -> Result<i64, StoreError>;

    /// Keeps the position up to which spans were forwarded.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn set_forwarded(&self, position: i64) -> Result<(), StoreError>;

    /// The position of the newest span that ever came.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn newest_position(&self) -> Result<i64, StoreError>;

    /// The spans after this position.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn spans_after(&self, position: i64, count: u32) -> Result<Vec<QueuedSpan>, StoreError>;
}

/// A span in the order in which they came.
#[derive(Clone, Debug)]
pub(super) struct QueuedSpan {
    pub(super) position: i64,
    /// SPIFFE ID of the sidecar that reported it.
    pub(super) reporter: String,
    pub(super) received_at: Timestamp,
    /// `None`: it was evicted, or can no longer be read.
    pub(super) span: Option<Span>,
}

/// The number of a form; see the tables.
pub(super) const fn number_of_form(form: Form) -> i64 {
    match form {
        Form::Otlp => 0,
        Form::Entry => 1,
        Form::Digest => 2,
        Form::Unknown => -1,
    }
}

/// The form that this number stands for.
pub(super) const fn form_of_number(number: i64) -> Form {
    match number {
        0 => Form::Otlp,
        1 => Form::Entry,
        2 => Form::Digest,
        _ => Form::Unknown,
    }
}

/// The class of a duration: four steps an octave, so that from one to the next a duration grows by a fifth. "Longer than" is then a
/// few runs of an index.
pub(super) fn duration_class(duration_us: i64) -> i64 {
    let Some(log2) = u64::try_from(duration_us).ok().and_then(u64::checked_ilog2) else { return 0 };
    let quarter = if log2 >= 2 { duration_us >> (log2 - 2) & 3 } else { 0 };
    i64::from(log2) * 4 + quarter + 1
}

/// A count as a column holds it. Counts come from signed numbers of OTLP, so that none is lost here.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
