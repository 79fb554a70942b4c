//! Stored spans, read back as the standard spans that they were.

use std::collections::HashMap;

use chapar_core::{
    policy::Side,
    record::{self, CallRecord, ChainEntry, Loss, Outcome, Value, chain::ChainId},
    time::Timestamp,
};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{Span, Status, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use rusqlite::{Connection, Row};

use super::rows::{FORM_ENTRY, FORM_OTLP};

/// Bits of `Span.flags` that say whether the parent was on another machine (OTLP, `SpanFlags`), and the W3C "sampled" flag.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
const SAMPLED: u32 = 0x01;

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

/// The columns that [`span_of`] reads, of `spans s LEFT JOIN chains c ON c.id = s.chain`.
pub(super) const COLUMNS: &str = "s.id, s.reporter, s.form, s.body, c.chain, s.sequence";

/// A row as a standard span. `None`: it was forgotten but for its digest, or cannot be read any more.
///
/// # Errors
/// When the row has other columns.
pub(super) fn span_of(row: &Row<'_>) -> rusqlite::Result<Option<Span>> {
    let (form, body) = (row.get::<_, i64>(2)?, row.get_ref(3)?.as_blob()?);
    let place: Option<([u8; 16], i64)> = row.get::<_, Option<[u8; 16]>>(4)?.zip(row.get(5)?);
    let mut span = match form {
        FORM_OTLP => return Ok(Span::decode(body).ok()),
        FORM_ENTRY => match record::decode_entry(body) {
            Ok(ChainEntry::Call(call)) => of_call(&call),
            Ok(ChainEntry::Loss(loss)) => of_loss(&loss),
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    if let Some((chain, sequence)) = place {
        span.attributes.push(text("chapar.chain.id", ChainId(chain).to_string()));
        span.attributes.push(count("chapar.chain.sequence", u64::try_from(sequence).unwrap_or_default()));
    }
    Ok(Some(span))
}

/// A call as the sidecar sent it: CLIENT on the consumer's side, SERVER on the provider's.
fn of_call(call: &CallRecord<'_>) -> Span {
    let kind = match call.side {
        Side::Consumer => SpanKind::Client,
        Side::Provider => SpanKind::Server,
    };
    let remote = if call.trace.parent_span_id.is_some() { IS_REMOTE } else { 0 };
    let ended_well = call.outcome == Outcome::Served && call.status as u8 == 0;
    let started_ns = nanoseconds(call.started_at);
    Span {
        trace_id: call.trace.trace_id.to_vec(),
        span_id: call.trace.span_id.to_vec(),
        parent_span_id: call.trace.parent_span_id.map_or_else(Vec::new, Vec::from),
        flags: if call.trace.sampled { SAMPLED } else { 0 } | HAS_IS_REMOTE | remote,
        name: call.method().to_owned(),
        kind: kind.into(),
        start_time_unix_nano: started_ns,
        end_time_unix_nano: started_ns.saturating_add(call.duration_us.saturating_mul(1_000)),
        attributes: call.attributes().into_iter().map(|(key, value)| attribute(key, value)).collect(),
        status: Some(Status {
            message: call.reason.map_or("", |reason| reason.as_str()).to_owned(),
            code: if ended_well { StatusCode::Unset } else { StatusCode::Error }.into(),
        }),
        ..Span::default()
    }
}

/// A loss as a span. Its IDs are made up of what it says: nothing else refers to it.
fn of_loss(loss: &Loss) -> Span {
    let mut bytes = Vec::new();
    record::encode_loss(loss, &mut bytes);
    let digest = record::chain::digest(&bytes).0;
    Span {
        trace_id: digest[..16].to_vec(),
        span_id: digest[16..24].to_vec(),
        name: "chapar.loss".to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanoseconds(loss.first_at),
        end_time_unix_nano: nanoseconds(loss.last_at),
        attributes: vec![
            text("chapar.loss.cause", loss.cause.as_str().to_owned()),
            count("chapar.loss.records", loss.records),
            count("chapar.loss.number", loss.number),
        ],
        status: Some(Status { message: String::new(), code: StatusCode::Error.into() }),
        ..Span::default()
    }
}

fn nanoseconds(instant: Timestamp) -> u64 {
    u64::try_from(instant.unix_ms()).unwrap_or(0).saturating_mul(1_000_000)
}

fn attribute(key: &str, value: Value<'_>) -> KeyValue {
    match value {
        Value::Text(value) => text(key, value.to_owned()),
        Value::Hex(bytes) => text(key, hex(&bytes)),
        Value::Count(value) => count(key, value),
    }
}

fn text(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn count(key: &str, value: u64) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX))) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Lowercase hex, two digits a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A span for an admin: every value as text.
pub(super) fn told(span: Span, reporter: String) -> StoredSpan {
    let us = |ns: u64| i64::try_from(ns / 1_000).unwrap_or(i64::MAX);
    let mut attributes = HashMap::new();
    for KeyValue { key, value, .. } in span.attributes {
        attributes.entry(key).or_insert_with(|| plain(value));
    }
    StoredSpan {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind.into(),
        status: span.status.as_ref().map_or(0, |status| status.code.into()),
        status_message: span.status.map(|status| status.message).unwrap_or_default(),
        started_at_us: us(span.start_time_unix_nano),
        duration_us: us(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano)),
        reporter,
        attributes,
    }
}

fn plain(value: Option<AnyValue>) -> String {
    use any_value::Value;
    match value.and_then(|value| value.value) {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BytesValue(bytes)) => hex(&bytes),
        // Lists have no text of their own; nothing here reads them, so OTLP's JSON will do.
        Some(list) => serde_json::to_string(&list).unwrap_or_default(),
    }
}

/// The records of a call, each with its row number; of a retried call, all attempts.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn spans_of_call(conn: &Connection, call: i64) -> rusqlite::Result<Vec<(i64, i64, Span)>> {
    let sql = format!("SELECT {COLUMNS} FROM spans s LEFT JOIN chains c ON c.id = s.chain WHERE s.call = ?1 ORDER BY s.id");
    let mut found = Vec::new();
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([call])?;
    while let Some(row) = rows.next()? {
        if let Some(span) = span_of(row)? {
            found.push((row.get(0)?, row.get(1)?, span));
        }
    }
    Ok(found)
}
