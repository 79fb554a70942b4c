//! What is on record of the calls of one round: in the ledger, at either sidecar, and at the provider's server.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use chapar_core::record::CallId;
use chapar_proto::admin::v1 as admin;
use chapar_tests::{
    control_plane::{ControlPlane, spelled_out},
    mesh::{CONSUMER, Mesh},
    wait,
};
use prost_types::Timestamp;
use tokio::time::Instant;

use crate::record::Watch;

/// How long the sidecars may take to hand over what they kept during a fault.
const HANDED_OVER_LIMIT: Duration = Duration::from_secs(240);
/// How long the account may take to be complete after that.
const COMPLETE_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at the ledger: every one reads all calls of the round.
const LOOK_EVERY: Duration = Duration::from_secs(4);
const PAGE_SIZE: u32 = 1_000;

/// How many of the client's calls are accounted for. Without a fault of ours all but the last three are the same.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Account {
    /// Records that the consumer's sidecar itself put down of them.
    pub(crate) consumer_side: usize,
    /// Records that the provider's sidecar itself put down.
    pub(crate) provider_side: usize,
    /// Calls that are in the ledger exactly once from each side.
    pub(crate) ledger: usize,
    /// Calls that are not in the ledger from both sides.
    pub(crate) missing: usize,
    /// Calls that are in the ledger more than once from a side.
    pub(crate) duplicated: usize,
    /// Calls that a sidecar did not put down exactly once, or that did not reach the provider's server exactly once.
    pub(crate) disagreeing: usize,
}

impl Account {
    /// Calls that are not accounted for as they should be.
    pub(crate) const fn wrong(&self) -> usize {
        self.missing + self.duplicated + self.disagreeing
    }
}

/// Who puts down calls beside the ledger.
#[derive(Debug)]
pub(crate) struct Witnesses {
    pub(crate) consumer: Watch,
    pub(crate) provider: Watch,
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
pub(crate) async fn account(mesh: &Mesh, witnesses: &Witnesses, seen: &[String], from: Timestamp) -> Result<Account> {
    for sidecar in [&mesh.consumer, &mesh.provider] {
        // What is not handed over in time is found missing below.
        let none_waits = || async { (sidecar.records_waiting().await.ok()? == 0).then_some(()) };
        let _ = wait::until("the records", HANDED_OVER_LIMIT, none_waits).await;
    }
    let put_down =
        PutDown { consumer: witnesses.consumer.take(), provider: witnesses.provider.take(), served: mesh.server().take_served() };
    let plane = &mesh.control_plane;
    let end = Instant::now() + COMPLETE_LIMIT;
    loop {
        let account = compare(seen, &put_down, &halves(plane, &from).await?);
        if account.missing == 0 || Instant::now() >= end {
            return Ok(account);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How often each call was put down, and served.
struct PutDown {
    consumer: HashMap<CallId, u32>,
    provider: HashMap<CallId, u32>,
    served: HashMap<String, u32>,
}

fn compare(seen: &[String], put_down: &PutDown, halves: &HashMap<String, Halves>) -> Account {
    let mut account = Account::default();
    for id in seen {
        let times = |records: &HashMap<CallId, u32>| id.parse().ok().and_then(|id| records.get(&id).copied()).unwrap_or(0);
        let (consumer, provider) = (times(&put_down.consumer), times(&put_down.provider));
        account.consumer_side += consumer as usize;
        account.provider_side += provider as usize;
        let served = put_down.served.get(id).copied().unwrap_or(0);
        account.disagreeing += usize::from((consumer, provider, served) != (1, 1, 1));
        let found = halves.get(id).copied().unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    /// What is told of one call that was seen, of which each has so many records.
    fn told(consumer: u32, provider: u32, served: u32, halves: (u32, u32)) -> Account {
        let id: CallId = ID.parse().unwrap();
        let put_down = PutDown {
            consumer: HashMap::from([(id, consumer)]),
            provider: HashMap::from([(id, provider)]),
            served: HashMap::from([(ID.to_owned(), served)]),
        };
        let halves = HashMap::from([(ID.to_owned(), Halves { consumer: halves.0, provider: halves.1 })]);
        compare(&[ID.to_owned()], &put_down, &halves)
    }

    #[test]
    fn a_call_that_all_have_once_is_in_order() {
        let account = told(1, 1, 1, (1, 1));
        assert_eq!((account.consumer_side, account.provider_side, account.ledger, account.wrong()), (1, 1, 1, 0));
    }

    #[test]
    fn a_sidecar_that_puts_a_call_down_twice_or_not_at_all_shows_though_the_ledger_has_it_once() {
        assert_eq!((told(2, 1, 1, (1, 1)).consumer_side, told(2, 1, 1, (1, 1)).wrong()), (2, 1));
        assert_eq!((told(1, 0, 1, (1, 1)).provider_side, told(1, 0, 1, (1, 1)).wrong()), (0, 1));
        assert_eq!(told(1, 1, 2, (1, 1)).wrong(), 1, "served twice");
    }

    #[test]
    fn a_call_that_the_ledger_lacks_or_has_twice_shows() {
        assert_eq!((told(1, 1, 1, (1, 0)).missing, told(1, 1, 1, (0, 0)).missing), (1, 1));
        assert_eq!((told(1, 1, 1, (1, 2)).duplicated, told(1, 1, 1, (2, 1)).duplicated), (1, 1));
    }
}
