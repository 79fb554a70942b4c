//! What the tests of attacks on the relay have in common.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use chapar_tests::{
    attack::{Counted, Door},
    mesh::Mesh,
    sidecar::Sidecar,
    wait,
};

/// The consumer's sidecar, as its certificate names it.
pub(crate) const CONSUMER_ID: &str = "spiffe://exchange.example/agency/asker/sidecar/main";
/// How long a count may take to show.
const COUNTED_LIMIT: Duration = Duration::from_secs(60);

/// The sidecar that is attacked through this door.
pub(crate) const fn behind(mesh: &Mesh, door: Door) -> &Sidecar {
    match door {
        Door::Outbound => &mesh.consumer,
        Door::Inbound => &mesh.provider,
    }
}

/// Waits until `sidecar` has counted so many of what is counted by the line that begins so.
pub(crate) async fn count_reaches(sidecar: &Sidecar, line: &str, count: u64) -> Result<()> {
    wait::until(&format!("{line}{count}"), COUNTED_LIMIT, || async { (sidecar.counted(line).await.ok()? >= count).then_some(()) })
        .await
}

/// Waits until `limit` was broken so often.
pub(crate) async fn breaches_reach(sidecar: &Sidecar, limit: &'static str, count: u64) -> Result<()> {
    count_reaches(sidecar, &Counted::Breach(limit).line(Door::Outbound), count).await
}

/// Memory that the sidecar's process holds, in KiB.
pub(crate) fn resident_kib(sidecar: &mut Sidecar) -> Result<u64> {
    let id = sidecar.process().id().context("it runs")?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("its memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
