//! Rows of spans, read back as the standard spans that they were.

use chapar_core::record::chain::ChainId;
use opentelemetry_proto::tonic::trace::v1::Span;
use rusqlite::{Connection, Row};

use crate::ledger::{span::span_of_body, store::encoding::form_of_number};

/// The columns that [`span_of`] reads, of `spans s LEFT JOIN chains c ON c.id = s.chain`.
pub(super) const COLUMNS: &str = "s.id, s.reporter, s.form, s.body, c.chain, s.sequence";

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
    let sql = format!("SELECT {COLUMNS} FROM spans s LEFT JOIN chains c ON c.id = s.chain WHERE s.call = ?1 ORDER BY s.id");
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
