//! The ledger as a whole: what is missing in it, and what it adds up to.

use std::time::Duration;

use chapar_proto::admin::v1::{
    HourSum, LedgerFinding, ListSumsRequest, ListSumsResponse, ListUnpairedRequest, ListUnpairedResponse, TraceSummary,
    UnpairedCall, VerifyLedgerRequest, VerifyLedgerResponse,
};
use clap::{Args, Subcommand};

use crate::{
    Verdict,
    args::{Period, RecentLimit},
    failure::Failure,
    input::{Moment, Span},
    output::{
        Style,
        table::{Table, Tone},
        text::{duration, moment, or_nothing},
    },
    paging::collect,
    session::{Session, client},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List calls that only one side has reported, and who failed to, newest first
    Unpaired(UnpairedArgs),
    /// Find what was removed from the ledger or altered in it; 1 when something was
    Verify(VerifyArgs),
    /// List what passed between whom in each hour that has ended, the newest hour first
    Sums(SumsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct UnpairedArgs {
    /// Only calls of which this side's account is missing
    #[arg(long, value_parser = ["consumer", "provider"])]
    missing: Option<String>,
    /// Only calls that this agency is a party to
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    agency: String,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    limit: RecentLimit,
}

#[derive(Debug, Args)]
pub(crate) struct SumsArgs {
    /// Only calls that this agency made
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    consumer: String,
    /// Only calls that this agency answered
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    provider: String,
    /// Only calls of this inquiry
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    inquiry: String,
    /// Only hours that begin then or later
    #[arg(long, value_name = "MOMENT")]
    from: Option<Moment>,
    /// Only hours that begin before then
    #[arg(long, value_name = "MOMENT")]
    until: Option<Moment>,
    #[command(flatten)]
    limit: RecentLimit,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only the chains of this sidecar, by SPIFFE ID
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    reporter: String,
    /// How long it may take: 30m, 2h
    #[arg(long, value_name = "SPAN", default_value = "2h")]
    within: Span,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    match command {
        Command::Verify(args) => return verify(&args, session).await,
        Command::Unpaired(args) => unpaired(&args, session).await?,
        Command::Sums(args) => sums(&args, session).await?,
    }
    Ok(Verdict::Yes)
}

async fn verify(args: &VerifyArgs, session: &Session) -> Result<Verdict, Failure> {
    let mut client = client!(session, ledger_service_client::LedgerServiceClient);
    let wait = Duration::from_secs(args.within.seconds().map_err(Failure::Input)?.into());
    let request = VerifyLedgerRequest { reporter: args.reporter.clone() };
    let mut steps = session.call(client.verify_ledger(request)).await?;
    let mut answer = VerifyLedgerResponse::default();
    loop {
        let step = session.call_waiting(wait, async { steps.message().await.map(tonic::Response::new) }).await?;
        let Some(step) = step else { break };
        let mut findings = std::mem::take(&mut answer.findings);
        findings.extend(step.findings.iter().cloned());
        answer = VerifyLedgerResponse { findings, ..step };
    }
    if !answer.done {
        return Err(Failure::Answer("an end"));
    }
    session.output.show(&answer, |style| draw_verified(style, &answer))?;
    Ok(if answer.findings.is_empty() { Verdict::Yes } else { Verdict::No })
}

async fn unpaired(args: &UnpairedArgs, session: &Session) -> Result<(), Failure> {
    let client = client!(session, ledger_service_client::LedgerServiceClient);
    let answer: ListUnpairedResponse = collect(args.limit.limit, |page_size, page_token| {
        let mut client = client.clone();
        let request = ListUnpairedRequest {
            missing: args.missing.clone().unwrap_or_default(),
            agency: args.agency.clone(),
            from: args.period.from(),
            until: args.period.until(),
            page_size,
            page_token,
        };
        async move { session.call(client.list_unpaired(request)).await }
    })
    .await?;
    session.output.show_list(&answer, |style| draw_unpaired(style, &answer.calls))
}

async fn sums(args: &SumsArgs, session: &Session) -> Result<(), Failure> {
    let client = client!(session, ledger_service_client::LedgerServiceClient);
    let answer: ListSumsResponse = collect(args.limit.limit, |page_size, page_token| {
        let mut client = client.clone();
        let request = ListSumsRequest {
            consumer: args.consumer.clone(),
            provider: args.provider.clone(),
            inquiry: args.inquiry.clone(),
            from: args.from.map(Moment::timestamp),
            until: args.until.map(Moment::timestamp),
            page_size,
            page_token,
        };
        async move { session.call(client.list_sums(request)).await }
    })
    .await?;
    session.output.show_list(&answer, |style| draw_sums(style, &answer.sums))
}

fn draw_verified(style: &Style, answer: &VerifyLedgerResponse) -> String {
    let table = Table::new()
        .state("FOUND", |finding: &LedgerFinding| (finding.kind.clone(), Tone::Bad))
        .column("REPORTER", |finding| or_nothing(&finding.reporter))
        .column("CHAIN", |finding| or_nothing(&finding.chain))
        .column(
            "ENTRIES",
            |finding| if finding.first == 0 { or_nothing("") } else { format!("{}-{}", finding.first, finding.last) },
        )
        .column("CALL ID", |finding| or_nothing(&finding.call_id))
        .text("WHAT", |finding| finding.told.clone())
        .draw(style, &answer.findings, "Nothing was removed or altered.");
    format!(
        "{}\n{} chains, {} entries, {} signatures verified; {} entries wait for a signature; {} are forgotten but for their digest",
        table.trim_end(),
        answer.chains,
        answer.entries,
        answer.checkpoints,
        answer.unsigned_entries,
        answer.forgotten_entries
    )
}

fn draw_unpaired(style: &Style, calls: &[UnpairedCall]) -> String {
    Table::new()
        .column("STARTED", |call: &UnpairedCall| of(call, |call| moment(call.started_at.as_ref())))
        .column("CALL ID", |call| of(call, |call| call.call_id.clone()))
        .column("CONSUMER", |call| of(call, |call| or_nothing(&call.consumer)))
        .column("PROVIDER", |call| of(call, |call| or_nothing(&call.provider)))
        .column("INQUIRY", |call| of(call, |call| or_nothing(&call.inquiry)))
        .column("OUTCOME", |call| of(call, |call| or_nothing(&call.outcome)))
        .state("MISSING", |call| (format!("{} ({})", call.missing, or_nothing(&call.agency)), Tone::Bad))
        .draw(style, calls, "Every call has the accounts of both sides.")
}

fn of(unpaired: &UnpairedCall, text: fn(&TraceSummary) -> String) -> String {
    unpaired.call.as_ref().map(text).unwrap_or_default()
}

fn draw_sums(style: &Style, sums: &[HourSum]) -> String {
    Table::new()
        .column("HOUR", |sum: &HourSum| moment(sum.hour.as_ref()))
        .column("CONSUMER", |sum| or_nothing(&sum.consumer))
        .column("PROVIDER", |sum| or_nothing(&sum.provider))
        .column("INQUIRY", |sum| or_nothing(&sum.inquiry))
        .column("OUTCOME", |sum| or_nothing(&sum.outcome))
        .column("CALLS", |sum| sum.calls.to_string())
        .column("MEAN", |sum| duration(sum.duration_us / sum.calls.max(1)))
        .column("LONGEST", |sum| duration(sum.duration_us_max))
        .wide("BYTES OUT", |sum| sum.request_bytes.to_string())
        .wide("BYTES BACK", |sum| sum.response_bytes.to_string())
        .draw(style, sums, "No hour with calls has ended.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_who_failed_to_report() {
        let call = TraceSummary {
            call_id: "0192f0c1".into(),
            consumer: "ipm".into(),
            provider: "cra".into(),
            ..TraceSummary::default()
        };
        let unpaired = UnpairedCall { call: Some(call), missing: "provider".into(), agency: "cra".into() };
        let drawn = draw_unpaired(&Style::default(), &[unpaired]);
        assert!(drawn.contains("provider (cra)") && drawn.contains("0192f0c1"), "{drawn}");
        assert_eq!(draw_unpaired(&Style::default(), &[]).trim(), "Every call has the accounts of both sides.");
    }

    #[test]
    fn tells_the_mean_of_an_hour() {
        let sum =
            HourSum { calls: 4, duration_us: 8_000, duration_us_max: 5_000, inquiry: "shahkar".into(), ..HourSum::default() };
        let drawn = draw_sums(&Style::default(), &[sum]);
        assert!(drawn.contains("2") && drawn.contains("shahkar"), "{drawn}");
    }
}
