//! `cargo run --release -p chapar-playground`: session 38, from the first token to the last trace, on one machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use chapar_playground::{
    data::Registers,
    leaks, run,
    story::{heading, tell, tell_around},
};
use chapar_tests::binaries;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// A national information exchange on a laptop: a control plane and the sidecars of 22 agencies as processes on
/// loopback, with every call that session 38 grants, and all those that it does not.
#[derive(Debug, Parser)]
#[command(name = "chapar-playground", version)]
struct Arguments {
    /// Exit when all calls are made, instead of staying up; the exit code is 1 on any deviation
    #[arg(long)]
    once: bool,
    /// Write the matrix as seen into the golden file
    #[arg(long)]
    bless: bool,
    /// Folder for state and logs, which must be new or empty; it is kept. Without it, a temporary one, kept only when
    /// something went wrong
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match play(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nthe playground failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was as session 38 has it.
async fn play(arguments: &Arguments) -> Result<bool> {
    let state = State::make(arguments.state.as_deref())?;
    let outcome = course(arguments, state.path()).await;
    if !matches!(outcome, Ok(true)) {
        eprintln!("\nstate and logs are kept in {}", state.keep().display());
    }
    outcome
}

async fn course(arguments: &Arguments, folder: &Path) -> Result<bool> {
    // Its processes end with it: they are killed as their handles are dropped.
    let finished = unless_stopped("before the end", run::run(folder)).await?;
    if arguments.bless {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/matrix.txt");
        fs::write(&golden, &finished.matrix).with_context(|| format!("write {}", golden.display()))?;
        tell(&format!("wrote {}", golden.display()));
    }
    let right = tell_outcome(&finished.deviations);
    if !arguments.once {
        let program = binaries::path("chapar")?;
        tell_around(&finished.mesh, &program.display().to_string());
        tell("\n  Ctrl-C stops everything.");
        stopped().await;
        tell("\nstopping …");
    }
    unless_stopped("while stopping; what still ran was killed", finished.mesh.stop()).await?;
    Ok(right & nothing_leaked(folder)?)
}

/// Whether no file that the processes left holds a number that the calls carried.
fn nothing_leaked(folder: &Path) -> Result<bool> {
    let search = leaks::search(folder, &Registers::make())?;
    tell(&format!(
        "\n  Searched the {} files that the processes left ({} KiB) for the sample data's numbers: {} found.",
        search.files,
        search.bytes / 1024,
        search.found.len()
    ));
    for found in &search.found {
        tell(&format!("  DEVIATES  {found}"));
    }
    Ok(search.found.is_empty())
}

fn tell_outcome(deviations: &[String]) -> bool {
    heading("Outcome");
    for deviation in deviations {
        tell(&format!("  DEVIATES  {deviation}"));
    }
    let right = deviations.is_empty();
    tell(if right {
        "  All is as session 38 has it: what was granted was answered, all else refused, each call traced."
    } else {
        "  This is not what session 38 has; see above."
    });
    right
}

async fn unless_stopped<T>(when: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = stopped() => Err(anyhow::anyhow!("stopped {when}")),
    }
}

/// Ends on Ctrl-C or SIGTERM.
async fn stopped() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            // Without the signal there is nothing to wait for; Ctrl-C still works.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// Where state and logs are.
enum State {
    /// Removed at the end.
    Temporary(tempfile::TempDir),
    Given(PathBuf),
}

impl State {
    fn make(given: Option<&Path>) -> Result<Self> {
        let Some(given) = given else {
            return Ok(Self::Temporary(tempfile::Builder::new().prefix("chapar-").tempdir()?));
        };
        fs::create_dir_all(given).with_context(|| format!("make {}", given.display()))?;
        let given = given.canonicalize()?;
        anyhow::ensure!(fs::read_dir(&given)?.next().is_none(), "{} is not empty; name a new folder", given.display());
        Ok(Self::Given(given))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Given(folder) => folder,
        }
    }

    fn keep(self) -> PathBuf {
        match self {
            Self::Temporary(folder) => folder.keep(),
            Self::Given(folder) => folder,
        }
    }
}
