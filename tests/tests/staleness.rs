//! Without news from the exchange a sidecar decides for as long as the exchange allows, and no longer.

use std::time::Duration;

use anyhow::Result;
use chapar_tests::{echo::pb::EchoRequest, mesh::Mesh, refusal, traffic::Dialogue, wait};
use serde_json::json;
use tonic::Code;

/// A snapshot's validity in this test, and how often it is renewed while the control plane is there.
const VALID_FOR_S: u64 = 10;
const REFRESH_S: u64 = 2;
/// How long the snapshot may take to become stale once nobody renews it.
const STALE_LIMIT: Duration = Duration::from_secs(VALID_FOR_S * 2);
/// How long the mesh may take to be whole again.
const RECOVERED_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_snapshot_permits_nothing_until_the_control_plane_is_back() -> Result<()> {
    let control_plane = json!({"snapshot": {"validForS": VALID_FOR_S, "refreshS": REFRESH_S}});
    let mut mesh = Mesh::start_with(&control_plane, &json!({"controlPlane": {"retryMsMax": 1_000}})).await?;
    let mut dialogue = Dialogue::open(mesh.client()?).await?;

    // As long as it is renewed it does not end.
    tokio::time::sleep(Duration::from_secs(VALID_FOR_S + REFRESH_S)).await;
    dialogue.exchange().await?;
    mesh.client()?.unary(EchoRequest::default()).await?;

    mesh.control_plane.kill().await?;
    mesh.client()?.unary(EchoRequest::default()).await?;
    let client = mesh.client()?;
    let status = wait::until("the snapshot to be stale", STALE_LIMIT, || {
        let mut client = client.clone();
        async move { client.unary(EchoRequest::default()).await.err() }
    })
    .await?;
    assert_eq!((refusal::reason(&status).as_str(), status.code()), ("SNAPSHOT_STALE", Code::Unavailable), "{status:?}");
    let ended = tokio::time::timeout(RECOVERED_LIMIT, dialogue.broken()).await?;
    assert_eq!(refusal::reason(&ended), "SNAPSHOT_STALE", "{ended:?}");
    for sidecar in [&mesh.consumer, &mesh.provider] {
        wait::until("readiness to go", STALE_LIMIT, || async {
            matches!(sidecar.admin_get("/readyz").await, Ok((503, _))).then_some(())
        })
        .await?;
    }
    // A restart brings nothing back: what was kept is just as old.
    mesh.consumer.kill().await?;
    mesh.consumer.restart().await?;
    let status = mesh.client()?.unary(EchoRequest::default()).await.expect_err("the kept snapshot is stale too");
    let reason = refusal::reason(&status);
    assert!(["SNAPSHOT_STALE", "SNAPSHOT_MISSING"].contains(&reason.as_str()), "{status:?}");

    mesh.control_plane.restart().await?;
    let client = mesh.client()?;
    wait::until("a call to be served again", RECOVERED_LIMIT, || {
        let mut client = client.clone();
        async move { client.unary(EchoRequest::default()).await.ok().map(drop) }
    })
    .await?;
    mesh.consumer.ready().await?;
    mesh.provider.ready().await?;
    Dialogue::open(mesh.client()?).await?.finish().await?;
    Ok(())
}
