#![allow(clippy::unwrap_used)]

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

use super::*;
use crate::{
    api::Page,
    clock::{Clock, date_of_ms},
    config,
};

const NOW_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;

async fn opened() -> (tempfile::TempDir, Ledger, Clock) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(date_of_ms(NOW_MS));
    let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
    let metrics = Metrics::registered(&prometheus::Registry::new()).unwrap();
    (folder, Ledger::new(store, metrics), clock)
}

fn sidecar(agency: &str) -> SidecarCaller {
    SidecarCaller {
        id: format!("spiffe://exchange.example/agency/{agency}/sidecar/main").parse().unwrap(),
        agency: agency.parse().unwrap(),
        serial: "0a".into(),
        not_after_ms: i64::MAX,
    }
}

/// One side's account of the call with this number, which began that many seconds before now.
fn account(number: u8, side: &str, more: &[(&str, &str)]) -> Span {
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
    let attributes = kept.chain(more).map(|(key, value)| KeyValue {
        key: (*key).into(),
        value: Some(AnyValue { value: Some(Value::StringValue((*value).into())) }),
        ..KeyValue::default()
    });
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

fn first_page(size: u32) -> Page {
    Page::asked(size, "").unwrap()
}

async fn found(ledger: &Ledger, query: Query) -> Vec<String> {
    let (calls, _) = ledger.calls(&query, &first_page(100)).await.unwrap();
    calls.into_iter().map(|call| call.call_id.trim_start_matches('0').to_owned()).collect()
}

#[tokio::test]
async fn a_call_is_one_row_of_both_sides_accounts() {
    let (_folder, ledger, _) = opened().await;
    // The provider's side comes first: the consumer's still has the say on time.
    ledger.ingest(&sidecar("cra"), vec![account(1, "provider", &[])]).await.unwrap();
    ledger.ingest(&sidecar("ipm"), vec![account(1, "consumer", &[])]).await.unwrap();
    let (calls, next) = ledger.calls(&Query::default(), &first_page(10)).await.unwrap();
    assert_eq!((calls.len(), next.as_str()), (1, ""));
    let call = &calls[0];
    assert_eq!((call.spans, call.duration_us, call.started_at_us), (2, 10_000, (NOW_MS - 1_000) * 1_000));
    assert_eq!((call.outcome.as_str(), call.status.as_str(), call.resolution.as_str()), ("served", "OK", "38-1"));

    let spans = ledger.trace(&"01".repeat(16)).await.unwrap();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].reporter, "spiffe://exchange.example/agency/ipm/sidecar/main");
    assert_eq!((spans[1].parent_span_id.as_str(), spans[1].kind), (spans[0].span_id.as_str(), 2));
    assert_eq!(spans[1].attributes["chapar.side"], "provider");
    assert_eq!(ledger.trace(&call.call_id).await.unwrap(), spans);
    assert_eq!(ledger.trace("unheard of").await.unwrap(), []);
}

#[tokio::test]
async fn what_is_sent_again_is_stored_once() {
    let (_folder, ledger, _) = opened().await;
    let batch = vec![account(1, "consumer", &[]), account(2, "consumer", &[]), account(1, "consumer", &[])];
    let first = ledger.ingest(&sidecar("ipm"), batch.clone()).await.unwrap();
    assert_eq!((first.stored, first.known), (2, 1));
    let again = ledger.ingest(&sidecar("ipm"), batch).await.unwrap();
    assert_eq!((again.stored, again.known), (0, 3));
    let (calls, _) = ledger.calls(&Query::default(), &first_page(10)).await.unwrap();
    assert_eq!(calls.iter().map(|call| call.spans).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn a_forged_span_is_rejected_and_audited_and_the_rest_is_stored() {
    let (_folder, ledger, clock) = opened().await;
    let batch = vec![account(1, "consumer", &[]), account(2, "provider", &[])];
    let ingested = ledger.ingest(&sidecar("ipm"), batch.clone()).await.unwrap();
    assert_eq!((ingested.stored, ingested.rejected.len()), (1, 1));
    assert!(ingested.complaint().starts_with("SPAN_FORGED: "), "{}", ingested.complaint());
    assert_eq!(found(&ledger, Query::default()).await, ["1"]);

    // A flood of them is one entry a pause, which counts what it leaves out.
    ledger.ingest(&sidecar("ipm"), batch.clone()).await.unwrap();
    clock.advance(std::time::Duration::from_secs(11));
    ledger.ingest(&sidecar("ipm"), batch).await.unwrap();
    let audit: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT actor, action, reason, details FROM audit ORDER BY id")
            .fetch_all(ledger.store.read())
            .await
            .unwrap();
    assert_eq!(audit.len(), 2);
    let (actor, action, reason, _) = &audit[0];
    assert_eq!(actor, "spiffe://exchange.example/agency/ipm/sidecar/main");
    assert_eq!((action.as_str(), reason.as_str()), ("trace.refuse", "SPAN_FORGED"));
    assert!(audit[1].3.contains("\"leftOut\":1"), "{}", audit[1].3);
}

#[tokio::test]
async fn nobody_writes_over_what_others_reported() {
    let (_folder, ledger, _) = opened().await;
    ledger.ingest(&sidecar("ipm"), vec![account(1, "consumer", &[])]).await.unwrap();
    // post claims to have answered the same call, in the same trace, by the same span.
    let meddling = account(1, "provider", &[("chapar.provider", "post"), ("chapar.outcome", "refused")]);
    let meddling = Span { span_id: vec![2; 8], ..meddling };
    ledger.ingest(&sidecar("post"), vec![meddling]).await.unwrap();
    let honest = Query { provider: Some("cra".into()), ..Query::default() };
    let (calls, _) = ledger.calls(&honest, &first_page(10)).await.unwrap();
    assert_eq!((calls[0].outcome.as_str(), calls[0].spans), ("served", 1));
}

#[tokio::test]
async fn a_call_that_either_side_refused_was_refused() {
    let (_folder, ledger, _) = opened().await;
    let refused = [("chapar.outcome", "refused"), ("chapar.reason", "NO_GRANT"), ("chapar.resolution", "")];
    ledger.ingest(&sidecar("cra"), vec![account(1, "provider", &refused)]).await.unwrap();
    let seen = [("chapar.outcome", "served"), ("rpc.response.status_code", "PERMISSION_DENIED")];
    ledger.ingest(&sidecar("ipm"), vec![account(1, "consumer", &seen)]).await.unwrap();
    let (calls, _) = ledger.calls(&Query::default(), &first_page(10)).await.unwrap();
    let call = &calls[0];
    assert_eq!((call.outcome.as_str(), call.reason.as_str()), ("refused", "NO_GRANT"));
    assert_eq!((call.status.as_str(), call.resolution.as_str()), ("PERMISSION_DENIED", "38-1"));
}

#[tokio::test]
async fn calls_are_found_by_every_filter_newest_first() {
    let (_folder, ledger, _) = opened().await;
    let other = [("chapar.consumer", "post"), ("chapar.provider", "ipm"), ("chapar.inquiry", "study-status")];
    let failed = [("chapar.outcome", "failed"), ("rpc.response.status_code", "UNAVAILABLE")];
    let of_ipm = vec![account(3, "consumer", &[]), account(1, "consumer", &failed), account(2, "provider", &other)];
    ledger.ingest(&sidecar("ipm"), of_ipm).await.unwrap();

    let text = |text: &str| Some(text.to_owned());
    let all = Query::default;
    assert_eq!(found(&ledger, all()).await, ["1", "2", "3"]);
    assert_eq!(found(&ledger, Query { agency: text("ipm"), ..all() }).await, ["1", "2", "3"]);
    assert_eq!(found(&ledger, Query { agency: text("post"), ..all() }).await, ["2"]);
    assert_eq!(found(&ledger, Query { consumer: text("ipm"), ..all() }).await, ["1", "3"]);
    assert_eq!(found(&ledger, Query { provider: text("ipm"), ..all() }).await, ["2"]);
    assert_eq!(found(&ledger, Query { inquiry: text("study-status"), ..all() }).await, ["2"]);
    assert_eq!(found(&ledger, Query { call_id: Some(format!("{:032x}", 3)), ..all() }).await, ["3"]);
    let ending = |ending| Query { ending: Some(ending), ..all() };
    assert_eq!(found(&ledger, ending(Wanted::Outcome("failed".into()))).await, ["1"]);
    assert_eq!(found(&ledger, ending(Wanted::Status("OK".into()))).await, ["2", "3"]);
    let second_us = (NOW_MS - 2_000) * 1_000;
    // The provider's account of call 2 begins a millisecond later.
    assert_eq!(found(&ledger, Query { from_us: Some(second_us), ..all() }).await, ["1", "2"]);
    assert_eq!(found(&ledger, Query { until_us: Some(second_us), ..all() }).await, ["3"]);
    assert_eq!(found(&ledger, Query { agency: text("ipm"), consumer: text("post"), ..all() }).await, ["2"]);
    assert_eq!(found(&ledger, Query { agency: text("nobody"), ..all() }).await, Vec::<String>::new());
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repetition() {
    let (_folder, ledger, _) = opened().await;
    let spans = (1..=25).map(|number| {
        // Pairs begin at the same instant: the order among them must still be one.
        let start = account(number / 2 + 1, "consumer", &[]).start_time_unix_nano;
        Span { start_time_unix_nano: start, ..account(number, "consumer", &[]) }
    });
    let spans = spans.map(|span| Span { end_time_unix_nano: span.start_time_unix_nano, ..span }).collect();
    ledger.ingest(&sidecar("ipm"), spans).await.unwrap();
    for agency in [None, Some("ipm".to_owned())] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let query = Query { agency: agency.clone(), ..Query::default() };
            let (calls, next) = ledger.calls(&query, &Page::asked(4, &token).unwrap()).await.unwrap();
            seen.extend(calls);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen.len(), 25);
        let order = |call: &Call| (call.started_at_us, call.call_key.clone());
        assert!(seen.windows(2).all(|pair| order(&pair[0]) > order(&pair[1])));
    }
    let foreign = Page { size: 4, after: Some("yesterday".into()) };
    let refused = ledger.calls(&Query::default(), &foreign).await.unwrap_err();
    assert_eq!(refused.reason(), "PAGE_TOKEN_MALFORMED");
}

#[tokio::test]
async fn lists_run_down_an_index() {
    let (_folder, ledger, _) = opened().await;
    for column in ["consumer", "provider", "inquiry", "outcome", "status"] {
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "EXPLAIN QUERY PLAN SELECT * FROM calls WHERE {column} = 'x' AND (started_at_us, call_key) < (1, 'x') \
             ORDER BY started_at_us DESC, call_key DESC LIMIT 10"
        )))
        .fetch_all(ledger.store.read())
        .await
        .unwrap();
        let plan: Vec<String> = plan.into_iter().map(|(_, _, _, detail)| detail).collect();
        assert!(plan[0].contains(&format!("USING INDEX calls_by_{column}")), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}

#[tokio::test]
async fn the_old_and_the_excess_are_forgotten_and_the_rest_stays() {
    let (_folder, ledger, clock) = opened().await;
    let spans = (1..=10).map(|number| account(number, "consumer", &[])).collect();
    ledger.ingest(&sidecar("ipm"), spans).await.unwrap();
    let roomy = config::Ledger { retention_days: 1, spans_max: 100, ..config::Ledger::default() };
    assert_eq!(ledger.forget_old(&roomy).await.unwrap(), 0);

    let tight = config::Ledger { spans_max: 7, ..roomy };
    assert_eq!(ledger.forget_old(&tight).await.unwrap(), 3);
    assert_eq!(found(&ledger, Query::default()).await, ["1", "2", "3", "4", "5", "6", "7"]);

    // A day after call 4, those that began before it are too old.
    clock.advance(std::time::Duration::from_millis(u64::try_from(DAY_MS - 4_000).unwrap()));
    assert_eq!(ledger.forget_old(&tight).await.unwrap(), 3);
    assert_eq!(found(&ledger, Query::default()).await, ["1", "2", "3", "4"]);
}
