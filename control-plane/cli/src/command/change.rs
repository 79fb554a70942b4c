//! Changes that wait for a second person.

use chapar_proto::admin::v1::{ApproveChangeRequest, Change, GetChangeRequest, ListChangesRequest, RejectChangeRequest};
use clap::Subcommand;

use crate::{
    failure::Failure,
    output::{
        Style,
        table::{Table, Tone},
    },
    session::{Session, client},
    text::{moment, plain},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List changes that wait for a second person, or may be carried out
    List,
    /// Show what a change asks for
    Show { id: u64 },
    /// Agree, as the second person
    Approve { id: u64 },
    /// Refuse, as the second person, or take one's own back
    Reject { id: u64 },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    let mut client = client!(session, access_service_client::AccessServiceClient);
    match command {
        Command::List => {
            let answer = session.call(client.list_changes(ListChangesRequest {})).await?;
            session.output.show(&answer, |style| draw(style, &answer.changes))?;
        }
        Command::Show { id } => {
            let answer = session.call(client.get_change(GetChangeRequest { id })).await?;
            session.output.show(&answer, |style| {
                format!("{}\n\n{}", draw(style, answer.change.as_slice()).trim_end(), plain(&answer.told))
            })?;
        }
        Command::Approve { id } => {
            let answer = session.call(client.approve_change(ApproveChangeRequest { id })).await?;
            session.output.show(&answer, |_| "Agreed. Whoever asked for it may repeat the command now.".to_owned())?;
        }
        Command::Reject { id } => {
            let answer = session.call(client.reject_change(RejectChangeRequest { id })).await?;
            session.output.show(&answer, |_| "Refused.".to_owned())?;
        }
    }
    Ok(Verdict::Yes)
}

fn draw(style: &Style, changes: &[Change]) -> String {
    Table::new()
        .column("ID", |change: &Change| change.id.to_string())
        .column("OF", |change| change.guard.clone())
        .column("METHOD", |change| change.method.clone())
        .text("ASKED BY", |change| change.proposed_by.clone())
        .column("UNTIL", |change| moment(change.expires_at.as_ref()))
        .state("STATE", |change| match (change.approved, change.decided_by.is_empty()) {
            (true, _) => (format!("agreed by {}", change.decided_by), Tone::Good),
            (false, true) => ("waits".to_owned(), Tone::Bad),
            (false, false) => (format!("refused by {}", change.decided_by), Tone::Bad),
        })
        .draw(style, changes, "Nothing waits for a second person.")
}
