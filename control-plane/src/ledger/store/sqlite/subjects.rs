//! Calls by whom they were about.

use std::ops::Range;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use rusqlite::{Connection, params};

use super::{
    dictionary::Spelling,
    rows::spans_of_call,
    rows::{CALL_COLUMNS, call_of},
};
use crate::ledger::{
    call::{Call, CallAbout},
    key::CallKey,
};

/// The calls of any of these hashes, newest first.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn calls_about(
    conn: &Connection,
    hashes: &[[u8; 16]],
    keys: Range<CallKey>,
    count: usize,
) -> rusqlite::Result<Vec<CallAbout>> {
    let mut ids = Vec::new();
    let mut find = conn
        .prepare_cached("SELECT call FROM subjects WHERE hash = ?1 AND call >= ?2 AND call < ?3 ORDER BY call DESC LIMIT ?4")?;
    let limit = i64::try_from(count).unwrap_or(i64::MAX);
    for hash in hashes {
        let found =
            find.query_map(params![&hash[..], keys.start.number(), keys.end.number(), limit], |row| row.get::<_, i64>(0))?;
        ids.extend(found.collect::<Result<Vec<_>, _>>()?);
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    ids.truncate(count);
    let calls = calls_at(conn, &ids)?;
    calls.into_iter().map(|call| Ok(CallAbout { purpose: purpose(conn, call.key.number())?, call })).collect()
}

/// What either side put down; the consumer's as a rule, since it comes from there.
fn purpose(conn: &Connection, call: i64) -> rusqlite::Result<String> {
    let spans = spans_of_call(conn, call)?;
    let attributes = spans.into_iter().flat_map(|(_, span)| span.attributes);
    let stated = attributes.filter(|attribute| attribute.key == "chapar.purpose").find_map(|attribute| {
        match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => Some(text),
            _ => None,
        }
    });
    Ok(stated.unwrap_or_default())
}

/// The calls with these row numbers, as far as they are still there.
///
/// # Errors
/// When the file cannot be read.
fn calls_at(conn: &Connection, ids: &[i64]) -> rusqlite::Result<Vec<Call>> {
    let sql = format!("SELECT {CALL_COLUMNS} FROM calls WHERE id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut spelling = Spelling::default();
    let mut calls = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = statement.query([id])?;
        if let Some(row) = rows.next()? {
            calls.push(call_of(conn, row, &mut spelling)?);
        }
    }
    Ok(calls)
}
