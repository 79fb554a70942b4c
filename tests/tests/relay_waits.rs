//! Slowness: who keeps the sidecar waiting, or lets it talk without listening, is let go in time.

use anyhow::{Context as _, Result, ensure};
use chapar_tests::{
    attacker::Disguise,
    echo::pb::EchoRequest,
    frames::{END_HEADERS, END_STREAM, Ears, Kind, PREFACE, Wire, call, frame},
    mesh::Mesh,
    traffic::Load,
};
use prost::Message as _;
use serde_json::json;

mod relay;

use relay::{CONSUMER_ID, counted};

/// An agency's sidecar that nobody knows; whoever holds the authority's key can make as many as they like.
const STRANGER_ID: &str = "spiffe://exchange.example/agency/stranger/sidecar/main";
/// Calls of others that have to go on meanwhile.
const OTHERS_CALLS: u64 = 20;
/// Connections that one peer may have in these tests.
const PER_PEER_MAX: usize = 8;
/// Connections that a listener takes in these tests.
const CONNECTIONS_MAX: usize = 40;
/// SETTINGS_INITIAL_WINDOW_SIZE.
const INITIAL_WINDOW: u8 = 4;

async fn impatient() -> Result<Mesh> {
    let limits = json!({
        "handshakeTimeoutMs": 3_000,
        "frameTimeoutMs": 1_000,
        "stallTimeoutMs": 2_000,
        "callStallTimeoutMs": 1_000,
        "idleTimeoutMs": 4_000,
        "keepaliveIntervalMs": 1_500,
        "keepaliveTimeoutMs": 1_500,
    });
    Mesh::start_with(&json!({}), &json!({"limits": limits})).await
}

/// SETTINGS that set one value.
fn settings(identifier: u8, value: u32) -> Vec<u8> {
    let payload = [&[0, identifier][..], &value.to_be_bytes()].concat();
    frame(Kind::Settings, 0, 0, &payload)
}

/// A whole request of `method` on `stream`.
fn request(stream: u32, method: &str, ask: &EchoRequest) -> Vec<u8> {
    let message = ask.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let framed = [&[0][..], &length, &message].concat();
    [frame(Kind::Headers, END_HEADERS, stream, &call(method)), frame(Kind::Data, END_STREAM, stream, &framed)].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_a_sidecar_waiting_is_let_go_in_time() -> Result<()> {
    let mesh = impatient().await?;
    let outbound = mesh.consumer.address("outbound");
    let load = Load::start(&mesh.consumer, 4, 2).await?;

    let silent = Wire::plain(outbound, Ears::Open).await?;
    let mut half_open = Wire::plain(outbound, Ears::Open).await?;
    half_open.send(PREFACE).await?;
    let mut half_a_frame = Wire::plain(outbound, Ears::Open).await?;
    half_a_frame.begin().await?;
    half_a_frame.send(&frame(Kind::Ping, 0, 0, &[0; 8])[..12]).await?;
    let mut half_a_head = Wire::plain(outbound, Ears::Open).await?;
    half_a_head.begin().await?;
    half_a_head.send(&frame(Kind::Headers, 0, 1, &call("Unary"))).await?;
    let mut idle = Wire::plain(outbound, Ears::Open).await?;
    idle.begin().await?;
    let thief = Disguise::by_stolen_authority(mesh.control_plane.folder(), &[CONSUMER_ID])?;
    let mut dead = Wire::tls(mesh.provider.address("inbound"), &thief, Ears::Open).await?;
    dead.begin().await?;
    // A call that is under way keeps it from being idle.
    dead.send(&frame(Kind::Headers, END_HEADERS, 1, &call("BidiStream"))).await?;

    for wire in [&silent, &half_open, &half_a_frame, &half_a_head, &idle, &dead] {
        wire.is_cut().await?;
    }
    ensure!(counted(&mesh.consumer, refusals_because("outbound", "silent").as_str()).await? >= 1, "silent");
    for (limit, times) in [("half_open", 1), ("slow_writer", 2), ("idle", 1)] {
        relay::breaches_reach(&mesh.consumer, limit, times).await?;
    }
    relay::breaches_reach(&mesh.provider, "unanswered", 1).await?;
    load.further(OTHERS_CALLS).await?;
    load.unbroken().await?;
    Ok(())
}

fn refusals_because(listener: &str, cause: &str) -> String {
    format!("chapar_sidecar_connections_refused_total{{cause=\"{cause}\",listener=\"{listener}\"}} ")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_is_let_go_and_holds_little_until_then() -> Result<()> {
    let mut mesh = impatient().await?;
    let load = Load::start(&mesh.consumer, 4, 2).await?;
    load.further(OTHERS_CALLS).await?;
    let before = relay::resident_kib(&mut mesh.consumer)?;
    let outbound = mesh.consumer.address("outbound").to_owned();

    // It asks for an endless answer, opens every window, and never reads.
    let endless = EchoRequest { filler_bytes: 1 << 20, ..Default::default() };
    let mut deaf = Wire::plain(&outbound, Ears::Deaf).await?;
    deaf.begin().await?;
    deaf.send(&settings(INITIAL_WINDOW, i32::MAX as u32)).await?;
    deaf.send(&frame(Kind::WindowUpdate, 0, 0, &(i32::MAX as u32 - 65_535).to_be_bytes())).await?;
    deaf.send(&request(1, "ServerStream", &endless)).await?;

    // It reads, and never opens the window of its call.
    let mut closed = Wire::plain(&outbound, Ears::Open).await?;
    closed.begin().await?;
    closed.send(&settings(INITIAL_WINDOW, 0)).await?;
    closed.send(&request(1, "ServerStream", &endless)).await?;

    // The response's head, and then trailers that say why it ended.
    closed
        .hears("the call that takes nothing to end", |heard| {
            (heard.answered.iter().filter(|stream| **stream == 1).count() == 2).then_some(())
        })
        .await?;
    relay::breaches_reach(&mesh.consumer, "slow_call", 1).await?;
    relay::breaches_reach(&mesh.consumer, "slow_reader", 1).await?;
    load.further(OTHERS_CALLS).await?;
    let after = relay::resident_kib(&mut mesh.consumer)?;
    assert!(after < before + 32 * 1024, "{before} KiB before, {after} KiB after");
    load.unbroken().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_cannot_take_all_connections_and_all_peers_cannot_take_more_than_there_are() -> Result<()> {
    let limits = json!({"connectionsMax": CONNECTIONS_MAX, "connectionsPerPeerMax": PER_PEER_MAX});
    let mesh = Mesh::start_with(&json!({}), &json!({"limits": limits})).await?;
    let stranger = Disguise::by_stolen_authority(mesh.control_plane.folder(), &[STRANGER_ID])?;
    let inbound = mesh.provider.address("inbound");
    let mut held = Vec::new();
    for _ in 0..PER_PEER_MAX {
        let mut wire = Wire::tls(inbound, &stranger, Ears::Open).await?;
        wire.begin().await?;
        // A refused call is an answer too: the connection is in.
        wire.send(&frame(Kind::Headers, END_HEADERS | END_STREAM, 1, &call("Unary"))).await?;
        wire.hears("an answer", |heard| heard.answered.contains(&1).then_some(())).await?;
        held.push(wire);
    }
    let one_too_many = Wire::tls(inbound, &stranger, Ears::Open).await?;
    one_too_many.is_cut().await?;
    ensure!(counted(&mesh.provider, &refusals_because("inbound", "peer_full")).await? >= 1, "peer_full");
    mesh.client()?.unary(EchoRequest::default()).await?;

    let outbound = mesh.consumer.address("outbound");
    let mut crowd = Vec::new();
    for _ in 0..=CONNECTIONS_MAX {
        crowd.push(Wire::plain(outbound, Ears::Open).await?);
    }
    crowd.last().context("a crowd")?.is_cut().await?;
    ensure!(counted(&mesh.consumer, &refusals_because("outbound", "full")).await? >= 1, "full");
    drop(crowd);
    mesh.client()?.unary(EchoRequest::default()).await?;
    Ok(())
}
