//! Floods: who sends more of something than any honest peer would is cut and counted, and nobody else notices.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chapar_tests::{
    attack::{Attack, Door, FLOODS, INDEXED_FIELD, begun, knock},
    attacker::{self, Disguise},
    echo::pb::{AboutRequest, EchoRequest},
    frames::{END_HEADERS, END_STREAM, Ears, Kind, Wire, call, frame},
    mesh::{EchoClient, Mesh},
    refusal,
    traffic::Load,
    wait,
};
use serde_json::json;
use tonic::Code;

mod relay;

use relay::{CONSUMER_ID, behind, resident_kib};

/// Units of a flood that are sent at most; every limit is far below.
const UNITS_MAX: u32 = 60_000;
/// Calls of others that have to go on while an attack runs.
const OTHERS_CALLS: u64 = 20;
/// What the attacks together may add to a sidecar's memory, in KiB.
const GROWTH_KIB_MAX: u64 = 64 * 1024;
/// How long room may take to come free.
const ROOM_LIMIT: Duration = Duration::from_secs(30);
/// ENHANCE_YOUR_CALM (RFC 9113, section 7).
const CALM: u32 = 0xb;
/// REFUSED_STREAM.
const REFUSED_STREAM: u32 = 0x7;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_floods_a_sidecar_is_cut_and_counted_and_others_do_not_notice() -> Result<()> {
    let mut mesh = Mesh::start_with(&json!({}), &json!({"limits": {"callsPerConnectionMax": 64}})).await?;
    let thief = Disguise::by_stolen_authority(mesh.control_plane.folder(), &[CONSUMER_ID])?;
    let load = Load::start(&mesh.consumer, 4, 2).await?;
    load.further(OTHERS_CALLS).await?;
    let before = [resident_kib(&mut mesh.consumer)?, resident_kib(&mut mesh.provider)?];
    for flood in &FLOODS {
        for door in flood.doors {
            is_cut(&mesh, *door, flood, &thief).await.with_context(|| format!("{}: {}", door.as_str(), flood.name))?;
            load.further(OTHERS_CALLS).await?;
        }
    }
    for (sidecar, before) in [&mut mesh.consumer, &mut mesh.provider].into_iter().zip(before) {
        let after = resident_kib(sidecar)?;
        assert!(after < before + GROWTH_KIB_MAX, "{}: {before} KiB before, {after} KiB after", sidecar.agency());
    }
    let tally = load.unbroken().await?;
    println!("{} floods on each of two listeners; {} calls of others, none failed", FLOODS.len(), tally.calls);
    Ok(())
}

async fn is_cut(mesh: &Mesh, door: Door, flood: &Attack, thief: &Disguise) -> Result<()> {
    let (sidecar, line) = (behind(mesh, door), flood.counted.line(door));
    let before = sidecar.counted(&line).await?;
    let mut wire = flood.begin(door, sidecar, thief).await?;
    let unit = flood.unit.context("a flood repeats something")?;
    ensure!(wire.flood(UNITS_MAX, unit).await, "it is not cut");
    let goaways = wire.heard().goaways.clone();
    // What was under way when the connection ended can overtake it; then the GOAWAY is lost with it.
    ensure!(goaways.iter().all(|code| *code == CALM), "GOAWAYs with codes {goaways:?}");
    relay::count_reaches(sidecar, &line, before + 1).await
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
        wire.send(&begun(number)).await?;
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
    let bomb = [call("Unary"), vec![INDEXED_FIELD; 8 * 1024]].concat();
    wire.send(&frame(Kind::Headers, END_HEADERS | END_STREAM, 1, &bomb)).await?;
    wire.hears("the bomb to be refused", |heard| (heard.resets.contains_key(&1) || heard.answered.contains(&1)).then_some(()))
        .await?;
    relay::breaches_reach(&mesh.consumer, "header_list", 1).await?;
    // The connection goes on.
    wire.send(&knock()).await?;
    wire.send(&frame(Kind::Headers, END_HEADERS | END_STREAM, 3, &call("Unary"))).await?;
    wire.hears("the next call to be answered", |heard| heard.answered.contains(&3).then_some(())).await
}

/// Two workers, each with room for four calls to the provider and for two that wait.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_all_room_at_a_provider_is_refused_beyond_it_and_counted() -> Result<()> {
    let narrow = json!({"callsPerConnectionMax": 4, "connectionsPerEndpointMax": 1, "waitingPerEndpointMax": 2});
    let mesh = Mesh::start_with(&json!({}), &json!({"limits": narrow})).await?;
    let mut crowd = Vec::new();
    // More than all workers have room for, on any machine on which the tests are run.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..6 * workers {
        let mut wire = Wire::plain(mesh.consumer.address("outbound"), Ears::Open).await?;
        wire.begin().await?;
        for number in 0..4 {
            wire.send(&begun(number)).await?;
        }
        crowd.push(wire);
    }
    relay::breaches_reach(&mesh.consumer, "parked", 1).await?;
    drop(crowd);
    let client = mesh.client()?;
    wait::until("room for others", ROOM_LIMIT, || {
        let mut client = client.clone();
        async move { client.unary(EchoRequest::default()).await.ok() }
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_too_long_to_be_looked_at_is_refused_and_counted_where_it_is_about_somebody() -> Result<()> {
    let mesh = Mesh::start().await?;
    let mut client = mesh.client()?;
    let payload = vec![0x5a; 300 * 1024];
    let about = |bytes| AboutRequest { payload: vec![0x5a; bytes], subject_id: "0013542419".to_owned() };
    assert_eq!(client.about(about(1024)).await?.into_inner().payload.len(), 1024);
    assert_eq!(client.unary(EchoRequest { payload: payload.clone(), ..Default::default() }).await?.into_inner().payload, payload);
    drop(mesh.server().take_served());
    let refused = client.about(about(payload.len())).await.expect_err("nobody can tell whom it is about");
    assert_eq!((refusal::reason(&refused).as_str(), refused.code()), ("SUBJECT_UNREADABLE", Code::InvalidArgument));
    relay::breaches_reach(&mesh.consumer, "first_message", 1).await?;

    // The provider's sidecar does not rely on the consumer's.
    let own = Disguise::stolen_from(mesh.consumer.state())?;
    let mut client = EchoClient::new(attacker::channel(mesh.provider.address("inbound"), Some(&own))?);
    let refused = client.about(about(payload.len())).await.expect_err("nor there");
    assert_eq!((refusal::reason(&refused).as_str(), refused.code()), ("SUBJECT_UNREADABLE", Code::InvalidArgument));
    relay::breaches_reach(&mesh.provider, "first_message", 1).await?;
    assert!(mesh.server().take_served().is_empty(), "the server had a whole request");
    Ok(())
}
