//! Calls by whom they were about.

use std::ops::Range;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use rusqlite::{Connection, params};
use tokio::task::{JoinError, JoinSet};

use super::{
    dictionary::Spelling,
    file::Readers,
    rows::spans_of_call,
    rows::{CALL_COLUMNS, call_of},
};
use crate::{
    ledger::{
        call::{Call, CallAbout},
        key::CallKey,
        subjects::SubjectPair,
    },
    store::StoreError,
};

/// Connections that look for one person's hashes at the same time; others are left for whoever else reads.
const SEARCHERS_MAX: usize = 2;

/// Hashes that are worth a connection of their own: looked up in some milliseconds.
const HASHES_A_PART_MIN: usize = 2_048;

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

/// Who asked whom about somebody, by key.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn subject_pairs(conn: &Connection) -> rusqlite::Result<Vec<SubjectPair>> {
    let mut all = conn.prepare_cached("SELECT key, consumer, provider FROM subject_pairs")?;
    let mut spelling = Spelling::default();
    let mut pairs = Vec::new();
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let consumer = spelling.word(conn, row.get(1)?)?;
        pairs.push(SubjectPair { key: row.get(0)?, consumer, provider: spelling.word(conn, row.get(2)?)? });
    }
    Ok(pairs)
}

/// Those of these hashes that some call is on record with. They are looked up in the order of the index, so that each of its pages is
/// visited once, in several parts at the same time.
///
/// # Errors
/// When the file cannot be read.
pub(super) async fn hashes_on_record(readers: &Readers, mut hashes: Vec<[u8; 16]>) -> Result<Vec<[u8; 16]>, StoreError> {
    hashes.sort_unstable();
    hashes.dedup();
    let part_size = hashes.len().div_ceil(SEARCHERS_MAX).max(HASHES_A_PART_MIN);
    let mut parts = JoinSet::new();
    for part in hashes.chunks(part_size) {
        let (readers, part) = (readers.clone(), part.to_vec());
        parts.spawn(async move { readers.read(move |conn| Ok(held(conn, part)?)).await });
    }
    let mut found = Vec::new();
    while let Some(part) = parts.join_next().await {
        let gone = |error: JoinError| StoreError::Broken { what: "search of the ledger".into(), why: error.to_string() };
        found.extend(part.map_err(gone)??);
    }
    Ok(found)
}

fn held(conn: &Connection, hashes: Vec<[u8; 16]>) -> rusqlite::Result<Vec<[u8; 16]>> {
    let mut one = conn.prepare_cached("SELECT 1 FROM subjects WHERE hash = ?1 LIMIT 1")?;
    let mut found = Vec::new();
    for hash in hashes {
        if one.exists([&hash[..]])? {
            found.push(hash);
        }
    }
    Ok(found)
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
