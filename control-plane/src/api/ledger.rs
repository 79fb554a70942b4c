//! `chapar.admin.v1.LedgerService`: whether the account of calls is complete, and what it adds up to.

use chapar_proto::admin::v1::{
    HourSum, ListSumsRequest, ListSumsResponse, ListUnpairedRequest, ListUnpairedResponse, UnpairedCall,
    ledger_service_server::{LedgerService, LedgerServiceServer},
};
use tonic::{Request, Response, Status};

use super::{
    Caller, Page, Problem,
    traces::{side_name, summary_of, us_of_timestamp},
};
use crate::{
    clock::{ms_of_timestamp, timestamp_of_ms},
    ledger::{Call, Ledger, Missing, Query, Sum, WantedSums},
};

/// The service, for the admins' listeners.
#[must_use]
pub fn service(ledger: Ledger, pairing_grace_s: u32) -> LedgerServiceServer<Ledgers> {
    LedgerServiceServer::new(Ledgers { ledger, pairing_grace_s })
}

/// Serves [`LedgerService`].
pub struct Ledgers {
    ledger: Ledger,
    pairing_grace_s: u32,
}

#[tonic::async_trait]
impl LedgerService for Ledgers {
    async fn list_unpaired(&self, request: Request<ListUnpairedRequest>) -> Result<Response<ListUnpairedResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let query = Query {
            missing: Some(missing(&asked.missing)?),
            agency: set(asked.agency),
            from_us: asked.from.map(us_of_timestamp),
            until_us: asked.until.map(us_of_timestamp),
            ..Query::default()
        };
        let (calls, next_page_token) = self.ledger.unpaired(query, self.pairing_grace_s, &page).await?;
        Ok(Response::new(ListUnpairedResponse { calls: calls.into_iter().map(unpaired).collect(), next_page_token }))
    }

    async fn list_sums(&self, request: Request<ListSumsRequest>) -> Result<Response<ListSumsResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let wanted = WantedSums {
            consumer: set(asked.consumer),
            provider: set(asked.provider),
            inquiry: set(asked.inquiry),
            from_ms: asked.from.as_ref().map(ms_of_timestamp),
            until_ms: asked.until.as_ref().map(ms_of_timestamp),
        };
        let (sums, next_page_token) = self.ledger.sums(&wanted, &page).await?;
        Ok(Response::new(ListSumsResponse { sums: sums.into_iter().map(hour_sum).collect(), next_page_token }))
    }
}

fn set(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn missing(side: &str) -> Result<Missing, Problem> {
    match side {
        "" => Ok(Missing::Either),
        "consumer" => Ok(Missing::Consumers),
        "provider" => Ok(Missing::Providers),
        _ => {
            let told = "missing must be consumer, provider or empty";
            Err(Problem::invalid("SIDE_UNKNOWN", told).field("missing", told))
        }
    }
}

fn unpaired(call: Call) -> UnpairedCall {
    let missing = side_name(call.awaited).to_owned();
    let agency = if call.awaited == 1 { call.consumer.clone() } else { call.provider.clone() };
    UnpairedCall { call: Some(summary_of(call)), missing, agency }
}

fn hour_sum(sum: Sum) -> HourSum {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    HourSum {
        hour: Some(timestamp_of_ms(sum.hour_ms)),
        consumer: sum.consumer,
        provider: sum.provider,
        inquiry: sum.inquiry,
        outcome: sum.outcome,
        calls: count(sum.calls),
        request_bytes: count(sum.request_bytes),
        response_bytes: count(sum.response_bytes),
        duration_us: count(sum.duration_us),
        duration_us_max: count(sum.duration_us_max),
    }
}
