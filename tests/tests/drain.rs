//! A sidecar that is told to stop breaks nothing.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chapar_tests::{
    echo::pb::{EchoRequest, EchoResponse},
    mesh::{EchoClient, Mesh, PROVIDER, client_of, echo_offer},
    sidecar::{Plan, Sidecar},
    traffic::{Dialogue, Load},
    wait,
};
use tokio::task::JoinHandle;
use tonic::{Response, Status};

/// How long the answer to a slow call takes.
const SLOW_MS: u64 = 4_000;
/// Slow calls and streams at a time: enough that each of two sidecars has some.
const SLOW_CALLS: usize = 8;
/// How long readiness may take to go, far below the drain's own limit.
const NOTICED_LIMIT: Duration = Duration::from_secs(10);

type Slow = JoinHandle<Result<Response<EchoResponse>, Status>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_stops_finishes_what_runs_and_loses_nothing() -> Result<()> {
    let mut mesh = Mesh::start().await?;
    let address = mesh.control_plane.address("sidecars").to_owned();
    let plan = Plan::consumer(PROVIDER, &address).named("second").offering(echo_offer(mesh.server().address()));
    let second = mesh.join(&plan).await?;
    second.ready().await?;
    wait::until("the consumer to know the second sidecar", NOTICED_LIMIT, || async {
        let (_, snapshot) = mesh.consumer.admin_get("/snapshot").await.ok()?;
        snapshot.contains(second.address("inbound")).then_some(())
    })
    .await?;
    the_providers_calls_move_to_its_other_sidecar(&mut mesh, &second).await?;
    the_consumers_calls_end_well(&mut mesh).await
}

async fn the_providers_calls_move_to_its_other_sidecar(mesh: &mut Mesh, second: &Sidecar) -> Result<()> {
    let load = Load::start(&mesh.consumer, 4, 0).await?;
    load.further(50).await?;
    let mut dialogues = Vec::new();
    for _ in 0..SLOW_CALLS {
        dialogues.push(Dialogue::open(mesh.client()?).await?);
    }
    let slow = slow_calls(&mesh.client()?);
    load.further(50).await?;
    assert!(served_by(&mesh.provider).await? > 0 && served_by(second).await? > 0, "both sidecars take part");

    mesh.provider.process().terminate().await?;
    readiness_goes(&mesh.provider).await?;
    // New calls go on, and so do the streams on the sidecar that is about to go.
    load.further(100).await?;
    for mut dialogue in dialogues {
        dialogue.exchange().await.context("a stream goes on while its sidecar drains")?;
        dialogue.finish().await.context("a stream ends well while its sidecar drains")?;
    }
    for call in slow {
        call.await?.context("a slow call is answered while its sidecar drains")?;
    }
    let status = mesh.provider.process().ended().await?;
    assert!(status.success(), "{status}: {}", mesh.provider.process().log_end());
    load.further(100).await?;
    let tally = load.unbroken().await?;
    assert_eq!(*mesh.server().cancelled().borrow(), 0, "the agency's server saw no call broken off");
    println!("{} calls over the stop of one of two provider's sidecars, none failed", tally.calls);
    Ok(())
}

async fn the_consumers_calls_end_well(mesh: &mut Mesh) -> Result<()> {
    let client = client_of(&mesh.consumer)?;
    let mut dialogue = Dialogue::open(client.clone()).await?;
    let slow = slow_calls(&client);
    // One that is answered after them shows that they are under way.
    client.clone().unary(EchoRequest { delay_ms: 200, ..Default::default() }).await?;
    mesh.consumer.process().terminate().await?;
    readiness_goes(&mesh.consumer).await?;
    dialogue.exchange().await.context("a stream goes on while its sidecar drains")?;
    for call in slow {
        let answer = call.await?.context("a slow call is answered while its sidecar drains")?;
        assert!(answer.metadata().contains_key("chapar-call-id"));
    }
    dialogue.exchange().await?;
    dialogue.finish().await.context("a stream ends well while its sidecar drains")?;
    let status = mesh.consumer.process().ended().await?;
    assert!(status.success(), "{status}: {}", mesh.consumer.process().log_end());
    let refused = client_of(&mesh.consumer)?.unary(EchoRequest::default()).await;
    assert!(refused.is_err(), "nobody listens any more");
    Ok(())
}

fn slow_calls(client: &EchoClient) -> Vec<Slow> {
    let call = |mut client: EchoClient| {
        tokio::spawn(async move { client.unary(EchoRequest { delay_ms: SLOW_MS, ..Default::default() }).await })
    };
    (0..SLOW_CALLS).map(|_| call(client.clone())).collect()
}

async fn readiness_goes(sidecar: &Sidecar) -> Result<()> {
    wait::until("readiness to go", NOTICED_LIMIT, || async {
        matches!(sidecar.admin_get("/readyz").await, Ok((503, _))).then_some(())
    })
    .await
}

/// Calls that a provider's sidecar has on its metrics page, under way or ended.
async fn served_by(sidecar: &Sidecar) -> Result<u64> {
    let (_, page) = sidecar.admin_get("/metrics").await?;
    let calls = page.lines().filter(|line| line.starts_with("chapar_sidecar_calls_total{"));
    Ok(calls.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
}
