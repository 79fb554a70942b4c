//! A call record as a standard span (OTLP 1.x), and what goes around spans: as the bytes that leave, without anything between them
//! and the record.

use chapar_core::{
    policy::Side,
    record::{
        CallId, CallRecord, Loss, Outcome, Value,
        chain::{self, ChainId},
    },
    time::Timestamp,
};
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};

use super::wire::{self, Any};

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

/// Number of the field `attributes` of a span.
pub(super) const ATTRIBUTES: u32 = 9;

/// Number of the field `attributes` of a scope.
pub(super) const SCOPE_ATTRIBUTES: u32 = 3;

/// The place of an entry in its chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChainPosition {
    pub(super) chain: ChainId,
    pub(super) sequence: u64,
}

/// What every span has.
#[derive(Debug)]
pub(super) struct Stem<'s> {
    pub(super) trace_id: &'s [u8],
    pub(super) span_id: &'s [u8],
    pub(super) parent_span_id: &'s [u8],
    pub(super) name: &'s str,
    pub(super) kind: SpanKind,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
}

/// Appends what goes before `scope_bytes` bytes of scopes with their spans, so that all of it is one `ExportTraceServiceRequest`.
pub(super) fn put_resource(origin: &Origin, scope_bytes: usize, out: &mut Vec<u8>) {
    let mut resource = Vec::with_capacity(512);
    wire::message(1, &mut resource, |out| {
        for (key, value) in [
            ("service.name", SCOPE),
            ("service.namespace", &origin.agency),
            ("service.instance.id", &origin.instance),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("chapar.sidecar", &origin.sidecar),
        ] {
            wire::attribute(1, key, Any::Text(value.as_bytes()), out);
        }
    });
    wire::begun(1, resource.len() + scope_bytes, out);
    out.extend_from_slice(&resource);
}

/// Appends what goes before `span_bytes` bytes of spans, so that both are one `ScopeSpans`: a scope with these attributes, which are
/// its fields already.
pub(super) fn put_scope(attributes: &[u8], span_bytes: usize, out: &mut Vec<u8>) {
    let mut scope = Vec::with_capacity(64 + attributes.len());
    wire::message(1, &mut scope, |out| {
        wire::bytes(1, SCOPE.as_bytes(), out);
        wire::bytes(2, env!("CARGO_PKG_VERSION").as_bytes(), out);
        out.extend_from_slice(attributes);
    });
    wire::begun(2, scope.len() + span_bytes, out);
    out.extend_from_slice(&scope);
}

/// Appends a span: its stem, and what `write` adds.
pub(super) fn put(stem: &Stem<'_>, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    wire::message(2, out, |out| {
        wire::bytes(1, stem.trace_id, out);
        wire::bytes(2, stem.span_id, out);
        wire::bytes(4, stem.parent_span_id, out);
        wire::bytes(5, stem.name.as_bytes(), out);
        wire::number(6, stem.kind.into(), out);
        wire::fixed64(7, stem.start_ns, out);
        wire::fixed64(8, stem.end_ns, out);
        write(out);
    });
}

/// Appends one call as a span that says all of it: CLIENT on the consumer's side, SERVER on the provider's.
pub(super) fn put_call(record: &CallRecord<'_>, position: ChainPosition, out: &mut Vec<u8>) {
    put_span(record, out, |out| {
        record.each_attribute(|key, value| attribute(ATTRIBUTES, key, value, out));
        put_position(position, out);
    });
}

/// As [`put_call`], for a scope that says what the call shares with others, and their chain.
pub(super) fn put_own(record: &CallRecord<'_>, sequence: u64, out: &mut Vec<u8>) {
    put_span(record, out, |out| {
        record.each_own_attribute(|key, value| attribute(ATTRIBUTES, key, value, out));
        count("chapar.chain.sequence", sequence, out);
    });
}

fn put_span(record: &CallRecord<'_>, out: &mut Vec<u8>, attributes: impl FnOnce(&mut Vec<u8>)) {
    let start_ns = nanoseconds(record.started_at);
    let stem = Stem {
        trace_id: &record.trace.trace_id,
        span_id: &record.trace.span_id,
        parent_span_id: record.trace.parent_span_id.as_ref().map_or(&[], <[u8; 8]>::as_slice),
        name: record.method(),
        kind: match record.side {
            Side::Consumer => SpanKind::Client,
            Side::Provider => SpanKind::Server,
        },
        start_ns,
        end_ns: start_ns.saturating_add(record.duration_us.saturating_mul(1_000)),
    };
    put(&stem, out, |out| {
        attributes(out);
        status(record, out);
        wire::fixed32(16, flags(record), out);
    });
}

/// Appends records that are not there, as a span. The same loss is the same span, however often it is sent.
pub(super) fn put_loss(loss: &Loss, position: ChainPosition, out: &mut Vec<u8>) {
    let mut identity = b"chapar.loss.v1\0".to_vec();
    identity.extend_from_slice(&position.chain.0);
    identity.push(loss.cause as u8);
    identity.extend_from_slice(&loss.number.to_be_bytes());
    let identity = chain::digest(&identity).0;
    let (trace_id, rest) = identity.split_at(16);
    let stem = Stem {
        trace_id,
        span_id: rest.split_at(8).0,
        parent_span_id: &[],
        name: LOSS,
        kind: SpanKind::Internal,
        start_ns: nanoseconds(loss.first_at),
        end_ns: nanoseconds(loss.last_at),
    };
    put(&stem, out, |out| {
        text("chapar.loss.cause", loss.cause.as_str(), out);
        count("chapar.loss.records", loss.records, out);
        count("chapar.loss.number", loss.number, out);
        put_position(position, out);
    });
}

fn put_position(position: ChainPosition, out: &mut Vec<u8>) {
    chain(ATTRIBUTES, position.chain, out);
    count("chapar.chain.sequence", position.sequence, out);
}

fn flags(record: &CallRecord<'_>) -> u32 {
    let sampled = if record.trace.sampled { SAMPLED } else { 0 };
    let remote = if record.trace.parent_span_id.is_some() { IS_REMOTE } else { 0 };
    sampled | HAS_IS_REMOTE | remote
}

/// An error where the call was not carried out, and where its status is one (semantic conventions for gRPC).
fn status(record: &CallRecord<'_>, out: &mut Vec<u8>) {
    let ended_well = record.outcome == Outcome::Served && record.status as u8 == 0;
    if ended_well {
        // Unset is what no status says.
        return;
    }
    let reason = record.reason.map_or("", |reason| reason.as_str());
    wire::message(15, out, |out| {
        wire::bytes(2, reason.as_bytes(), out);
        wire::number(3, StatusCode::Error.into(), out);
    });
}

/// Appends an attribute of a record, as this field of the message around it.
pub(super) fn attribute(field: u32, key: &str, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(value) => wire::attribute(field, key, Any::Text(value.as_bytes()), out),
        // Sixteen bytes in hex are written as a tracking ID is.
        Value::Hex(bytes) => wire::attribute(field, key, Any::Text(&CallId::from_bytes(bytes).hex()), out),
        // OTLP has signed counts only.
        Value::Count(value) => wire::attribute(field, key, Any::Count(value.min(i64::MAX.cast_unsigned())), out),
        Value::Bytes(value) => wire::attribute(field, key, Any::Bytes(value), out),
    }
}

/// Appends the attribute that names a chain.
pub(super) fn chain(field: u32, chain: ChainId, out: &mut Vec<u8>) {
    // Both are 128 bits in lowercase hex.
    attribute(field, "chapar.chain.id", Value::Hex(chain.0), out);
}

/// Appends an attribute of a span that is a count.
pub(super) fn count(key: &str, value: u64, out: &mut Vec<u8>) {
    attribute(ATTRIBUTES, key, Value::Count(value), out);
}

/// Appends an attribute of a span that is a text.
pub(super) fn text(key: &str, value: &str, out: &mut Vec<u8>) {
    attribute(ATTRIBUTES, key, Value::Text(value), out);
}

/// Appends an attribute of a span that is bytes.
pub(super) fn bytes(key: &str, value: &[u8], out: &mut Vec<u8>) {
    wire::attribute(ATTRIBUTES, key, Any::Bytes(value), out);
}

pub(super) fn nanoseconds(instant: Timestamp) -> u64 {
    u64::try_from(instant.unix_ms()).unwrap_or(0).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
