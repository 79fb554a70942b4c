use std::time::Duration;

use super::{store::raw, *};
use crate::config;

#[tokio::test]
async fn the_old_and_the_excess_are_evicted_and_the_rest_stays() {
    let (_folder, ledger, clock) = opened().await;
    for number in (1..=10).rev() {
        report(&ledger, "ipm", vec![account(number, "consumer", &[])]).await;
        clock.advance(Duration::from_secs(1));
    }
    let roomy = config::Ledger { retention_days: 1, spans_max: 100, ..config::Ledger::default() };
    assert_eq!(ledger.evict_old(&roomy).await.unwrap(), 0);

    let tight = config::Ledger { spans_max: 7, ..roomy.clone() };
    assert_eq!(ledger.evict_old(&tight).await.unwrap(), 3);
    assert_eq!(found(&ledger, CallQuery::default()).await, ["1", "2", "3", "4", "5", "6", "7"]);

    // A day after call 4 came in, those that came before it are too old.
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
    clock.advance(Duration::from_millis(1));
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
        let told = sums.iter().map(|sum| (sum.outcome.clone(), sum.calls, sum.request_bytes, sum.duration_us));
        let mut told = told.collect::<Vec<_>>();
        told.sort();
        told
    };
    let sums = async || ledger.sums(&SumQuery::default(), &first_page(10)).await.unwrap().0;
    assert_eq!(sums().await, [], "the hour has not ended");
    clock.advance(Duration::from_secs(3_600));
    ledger.sum_up(&bounds).await.unwrap();
    let expected = [("refused".to_owned(), 1, 0, 10_000), ("served".to_owned(), 2, 200, 20_000)];
    assert_eq!(told(&sums().await), expected);
    // A late account changes the hour in which its call came in; it is summed again.
    report(&ledger, "cra", vec![account(2, "provider", &[])]).await;
    report(&ledger, "ipm", vec![bytes(account(4, "consumer", &[]))]).await;
    ledger.sum_up(&bounds).await.unwrap();
    assert_eq!(told(&sums().await)[1], ("served".to_owned(), 2, 200, 20_000));
    clock.advance(Duration::from_secs(3_600));
    ledger.sum_up(&bounds).await.unwrap();
    let both_hours = |sums: Vec<HourSum>| sums.iter().filter(|sum| sum.outcome == "served").map(|sum| sum.calls).sum::<i64>();
    assert_eq!(both_hours(sums().await), 3);
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(ledger.evict_old(&bounds).await.unwrap(), 6);
    assert_eq!(found(&ledger, CallQuery::default()).await, [""; 0]);
    assert_eq!(both_hours(sums().await), 3);
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
    clock.advance(Duration::from_secs(61));
    let named = |found: &[(&str, i64)]| found.iter().map(|(id, side)| ((*id).to_owned(), *side)).collect::<Vec<_>>();
    assert_eq!(unpaired(None).await, named(&[("6", 1), ("1", 2), ("3", 2)]));
    assert_eq!(unpaired(Some(Missing::Consumers)).await, named(&[("6", 1)]));
    ledger.sum_up(&config::Ledger::default()).await.unwrap();
    assert_eq!(ledger.metrics.unpaired.with_label_values(&["provider"]).get(), 2);
    // Better late than never.
    report(&ledger, "cra", vec![account(1, "provider", &[])]).await;
    assert_eq!(unpaired(None).await, named(&[("6", 1), ("3", 2)]));
}

#[tokio::test]
async fn a_file_of_the_version_before_is_brought_up_to_date() {
    let (folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[("chapar.reason", "NO_GRANT")]), account(2, "consumer", &[])]).await;
    let (audit, metrics) = (ledger.audit.clone(), ledger.metrics.clone());
    ledger.close().await;
    // Version 1 had none of these, calls were numbered by what they claimed, and the first reporter's name had the first number.
    raw::execute(
        folder.path(),
        "DROP INDEX calls_by_reason; DROP INDEX calls_marked; DROP TABLE shares; ALTER TABLE calls DROP COLUMN marks; \
         ALTER TABLE calls DROP COLUMN bytes; ALTER TABLE calls DROP COLUMN consumer_outcome; \
         ALTER TABLE calls DROP COLUMN provider_outcome; ALTER TABLE checkpoints DROP COLUMN received_at_ms; \
         ALTER TABLE checkpoints DROP COLUMN receipt; ALTER TABLE checkpoints DROP COLUMN notary; \
         ALTER TABLE subjects DROP COLUMN key; DROP TABLE subject_pairs; DROP TABLE head; DROP TABLE signed_heads; \
         UPDATE words SET id = 99 WHERE id = 1; UPDATE calls SET reason = 99 WHERE reason = 1; \
         UPDATE calls SET resolution = 99 WHERE resolution = 1; \
         UPDATE calls SET kind = 99 WHERE kind = 1; \
         UPDATE spans SET call = 4096 WHERE call = (SELECT MAX(id) FROM calls); \
         UPDATE calls SET id = 4096 WHERE id = (SELECT MAX(id) FROM calls); PRAGMA user_version = 1",
    );
    let ledger = Ledger::open(&folder.path().join("ledger.db"), audit, metrics).unwrap();
    let refused = CallQuery { reason: Some("NO_GRANT".into()), ..CallQuery::default() };
    assert_eq!(found(&ledger, refused).await, ["1"]);
    assert_eq!(found(&ledger, CallQuery::default()).await, ["1", "2"], "what claimed 1970 is where it came in");
    let tight = config::Ledger { spans_max: 1, ..config::Ledger::default() };
    assert_eq!(ledger.evict_old(&tight).await.unwrap(), 1, "shares are counted");
}

/// The account of a call that another agency claims to have had with itself.
fn claimed(number: u8, agency: &str) -> Span {
    account(number, "consumer", &[("chapar.consumer", agency), ("chapar.provider", "cra")])
}

#[tokio::test]
async fn whoever_floods_the_ledger_pushes_out_its_own() {
    let (_folder, ledger, _) = opened().await;
    // The honest are the oldest, and as many of them as the flooder has room for would be gone by age.
    report(&ledger, "ipm", (1..=4).map(|number| account(number, "consumer", &[])).collect()).await;
    report(&ledger, "cra", vec![account(1, "provider", &[])]).await;
    report(&ledger, "post", (10..=60).map(|number| claimed(number, "post")).collect()).await;
    // And as a provider whom nobody asked.
    let asked = |number| account(number, "provider", &[("chapar.consumer", "ipm"), ("chapar.provider", "post")]);
    report(&ledger, "post", (61..=90).map(asked).collect()).await;
    // Strangers at somebody's door are no account of his.
    let handshake = [("chapar.consumer", ""), ("chapar.outcome", "refused"), ("chapar.reason", "PEER_NOT_IDENTIFIED")];
    report(&ledger, "cra", (91..=120).map(|number| account(number, "provider", &handshake)).collect()).await;
    let tight = config::Ledger { spans_max: 20, ..config::Ledger::default() };
    ledger.evict_old(&tight).await.unwrap();
    let left = found(&ledger, CallQuery::default()).await;
    for honest in ["1", "2", "3", "4"] {
        assert!(left.iter().any(|id| id == honest), "{left:?}");
    }
    assert!(left.len() < 20, "{left:?}");
}

#[tokio::test]
async fn spans_of_no_call_are_charged_and_evicted_as_well() {
    let (_folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[])]).await;
    let noise = |number: u8| Span {
        trace_id: vec![number; 16],
        span_id: vec![number; 8],
        name: "x".repeat(12_000),
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 1_000,
        ..Span::default()
    };
    report(&ledger, "post", (1..=200).map(noise).collect()).await;
    let tight = config::Ledger { bytes_max: 1_000_000, ..config::Ledger::default() };
    assert_eq!(ledger.evict_old(&tight).await.unwrap(), 200);
    assert_eq!(found(&ledger, CallQuery::default()).await, ["1"]);
}

#[tokio::test]
async fn a_claim_of_another_time_neither_outlives_nor_takes_along() {
    let (_folder, ledger, clock) = opened().await;
    let honest = |number| account(number, "provider", &[]);
    let dated = |number, ns: u64| Span { start_time_unix_nano: ns, end_time_unix_nano: ns, ..account(number, "consumer", &[]) };
    let tomorrow_ns = u64::try_from(NOW_MS + 20 * 3_600_000).unwrap() * 1_000_000;
    report(&ledger, "ipm", vec![dated(1, 1_000), dated(2, tomorrow_ns)]).await;
    clock.advance(Duration::from_secs(1));
    report(&ledger, "cra", vec![honest(1), honest(2), honest(3)]).await;
    assert_eq!(
        found(&ledger, CallQuery::default()).await,
        ["1", "2", "3"].map(str::to_owned).iter().rev().cloned().collect::<Vec<_>>()
    );
    let (calls, _) = ledger.calls(&CallQuery::default(), &first_page(9)).await.unwrap();
    assert_eq!(calls.iter().map(|call| call.marks.has(Marks::TIME)).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(ledger.evict_old(&config::Ledger::default()).await.unwrap(), 0);

    // Whoever reports a call long before making it does not have the other's account evicted with its own.
    report(&ledger, "ipm", vec![account(9, "consumer", &[])]).await;
    clock.advance(Duration::from_secs(20 * 86_400));
    report(&ledger, "cra", vec![honest(9)]).await;
    let bounds = config::Ledger { retention_days: 19, ..config::Ledger::default() };
    ledger.evict_old(&bounds).await.unwrap();
    assert_eq!(found(&ledger, CallQuery::default()).await, ["9"]);
    assert_eq!(ledger.trace(&"09".repeat(16)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn calls_of_one_instant_with_one_tail_of_their_ids_cost_what_others_do() {
    let (folder, ledger, _) = opened().await;
    // Before, each looked for the next free number from the same one on.
    let same = |number: usize| {
        let call_id = format!("{number:016x}{:016x}", 7);
        let span = account(1, "consumer", &[("chapar.call_id", call_id.as_str())]);
        Span { span_id: u64::try_from(number).unwrap().to_be_bytes().into(), ..span }
    };
    report(&ledger, "ipm", (1..=2_000).map(same).collect()).await;
    let keys = raw::keys(folder.path());
    assert_eq!(keys.len(), 2_000);
    assert_eq!(keys[1_999] - keys[0], 1_999, "each got the next number");
}
