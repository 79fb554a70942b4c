//! Floods: who sends more of something than any honest peer would is cut and counted, and nobody else notices.

use anyhow::{Context as _, Result};
use chapar_tests::{
    attacker::Disguise,
    frames::{ACK, END_HEADERS, END_STREAM, Ears, Kind, Wire, block, call, frame},
    mesh::Mesh,
    sidecar::Sidecar,
    traffic::Load,
};
use serde_json::json;

mod relay;

use relay::{CONSUMER_ID, breaches, resident_kib};

/// Units of a flood that are sent at most; every limit is far below.
const UNITS_MAX: u32 = 40_000;
/// Calls of others that have to go on while an attack runs.
const OTHERS_CALLS: u64 = 20;
/// What the attacks together may add to a sidecar's memory, in KiB.
const GROWTH_KIB_MAX: u64 = 64 * 1024;
/// ENHANCE_YOUR_CALM (RFC 9113, section 7).
const CALM: u32 = 0xb;
/// REFUSED_STREAM.
const REFUSED_STREAM: u32 = 0x7;

/// A flood: the name of the limit that it breaks, the code that it is answered with, what opens it, and what is sent again and
/// again.
struct Flood {
    limit: &'static str,
    code: u32,
    opening: fn() -> Vec<u8>,
    unit: fn(u32) -> Vec<u8>,
}

const FLOODS: [Flood; 9] = [
    Flood { limit: "settings", code: CALM, opening: Vec::new, unit: |_| frame(Kind::Settings, 0, 0, &[]) },
    Flood { limit: "pings", code: CALM, opening: Vec::new, unit: |number| ping(0, number) },
    Flood { limit: "priorities", code: CALM, opening: Vec::new, unit: |_| frame(Kind::Priority, 0, 1, &[0, 0, 0, 0, 16]) },
    Flood { limit: "priorities", code: CALM, opening: Vec::new, unit: |_| frame(Kind::Unknown, 0, 0, b"?") },
    Flood { limit: "window_updates", code: CALM, opening: Vec::new, unit: |_| frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 1]) },
    Flood { limit: "empty_data", code: CALM, opening: open_call, unit: |_| frame(Kind::Data, 0, 1, &[]) },
    Flood { limit: "resets", code: CALM, opening: Vec::new, unit: begun_and_reset },
    Flood { limit: "continuations", code: CALM, opening: unfinished_block, unit: |_| frame(Kind::Continuation, 0, 1, &field()) },
    // The server echoes into a window that is never opened, and so takes nothing any more at some point. The call is then reset as
    // FLOW_CONTROL_ERROR; who goes on is cut.
    Flood { limit: "window", code: CALM, opening: open_call, unit: |_| frame(Kind::Data, 0, 1, &[0; 16 * 1024]) },
];

fn ping(flags: u8, number: u32) -> Vec<u8> {
    frame(Kind::Ping, flags, 0, &u64::from(number).to_be_bytes())
}

/// A call on stream 1 whose request has not ended.
fn open_call() -> Vec<u8> {
    frame(Kind::Headers, END_HEADERS, 1, &call("BidiStream"))
}

fn begun_and_reset(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    let head = frame(Kind::Headers, END_HEADERS, stream, &call("BidiStream"));
    [head, frame(Kind::RstStream, 0, stream, &[0, 0, 0, 8])].concat()
}

fn unfinished_block() -> Vec<u8> {
    frame(Kind::Headers, END_STREAM, 1, &call("Unary"))
}

fn field() -> Vec<u8> {
    block(&[("x-more", "and more")])
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_floods_a_sidecar_is_cut_and_counted_and_others_do_not_notice() -> Result<()> {
    let mut mesh = Mesh::start_with(&json!({}), &json!({"limits": {"callsPerConnectionMax": 64}})).await?;
    let thief = Disguise::by_stolen_authority(mesh.control_plane.folder(), &[CONSUMER_ID])?;
    let load = Load::start(&mesh.consumer, 4, 2).await?;
    load.further(OTHERS_CALLS).await?;
    let before = [resident_kib(&mut mesh.consumer)?, resident_kib(&mut mesh.provider)?];
    for flood in &FLOODS {
        let to_consumer = Wire::plain(mesh.consumer.address("outbound"), Ears::Open).await?;
        is_cut(&mesh.consumer, to_consumer, flood).await.with_context(|| format!("outbound: {}", flood.limit))?;
        load.further(OTHERS_CALLS).await?;
        let to_provider = Wire::tls(mesh.provider.address("inbound"), &thief, Ears::Open).await?;
        is_cut(&mesh.provider, to_provider, flood).await.with_context(|| format!("inbound: {}", flood.limit))?;
        load.further(OTHERS_CALLS).await?;
    }
    for (sidecar, before) in [&mut mesh.consumer, &mut mesh.provider].into_iter().zip(before) {
        let after = resident_kib(sidecar)?;
        assert!(after < before + GROWTH_KIB_MAX, "{}: {before} KiB before, {after} KiB after", sidecar.agency());
    }
    let tally = load.unbroken().await?;
    println!("{} floods on each of two listeners; {} calls of others, none failed", FLOODS.len(), tally.calls);
    Ok(())
}

async fn is_cut(sidecar: &Sidecar, mut wire: Wire, flood: &Flood) -> Result<()> {
    let before = breaches(sidecar, flood.limit).await?;
    wire.begin().await?;
    wire.send(&(flood.opening)()).await?;
    anyhow::ensure!(wire.flood(UNITS_MAX, flood.unit).await, "it is not cut");
    let goaways = wire.heard().goaways.clone();
    // What was under way when the connection ended can overtake it; then the GOAWAY is lost with it.
    anyhow::ensure!(goaways.iter().all(|code| *code == flood.code), "GOAWAYs with codes {goaways:?}");
    relay::breaches_reach(sidecar, flood.limit, before + 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_too_much_of_one_stream_loses_that_stream_alone() -> Result<()> {
    let mesh = Mesh::start_with(&json!({}), &json!({"limits": {"callsPerConnectionMax": 16}})).await?;
    more_calls_than_are_allowed_at_a_time_are_refused(&mesh).await?;
    a_header_list_that_is_small_on_the_wire_and_large_beyond_is_refused(&mesh).await
}

async fn more_calls_than_are_allowed_at_a_time_are_refused(mesh: &Mesh) -> Result<()> {
    let mut wire = Wire::plain(mesh.consumer.address("outbound"), Ears::Open).await?;
    wire.begin().await?;
    for number in 0..20 {
        wire.send(&frame(Kind::Headers, END_HEADERS, 2 * number + 1, &call("BidiStream"))).await?;
    }
    let refused =
        wire.hears("the calls above the limit to be refused", |heard| (heard.resets.len() >= 4).then(|| heard.resets.clone()));
    let refused = refused.await?;
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), [33, 35, 37, 39].map(|stream| (stream, REFUSED_STREAM)));
    relay::breaches_reach(&mesh.consumer, "streams", 4).await?;
    assert!(!wire.heard().ended);
    Ok(())
}

async fn a_header_list_that_is_small_on_the_wire_and_large_beyond_is_refused(mesh: &Mesh) -> Result<()> {
    let mut wire = Wire::plain(mesh.consumer.address("outbound"), Ears::Open).await?;
    wire.begin().await?;
    // Index 16 of the static table, `accept-encoding: gzip, deflate`: one byte each, 60 bytes as HTTP/2 counts them.
    let bomb = [call("Unary"), vec![0x80 | 16; 8 * 1024]].concat();
    wire.send(&frame(Kind::Headers, END_HEADERS | END_STREAM, 1, &bomb)).await?;
    wire.hears("the bomb to be refused", |heard| (heard.resets.contains_key(&1) || heard.answered.contains(&1)).then_some(()))
        .await?;
    relay::breaches_reach(&mesh.consumer, "header_list", 1).await?;
    // The connection goes on.
    wire.send(&ping(ACK, 0)).await?;
    wire.send(&frame(Kind::Headers, END_HEADERS | END_STREAM, 3, &call("Unary"))).await?;
    wire.hears("the next call to be answered", |heard| heard.answered.contains(&3).then_some(())).await
}
