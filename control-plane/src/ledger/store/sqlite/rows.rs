//! Rows of calls, of spans and of signed pieces of chains, read back.

use chapar_core::{
    record::chain::{ChainId, Hash},
    time::Timestamp,
};
use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::trace::v1::Span;
use rusqlite::{Connection, Row};

use super::dictionary::Spelling;
use crate::ledger::{
    call::Call,
    chain::{Received, SignedPiece},
    key::CallKey,
    pairing::Marks,
    span::span_of_body,
    store::form_of_number,
};

/// The columns that [`call_of`] reads.
pub(super) const CALL_COLUMNS: &str = "id, call_id, trace_id, consumer, provider, inquiry, kind, resolution, outcome, status, reason, \
                                  started_at_us, duration_us, spans, awaited, sides, marks, consumer_outcome, provider_outcome";

/// The number that no word has: a side has said nothing.
const NO_WORD: i64 = 0;

/// A row of [`CALL_COLUMNS`].
///
/// # Errors
/// When the file cannot be read.
pub(super) fn call_of(conn: &Connection, row: &Row<'_>, spelling: &mut Spelling) -> rusqlite::Result<Call> {
    let mut word = |column: usize| match row.get(column)? {
        NO_WORD => Ok(String::new()),
        number => spelling.word(conn, number),
    };
    Ok(Call {
        key: CallKey::from_number(row.get(0)?),
        call_id: HEXLOWER.encode(row.get_ref(1)?.as_blob()?),
        trace_id: HEXLOWER.encode(row.get_ref(2)?.as_blob()?),
        consumer: word(3)?,
        provider: word(4)?,
        inquiry: word(5)?,
        kind: word(6)?,
        resolution: word(7)?,
        outcome: word(8)?,
        status: word(9)?,
        reason: word(10)?,
        started_at_us: row.get(11)?,
        duration_us: row.get(12)?,
        spans: row.get(13)?,
        awaited: row.get(14)?,
        sides: row.get(15)?,
        marks: Marks::from_bits(row.get(16)?),
        consumer_outcome: word(17)?,
        provider_outcome: word(18)?,
    })
}

/// The columns that [`span_of`] reads, of `spans s LEFT JOIN chains c ON c.id = s.chain`.
pub(super) const SPAN_COLUMNS: &str = "s.id, s.reporter, s.form, s.body, c.chain, s.sequence";

/// A row as a standard span. `None`: it was evicted but for its digest, or cannot be read any more.
///
/// # Errors
/// When the row has other columns.
pub(super) fn span_of(row: &Row<'_>) -> rusqlite::Result<Option<Span>> {
    let place: Option<([u8; 16], i64)> = row.get::<_, Option<[u8; 16]>>(4)?.zip(row.get(5)?);
    let place = place.map(|(chain, sequence)| (ChainId(chain), u64::try_from(sequence).unwrap_or_default()));
    Ok(span_of_body(form_of_number(row.get(2)?), row.get_ref(3)?.as_blob()?, place))
}

/// The records of a call, each with the number of its reporter; of a retried call, all attempts.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn spans_of_call(conn: &Connection, call: i64) -> rusqlite::Result<Vec<(i64, Span)>> {
    let sql = format!("SELECT {SPAN_COLUMNS} FROM spans s LEFT JOIN chains c ON c.id = s.chain WHERE s.call = ?1 ORDER BY s.id");
    let mut found = Vec::new();
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([call])?;
    while let Some(row) = rows.next()? {
        if let Some(span) = span_of(row)? {
            found.push((row.get(1)?, span));
        }
    }
    Ok(found)
}

/// The columns that [`piece_of`] reads, of `checkpoints p JOIN certificates c ON c.id = p.certificate`.
pub(super) const PIECE_COLUMNS: &str = "p.first, p.last, p.before, p.after, p.at_ms, p.scheme, p.signature, c.der, p.received_at_ms, \
                                   p.receipt, (SELECT n.der FROM certificates n WHERE n.id = p.notary)";

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
        received: match row.get::<_, Option<Vec<u8>>>(10)? {
            Some(certificate) => Some(Received { at: Timestamp::from_unix_ms(row.get(8)?), receipt: row.get(9)?, certificate }),
            None => None,
        },
    })
}
