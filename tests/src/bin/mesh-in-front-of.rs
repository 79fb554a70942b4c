//! Brings up a control plane and two sidecars in front of a server at the given address, prints their addresses as one line of
//! JSON, and ends when its standard input does. A third argument is JSON, laid over the control plane's configuration. For tests in
//! other languages.

use anyhow::{Context as _, Result, bail};
use chapar_tests::{
    grpc_interop,
    mesh::{self, Mesh},
};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

const USAGE: &str = "usage: mesh-in-front-of HOST:PORT [echo | grpc-interop [CONTROL-PLANE-JSON]]";

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let upstream = arguments.next().context(USAGE)?;
    let (offer, grants) = match arguments.next().as_deref() {
        None | Some("echo") => (mesh::echo_offer(&upstream), mesh::GRANTS),
        Some("grpc-interop") => (grpc_interop::offer(&upstream), grpc_interop::GRANTS),
        Some(other) => bail!("there is no service {other}; {USAGE}"),
    };
    let overlay = match arguments.next() {
        None => json!({}),
        Some(overlay) => serde_json::from_str(&overlay).context("the control plane's configuration is JSON")?,
    };
    let mesh = Mesh::offering(offer, grants, &overlay, &json!({})).await?;
    println!(
        "{}",
        json!({"outbound": mesh.consumer.address("outbound"), "folder": mesh.folder(), "endpoint": mesh.control_plane.endpoint()})
    );
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    Ok(())
}
