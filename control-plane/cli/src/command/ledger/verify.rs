//! Whether anything was removed from the ledger or altered in it.

use std::time::Duration;

use chapar_proto::admin::v1::{LedgerFinding, VerifyLedgerRequest, VerifyLedgerResponse};
use clap::Args;

use crate::{
    failure::Failure,
    input::Span,
    output::{
        Style,
        table::{Table, Tone},
    },
    session::{Session, client},
    text::or_nothing,
    verdict::Verdict,
};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only the chains of this sidecar, by SPIFFE ID
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    reporter: String,
    /// How long it may take: 30m, 2h
    #[arg(long, value_name = "SPAN", default_value = "2h")]
    within: Span,
}

pub(crate) async fn run(args: &VerifyArgs, session: &Session) -> Result<Verdict, Failure> {
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
    session.output.show(&answer, |style| draw(style, &answer))?;
    Ok(if answer.findings.is_empty() { Verdict::Yes } else { Verdict::No })
}

fn draw(style: &Style, answer: &VerifyLedgerResponse) -> String {
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
