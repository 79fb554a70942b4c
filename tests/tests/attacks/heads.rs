//! An operator of the exchange who rolls it back.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};
use chapar_tests::{
    cli::Chapar,
    control_plane::ControlPlane,
    echo::pb::EchoRequest,
    hostile::{self, Act, FileAccess},
    mesh::{CONSUMER, GRANTS, Mesh},
    wait,
};
use serde_json::json;

/// How long sidecars may take to come back and to be heard.
const HEARD_LIMIT: Duration = Duration::from_secs(60);
/// What the exchange keeps of itself.
const FILES: [&str; 4] = ["chapar.db", "chapar.db-wal", "chapar.db-shm", "heads.binpb"];
/// Where it keeps the account of calls.
const LEDGER: [&str; 3] = ["ledger.db", "ledger.db-wal", "ledger.db-shm"];

/// Puts the exchange's files from one folder into another, by a process that is none of the exchange's.
fn copied(from: &Path, to: &Path) -> Result<()> {
    files_copied(&FILES, from, to)
}

fn files_copied(files: &[&str], from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for file in files {
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
    mesh.client()?.unary(EchoRequest::default()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_cut_rolled_back_or_deleted_is_seen_by_every_sidecar() -> Result<()> {
    let soon = json!({"controlPlane": {"retryMsMin": 50, "retryMsMax": 500}});
    let mut mesh = Mesh::start_with(&json!({"snapshot": {"refreshS": 1}}), &soon).await?;
    let state = mesh.control_plane.folder().to_owned();
    let (older, whole) = (mesh.folder().join("older"), mesh.folder().join("whole"));
    let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;

    mesh.client()?.unary(EchoRequest::default()).await?;
    let first = remembered(&chapar, 1).await?;
    mesh.control_plane.kill().await?;
    files_copied(&LEDGER, &state, &older)?;
    mesh.control_plane.restart().await?;
    for _ in 0..10 {
        mesh.client()?.unary(EchoRequest::default()).await?;
    }
    // Both accounts of each call.
    remembered(&chapar, first + 20).await?;
    chapar.run("check heads")?.ends(0).says("still so");
    mesh.control_plane.kill().await?;
    files_copied(&LEDGER, &state, &whole)?;

    for (deed, found) in [("deleted", "went back"), ("rolled back", "went back"), ("cut", "went back")] {
        match deed {
            "deleted" => LEDGER.iter().try_for_each(|file| fs::remove_file(state.join(file)).or_else(absent))?,
            "rolled back" => files_copied(&LEDGER, &older, &state)?,
            _ => {
                let statements = ["DELETE FROM spans WHERE id > 2", "UPDATE head SET number = 2"].map(str::to_owned).to_vec();
                let act = Act::FileAccess(FileAccess { file: state.join("ledger.db"), statements });
                hostile::outcome_of(&act).await?;
            }
        }
        mesh.control_plane.restart().await?;
        refused(&mesh.control_plane, found).await.map_err(|error| error.context(deed))?;
        chapar.run("check heads")?.ends(1).says("the ledger no longer reaches");
        let counted = "chapar_control_plane_heads_backwards_total{head=\"ledger\"} ";
        assert!(mesh.control_plane.metrics().await?.contains(counted), "{deed}: it is counted");

        // The control group: with its files back, the exchange is followed again.
        mesh.control_plane.kill().await?;
        files_copied(&LEDGER, &whole, &state)?;
        mesh.control_plane.restart().await?;
        mesh.control_plane.distributed(2).await.map_err(|error| error.context(deed))?;
        chapar.run("check heads")?.ends(0);
        mesh.control_plane.kill().await?;
    }

    // Rows alone, where the head stays: the verification tells.
    let statements = vec!["DELETE FROM spans WHERE id = (SELECT MAX(id) FROM spans)".to_owned()];
    hostile::outcome_of(&Act::FileAccess(FileAccess { file: state.join("ledger.db"), statements })).await?;
    mesh.control_plane.restart().await?;
    chapar.run("ledger verify")?.ends(1).says("LEDGER_CUT");
    Ok(())
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Waits until both sidecars keep a head of the ledger that has got so far; answers how far it has.
async fn remembered(chapar: &Chapar, number: u64) -> Result<u64> {
    wait::until(&format!("both sidecars to keep a head of the ledger at {number}"), HEARD_LIMIT, || async {
        let told = chapar.json("check heads").ok()?;
        let at = |told: &serde_json::Value| told["ledger"].as_str().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        let sidecars = told["sidecars"].as_array()?;
        let least = sidecars.iter().map(at).min()?;
        (sidecars.len() == 2 && least >= number).then_some(least)
    })
    .await
}

/// Waits until both sidecars refuse what the control plane sends, since something of the ledger is gone.
async fn refused(control_plane: &ControlPlane, found: &str) -> Result<()> {
    wait::until("both sidecars to refuse", HEARD_LIMIT, || async {
        let seen = control_plane.sidecars().await.ok()?.sidecars;
        let refusing = seen.iter().filter(|sidecar| sidecar.problem.contains("ledger") && sidecar.problem.contains(found));
        (refusing.count() == 2).then_some(())
    })
    .await
}
