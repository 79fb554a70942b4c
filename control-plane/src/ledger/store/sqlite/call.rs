//! Rows of calls, read back.

use data_encoding::HEXLOWER;
use rusqlite::{Connection, Row};

use super::dictionary::Spelling;
use crate::ledger::{call::Call, key::CallKey};

/// The columns that [`call_of`] reads.
pub(super) const COLUMNS: &str = "id, call_id, trace_id, consumer, provider, inquiry, kind, resolution, outcome, status, reason, \
                                  started_at_us, duration_us, spans, awaited";

/// A row of [`COLUMNS`].
///
/// # Errors
/// When the file cannot be read.
pub(super) fn call_of(conn: &Connection, row: &Row<'_>, spelling: &mut Spelling) -> rusqlite::Result<Call> {
    let mut word = |column: usize| spelling.word(conn, row.get(column)?);
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
    })
}
