use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any},
    trace::v1::{ResourceSpans, ScopeSpans, Span as Sent},
};
use proptest::prelude::*;
use prost::Message as _;

use super::{
    attributes::{KEYS, Known},
    export::Scope,
    *,
};

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn export(spans: Vec<Sent>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans::default(), resource_spans] }.encode_to_vec()
}

#[test]
fn a_span_is_read_as_it_was_sent() {
    let sent = Sent {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        parent_span_id: vec![3; 8],
        name: "a/b".into(),
        start_time_unix_nano: 7,
        end_time_unix_nano: 9,
        flags: 0x301,
        attributes: vec![
            attribute("chapar.side", Any::StringValue("consumer".into())),
            attribute("chapar.side", Any::StringValue("provider".into())),
            attribute("unknown", Any::BoolValue(true)),
            attribute("chapar.request.bytes", Any::IntValue(300)),
            attribute("chapar.response.bytes", Any::IntValue(-1)),
            attribute("chapar.checkpoint.after", Any::BytesValue(vec![5])),
        ],
        ..Sent::default()
    };
    let bytes = export(vec![sent.clone(), Sent::default()]);
    let found = spans(&bytes).unwrap();
    assert_eq!(found.iter().count(), 2);
    let span = Span::read(found.iter().next().unwrap()).unwrap();
    assert_eq!((span.trace_id, span.span_id, span.parent_span_id), (&[1; 16][..], &[2; 8][..], &[3; 8][..]));
    assert_eq!((span.name, span.start_ns, span.end_ns, span.flags), ("a/b", 7, 9, 0x301));
    assert_eq!((span.text(Key::Side), span.count(Key::RequestBytes)), ("consumer", 300), "the first of two holds");
    assert_eq!((span.value(Key::ResponseBytes), span.count(Key::ResponseBytes)), (Some(Value::Other), 0));
    assert_eq!((span.bytes(Key::CheckpointAfter), span.value(Key::CallId)), (&[5][..], None));
}

#[test]
fn what_a_scope_says_holds_for_its_spans_as_far_as_they_do_not() {
    let text = |key: &str, value: &str| attribute(key, Any::StringValue(value.into()));
    let span = |attributes| Sent { span_id: vec![2; 8], attributes, ..Sent::default() };
    let shared = vec![text("chapar.consumer", "asker"), text("chapar.side", "consumer"), text("foreign", "kept")];
    let own = span(vec![text("chapar.side", "provider"), text("chapar.purpose", "loan")]);
    let scope = Some(InstrumentationScope { attributes: shared, ..InstrumentationScope::default() });
    let in_scope = ScopeSpans { scope, spans: vec![own.clone(), span(vec![])], ..ScopeSpans::default() };
    let outside = ScopeSpans { spans: vec![span(vec![])], ..ScopeSpans::default() };
    let of_resource = ResourceSpans { scope_spans: vec![in_scope, outside], ..ResourceSpans::default() };
    let bytes = ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec();
    let found = spans(&bytes).unwrap();
    let said = |arrived| {
        let span = Span::read(arrived).unwrap();
        [Key::Consumer, Key::Side, Key::Purpose].map(|key| span.text(key))
    };
    let said: Vec<_> = found.iter().map(said).collect();
    assert_eq!(said, [["asker", "provider", "loan"], ["asker", "consumer", ""], ["", "", ""]]);
    let mut whole = Vec::new();
    found.iter().next().unwrap().put_whole(&mut whole);
    let mut expected = own;
    expected.attributes.extend([text("chapar.consumer", "asker"), text("foreign", "kept")]);
    assert_eq!(Sent::decode(&whole[..]).unwrap(), expected);
}

#[test]
fn an_export_that_is_none_or_too_large_is_refused() {
    let counted = |bytes: &[u8]| spans(bytes).map(|spans| spans.iter().count());
    assert_eq!(counted(&[0x0a, 0x05, 0x01]), Err(Unreadable::Malformed));
    assert_eq!(counted(&export(vec![Sent::default(); EXPORT_SPANS_MAX + 1])), Err(Unreadable::TooMany));
    assert_eq!(counted(&export(vec![Sent::default(); EXPORT_SPANS_MAX])), Ok(EXPORT_SPANS_MAX));
    assert_eq!(counted(&[]), Ok(0));
    // A resource with a scope whose attribute is cut off, and a span; then the same without the span, which nobody looks at.
    assert_eq!(counted(&[0x0a, 0x08, 0x12, 0x06, 0x0a, 0x02, 0x1a, 0x01, 0x12, 0x00]), Err(Unreadable::Malformed));
    assert_eq!(counted(&[0x0a, 0x04, 0x12, 0x02, 0x0a, 0x00]), Ok(0));
}

#[test]
fn every_known_name_has_its_own_key() {
    for name in KEYS {
        for from in 0..=KEYS.len() {
            assert_eq!(Key::find(name.as_bytes(), from).unwrap().name(), *name);
        }
    }
}

proptest! {
    #[test]
    fn never_panics_on_foreign_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let scope = Scope { known: Known::default(), attributes: Vec::new(), bytes: 0 };
        let alone = Arrived { scope: &scope, bytes: &bytes };
        for arrived in spans(&bytes).unwrap_or_default().iter().chain([alone]) {
            let _ = Span::read(arrived);
            arrived.put_whole(&mut Vec::new());
        }
    }
}
