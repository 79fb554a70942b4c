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

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::Cli,
    failure::Failure,
    output::{Format, Output},
};

/// How a command ended that did what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Yes,
    /// The answer is no: not permitted, or not the same.
    No,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Clap itself ends the process with 2 on wrong usage, and with 0 on --help.
    let cli = Cli::parse();
    let format = cli.output.format;
    match run(cli).await {
        Ok(Verdict::Yes) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(1),
        Err(failure) => report(&failure, format),
    }
}

async fn run(cli: Cli) -> Result<Verdict, Failure> {
    let output = Output::new(&cli.output);
    command::run(cli.command, &cli.connection, output).await
}

/// Errors go to standard error, as text or, where the output is for programs, as one JSON object.
fn report(failure: &Failure, format: Format) -> ExitCode {
    match format {
        Format::Table => eprintln!("{}", failure.text()),
        Format::Json | Format::Yaml => eprintln!("{}", failure.json()),
    }
    ExitCode::from(failure.exit_code())
}
