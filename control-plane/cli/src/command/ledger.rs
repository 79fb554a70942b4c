//! The ledger as a whole: what is missing in it, and what it adds up to.

mod sums;
mod unpaired;
mod verify;

use clap::Subcommand;

use self::{sums::SumsArgs, unpaired::UnpairedArgs, verify::VerifyArgs};
use crate::{failure::Failure, session::Session, verdict::Verdict};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List calls that only one side has reported, and who failed to, newest first
    Unpaired(UnpairedArgs),
    /// Find what was removed from the ledger or altered in it; 1 when something was
    Verify(VerifyArgs),
    /// List what passed between whom in each hour that has ended, the newest hour first
    Sums(SumsArgs),
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    match command {
        Command::Unpaired(args) => unpaired::run(args, session).await,
        Command::Verify(args) => verify::run(&args, session).await,
        Command::Sums(args) => sums::run(args, session).await,
    }
}
