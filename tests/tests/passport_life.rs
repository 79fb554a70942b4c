//! What is not in an approved passport can be neither offered nor called, and no passport may break those who call.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use chapar_tests::{
    behaviours,
    cli::Chapar,
    echo::{self, pb::EchoRequest},
    mesh::{Mesh, PROVIDER},
    refusal,
    sidecar::{Offer, Plan},
    wait,
};

/// How long a change may take to reach sidecars on a loaded machine.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// Calls that would show a second sidecar taking its share.
const SHARED_CALLS: usize = 20;

/// The echo service's descriptor set with one word for another of the same length, so that it stays well formed.
fn changed(word: &str, for_word: &str) -> Result<Vec<u8>> {
    assert_eq!(word.len(), for_word.len());
    let mut set = echo::DESCRIPTOR_SET.to_vec();
    let at = set.windows(word.len()).position(|bytes| bytes == word.as_bytes()).context("the word is there")?;
    set[at..at + word.len()].copy_from_slice(for_word.as_bytes());
    Ok(set)
}

behaviours!(World::start:
    an_incompatible_passport_is_not_taken,
    an_incompatible_sidecar_gets_no_calls,
    a_compatible_passport_follows_without_a_failed_call,
    a_retired_passport_takes_its_inquiries_away,
);

/// A mesh, and the CLI beside two other descriptions of its service.
struct World {
    mesh: Mesh,
    chapar: Chapar,
}

impl World {
    async fn start() -> Result<Self> {
        let mesh = Mesh::start().await?;
        let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;
        fs::write(chapar.folder().join("broken.binpb"), broken()?)?;
        fs::write(chapar.folder().join("better.binpb"), changed("One for one", "One by one.")?)?;
        Ok(Self { mesh, chapar })
    }
}

/// A description that takes an inquiry away.
fn broken() -> Result<Vec<u8>> {
    changed("ClientStream", "ClientScream")
}

async fn an_incompatible_passport_is_not_taken(World { chapar, .. }: &mut World) -> Result<()> {
    let refused = chapar.run("passport submit -f broken.binpb --agency answerer")?.ends(4);
    refused.complains("[PASSPORT_INCOMPATIBLE]").complains("ClientStream");
    Ok(())
}

async fn an_incompatible_sidecar_gets_no_calls(World { mesh, chapar }: &mut World) -> Result<()> {
    // Nobody listens at port 1 of loopback: a call that came here would fail.
    let upstreams = vec!["127.0.0.1:1".to_owned()];
    let offer = Offer { grpc_service: echo::GRPC_SERVICE.to_owned(), descriptor_set: broken()?, upstreams };
    let plan = Plan::consumer(PROVIDER, mesh.control_plane.address("sidecars")).named("next").offering(offer);
    let next = mesh.join(&plan).await?;
    wait::until("the operator to be told", CHANGE_LIMIT, || async {
        let log = fs::read_to_string(next.state().join("log")).ok()?;
        (log.contains("incompatible with its passport in force") && log.contains("ClientStream")).then_some(())
    })
    .await?;
    mesh.control_plane.distributed(3).await?;
    let listed = chapar.json(&format!("sidecar list --agency {PROVIDER}"))?;
    let sidecars = listed["sidecars"].as_array().context("a list")?;
    let next = sidecars.iter().find(|sidecar| sidecar["name"] == "next").context("it is listed")?;
    assert!(next["grpcServices"].as_array().is_none_or(Vec::is_empty), "{next}");
    let mut client = mesh.client()?;
    for _ in 0..SHARED_CALLS {
        client.unary(EchoRequest::default()).await?;
    }
    Ok(())
}

async fn a_compatible_passport_follows_without_a_failed_call(World { mesh, chapar }: &mut World) -> Result<()> {
    chapar.run("passport submit -f better.binpb --agency answerer")?.ends(0).says("submitted");
    let submitted = chapar.json("passport list --state submitted")?;
    let version = submitted["passports"][0]["version"].as_str().context("it has a version")?.to_owned();
    chapar.run(&format!("passport diff {version}"))?.ends(0).says("One by one.");
    let mut client = mesh.client()?;
    client.unary(EchoRequest::default()).await?;
    chapar.run(&format!("passport approve {version}"))?.ends(0).says("approved");
    for _ in 0..SHARED_CALLS {
        client.unary(EchoRequest::default()).await?;
    }
    mesh.control_plane.distributed(2).await?;
    client.unary(EchoRequest::default()).await?;
    let superseded = chapar.json("passport list --state superseded")?;
    assert_eq!(superseded["passports"].as_array().map(Vec::len), Some(1), "{superseded}");
    Ok(())
}

async fn a_retired_passport_takes_its_inquiries_away(World { mesh, chapar }: &mut World) -> Result<()> {
    let approved = chapar.json("passport list --state approved")?;
    let version = approved["passports"][0]["version"].as_str().context("it has a version")?.to_owned();
    chapar.run(&format!("passport retire {version} --reason replaced"))?.ends(0);
    let reason = wait::until("the inquiry to be gone", CHANGE_LIMIT, || async {
        Some(refusal::reason(&mesh.client().ok()?.unary(EchoRequest::default()).await.err()?))
    })
    .await?;
    assert_eq!(reason, "UNKNOWN_INQUIRY");
    chapar.run("explain asker echo-unary")?.ends(1).says("[UNKNOWN_INQUIRY]");
    Ok(())
}
