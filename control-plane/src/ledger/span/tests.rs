#![allow(clippy::unwrap_used)]

use opentelemetry_proto::tonic::trace::v1::Status;
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;
const CALL_ID: &str = "0123456789abcdef0123456789abcdef";

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

/// The account of ipm that it asked cra.
fn span(attributes: &[(&str, &str)]) -> Span {
    let base = [
        ("chapar.call_id", CALL_ID),
        ("chapar.side", "consumer"),
        ("chapar.consumer", "ipm"),
        ("chapar.provider", "cra"),
        ("chapar.inquiry", "shahkar"),
        ("chapar.outcome", "served"),
        ("rpc.response.status_code", "OK"),
    ];
    let kept = base.iter().filter(|(key, _)| !attributes.iter().any(|(other, _)| other == key));
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "ir.cra.v1.Shahkar/Check".into(),
        kind: 3,
        start_time_unix_nano: 1_699_999_999_000_000_000,
        end_time_unix_nano: 1_699_999_999_002_500_000,
        attributes: kept.chain(attributes).map(|(key, value)| attribute(key, value)).collect(),
        status: Some(Status { message: "fine".into(), code: 1 }),
        ..Span::default()
    }
}

fn by(reporter: &str, span: Span) -> Result<ReportedSpan, Rejection> {
    judged(span, &reporter.parse().unwrap(), NOW_MS)
}

#[test]
fn takes_the_account_of_a_call() {
    let taken = by("ipm", span(&[])).unwrap();
    assert_eq!((taken.trace_id.as_str(), taken.span_id.as_str()), ("01".repeat(16).as_str(), "02".repeat(8).as_str()));
    assert_eq!((taken.started_at_us, taken.duration_us), (1_699_999_999_000_000, 2_500));
    let account = taken.call.unwrap();
    assert_eq!((account.side, account.consumer.as_str(), account.provider.as_str()), (Side::Consumer, "ipm", "cra"));
}

#[test]
fn rejects_who_speaks_as_another_agency() {
    for (reporter, side) in [("cra", "consumer"), ("ipm", "provider"), ("post", "consumer"), ("post", "provider")] {
        let why = by(reporter, span(&[("chapar.side", side)])).unwrap_err();
        assert_eq!(why.reason(), "SPAN_FORGED", "{reporter} as {side}");
        assert!(why.to_string().contains(reporter), "{why}");
    }
    assert!(by("cra", span(&[("chapar.side", "provider")])).is_ok());
}

#[test]
fn the_first_of_two_equal_attributes_is_judged_and_stored() {
    let mut twice = span(&[]);
    twice.attributes.push(attribute("chapar.consumer", "post"));
    assert_eq!(by("ipm", twice).unwrap().attributes["chapar.consumer"], "ipm");
    let mut twice = span(&[]);
    twice.attributes.insert(0, attribute("chapar.consumer", "post"));
    assert_eq!(by("ipm", twice).unwrap_err().reason(), "SPAN_FORGED");
}

#[test]
fn a_side_that_does_not_name_itself_is_who_its_certificate_says() {
    let unknown = span(&[("chapar.side", "provider"), ("chapar.provider", ""), ("chapar.inquiry", "")]);
    let account = by("cra", unknown).unwrap().call.unwrap();
    assert_eq!((account.consumer.as_str(), account.provider.as_str()), ("ipm", "cra"));
}

#[test]
fn a_span_of_the_sidecars_own_work_is_no_call() {
    let own = Span { attributes: vec![attribute("service.name", "chapar-sidecar")], ..span(&[]) };
    assert_eq!(by("ipm", own).unwrap().call, None);
    // But one that names parties and no side would be an account that nobody answers for.
    for (key, name) in [("chapar.consumer", "post"), ("chapar.provider", "cra")] {
        let sideless = Span { attributes: vec![attribute(key, name)], ..span(&[]) };
        assert_eq!(by("ipm", sideless).unwrap_err(), Rejection::Attribute("chapar.side"));
    }
}

#[test]
fn rejects_malformed_spans_each_for_its_reason() {
    let reason = |span| by("ipm", span).unwrap_err().reason();
    assert_eq!(reason(Span { trace_id: vec![0; 16], ..span(&[]) }), "SPAN_IDS_MALFORMED");
    assert_eq!(reason(Span { trace_id: vec![1; 15], ..span(&[]) }), "SPAN_IDS_MALFORMED");
    assert_eq!(reason(Span { span_id: vec![], ..span(&[]) }), "SPAN_IDS_MALFORMED");
    assert_eq!(reason(Span { parent_span_id: vec![1; 7], ..span(&[]) }), "SPAN_IDS_MALFORMED");
    assert_eq!(reason(Span { start_time_unix_nano: 0, ..span(&[]) }), "SPAN_TIMES_MALFORMED");
    assert_eq!(reason(Span { end_time_unix_nano: 1, ..span(&[]) }), "SPAN_TIMES_MALFORMED");
    let (start_time_unix_nano, end_time_unix_nano) = (u64::MAX, u64::MAX);
    assert_eq!(reason(Span { start_time_unix_nano, end_time_unix_nano, ..span(&[]) }), "SPAN_TIMES_MALFORMED");
    assert_eq!(reason(Span { name: "x".repeat(SPAN_BYTES_MAX), ..span(&[]) }), "SPAN_TOO_LARGE");
    for malformed in [("chapar.call_id", "ABC"), ("chapar.side", "both"), ("chapar.provider", "Not An Agency")] {
        assert_eq!(reason(span(&[malformed])), "SPAN_ATTRIBUTE_MALFORMED", "{malformed:?}");
    }
    assert_eq!(reason(span(&[("chapar.inquiry", &"x".repeat(WORD_BYTES_MAX + 1))])), "SPAN_ATTRIBUTE_MALFORMED");
}

#[test]
fn values_of_every_type_become_text() {
    let value = |value| Some(AnyValue { value: Some(value) });
    assert_eq!(text(None), "");
    assert_eq!(text(value(Value::BoolValue(true))), "true");
    assert_eq!(text(value(Value::IntValue(-7))), "-7");
    assert_eq!(text(value(Value::DoubleValue(0.5))), "0.5");
    assert_eq!(text(value(Value::BytesValue(vec![0xab]))), "ab");
}

proptest! {
    #[test]
    fn never_panics_on_foreign_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(span) = Span::decode(bytes.as_slice()) {
            by("ipm", span).ok();
        }
    }

    #[test]
    fn never_panics_on_any_times_and_ids(start: u64, end: u64, id in proptest::collection::vec(any::<u8>(), 0..20)) {
        let odd = Span { start_time_unix_nano: start, end_time_unix_nano: end, trace_id: id, ..span(&[]) };
        if let Ok(taken) = by("ipm", odd) {
            prop_assert!(taken.duration_us >= 0 && taken.started_at_us > 0);
        }
    }
}
