//! The exchange goes away: calls do not notice, and when it is back everything finds it by itself.

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
use tonic::Request;

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
