//! What the tests of attacks on the relay have in common.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use chapar_tests::{sidecar::Sidecar, wait};

/// The consumer's sidecar, as its certificate names it.
#[allow(dead_code)] // Not every test shows a certificate.
pub(crate) const CONSUMER_ID: &str = "spiffe://exchange.example/agency/asker/sidecar/main";
/// How long a count may take to show.
const COUNTED_LIMIT: Duration = Duration::from_secs(60);

/// How often `limit` was broken, as the sidecar's metrics say.
pub(crate) async fn breaches(sidecar: &Sidecar, limit: &str) -> Result<u64> {
    counted(sidecar, &format!("chapar_sidecar_limit_breaches_total{{limit=\"{limit}\"}} ")).await
}

/// The value of the metric whose line begins so; 0 when there is none yet.
pub(crate) async fn counted(sidecar: &Sidecar, begins: &str) -> Result<u64> {
    let (_, page) = sidecar.admin_get("/metrics").await?;
    let line = page.lines().find_map(|line| line.strip_prefix(begins));
    line.map_or(Ok(0), |count| Ok(count.trim().parse()?))
}

/// Waits until `limit` was broken so often.
pub(crate) async fn breaches_reach(sidecar: &Sidecar, limit: &str, count: u64) -> Result<()> {
    wait::until(&format!("{count} breaches of {limit}"), COUNTED_LIMIT, || async {
        (breaches(sidecar, limit).await.ok()? >= count).then_some(())
    })
    .await
}

/// Memory that the sidecar's process holds, in KiB.
#[allow(dead_code)] // As above.
pub(crate) fn resident_kib(sidecar: &mut Sidecar) -> Result<u64> {
    let id = sidecar.process().id().context("it runs")?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("its memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
