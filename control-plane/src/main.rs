//! `chapar-control-plane --config FILE`: the exchange as one process.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use chapar_control_plane::{
    app::App,
    clock::Clock,
    config::Config,
    telemetry::{self, LogFormat},
};
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
            eprintln!("chapar-control-plane: {error:#}");
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
        let served = serve(config).await;
        telemetry.flushed().await;
        served
    })
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let app = App::start(config, Clock::real()).await?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
    }
    app.stop().await;
    Ok(())
}
