//! Roots and issuing CAs are exchanged under load, and no call notices.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chapar_proto::admin::v1 as admin;
use chapar_tests::{
    control_plane::ControlPlane,
    echo::pb::EchoRequest,
    mesh::{CONSUMER, Mesh, PROVIDER, STRANGER},
    sidecar::Plan,
    traffic::Load,
    wait,
};

/// Clients in closed loop while generations change.
const CLIENTS: usize = 8;
/// Streams that live from the first generation to the last.
const DIALOGUES: usize = 4;
/// How long sidecars may take to renew after another CA took over: the jitter of 10 s that the exchange allows them, and
/// as much again.
const RENEWED_LIMIT: Duration = Duration::from_secs(30);
/// How long a rotation of the root waits for connected sidecars, in seconds.
const ROTATION_WAIT_S: u32 = 60;
/// How long sidecars may take to find the control plane.
const CONNECTED_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_hands_under_load_without_a_failed_call() -> Result<()> {
    let mut mesh = Mesh::start().await?;
    let load = Load::start(&mesh.consumer, CLIENTS, DIALOGUES).await?;
    load.further(100).await?;
    let former = active(&mesh.control_plane.authority().await?)?;
    issuers_follow_one_another(&mesh, &load).await?;
    roots_follow_one_another(&mesh, &load).await?;
    let tally = load.unbroken().await?;
    println!("{} calls and {} messages on {DIALOGUES} streams over both rotations, none failed", tally.calls, tally.messages);
    the_former_generation_is_retired(&mesh, former).await?;
    who_was_away_comes_back(&mut mesh).await
}

async fn issuers_follow_one_another(mesh: &Mesh, load: &Load) -> Result<()> {
    let plane = &mesh.control_plane;
    let (root, former) = active(&plane.authority().await?)?;
    let issuer = plane.rotate_issuer().await?;
    assert_ne!(issuer, former);
    hang_on(plane, &[CONSUMER, PROVIDER], &issuer).await?;
    load.further(100).await?;
    let authority = plane.authority().await?;
    assert_eq!(active(&authority)?, (root, issuer));
    assert_eq!(state_of(&authority, &former)?, admin::GenerationState::Superseded);
    Ok(())
}

async fn roots_follow_one_another(mesh: &Mesh, load: &Load) -> Result<()> {
    let plane = &mesh.control_plane;
    let before = active(&plane.authority().await?)?;
    // A sidecar that hangs is connected, and does not trust the new root yet: nothing is issued from it for a while.
    let mut idle = mesh.join(&Plan::consumer(STRANGER, plane.address("sidecars"))).await?;
    idle.ready().await?;
    idle.process().freeze().await?;
    let waiting = plane.ask_for_root(1, false).await?.rotation.context("it says how far it is")?;
    assert!(!waiting.in_force && waiting.behind.iter().map(|behind| &*behind.agency).eq([STRANGER]), "{waiting:?}");
    assert_eq!(active(&plane.authority().await?)?, before);
    idle.process().thaw().await?;
    // Nobody asks again: it comes in force by itself.
    let (root, issuer) = wait::until("the new root", CONNECTED_LIMIT, || async {
        active(&plane.authority().await.ok()?).ok().filter(|now| *now != before)
    })
    .await?;
    assert_eq!(root, waiting.root);
    let former = before.0;
    hang_on(plane, &[CONSUMER, PROVIDER, STRANGER], &issuer).await?;
    load.further(200).await?;
    let authority = plane.authority().await?;
    assert_eq!(active(&authority)?, (root, issuer));
    assert_eq!(state_of(&authority, &former)?, admin::GenerationState::Superseded);
    Ok(())
}

/// The certificates that were replaced live for the rest of their day: only who says so voids them before.
async fn the_former_generation_is_retired(mesh: &Mesh, (root, issuer): (String, String)) -> Result<()> {
    let plane = &mesh.control_plane;
    for generation in [&issuer, &root] {
        let refused = plane.retire(generation, false).await.expect_err("certificates of it are not expired yet");
        assert!(format!("{refused:#}").contains("GENERATION_IN_USE"), "{refused:#}");
        plane.retire(generation, true).await?;
        assert_eq!(state_of(&plane.authority().await?, generation)?, admin::GenerationState::Retired);
    }
    // A later change that both sidecars hold shows that they hold this one too.
    plane.revoke_grant("test-1/1/asker/echo-push").await?;
    plane.distributed(2).await?;
    let load = Load::start(&mesh.consumer, CLIENTS, 1).await?;
    load.further(100).await?;
    load.unbroken().await?;
    Ok(())
}

/// A root changes while both sidecars are down: each comes back by what it kept.
async fn who_was_away_comes_back(mesh: &mut Mesh) -> Result<()> {
    mesh.consumer.kill().await?;
    mesh.provider.kill().await?;
    let plane = &mesh.control_plane;
    wait::until("both sidecars to be seen as gone", CONNECTED_LIMIT, || async {
        plane.sidecars().await.ok()?.sidecars.iter().all(|sidecar| !sidecar.connected).then_some(())
    })
    .await?;
    let (_, issuer) = plane.rotate_root(ROTATION_WAIT_S).await?;
    mesh.provider.restart().await?;
    mesh.consumer.restart().await?;
    let plane = &mesh.control_plane;
    plane.distributed(2).await?;
    mesh.consumer.ready().await?;
    mesh.client()?.unary(EchoRequest::default()).await.context("a call after both came back")?;
    hang_on(plane, &[CONSUMER, PROVIDER], &issuer).await?;
    mesh.client()?.unary(EchoRequest::default()).await.context("a call with certificates of the new root")?;
    Ok(())
}

/// Waits until each agency's newest certificate was issued by `issuer`.
async fn hang_on(plane: &ControlPlane, agencies: &[&str], issuer: &str) -> Result<()> {
    for agency in agencies {
        wait::until(&format!("{agency} to hold a certificate of {issuer}"), RENEWED_LIMIT, || async {
            let certificates = plane.certificates(agency).await.ok()?;
            certificates.iter().any(|certificate| certificate.issuer == issuer).then_some(())
        })
        .await?;
    }
    Ok(())
}

/// Names of the root and the issuing CA in use.
fn active(authority: &admin::GetAuthorityResponse) -> Result<(String, String)> {
    let of = |generations: &[admin::Generation]| {
        let active = generations.iter().find(|generation| generation.state() == admin::GenerationState::Active);
        active.map(|generation| generation.name.clone()).context("one generation is active")
    };
    Ok((of(&authority.roots)?, of(&authority.issuers)?))
}

fn state_of(authority: &admin::GetAuthorityResponse, name: &str) -> Result<admin::GenerationState> {
    let mut all = authority.roots.iter().chain(&authority.issuers);
    Ok(all.find(|generation| generation.name == name).with_context(|| format!("no generation {name}"))?.state())
}
