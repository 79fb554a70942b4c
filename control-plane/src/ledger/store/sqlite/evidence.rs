//! The records of one call, and the signed pieces that they are in.

use chapar_core::record::{CallId, chain::ChainId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    dictionary::Spelling,
    rows::{PIECE_COLUMNS, piece_of},
};
use crate::ledger::{
    chain::{ChainRecord, Form, SignedPiece, digest_of},
    store::{form_of_number, number_of_form},
};

/// The records of a call that are entries of chains, in the order in which they came.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn records_of_call(conn: &Connection, call_id: CallId) -> rusqlite::Result<Vec<ChainRecord>> {
    let mut spelling = Spelling::default();
    let mut records = Vec::new();
    let mut statement = conn.prepare_cached(
        "SELECT s.reporter, s.chain, c.chain, s.sequence, s.body FROM calls k JOIN spans s ON s.call = k.id \
         JOIN chains c ON c.id = s.chain WHERE k.call_id = ?1 AND s.form = ?2 ORDER BY s.id",
    )?;
    let mut rows = statement.query(params![&call_id.as_bytes()[..], number_of_form(Form::Entry)])?;
    while let Some(row) = rows.next()? {
        let sequence = row.get(3)?;
        records.push(ChainRecord {
            reporter: spelling.word(conn, row.get(0)?)?,
            chain: ChainId(row.get(2)?),
            sequence,
            record: row.get(4)?,
            signed: signed_piece(conn, row.get(1)?, sequence)?,
        });
    }
    Ok(records)
}

/// The shortest signed piece that holds this place, with the digests of its entries.
fn signed_piece(conn: &Connection, chain: i64, sequence: i64) -> rusqlite::Result<Option<(SignedPiece, Vec<[u8; 32]>)>> {
    let sql = format!(
        "SELECT {PIECE_COLUMNS} FROM checkpoints p JOIN certificates c ON c.id = p.certificate \
         WHERE p.chain = ?1 AND p.last >= ?2 AND p.first <= ?2 ORDER BY p.last LIMIT 1"
    );
    let Some(piece) = conn.prepare_cached(&sql)?.query_row([chain, sequence], piece_of).optional()? else { return Ok(None) };
    let mut digests = Vec::new();
    let mut entries = conn.prepare_cached(
        "SELECT form, body FROM spans WHERE chain = ?1 AND sequence >= ?2 AND sequence <= ?3 ORDER BY sequence",
    )?;
    let mut rows = entries.query([chain, piece.first, piece.last])?;
    while let Some(row) = rows.next()? {
        digests.push(digest_of(form_of_number(row.get(0)?), row.get_ref(1)?.as_blob()?));
    }
    Ok(Some((piece, digests)))
}
