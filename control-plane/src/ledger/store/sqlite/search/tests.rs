#![allow(clippy::unwrap_used)]

use std::path::Path;

use rusqlite::params_from_iter;

use super::{plan::Plan, *};
use crate::ledger::{
    call::{Ending, Missing},
    store::raw,
    tests::{NOW_MS, account, opened, report},
};

/// So that calls have a reason.
const UNREACHABLE: (&str, &str) = ("chapar.reason", "PROVIDER_UNREACHABLE");

/// One of every kind of list that runs down an index.
fn lists() -> Vec<CallQuery> {
    let all = CallQuery::default;
    let some = |text: &str| Some(text.to_owned());
    vec![
        all(),
        CallQuery { consumer: some("ipm"), ..all() },
        CallQuery { provider: some("cra"), ..all() },
        CallQuery { inquiry: some("shahkar"), provider: some("cra"), ..all() },
        CallQuery { resolution: some("38-1"), ..all() },
        CallQuery { ending: Some(Ending::Outcome("served".into())), ..all() },
        CallQuery { ending: Some(Ending::Status("OK".into())), ..all() },
        CallQuery { reason: some("PROVIDER_UNREACHABLE"), ..all() },
        CallQuery { reason: some("PROVIDER_UNREACHABLE"), inquiry: some("shahkar"), consumer: some("ipm"), ..all() },
        CallQuery { agency: some("ipm"), ..all() },
        CallQuery { agency: some("ipm"), missing: Some(Missing::Either), inquiry: some("shahkar"), ..all() },
        CallQuery { permitted: Some(true), ..all() },
        CallQuery { duration_us_min: Some(1), ..all() },
        CallQuery { missing: Some(Missing::Either), ..all() },
    ]
}

#[tokio::test]
async fn lists_run_down_an_index() {
    let (folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![account(1, "consumer", &[UNREACHABLE])]).await;
    let one_call = CallQuery { call_id: Some(format!("{:032x}", 1)), ..CallQuery::default() };
    for query in lists().into_iter().chain([one_call]) {
        let plan = plan_of(folder.path(), &query);
        assert!(!plan.iter().any(|step| step.starts_with("SCAN calls") && plan.len() > 1), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("USE TEMP B-TREE FOR ORDER BY") && plan.len() < 4), "{plan:?}");
    }
}

/// How SQLite goes about a list.
fn plan_of(folder: &Path, query: &CallQuery) -> Vec<String> {
    let conn = raw::opened(folder);
    let Some(plan) = Plan::new(&conn, query).unwrap() else { return Vec::new() };
    let (sql, values) = plan.statement(query, Some(CallKey::MAX), 10);
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The rows of a page, and how many steps SQLite's machine takes for it: what the page costs, whatever a clock says.
fn page_of(folder: &Path, query: &CallQuery, before: Option<CallKey>, count: usize) -> (Vec<i64>, i32) {
    let conn = raw::opened(folder);
    let Some(plan) = Plan::new(&conn, query).unwrap() else { return (Vec::new(), 0) };
    let (sql, values) = plan.statement(query, before, count);
    let mut statement = conn.prepare(&sql).unwrap();
    let ids = statement.query_map(params_from_iter(values), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    (ids, statement.get_status(rusqlite::StatementStatus::VmStep))
}

/// Steps of each page of this list, of so many calls.
fn steps_of_pages(folder: &Path, query: &CallQuery, count: usize) -> Vec<i32> {
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let (ids, steps) = page_of(folder, query, before, count);
        // A page that is not full ends sooner or looks further: it is no measure for the others.
        let Some(last) = ids.last().filter(|_| ids.len() == count) else { return pages };
        before = Some(CallKey::from_number(*last));
        pages.push(steps);
    }
}

#[tokio::test]
async fn a_page_costs_the_same_wherever_it_is_and_however_much_is_below_it() {
    let (folder, ledger, _) = opened().await;
    let calls =
        |numbers: std::ops::RangeInclusive<u8>| numbers.map(|number| account(number, "consumer", &[UNREACHABLE])).collect();
    report(&ledger, "ipm", calls(1..=30)).await;
    let ms_us = |after: i64| Some((NOW_MS + after) * 1_000);
    let with_range = |query: &CallQuery| CallQuery { from_us: ms_us(0), until_us: ms_us(1), ..query.clone() };
    let lists: Vec<_> = lists().iter().flat_map(|query| [query.clone(), with_range(query)]).collect();
    let mut few = Vec::new();
    for query in &lists {
        few.push(steps_of_pages(folder.path(), query, 5)[0]);
    }
    report(&ledger, "ipm", calls(31..=120)).await;
    for (query, first_of_few) in lists.iter().zip(few) {
        let pages = steps_of_pages(folder.path(), query, 5);
        assert!(pages.len() >= 22, "{query:?}: {pages:?}");
        // A tenth for what a bound more or less costs; a page that began at the top again would cost twenty pages at last.
        let most = first_of_few + first_of_few / 10;
        assert!(pages.iter().all(|steps| *steps <= most), "{query:?}: {first_of_few} steps of few, {pages:?}");
    }
}

#[tokio::test]
async fn a_rare_reason_is_found_past_no_other_refusals() {
    let (folder, ledger, _) = opened().await;
    let refused = |number, reason| account(number, "consumer", &[("chapar.outcome", "refused"), ("chapar.reason", reason)]);
    report(&ledger, "ipm", vec![refused(120, "NO_GRANT"), refused(119, "GRANT_EXPIRED")]).await;
    let rare = CallQuery { reason: Some("NO_GRANT".into()), ..CallQuery::default() };
    let before = page_of(folder.path(), &rare, None, 5);
    assert_eq!(before.0.len(), 1);
    report(&ledger, "ipm", (1..=118).map(|number| refused(number, "GRANT_EXPIRED")).collect()).await;
    assert_eq!(page_of(folder.path(), &rare, None, 5), before);
}
