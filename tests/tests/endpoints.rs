//! Where calls go, and what callers are told when there is nowhere to go.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chapar_tests::{
    echo::{self, EchoServer, pb::EchoRequest},
    mesh::{CONSUMER, EchoClient, Mesh, PROVIDER, client_of, echo_offer},
    refusal,
    sidecar::{Offer, Plan, Sidecar},
    wait,
};
use serde_json::json;
use tokio::runtime::Runtime;
use tonic::{Code, Request};

/// How long a change of the surroundings may take to show: some health checks, or the longest time that a place which
/// failed is left out.
const NOTICED_LIMIT: Duration = Duration::from_secs(30);
/// Calls that are made to see whether one fails.
const CALLS: usize = 100;
/// A place that breaks under calls takes these with it before it is left out, at most.
const FAILURES_MAX: usize = 5;

/// A second agency that offers the same gRPC service, with inquiries of its own.
const TWIN: &str = "twin";
const TWIN_AGENCY: &str = r#"
apiVersion: chapar/v1
kind: Agency
metadata: {name: twin}
spec: {title: {fa: همزاد, en: Twin}, roles: [provider]}
---
apiVersion: chapar/v1
kind: InformationSystem
metadata: {name: ohce-system}
spec: {title: {fa: سامانه همزاد, en: Twin system}, agency: twin}
"#;
const TWIN_GRANT: &str = r#"
apiVersion: chapar/v1
kind: Resolution
metadata: {name: test-2}
spec:
  title: {fa: مصوبه دوم, en: Second resolution}
  session: 2
  date: 1401-10-21
  grants:
    - {clause: "1", consumers: [asker], inquiries: [ohce-unary]}
"#;
const STRANGER_GRANT: &str = r#"
apiVersion: chapar/v1
kind: Resolution
metadata: {name: test-3}
spec:
  title: {fa: مصوبه سوم, en: Third resolution}
  session: 3
  date: 1401-10-22
  grants:
    - {clause: "1", consumers: [stranger], inquiries: [echo-unary]}
"#;

/// An echo server that can die as a process does: with all its connections at once.
struct Mortal {
    runtime: Option<Runtime>,
    server: EchoServer,
}

impl Mortal {
    async fn start(address: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let address = address.to_owned();
        let server = runtime.spawn(async move { EchoServer::start_at(&address).await }).await??;
        Ok(Self { runtime: Some(runtime), server })
    }

    fn address(&self) -> &str {
        self.server.address()
    }

    fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        // A runtime must not be waited for where others run.
        self.die();
    }
}

/// A call that names its provider, as callers of a service that several agencies offer have to.
async fn call(client: &EchoClient) -> Result<(), tonic::Status> {
    client.clone().unary(asked_of(PROVIDER)).await.map(drop)
}

fn asked_of(provider: &str) -> Request<EchoRequest> {
    let mut request = Request::new(EchoRequest::default());
    request.metadata_mut().insert("chapar-provider", provider.parse().expect("an agency's name is ASCII"));
    request
}

async fn served(what: &str, client: &EchoClient) -> Result<()> {
    wait::until(&format!("{what}: a call to be served"), NOTICED_LIMIT, || async { call(client).await.ok() }).await
}

async fn refused(what: &str, client: &EchoClient, reason: &str) -> Result<()> {
    let status = wait::until(&format!("{what}: {reason}"), NOTICED_LIMIT, || async {
        call(client).await.err().filter(|status| refusal::reason(status) == reason)
    })
    .await?;
    assert_eq!(status.code(), Code::Unavailable, "{what}: {status:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_an_agency_come_and_go() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = format!("unix:{}", folder.path().join("echo.sock").display());
    let (mut one, mut other) = (Mortal::start("127.0.0.1:0").await?, Mortal::start(&socket).await?);
    let outbound = format!("unix:{}", folder.path().join("outbound.sock").display());
    let mesh = Mesh::in_front_of(one.address(), &json!({}), &json!({})).await?;
    mesh.control_plane.apply("stranger.yaml", STRANGER_GRANT).await?;
    let mut provider = second_provider(&mesh, &[one.address(), other.address()]).await?;

    // An application that speaks to its sidecar over a Unix socket.
    let address = mesh.control_plane.address("sidecars").to_owned();
    let plan = Plan::consumer("stranger", &address).with(json!({"listen": {"outbound": outbound}}));
    let stranger = mesh.join(&plan).await?;
    assert_eq!(stranger.address("outbound"), outbound);
    stranger.ready().await?;
    mesh.control_plane.distributed(4).await?;
    let client = client_of(&stranger)?;
    served("over a Unix socket", &client).await?;
    let wrong = client.clone().server_stream(EchoRequest::default()).await.expect_err("it has another grant only");
    assert_eq!(refusal::reason(&wrong), "NO_GRANT");

    // Only one sidecar of the provider is left, with two servers behind it: one over TCP, one over a Unix socket.
    let mut first = mesh.provider;
    first.kill().await?;
    served("without the first sidecar", &client).await?;
    for _ in 0..CALLS {
        call(&client).await?;
    }
    other.die();
    outlived("one server dead", &client).await?;
    assert_eq!(provider.admin_get("/readyz").await?.0, 200, "one server is enough");
    one.die();
    refused("both servers dead", &client, "UPSTREAM_UNREACHABLE").await?;
    wait::until("readiness to go", NOTICED_LIMIT, || async {
        matches!(provider.admin_get("/readyz").await, Ok((503, _))).then_some(())
    })
    .await?;
    let _again = Mortal::start(one.address()).await?;
    served("a server is back", &client).await?;
    provider.ready().await?;

    let mut waiting = client.clone();
    let under_way = tokio::spawn(async move { waiting.unary(EchoRequest { delay_ms: 60_000, ..Default::default() }).await });
    // One that is answered after it shows that it is under way.
    client.clone().unary(EchoRequest { delay_ms: 200, ..Default::default() }).await?;
    provider.kill().await?;
    let status = under_way.await?.expect_err("its sidecar is gone");
    assert_eq!(refusal::reason(&status), "PROVIDER_UNREACHABLE", "a call under way: {status:?}");
    refused("no sidecar of the provider left", &client, "PROVIDER_UNREACHABLE").await?;
    provider.restart().await?;
    served("the provider's sidecar is back", &client).await
}

/// Another sidecar of the provider, in front of these servers.
async fn second_provider(mesh: &Mesh, upstreams: &[&str]) -> Result<Sidecar> {
    let offer = Offer { upstreams: upstreams.iter().map(|&upstream| upstream.to_owned()).collect(), ..echo_offer("") };
    let plan = Plan::consumer(PROVIDER, mesh.control_plane.address("sidecars")).named("second").offering(offer);
    let sidecar = mesh.join(&plan).await?;
    sidecar.ready().await?;
    Ok(sidecar)
}

/// Calls until many in a row were served; few may fail before that.
async fn outlived(what: &str, client: &EchoClient) -> Result<()> {
    let (mut in_a_row, mut failures) = (0, Vec::new());
    while in_a_row < CALLS {
        match call(client).await {
            Ok(()) => in_a_row += 1,
            Err(status) => {
                in_a_row = 0;
                failures.push(format!("{}: {status:?}", refusal::reason(&status)));
                assert!(failures.len() <= FAILURES_MAX, "{what}: {failures:#?}");
            }
        }
    }
    println!("{what}: {} calls failed, then {CALLS} in a row were served", failures.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_two_agencies_is_asked_for_by_name_and_reserved_nodes_by_those_they_are_for() -> Result<()> {
    let mut mesh = Mesh::start().await?;
    let client = mesh.client()?;
    two_agencies_offer_the_same_service(&mesh, &client).await?;
    reserved_nodes_serve_only_those_they_are_for(&mut mesh, &client).await
}

async fn two_agencies_offer_the_same_service(mesh: &Mesh, client: &EchoClient) -> Result<()> {
    mesh.control_plane.apply("twin.yaml", TWIN_AGENCY).await?;
    let offer = Offer { descriptor_set: twin_descriptor_set(), ..echo_offer(mesh.server().address()) };
    let _twin = mesh.join(&Plan::consumer(TWIN, mesh.control_plane.address("sidecars")).offering(offer)).await?;
    wait::until("the draft of the twin's passport", NOTICED_LIMIT, || async {
        matches!(mesh.control_plane.approve_all().await, Ok(1..)).then_some(())
    })
    .await?;
    mesh.control_plane.apply("twin-grant.yaml", TWIN_GRANT).await?;
    mesh.control_plane.distributed(3).await?;

    let status = client.clone().unary(EchoRequest::default()).await.expect_err("two agencies offer it");
    assert_eq!((refusal::reason(&status).as_str(), status.code()), ("AMBIGUOUS_PROVIDER", Code::InvalidArgument), "{status:?}");
    for (provider, inquiry) in [(PROVIDER, "echo-unary"), (TWIN, "ohce-unary")] {
        let answer = client.clone().unary(asked_of(provider)).await.with_context(|| format!("asked of {provider}"))?;
        let vouched = format!("chapar-inquiry: {inquiry}");
        assert!(answer.get_ref().metadata.contains(&vouched), "{provider}: {:?}", answer.get_ref().metadata);
    }
    let status = client.clone().unary(asked_of("nobody")).await.expect_err("nobody of that name offers it");
    assert_eq!(refusal::reason(&status), "UNKNOWN_INQUIRY", "{status:?}");
    Ok(())
}

/// The same passport with other names, of the same length: every name in it is prefixed by its length.
fn twin_descriptor_set() -> Vec<u8> {
    let mut set = echo::DESCRIPTOR_SET.to_vec();
    for (from, to) in [(&b"echo-"[..], &b"ohce-"[..]), (b"\x0a\x04echo", b"\x0a\x04ohce")] {
        for at in 0..=set.len() - from.len() {
            if set[at..].starts_with(from) {
                set[at..at + to.len()].copy_from_slice(to);
            }
        }
    }
    set
}

async fn reserved_nodes_serve_only_those_they_are_for(mesh: &mut Mesh, client: &EchoClient) -> Result<()> {
    let plan = Plan::consumer(PROVIDER, mesh.control_plane.address("sidecars")).named("reserved");
    let plan = plan.offering(echo_offer(mesh.server().address())).with(json!({"reservedFor": [CONSUMER]}));
    let mut reserved = mesh.join(&plan).await?;
    reserved.ready().await?;
    mesh.control_plane.distributed(3).await?;

    // It serves the consumer that it is for, without the shared one …
    mesh.provider.kill().await?;
    served("only the reserved node is left", client).await?;
    // … and the shared one is none for that consumer, not even in need.
    mesh.provider.restart().await?;
    mesh.provider.ready().await?;
    reserved.kill().await?;
    refused("only the shared node is left", client, "PROVIDER_UNREACHABLE").await?;
    assert!(call(client).await.is_err(), "not even once the reserved one was found to be gone");

    // Others are served by the shared one, and by that alone.
    mesh.control_plane.apply("stranger.yaml", STRANGER_GRANT).await?;
    let stranger = mesh.join(&Plan::consumer("stranger", mesh.control_plane.address("sidecars"))).await?;
    stranger.ready().await?;
    let client = client_of(&stranger)?;
    served("a consumer that nothing is reserved for", &client).await?;
    reserved.restart().await?;
    reserved.ready().await?;
    mesh.provider.kill().await?;
    refused("only the reserved node is left", &client, "PROVIDER_UNREACHABLE").await
}
