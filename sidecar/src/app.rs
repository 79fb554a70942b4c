//! The one place that puts the parts of the sidecar together, in the order in which they start and stop.

use std::{collections::BTreeMap, path::Path};

use chapar_daemon::{files, log::LinesLost, vital::Vital};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    clock::Clock,
    config::{Config, ConfigError},
    control::{Control, ControlError},
    data_plane::{DataPlane, DataPlaneError, DataPlaneInputs},
    descriptors::{self, TooFew},
    state::{StateError, StateFolder},
};

/// Where the bound addresses are written, for whoever started the sidecar with port 0.
const ADDRESSES_FILE: &str = "addresses.json";

/// Why the sidecar did not start, or did not go on.
#[derive(Debug, Error)]
pub enum AppError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// This is not the program to run here.
    #[cfg(feature = "measure-unrecorded")]
    #[error(transparent)]
    Unrecorded(#[from] crate::unrecorded::NotHere),
    /// Connections would use up what else is needed.
    #[error(transparent)]
    OpenFiles(#[from] TooFew),
    /// The tie to the control plane cannot be made.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No calls can be taken.
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
    /// The addresses cannot be written.
    #[error("the bound addresses cannot be written")]
    Addresses(#[from] StateError),
    /// What must run as long as the process ended.
    #[error("{0} ended, which must run as long as the sidecar: a fault of the program, told above; start the sidecar anew")]
    Ended(&'static str),
    /// The operating system gives no signals.
    #[error("cannot listen for SIGTERM and SIGINT")]
    Signals(#[source] std::io::Error),
}

/// Runs the sidecar that `config_file` describes until SIGTERM or SIGINT. `lines_lost` counts what the log lost.
///
/// # Errors
/// When it cannot start, or cannot go on; then it has drained.
pub async fn run(config_file: &Path, lines_lost: LinesLost) -> Result<(), AppError> {
    let mut stop = StopSignals::listen().map_err(AppError::Signals)?;
    let config = Config::read(config_file)?;
    let limits = descriptors::within(files::raised(), config.limits)?;
    let config = Config { limits, ..config };
    #[cfg(feature = "measure-unrecorded")]
    crate::unrecorded::allowed(&config)?;
    let clock = Clock::machine();
    let vital = Vital::default();
    let mut control = tokio::select! {
        started = Control::start(&config, &clock, &vital) => started?,
        () = stop.received() => return Ok(()),
    };
    // Those of an earlier run would mislead whoever waits for these.
    control.state.remove(ADDRESSES_FILE)?;
    let inputs = DataPlaneInputs {
        clock,
        trust: control.trust.clone(),
        current: control.current.clone(),
        reporter: control.reporter.clone(),
        vital: vital.clone(),
    };
    let mut data_plane = DataPlane::start(&config, inputs).await?;
    control.renewals.count_in(data_plane.metrics().registry()).map_err(DataPlaneError::from)?;
    data_plane.metrics().registry().register(Box::new(lines_lost)).map_err(DataPlaneError::from)?;
    write_addresses(&control.state, data_plane.addresses())?;
    control.offer();
    let ended = tokio::select! {
        () = stop.received() => Ok(()),
        name = vital.lost() => Err(AppError::Ended(name)),
    };
    data_plane.drain(config.drain.timeout()).await;
    control.stop().await;
    tracing::info!("stopped");
    ended
}

/// Writes the bound address of each listener by its name.
fn write_addresses(state: &StateFolder, addresses: &BTreeMap<&'static str, String>) -> Result<(), StateError> {
    for (listener, address) in addresses {
        tracing::info!(listener, address, "listening");
    }
    let json = serde_json::json!(addresses).to_string();
    state.write(ADDRESSES_FILE, json.as_bytes())
}

/// SIGTERM and SIGINT, which both ask for a graceful stop.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
