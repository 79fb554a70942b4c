//! The account of calls, from end to end: paired, searched, told to inspectors, and proven.

use std::time::Duration;

use anyhow::Result;
use chapar_tests::{
    cli::Chapar,
    echo::pb::{AboutRequest, EchoRequest},
    mesh::{GRANTS, Mesh},
    refusal, wait,
};
use serde_json::{Value, json};
use tonic::{Request, metadata::MetadataValue};

/// How long records may take to reach the ledger on a loaded machine.
const RECORDS_LIMIT: Duration = Duration::from_secs(30);
/// How long a policy that was just changed may take to show.
const POLICY_LIMIT: Duration = Duration::from_secs(10);
/// A made-up national ID with a right check digit.
const ID: &str = "0013542419";

#[tokio::test(flavor = "multi_thread")]
async fn an_inspector_learns_who_asked_about_a_person_and_for_what() -> Result<()> {
    let mesh = Mesh::start_with(&json!({"inspectors": ["local:uid=0"]}), &json!({})).await?;
    let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;
    demands_a_purpose(&mesh).await?;
    let call_id = asks_about(&mesh, ID, "pension file 12").await?;
    let other = asks_about(&mesh, "10380284790", "licence").await?;
    paired(&chapar, &call_id).await?;
    paired(&chapar, &other).await?;

    let told = chapar.run_with("subject calls --reason complaint-7 -o json", "۰۰۱۳۵۴۲۴۱۹\n")?.ends(0);
    let told: Value = serde_json::from_str(&told.stdout)?;
    let calls = told["calls"].as_array().cloned().unwrap_or_default();
    assert_eq!(calls.len(), 1, "{told}");
    assert_eq!((&calls[0]["consumer"], &calls[0]["purpose"]), (&json!("asker"), &json!("pension file 12")));
    assert_eq!((&calls[0]["callId"], &calls[0]["resolution"]), (&json!(call_id), &json!("test-1")));

    chapar.run("subject rotate-key")?.ends(0);
    chapar.run_with("subject calls --reason again", ID)?.ends(0).says("pension file 12");
    let mistyped = chapar.run_with("subject calls --reason again", "0013542418")?.ends(4).complains("[SUBJECT_MALFORMED]");
    assert!(!mistyped.stderr.contains("0013542418"), "{}", mistyped.stderr);
    let audit = chapar.run("audit list --action subject -o json")?.ends(0).says("complaint-7").says("local:uid=0");
    assert!(!audit.stdout.contains(ID), "{}", audit.stdout);
    nobody_has_the_id(&mesh)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_proven_by_a_file_and_the_root_alone() -> Result<()> {
    // The call is about somebody: only an inspector exports what says so.
    let mesh = Mesh::start_with(&json!({"inspectors": ["local:uid=0"]}), &json!({})).await?;
    let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;
    let call_id = asks_about(&mesh, ID, "proof").await?;
    paired(&chapar, &call_id).await?;
    chapar.run("admin-cert issue sara --out certs")?.ends(0);
    chapar.run(&format!("evidence export {call_id} --out call.json"))?.ends(0);
    let proven = chapar.run("evidence verify call.json --bundle certs/ca.crt")?.ends(0).says("PROVEN").says(&call_id);
    for side in ["consumer's side, by spiffe://", "provider's side, by spiffe://"] {
        assert!(proven.stdout.contains(side), "{}", proven.stdout);
    }
    let file = std::fs::read_to_string(chapar.folder().join("call.json"))?;
    let other = file.replacen(&call_id, &"0".repeat(32), 1);
    chapar.write("other.json", &other)?;
    chapar.run("evidence verify other.json --bundle certs/ca.crt")?.ends(1).says("NOT PROVEN");
    chapar.run("evidence export 00000000000000000000000000000001 --out none.json")?.ends(4).complains("[CALL_UNKNOWN]");
    chapar.run("ledger verify")?.ends(0).says("Nothing was removed or altered.");
    chapar.run("ledger unpaired")?.ends(0).says("Every call has the accounts of both sides.");
    Ok(())
}

async fn demands_a_purpose(mesh: &Mesh) -> Result<()> {
    let grants = GRANTS.replace("inquiries:", "purposeRequired: true\n      inquiries:");
    mesh.control_plane.apply("grants.yaml", &grants).await?;
    let refused = wait::until("the purpose to be demanded", POLICY_LIMIT, || async {
        mesh.client().ok()?.unary(EchoRequest::default()).await.err()
    })
    .await?;
    assert_eq!(refusal::reason(&refused), "PURPOSE_MISSING");
    Ok(())
}

/// The tracking ID of a call about this person.
async fn asks_about(mesh: &Mesh, id: &str, purpose: &'static str) -> Result<String> {
    let mut request = Request::new(AboutRequest { subject_id: id.to_owned(), ..AboutRequest::default() });
    request.metadata_mut().insert("chapar-purpose", MetadataValue::from_static(purpose));
    let answer = mesh.client()?.about(request).await?;
    Ok(answer.metadata().get("chapar-call-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned())
}

async fn paired(chapar: &Chapar, call_id: &str) -> Result<()> {
    wait::until("both accounts of a call", RECORDS_LIMIT, || async {
        let found = chapar.json(&format!("trace list --call-id {call_id}")).ok()?;
        (found["traces"][0]["spans"] == json!(2) && found["traces"][0]["awaited"] == json!("")).then_some(())
    })
    .await
}

/// Neither the stores nor the spools hold the ID as it was asked.
fn nobody_has_the_id(mesh: &Mesh) -> Result<()> {
    let mut folders = vec![mesh.folder().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_type()?.is_file() {
                let bytes = std::fs::read(entry.path())?;
                let found = bytes.windows(ID.len()).any(|window| window == ID.as_bytes());
                assert!(!found, "{} holds the ID", entry.path().display());
                files += 1;
            }
        }
    }
    assert!(files > 5, "{files} files");
    Ok(())
}
