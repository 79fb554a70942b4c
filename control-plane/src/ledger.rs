//! What happened: sidecars' spans come in by OTLP, are validated, kept durably before they are acknowledged, paired, and found again
//! by who asked whom for what (regulation, article 3, note 2).
//!
//! The [`store`] keeps them; everything else here knows nothing of its tables.

mod call;
mod chain;
mod claims;
mod evidence;
mod forward;
mod intake;
mod key;
pub mod maintenance;
mod masking;
mod metrics;
mod notary;
mod pairing;
mod refusals;
mod retention;
mod span;
mod store;
mod subjects;
mod sum;
mod trust;
mod validation;
mod verify;
mod wire;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use chapar_core::{identity::AgencyName, record::CallId, time::Timestamp};

pub use self::{
    call::{Accounts, Call, CallAbout, CallQuery, Ending, Missing},
    chain::SignedPiece,
    evidence::{NoEvidence, ProvenRecord},
    forward::{ForwardError, forwarder},
    intake::{IngestError, Ingested},
    key::CallKey,
    metrics::Metrics,
    notary::Notary,
    pairing::Marks,
    span::StoredSpan,
    store::HeadThen,
    subjects::{SubjectPair, Subjects},
    sum::{HourSum, SumKey, SumQuery},
    trust::Trust,
    validation::Rejection,
    verify::{Finding, Progress},
    wire::{EXPORT_SPANS_MAX, Unreadable},
};
use self::{intake::Export, refusals::Refusals, store::LedgerStore, subjects::NewestKeys};
use crate::{
    caller::SidecarCaller,
    page::Page,
    problem::Problem,
    store::{AuditHead, Health, Store, StoreError, Tried},
};

/// The ledger. Clones speak of the same.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Arc<dyn LedgerStore>,
    /// Where the audit is, and the clock.
    audit: Store,
    metrics: Metrics,
    refusals: Refusals,
    /// `None`: signatures prove nothing here.
    notary: Option<Notary>,
    /// `None`: nothing is known here of keys.
    subject_keys: Option<NewestKeys>,
}

impl Ledger {
    /// Opens the ledger in this file, and makes it if it is not there. What it refuses is audited in `audit`.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version of this program.
    pub fn open(file: &Path, audit: Store, metrics: Metrics) -> Result<Self, StoreError> {
        Ok(Self { store: store::open(file)?, audit, metrics, refusals: Refusals::default(), notary: None, subject_keys: None })
    }

    /// The same, with `notary` to verify signatures when they come in, and to sign their receipt. Without one they prove nothing.
    #[must_use]
    pub fn with_notary(self, notary: Notary) -> Self {
        Self { notary: Some(notary), ..self }
    }

    /// Takes an `ExportTraceServiceRequest`: what may be taken is durable when this returns. Sent again, it changes nothing.
    ///
    /// # Errors
    /// When it is unreadable, or the ledger cannot be written; then nothing was taken.
    pub async fn ingest(&self, reporter: &SidecarCaller, export: Bytes) -> Result<Ingested, IngestError> {
        let received_at = self.now();
        let subject_keys = match &self.subject_keys {
            Some(keys) => Some(keys.newest().await?),
            None => None,
        };
        let export = Export::read(reporter.clone(), export, received_at, self.notary.as_ref())?.with_subject_keys(subject_keys);
        let ingested = self.store.append(export).await?.ok_or(IngestError::ShareSpent)?;
        if let Some(entry) = self.refusals.entry_for(&reporter.id, &ingested, received_at) {
            self.audit.audit(entry).await?;
        }
        self.metrics.ingested(&ingested, self.now());
        Ok(ingested)
    }

    /// How far it has got: the number of the newest span that ever was, and the hash over all that came in.
    ///
    /// # Errors
    /// When the ledger cannot be written: the head is remembered, for it is going to be signed.
    pub async fn head(&self) -> Result<AuditHead, StoreError> {
        self.store.head().await
    }

    /// What a head that was signed once is now.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn head_then(&self, number: u64) -> Result<HeadThen, StoreError> {
        self.store.head_then(number).await
    }

    /// Waits until what it was given is written, and ends writing. Other clones can only read from then on.
    pub async fn close(self) {
        self.store.close().await;
    }

    /// Calls, newest first, and the token of the next page.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the page's token is none of its.
    pub async fn calls(&self, query: &CallQuery, page: &Page) -> Result<(Vec<Call>, String), Problem> {
        let before = page.after_number()?.map(CallKey::from_number);
        let mut calls = self.store.calls(query.clone(), before, read_count(page)).await?;
        let next = page.cut(&mut calls, |call| call.key.number().to_string());
        Ok((calls, next))
    }

    /// Calls that only one side has reported after the grace time, newest first, and the token of the next page.
    ///
    /// # Errors
    /// As [`Self::calls`].
    pub async fn unpaired(&self, query: CallQuery, grace_s: u32, page: &Page) -> Result<(Vec<Call>, String), Problem> {
        let due_us = self.unpaired_before_us(grace_s);
        let until_us = Some(query.until_us.map_or(due_us, |until_us| until_us.min(due_us)));
        let missing = query.missing.or(Some(Missing::Either));
        self.calls(&CallQuery { until_us, missing, ..query }, page).await
    }

    /// The spans of a trace, oldest first, by its ID or by that of a call in it. Empty: there is none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn trace(&self, id: &str) -> Result<Vec<StoredSpan>, StoreError> {
        let Ok(id) = CallId::parse(id.as_bytes()) else { return Ok(Vec::new()) };
        let spans = self.store.spans_of_trace(id).await?;
        let mut spans: Vec<_> = spans.into_iter().map(|(reporter, span)| StoredSpan::new(span, reporter)).collect();
        spans.sort_by(StoredSpan::in_time);
        Ok(spans)
    }

    /// Sums of hours that have ended, the newest first, and the token of the next page.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the page's token is none of its.
    pub async fn sums(&self, query: &SumQuery, page: &Page) -> Result<(Vec<HourSum>, String), Problem> {
        let malformed = || Problem::invalid("PAGE_TOKEN_MALFORMED", "page_token is not one that this list answered with");
        let after = page.after.as_deref().map(|key| SumKey::from_text(key).ok_or_else(malformed)).transpose()?;
        let mut sums = self.store.hour_sums(query.clone(), after, read_count(page)).await?;
        let next = page.cut(&mut sums, |sum| sum.key.to_text());
        Ok((sums, next))
    }

    fn now(&self) -> Timestamp {
        self.audit.clock().now()
    }

    /// The key below which a call should have both its accounts.
    #[must_use]
    pub fn unpaired_before(&self, grace_s: u32) -> CallKey {
        CallKey::first_at_us(self.unpaired_before_us(grace_s))
    }

    fn unpaired_before_us(&self, grace_s: u32) -> i64 {
        self.now().unix_ms().saturating_sub(i64::from(grace_s) * 1_000).saturating_mul(1_000)
    }
}

impl Tried for Ledger {
    fn health(&self) -> &Health {
        self.store.health()
    }

    fn is_kept(&self) -> bool {
        self.store.is_kept()
    }

    async fn try_write(&self) -> Result<(), StoreError> {
        self.store.try_write().await?;
        self.health().tried();
        Ok(())
    }
}

/// Rows to read for a page: one more than it shows, so that the end of the list is seen.
fn read_count(page: &Page) -> usize {
    page.size.saturating_add(1)
}

/// Reads and validates an export as the ledger does, without taking it; counts the spans that would be taken.
///
/// # Errors
/// When the export is none, or too large.
pub fn count_valid(export: &[u8], reporter: &AgencyName) -> Result<usize, Unreadable> {
    let mut room = String::new();
    let spans = wire::spans(export)?;
    Ok(spans.iter().filter(|arrived| validation::validate(*arrived, reporter, &mut room).is_ok()).count())
}

#[cfg(test)]
mod tests;
