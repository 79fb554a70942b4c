//! Evidence chains as the ledger holds them.

use chapar_core::{
    record::chain::{self, ChainId, Hash},
    time::Timestamp,
};

use super::key::CallKey;

/// A sidecar's evidence chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldChain {
    /// The store's own key of it.
    pub(super) key: i64,
    pub(super) id: ChainId,
    pub(super) reporter: String,
    /// Entries up to and with this one were evicted.
    pub(super) evicted_until: i64,
}

/// A piece of a chain that one signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPiece {
    /// Sequence number of its first entry.
    pub first: i64,
    /// Sequence number of its last entry.
    pub last: i64,
    /// Head of the chain before the piece.
    pub before: Hash,
    /// Head of the chain after the piece.
    pub after: Hash,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// Name of the signature's scheme.
    pub scheme: String,
    /// The signature.
    pub signature: Vec<u8>,
    /// Certificate of the signer, DER.
    pub certificate: Vec<u8>,
    /// When it came in, and what the control plane signed then. `None`: it came before there were receipts.
    pub received: Option<Received>,
}

/// The receipt of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// When it came in.
    pub at: Timestamp,
    /// The control plane's signature.
    pub receipt: Vec<u8>,
    /// The control plane's certificate, DER.
    pub certificate: Vec<u8>,
}

/// What is held of an entry or a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The span as it came, in OTLP.
    Otlp,
    /// An entry's canonical bytes.
    Entry,
    /// The digest of an entry that was evicted.
    Digest,
    /// What no version of this software writes.
    Unknown,
}

/// An entry of a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldEntry<'a> {
    pub(super) sequence: i64,
    pub(super) form: Form,
    pub(super) body: &'a [u8],
    pub(super) received_at: Timestamp,
    /// The call that it accounts for.
    pub(super) call: Option<CallKey>,
}

/// Entries beyond the last signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UnsignedEntries {
    pub(super) count: u64,
    /// Sequence number of the first of them.
    pub(super) first: Option<i64>,
}

/// One sidecar's record of a call, as an entry of its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChainRecord {
    pub(super) reporter: String,
    pub(super) chain: ChainId,
    pub(super) sequence: i64,
    /// Canonical bytes.
    pub(super) record: Vec<u8>,
    /// The shortest signed piece that holds it, with the digests of all its entries. `None`: nothing is signed of it yet.
    pub(super) signed: Option<(SignedPiece, Vec<[u8; 32]>)>,
}

impl HeldEntry<'_> {
    /// The digest of the entry as it is held.
    pub(super) fn digest(&self) -> [u8; 32] {
        digest_of(self.form, self.body)
    }
}

/// The digest of an entry: of its bytes, or what is left of it.
pub(super) fn digest_of(form: Form, body: &[u8]) -> [u8; 32] {
    match <[u8; 32]>::try_from(body) {
        Ok(digest) if form == Form::Digest => digest,
        _ => chain::digest(body).0,
    }
}
