//! Chapar: a real control plane and two sidecars, enrolled, granted and configured as shipped.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use chapar_tests::{binaries, mesh::Mesh};
use serde_json::json;
use tokio::process::Command;

use super::Peer;

/// Starts the mesh.
///
/// # Errors
/// When a part of it does not come up.
pub async fn start(upstream: SocketAddr) -> Result<Peer> {
    let mut mesh = Mesh::in_front_of(&upstream.to_string(), &json!({}), &json!({})).await?;
    step_aside(&mut mesh).await?;
    let address = mesh.consumer.address("outbound").parse().context("the consumer's sidecar listens on TCP")?;
    let processes = [mesh.consumer.process().id(), mesh.provider.process().id()].into_iter().flatten().collect();
    Ok(Peer {
        name: "chapar",
        version: version().await?,
        note:
            "handshake X25519MLKEM768; policy, tracing and accounting as shipped; its control plane runs beside, as an idle task"
                .to_owned(),
        address,
        metadata: Vec::new(),
        processes,
        mesh: Some(Box::new(mesh)),
        _alive: Box::new(()),
    })
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
