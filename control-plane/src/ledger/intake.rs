//! What sidecars hand in, and what becomes of it.

use bytes::Bytes;
use chapar_core::{record::LossCause, time::Timestamp};

use super::{
    notary::{Notary, Receipt, Receipts},
    validation::{self, Rejection, ReportedSpan, validate},
    wire::{self, Unreadable},
};
use crate::{caller::SidecarCaller, store::StoreError, subject_keys::SubjectKeyRing};

/// Rejections that are told in full, to the reporter and the audit.
const TOLD_MAX: usize = 5;

/// Checkpoints of one export that are verified: a sidecar sends one. Each costs some hundred microseconds.
const CHECKPOINTS_MAX: usize = 8;

/// One reporter's export that is to be kept.
#[derive(Debug)]
pub(super) struct Export {
    reporter: SidecarCaller,
    /// An `ExportTraceServiceRequest`.
    bytes: Bytes,
    received_at: Timestamp,
    /// `None`: nobody vouches for signatures here; they are kept as they come, and prove nothing.
    receipts: Option<Receipts>,
    /// `None`: nothing is known here of the keys of subjects' hashes.
    subject_keys: Option<SubjectKeyRing>,
}

/// What became of an export.
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
    /// Calls whose accounts disagree, now that both are here.
    pub disagreeing: u64,
    /// Calls of which an account claims a time that is not to be believed.
    pub times_doubted: u64,
    /// Calls of which an account says whom they are about by a key that was not in force.
    pub subjects_doubted: u64,
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
    /// Its agency has as much waiting as it may; it may be sent again.
    #[error("as much of this agency's reports wait to be written as may; send the spans again")]
    ShareSpent,
    /// It may be sent again.
    #[error("the ledger cannot be written")]
    Store(#[from] StoreError),
}

impl Export {
    /// Looks at an export from outside.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub(super) fn read(
        reporter: SidecarCaller,
        bytes: Bytes,
        received_at: Timestamp,
        notary: Option<&Notary>,
    ) -> Result<Self, Unreadable> {
        let spans = wire::spans(&bytes)?;
        let receipts = notary.map(|notary| {
            let mut receipts = Receipts::new();
            validation::checkpoints(spans.iter(), |signed| {
                if receipts.len() < CHECKPOINTS_MAX {
                    receipts.insert(signed.signature.into(), notary.receipt(signed, &reporter.id, received_at));
                }
            });
            receipts
        });
        drop(spans);
        Ok(Self { reporter, bytes, received_at, receipts, subject_keys: None })
    }

    /// The same, to be judged by these keys.
    pub(super) fn with_subject_keys(self, subject_keys: Option<SubjectKeyRing>) -> Self {
        Self { subject_keys, ..self }
    }

    /// What the hashes of subjects in it may be of.
    pub(super) fn subject_keys(&self) -> Option<&SubjectKeyRing> {
        self.subject_keys.as_ref()
    }

    /// The receipt of the checkpoint with this signature. `Ok(None)`: nobody gives any here.
    ///
    /// # Errors
    /// Why it must not be taken.
    pub(super) fn receipt(&self, signature: &[u8]) -> Result<Option<&Receipt>, &'static str> {
        let Some(receipts) = &self.receipts else { return Ok(None) };
        match receipts.get(signature) {
            Some(Ok(receipt)) => Ok(Some(receipt)),
            Some(Err(why)) => Err(why),
            None => Err("an export holds one checkpoint a chain, and not so many"),
        }
    }

    /// SPIFFE ID of the sidecar that sent it.
    pub(super) fn reporter(&self) -> String {
        self.reporter.id.to_string()
    }

    /// The agency that it speaks for.
    pub(super) fn agency(&self) -> &str {
        self.reporter.agency.as_str()
    }

    /// End of the certificate that it was sent with.
    pub(super) fn not_after(&self) -> Timestamp {
        self.reporter.not_after
    }

    /// When it came.
    pub(super) fn received_at(&self) -> Timestamp {
        self.received_at
    }

    /// Length of the whole.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Validates one span after the other, in the order in which they came. `room` is for texts that are not in a span as they stand;
    /// it is kept by whoever takes many exports.
    ///
    /// # Errors
    /// The first of `with`.
    pub(super) fn each_span<E>(
        &self,
        room: &mut String,
        mut with: impl FnMut(Result<ReportedSpan<'_>, Rejection>) -> Result<(), E>,
    ) -> Result<(), E> {
        // It was readable when it came.
        let spans = wire::spans(&self.bytes).unwrap_or_default();
        for arrived in spans.iter() {
            with(validate(arrived, &self.reporter.agency, room))?;
        }
        Ok(())
    }
}
