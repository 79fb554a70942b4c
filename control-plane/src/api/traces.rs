//! `chapar.admin.v1.TraceService`: what happened, for admins.

use chapar_core::policy::GrpcCode;
use chapar_proto::admin::v1::{
    GetTraceRequest, GetTraceResponse, ListTracesRequest, ListTracesResponse, Span, TraceSummary,
    trace_service_server::{TraceService, TraceServiceServer},
};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use crate::{
    caller::Caller,
    ledger::{Call, CallQuery, Ending, Ledger, StoredSpan},
    page::Page,
    problem::Problem,
};

/// How calls end; see `chapar_core::record::Outcome`.
const OUTCOMES: [&str; 4] = ["served", "refused", "failed", "abandoned"];

/// gRPC numbers its statuses from 0 to this.
const STATUS_NUMBER_MAX: u32 = 16;

/// The service, for the admins' listeners.
#[must_use]
pub fn service(ledger: Ledger) -> TraceServiceServer<Traces> {
    TraceServiceServer::new(Traces { ledger })
}

/// Serves [`TraceService`].
pub struct Traces {
    ledger: Ledger,
}

#[tonic::async_trait]
impl TraceService for Traces {
    async fn list_traces(&self, request: Request<ListTracesRequest>) -> Result<Response<ListTracesResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let (calls, next_page_token) = self.ledger.calls(&query_of(asked)?, &page).await?;
        let traces = calls.into_iter().map(summary_of).collect();
        Ok(Response::new(ListTracesResponse { traces, next_page_token }))
    }

    async fn get_trace(&self, request: Request<GetTraceRequest>) -> Result<Response<GetTraceResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let id = request.into_inner().id;
        let spans = self.ledger.trace(&id).await.map_err(Problem::from)?;
        let Some(first) = spans.first() else {
            return Err(unknown(&id).into());
        };
        let trace_id = first.trace_id.clone();
        Ok(Response::new(GetTraceResponse { trace_id, spans: spans.into_iter().map(span_of).collect() }))
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
        from_us: asked.from.map(us_of_timestamp),
        until_us: asked.until.map(us_of_timestamp),
    })
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

/// A call as lists show it.
pub(super) fn summary_of(call: Call) -> TraceSummary {
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
