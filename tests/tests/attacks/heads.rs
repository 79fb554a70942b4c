//! An operator of the exchange who rolls it back.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};
use chapar_tests::{
    cli::Chapar,
    mesh::{CONSUMER, GRANTS, Mesh},
    wait,
};
use serde_json::json;

/// How long sidecars may take to come back and to be heard.
const HEARD_LIMIT: Duration = Duration::from_secs(60);
/// What the exchange keeps of itself.
const FILES: [&str; 4] = ["chapar.db", "chapar.db-wal", "chapar.db-shm", "heads.binpb"];

/// Puts the exchange's files from one folder into another, by a process that is none of the exchange's.
fn copied(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for file in FILES {
        let _ = fs::remove_file(to.join(file));
        if from.join(file).exists() {
            ensure!(Command::new("cp").arg(from.join(file)).arg(to.join(file)).status()?.success(), "cp {file}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_rolls_the_exchange_back_is_seen_by_every_sidecar() -> Result<()> {
    // A sign of life a second: what was signed since the last update goes out with it.
    let mut mesh = Mesh::start_with(&json!({"snapshot": {"refreshS": 1}}), &json!({})).await?;
    let (state, older) = (mesh.control_plane.folder().to_owned(), mesh.folder().join("older"));
    mesh.control_plane.kill().await?;
    copied(&state, &older)?;
    mesh.control_plane.restart().await?;
    let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;

    // What the operator would rather not have done, and sidecars have heard of.
    mesh.control_plane.apply("grants.yaml", &GRANTS.replace("Test resolution", "Another resolution")).await?;
    mesh.control_plane.distributed(2).await?;
    wait::until("both sidecars to keep the newest policy's head", HEARD_LIMIT, || async {
        let told = chapar.json("check heads").ok()?;
        let newest = told["own"]["policy"].clone();
        let sidecars = told["sidecars"].as_array()?;
        (sidecars.len() == 2 && sidecars.iter().all(|sidecar| sidecar["policy"] == newest)).then_some(())
    })
    .await?;
    chapar.run("check heads")?.ends(0).says("still so");
    chapar.run("audit verify")?.ends(0);

    // Every file goes back, and the memory with the process.
    mesh.control_plane.kill().await?;
    copied(&older, &state)?;
    mesh.control_plane.restart().await?;
    wait::until("both sidecars to refuse", HEARD_LIMIT, || async {
        let seen = mesh.control_plane.sidecars().await.ok()?.sidecars;
        let refusing =
            seen.iter().filter(|sidecar| sidecar.problem.contains("went back") && sidecar.problem.contains("rolled back"));
        (refusing.count() == 2).then_some(())
    })
    .await?;
    let told = chapar.run("check heads")?.ends(1).says("the audit").says("the policy no longer reaches");
    assert!(told.stdout.contains(CONSUMER), "{}", told.stdout);
    chapar.run("audit verify")?.ends(1);
    chapar.run("audit list --action snapshot.refuse -o json")?.ends(0).says("went back");

    // The control group: calls go on by the policy that was in force.
    mesh.client()?.unary(chapar_tests::echo::pb::EchoRequest::default()).await?;
    Ok(())
}
