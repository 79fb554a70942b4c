//! Rows of signed pieces of chains.

use chapar_core::{record::chain::Hash, time::Timestamp};
use rusqlite::Row;

use crate::ledger::chain::SignedPiece;

/// The columns that [`piece_of`] reads, of `checkpoints p JOIN certificates c ON c.id = p.certificate`.
pub(super) const PIECE_COLUMNS: &str = "p.first, p.last, p.before, p.after, p.at_ms, p.scheme, p.signature, c.der";

/// A row of [`PIECE_COLUMNS`].
pub(super) fn piece_of(row: &Row<'_>) -> rusqlite::Result<SignedPiece> {
    Ok(SignedPiece {
        first: row.get(0)?,
        last: row.get(1)?,
        before: Hash(row.get(2)?),
        after: Hash(row.get(3)?),
        signed_at: Timestamp::from_unix_ms(row.get(4)?),
        scheme: row.get(5)?,
        signature: row.get(6)?,
        certificate: row.get(7)?,
    })
}
