//! `chapar.admin.v1.TraceService`: what happened, for admins.

use chapar_core::policy::GrpcCode;
use chapar_proto::admin::v1::{
    GetTraceRequest, GetTraceResponse, ListTracesRequest, ListTracesResponse, Span, TraceSummary,
    trace_service_server::{TraceService, TraceServiceServer},
};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use crate::{
    access::Role,
    caller::Caller,
    ledger::{Accounts, Call, CallKey, CallQuery, Ending, Ledger, Marks, StoredSpan},
    page::Page,
    problem::Problem,
};

/// How calls end; see `chapar_core::record::Outcome`.
const OUTCOMES: [&str; 4] = ["served", "refused", "failed", "abandoned"];

/// Calls of one trace that are told with it: as many as a page holds.
const TRACE_CALLS_SHOWN: u32 = 1_000;

/// gRPC numbers its statuses from 0 to this.
const STATUS_NUMBER_MAX: u32 = 16;

/// The service, for the admins' listeners.
#[must_use]
pub fn service(ledger: Ledger, pairing_grace_s: u32) -> TraceServiceServer<Traces> {
    TraceServiceServer::new(Traces { ledger, pairing_grace_s })
}

/// Serves [`TraceService`].
pub struct Traces {
    ledger: Ledger,
    pairing_grace_s: u32,
}

#[tonic::async_trait]
impl TraceService for Traces {
    async fn list_traces(&self, request: Request<ListTracesRequest>) -> Result<Response<ListTracesResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let one_sided = asked.accounts == Accounts::OneSided.as_str();
        let query = query_of(asked)?;
        let (calls, next_page_token) = if one_sided {
            self.ledger.unpaired(query, self.pairing_grace_s, &page).await?
        } else {
            self.ledger.calls(&query, &page).await?
        };
        let due = self.ledger.unpaired_before(self.pairing_grace_s);
        let traces = calls.into_iter().map(|call| summary_of(call, due)).collect();
        Ok(Response::new(ListTracesResponse { traces, next_page_token }))
    }

    async fn get_trace(&self, request: Request<GetTraceRequest>) -> Result<Response<GetTraceResponse>, Status> {
        let caller = Caller::from_request(&request)?;
        caller.require_admin()?;
        let shows_subjects = caller.powers().has(&Role::Inspector);
        let id = request.into_inner().id;
        let spans = self.ledger.trace(&id).await.map_err(Problem::from)?;
        let Some(first) = spans.first() else {
            return Err(unknown(&id).into());
        };
        let trace_id = first.trace_id.clone();
        let query = CallQuery { trace_id: Some(trace_id.clone()), ..CallQuery::default() };
        let (calls, _) = self.ledger.calls(&query, &Page::asked(TRACE_CALLS_SHOWN, "")?).await?;
        let due = self.ledger.unpaired_before(self.pairing_grace_s);
        let calls = calls.into_iter().map(|call| summary_of(call, due)).collect();
        let told = |span: StoredSpan| if shows_subjects { span } else { span.masked() };
        Ok(Response::new(GetTraceResponse { trace_id, spans: spans.into_iter().map(told).map(span_of).collect(), calls }))
    }
}

fn unknown(id: &str) -> Problem {
    let told = "no trace or call with this ID is in the ledger; it may not have been reported yet, or be older than the \
                ledger keeps";
    Problem::not_found("TRACE_UNKNOWN", told).with("id", id.chars().take(64).collect::<String>())
}

fn query_of(asked: ListTracesRequest) -> Result<CallQuery, Problem> {
    let set = |text: String| (!text.is_empty()).then_some(text);
    Ok(CallQuery {
        ending: set(asked.status).map(ending).transpose()?,
        agency: set(asked.agency),
        consumer: set(asked.consumer),
        provider: set(asked.provider),
        inquiry: set(asked.inquiry),
        call_id: set(asked.call_id),
        trace_id: set(asked.trace_id),
        resolution: set(asked.resolution),
        permitted: set(asked.decision).map(permitted).transpose()?,
        reason: set(asked.reason),
        duration_us_min: (asked.duration_us_min > 0).then(|| duration_us(asked.duration_us_min)),
        duration_us_max: (asked.duration_us_max > 0).then(|| duration_us(asked.duration_us_max)),
        missing: None,
        marked: marked(&asked.accounts, &asked.mark)?,
        from_us: asked.from.map(us_of_timestamp),
        until_us: asked.until.map(us_of_timestamp),
    })
}

/// The marks that wanted calls bear.
fn marked(accounts: &str, mark: &str) -> Result<Option<Marks>, Problem> {
    let accounts = match accounts {
        "" | "ONE-SIDED" => None,
        "DISAGREES" => Some(Marks::DISAGREES),
        _ => {
            let told = "accounts must be DISAGREES, ONE-SIDED or empty";
            return Err(Problem::invalid("ACCOUNTS_UNKNOWN", told).field("accounts", told));
        }
    };
    if mark.is_empty() {
        return Ok(accounts);
    }
    let Some((named, _)) = Marks::NAMED.into_iter().find(|(_, name)| *name == mark) else {
        let told = format!("mark must be {} or empty", Marks::NAMED.map(|(_, name)| name).join(", "));
        return Err(Problem::invalid("MARK_UNKNOWN", told.as_str()).field("mark", told));
    };
    Ok(Some(accounts.map_or(named, |accounts| accounts.and(named))))
}

/// The names of a call's marks.
pub(super) fn mark_names(marks: Marks) -> Vec<String> {
    Marks::NAMED.into_iter().filter(|(mark, _)| marks.has(*mark)).map(|(_, name)| name.to_owned()).collect()
}

fn duration_us(asked: u64) -> i64 {
    i64::try_from(asked).unwrap_or(i64::MAX)
}

fn permitted(decision: String) -> Result<bool, Problem> {
    match decision.as_str() {
        "permitted" => Ok(true),
        "refused" => Ok(false),
        _ => {
            let told = "decision must be permitted or refused";
            Err(Problem::invalid("DECISION_UNKNOWN", told).field("decision", told))
        }
    }
}

fn ending(status: String) -> Result<Ending, Problem> {
    if OUTCOMES.contains(&status.as_str()) {
        return Ok(Ending::Outcome(status));
    }
    if (0..=STATUS_NUMBER_MAX).any(|number| GrpcCode::from_number(number).as_str() == status) {
        return Ok(Ending::Status(status));
    }
    let told = format!("status must be one of {} or the name of a gRPC status, such as PERMISSION_DENIED", OUTCOMES.join(", "));
    Err(Problem::invalid("STATUS_UNKNOWN", told.as_str()).field("status", told))
}

/// A call as lists show it. `due`: calls below it should have both accounts.
pub(super) fn summary_of(call: Call, due: CallKey) -> TraceSummary {
    let accounts = call.accounts(due).as_str().to_owned();
    let awaited = side_name(call.awaited).to_owned();
    TraceSummary {
        trace_id: call.trace_id,
        call_id: call.call_id,
        consumer: call.consumer,
        provider: call.provider,
        inquiry: call.inquiry,
        outcome: call.outcome,
        status: call.status,
        reason: call.reason,
        started_at: Some(timestamp_of_us(call.started_at_us)),
        duration_us: u64::try_from(call.duration_us).unwrap_or_default(),
        spans: u32::try_from(call.spans).unwrap_or(u32::MAX),
        resolution: call.resolution,
        awaited,
        kind: call.kind,
        accounts,
        consumer_outcome: call.consumer_outcome,
        provider_outcome: call.provider_outcome,
        marks: mark_names(call.marks),
        received_at: Some(timestamp_of_us(call.key.received_at_us())),
    }
}

fn span_of(span: StoredSpan) -> Span {
    Span {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        name: span.name,
        kind: kind_name(span.kind).to_owned(),
        started_at: Some(timestamp_of_us(span.started_at_us)),
        duration_us: u64::try_from(span.duration_us).unwrap_or_default(),
        reporter: span.reporter,
        status: status_name(span.status).to_owned(),
        status_message: span.status_message,
        attributes: span.attributes,
    }
}

/// OpenTelemetry's name of a span kind; "unspecified" for a number that it does not name.
fn kind_name(kind: i64) -> &'static str {
    match kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

fn status_name(status: i64) -> &'static str {
    match status {
        1 => "ok",
        2 => "error",
        _ => "unset",
    }
}

/// The side that this bit of a call's row means; empty for none.
pub(super) fn side_name(bit: i64) -> &'static str {
    match bit {
        1 => "consumer",
        2 => "provider",
        _ => "",
    }
}

pub(super) fn timestamp_of_us(us: i64) -> Timestamp {
    let nanos = i32::try_from(us.rem_euclid(1_000_000) * 1_000).unwrap_or_default();
    Timestamp { seconds: us.div_euclid(1_000_000), nanos }
}

pub(super) fn us_of_timestamp(timestamp: Timestamp) -> i64 {
    timestamp.seconds.saturating_mul(1_000_000).saturating_add(i64::from(timestamp.nanos) / 1_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_status_is_an_outcome_or_the_name_of_a_grpc_status() {
        assert_eq!(ending("refused".into()).unwrap(), Ending::Outcome("refused".into()));
        assert_eq!(ending("PERMISSION_DENIED".into()).unwrap(), Ending::Status("PERMISSION_DENIED".into()));
        assert_eq!(ending("OK".into()).unwrap(), Ending::Status("OK".into()));
        for unknown in ["REFUSED", "ok", "17", "' OR 1 = 1"] {
            assert_eq!(ending(unknown.into()).unwrap_err().reason(), "STATUS_UNKNOWN", "{unknown}");
        }
    }

    #[test]
    fn times_keep_their_microseconds() {
        for us in [-1, 0, 1, 1_700_000_000_123_456] {
            assert_eq!(us_of_timestamp(timestamp_of_us(us)), us);
        }
    }
}
