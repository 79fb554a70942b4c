//! One evidence chain, recomputed.

use chapar_core::{
    record::{
        self, CallRecord, ChainEntry, LossCause,
        chain::{self, Checkpoint, Hash},
    },
    time::Timestamp,
};
use chapar_proto::evidence::{NotSigned, certified, signed_by};
use rustls_pki_types::CertificateDer;

use super::{
    call::difference,
    finding::{FINDINGS_MAX, Finding, Progress},
};
use crate::{
    ledger::{
        chain::{Form, HeldChain, HeldEntry, SignedPiece},
        store::ChainView,
        trust::Anchors,
    },
    store::StoreError,
};

/// The check of one chain.
pub(super) struct ChainCheck<'v> {
    pub(super) chain: &'v HeldChain,
    pub(super) view: &'v dyn ChainView,
    pub(super) anchors: &'v Anchors,
    /// What came in before then may have been evicted.
    pub(super) evicted_before: Timestamp,
    pub(super) progress: &'v mut Progress,
}

impl ChainCheck<'_> {
    /// Goes through the chain.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn run(&mut self) -> Result<(), StoreError> {
        let mut covered = self.chain.evicted_until;
        let mut head = (covered == 0).then(|| chain::beginning(self.chain.id));
        for piece in &self.view.pieces()? {
            self.progress.checkpoints += 1;
            if piece.first > covered + 1 {
                let told = "no signature covers these entries, though a later one is there";
                self.find("CHAIN_BROKEN", covered + 1, piece.first - 1, told);
                head = None;
            }
            // Pieces may overlap where one was sent again: only those that end to end follow one another must fit.
            if piece.first == covered + 1 && head.is_some_and(|head| head != piece.before) {
                self.find("CHAIN_BROKEN", piece.first, piece.last, "the piece does not follow from the one before it");
            }
            self.check_piece(piece)?;
            if piece.last > covered {
                covered = piece.last;
                head = Some(piece.after);
            }
        }
        self.check_unsigned(covered)
    }

    /// Entries that no signature covers yet must follow on the last that one covers.
    fn check_unsigned(&mut self, covered: i64) -> Result<(), StoreError> {
        let unsigned = self.view.unsigned_after(covered)?;
        self.progress.unsigned += unsigned.count;
        self.progress.entries += unsigned.count;
        let Some(first) = unsigned.first.filter(|first| *first > covered + 1) else { return Ok(()) };
        let mut stands_since = first;
        self.view.entries(first, first, &mut |entry| {
            stands_since = first_it_stands_for(&entry);
            Ok(())
        })?;
        if stands_since > covered + 1 {
            self.find("ENTRY_MISSING", covered + 1, first - 1, "these entries are missing, though later ones are there");
        }
        Ok(())
    }

    fn check_piece(&mut self, piece: &SignedPiece) -> Result<(), StoreError> {
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        let checkpoint = Checkpoint {
            chain: self.chain.id,
            first: number(piece.first),
            last: number(piece.last),
            before: piece.before,
            after: piece.after,
            at: piece.signed_at,
        };
        let leaf = CertificateDer::from(piece.certificate.as_slice());
        if signed_by(&checkpoint, &leaf, &piece.scheme, &piece.signature) == Err(NotSigned) {
            self.find("CHECKPOINT_FORGED", piece.first, piece.last, "the signature is not over this checkpoint");
            return Ok(());
        }
        let known_at = piece.received.as_ref().map_or(piece.signed_at, |received| received.at);
        let signer = certified(&leaf, &self.anchors.issuers, &self.anchors.roots, known_at).map(|id| id.to_string());
        if signer.as_deref() != Some(self.chain.reporter.as_str()) {
            self.find("CHECKPOINT_FORGED", piece.first, piece.last, "its signer's certificate is not the reporter's");
            return Ok(());
        }
        self.check_entries(piece)
    }

    fn check_entries(&mut self, piece: &SignedPiece) -> Result<(), StoreError> {
        let view = self.view;
        let mut head = piece.before;
        let mut expected = piece.first;
        let mut missing = false;
        view.entries(piece.first, piece.last, &mut |entry| {
            let stands_since = first_it_stands_for(&entry);
            if stands_since > expected {
                missing = true;
                self.find("ENTRY_MISSING", expected, stands_since - 1, "these entries are missing");
            }
            expected = entry.sequence + 1;
            head = chain::next(head, Hash(entry.digest()));
            self.progress.entries += 1;
            self.check_entry(&entry)
        })?;
        if expected <= piece.last {
            missing = true;
            self.find("ENTRY_MISSING", expected, piece.last, "these entries are missing");
        }
        if !missing && head != piece.after {
            self.find("ENTRY_ALTERED", piece.first, piece.last, "an entry among these is not what its sidecar signed");
        }
        Ok(())
    }

    fn check_entry(&mut self, entry: &HeldEntry<'_>) -> Result<(), StoreError> {
        let sequence = entry.sequence;
        match entry.form {
            Form::Digest => {
                self.progress.evicted += 1;
                if entry.received_at >= self.evicted_before {
                    self.find("FORGOTTEN_EARLY", sequence, sequence, "the entry was removed, and retention did not ask for it");
                }
            }
            Form::Entry => match record::decode_entry(entry.body) {
                Ok(ChainEntry::Call(record)) => self.check_call(entry, &record)?,
                Ok(ChainEntry::Loss(_)) => {}
                Err(_) => self.find("ENTRY_ALTERED", sequence, sequence, "the entry is not readable"),
            },
            Form::Otlp => {}
            Form::Unknown => self.find("ENTRY_ALTERED", sequence, sequence, "the entry has no form that this software writes"),
        }
        Ok(())
    }

    fn check_call(&mut self, entry: &HeldEntry<'_>, record: &CallRecord<'_>) -> Result<(), StoreError> {
        let wrong = match entry.call {
            None => Some("the record was taken away from its call"),
            Some(key) => match self.view.call(key)? {
                None => Some("the record's call was removed"),
                Some(call) => difference(&call, record),
            },
        };
        if let Some(told) = wrong {
            let call_id = record.call_id.to_string();
            self.found(Finding {
                kind: "CALL_ALTERED",
                first: entry.sequence,
                last: entry.sequence,
                call_id,
                told: told.to_owned(),
                ..Finding::default()
            });
        }
        Ok(())
    }

    fn find(&mut self, kind: &'static str, first: i64, last: i64, told: &str) {
        self.found(Finding { kind, first, last, told: told.to_owned(), ..Finding::default() });
    }

    fn found(&mut self, finding: Finding) {
        if self.progress.findings.len() < FINDINGS_MAX {
            let (reporter, chain) = (self.chain.reporter.clone(), self.chain.id.to_string());
            self.progress.findings.push(Finding { reporter, chain, ..finding });
        }
    }
}

/// The first place that an entry stands for: its own, but one that tells of damage stands for all that it tells of.
fn first_it_stands_for(entry: &HeldEntry<'_>) -> i64 {
    if entry.form != Form::Entry {
        return entry.sequence;
    }
    match record::decode_entry(entry.body) {
        Ok(ChainEntry::Loss(loss)) if loss.cause == LossCause::Damaged => i64::try_from(loss.number).unwrap_or(entry.sequence),
        _ => entry.sequence,
    }
}
