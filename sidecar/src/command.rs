//! The command line: what a program that runs the sidecar is told, and how it ends.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use chapar_daemon::log::{self, LogWriter};
use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::{app, control_channel::sentence};

/// The sidecar of an agency: its applications call other agencies through it, and other agencies call it.
#[derive(Debug, Parser)]
#[command(name = "chapar-sidecar", version)]
struct Arguments {
    /// The configuration (YAML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Form of the log on standard error; RUST_LOG sets its level.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Does as the command line of this process says.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let (writer, log) = match log::started(["log_lines_lost_total", "panics_total"]) {
        Ok(started) => started,
        // A wrong name of a metric, which tests would show.
        Err(_) => return ExitCode::FAILURE,
    };
    subscribe(arguments.log_format, writer);
    // Calls have threads of their own. All else shares this one, so that what is exported is in the way of few of them.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(app::run(&arguments.config, log.lost())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = sentence(&error), "the sidecar does not run");
            ExitCode::FAILURE
        }
    }
}

fn subscribe(format: LogFormat, writer: LogWriter) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
        // Colours are for a terminal; in a file or a journal they are noise.
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}
