//! What is taken back ends what runs on it, within a second of the admin's command, and says why.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use chapar_tests::{
    echo::pb::EchoRequest,
    mesh::{CONSUMER, EchoClient, Mesh, PROVIDER, client_of, echo_offer},
    refusal,
    sidecar::{Plan, Sidecar},
    traffic::{self, Dialogue},
    wait,
};
use serde_json::json;
use tokio::task::JoinHandle;
use tonic::Status;

/// From the admin's command to the end of what runs: a requirement on the product.
const ENDED_MAX: Duration = Duration::from_secs(1);
/// How long a call may take to be served again after what was taken is given back.
const RESTORED_LIMIT: Duration = Duration::from_secs(20);

/// Calls that run while something is taken back; each gives its end and when it came.
struct Running(Vec<(&'static str, JoinHandle<(Instant, Status)>)>);

impl Running {
    /// A stream in both directions, one in one, and a call whose answer is awaited.
    async fn start(client: &EchoClient) -> Result<Self> {
        let dialogue = Dialogue::open(client.clone()).await.context("open a bidirectional stream")?;
        let answers = traffic::endless(client.clone()).await.context("open a server stream")?;
        let mut waiting = client.clone();
        let slow = EchoRequest { delay_ms: 60_000, ..Default::default() };
        Ok(Self(vec![
            ("bidirectional stream", timed(dialogue.broken())),
            ("server stream", timed(traffic::end_of(answers))),
            (
                "awaited answer",
                timed(async move { waiting.unary(slow).await.map_or_else(|status| status, |_| Status::ok("served")) }),
            ),
        ]))
    }

    /// All of them ended for `reason`, in time.
    async fn ended(self, what: &str, reason: &str, commanded: Instant) -> Result<()> {
        for (kind, end) in self.0 {
            let ended = tokio::time::timeout(RESTORED_LIMIT, end).await;
            let (at, status) = ended.with_context(|| format!("{what}: the {kind} never ended"))??;
            let after = at - commanded;
            println!("{what}: the {kind} ended after {} ms", after.as_millis());
            assert_eq!(refusal::reason(&status), reason, "{what}: {kind}: {status:?}");
            assert!(after < ENDED_MAX, "{what}: the {kind} ended after {after:?}");
        }
        Ok(())
    }
}

fn timed(end: impl Future<Output = Status> + Send + 'static) -> JoinHandle<(Instant, Status)> {
    tokio::spawn(async move {
        let status = end.await;
        (Instant::now(), status)
    })
}

/// Runs `command` on running calls: they end, and new ones are refused, both for `reason` and in time.
async fn takes_back(what: &str, client: &EchoClient, reason: &str, command: impl Future<Output = Result<()>>) -> Result<()> {
    let running = Running::start(client).await.with_context(|| what.to_owned())?;
    // The awaited call has to be under way, not just asked for.
    client.clone().unary(EchoRequest::default()).await?;
    let commanded = Instant::now();
    let newcomer = tokio::spawn(first_refusal(client.clone()));
    command.await.with_context(|| what.to_owned())?;
    running.ended(what, reason, commanded).await?;
    let (at, status) = newcomer.await??;
    let after = at - commanded;
    println!("{what}: the first new call was refused after {} ms", after.as_millis());
    assert_eq!(refusal::reason(&status), reason, "{what}: {status:?}");
    assert!(after < ENDED_MAX, "{what}: new calls were still served after {after:?}");
    for _ in 0..5 {
        let status = client.clone().unary(EchoRequest::default()).await.expect_err("once refused, refused");
        assert_eq!(refusal::reason(&status), reason, "{what}: {status:?}");
    }
    Ok(())
}

/// Calls until one is refused; when it was asked for is what counts.
async fn first_refusal(client: EchoClient) -> Result<(Instant, Status)> {
    wait::until("a refusal", RESTORED_LIMIT, || {
        let mut client = client.clone();
        async move {
            let asked = Instant::now();
            client.unary(EchoRequest::default()).await.err().map(|status| (asked, status))
        }
    })
    .await
}

/// Calls until one is served.
async fn served_again(what: &str, client: &EchoClient) -> Result<()> {
    wait::until(&format!("{what} to be served again"), RESTORED_LIMIT, || {
        let mut client = client.clone();
        async move { client.unary(EchoRequest::default()).await.ok().map(drop) }
    })
    .await
}

/// A suspended sidecar asks again at intervals that grow; shorter ones make the tests shorter.
fn impatient() -> serde_json::Value {
    json!({"controlPlane": {"retryMsMax": 1_000}})
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_grants_and_suspended_agencies_end_what_runs() -> Result<()> {
    let mesh = Mesh::start_with(&json!({}), &impatient()).await?;
    let (plane, client) = (&mesh.control_plane, mesh.client()?);
    one_grant_is_not_another(&mesh).await?;

    let grants = ["echo-unary", "echo-server-stream", "echo-bidi-stream"].map(|inquiry| format!("test-1/1/asker/{inquiry}"));
    takes_back("revoked grants", &client, "GRANT_REVOKED", async {
        for grant in &grants {
            plane.revoke_grant(grant).await?;
        }
        Ok(())
    })
    .await?;
    for grant in &grants {
        plane.restore_grant(grant).await?;
    }
    plane.distributed(2).await?;
    served_again("restored grants", &client).await?;

    for agency in [CONSUMER, PROVIDER] {
        let what = format!("suspended {agency}");
        takes_back(&what, &client, "AGENCY_SUSPENDED", plane.suspend(agency)).await?;
        plane.reinstate(agency).await?;
        served_again(&what, &client).await?;
        plane.distributed(2).await?;
    }
    Ok(())
}

/// Only what runs on the revoked grant ends.
async fn one_grant_is_not_another(mesh: &Mesh) -> Result<()> {
    let mut dialogue = Dialogue::open(mesh.client()?).await?;
    let answers = traffic::endless(mesh.client()?).await?;
    mesh.control_plane.revoke_grant("test-1/1/asker/echo-server-stream").await?;
    let status = tokio::time::timeout(RESTORED_LIMIT, traffic::end_of(answers)).await?;
    let refused = refusal::of(&status).with_context(|| format!("refused by the exchange: {status:?}"))?;
    assert_eq!(refused.reason, "GRANT_REVOKED");
    assert_eq!(refused.call_id.len(), 32, "a call that was cut can be followed up: {refused:?}");
    dialogue.exchange().await?;
    mesh.control_plane.restore_grant("test-1/1/asker/echo-server-stream").await?;
    mesh.control_plane.distributed(2).await?;
    traffic::endless(mesh.client()?).await?;
    dialogue.exchange().await?;
    dialogue.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_ends_what_runs_until_its_sidecar_enrols_anew() -> Result<()> {
    let mut mesh = Mesh::start_with(&json!({}), &impatient()).await?;
    let address = mesh.control_plane.address("sidecars").to_owned();

    let client = mesh.client()?;
    let command = async { mesh.control_plane.revoke_certificates(CONSUMER).await.map(drop) };
    takes_back("revoked certificate of the consumer", &client, "CERTIFICATE_REVOKED", command).await?;
    told_of_its_revocation(&mut mesh.consumer).await?;
    // A restart heals nothing, and says so to callers; a token does.
    mesh.consumer.kill().await?;
    mesh.consumer.restart().await?;
    let status = client_of(&mesh.consumer)?.unary(EchoRequest::default()).await.expect_err("still revoked");
    assert_eq!(refusal::reason(&status), "CERTIFICATE_REVOKED", "{status:?}");
    mesh.consumer.kill().await?;
    mesh.consumer = mesh.join(&Plan::consumer(CONSUMER, &address).with(impatient())).await?;
    let client = client_of(&mesh.consumer)?;
    served_again("the consumer with another certificate", &client).await?;

    let command = async { mesh.control_plane.revoke_certificates(PROVIDER).await.map(drop) };
    takes_back("revoked certificate of the provider", &client, "CERTIFICATE_REVOKED", command).await?;
    let plan = Plan::consumer(PROVIDER, &address).with(impatient()).offering(echo_offer(mesh.server().address()));
    told_of_its_revocation(&mut mesh.provider).await?;
    mesh.provider.kill().await?;
    mesh.provider = mesh.join(&plan).await?;
    served_again("the provider with another certificate", &client).await
}

/// Its operator reads why it no longer follows the exchange.
async fn told_of_its_revocation(sidecar: &mut Sidecar) -> Result<()> {
    wait::until("the sidecar to tell its operator", RESTORED_LIMIT, || {
        let log = sidecar.process().log_end();
        async move { log.contains(r#"not following the control plane","error":"CERTIFICATE_REVOKED"#).then_some(()) }
    })
    .await
}

/// Each side ends what runs by itself: neither waits for the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_hangs_does_not_delay_the_other() -> Result<()> {
    let mut mesh = Mesh::start().await?;
    let grant = "test-1/1/asker/echo-bidi-stream";

    let dialogue = Dialogue::open(mesh.client()?).await?;
    mesh.provider.process().freeze().await?;
    let commanded = Instant::now();
    let end = timed(dialogue.broken());
    mesh.control_plane.revoke_grant(grant).await?;
    let (at, status) = tokio::time::timeout(RESTORED_LIMIT, end).await??;
    println!("the provider's sidecar hangs: the application was told after {} ms", (at - commanded).as_millis());
    assert_eq!(refusal::reason(&status), "GRANT_REVOKED", "{status:?}");
    assert!(at - commanded < ENDED_MAX, "{:?}", at - commanded);
    mesh.provider.process().thaw().await?;
    mesh.control_plane.restore_grant(grant).await?;
    mesh.control_plane.distributed(2).await?;

    let grant = "test-1/1/asker/echo-server-stream";
    let answers = traffic::endless(mesh.client()?).await?;
    let mut cancelled = mesh.server().cancelled();
    let before = *cancelled.borrow_and_update();
    mesh.consumer.process().freeze().await?;
    let commanded = Instant::now();
    mesh.control_plane.revoke_grant(grant).await?;
    tokio::time::timeout(RESTORED_LIMIT, cancelled.wait_for(|count| *count > before)).await??;
    let after = commanded.elapsed();
    println!("the consumer's sidecar hangs: the agency's server was told after {} ms", after.as_millis());
    assert!(after < ENDED_MAX, "{after:?}");
    mesh.consumer.process().thaw().await?;
    let status = tokio::time::timeout(RESTORED_LIMIT, traffic::end_of(answers)).await?;
    assert_eq!(refusal::reason(&status), "GRANT_REVOKED", "{status:?}");
    Ok(())
}
