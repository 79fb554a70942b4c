use chapar_core::{
    policy::{GrpcCode, Reason},
    record::{Flow, LossCause, TraceContext},
    subject::SubjectHash,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value},
    trace::v1::{Span, Status},
};
use prost::Message as _;

use super::*;

const CHAIN: ChainId = ChainId([7; 16]);
const POSITION: ChainPosition = ChainPosition { chain: CHAIN, sequence: 300 };

fn served() -> CallRecord<'static> {
    let trace = TraceContext { trace_id: [1; 16], span_id: [2; 8], parent_span_id: Some([3; 8]), sampled: true };
    let at = Timestamp::from_unix_ms(1_700_000_000_123);
    let begun =
        CallRecord::begun(CallId::from_bytes([9; 16]), trace, Side::Provider, "/ir.cra.v1.Shahkar/Match", at, "127.0.0.1:1");
    CallRecord {
        consumer: "ipm",
        provider: "cra",
        inquiry: "shahkar",
        kind: "verification",
        grant: "38-1/1/ipm/shahkar",
        resolution: "38-1",
        clause: "1",
        purpose: "پرونده ۱۲",
        subject: Some(SubjectHash { key: 4, hash: [0xab; 16] }),
        policy_version: 3,
        outcome: Outcome::Served,
        status: GrpcCode::Ok,
        duration_us: 1_500,
        request: Flow { messages: 1, bytes: 20 },
        response: Flow { messages: 1, bytes: u64::MAX },
        server_address: "127.0.0.1:2",
        ..begun
    }
}

/// The spans of what `put` writes, as another library reads an export.
fn sent(put: impl FnOnce(&mut Vec<u8>)) -> Vec<Span> {
    let origin =
        Origin { agency: "cra".to_owned(), sidecar: "spiffe://e/agency/cra/sidecar/main".to_owned(), instance: "i".to_owned() };
    let (mut spans, mut scope, mut export) = (Vec::new(), Vec::new(), Vec::new());
    put(&mut spans);
    put_scope(&[], spans.len(), &mut scope);
    put_resource(&origin, scope.len() + spans.len(), &mut export);
    [scope, spans].into_iter().for_each(|part| export.extend_from_slice(&part));
    let mut read = ExportTraceServiceRequest::decode(&export[..]).unwrap();
    assert_eq!(read.encode_to_vec(), export, "nothing is there that the library does not know, nor in another form");
    let mut of_resource = read.resource_spans.remove(0);
    let resource: Vec<_> = of_resource.resource.unwrap().attributes.into_iter().map(|attribute| attribute.key).collect();
    assert_eq!(resource, ["service.name", "service.namespace", "service.instance.id", "service.version", "chapar.sidecar"]);
    let of_scope = of_resource.scope_spans.remove(0);
    assert_eq!(of_scope.scope.unwrap().name, SCOPE);
    of_scope.spans
}

fn attributes(span: &Span) -> Vec<(String, String)> {
    let value = |value: &Option<AnyValue>| match value.as_ref().unwrap().value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::BytesValue(bytes) => format!("{bytes:?}"),
        other => panic!("{other:?}"),
    };
    span.attributes.iter().map(|attribute| (attribute.key.clone(), value(&attribute.value))).collect()
}

fn expected(record: &CallRecord<'_>) -> Vec<(String, String)> {
    let of_record = record.attributes().into_iter().map(|(key, value)| {
        let value = match value {
            Value::Text(text) => text.to_owned(),
            Value::Hex(bytes) => CallId::from_bytes(bytes).to_string(),
            // OTLP has signed numbers only.
            Value::Count(count) => count.min(i64::MAX as u64).to_string(),
            Value::Bytes(bytes) => format!("{bytes:?}"),
        };
        (key.to_owned(), value)
    });
    let position = [("chapar.chain.id", CHAIN.to_string()), ("chapar.chain.sequence", "300".to_owned())];
    of_record.chain(position.map(|(key, value)| (key.to_owned(), value))).collect()
}

#[test]
fn a_call_is_the_span_that_the_library_would_read() {
    let record = served();
    let spans = sent(|out| put_call(&record, POSITION, out));
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&span.trace_id[..], &span.span_id[..], &span.parent_span_id[..]), (&[1; 16][..], &[2; 8][..], &[3; 8][..]));
    assert_eq!((span.name.as_str(), span.kind), ("ir.cra.v1.Shahkar/Match", SpanKind::Server as i32));
    assert_eq!(span.start_time_unix_nano, 1_700_000_000_123_000_000);
    assert_eq!(span.end_time_unix_nano, 1_700_000_000_124_500_000);
    assert_eq!((span.flags, &span.status), (SAMPLED | HAS_IS_REMOTE | IS_REMOTE, &None));
    assert_eq!(attributes(span), expected(&record));
}

#[test]
fn what_was_not_served_is_an_error_and_says_why() {
    let served = served();
    let refused =
        CallRecord { outcome: Outcome::Refused, reason: Some(Reason::NoGrant), status: GrpcCode::PermissionDenied, ..served };
    let failed = CallRecord {
        status: GrpcCode::NotFound,
        trace: TraceContext { parent_span_id: None, sampled: false, ..served.trace },
        ..served
    };
    let spans = sent(|out| [refused, failed].iter().for_each(|record| put_call(record, POSITION, out)));
    let error = |message: &str| Some(Status { message: message.to_owned(), code: StatusCode::Error.into() });
    assert_eq!((&spans[0].status, &spans[1].status), (&error("NO_GRANT"), &error("")));
    assert_eq!((spans[1].flags, spans[1].parent_span_id.len()), (HAS_IS_REMOTE, 0));
}

#[test]
fn a_call_of_which_nothing_is_known_is_a_span_too() {
    let served = served();
    let record = CallRecord::begun(served.call_id, served.trace, Side::Consumer, "", served.started_at, "");
    let spans = sent(|out| put_call(&record, POSITION, out));
    assert_eq!(attributes(&spans[0]), expected(&record));
    assert_eq!(spans[0].kind, SpanKind::Client as i32);
}

#[test]
fn the_same_loss_is_the_same_span_however_often_it_is_sent() {
    let (first_at, last_at) = (Timestamp::from_unix_ms(5), Timestamp::from_unix_ms(9));
    let loss = Loss { cause: LossCause::SpoolFull, records: 12, first_at, last_at, number: 2 };
    let spans = sent(|out| {
        put_loss(&loss, POSITION, out);
        put_loss(&loss, POSITION, out);
        put_loss(&Loss { number: 3, ..loss }, POSITION, out);
    });
    assert_eq!(spans[0], spans[1]);
    assert_ne!(spans[0].span_id, spans[2].span_id);
    assert_eq!((spans[0].start_time_unix_nano, spans[0].end_time_unix_nano), (5_000_000, 9_000_000));
    let told = [("chapar.loss.cause", "spool-full"), ("chapar.loss.records", "12"), ("chapar.loss.number", "2")];
    assert_eq!(attributes(&spans[0])[..3], told.map(|(key, value)| (key.to_owned(), value.to_owned())));
}
