//! Finds calls and traces again.

use std::collections::HashMap;

use sqlx::{FromRow, QueryBuilder, Row as _, Sqlite, SqlitePool, sqlite::SqliteRow};

use crate::{
    api::{Page, Problem},
    store::StoreError,
};

/// Spans of one trace that are shown at most: one that long is no trace of a call, and an answer is bounded.
const TRACE_SPANS_MAX: i64 = 10_000;

/// Which calls are wanted. What is unset does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Either party.
    pub agency: Option<String>,
    pub consumer: Option<String>,
    pub provider: Option<String>,
    pub inquiry: Option<String>,
    pub ending: Option<Wanted>,
    pub call_id: Option<String>,
    /// Started at or after; and before. Unix microseconds.
    pub from_us: Option<i64>,
    pub until_us: Option<i64>,
}

/// How the wanted calls ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// "served", "refused", "failed" or "abandoned".
    Outcome(String),
    /// Name of a gRPC status.
    Status(String),
}

/// A call, of what both sides reported.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Call {
    pub call_key: String,
    pub call_id: String,
    pub trace_id: String,
    pub consumer: String,
    pub provider: String,
    pub inquiry: String,
    pub resolution: String,
    pub outcome: String,
    pub status: String,
    pub reason: String,
    pub started_at_us: i64,
    pub duration_us: i64,
    pub spans: i64,
}

/// A span, with who reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSpan {
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: String,
    pub name: String,
    pub kind: i64,
    pub status: i64,
    pub status_message: String,
    pub started_at_us: i64,
    pub duration_us: i64,
    pub reporter: String,
    pub attributes: HashMap<String, String>,
}

/// Where a page ends: start and key of its last call.
struct After {
    started_at_us: i64,
    call_key: String,
}

pub(super) async fn calls(pool: &SqlitePool, query: &Query, page: &Page) -> Result<(Vec<Call>, String), Problem> {
    let after = page.after.as_deref().map(after).transpose()?;
    let mut sql = QueryBuilder::<Sqlite>::new("");
    match &query.agency {
        None => push_newest(&mut sql, query, None, after.as_ref(), page.limit()),
        // Each branch runs down its own index; together they are merged. One condition with OR would read far more.
        Some(agency) => {
            sql.push("SELECT * FROM (");
            push_newest(&mut sql, query, Some(("consumer", agency)), after.as_ref(), page.limit());
            sql.push(") AS asked UNION SELECT * FROM (");
            push_newest(&mut sql, query, Some(("provider", agency)), after.as_ref(), page.limit());
            sql.push(") AS answered ORDER BY started_at_us DESC, call_key DESC LIMIT ").push_bind(page.limit());
        }
    }
    let mut calls: Vec<Call> = sql.build_query_as().fetch_all(pool).await?;
    let next = page.cut(&mut calls, |call| format!("{}/{}", call.started_at_us, call.call_key));
    Ok((calls, next))
}

fn push_newest(sql: &mut QueryBuilder<Sqlite>, query: &Query, party: Option<(&str, &str)>, after: Option<&After>, limit: i64) {
    sql.push(
        "SELECT call_key, call_id, trace_id, consumer, provider, inquiry, resolution, outcome, status, reason, \
         started_at_us, duration_us, spans FROM calls WHERE 1 = 1",
    );
    let ending = query.ending.as_ref().map(|ending| match ending {
        Wanted::Outcome(outcome) => ("outcome", outcome.as_str()),
        Wanted::Status(status) => ("status", status.as_str()),
    });
    let equal = [
        party,
        query.consumer.as_deref().map(|name| ("consumer", name)),
        query.provider.as_deref().map(|name| ("provider", name)),
        query.inquiry.as_deref().map(|name| ("inquiry", name)),
        query.call_id.as_deref().map(|id| ("call_id", id)),
        ending,
    ];
    for (column, value) in equal.into_iter().flatten() {
        sql.push(" AND ").push(column).push(" = ").push_bind(value.to_owned());
    }
    if let Some(from_us) = query.from_us {
        sql.push(" AND started_at_us >= ").push_bind(from_us);
    }
    if let Some(until_us) = query.until_us {
        sql.push(" AND started_at_us < ").push_bind(until_us);
    }
    if let Some(after) = after {
        sql.push(" AND (started_at_us, call_key) < (").push_bind(after.started_at_us);
        sql.push(", ").push_bind(after.call_key.clone()).push(")");
    }
    sql.push(" ORDER BY started_at_us DESC, call_key DESC LIMIT ").push_bind(limit);
}

fn after(key: &str) -> Result<After, Problem> {
    let malformed = || Problem::invalid("PAGE_TOKEN_MALFORMED", "page_token is not one that this list answered with");
    let (started_at_us, call_key) = key.split_once('/').ok_or_else(malformed)?;
    let started_at_us = started_at_us.parse().map_err(|_| malformed())?;
    Ok(After { started_at_us, call_key: call_key.to_owned() })
}

pub(super) async fn trace(pool: &SqlitePool, id: &str) -> Result<Vec<StoredSpan>, StoreError> {
    let of_trace = spans_of(pool, id).await?;
    if !of_trace.is_empty() {
        return Ok(of_trace);
    }
    let found: Option<String> =
        sqlx::query_scalar("SELECT trace_id FROM calls WHERE call_id = $1 ORDER BY sides DESC, call_key LIMIT 1")
            .bind(id)
            .fetch_optional(pool)
            .await?;
    match found {
        Some(trace_id) => spans_of(pool, &trace_id).await,
        None => Ok(Vec::new()),
    }
}

/// Of two that began in the same instant the longer one first: as a rule it is the other's parent.
async fn spans_of(pool: &SqlitePool, trace_id: &str) -> Result<Vec<StoredSpan>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM spans WHERE trace_id = $1 ORDER BY started_at_us, duration_us DESC, span_id, reporter LIMIT $2",
    )
    .bind(trace_id)
    .bind(TRACE_SPANS_MAX)
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| stored(row).map_err(StoreError::from)).collect()
}

fn stored(row: &SqliteRow) -> Result<StoredSpan, sqlx::Error> {
    let attributes: String = row.try_get("attributes")?;
    Ok(StoredSpan {
        trace_id: row.try_get("trace_id")?,
        span_id: row.try_get("span_id")?,
        parent_span_id: row.try_get("parent_span_id")?,
        name: row.try_get("name")?,
        kind: row.try_get("kind")?,
        status: row.try_get("status")?,
        status_message: row.try_get("status_message")?,
        started_at_us: row.try_get("started_at_us")?,
        duration_us: row.try_get("duration_us")?,
        reporter: row.try_get("reporter")?,
        attributes: serde_json::from_str(&attributes).map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}
