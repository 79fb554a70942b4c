use super::*;

#[tokio::test]
async fn calls_are_found_by_every_filter_newest_first() {
    let (_folder, ledger, clock) = opened().await;
    let other = [("chapar.consumer", "post"), ("chapar.provider", "ipm"), ("chapar.inquiry", "study-status")];
    let failed = [("chapar.outcome", "failed"), ("rpc.response.status_code", "UNAVAILABLE")];
    report(&ledger, "ipm", vec![account(3, "consumer", &[])]).await;
    clock.advance(std::time::Duration::from_secs(1));
    report(&ledger, "ipm", vec![account(1, "consumer", &failed), account(2, "provider", &other)]).await;

    let text = |text: &str| Some(text.to_owned());
    let all = CallQuery::default;
    assert_eq!(found(&ledger, all()).await, ["1", "2", "3"]);
    assert_eq!(found(&ledger, CallQuery { agency: text("ipm"), ..all() }).await, ["1", "2", "3"]);
    assert_eq!(found(&ledger, CallQuery { agency: text("post"), ..all() }).await, ["2"]);
    assert_eq!(found(&ledger, CallQuery { consumer: text("ipm"), ..all() }).await, ["1", "3"]);
    assert_eq!(found(&ledger, CallQuery { provider: text("ipm"), ..all() }).await, ["2"]);
    assert_eq!(found(&ledger, CallQuery { inquiry: text("study-status"), ..all() }).await, ["2"]);
    assert_eq!(found(&ledger, CallQuery { call_id: Some(format!("{:032x}", 3)), ..all() }).await, ["3"]);
    let ending = |ending| CallQuery { ending: Some(ending), ..all() };
    assert_eq!(found(&ledger, ending(Ending::Outcome("failed".into()))).await, ["1"]);
    assert_eq!(found(&ledger, ending(Ending::Status("OK".into()))).await, ["2", "3"]);
    // When they came in, whenever they say that they began.
    let second_us = (NOW_MS + 1_000) * 1_000;
    assert_eq!(found(&ledger, CallQuery { from_us: Some(second_us), ..all() }).await, ["1", "2"]);
    assert_eq!(found(&ledger, CallQuery { until_us: Some(second_us), ..all() }).await, ["3"]);
    assert_eq!(found(&ledger, CallQuery { agency: text("ipm"), consumer: text("post"), ..all() }).await, ["2"]);
    assert_eq!(found(&ledger, CallQuery { agency: text("nobody"), ..all() }).await, Vec::<String>::new());
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
    report(&ledger, "ipm", spans).await;
    for agency in [None, Some("ipm".to_owned())] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let query = CallQuery { agency: agency.clone(), ..CallQuery::default() };
            let (calls, next) = ledger.calls(&query, &Page::asked(4, &token).unwrap()).await.unwrap();
            seen.extend(calls);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen.len(), 25);
        assert!(seen.windows(2).all(|pair| pair[0].key > pair[1].key && pair[0].started_at_us >= pair[1].started_at_us));
    }
    let foreign = Page { size: 4, after: Some("yesterday".into()) };
    let refused = ledger.calls(&CallQuery::default(), &foreign).await.unwrap_err();
    assert_eq!(refused.reason(), "PAGE_TOKEN_MALFORMED");
}

#[tokio::test]
async fn calls_are_found_by_what_was_decided_and_how_long_they_took() {
    let (_folder, ledger, _) = opened().await;
    let refused = [("chapar.outcome", "refused"), ("chapar.reason", "NO_GRANT"), ("chapar.resolution", "")];
    let mut slow = account(3, "consumer", &[]);
    slow.end_time_unix_nano += 1_000_000_000;
    report(&ledger, "ipm", vec![account(1, "consumer", &[]), account(2, "consumer", &refused), slow]).await;
    let all = CallQuery::default;
    let some = |text: &str| Some(text.to_owned());
    for (query, expected) in [
        (CallQuery { permitted: Some(true), ..all() }, &["1", "3"][..]),
        (CallQuery { permitted: Some(false), ..all() }, &["2"]),
        (CallQuery { permitted: Some(true), agency: some("cra"), ..all() }, &["1", "3"]),
        (CallQuery { permitted: Some(false), agency: some("cra"), ..all() }, &["2"]),
        (CallQuery { reason: some("NO_GRANT"), ..all() }, &["2"]),
        (CallQuery { reason: some("NO_GRANT"), consumer: some("ipm"), ..all() }, &["2"]),
        (CallQuery { reason: some("GRANT_EXPIRED"), ..all() }, &[]),
        (CallQuery { resolution: some("38-1"), ..all() }, &["1", "3"]),
        (CallQuery { duration_us_min: Some(11_000), ..all() }, &["3"]),
        (CallQuery { duration_us_min: Some(10_000), ..all() }, &["1", "2", "3"]),
        (CallQuery { duration_us_max: Some(10_000), ..all() }, &["1", "2"]),
        (CallQuery { duration_us_min: Some(2_000_000), ..all() }, &[]),
        (CallQuery { duration_us_min: Some(11_000), consumer: some("ipm"), ..all() }, &["3"]),
        (CallQuery { trace_id: Some("02".repeat(16)), ..all() }, &["2"]),
        (CallQuery { trace_id: some("none"), ..all() }, &[]),
        (CallQuery { missing: Some(Missing::Either), ..all() }, &["1", "3"]),
        (CallQuery { missing: Some(Missing::Providers), agency: some("cra"), ..all() }, &["1", "3"]),
        (CallQuery { missing: Some(Missing::Consumers), ..all() }, &[]),
        (CallQuery { missing: Some(Missing::Either), trace_id: Some("03".repeat(16)), ..all() }, &["3"]),
    ] {
        assert_eq!(found(&ledger, query.clone()).await, expected, "{query:?}");
    }
}

#[tokio::test]
async fn agencies_of_other_exchanges_are_found_by_their_whole_name() {
    let (_folder, ledger, _) = opened().await;
    let abroad = "cra@other.example";
    report(&ledger, "ipm", vec![account(1, "consumer", &[]), account(2, "consumer", &[("chapar.provider", abroad)])]).await;
    report(&ledger, "cra", vec![account(3, "provider", &[("chapar.consumer", "ipm@other.example")])]).await;
    let some = |text: &str| Some(text.to_owned());
    let all = CallQuery::default;
    for (query, expected) in [
        (CallQuery { provider: some("cra"), ..all() }, &["3", "1"][..]),
        (CallQuery { provider: some(abroad), ..all() }, &["2"]),
        (CallQuery { consumer: some("ipm"), ..all() }, &["1", "2"]),
        (CallQuery { consumer: some("ipm@other.example"), ..all() }, &["3"]),
        (CallQuery { agency: some("ipm@other.example"), ..all() }, &["3"]),
        (CallQuery { agency: some("cra@third.example"), ..all() }, &[]),
    ] {
        assert_eq!(found(&ledger, query.clone()).await, expected, "{query:?}");
    }
    let forged = report(&ledger, "ipm", vec![account(4, "consumer", &[("chapar.consumer", "ipm@other.example")])]).await;
    assert_eq!(
        forged.rejected[0].reason(),
        "SPAN_FORGED",
        "a sidecar speaks for its own agency, not for one of that name elsewhere"
    );
}
