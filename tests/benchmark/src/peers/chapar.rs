//! Chapar: a real control plane and two sidecars, enrolled, granted and configured as shipped.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use chapar_tests::{binaries, mesh::Mesh};
use serde_json::json;
use tokio::process::Command;

use super::Peer;

/// Starts the mesh.
pub(super) async fn start(upstream: SocketAddr) -> Result<Peer> {
    let mut mesh = Mesh::in_front_of(&upstream.to_string(), &json!({}), &json!({})).await?;
    step_aside(&mut mesh).await?;
    let address = mesh.consumer.address("outbound").parse().context("the consumer's sidecar listens on TCP")?;
    let processes = [mesh.consumer.process().id(), mesh.provider.process().id()].into_iter().flatten().collect();
    Ok(Peer {
        name: "chapar",
        version: version().await?,
        note: "handshake X25519MLKEM768; policy, tracing and accounting as shipped; its control plane runs beside at nice 19"
            .to_owned(),
        address,
        processes,
        _alive: Box::new(mesh),
    })
}

/// Lets the control plane take only what the measured leave: in life it is another machine.
async fn step_aside(mesh: &mut Mesh) -> Result<()> {
    let group = mesh.control_plane.process().id().context("the control plane runs")?;
    // By process group, which it leads, since by process only its first thread would be meant.
    let status = Command::new("renice").args(["-n", "19", "-g", &group.to_string()]).stdout(std::process::Stdio::null()).status();
    ensure!(status.await.context("start renice")?.success(), "renice failed");
    Ok(())
}

async fn version() -> Result<String> {
    let output = Command::new(binaries::path("chapar-sidecar")?).arg("--version").output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().last().unwrap_or("unknown").to_owned())
}
