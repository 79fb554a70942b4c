use std::time::Duration;

use super::{store::raw, *};
use crate::config;

#[tokio::test]
async fn the_old_and_the_excess_are_evicted_and_the_rest_stays() {
    let (_folder, ledger, clock) = opened().await;
    let spans = (1..=10).map(|number| account(number, "consumer", &[])).collect();
    report(&ledger, "ipm", spans).await;
    let roomy = config::Ledger { retention_days: 1, spans_max: 100, ..config::Ledger::default() };
    assert_eq!(ledger.evict_old(&roomy).await.unwrap(), 0);

    let tight = config::Ledger { spans_max: 7, ..roomy.clone() };
    assert_eq!(ledger.evict_old(&tight).await.unwrap(), 3);
    assert_eq!(found(&ledger, CallQuery::default()).await, ["1", "2", "3", "4", "5", "6", "7"]);

    // A day after call 4, those that began before it are too old.
    clock.advance(Duration::from_millis(u64::try_from(DAY_MS - 4_000).unwrap()));
    assert_eq!(ledger.evict_old(&tight).await.unwrap(), 3);
    assert_eq!(found(&ledger, CallQuery::default()).await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_kind_of_its_own_stays_for_its_own_time() {
    let (_folder, ledger, clock) = opened().await;
    let spans = vec![
        account(1, "consumer", &[("chapar.kind", "verification")]),
        account(2, "consumer", &[("chapar.kind", "data")]),
        account(3, "consumer", &[]),
    ];
    report(&ledger, "ipm", spans).await;
    let by_kind = [("verification".to_owned(), 3), ("data".to_owned(), 1)].into();
    let bounds = config::Ledger { retention_days: 2, retention_days_by_kind: by_kind, ..config::Ledger::default() };
    for expected in [&["1", "3"][..], &["1"], &[]] {
        clock.advance(Duration::from_millis(u64::try_from(DAY_MS).unwrap()));
        ledger.evict_old(&bounds).await.unwrap();
        assert_eq!(found(&ledger, CallQuery::default()).await, expected);
    }
}

#[tokio::test]
async fn sums_outlive_the_calls_and_stay_right() {
    let (_folder, ledger, clock) = opened().await;
    let bytes = |span: Span| {
        let mut span = span;
        span.attributes.extend([count("chapar.request.bytes", 100), count("chapar.response.bytes", 7)]);
        span
    };
    let refused = [("chapar.outcome", "refused"), ("chapar.reason", "NO_GRANT")];
    let spans = vec![bytes(account(1, "consumer", &[])), bytes(account(2, "consumer", &[])), account(3, "consumer", &refused)];
    report(&ledger, "ipm", spans).await;
    report(&ledger, "cra", vec![account(1, "provider", &[])]).await;
    let bounds = config::Ledger { retention_days: 1, ..config::Ledger::default() };
    ledger.sum_up(&bounds).await.unwrap();
    let told = |sums: &[HourSum]| {
        sums.iter().map(|sum| (sum.outcome.clone(), sum.calls, sum.request_bytes, sum.duration_us)).collect::<Vec<_>>()
    };
    let sums = async || ledger.sums(&SumQuery::default(), &first_page(10)).await.unwrap().0;
    assert_eq!(sums().await, [], "the hour has not ended");
    clock.advance(Duration::from_secs(3_600));
    ledger.sum_up(&bounds).await.unwrap();
    let expected = [("refused".to_owned(), 1, 0, 10_000), ("served".to_owned(), 2, 200, 20_000)];
    assert_eq!(told(&sums().await), expected);
    // A late account changes the hour; it is summed again.
    report(&ledger, "ipm", vec![bytes(account(4, "consumer", &[]))]).await;
    ledger.sum_up(&bounds).await.unwrap();
    assert_eq!(told(&sums().await)[1], ("served".to_owned(), 3, 300, 30_000));
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(ledger.evict_old(&bounds).await.unwrap(), 5);
    assert_eq!(found(&ledger, CallQuery::default()).await, [""; 0]);
    assert_eq!(told(&sums().await)[1], ("served".to_owned(), 3, 300, 30_000));
    let of = |consumer: &str| SumQuery { consumer: Some(consumer.into()), ..SumQuery::default() };
    assert_eq!(ledger.sums(&of("ipm"), &first_page(1)).await.unwrap().0.len(), 1);
    assert_eq!(ledger.sums(&of("post"), &first_page(1)).await.unwrap().0, []);
}

#[tokio::test]
async fn a_call_that_one_side_did_not_report_is_unpaired_after_the_grace_time() {
    let (_folder, ledger, clock) = opened().await;
    let own_refusal = [("chapar.outcome", "refused"), ("chapar.reason", "NO_GRANT")];
    let sent = ("server.address", "10.0.0.1:15002");
    let refused_there = [("chapar.outcome", "refused"), ("chapar.reason", "GRANT_REVOKED"), sent];
    let unreachable = [("chapar.outcome", "failed"), ("chapar.reason", "PROVIDER_UNREACHABLE"), sent];
    report(
        &ledger,
        "ipm",
        vec![
            account(1, "consumer", &[]),
            account(2, "consumer", &own_refusal),
            account(3, "consumer", &refused_there),
            account(4, "consumer", &unreachable),
            account(5, "consumer", &[]),
        ],
    )
    .await;
    let handshake = [("chapar.consumer", ""), ("chapar.outcome", "refused"), ("chapar.reason", "PEER_NOT_IDENTIFIED")];
    report(&ledger, "cra", vec![account(5, "provider", &[]), account(6, "provider", &[]), account(7, "provider", &handshake)])
        .await;
    let unpaired = async |missing| {
        let query = CallQuery { missing, ..CallQuery::default() };
        let (calls, _) = ledger.unpaired(query, 60, &first_page(10)).await.unwrap();
        calls.into_iter().map(|call| (call.call_id.trim_start_matches('0').to_owned(), call.awaited)).collect::<Vec<_>>()
    };
    assert_eq!(unpaired(None).await, []);
    clock.advance(Duration::from_secs(60));
    let named = |found: &[(&str, i64)]| found.iter().map(|(id, side)| ((*id).to_owned(), *side)).collect::<Vec<_>>();
    assert_eq!(unpaired(None).await, named(&[("1", 2), ("3", 2), ("6", 1)]));
    assert_eq!(unpaired(Some(Missing::Consumers)).await, named(&[("6", 1)]));
    ledger.sum_up(&config::Ledger::default()).await.unwrap();
    assert_eq!(ledger.metrics.unpaired.with_label_values(&["provider"]).get(), 2);
    // Better late than never.
    report(&ledger, "cra", vec![account(1, "provider", &[])]).await;
    assert_eq!(unpaired(None).await, named(&[("3", 2), ("6", 1)]));
}

#[tokio::test]
async fn a_file_of_the_version_before_is_brought_up_to_date() {
    let (folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[("chapar.reason", "NO_GRANT")]), account(2, "consumer", &[])]).await;
    let (audit, metrics) = (ledger.audit.clone(), ledger.metrics.clone());
    ledger.close().await;
    // Version 1 had no such index, and the first reporter's name had the first number.
    raw::execute(
        folder.path(),
        "DROP INDEX calls_by_reason; \
         UPDATE words SET id = 99 WHERE id = 1; UPDATE calls SET reason = 99 WHERE reason = 1; \
         UPDATE calls SET resolution = 99 WHERE resolution = 1; \
         UPDATE calls SET kind = 99 WHERE kind = 1; PRAGMA user_version = 1",
    );
    let ledger = Ledger::open(&folder.path().join("ledger.db"), audit, metrics).unwrap();
    let refused = CallQuery { reason: Some("NO_GRANT".into()), ..CallQuery::default() };
    assert_eq!(found(&ledger, refused).await, ["1"]);
    assert_eq!(found(&ledger, CallQuery::default()).await, ["1", "2"]);
}
