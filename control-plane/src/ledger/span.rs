//! Stored spans, read back as the standard spans that they were.

use std::{cmp::Ordering, collections::HashMap};

use chapar_core::{
    policy::Side,
    record::{self, CallRecord, ChainEntry, Loss, Outcome, Value, chain::ChainId},
    time::Timestamp,
};
use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{Span, Status, span::SpanKind, status::StatusCode},
};
use prost::Message as _;

use super::chain::Form;

/// Bits of `Span.flags` that say whether the parent was on another machine (OTLP, `SpanFlags`), and the W3C "sampled" flag.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
const SAMPLED: u32 = 0x01;

/// A span, with who reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSpan {
    /// Lowercase hex.
    pub trace_id: String,
    /// Lowercase hex.
    pub span_id: String,
    /// Lowercase hex; empty: it has none.
    pub parent_span_id: String,
    /// As its sidecar named it.
    pub name: String,
    /// Number of OpenTelemetry's span kind.
    pub kind: i64,
    /// Number of OpenTelemetry's status.
    pub status: i64,
    /// What the status says further.
    pub status_message: String,
    /// Unix microseconds.
    pub started_at_us: i64,
    /// Microseconds.
    pub duration_us: i64,
    /// SPIFFE ID of the sidecar that reported it.
    pub reporter: String,
    /// Every value as text.
    pub attributes: HashMap<String, String>,
}

/// What is held of a span, as the standard span that it was. `place`: its place in an evidence chain. `None`: it was evicted but for its
/// digest, or cannot be read any more.
pub(super) fn span_of_body(form: Form, body: &[u8], place: Option<(ChainId, u64)>) -> Option<Span> {
    let mut span = match form {
        Form::Otlp => return Span::decode(body).ok(),
        Form::Entry => match record::decode_entry(body).ok()? {
            ChainEntry::Call(call) => span_of_call(&call),
            ChainEntry::Loss(loss) => span_of_loss(&loss),
        },
        Form::Digest | Form::Unknown => return None,
    };
    if let Some((chain, sequence)) = place {
        span.attributes.push(text("chapar.chain.id", chain.to_string()));
        span.attributes.push(count("chapar.chain.sequence", sequence));
    }
    Some(span)
}

/// A call as the sidecar sent it: CLIENT on the consumer's side, SERVER on the provider's.
fn span_of_call(call: &CallRecord<'_>) -> Span {
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
fn span_of_loss(loss: &Loss) -> Span {
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
        Value::Hex(bytes) => text(key, HEXLOWER.encode(&bytes)),
        Value::Count(value) => count(key, value),
        Value::Bytes(value) => {
            let value = Some(AnyValue { value: Some(any_value::Value::BytesValue(value.to_vec())) });
            KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
        }
    }
}

pub(super) fn text(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn count(key: &str, value: u64) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX))) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

impl StoredSpan {
    /// A span for an admin: every value as text.
    pub(super) fn new(span: Span, reporter: String) -> Self {
        let us = |ns: u64| i64::try_from(ns / 1_000).unwrap_or(i64::MAX);
        let mut attributes = HashMap::new();
        for KeyValue { key, value, .. } in span.attributes {
            attributes.entry(key).or_insert_with(|| plain(value));
        }
        Self {
            trace_id: HEXLOWER.encode(&span.trace_id),
            span_id: HEXLOWER.encode(&span.span_id),
            parent_span_id: HEXLOWER.encode(&span.parent_span_id),
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

    /// The order in which a trace is told. Of two that began in the same instant the longer one first: as a rule it is the other's
    /// parent.
    pub(super) fn in_time(&self, other: &Self) -> Ordering {
        let order = |span: &Self| (span.started_at_us, -span.duration_us);
        order(self).cmp(&order(other)).then_with(|| (&self.span_id, &self.reporter).cmp(&(&other.span_id, &other.reporter)))
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
        Some(Value::BytesValue(bytes)) => HEXLOWER.encode(&bytes),
        // Lists have no text of their own; nothing here reads them, so OTLP's JSON will do.
        Some(list) => serde_json::to_string(&list).unwrap_or_default(),
    }
}
