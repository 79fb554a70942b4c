//! Traces of calls: list, and show one as a tree.

mod tree;

use chapar_proto::admin::v1::{GetTraceRequest, ListTracesRequest, TraceSummary};
use clap::{Args, Subcommand};

use crate::{
    failure::Failure,
    input::Period,
    output::{
        Style,
        table::{Table, Tone},
    },
    paging::RecentLimit,
    session::{Session, client},
    text::{duration, moment, or_nothing, plain},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List traces, newest first
    List(Box<ListArgs>),
    /// Show a trace as a tree across both sidecars
    Show {
        /// Trace ID, or the chapar-call-id of the call
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only calls that this agency made or answered
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    agency: String,
    /// Only calls that this agency made
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    consumer: String,
    /// Only calls that this agency answered
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    provider: String,
    /// Only calls of this inquiry
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    inquiry: String,
    /// Only this outcome (served, refused, failed, abandoned) or gRPC status (PERMISSION_DENIED)
    #[arg(long, value_name = "STATUS", default_value = "", hide_default_value = true)]
    status: String,
    #[command(flatten)]
    period: Period,
    /// Only the call with this chapar-call-id
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    call_id: String,
    /// Only calls of this trace
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    trace_id: String,
    /// Only calls that this resolution granted
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    resolution: String,
    /// Only what was permitted, or refused
    #[arg(long, value_parser = ["permitted", "refused"])]
    decision: Option<String>,
    /// Only what was refused for this reason: NO_GRANT
    #[arg(long, value_name = "REASON", default_value = "", hide_default_value = true)]
    reason: String,
    /// Only calls whose two sides tell what cannot both be true, or of which only one side has told in time
    #[arg(long, value_parser = ["DISAGREES", "ONE-SIDED"])]
    accounts: Option<String>,
    /// Only calls that are marked so
    #[arg(long, value_parser = ["TIME_DOUBTED", "NO_GRANT_IN_FORCE", "SUBJECT_KEY_DOUBTED"])]
    mark: Option<String>,
    /// Only calls that took at least so many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0.0, hide_default_value = true)]
    longer_than_ms: f64,
    /// Only calls that took at most so many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0.0, hide_default_value = true)]
    shorter_than_ms: f64,
    #[command(flatten)]
    limit: RecentLimit,
}

/// Whole microseconds; 0 for what is no time.
fn micros(ms: f64) -> u64 {
    // A float that is too large, negative or no number becomes the nearest that fits.
    (ms * 1_000.0) as u64
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    match command {
        Command::List(args) => return list(*args, session).await,
        Command::Show { id } => {
            let mut client = client!(session, trace_service_client::TraceServiceClient);
            let answer = session.call(client.get_trace(GetTraceRequest { id })).await?;
            session.output.show(&answer, |style| tree::draw(style, &answer))?;
        }
    }
    Ok(Verdict::Yes)
}

async fn list(args: ListArgs, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, trace_service_client::TraceServiceClient);
    let request = ListTracesRequest {
        agency: args.agency,
        consumer: args.consumer,
        provider: args.provider,
        inquiry: args.inquiry,
        status: args.status,
        from: args.period.from(),
        until: args.period.until(),
        call_id: args.call_id,
        trace_id: args.trace_id,
        resolution: args.resolution,
        decision: args.decision.unwrap_or_default(),
        reason: args.reason,
        duration_us_min: micros(args.longer_than_ms),
        duration_us_max: micros(args.shorter_than_ms),
        accounts: args.accounts.unwrap_or_default(),
        mark: args.mark.unwrap_or_default(),
        ..ListTracesRequest::default()
    };
    let ask = async |request| client.clone().list_traces(request).await;
    session.list(args.limit.limit, request, ask, |style, answer| draw(style, &answer.traces)).await
}

fn draw(style: &Style, traces: &[TraceSummary]) -> String {
    Table::new()
        .column("STARTED", |trace: &TraceSummary| moment(trace.started_at.as_ref()))
        .column("TRACE", |trace| trace.trace_id.clone())
        .column("CONSUMER", |trace| or_nothing(&trace.consumer))
        .column("PROVIDER", |trace| or_nothing(&trace.provider))
        .column("INQUIRY", |trace| or_nothing(&trace.inquiry))
        .column("RESOLUTION", |trace| or_nothing(&trace.resolution))
        .state("OUTCOME", |trace| (or_nothing(&trace.outcome), outcome_tone(&trace.outcome)))
        .column("STATUS", |trace| if trace.reason.is_empty() { or_nothing(&trace.status) } else { trace.reason.clone() })
        .column("TOOK", |trace| duration(trace.duration_us))
        .state("ACCOUNTS", |trace| told_of(&trace.accounts, &trace.marks))
        .wide("GRPC STATUS", |trace| or_nothing(&trace.status))
        .wide("SPANS", |trace| trace.spans.to_string())
        .wide("CALL ID", |trace| or_nothing(&trace.call_id))
        .draw(style, traces, "No trace.")
}

/// How the accounts of a call stand to each other, and what it is marked as.
pub(super) fn told_of(accounts: &str, marks: &[String]) -> (String, Tone) {
    let doubtful = !marks.is_empty() || matches!(accounts, "DISAGREES" | "ONE-SIDED");
    let mut text = or_nothing(accounts);
    for mark in marks {
        text.push_str(", ");
        text.push_str(&plain(mark));
    }
    (text, if doubtful { Tone::Bad } else { Tone::Plain })
}

fn outcome_tone(outcome: &str) -> Tone {
    match outcome {
        "served" => Tone::Good,
        "refused" | "failed" => Tone::Bad,
        "abandoned" => Tone::Faded,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_served_and_refused_calls() {
        let trace = |digit: &str, outcome: &str, status: &str, reason: &str, resolution: &str| TraceSummary {
            trace_id: digit.repeat(32),
            call_id: "0192f0c1".into(),
            consumer: "ipm".into(),
            provider: "cra".into(),
            inquiry: "shahkar".into(),
            outcome: outcome.into(),
            status: status.into(),
            reason: reason.into(),
            started_at: Some(prost_types::Timestamp { seconds: 1_795_331_521, nanos: 0 }),
            duration_us: 12_345,
            spans: 2,
            resolution: resolution.into(),
            kind: "verification".into(),
            accounts: if outcome == "served" { "DISAGREES".into() } else { "SOLE".into() },
            marks: if outcome == "served" { vec!["NO_GRANT_IN_FORCE".into()] } else { Vec::new() },
            ..TraceSummary::default()
        };
        let traces = [trace("a", "served", "OK", "", "38-1"), trace("b", "refused", "PERMISSION_DENIED", "NO_GRANT", "")];
        insta::assert_snapshot!(draw(&Style::default(), &traces), @r"
        STARTED               TRACE                             CONSUMER  PROVIDER  INQUIRY  RESOLUTION  OUTCOME  STATUS    TOOK     ACCOUNTS
        2026-11-22 07:12:01Z  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa  ipm       cra       shahkar  38-1        served   OK        12.3 ms  DISAGREES, NO_GRANT_IN_FORCE
        2026-11-22 07:12:01Z  bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  ipm       cra       shahkar  -           refused  NO_GRANT  12.3 ms  SOLE
        ");
    }
}
