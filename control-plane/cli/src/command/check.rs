//! Whether the exchange still is what others remember of it.

use chapar_proto::admin::v1::{CheckHeadsRequest, CheckHeadsResponse, HeadsTold};
use clap::Subcommand;

use crate::{
    failure::Failure,
    output::{
        Style,
        table::{Table, Tone},
    },
    session::{Session, client},
    text::moment,
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask sidecars how far audit, policy and ledger had got; exit code 1 when anything went backwards since
    Heads,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    let Command::Heads = command;
    let mut client = client!(session, audit_service_client::AuditServiceClient);
    let answer = session.call(client.check_heads(CheckHeadsRequest {})).await?;
    session.output.show(&answer, |style| draw(style, &answer))?;
    let good = answer.sidecars.iter().all(|told| told.problems.is_empty());
    Ok(if good { Verdict::Yes } else { Verdict::No })
}

fn draw(style: &Style, answer: &CheckHeadsResponse) -> String {
    let all: Vec<HeadsTold> = answer.own.iter().chain(&answer.sidecars).cloned().collect();
    let state = |told: &HeadsTold| match told.problems.as_slice() {
        [] => ("still so".to_owned(), Tone::Good),
        problems => (problems.join("; "), Tone::Bad),
    };
    Table::new()
        .text("WHO", |told: &HeadsTold| if told.sidecar.is_empty() { "control plane".to_owned() } else { told.sidecar.clone() })
        .column("SIGNED", |told| moment(told.at.as_ref()))
        .column("AUDIT", |told| told.audit.to_string())
        .column("POLICY", |told| told.policy.to_string())
        .column("LEDGER", |told| told.ledger.to_string())
        .state("NOW", state)
        .draw(style, &all, "Nothing was signed yet.")
}
