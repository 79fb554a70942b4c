//! Chapar: a real control plane and two sidecars, enrolled, granted and configured as shipped.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chapar_tests::{binaries, mesh::Mesh};
use serde_json::{Value, json};
use tokio::process::Command;

use super::Peer;
use crate::usage;

/// Records after whose hand-over it is known what one costs. By 20,000 it seemed 2.6 µs where handing over 2.8 million cost 2.9 each.
const SAMPLE: u64 = 50_000;
/// How long the control plane may take none.
const STILL_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at how far they are; a look costs both sidecars together some 0.3 ms of the CPU that is measured.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Room for the records of all rounds, in bytes: at full load the control plane beside takes what the processor leaves over, and it
/// stands still while others are measured.
const SPOOL_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// Starts the mesh: as shipped, but for the suite and key exchange that all peers have in common, and for the room of the spool.
///
/// # Errors
/// When a part of it does not come up.
pub async fn start(upstream: SocketAddr) -> Result<Peer> {
    let sidecars = json!({
        "tls": {"suites": ["TLS_AES_128_GCM_SHA256"], "keyExchanges": ["x25519"]},
        "spool": {"bytesMax": SPOOL_BYTES},
    });
    start_with(upstream, &sidecars).await
}

/// The same, with an overlay over both sidecars' configuration.
///
/// # Errors
/// As [`start`].
pub async fn start_with(upstream: SocketAddr, sidecars: &Value) -> Result<Peer> {
    let mut mesh = Mesh::in_front_of(&upstream.to_string(), &json!({}), sidecars).await?;
    step_aside(&mut mesh).await?;
    let address = mesh.consumer.address("outbound").parse().context("the consumer's sidecar listens on TCP")?;
    let processes = [mesh.consumer.process().id(), mesh.provider.process().id()].into_iter().flatten().collect();
    Ok(Peer {
        name: "chapar",
        version: version().await?,
        note: "policy, tracing and accounting as shipped; its control plane runs beside, as an idle task".to_owned(),
        address,
        metadata: Vec::new(),
        processes,
        beside: mesh.control_plane.process().id().into_iter().collect(),
        mesh: Some(Box::new(mesh)),
        _alive: Box::new(()),
    })
}

/// Records of calls that both sidecars still keep.
///
/// # Errors
/// When a sidecar does not answer.
pub(super) async fn records_waiting(mesh: &Mesh) -> Result<u64> {
    Ok(mesh.consumer.records_waiting().await? + mesh.provider.records_waiting().await?)
}

/// What handing over the records that came on top of `before` will cost, by what it costs for some of them. Less than nothing, when
/// older ones were handed over meanwhile: their cost is in what was measured, and is not these calls'.
///
/// # Errors
/// When none are taken for a minute.
pub(super) async fn owed_us(mesh: &Mesh, processes: &[u32], before: u64) -> Result<f64> {
    let waiting = records_waiting(mesh).await?;
    let cpu_us = usage::of(processes).cpu_us;
    let handed_over = waiting.saturating_sub(handed_over(mesh, waiting.saturating_sub(SAMPLE)).await?);
    if handed_over == 0 {
        return Ok(0.0);
    }
    let each_us = (usage::of(processes).cpu_us - cpu_us) / handed_over as f64;
    Ok(each_us * (waiting as f64 - before as f64))
}

/// Returns once the sidecars keep no more than `left_max` records; answers how many they still keep.
///
/// # Errors
/// When none are taken for a minute.
pub(super) async fn handed_over(mesh: &Mesh, left_max: u64) -> Result<u64> {
    let (mut least, mut since) = (u64::MAX, Instant::now());
    loop {
        let left = records_waiting(mesh).await?;
        if left <= left_max {
            return Ok(left);
        }
        if left < least {
            (least, since) = (left, Instant::now());
        }
        ensure!(since.elapsed() < STILL_LIMIT, "the control plane took none of {left} records for {STILL_LIMIT:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits for `answer`: the benchmark itself is no task.
pub(super) fn wait_for<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(answer)
}

/// What became of the records of the calls, as both sidecars count it: a call that costs nothing because nobody accounts for it
/// would be no bargain.
///
/// # Errors
/// When a sidecar does not answer.
pub async fn accounts(mesh: &Mesh) -> Result<String> {
    let mut text = String::new();
    for (side, sidecar) in [("consumer", &mesh.consumer), ("provider", &mesh.provider)] {
        let (_, metrics) = sidecar.admin_get("/metrics").await?;
        for line in metrics.lines().filter(|line| line.starts_with("chapar_sidecar_records_")) {
            text.push_str(&format!("\n{side}: {}", line.trim_start_matches("chapar_sidecar_")));
        }
    }
    Ok(text)
}

/// Lets the control plane take only what the measured leave: in life it is another machine. As an idle task it also gives way at
/// once when one of them wakes up.
async fn step_aside(mesh: &mut Mesh) -> Result<()> {
    let process = mesh.control_plane.process().id().context("the control plane runs")?.to_string();
    // By process group, which it leads, since by process only its first thread would be meant.
    for (program, arguments) in
        [("renice", vec!["-n", "19", "-g", &process]), ("chrt", vec!["--all-tasks", "--idle", "--pid", "0", &process])]
    {
        let status = Command::new(program).args(arguments).stdout(std::process::Stdio::null()).status();
        ensure!(status.await.with_context(|| format!("start {program}"))?.success(), "{program} failed");
    }
    Ok(())
}

async fn version() -> Result<String> {
    let output = Command::new(binaries::path("chapar-sidecar")?).arg("--version").output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().last().unwrap_or("unknown").to_owned())
}
