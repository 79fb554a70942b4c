//! Who changed what, and when.

use chapar_proto::admin::v1::{AuditEntry, AuditFinding, ListAuditRequest, VerifyAuditRequest, VerifyAuditResponse};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::{
    failure::Failure,
    input::{Period, Span},
    output::{
        Style,
        table::{Table, Tone},
    },
    paging::RecentLimit,
    session::{Session, client},
    text::{moment, or_nothing},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List entries, newest first
    List(ListArgs),
    /// Find what was removed, altered, exchanged or cut off; exit code 1 when anything was
    Verify {
        /// How long it may take: 30m, 2h
        #[arg(long, value_name = "SPAN", default_value = "1h")]
        within: Span,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only what this actor did, such as local:uid=0 or spiffe://exchange.example/admin/sara
    #[arg(long, value_name = "ACTOR", default_value = "", hide_default_value = true)]
    actor: String,
    /// Only actions that begin so, such as policy or token.create
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    action: String,
    /// Only what was done to this
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    object: String,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    limit: RecentLimit,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    match command {
        Command::List(args) => list(args, session).await,
        Command::Verify { within } => verify(within, session).await,
    }
}

async fn verify(within: Span, session: &Session) -> Result<Verdict, Failure> {
    let mut client = client!(session, audit_service_client::AuditServiceClient);
    let wait = Duration::from_secs(within.seconds().map_err(Failure::Input)?.into());
    let answer = session.call_waiting(wait, client.verify_audit(VerifyAuditRequest {})).await?;
    session.output.show(&answer, |style| draw_findings(style, &answer))?;
    Ok(if answer.findings.is_empty() { Verdict::Yes } else { Verdict::No })
}

fn draw_findings(style: &Style, answer: &VerifyAuditResponse) -> String {
    let table = Table::new()
        .state("FOUND", |finding: &AuditFinding| (finding.kind.clone(), Tone::Bad))
        .column("ENTRIES", |finding| format!("{}-{}", finding.first, finding.last))
        .text("WHAT", |finding| finding.told.clone())
        .draw(style, &answer.findings, "Nothing was removed, altered, exchanged or cut off.");
    let (entries, heads, last) = (answer.entries, answer.heads, answer.last);
    let hash: String = answer.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}\n{entries} entries, {heads} signed heads verified; the newest entry is {last}, with the hash {hash}",
        table.trim_end()
    )
}

async fn list(args: ListArgs, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, audit_service_client::AuditServiceClient);
    let request = ListAuditRequest {
        actor: args.actor,
        action: args.action,
        object: args.object,
        from: args.period.from(),
        until: args.period.until(),
        ..ListAuditRequest::default()
    };
    let ask = async |request| client.clone().list_audit(request).await;
    session.list(args.limit.limit, request, ask, |style, answer| draw(style, &answer.entries)).await
}

fn draw(style: &Style, entries: &[AuditEntry]) -> String {
    Table::new()
        .column("AT", |entry: &AuditEntry| moment(entry.at.as_ref()))
        .column("ACTOR", |entry| entry.actor.clone())
        .column("ACTION", |entry| entry.action.clone())
        .text("OBJECT", |entry| or_nothing(&entry.object))
        .state(
            "RESULT",
            |entry| {
                if entry.succeeded { ("done".to_owned(), Tone::Good) } else { (entry.reason.clone(), Tone::Bad) }
            },
        )
        .wide("ID", |entry| entry.id.to_string())
        .wide("DETAILS", |entry| or_nothing(&entry.details))
        .draw(style, entries, "No entry.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_was_done_and_what_was_refused() {
        let entry = |id, action: &str, object: &str, reason: &str| AuditEntry {
            id,
            at: Some(prost_types::Timestamp { seconds: 1_795_331_521, nanos: 0 }),
            actor: "local:uid=0".into(),
            action: action.into(),
            object: object.into(),
            succeeded: reason.is_empty(),
            reason: reason.into(),
            details: "{\"files\":1}".into(),
        };
        let entries = [entry(2, "policy.apply", "version 4", ""), entry(1, "enrolment.refuse", "ipm\u{1b}[2J", "TOKEN_USED")];
        insta::assert_snapshot!(draw(&Style::default(), &entries), @r"
        AT                    ACTOR        ACTION            OBJECT        RESULT
        2026-11-22 07:12:01Z  local:uid=0  policy.apply      version 4     done
        2026-11-22 07:12:01Z  local:uid=0  enrolment.refuse  ipm\u{1b}[2J  TOKEN_USED
        ");
        insta::assert_snapshot!(draw(&Style { wide: true, ..Style::default() }, &entries), @r#"
        AT                    ACTOR        ACTION            OBJECT        RESULT      ID  DETAILS
        2026-11-22 07:12:01Z  local:uid=0  policy.apply      version 4     done        2   {"files":1}
        2026-11-22 07:12:01Z  local:uid=0  enrolment.refuse  ipm\u{1b}[2J  TOKEN_USED  1   {"files":1}
        "#);
    }
}
