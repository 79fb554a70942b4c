//! Who asked about a person: for inspectors. The ID is read from standard input, never from the command line, where every process of
//! the machine and the shell's history could see it.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use chapar_proto::admin::v1::{EndSharedSubjectKeyRequest, FindCallsRequest, RotateSubjectKeyRequest, SubjectCall};
use clap::{Args, Subcommand};

use super::trace::told_of;
use crate::{
    failure::Failure,
    input::Period,
    output::{Style, table::Table},
    paging::RecentLimit,
    session::{Session, client},
    text::{moment, or_nothing},
    verdict::Verdict,
};

/// Longest line that is read for an ID, in bytes: eleven digits, in any script and with spaces, take far less.
const LINE_BYTES_MAX: u64 = 256;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the calls about one person or company, newest first; asks for the national ID, or reads it from standard input
    Calls(CallsArgs),
    /// Hash data subjects with new keys from now on; old records stay findable
    RotateKey,
    /// End the one key of all sidecars that releases before keys of pairs hash with; old records stay findable
    EndSharedKey(EndSharedKeyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CallsArgs {
    /// Why you ask; kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    limit: RecentLimit,
}

#[derive(Debug, Args)]
pub(crate) struct EndSharedKeyArgs {
    /// Also while sidecars of such releases are connected: they are turned away, and refuse everything once their snapshot is stale
    #[arg(long)]
    danger_leave_behind: bool,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    match command {
        Command::Calls(args) => return calls(args, session).await,
        Command::RotateKey => {
            let mut client = client!(session, subject_service_client::SubjectServiceClient);
            let answer = session.call(client.rotate_subject_key(RotateSubjectKeyRequest {})).await?;
            session.output.show(&answer, |_| format!("key {}", answer.id))?;
        }
        Command::EndSharedKey(args) => {
            let mut client = client!(session, subject_service_client::SubjectServiceClient);
            let request = EndSharedSubjectKeyRequest { leave_behind: args.danger_leave_behind };
            let answer = session.call(client.end_shared_subject_key(request)).await?;
            session.output.show(&answer, |_| match answer.left_behind.as_slice() {
                [] => "No sidecar needs it.".to_owned(),
                left => format!("Left behind: {}", left.join(", ")),
            })?;
        }
    }
    Ok(Verdict::Yes)
}

async fn calls(args: CallsArgs, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, subject_service_client::SubjectServiceClient);
    let request = FindCallsRequest {
        national_id: asked_for()?,
        reason: args.reason,
        from: args.period.from(),
        until: args.period.until(),
        ..FindCallsRequest::default()
    };
    let ask = async |request| client.clone().find_calls(request).await;
    session.list(args.limit.limit, request, ask, |style, answer| draw(style, &answer.calls)).await
}

fn asked_for() -> Result<String, Failure> {
    let input = io::stdin();
    if input.is_terminal() {
        eprint!("National ID: ");
        // A prompt that cannot be shown is no reason not to read the answer.
        let _ = io::stderr().flush();
    }
    read_id(input.lock())
}

fn read_id(input: impl io::BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    input
        .take(LINE_BYTES_MAX)
        .read_line(&mut line)
        .map_err(|cause| Failure::Input(format!("cannot read the national ID from standard input: {cause}")))?;
    match line.trim() {
        "" => Err(Failure::Input("no national ID on standard input".to_owned())),
        id => Ok(id.to_owned()),
    }
}

fn draw(style: &Style, calls: &[SubjectCall]) -> String {
    Table::new()
        .column("WHEN", |call: &SubjectCall| moment(call.started_at.as_ref()))
        .column("WHO", |call| or_nothing(&call.consumer))
        .column("ASKED", |call| or_nothing(&call.provider))
        .column("FOR", |call| or_nothing(&call.inquiry))
        .column("RESOLUTION", |call| or_nothing(&call.resolution))
        .text("PURPOSE", |call| or_nothing(&call.purpose))
        .column("OUTCOME", |call| or_nothing(&call.outcome))
        .state("ACCOUNTS", |call| told_of(&call.accounts, &call.marks))
        .wide("CALL ID", |call| call.call_id.clone())
        .draw(style, calls, "No call about this ID.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_one_line_of_standard_input() {
        assert_eq!(read_id(&b" 0013542419 \nmore"[..]).unwrap(), "0013542419");
        assert!(read_id(&b"\n"[..]).is_err());
        assert_eq!(read_id(&[b'1'; 10_000][..]).unwrap().len(), 256);
    }

    #[test]
    fn tells_who_asked_and_for_what() {
        let call =
            SubjectCall {
                consumer: "ipm".into(), inquiry: "shahkar".into(), purpose: "بیمه".into(), ..SubjectCall::default()
            };
        let drawn = draw(&Style::default(), &[call]);
        assert!(drawn.contains("ipm") && drawn.contains("بیمه"), "{drawn}");
    }
}
