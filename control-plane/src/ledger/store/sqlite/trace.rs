//! The spans of a trace.

use chapar_core::record::CallId;
use opentelemetry_proto::tonic::trace::v1::Span;
use rusqlite::Connection;

use super::{
    dictionary::Spelling,
    rows::{SPAN_COLUMNS, span_of, spans_of_call},
};

/// Calls of one trace, and spans of no call, that are shown at most: one that long is no trace of a call, and an answer is bounded.
const TRACE_CALLS_MAX: i64 = 2_500;
const TRACE_SPANS_MAX: i64 = 5_000;

/// The spans of a trace by its ID, or by that of a call in it, each with who reported it.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn spans_of_trace(conn: &Connection, id: CallId) -> rusqlite::Result<Vec<(String, Span)>> {
    let spans = spans_with_trace_id(conn, id.as_bytes())?;
    if !spans.is_empty() {
        return Ok(spans);
    }
    let mut found = conn.prepare_cached("SELECT trace_id FROM calls WHERE call_id = ?1 ORDER BY sides DESC, id LIMIT 1")?;
    let mut rows = found.query([&id.as_bytes()[..]])?;
    match rows.next()? {
        Some(row) => spans_with_trace_id(conn, &row.get::<_, [u8; 16]>(0)?),
        None => Ok(Vec::new()),
    }
}

fn spans_with_trace_id(conn: &Connection, trace_id: &[u8; 16]) -> rusqlite::Result<Vec<(String, Span)>> {
    let mut spelling = Spelling::default();
    let mut spans = Vec::new();
    let mut calls = conn.prepare_cached("SELECT id FROM calls WHERE trace_id = ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = calls.query((&trace_id[..], TRACE_CALLS_MAX))?;
    while let Some(row) = rows.next()? {
        for (reporter, span) in spans_of_call(conn, row.get(0)?)? {
            spans.push((spelling.word(conn, reporter)?, span));
        }
    }
    let sql = format!(
        "SELECT {SPAN_COLUMNS} FROM spans s LEFT JOIN chains c ON c.id = s.chain \
         WHERE s.trace_id = ?1 AND s.chain IS NULL AND s.call IS NULL LIMIT ?2"
    );
    let mut others = conn.prepare_cached(&sql)?;
    let mut rows = others.query((&trace_id[..], TRACE_SPANS_MAX))?;
    while let Some(row) = rows.next()? {
        if let Some(span) = span_of(row)? {
            spans.push((spelling.word(conn, row.get(1)?)?, span));
        }
    }
    Ok(spans)
}
