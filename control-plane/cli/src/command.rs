//! The commands, a file a noun. Each asks the control plane, and shows the answer.

pub(crate) mod admin_cert;
pub(crate) mod agency;
pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod ca;
pub(crate) mod cert;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod grant;
pub(crate) mod ledger;
pub(crate) mod passport;
pub(crate) mod policy;
pub(crate) mod resource;
pub(crate) mod sidecar;
pub(crate) mod subject;
pub(crate) mod token;
pub(crate) mod trace;

use clap::CommandFactory as _;

use crate::{
    Verdict,
    args::{Cli, Command, Connection},
    failure::Failure,
    output::Output,
    session::Session,
};

pub(crate) async fn run(command: Command, connection: &Connection, output: Output) -> Result<Verdict, Failure> {
    // What needs no control plane comes first.
    match command {
        Command::Completions { shell } => {
            // Into a buffer: the generator panics when it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chapar", &mut script);
            output.print(&String::from_utf8_lossy(&script))?;
            return Ok(Verdict::Yes);
        }
        Command::Version => {
            output.print(concat!("chapar ", env!("CARGO_PKG_VERSION")))?;
            return Ok(Verdict::Yes);
        }
        Command::Evidence(evidence::Command::Verify { file, bundle }) => return evidence::verify(&file, &bundle, &output),
        Command::Apply(args) => return apply::apply(args, connection, output).await,
        Command::Diff(args) => return apply::diff(args, connection, output).await,
        _ => {}
    }
    let session = Session::open(connection, output).await?;
    match command {
        Command::Agency(command) => agency::run(command, &session).await,
        Command::Token(command) => token::run(command, &session).await,
        Command::Passport(command) => passport::run(command, &session).await,
        Command::Policy(command) => policy::run(command, &session).await,
        Command::Grant(command) => grant::run(command, &session).await,
        Command::Resource(command) => resource::run(command, &session).await,
        Command::Explain(args) => explain::run(args, &session).await,
        Command::Sidecar(command) => sidecar::run(command, &session).await,
        Command::Cert(command) => cert::run(command, &session).await,
        Command::Ca(command) => ca::run(command, &session).await,
        Command::AdminCert(command) => admin_cert::run(command, &session).await,
        Command::Trace(command) => trace::run(command, &session).await,
        Command::Subject(command) => subject::run(command, &session).await,
        Command::Evidence(evidence::Command::Export { call_id, out }) => evidence::export(call_id, out, &session).await,
        Command::Ledger(command) => ledger::run(command, &session).await,
        Command::Audit(command) => audit::run(command, &session).await,
        Command::Completions { .. } | Command::Version | Command::Apply(_) | Command::Diff(_) | Command::Evidence(_) => {
            Ok(Verdict::Yes)
        }
    }
}
