//! Calls that only one side has reported.

use chapar_proto::admin::v1::{ListUnpairedRequest, TraceSummary, UnpairedCall};
use clap::Args;

use crate::{
    failure::Failure,
    input::Period,
    output::{
        Style,
        table::{Table, Tone},
    },
    paging::RecentLimit,
    session::{Session, client},
    text::{moment, or_nothing},
    verdict::Verdict,
};

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

pub(crate) async fn run(args: UnpairedArgs, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, ledger_service_client::LedgerServiceClient);
    let request = ListUnpairedRequest {
        missing: args.missing.unwrap_or_default(),
        agency: args.agency,
        from: args.period.from(),
        until: args.period.until(),
        ..ListUnpairedRequest::default()
    };
    let ask = async |request| client.clone().list_unpaired(request).await;
    session.list(args.limit.limit, request, ask, |style, answer| draw(style, &answer.calls)).await
}

fn draw(style: &Style, calls: &[UnpairedCall]) -> String {
    Table::new()
        .column("STARTED", |call: &UnpairedCall| told(call, |call| moment(call.started_at.as_ref())))
        .column("CALL ID", |call| told(call, |call| call.call_id.clone()))
        .column("CONSUMER", |call| told(call, |call| or_nothing(&call.consumer)))
        .column("PROVIDER", |call| told(call, |call| or_nothing(&call.provider)))
        .column("INQUIRY", |call| told(call, |call| or_nothing(&call.inquiry)))
        .column("OUTCOME", |call| told(call, |call| or_nothing(&call.outcome)))
        .state("MISSING", |call| (format!("{} ({})", call.missing, or_nothing(&call.agency)), Tone::Bad))
        .draw(style, calls, "Every call has the accounts of both sides.")
}

fn told(unpaired: &UnpairedCall, text: fn(&TraceSummary) -> String) -> String {
    unpaired.call.as_ref().map(text).unwrap_or_default()
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
        let drawn = draw(&Style::default(), &[unpaired]);
        assert!(drawn.contains("provider (cra)") && drawn.contains("0192f0c1"), "{drawn}");
        assert_eq!(draw(&Style::default(), &[]).trim(), "Every call has the accounts of both sides.");
    }
}
