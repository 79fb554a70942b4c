//! What the ledger holds of the calls of one round.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use chapar_proto::admin::v1 as admin;
use chapar_tests::{
    control_plane::{ControlPlane, spelled_out},
    mesh::{CONSUMER, Mesh},
    sidecar::Sidecar,
    wait,
};
use prost_types::Timestamp;
use tokio::time::Instant;

/// How long the sidecars may take to hand over what they kept during a fault.
const HANDED_OVER_LIMIT: Duration = Duration::from_secs(240);
/// How long the account may take to be complete after that.
const COMPLETE_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at the ledger: every one reads all calls of the round.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// The sidecars' metric that tells how many records they still keep.
const WAITING: &str = "chapar_sidecar_records_waiting ";
const PAGE_SIZE: u32 = 1_000;

/// How many of the client's calls are accounted for.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) consumer_side: usize,
    pub(crate) provider_side: usize,
    /// Exactly once from each side.
    pub(crate) ledger: usize,
    pub(crate) missing: usize,
    pub(crate) duplicated: usize,
}

/// Halves of one call.
#[derive(Debug, Default, Clone, Copy)]
struct Halves {
    consumer: u32,
    provider: u32,
}

/// Looks until every call of `seen` is accounted for by both sides, or time is up.
///
/// # Errors
/// When the control plane does not answer.
pub(crate) async fn account(mesh: &Mesh, seen: &[String], from: Timestamp) -> Result<Account> {
    for sidecar in [&mesh.consumer, &mesh.provider] {
        // What is not handed over in time is found missing below.
        let _ = wait::until("the records", HANDED_OVER_LIMIT, || async { (waiting(sidecar).await? == 0).then_some(()) }).await;
    }
    let plane = &mesh.control_plane;
    let end = Instant::now() + COMPLETE_LIMIT;
    loop {
        let account = compare(seen, &halves(plane, &from).await?);
        if account.missing == 0 || Instant::now() >= end {
            return Ok(account);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn waiting(sidecar: &Sidecar) -> Option<u64> {
    let (_, metrics) = sidecar.admin_get("/metrics").await.ok()?;
    metrics.lines().find_map(|line| line.strip_prefix(WAITING))?.trim().parse().ok()
}

fn compare(seen: &[String], halves: &HashMap<String, Halves>) -> Account {
    let mut account = Account::default();
    for id in seen {
        let found = halves.get(id).copied().unwrap_or_default();
        account.consumer_side += usize::from(found.consumer > 0);
        account.provider_side += usize::from(found.provider > 0);
        match (found.consumer, found.provider) {
            (1, 1) => account.ledger += 1,
            (0, _) | (_, 0) => account.missing += 1,
            _ => account.duplicated += 1,
        }
    }
    account
}

async fn halves(plane: &ControlPlane, from: &Timestamp) -> Result<HashMap<String, Halves>> {
    let mut client = admin::trace_service_client::TraceServiceClient::new(plane.channel());
    let mut halves: HashMap<String, Halves> = HashMap::new();
    let mut request =
        admin::ListTracesRequest { consumer: CONSUMER.to_owned(), from: Some(*from), page_size: PAGE_SIZE, ..Default::default() };
    loop {
        let page = client.list_traces(request.clone()).await.map_err(spelled_out)?.into_inner();
        for trace in page.traces {
            let call = halves.entry(trace.call_id).or_default();
            // Every call of the load begins a trace of its own: one span from each side.
            let (consumer, provider) = match trace.awaited.as_str() {
                "consumer" => (0, trace.spans),
                "provider" => (trace.spans, 0),
                _ if trace.spans >= 2 => (trace.spans - 1, 1),
                _ => (trace.spans, 0),
            };
            call.consumer += consumer;
            call.provider += provider;
        }
        if page.next_page_token.is_empty() {
            return Ok(halves);
        }
        request.page_token = page.next_page_token;
    }
}
