//! The folder that holds all that a control plane must not lose.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// Makes the state folder if it is not there, and takes it for this process alone.
pub(super) fn locked(state_dir: &Path) -> anyhow::Result<File> {
    let doing = || format!("cannot use the state folder {}", state_dir.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).with_context(doing)?;
    let lock = File::create(state_dir.join("lock")).with_context(doing)?;
    lock.try_lock()
        .with_context(|| format!("another chapar-control-plane uses the state folder {}; stop it first", state_dir.display()))?;
    Ok(lock)
}

/// Writes where each listener is, aside and then in place: who waits for the file never reads half of it.
pub(super) fn publish_addresses(state_dir: &Path, addresses: &BTreeMap<&'static str, String>) -> anyhow::Result<()> {
    let file = state_dir.join("addresses.json");
    let write = || -> io::Result<()> {
        let mut aside = NamedTempFile::new_in(state_dir)?;
        aside.write_all(&serde_json::to_vec_pretty(addresses)?)?;
        aside.persist(&file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}
