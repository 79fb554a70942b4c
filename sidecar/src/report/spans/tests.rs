use chapar_core::{
    policy::{GrpcCode, Reason, Side},
    record::{CallId, Flow, FurtherFields, Loss, LossCause, Outcome, RecordVersion, TraceContext},
    subject::SubjectHash,
    time::Timestamp,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Any},
    trace::v1::ScopeSpans,
};
use proptest::prelude::*;
use prost::Message as _;

use super::*;

const CHAIN: ChainId = ChainId([7; 16]);

fn call(number: u64) -> CallRecord<'static> {
    let mut span_id = [0; 8];
    span_id.copy_from_slice(&(number + 1).to_be_bytes());
    let trace = TraceContext { trace_id: [1; 16], span_id, parent_span_id: None, sampled: false };
    let at = Timestamp::from_unix_ms(1_700_000_000_000 + number as i64);
    CallRecord {
        consumer: "ipm",
        provider: "cra",
        inquiry: "shahkar",
        grant: "38-1/1/ipm/shahkar",
        outcome: Outcome::Served,
        status: GrpcCode::Ok,
        request: Flow { messages: 1, bytes: number },
        server_address: "127.0.0.1:2",
        ..CallRecord::begun(CallId::from_bytes([9; 16]), trace, Side::Consumer, "/ir.cra.v1.Shahkar/Match", at, "127.0.0.1:50001")
    }
}

fn take(spans: &mut Spans, record: &CallRecord<'_>, sequence: u64) -> bool {
    spans.take(&ChainEntry::Call(*record), ChainPosition { chain: CHAIN, sequence }, usize::MAX)
}

/// The scopes of the export, as another library reads them.
fn sealed(spans: &mut Spans) -> Vec<ScopeSpans> {
    let origin = Origin { agency: "cra".to_owned(), sidecar: "spiffe://e".to_owned(), instance: "i".to_owned() };
    spans.seal(&origin);
    let export: Vec<u8> = spans.pieces().flatten().copied().collect();
    let mut read = ExportTraceServiceRequest::decode(&export[..]).unwrap();
    assert_eq!(read.encode_to_vec(), export, "nothing is there that the library does not know, nor in another form");
    read.resource_spans.remove(0).scope_spans
}

fn keys(attributes: &[KeyValue]) -> Vec<&str> {
    attributes.iter().map(|attribute| attribute.key.as_str()).collect()
}

fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.clone()?.value? {
        Any::IntValue(number) => Some(number),
        _ => None,
    }
}

#[test]
fn what_calls_share_is_said_once() {
    let mut spans = Spans::default();
    let other = |number| CallRecord { inquiry: "other", purpose: "loan", peer_address: "127.0.0.1:50002", ..call(number) };
    for (at, record) in [call(10), call(11), other(12), call(13), other(14)].iter().enumerate() {
        assert!(take(&mut spans, record, at as u64 + 1));
    }
    let scopes = sealed(&mut spans);
    let told: Vec<Vec<_>> = scopes
        .iter()
        .map(|scope| scope.spans.iter().map(|span| number(&span.attributes, "chapar.request.bytes").unwrap()).collect())
        .collect();
    assert_eq!(told, [vec![10, 11, 13], vec![12, 14]]);
    let sequences: Vec<_> = scopes[1].spans.iter().filter_map(|span| number(&span.attributes, "chapar.chain.sequence")).collect();
    assert_eq!(sequences, [3, 5]);
    let shared = keys(&scopes[0].scope.as_ref().unwrap().attributes).join(" ");
    for key in ["rpc.method", "chapar.consumer", "chapar.grant", "chapar.chain.id", "network.peer.address"] {
        assert!(shared.contains(key), "{key} in {shared}");
    }
    let own = [
        "chapar.call_id",
        "chapar.purpose",
        "chapar.request.bytes",
        "chapar.response.bytes",
        "network.peer.port",
        "chapar.chain.sequence",
    ];
    assert_eq!(keys(&scopes[1].spans[0].attributes), own);

    let (mut whole, mut rest) = (Vec::new(), Vec::new());
    span::put_call(&call(10), ChainPosition { chain: CHAIN, sequence: 1 }, &mut whole);
    span::put_own(&call(10), 1, &mut rest);
    assert!(rest.len() * 3 < whole.len(), "{} of {} bytes are left", rest.len(), whole.len());
}

#[test]
fn more_kinds_of_calls_than_there_are_groups_say_everything_themselves() {
    let mut spans = Spans::default();
    let names: Vec<_> = (0..GROUPS_MAX + 5).map(|number| format!("inquiry-{number}")).collect();
    for (at, name) in names.iter().chain(&names).enumerate() {
        assert!(take(&mut spans, &CallRecord { inquiry: name, ..call(1) }, at as u64 + 1));
    }
    let scopes = sealed(&mut spans);
    assert_eq!(scopes.len(), GROUPS_MAX + 1);
    let loose = scopes.last().unwrap();
    assert_eq!((loose.spans.len(), loose.scope.as_ref().unwrap().attributes.len()), (10, 0));
    for key in ["chapar.consumer", "chapar.chain.id", "chapar.chain.sequence"] {
        assert!(keys(&loose.spans[0].attributes).contains(&key), "{key}");
    }
}

#[test]
fn a_batch_keeps_within_its_bytes_and_begins_anew() {
    let mut spans = Spans::default();
    let position = |sequence| ChainPosition { chain: CHAIN, sequence };
    for _ in 0..2 {
        spans.clear();
        assert!(spans.take(&ChainEntry::Call(call(1)), position(1), 1), "the first is always taken");
        assert!(!spans.take(&ChainEntry::Call(call(2)), position(2), 1));
        assert!(spans.take(&ChainEntry::Call(call(2)), position(2), 10_000));
        let loss = Loss { cause: LossCause::SpoolFull, records: 1, number: 3, ..lost_at(5) };
        assert!(!spans.take(&ChainEntry::Loss(loss), position(3), 1));
        // A new kind of call would be too much with what its scope says, and leaves nothing behind.
        assert!(!spans.take(&ChainEntry::Call(CallRecord { inquiry: "other", ..call(3) }), position(3), spans.bytes + 300));
        assert_eq!(spans.records(), 2);
        let scopes = sealed(&mut spans);
        assert_eq!(scopes.iter().map(|scope| scope.spans.len()).collect::<Vec<_>>(), [2]);
    }
}

fn lost_at(ms: i64) -> Loss {
    let at = Timestamp::from_unix_ms(ms);
    Loss { cause: LossCause::Damaged, records: 0, first_at: at, last_at: at, number: 0 }
}

#[test]
fn each_field_that_is_said_once_parts_two_calls_and_no_other_does() {
    let base = call(1);
    let apart = [
        CallRecord { side: Side::Provider, ..base },
        CallRecord { consumer: "x", ..base },
        CallRecord { provider: "x", ..base },
        CallRecord { inquiry: "x", ..base },
        CallRecord { kind: "x", ..base },
        CallRecord { path: "/x", ..base },
        CallRecord { grant: "x", ..base },
        CallRecord { resolution: "x", ..base },
        CallRecord { clause: "x", ..base },
        CallRecord { policy_version: 9, ..base },
        CallRecord { outcome: Outcome::Failed, ..base },
        CallRecord { reason: Some(Reason::NoGrant), ..base },
        CallRecord { status: GrpcCode::NotFound, ..base },
        CallRecord { request: Flow { messages: 2, ..base.request }, ..base },
        CallRecord { response: Flow { messages: 2, ..base.response }, ..base },
        CallRecord { peer_address: "127.0.0.9:50001", ..base },
        CallRecord { server_address: "127.0.0.1:3", ..base },
        CallRecord { version: RecordVersion::One, ..base },
    ];
    let together = [
        CallRecord { call_id: CallId::from_bytes([8; 16]), duration_us: 9, purpose: "x", ..call(2) },
        CallRecord { subject: Some(SubjectHash { key: 1, hash: [1; 16] }), peer_address: "127.0.0.1:9", ..base },
        CallRecord { response: Flow { bytes: 9, ..base.response }, ..base },
        CallRecord { further: FurtherFields::parse(&[1, 1, 7]).unwrap(), ..base },
    ];
    for (others, scopes) in [(&apart[..], 2), (&together, 1)] {
        for other in others {
            let mut spans = Spans::default();
            take(&mut spans, &base, 1);
            take(&mut spans, other, 2);
            assert_eq!(sealed(&mut spans).len(), scopes, "{other:?}");
        }
    }
    // Neither path names a method, and nothing else tells them apart in a span.
    let mut spans = Spans::default();
    ["", "/"].into_iter().zip(1..).for_each(|(path, at)| assert!(take(&mut spans, &CallRecord { path, ..base }, at)));
    assert_eq!(sealed(&mut spans).len(), 1);
}

proptest! {
    #[test]
    fn two_calls_are_in_one_group_exactly_when_they_share(
        (one, other) in proptest::array::uniform2((0..2_u8, "[ab]{0,2}", "[ab]{0,2}", "/?[ab]?", "[ab](:[12])?", 0..2_u64)).prop_map(Into::into)
    ) {
        type Parts = (u8, String, String, String, String, u64);
        let record = |parts: &'static Parts| CallRecord {
            outcome: Outcome::ALL[usize::from(parts.0)],
            consumer: &parts.1,
            provider: &parts.2,
            path: &parts.3,
            peer_address: &parts.4,
            policy_version: parts.5,
            ..call(1)
        };
        let [one, other]: [&'static Parts; 2] = [Box::leak(Box::new(one)), Box::leak(Box::new(other))];
        let (one, other) = (record(one), record(other));
        let shared = |record: &CallRecord<'static>| {
            let mut all = Vec::new();
            record.each_shared_attribute(|key, value| all.push((key, value)));
            all
        };
        let mut spans = Spans::default();
        take(&mut spans, &one, 1);
        take(&mut spans, &other, 2);
        prop_assert_eq!(sealed(&mut spans).len() == 1, shared(&one) == shared(&other));
    }
}
