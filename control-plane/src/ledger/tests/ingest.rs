use super::*;
use crate::audit;

#[tokio::test]
async fn a_call_is_one_row_of_both_sides_accounts() {
    let (_folder, ledger, _) = opened().await;
    // The provider's side comes first: the consumer's still has the say on time.
    report(&ledger, "cra", vec![account(1, "provider", &[])]).await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[])]).await;
    let (calls, next) = ledger.calls(&CallQuery::default(), &first_page(10)).await.unwrap();
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
async fn the_lag_is_that_of_the_oldest_new_call_of_an_export() {
    let (_folder, ledger, clock) = opened().await;
    let lag_s = || ledger.metrics.ingest_lag_s.get();
    report(&ledger, "ipm", vec![account(9, "consumer", &[]), account(1, "consumer", &[])]).await;
    assert!((lag_s() - 8.99).abs() < 1e-6, "{}", lag_s());
    clock.advance(std::time::Duration::from_secs(60));
    report(&ledger, "ipm", vec![account(9, "consumer", &[]), account(2, "consumer", &[])]).await;
    assert!((lag_s() - 61.99).abs() < 1e-6, "what was known already does not count: {}", lag_s());
    report(&ledger, "ipm", vec![account(9, "consumer", &[])]).await;
    assert!((lag_s() - 61.99).abs() < 1e-6, "{}", lag_s());
}

#[tokio::test]
async fn what_is_sent_again_is_stored_once() {
    let (_folder, ledger, _) = opened().await;
    let batch = vec![account(1, "consumer", &[]), account(2, "consumer", &[]), account(1, "consumer", &[])];
    let first = report(&ledger, "ipm", batch.clone()).await;
    assert_eq!((first.stored, first.known), (2, 1));
    let again = report(&ledger, "ipm", batch).await;
    assert_eq!((again.stored, again.known), (0, 3));
    let (calls, _) = ledger.calls(&CallQuery::default(), &first_page(10)).await.unwrap();
    assert_eq!(calls.iter().map(|call| call.spans).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn a_forged_span_is_rejected_and_audited_and_the_rest_is_stored() {
    let (_folder, ledger, clock) = opened().await;
    let batch = vec![account(1, "consumer", &[]), account(2, "provider", &[])];
    let ingested = report(&ledger, "ipm", batch.clone()).await;
    assert_eq!((ingested.stored, ingested.rejected.len()), (1, 1));
    assert!(ingested.complaint().starts_with("SPAN_FORGED: "), "{}", ingested.complaint());
    assert_eq!(found(&ledger, CallQuery::default()).await, ["1"]);

    // A flood of them is one entry a pause, which counts what it leaves out.
    report(&ledger, "ipm", batch.clone()).await;
    clock.advance(std::time::Duration::from_secs(11));
    report(&ledger, "ipm", batch).await;
    let (mut audit, _) = audit::list(&ledger.audit, &crate::store::AuditFilter::default(), &first_page(10)).await.unwrap();
    audit.reverse();
    assert_eq!(audit.len(), 2);
    assert_eq!(audit[0].actor, "spiffe://exchange.example/agency/ipm/sidecar/main");
    assert_eq!((audit[0].action.as_str(), audit[0].reason.as_str()), ("trace.refuse", "SPAN_FORGED"));
    assert!(audit[1].details.contains("\"leftOut\":1"), "{}", audit[1].details);
}

#[tokio::test]
async fn nobody_writes_over_what_others_reported() {
    let (_folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[])]).await;
    // post claims to have answered the same call, in the same trace, by the same span.
    let meddling = account(1, "provider", &[("chapar.provider", "post"), ("chapar.outcome", "refused")]);
    let meddling = Span { span_id: vec![2; 8], ..meddling };
    report(&ledger, "post", vec![meddling]).await;
    let honest = CallQuery { provider: Some("cra".into()), ..CallQuery::default() };
    let (calls, _) = ledger.calls(&honest, &first_page(10)).await.unwrap();
    assert_eq!((calls[0].outcome.as_str(), calls[0].spans), ("served", 1));
}

#[tokio::test]
async fn a_call_that_either_side_refused_was_refused() {
    let (_folder, ledger, _) = opened().await;
    let refused = [("chapar.outcome", "refused"), ("chapar.reason", "NO_GRANT"), ("chapar.resolution", "")];
    report(&ledger, "cra", vec![account(1, "provider", &refused)]).await;
    let seen = [("chapar.outcome", "served"), ("rpc.response.status_code", "PERMISSION_DENIED")];
    report(&ledger, "ipm", vec![account(1, "consumer", &seen)]).await;
    let (calls, _) = ledger.calls(&CallQuery::default(), &first_page(10)).await.unwrap();
    let call = &calls[0];
    assert_eq!((call.outcome.as_str(), call.reason.as_str()), ("refused", "NO_GRANT"));
    assert_eq!((call.status.as_str(), call.resolution.as_str()), ("PERMISSION_DENIED", "38-1"));
}

#[tokio::test]
async fn reports_at_the_same_time_are_all_kept() {
    let (_folder, ledger, _) = opened().await;
    let reports = (1..=40).map(|number| {
        let ledger = ledger.clone();
        tokio::spawn(async move { report(&ledger, "ipm", vec![account(number, "consumer", &[])]).await.stored })
    });
    for reported in reports.collect::<Vec<_>>() {
        assert_eq!(reported.await.unwrap(), 1);
    }
    assert_eq!(found(&ledger, CallQuery::default()).await.len(), 40);
}

#[tokio::test]
async fn an_export_that_is_none_is_refused_whole() {
    let (_folder, ledger, _) = opened().await;
    let refused = ledger.ingest(&sidecar("ipm"), Bytes::from_static(&[0x0a, 0x05])).await.unwrap_err();
    assert!(matches!(refused, IngestError::Unreadable(Unreadable::Malformed)), "{refused:?}");
}

#[tokio::test]
async fn a_ledger_that_was_closed_is_read_again_by_the_next_one() {
    let (folder, ledger, clock) = opened().await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[])]).await;
    let store = ledger.audit.clone();
    ledger.clone().close().await;
    assert!(matches!(ledger.ingest(&sidecar("ipm"), export(Vec::new())).await, Err(IngestError::Store(_))));
    let metrics = Metrics::registered(&prometheus::Registry::new()).unwrap();
    let again = Ledger::open(&folder.path().join("ledger.db"), store, metrics).unwrap();
    let ingested = report(&again, "ipm", vec![account(1, "consumer", &[]), account(2, "consumer", &[])]).await;
    assert_eq!((ingested.known, ingested.stored), (1, 1));
    drop(clock);
}

/// How the two accounts of call 1 stand to each other, with the outcome that it is found by, and what each side says.
async fn told(ledger: &Ledger) -> (&'static str, String, [String; 2]) {
    let (calls, _) = ledger.calls(&CallQuery::default(), &first_page(10)).await.unwrap();
    let call = calls.into_iter().next().unwrap();
    let accounts = call.accounts(ledger.unpaired_before(60)).as_str();
    (accounts, call.outcome, [call.consumer_outcome, call.provider_outcome])
}

#[tokio::test]
async fn what_each_side_says_stays_whoever_comes_first() {
    let refused = [("chapar.outcome", "refused"), ("rpc.response.status_code", "PERMISSION_DENIED")];
    let both = |outcomes: [&str; 2]| outcomes.map(str::to_owned);
    for consumer_first in [true, false] {
        let (_folder, ledger, _) = opened().await;
        let sides = [("ipm", account(1, "consumer", &refused)), ("cra", account(1, "provider", &[]))];
        let order = if consumer_first { [0, 1] } else { [1, 0] };
        for at in order {
            report(&ledger, sides[at].0, vec![sides[at].1.clone()]).await;
        }
        assert_eq!(told(&ledger).await, ("DISAGREES", "served".into(), both(["refused", "served"])));
        assert_eq!(found(&ledger, CallQuery { marked: Some(Marks::DISAGREES), ..CallQuery::default() }).await, ["1"]);
        let once = ledger.metrics.clone();
        assert_eq!(once.disagreeing(), 1);
    }
}

#[tokio::test]
async fn a_side_that_says_two_things_disagrees_with_itself() {
    let (_folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[])]).await;
    report(&ledger, "cra", vec![account(1, "provider", &[])]).await;
    assert_eq!(told(&ledger).await.0, "AGREES");
    let other = Span { span_id: vec![77; 8], ..account(1, "consumer", &[("chapar.outcome", "refused")]) };
    report(&ledger, "ipm", vec![other]).await;
    assert_eq!((told(&ledger).await.0, told(&ledger).await.1), ("DISAGREES", "served".to_owned()));
}

#[tokio::test]
async fn sides_that_tell_of_different_things_disagree() {
    for more in [
        ("chapar.inquiry", "study-status"),
        ("chapar.resolution", "38-2"),
        ("rpc.response.status_code", "NOT_FOUND"),
        ("chapar.subject.hash", "00000000000000000000000000000001"),
    ] {
        let (_folder, ledger, clock) = opened().await;
        report(&ledger, "ipm", vec![account(1, "consumer", &[])]).await;
        assert_eq!(told(&ledger).await.0, "AWAITED");
        clock.advance(std::time::Duration::from_secs(61));
        assert_eq!(told(&ledger).await.0, "ONE-SIDED");
        let mut other = account(1, "provider", &[more]);
        other.attributes.push(count("chapar.subject.key", 1));
        if more.0 != "chapar.subject.hash" {
            other.attributes.pop();
        }
        report(&ledger, "cra", vec![other]).await;
        assert_eq!(told(&ledger).await.0, "DISAGREES", "{more:?}");
    }
    // A caller that goes away is seen by one side only.
    let (_folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[("chapar.outcome", "abandoned")])]).await;
    report(&ledger, "cra", vec![account(1, "provider", &[])]).await;
    assert_eq!(told(&ledger).await.0, "AGREES");
}
