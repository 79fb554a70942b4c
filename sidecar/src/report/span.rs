//! A call record as a standard span (OTLP 1.x), and several of them as one export.

use chapar_core::{
    policy::Side,
    record::{
        CallId, CallRecord, Loss, Outcome, Value,
        chain::{self, ChainId},
    },
    time::Timestamp,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};

use super::evidence;

/// Who reports: attributes of the resource that all spans of this sidecar share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The agency: `service.namespace`.
    pub agency: String,
    /// Its SPIFFE ID: `chapar.sidecar`.
    pub sidecar: String,
    /// Another one at each start: `service.instance.id`.
    pub instance: String,
}

/// Name of the software that made the spans, and of their scope.
const SCOPE: &str = "chapar-sidecar";

/// Name of the span that tells of lost records.
const LOSS: &str = "chapar.loss";

/// Bits of `Span.flags` that say whether the parent was on another machine (OTLP, `SpanFlags`).
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// Bit of `Span.flags` that carries the W3C "sampled" flag.
const SAMPLED: u32 = 0x01;

/// One export of `spans`.
#[must_use]
pub fn export(origin: &Origin, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let attributes = vec![
        text("service.name", SCOPE),
        text("service.namespace", &origin.agency),
        text("service.instance.id", &origin.instance),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("chapar.sidecar", &origin.sidecar),
    ];
    let scope = InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let resource = Resource { attributes, ..Resource::default() };
    let resource_spans = ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

/// One call as a span: CLIENT on the consumer's side, SERVER on the provider's.
#[must_use]
pub fn span(record: &CallRecord<'_>) -> Span {
    let kind = match record.side {
        Side::Consumer => SpanKind::Client,
        Side::Provider => SpanKind::Server,
    };
    let start_ns = nanoseconds(record.started_at);
    let attributes = record.attributes().into_iter().map(|(key, value)| attribute(key, value)).collect();
    Span {
        trace_id: record.trace.trace_id.to_vec(),
        span_id: record.trace.span_id.to_vec(),
        parent_span_id: record.trace.parent_span_id.map_or_else(Vec::new, Vec::from),
        flags: flags(record),
        name: record.method().to_owned(),
        kind: kind.into(),
        start_time_unix_nano: start_ns,
        end_time_unix_nano: start_ns.saturating_add(record.duration_us.saturating_mul(1_000)),
        attributes,
        status: Some(status(record)),
        ..Span::default()
    }
}

/// Records that are not there, as a span. The same loss is the same span, however often it is sent.
pub(super) fn loss_span(loss: &Loss, chain: ChainId) -> Span {
    let mut identity = b"chapar.loss.v1\0".to_vec();
    identity.extend_from_slice(&chain.0);
    identity.push(loss.cause as u8);
    identity.extend_from_slice(&loss.number.to_be_bytes());
    let identity = chain::digest(&identity).0;
    Span {
        trace_id: identity[..16].to_vec(),
        span_id: identity[16..24].to_vec(),
        name: LOSS.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanoseconds(loss.first_at),
        end_time_unix_nano: nanoseconds(loss.last_at),
        attributes: vec![
            text("chapar.loss.cause", loss.cause.as_str()),
            count("chapar.loss.records", loss.records),
            count("chapar.loss.number", loss.number),
        ],
        ..Span::default()
    }
}

/// The span with its place in the chain.
pub(super) fn placed(mut span: Span, chain: ChainId, sequence: u64) -> Span {
    span.attributes.push(evidence::chain(chain));
    span.attributes.push(count("chapar.chain.sequence", sequence));
    span
}

fn flags(record: &CallRecord<'_>) -> u32 {
    let sampled = if record.trace.sampled { SAMPLED } else { 0 };
    let remote = if record.trace.parent_span_id.is_some() { IS_REMOTE } else { 0 };
    sampled | HAS_IS_REMOTE | remote
}

/// An error where the call was not carried out, and where its status is one (semantic conventions for gRPC).
fn status(record: &CallRecord<'_>) -> Status {
    let ended_well = record.outcome == Outcome::Served && record.status as u8 == 0;
    let message = record.reason.map_or("", |reason| reason.as_str()).to_owned();
    let code = if ended_well { StatusCode::Unset } else { StatusCode::Error };
    Status { message, code: code.into() }
}

fn attribute(key: &'static str, value: Value<'_>) -> KeyValue {
    let value = match value {
        Value::Text(text) => any_value::Value::StringValue(text.to_owned()),
        // Sixteen bytes in hex are written as a tracking ID is.
        Value::Hex(bytes) => any_value::Value::StringValue(CallId::from_bytes(bytes).to_string()),
        Value::Count(count) => any_value::Value::IntValue(i64::try_from(count).unwrap_or(i64::MAX)),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(super) fn count(key: &'static str, value: u64) -> KeyValue {
    attribute(key, Value::Count(value))
}

pub(super) fn text(key: &'static str, value: &str) -> KeyValue {
    attribute(key, Value::Text(value))
}

pub(super) fn nanoseconds(instant: Timestamp) -> u64 {
    u64::try_from(instant.unix_ms()).unwrap_or(0).saturating_mul(1_000_000)
}
