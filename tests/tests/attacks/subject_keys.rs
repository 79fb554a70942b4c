//! Whom calls are about, against whoever holds one sidecar, and against admins who are no inspectors.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chapar_tests::{
    cli::{Chapar, Ended},
    echo::pb::AboutRequest,
    hostile::{self, Act, KeyTrial},
    mesh::{GRANTS, Mesh, STRANGER, client_of},
    sidecar::{Plan, Sidecar},
    wait,
};
use serde_json::{Value, json};

/// How long records may take to reach the ledger on a loaded machine.
const RECORDS_LIMIT: Duration = Duration::from_secs(30);
/// A made-up national ID with a right check digit.
const ID: &str = "0013542419";
/// The IDs that the thief tries: it is among them.
const TRIED: (u64, u64) = (13_540_000, 5_000);

/// Two agencies that ask the same provider about the same person.
struct World {
    mesh: Mesh,
    /// The second one's sidecar; the first is the mesh's consumer.
    rival: Sidecar,
    chapar: Chapar,
}

impl World {
    async fn start() -> Result<Self> {
        let mesh = Mesh::start().await?;
        let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;
        mesh.control_plane.apply("grants.yaml", &GRANTS.replace("[asker]", &format!("[asker, {STRANGER}]"))).await?;
        let rival = mesh.join(&Plan::consumer(STRANGER, mesh.control_plane.address("sidecars"))).await?;
        rival.ready().await?;
        mesh.control_plane.distributed(3).await?;
        for (name, role) in [("ali", "admin"), ("sara", "inspector")] {
            chapar.run(&format!("admin-cert issue {name} --role {role} --out certs"))?.ends(0);
        }
        Ok(Self { mesh, rival, chapar })
    }

    /// Runs a command over the network, with the certificate of this admin.
    fn run_with(&self, name: &str, line: &str, input: &str) -> Result<Ended> {
        let endpoint = self.mesh.control_plane.address("admin");
        let shown = format!("--endpoint https://{endpoint} --cert certs/{name}.crt --key certs/{name}.key --ca certs/ca.crt");
        self.chapar.run_with(&format!("{shown} {line}"), input)
    }

    fn json(&self, name: &str, line: &str, input: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.run_with(name, &format!("{line} -o json"), input)?.ends(0).stdout)?)
    }

    /// The tracking ID of a call about the person, once both sides have reported it.
    async fn asked_by(&self, sidecar: &Sidecar) -> Result<String> {
        let request = AboutRequest { subject_id: ID.to_owned(), ..AboutRequest::default() };
        let answer = client_of(sidecar)?.about(request).await?;
        let call_id = answer.metadata().get("chapar-call-id").context("a tracking ID")?.to_str()?.to_owned();
        wait::until("both accounts of a call", RECORDS_LIMIT, || async {
            let found = self.chapar.json(&format!("trace list --call-id {call_id}")).ok()?;
            (found["traces"][0]["accounts"] == json!("AGREES")).then_some(())
        })
        .await?;
        Ok(call_id)
    }

    /// The hashes of the call's accounts, as `name` is shown them.
    fn hashes(&self, name: &str, call_id: &str) -> Result<Vec<String>> {
        let told = self.json(name, &format!("trace show {call_id}"), "")?;
        let spans = told["spans"].as_array().cloned().unwrap_or_default();
        let hash = |span: &Value| Some(span["attributes"]["chapar.subject.hash"].as_str()?.to_owned());
        Ok(spans.iter().filter_map(hash).collect())
    }

    /// What a thief of this state opens of these hashes.
    async fn thief_opens(&self, state: &std::path::Path, hashes: &[String]) -> Result<Value> {
        let (first, count) = TRIED;
        let trial = KeyTrial { state: state.to_owned(), hashes: hashes.to_vec(), first, count };
        hostile::outcome_of(&Act::KeyTrial(trial)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_of_a_person_says_nothing_to_whoever_holds_another_agencys_sidecar() -> Result<()> {
    let world = World::start().await?;
    let (victims, own) = (world.asked_by(&world.mesh.consumer).await?, world.asked_by(&world.rival).await?);
    let hash = |call_id: &str| -> Result<String> {
        let hashes = world.hashes("sara", call_id)?;
        assert_eq!(hashes.len(), 2, "of both sides");
        assert_eq!(hashes[0], hashes[1], "both sides come to the same");
        Ok(hashes[0].clone())
    };
    let hashes = [hash(&victims)?, hash(&own)?];
    assert_ne!(hashes[0], hashes[1], "one person in two agencies' calls cannot even be linked");

    let trial = world.thief_opens(world.rival.state(), &hashes).await?;
    assert!(trial["keys"].as_u64() > Some(0), "{trial}");
    assert_eq!(trial["opened"], json!(["", ID]), "he opens the calls of the agency that he has robbed, and no other's");
    let of_provider = world.thief_opens(world.mesh.provider.state(), &hashes).await?;
    assert_eq!(of_provider["opened"], json!([ID, ID]), "the provider knows whom it was asked about");

    // The control group: the inspector finds both calls, also when the keys have changed since.
    let found = || -> Result<Vec<Value>> {
        let told = world.json("sara", "subject calls --reason complaint", ID)?;
        Ok(told["calls"].as_array().into_iter().flatten().map(|call| call["consumer"].clone()).collect())
    };
    assert_eq!(found()?, [json!(STRANGER), json!("asker")]);
    world.run_with("sara", "subject rotate-key", "")?.ends(0);
    wait::until("the new keys to be in use", RECORDS_LIMIT, || async {
        let call_id = world.asked_by(&world.rival).await.ok()?;
        let told = world.json("sara", &format!("trace show {call_id}"), "").ok()?;
        (told["spans"][0]["attributes"]["chapar.subject.key"] == json!("2")).then_some(())
    })
    .await?;
    assert!(found()?.len() > 2 && found()?.contains(&json!("asker")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_is_no_inspector_sees_that_a_call_is_about_somebody_and_not_about_whom() -> Result<()> {
    let world = World::start().await?;
    let call_id = world.asked_by(&world.mesh.consumer).await?;
    let hash = world.hashes("sara", &call_id)?.first().context("the inspector sees it")?.clone();
    world.run_with("sara", "subject calls --reason complaint", ID)?.ends(0);

    let trace = world.run_with("ali", &format!("trace show {call_id} -o json"), "")?.ends(0).says("masked");
    let audit = world.run_with("ali", "audit list --action subject.calls -o json", "")?.ends(0).says("complaint");
    for shown in [&trace.stdout, &audit.stdout] {
        assert!(!shown.contains(&hash) && !shown.contains("chapar.subject.hash"), "{shown}");
    }
    let entries: Value = serde_json::from_str(&audit.stdout)?;
    assert_eq!(entries["entries"][0]["object"], json!("masked"));
    let export = format!("evidence export {call_id} --out call.json");
    world.run_with("ali", &export, "")?.ends(4).complains("[INSPECTOR_REQUIRED]");
    for line in ["trace list -o json", "ledger unpaired -o json", "ledger verify -o json"] {
        let shown = world.run_with("ali", line, "")?.stdout;
        assert!(!shown.contains(&hash), "{line}: {shown}");
    }
    // The control group.
    world.run_with("sara", &export, "")?.ends(0);
    world.run_with("ali", &format!("trace list --call-id {call_id}"), "")?.ends(0).says("AGREES");
    Ok(())
}
