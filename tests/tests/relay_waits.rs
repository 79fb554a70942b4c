//! Slowness: who keeps the sidecar waiting, or lets it talk without listening, is let go in time.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use chapar_tests::{
    attack::{CROWD, Counted, Door, WAITS, closed_windows, request, wide_windows},
    attacker::Disguise,
    echo::pb::EchoRequest,
    frames::{END_HEADERS, END_STREAM, Ears, Kind, Wire, call, frame},
    mesh::Mesh,
    traffic::Load,
};
use serde_json::json;

mod relay;

use relay::{CONSUMER_ID, behind};

/// An agency's sidecar that nobody knows; whoever holds the authority's key can make as many as they like.
const STRANGER_ID: &str = "spiffe://exchange.example/agency/stranger/sidecar/main";
/// Calls of others that have to go on meanwhile.
const OTHERS_CALLS: u64 = 20;
/// Connections that one peer may have in these tests.
const PER_PEER_MAX: usize = 8;
/// Connections that a listener takes in these tests.
const CONNECTIONS_MAX: usize = 40;

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

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_a_sidecar_waiting_is_let_go_in_time() -> Result<()> {
    let mesh = impatient().await?;
    let load = Load::start(&mesh.consumer, 4, 2).await?;
    let thief = Disguise::by_stolen_authority(mesh.control_plane.folder(), &[CONSUMER_ID])?;
    let (mut slow, mut counts) = (Vec::new(), BTreeMap::<_, u64>::new());
    for attack in WAITS.iter().filter(|attack| attack.ears == Ears::Open) {
        for door in attack.doors {
            let what = || format!("{}: {}", door.as_str(), attack.name);
            slow.push((what(), attack, attack.begin(*door, behind(&mesh, *door), &thief).await.with_context(what)?));
            *counts.entry((*door, attack.counted.line(*door))).or_default() += 1;
        }
    }
    for (what, attack, wire) in &slow {
        wire.hears(&format!("{what} to be let go"), |heard| attack.is_over(heard).then_some(())).await?;
    }
    for ((door, line), count) in counts {
        relay::count_reaches(behind(&mesh, door), &line, count).await?;
    }
    load.further(OTHERS_CALLS).await?;
    load.unbroken().await?;
    Ok(())
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
    deaf.send(&wide_windows()).await?;
    deaf.send(&request(1, "ServerStream", &endless)).await?;

    // It reads, and never opens the window of its call.
    let mut closed = Wire::plain(&outbound, Ears::Open).await?;
    closed.begin().await?;
    closed.send(&closed_windows()).await?;
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
    let one_too_many = CROWD.begin(Door::Inbound, &mesh.provider, &stranger).await?;
    one_too_many.is_cut().await?;
    relay::count_reaches(&mesh.provider, &CROWD.counted.line(Door::Inbound), 1).await?;
    mesh.client()?.unary(EchoRequest::default()).await?;

    let outbound = mesh.consumer.address("outbound");
    let mut crowd = Vec::new();
    for _ in 0..=CONNECTIONS_MAX {
        crowd.push(Wire::plain(outbound, Ears::Open).await?);
    }
    crowd.last().context("a crowd")?.is_cut().await?;
    relay::count_reaches(&mesh.consumer, &Counted::Refused("full").line(Door::Outbound), 1).await?;
    drop(crowd);
    mesh.client()?.unary(EchoRequest::default()).await?;
    Ok(())
}
