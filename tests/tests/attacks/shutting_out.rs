//! Nobody's consent is needed to shut a thief out.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use chapar_proto::admin::v1 as admin;
use chapar_tests::{
    attacker::Disguise,
    cli::Chapar,
    echo::pb::EchoRequest,
    hostile::{self, Act, Hostile, SilentFollowers, StolenIdentity, text},
    mesh::{CONSUMER, Mesh, STRANGER, client_of},
    refusal,
    sidecar::Plan,
    traffic::{Dialogue, Load},
    wait,
};
use serde_json::json;

const CONSUMER_ID: &str = "spiffe://exchange.example/agency/asker/sidecar/main";
/// Sidecars of the agency that acknowledges nothing: more than all others together.
const SILENT: usize = 4;
/// How long things may take that take their time.
const LIMIT: Duration = Duration::from_secs(30);
/// Calls of others that go on after each attack.
const OTHERS_CALLS: u64 = 50;

/// Name of the root that issues.
async fn active_root(mesh: &Mesh) -> Result<String> {
    let authority = mesh.control_plane.authority().await?;
    let active = authority.roots.into_iter().find(|root| root.state() == admin::GenerationState::Active);
    Ok(active.context("a root is active")?.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_silent_member_holds_no_rotation_of_the_root_up() -> Result<()> {
    // Two of three agencies are enough, three seconds after it was asked for.
    let rotation = json!({"certificates": {"rootRotationWaitS": 3, "rootRotationAgenciesPercentMin": 60}});
    let mesh = Mesh::start_with(&rotation, &json!({})).await?;
    let plane = &mesh.control_plane;
    let mut tokens = Vec::new();
    for _ in 0..SILENT {
        tokens.push(plane.token(STRANGER).await?);
    }
    let address = plane.address("sidecars").to_owned();
    let _silent = Hostile::start(&Act::SilentFollowers(SilentFollowers { address, agency: STRANGER.to_owned(), tokens }))?;
    wait::until("the silent ones to follow", LIMIT, || async {
        let all = plane.sidecars().await.ok()?.sidecars;
        (all.iter().filter(|sidecar| sidecar.agency == STRANGER && sidecar.connected).count() == SILENT).then_some(())
    })
    .await?;
    let load = Load::start(&mesh.consumer, 2, 1).await?;

    let waiting = plane.ask_for_root(1, false).await?.rotation.context("it says how far it is")?;
    let behind: Vec<_> = waiting.behind.iter().map(|behind| (&*behind.agency, behind.count as usize)).collect();
    assert_eq!((waiting.in_force, waiting.agreed, behind), (false, 2, vec![(STRANGER, SILENT)]));
    assert_eq!(active_root(&mesh).await?, "root-1");
    // Whoever asked has left.
    wait::until("the new root", LIMIT, || async { active_root(&mesh).await.ok().filter(|root| *root == waiting.root) }).await?;
    let chapar = Chapar::at(&plane.endpoint(), mesh.folder())?;
    chapar.run("ca show")?.ends(0).says("root-2 is in force, and left some behind").says("lacks it: stranger (4 sidecars");
    chapar.run("audit list --action root.rotate -o json")?.ends(0).says("stranger (4 sidecars)").says("enough agencies have it");
    load.further(OTHERS_CALLS).await?;

    // Not even so long: an admin dares.
    chapar.run("ca rotate-root --reason stolen --wait 1s --danger-leave-behind")?.ends(0).says("root-3").says("stranger");
    chapar.run("audit list --action root.rotate -o json")?.ends(0).says("--danger-leave-behind");
    load.further(OTHERS_CALLS).await?;
    load.unbroken().await?;
    Ok(())
}

/// What a thief gets with the certificate that he keeps under `shown`, and with a token.
async fn thief(mesh: &Mesh, shown: &Path, token: &str) -> Result<serde_json::Value> {
    let files = |path: &Path| (text(&path.with_extension("crt")), text(&path.with_extension("key")));
    hostile::outcome_of(&Act::StolenIdentity(StolenIdentity {
        address: mesh.control_plane.address("sidecars").to_owned(),
        uri: CONSUMER_ID.to_owned(),
        shown: files(shown),
        token: token.to_owned(),
        renewed: files(&mesh.folder().join("loot/renewed")),
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_sidecar_is_shut_out_with_every_certificate_of_its_name() -> Result<()> {
    let mut mesh = Mesh::start().await?;
    let loot = mesh.folder().join("loot");
    fs::create_dir(&loot)?;
    let stolen = loot.join("stolen");
    Disguise::stolen_from(mesh.consumer.state())?.write(&stolen.with_extension("crt"), &stolen.with_extension("key"))?;
    let token = mesh.control_plane.token(CONSUMER).await?;
    // The same agency's other sidecar is who must not notice.
    let address = mesh.control_plane.address("sidecars").to_owned();
    let second = mesh.join(&Plan::consumer(CONSUMER, &address).named("second")).await?;
    second.ready().await?;
    let load = Load::start(&second, 2, 1).await?;

    assert_eq!(thief(&mesh, &stolen, "").await?, json!({"renew": null, "export": null}), "he has a second certificate now");
    let running = Dialogue::open(mesh.client()?).await?;
    let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;
    chapar.run("sidecar revoke asker/mian --reason stolen")?.ends(4).complains("SIDECAR_UNKNOWN");
    chapar.run("sidecar revoke asker/main --reason stolen")?.ends(0).says("2 live certificates");

    let void = json!("CERTIFICATE_REVOKED");
    let nothing = json!({"renew": void, "export": void, "enrol": "SIDECAR_REVOKED"});
    for shown in [&stolen, &loot.join("renewed")] {
        assert_eq!(thief(&mesh, shown, &token).await?, nothing);
    }
    let ended = tokio::time::timeout(LIMIT, running.broken()).await.context("what ran never ended")?;
    assert_eq!(refusal::reason(&ended), "CERTIFICATE_REVOKED", "{ended:?}");
    load.further(OTHERS_CALLS).await?;
    load.unbroken().await?;
    chapar.run("audit list --action sidecar.revoke -o json")?.ends(0).says("stolen").says(CONSUMER_ID);

    // It comes back with a token that was made afterwards.
    mesh.consumer.kill().await?;
    mesh.consumer = mesh.join(&Plan::consumer(CONSUMER, &address)).await?;
    mesh.consumer.ready().await?;
    let back = client_of(&mesh.consumer)?;
    wait::until("a call of it to be served", LIMIT, || {
        let mut back = back.clone();
        async move { back.unary(EchoRequest::default()).await.ok() }
    })
    .await?;
    Ok(())
}
