//! What proves one call: its records, the signed pieces of the chains that they are in, and the certificates.

use chapar_core::record::{CallId, chain};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Ledger,
    rows::{FORM_DIGEST, FORM_ENTRY},
    words::Spelling,
};
use crate::store::StoreError;

/// One sidecar's record of a call, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub reporter: String,
    pub record: Vec<u8>,
    pub chain: [u8; 16],
    pub sequence: i64,
    pub signed: Piece,
    /// Position of the record among the piece's digests.
    pub position: usize,
}

/// A signed piece of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub first: i64,
    pub last: i64,
    pub before: Vec<u8>,
    pub at_ms: i64,
    pub scheme: String,
    pub signature: Vec<u8>,
    /// Certificate of the signer, DER.
    pub certificate: Vec<u8>,
    pub digests: Vec<[u8; 32]>,
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum NoEvidence {
    #[error("no call with this ID is in the ledger, or its records are in no evidence chain")]
    Unknown,
    #[error("no signature covers the record of {0} yet; a sidecar signs with every export, so try again in a moment")]
    NotYetSigned(String),
    #[error("the ledger cannot be read")]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for NoEvidence {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A row of `spans` that is an entry of a chain.
struct Entry {
    reporter: i64,
    key: i64,
    chain: [u8; 16],
    sequence: i64,
    body: Vec<u8>,
}

impl Ledger {
    /// All that proves a call, a record a sidecar, in the order in which they came.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn evidence(&self, call_id: CallId) -> Result<Vec<Recorded>, NoEvidence> {
        self.readers.read(move |conn| Ok(evidence(conn, call_id))).await?
    }
}

fn evidence(conn: &Connection, call_id: CallId) -> Result<Vec<Recorded>, NoEvidence> {
    let mut spelling = Spelling::default();
    let mut recorded = Vec::new();
    for entry in entries(conn, call_id)? {
        let reporter = spelling.word(conn, entry.reporter)?;
        let signed = piece(conn, entry.key, entry.sequence)?.ok_or_else(|| NoEvidence::NotYetSigned(reporter.clone()))?;
        let digest = chain::digest(&entry.body).0;
        // A piece that lacks the record was tampered with; `verify` says so of the file.
        let position = signed.digests.iter().position(|held| *held == digest).unwrap_or(usize::MAX);
        let Entry { chain, sequence, body, .. } = entry;
        recorded.push(Recorded { reporter, record: body, chain, sequence, signed, position });
    }
    if recorded.is_empty() { Err(NoEvidence::Unknown) } else { Ok(recorded) }
}

fn entries(conn: &Connection, call_id: CallId) -> rusqlite::Result<Vec<Entry>> {
    conn.prepare_cached(
        "SELECT s.reporter, s.chain, c.chain, s.sequence, s.body FROM calls k JOIN spans s ON s.call = k.id \
         JOIN chains c ON c.id = s.chain WHERE k.call_id = ?1 AND s.form = ?2 ORDER BY s.id",
    )?
    .query_map(params![&call_id.as_bytes()[..], FORM_ENTRY], |row| {
        Ok(Entry { reporter: row.get(0)?, key: row.get(1)?, chain: row.get(2)?, sequence: row.get(3)?, body: row.get(4)? })
    })?
    .collect()
}

/// The shortest signed piece that holds this place.
fn piece(conn: &Connection, chain: i64, sequence: i64) -> rusqlite::Result<Option<Piece>> {
    let found = conn
        .prepare_cached(
            "SELECT p.first, p.last, p.before, p.at_ms, p.scheme, p.signature, c.der FROM checkpoints p \
             JOIN certificates c ON c.id = p.certificate WHERE p.chain = ?1 AND p.last >= ?2 AND p.first <= ?2 ORDER BY p.last LIMIT 1",
        )?
        .query_row([chain, sequence], |row| {
            Ok(Piece {
                first: row.get(0)?,
                last: row.get(1)?,
                before: row.get(2)?,
                at_ms: row.get(3)?,
                scheme: row.get(4)?,
                signature: row.get(5)?,
                certificate: row.get(6)?,
                digests: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut piece) = found else { return Ok(None) };
    let mut entries = conn.prepare_cached(
        "SELECT form, body FROM spans WHERE chain = ?1 AND sequence >= ?2 AND sequence <= ?3 ORDER BY sequence",
    )?;
    let mut rows = entries.query([chain, piece.first, piece.last])?;
    while let Some(row) = rows.next()? {
        piece.digests.push(digest_of(row.get(0)?, row.get_ref(1)?.as_blob()?));
    }
    Ok(Some(piece))
}

/// The digest of an entry as it is held: of its bytes, or what is left of it.
pub(super) fn digest_of(form: i64, body: &[u8]) -> [u8; 32] {
    match <[u8; 32]>::try_from(body) {
        Ok(digest) if form == FORM_DIGEST => digest,
        _ => chain::digest(body).0,
    }
}
