//! The reader of the log goes away.

use std::{fs, os::unix::fs::OpenOptionsExt as _, path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};
use chapar_tests::{echo::pb::EchoRequest, mesh::Mesh, refusal, wait};
use serde_json::json;

/// Until what was said reaches everybody.
const LIMIT: Duration = Duration::from_secs(60);
/// From `fcntl.h`: to open a pipe to which nobody writes yet.
const O_NONBLOCK: i32 = 0o4000;

/// Puts a pipe where the log of the next start goes, and holds its end.
fn piped(state: &Path) -> Result<fs::File> {
    let log = state.join("log");
    fs::remove_file(&log)?;
    ensure!(Command::new("mkfifo").arg(&log).status()?.success(), "a pipe cannot be made");
    Ok(fs::File::options().read(true).custom_flags(O_NONBLOCK).open(&log)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_any_more_leaves_nobody_deaf() -> Result<()> {
    let soon = json!({"controlPlane": {"retryMsMin": 50, "retryMsMax": 500}});
    let mut mesh = Mesh::start_with(&json!({}), &soon).await?;
    mesh.consumer.kill().await?;
    mesh.control_plane.kill().await?;
    let readers = (piped(mesh.consumer.state())?, piped(mesh.control_plane.folder())?);
    mesh.control_plane.restart().await?;
    mesh.consumer.restart().await?;
    mesh.consumer.ready().await?;
    mesh.client()?.unary(EchoRequest::default()).await?;

    drop(readers);
    // The sidecar has something to tell: it is not followed any more, and then again.
    mesh.control_plane.kill().await?;
    wait::until("a line that nobody reads", LIMIT, || async {
        (mesh.consumer.counted("chapar_sidecar_log_lines_lost_total ").await.ok()? > 0).then_some(())
    })
    .await?;
    assert_eq!(mesh.consumer.admin_get("/readyz").await?.0, 200);
    // So has the control plane, at its start; its reader is gone before.
    drop(piped(mesh.control_plane.folder())?);
    let nobody = fs::File::options().read(true).custom_flags(O_NONBLOCK).open(mesh.control_plane.folder().join("log"))?;
    mesh.control_plane.restart().await?;
    drop(nobody);

    mesh.control_plane.revoke_grant("test-1/1/asker/echo-unary").await?;
    let refused = wait::until("the revocation to reach the sidecar", LIMIT, || async {
        mesh.client().ok()?.unary(EchoRequest::default()).await.err()
    })
    .await?;
    assert_eq!(refusal::reason(&refused), "GRANT_REVOKED");
    assert_eq!(mesh.consumer.counted("chapar_sidecar_panics_total ").await?, 0);
    let told = mesh.control_plane.metrics().await?;
    assert!(told.contains("chapar_control_plane_panics_total 0"), "{told}");
    Ok(())
}
