//! Where the programs under test are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context as _, Result, ensure};

/// The programs that a mesh is made of, and the one that attacks it.
const PROGRAMS: [&str; 4] = ["chapar-control-plane", "chapar-sidecar", "chapar", "chapar-hostile"];

/// The path of `program`, in the profile that the running program was built in.
///
/// The programs are built once a process, so that they are never older than the sources.
///
/// # Errors
/// When cargo cannot build them.
pub fn path(program: &str) -> Result<PathBuf> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let path = folder.join(program);
    ensure!(path.exists(), "{} is missing; run `cargo build --workspace --bins`", path.display());
    Ok(path)
}

fn build() -> Result<PathBuf> {
    let folder = profile_folder()?;
    if env::var_os("CHAPAR_BINARIES_ARE_BUILT").is_some() {
        return Ok(folder);
    }
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate lies in the repository")?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace, since a choice of packages would change features and build the dependencies anew.
    cargo.current_dir(root).args(["build", "--workspace", "--quiet", "--profile", profile]);
    for program in PROGRAMS {
        cargo.args(["--bin", program]);
    }
    let status = cargo.status().context("cargo could not be started to build the programs under test")?;
    ensure!(status.success(), "cargo could not build the programs under test");
    Ok(folder)
}

/// `target/<profile>` of the running program, which is in it or in its `deps`.
fn profile_folder() -> Result<PathBuf> {
    let own = env::current_exe().context("the running program has a path")?;
    let folder = own.parent().context("a program lies in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().context("deps lies in a profile's folder")? } else { folder };
    Ok(folder.to_owned())
}
