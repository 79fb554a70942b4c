//! `chapar-control-plane --config FILE`: the exchange as one process.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use chapar_control_plane::{
    app::App,
    clock::Clock,
    config::Config,
    telemetry::{self, LogFormat},
};
use chapar_daemon::log::LinesLost;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Threads at least: with one, whatever waits inline for another task's work waits for ever.
const WORKERS_MIN: usize = 2;

/// The control plane of a national information exchange: certificates, policy, distribution, traces.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration, YAML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How log lines are written to standard error; the level comes from RUST_LOG.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "chapar-control-plane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config)?;
    let workers = std::thread::available_parallelism().map_or(WORKERS_MIN, |cores| cores.get().max(WORKERS_MIN));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let telemetry = telemetry::installed(arguments.log_format, &config.telemetry)?;
        let served = serve(config, telemetry.lines_lost()).await;
        telemetry.flushed().await;
        served
    })
}

async fn serve(config: Config, lines_lost: LinesLost) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let app = App::start(config, Clock::real()).await?;
    app.registry().register(Box::new(lines_lost)).context("cannot count what the log loses")?;
    let ended = tokio::select! {
        _ = terminate.recv() => {
            tracing::info!("stopping: SIGTERM");
            None
        }
        _ = interrupt.recv() => {
            tracing::info!("stopping: SIGINT");
            None
        }
        name = app.lost() => Some(name),
    };
    app.stop().await;
    match ended {
        None => Ok(()),
        Some(name) => bail!("{name} ended, which must run as long as the control plane: a fault of the program, told in its log"),
    }
}
