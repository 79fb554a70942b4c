//! The exchange goes away: calls do not notice, and when it is back everything finds it by itself. But without news from it a sidecar
//! decides for as long as the exchange allows, and no longer.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chapar_proto::admin::v1 as admin;
use chapar_tests::{
    echo::pb::EchoRequest,
    mesh::Mesh,
    process, refusal,
    traffic::{Dialogue, Load},
    wait,
};
use serde_json::json;
use tonic::{Code, Request};

/// How long sidecars may take to find a control plane that is back: twice the longest wait between two attempts.
const RECONNECTED_LIMIT: Duration = Duration::from_secs(20);
/// How long records that waited for the control plane may take to reach its ledger.
const SPANS_LIMIT: Duration = Duration::from_secs(30);
/// How long a policy that was just changed may take to show.
const POLICY_LIMIT: Duration = Duration::from_secs(10);
/// Trace of a call that is made while the control plane is away.
const WHILE_AWAY: &str = "5f8c3d2b1a4e4f6d8c7b6a5948372615";
/// Trace of a call that restarted sidecars make then.
const AFTER_RESTARTS: &str = "9b1d4c7e2f5a4b8d9e6c3a7f1d2b5e80";

#[tokio::test(flavor = "multi_thread")]
async fn the_mesh_goes_on_without_its_control_plane_and_finds_it_again() -> Result<()> {
    let mut mesh = Mesh::start().await?;
    calls_go_on_over_a_kill(&mut mesh).await?;
    restarted_sidecars_serve_from_what_they_kept(&mut mesh).await?;
    everything_reconnects_by_itself(&mut mesh).await
}

async fn calls_go_on_over_a_kill(mesh: &mut Mesh) -> Result<()> {
    let mut dialogue = Dialogue::open(mesh.client()?).await?;
    let load = Load::start(&mesh.consumer, 2, 2).await?;
    load.further(20).await?;
    mesh.control_plane.kill().await?;
    load.further(200).await?;
    traced_call(mesh, WHILE_AWAY).await?;
    dialogue.exchange().await?;
    dialogue.finish().await?;
    let tally = load.unbroken().await?;
    println!("{} calls and {} messages of streams over a kill of the control plane, none failed", tally.calls, tally.messages);
    Ok(())
}

async fn restarted_sidecars_serve_from_what_they_kept(mesh: &mut Mesh) -> Result<()> {
    // Records that it holds are lost with it: what is looked for afterwards is what it reports after the restart.
    mesh.consumer.kill().await?;
    mesh.consumer.restart().await?;
    mesh.provider.kill().await?;
    mesh.provider.restart().await?;
    for sidecar in [&mesh.consumer, &mesh.provider] {
        process::ready("a restarted sidecar", sidecar.address("admin"), "/readyz", RECONNECTED_LIMIT).await?;
    }
    traced_call(mesh, AFTER_RESTARTS).await?;
    let refused = mesh.client()?.pushed(EchoRequest::default()).await.expect_err("nothing is allowed that was not before");
    assert_eq!(refusal::reason(&refused), "INQUIRY_NOT_YET_IN_FORCE");
    Ok(())
}

async fn everything_reconnects_by_itself(mesh: &mut Mesh) -> Result<()> {
    let load = Load::start(&mesh.consumer, 2, 1).await?;
    mesh.control_plane.restart().await?;
    let plane = &mesh.control_plane;
    wait::until("both sidecars to be connected", RECONNECTED_LIMIT, || async {
        let seen = plane.sidecars().await.ok()?;
        (seen.sidecars.iter().filter(|sidecar| sidecar.connected && sidecar.problem.is_empty()).count() == 2).then_some(())
    })
    .await?;
    plane.distributed(2).await?;
    load.further(20).await?;
    load.unbroken().await?;
    both_spans_arrive(mesh, AFTER_RESTARTS).await?;

    // What is connected also gets what changes now.
    plane.revoke_grant("test-1/1/asker/echo-unary").await?;
    let mut client = mesh.client()?;
    let refused = wait::until("the revocation to show", POLICY_LIMIT, || {
        let mut client = client.clone();
        async move { client.unary(EchoRequest::default()).await.err() }
    })
    .await?;
    assert_eq!(refusal::reason(&refused), "GRANT_REVOKED");
    plane.restore_grant("test-1/1/asker/echo-unary").await?;
    plane.distributed(2).await?;
    client.unary(EchoRequest::default()).await?;
    Ok(())
}

async fn traced_call(mesh: &Mesh, trace_id: &str) -> Result<()> {
    let mut request = Request::new(EchoRequest::default());
    request.metadata_mut().insert("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01").parse()?);
    mesh.client()?.unary(request).await.context("a call without the control plane")?;
    Ok(())
}

async fn both_spans_arrive(mesh: &Mesh, trace_id: &str) -> Result<Vec<admin::Span>> {
    wait::until("the spans of a call that was made meanwhile", SPANS_LIMIT, || async {
        let spans = mesh.control_plane.spans(trace_id).await.ok()?;
        (spans.len() == 2).then_some(spans)
    })
    .await
}

/// Sidecars that stay up hold their records until there is somebody to take them.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_calls_wait_for_the_control_plane() -> Result<()> {
    let mut mesh = Mesh::start().await?;
    mesh.control_plane.kill().await?;
    traced_call(&mesh, WHILE_AWAY).await?;
    mesh.control_plane.restart().await?;
    let spans = both_spans_arrive(&mesh, WHILE_AWAY).await?;
    let mut sides: Vec<_> = spans.iter().map(|span| span.attributes["chapar.side"].as_str()).collect();
    sides.sort_unstable();
    assert_eq!(sides, ["consumer", "provider"]);
    Ok(())
}

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
