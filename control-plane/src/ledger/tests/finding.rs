use super::*;

#[tokio::test]
async fn calls_are_found_by_every_filter_newest_first() {
    let (_folder, ledger, _) = opened().await;
    let other = [("chapar.consumer", "post"), ("chapar.provider", "ipm"), ("chapar.inquiry", "study-status")];
    let failed = [("chapar.outcome", "failed"), ("rpc.response.status_code", "UNAVAILABLE")];
    let of_ipm = vec![account(3, "consumer", &[]), account(1, "consumer", &failed), account(2, "provider", &other)];
    report(&ledger, "ipm", of_ipm).await;

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
    report(&ledger, "ipm", spans).await;
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
        assert!(seen.windows(2).all(|pair| pair[0].id > pair[1].id && pair[0].started_at_us >= pair[1].started_at_us));
    }
    let foreign = Page { size: 4, after: Some("yesterday".into()) };
    let refused = ledger.calls(&Query::default(), &foreign).await.unwrap_err();
    assert_eq!(refused.reason(), "PAGE_TOKEN_MALFORMED");
}

#[tokio::test]
async fn calls_are_found_by_what_was_decided_and_how_long_they_took() {
    let (_folder, ledger, _) = opened().await;
    let refused = [("chapar.outcome", "refused"), ("chapar.reason", "NO_GRANT"), ("chapar.resolution", "")];
    let mut slow = account(3, "consumer", &[]);
    slow.end_time_unix_nano += 1_000_000_000;
    report(&ledger, "ipm", vec![account(1, "consumer", &[]), account(2, "consumer", &refused), slow]).await;
    let all = Query::default;
    let some = |text: &str| Some(text.to_owned());
    for (query, expected) in [
        (Query { permitted: Some(true), ..all() }, &["1", "3"][..]),
        (Query { permitted: Some(false), ..all() }, &["2"]),
        (Query { permitted: Some(true), agency: some("cra"), ..all() }, &["1", "3"]),
        (Query { permitted: Some(false), agency: some("cra"), ..all() }, &["2"]),
        (Query { reason: some("NO_GRANT"), ..all() }, &["2"]),
        (Query { reason: some("NO_GRANT"), consumer: some("ipm"), ..all() }, &["2"]),
        (Query { reason: some("GRANT_EXPIRED"), ..all() }, &[]),
        (Query { resolution: some("38-1"), ..all() }, &["1", "3"]),
        (Query { duration_us_min: Some(11_000), ..all() }, &["3"]),
        (Query { duration_us_min: Some(10_000), ..all() }, &["1", "2", "3"]),
        (Query { duration_us_max: Some(10_000), ..all() }, &["1", "2"]),
        (Query { duration_us_min: Some(2_000_000), ..all() }, &[]),
        (Query { duration_us_min: Some(11_000), consumer: some("ipm"), ..all() }, &["3"]),
        (Query { trace_id: Some("02".repeat(16)), ..all() }, &["2"]),
        (Query { trace_id: some("none"), ..all() }, &[]),
        (Query { missing: Some(Missing::Either), ..all() }, &["1", "3"]),
        (Query { missing: Some(Missing::Providers), agency: some("cra"), ..all() }, &["1", "3"]),
        (Query { missing: Some(Missing::Consumers), ..all() }, &[]),
        (Query { missing: Some(Missing::Either), trace_id: Some("03".repeat(16)), ..all() }, &["3"]),
    ] {
        assert_eq!(found(&ledger, query.clone()).await, expected, "{query:?}");
    }
}

/// So that calls have a reason.
const UNREACHABLE: (&str, &str) = ("chapar.reason", "PROVIDER_UNREACHABLE");

/// One of every kind of list that runs down an index.
fn lists() -> Vec<Query> {
    let all = Query::default;
    let some = |text: &str| Some(text.to_owned());
    vec![
        all(),
        Query { consumer: some("ipm"), ..all() },
        Query { provider: some("cra"), ..all() },
        Query { inquiry: some("shahkar"), provider: some("cra"), ..all() },
        Query { resolution: some("38-1"), ..all() },
        Query { ending: Some(Wanted::Outcome("served".into())), ..all() },
        Query { ending: Some(Wanted::Status("OK".into())), ..all() },
        Query { reason: some("PROVIDER_UNREACHABLE"), ..all() },
        Query { reason: some("PROVIDER_UNREACHABLE"), inquiry: some("shahkar"), consumer: some("ipm"), ..all() },
        Query { agency: some("ipm"), ..all() },
        Query { agency: some("ipm"), missing: Some(Missing::Either), inquiry: some("shahkar"), ..all() },
        Query { permitted: Some(true), ..all() },
        Query { duration_us_min: Some(1), ..all() },
        Query { missing: Some(Missing::Either), ..all() },
    ]
}

#[tokio::test]
async fn lists_run_down_an_index() {
    let (_folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[UNREACHABLE])]).await;
    let one_call = Query { call_id: Some(format!("{:032x}", 1)), ..Query::default() };
    for query in lists().into_iter().chain([one_call]) {
        let plan = ledger.readers.read(move |conn| Ok(read::plan(conn, &query)?)).await.unwrap();
        assert!(!plan.iter().any(|step| step.starts_with("SCAN calls") && plan.len() > 1), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("USE TEMP B-TREE FOR ORDER BY") && plan.len() < 4), "{plan:?}");
    }
}

/// Steps of each page of this list, of so many calls.
async fn steps_of_pages(ledger: &Ledger, query: &Query, count: i64) -> Vec<i32> {
    let query = query.clone();
    let pages = ledger.readers.read(move |conn| {
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let (ids, steps) = read::steps(conn, &query, before, count)?;
            // A page that is not full ends sooner or looks further: it is no measure for the others.
            let Some(last) = ids.last().filter(|_| ids.len() as i64 == count) else { return Ok(pages) };
            before = Some(*last);
            pages.push(steps);
        }
    });
    pages.await.unwrap()
}

#[tokio::test]
async fn a_page_costs_the_same_wherever_it_is_and_however_much_is_below_it() {
    let (_folder, ledger, _) = opened().await;
    let calls =
        |numbers: std::ops::RangeInclusive<u8>| numbers.map(|number| account(number, "consumer", &[UNREACHABLE])).collect();
    report(&ledger, "ipm", calls(1..=30)).await;
    let second_us = |before: i64| Some((NOW_MS - before * 1_000) * 1_000);
    let with_range = |query: &Query| Query { from_us: second_us(117), until_us: second_us(4), ..query.clone() };
    let lists: Vec<_> = lists().iter().flat_map(|query| [query.clone(), with_range(query)]).collect();
    let mut few = Vec::new();
    for query in &lists {
        few.push(steps_of_pages(&ledger, query, 5).await[0]);
    }
    report(&ledger, "ipm", calls(31..=120)).await;
    for (query, first_of_few) in lists.iter().zip(few) {
        let pages = steps_of_pages(&ledger, query, 5).await;
        assert!(pages.len() >= 22, "{query:?}: {pages:?}");
        // A tenth for what a bound more or less costs; a page that began at the top again would cost twenty pages at last.
        let most = first_of_few + first_of_few / 10;
        assert!(pages.iter().all(|steps| *steps <= most), "{query:?}: {first_of_few} steps of few, {pages:?}");
    }
}

#[tokio::test]
async fn a_rare_reason_is_found_past_no_other_refusals() {
    let (_folder, ledger, _) = opened().await;
    let refused = |number, reason| account(number, "consumer", &[("chapar.outcome", "refused"), ("chapar.reason", reason)]);
    report(&ledger, "ipm", vec![refused(120, "NO_GRANT"), refused(119, "GRANT_EXPIRED")]).await;
    let rare = Query { reason: Some("NO_GRANT".into()), ..Query::default() };
    let found = |ledger: Ledger, query: Query| async move {
        ledger.readers.read(move |conn| Ok(read::steps(conn, &query, None, 5)?)).await.unwrap()
    };
    let before = found(ledger.clone(), rare.clone()).await;
    assert_eq!(before.0.len(), 1);
    report(&ledger, "ipm", (1..=118).map(|number| refused(number, "GRANT_EXPIRED")).collect()).await;
    assert_eq!(found(ledger, rare).await, before);
}
