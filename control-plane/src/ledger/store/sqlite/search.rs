//! Finds calls again.

mod condition;
mod plan;

use std::ops::Range;

use async_trait::async_trait;
use chapar_core::{policy::Side, record::CallId};
use opentelemetry_proto::tonic::trace::v1::Span;
use rusqlite::{Connection, params_from_iter};

use self::plan::Plan;
use super::{
    SqliteLedger,
    dictionary::Spelling,
    rows::call_of,
    subjects::{calls_about, hashes_on_record, subject_pairs},
    trace::spans_of_trace,
};
use crate::{
    ledger::{
        call::{Call, CallAbout, CallQuery},
        key::CallKey,
        pairing::bit,
        store::CallSearch,
        subjects::SubjectPair,
    },
    store::StoreError,
};

#[async_trait]
impl CallSearch for SqliteLedger {
    async fn calls(&self, query: CallQuery, before: Option<CallKey>, count: usize) -> Result<Vec<Call>, StoreError> {
        self.readers.read(move |conn| Ok(calls(conn, &query, before, count)?)).await
    }

    async fn calls_about(&self, hashes: Vec<[u8; 16]>, keys: Range<CallKey>, count: usize) -> Result<Vec<CallAbout>, StoreError> {
        self.readers.read(move |conn| Ok(calls_about(conn, &hashes, keys, count)?)).await
    }

    async fn subject_pairs(&self) -> Result<Vec<SubjectPair>, StoreError> {
        self.readers.read(move |conn| Ok(subject_pairs(conn)?)).await
    }

    async fn hashes_on_record(&self, hashes: Vec<[u8; 16]>) -> Result<Vec<[u8; 16]>, StoreError> {
        hashes_on_record(&self.readers, hashes).await
    }

    async fn spans_of_trace(&self, id: CallId) -> Result<Vec<(String, Span)>, StoreError> {
        self.readers.read(move |conn| Ok(spans_of_trace(conn, id)?)).await
    }

    async fn count_awaiting(&self, side: Side, before: CallKey, count_max: u32) -> Result<i64, StoreError> {
        self.readers.read(move |conn| Ok(count_awaiting(conn, side, before, count_max)?)).await
    }
}

fn calls(conn: &Connection, query: &CallQuery, before: Option<CallKey>, count: usize) -> rusqlite::Result<Vec<Call>> {
    let Some(plan) = Plan::new(conn, query)? else { return Ok(Vec::new()) };
    let (sql, values) = plan.statement(query, before, count);
    let mut spelling = Spelling::default();
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut calls = Vec::new();
    while let Some(row) = rows.next()? {
        calls.push(call_of(conn, row, &mut spelling)?);
    }
    Ok(calls)
}

fn count_awaiting(conn: &Connection, side: Side, before: CallKey, count_max: u32) -> rusqlite::Result<i64> {
    let mut count = conn.prepare_cached(
        "SELECT COUNT(*) FROM (SELECT 1 FROM calls INDEXED BY calls_awaiting \
         WHERE awaited = ?1 AND awaited <> 0 AND id < ?2 LIMIT ?3)",
    )?;
    count.query_row([bit(side), before.number(), i64::from(count_max)], |row| row.get(0))
}

#[cfg(test)]
mod tests;
