//! What proves one call: its records, the signed pieces of the chains that they are in, and the certificates.

use chapar_core::record::{
    self, CallId,
    chain::{self, ChainId},
};

use super::{Ledger, chain::SignedPiece};
use crate::store::StoreError;

/// One sidecar's record of a call, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenRecord {
    /// SPIFFE ID of the sidecar.
    pub reporter: String,
    /// Canonical bytes.
    pub record: Vec<u8>,
    /// The sidecar's evidence chain.
    pub chain: ChainId,
    /// The record's place in it.
    pub sequence: i64,
    /// The signed piece that holds the record.
    pub signed: SignedPiece,
    /// Digests of the piece's entries, in their order.
    pub digests: Vec<[u8; 32]>,
    /// Position of the record among the digests.
    pub position: usize,
}

impl ProvenRecord {
    /// Whether the record says whom the call is about, or may in what only a later release understands.
    #[must_use]
    pub fn may_tell_subject(&self) -> bool {
        record::decode(&self.record).map_or(true, |record| record.subject.is_some() || !record.further.as_bytes().is_empty())
    }
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum NoEvidence {
    /// There is no such call, or it is too old.
    #[error("no call with this ID is in the ledger, or its records are in no evidence chain")]
    Unknown,
    /// It comes with the sidecar's next export.
    #[error("no signature covers the record of {0} yet; a sidecar signs with every export, so try again in a moment")]
    NotYetSigned(String),
    /// The operator must act.
    #[error("the ledger cannot be read")]
    Store(#[from] StoreError),
}

impl Ledger {
    /// All that proves a call, a record a sidecar, in the order in which they came; and who reported it and has signed nothing of it,
    /// which takes nothing from what others have signed.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn evidence(&self, call_id: CallId) -> Result<(Vec<ProvenRecord>, Vec<String>), NoEvidence> {
        let (mut proven, mut unsigned) = (Vec::new(), Vec::new());
        for held in self.store.records_of_call(call_id).await? {
            let Some((signed, digests)) = held.signed else {
                unsigned.push(held.reporter);
                continue;
            };
            let digest = chain::digest(&held.record).0;
            // A piece that lacks the record was tampered with; `verify` says so of the ledger.
            let position = digests.iter().position(|held| *held == digest).unwrap_or(usize::MAX);
            proven.push(ProvenRecord {
                reporter: held.reporter,
                record: held.record,
                chain: held.chain,
                sequence: held.sequence,
                signed,
                digests,
                position,
            });
        }
        match unsigned.first() {
            None if proven.is_empty() => Err(NoEvidence::Unknown),
            Some(reporter) if proven.is_empty() => Err(NoEvidence::NotYetSigned(reporter.clone())),
            _ => Ok((proven, unsigned)),
        }
    }
}
