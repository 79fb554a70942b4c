#![allow(clippy::unwrap_used)]

mod evidence;
mod finding;
mod ingest;
mod keeping;
mod subjects;

use chapar_core::time::Timestamp;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;

use super::*;
use crate::{clock::Clock, page::Page};

pub(super) const NOW_MS: i64 = 1_700_000_000_000;
pub(super) const DAY_MS: i64 = 86_400_000;

pub(super) async fn opened() -> (tempfile::TempDir, Ledger, Clock) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(Timestamp::from_unix_ms(NOW_MS));
    let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
    let metrics = Metrics::registered(&prometheus::Registry::new()).unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger.db"), store, metrics).unwrap();
    (folder, ledger, clock)
}

pub(super) fn sidecar(agency: &str) -> SidecarCaller {
    SidecarCaller {
        id: format!("spiffe://exchange.example/agency/{agency}/sidecar/main").parse().unwrap(),
        agency: agency.parse().unwrap(),
        serial: "0a".into(),
        not_after: Timestamp::MAX,
    }
}

/// An export of these spans, as it comes over the wire.
pub(super) fn export(spans: Vec<Span>) -> Bytes {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

/// Reports the oldest first, as a sidecar does: the order of calls is that in which they come in.
pub(super) async fn report(ledger: &Ledger, agency: &str, mut spans: Vec<Span>) -> Ingested {
    spans.sort_by_key(|span| span.start_time_unix_nano);
    ledger.ingest(&sidecar(agency), export(spans)).await.unwrap()
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

pub(super) fn count(key: &str, value: i64) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(Value::IntValue(value)) }), ..KeyValue::default() }
}

/// One side's account of the call with this number, which began that many seconds before now.
pub(super) fn account(number: u8, side: &str, more: &[(&str, &str)]) -> Span {
    let call_id = format!("{number:032x}");
    let base = [
        ("chapar.call_id", call_id.as_str()),
        ("chapar.side", side),
        ("chapar.consumer", "ipm"),
        ("chapar.provider", "cra"),
        ("chapar.inquiry", "shahkar"),
        ("chapar.resolution", "38-1"),
        ("chapar.outcome", "served"),
        ("rpc.response.status_code", "OK"),
    ];
    let kept = base.iter().filter(|(key, _)| !more.iter().any(|(other, _)| other == key));
    let attributes = kept.chain(more).map(|(key, value)| text(key, value));
    let start_ms = u64::try_from(NOW_MS).unwrap() - u64::from(number) * 1_000;
    let provider_side = u8::from(side == "provider");
    Span {
        trace_id: vec![number; 16],
        span_id: vec![number * 2 + provider_side; 8],
        parent_span_id: if provider_side == 1 { vec![number * 2; 8] } else { Vec::new() },
        name: "ir.cra.v1.Shahkar/Check".into(),
        kind: if provider_side == 1 { 2 } else { 3 },
        start_time_unix_nano: (start_ms + u64::from(provider_side)) * 1_000_000,
        end_time_unix_nano: (start_ms + 10 - u64::from(provider_side)) * 1_000_000,
        attributes: attributes.collect(),
        ..Span::default()
    }
}

pub(super) fn first_page(size: u32) -> Page {
    Page::asked(size, "").unwrap()
}

pub(super) async fn found(ledger: &Ledger, query: CallQuery) -> Vec<String> {
    let (calls, _) = ledger.calls(&query, &first_page(100)).await.unwrap();
    calls.into_iter().map(|call| call.call_id.trim_start_matches('0').to_owned()).collect()
}
