//! `chapar`: the admin command line of the exchange, a client of the admin API and nothing else.
//!
//! Exit codes: 0 done or yes; 1 a negative answer (`explain` refused, `diff` found a difference); 2 wrong usage or input;
//! 3 the control plane cannot be reached; 4 the control plane refused the request.

mod args;
mod command;
mod connect;
mod failure;
mod hint;
mod input;
mod output;
mod paging;
mod session;
mod text;
mod verdict;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::{
    args::{Cli, Command},
    command::{
        admin_cert, agency, apply, audit, ca, cert, change, check, evidence, explain, grant, ledger, passport, policy, program,
        resource, sidecar, subject, token, trace,
    },
    failure::Failure,
    output::{Format, Output},
    session::Session,
    verdict::Verdict,
};

/// Exit code of an answer that is neither yes nor no, as of evidence that is one side's word.
const PARTLY: u8 = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Clap itself ends the process with 2 on wrong usage, and with 0 on --help.
    let cli = Cli::parse();
    let format = cli.output.format;
    match run(cli).await {
        Ok(Verdict::Yes) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(1),
        Ok(Verdict::Partly) => ExitCode::from(PARTLY),
        Err(failure) => report(&failure, format),
    }
}

async fn run(cli: Cli) -> Result<Verdict, Failure> {
    let Cli { connection, output, command } = cli;
    let output = Output::new(&output);
    let session = async |output| Session::open(&connection, output).await;
    match command {
        // These need no control plane, or look at files first: a wrong file name is told apart from an unreachable control plane.
        Command::Completions { shell } => program::completions(shell, Cli::command(), &output),
        Command::Version => program::version(&output),
        Command::Evidence(command) => evidence::run(command, &connection, output).await,
        Command::Apply(args) => apply::apply(args, &connection, output).await,
        Command::Diff(args) => apply::diff(args, &connection, output).await,
        Command::Agency(command) => agency::run(command, &session(output).await?).await,
        Command::Token(command) => token::run(command, &session(output).await?).await,
        Command::Passport(command) => passport::run(command, &session(output).await?).await,
        Command::Policy(command) => policy::run(command, &session(output).await?).await,
        Command::Grant(command) => grant::run(command, &session(output).await?).await,
        Command::Resource(command) => resource::run(command, &session(output).await?).await,
        Command::Explain(args) => explain::run(args, &session(output).await?).await,
        Command::Sidecar(command) => sidecar::run(command, &session(output).await?).await,
        Command::Cert(command) => cert::run(command, &session(output).await?).await,
        Command::Ca(command) => ca::run(command, &session(output).await?).await,
        Command::AdminCert(command) => admin_cert::run(command, &session(output).await?).await,
        Command::Trace(command) => trace::run(command, &session(output).await?).await,
        Command::Subject(command) => subject::run(command, &session(output).await?).await,
        Command::Ledger(command) => ledger::run(command, &session(output).await?).await,
        Command::Change(command) => change::run(command, &session(output).await?).await,
        Command::Check(command) => check::run(command, &session(output).await?).await,
        Command::Audit(command) => audit::run(command, &session(output).await?).await,
    }
}

/// Errors go to standard error, as text or, where the output is for programs, as one JSON object.
fn report(failure: &Failure, format: Format) -> ExitCode {
    match format {
        Format::Table => eprintln!("{}", failure.text()),
        Format::Json | Format::Yaml => eprintln!("{}", failure.json()),
    }
    ExitCode::from(failure.exit_code())
}
