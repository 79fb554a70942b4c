//! Brings up a control plane and two sidecars in front of an echo server at the given address, prints their addresses as one
//! line of JSON, and ends when its standard input does. For tests in other languages.

use anyhow::{Context as _, Result};
use chapar_tests::mesh::Mesh;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> Result<()> {
    let upstream = std::env::args().nth(1).context("usage: mesh-in-front-of HOST:PORT")?;
    let mesh = Mesh::in_front_of(&upstream, &json!({}), &json!({})).await?;
    println!(
        "{}",
        json!({"outbound": mesh.consumer.address("outbound"), "folder": mesh.folder(), "endpoint": mesh.control_plane.endpoint()})
    );
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    Ok(())
}
