//! Calls by whom they were about.

use rusqlite::{Connection, params};

use super::{
    Call,
    read::calls_at,
    stored::{hex, spans_of_call},
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;

/// A call about somebody, and what it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    pub call: Call,
    /// As stated; empty: it was not.
    pub purpose: String,
}

/// The calls of any of these hashes, newest first.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn about(
    conn: &Connection,
    hashes: &[[u8; 16]],
    rows: std::ops::Range<i64>,
    count: i64,
) -> rusqlite::Result<Vec<About>> {
    let mut ids = Vec::new();
    let mut find = conn
        .prepare_cached("SELECT call FROM subjects WHERE hash = ?1 AND call >= ?2 AND call < ?3 ORDER BY call DESC LIMIT ?4")?;
    for hash in hashes {
        let found = find.query_map(params![&hash[..], rows.start, rows.end, count], |row| row.get::<_, i64>(0))?;
        ids.extend(found.collect::<Result<Vec<_>, _>>()?);
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    ids.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    let calls = calls_at(conn, &ids)?;
    calls.into_iter().map(|call| Ok(About { purpose: purpose(conn, call.id)?, call })).collect()
}

/// What either side put down; the consumer's as a rule, since it comes from there.
fn purpose(conn: &Connection, call: i64) -> rusqlite::Result<String> {
    let spans = spans_of_call(conn, call)?;
    let attributes = spans.into_iter().flat_map(|(_, _, span)| span.attributes);
    let stated = attributes.filter(|attribute| attribute.key == "chapar.purpose").find_map(|attribute| {
        match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => Some(text),
            _ => None,
        }
    });
    Ok(stated.unwrap_or_default())
}

/// Lowercase hex, for the audit.
pub(crate) fn hash_text(hash: &[u8; 16]) -> String {
    hex(hash)
}
