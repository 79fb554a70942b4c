//! Whoever takes all it can get of a sidecar leaves the others their part.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use chapar_tests::{
    attacker::Disguise,
    echo::{EchoServer, pb::EchoRequest},
    evidence,
    hostile::{self, Act, Hostile, RefusedHandshakes, SilentHold},
    mesh::{CONSUMER, GRANTS, Mesh, PROVIDER, STRANGER, client_of, echo_offer},
    sidecar::Plan,
    traffic::Load,
    wait,
};
use serde_json::json;

/// Until something is counted.
const LIMIT: Duration = Duration::from_secs(60);
/// Calls that the provider's sidecar carries at a time; the attacker asks for several times as many.
const CALLS_MAX: u64 = 500;
/// Connections that its listener takes.
const CONNECTIONS_MAX: usize = 100;
/// What one agency may have at most: four fifths, and a few for those who race.
const CALLS_SHARE: u64 = CALLS_MAX / 5 * 4 + 8;
/// Clients and streams of the control group.
const CLIENTS: usize = 4;
const STREAMS: usize = 2;
/// Calls that the control group makes while the attack lasts.
const FURTHER: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_that_holds_all_calls_and_a_stranger_that_holds_all_connections_leave_others_theirs() -> Result<()> {
    let server = EchoServer::start().await?;
    let limits = json!({"limits": {
        "callsMax": CALLS_MAX, "connectionsMax": CONNECTIONS_MAX, "handshakeTimeoutMs": 120_000, "callStallTimeoutMs": 120_000,
    }});
    let grants = GRANTS.replace("[asker]", &format!("[asker, {STRANGER}]"));
    let mesh = Mesh::offering(echo_offer(server.address()), &grants, &json!({}), &limits).await?;
    let uri = format!("spiffe://exchange.example/agency/{STRANGER}/sidecar/main");
    let files = (mesh.folder().join("stranger.pem"), mesh.folder().join("stranger.key"));
    Disguise::enrolled(&mesh.control_plane, STRANGER, &uri).await?.write(&files.0, &files.1)?;
    let control = Load::start(&mesh.consumer, CLIENTS, STREAMS).await?;
    control.further(FURTHER).await?;

    let address = mesh.provider.address("inbound").to_owned();
    let hold = SilentHold { address, source: Ipv4Addr::LOCALHOST, disguise: Some(files), connections: 8, calls: 200 };
    let stranger =
        SilentHold { source: Ipv4Addr::new(127, 1, 0, 1), disguise: None, connections: 2 * CONNECTIONS_MAX, ..hold.clone() };
    let attackers = (Hostile::start(&Act::SilentHold(hold))?, Hostile::start(&Act::SilentHold(stranger))?);
    counted(&mesh, "chapar_sidecar_calls_total{", "SHARE_SPENT").await?;
    counted(&mesh, "chapar_sidecar_connections_refused_total{", "address_full").await?;

    let live = mesh.provider.counted("chapar_sidecar_calls_live{side=\"provider\"} ").await?;
    let of_control = (CLIENTS + STREAMS) as u64;
    assert!(live > CALLS_MAX / 2 && live <= CALLS_SHARE + of_control, "{live} calls live");
    control.further(FURTHER).await?;
    assert_eq!(mesh.provider.admin_get("/readyz").await?.0, 200);
    // Others still get connections too: a sidecar that starts now, from another address than the stranger's.
    let newcomer = mesh.join(&Plan::consumer(CONSUMER, mesh.control_plane.address("sidecars")).named("newcomer")).await?;
    newcomer.ready().await?;
    client_of(&newcomer)?.unary(EchoRequest::default()).await?;
    drop(attackers);
    control.unbroken().await?;
    Ok(())
}

/// Handshakes of a stranger that are refused, and how many of them may go on record.
const HANDSHAKES: usize = 200;
const RECORDS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_refused_handshakes_neither_fill_the_account_nor_hide_anothers() -> Result<()> {
    let mesh = Mesh::start().await?;
    let control = Load::start(&mesh.consumer, CLIENTS, STREAMS).await?;
    control.further(FURTHER).await?;
    let attempt = |source, handshakes| {
        let address = mesh.provider.address("inbound").to_owned();
        Act::RefusedHandshakes(RefusedHandshakes { address, source, handshakes })
    };
    let refused = hostile::outcome_of(&attempt(Ipv4Addr::new(127, 1, 0, 1), HANDSHAKES)).await?;
    assert_eq!(refused, json!(HANDSHAKES), "none is let in");
    let line = "chapar_sidecar_handshakes_failed_total{cause=\"no_certificate\"} ";
    assert_eq!(mesh.provider.counted(line).await?, HANDSHAKES as u64, "all are counted");

    hostile::outcome_of(&attempt(Ipv4Addr::new(127, 2, 0, 1), 1)).await?;
    // The spool keeps the order: once this is there, so is all that came before.
    let records = wait::until("the account of another's handshake", LIMIT, || async {
        let records = evidence::refused_ids(&mesh.control_plane, PROVIDER).await.ok()?;
        (records.len() > RECORDS).then_some(records)
    });
    assert_eq!(records.await?.len(), RECORDS + 1);
    control.further(FURTHER).await?;
    assert_eq!(mesh.provider.admin_get("/readyz").await?.0, 200);
    control.unbroken().await?;
    Ok(())
}

/// Waits until the provider's sidecar counts something in a line that begins and goes on so.
async fn counted(mesh: &Mesh, begins: &str, holds: &str) -> Result<()> {
    wait::until(holds, LIMIT, || async {
        let (_, page) = mesh.provider.admin_get("/metrics").await.ok()?;
        page.lines().any(|line| line.starts_with(begins) && line.contains(holds) && !line.ends_with(" 0")).then_some(())
    })
    .await
}
