//! The audit under attack.

use anyhow::Result;
use chapar_tests::{
    cli::Chapar,
    control_plane::ControlPlane,
    hostile::{self, Act, FileAccess},
    mesh::AGENCIES,
};
use serde_json::Value;
use tempfile::TempDir;

/// A control plane with some acts on record.
struct Scene {
    folder: TempDir,
    plane: ControlPlane,
    chapar: Chapar,
}

impl Scene {
    async fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chapar-attacks-").tempdir()?;
        let plane = ControlPlane::start(folder.path()).await?;
        plane.apply("agencies.yaml", AGENCIES).await?;
        for _ in 0..4 {
            plane.token("asker").await?;
        }
        let chapar = Chapar::at(&plane.endpoint(), folder.path())?;
        Ok(Self { folder, plane, chapar })
    }

    async fn tampered(&self, statement: &str) -> Result<Value> {
        let file = self.plane.folder().join("chapar.db");
        hostile::outcome_of(&Act::FileAccess(FileAccess { file, statements: vec![statement.to_owned()] })).await
    }

    /// What a verification finds, each with its kind.
    fn found(&self) -> Result<Vec<String>> {
        let told = self.chapar.json("audit verify")?;
        let findings = told["findings"].as_array().cloned().unwrap_or_default();
        Ok(findings.iter().filter_map(|finding| finding["kind"].as_str().map(str::to_owned)).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_the_audits_file_is_found_by_its_verification() -> Result<()> {
    let newest = "(SELECT MAX(id) FROM audit)";
    let cases = [
        ("removed", "DELETE FROM audit WHERE id = 2".to_owned(), "ENTRY_MISSING"),
        (
            "altered",
            "UPDATE audit SET actor = 'spiffe://exchange.example/admin/somebody' WHERE id = 3".to_owned(),
            "ENTRY_ALTERED",
        ),
        (
            "exchanged",
            "UPDATE audit SET object = CASE id WHEN 2 THEN 'a' ELSE 'b' END WHERE id IN (2, 4)".to_owned(),
            "ENTRY_ALTERED",
        ),
        ("cut off", format!("DELETE FROM audit WHERE id >= {newest} - 1"), "ENTRY_CUT_OFF"),
        (
            "put in",
            format!(
                "INSERT INTO audit SELECT id + 1, at_ms, actor, action, object, succeeded, reason, details, hash FROM audit WHERE id = {newest}"
            ),
            "ENTRY_ALTERED",
        ),
    ];
    let scenes = (Scene::new().await?, Scene::new().await?);
    let control = &scenes.0;
    control.chapar.run("audit verify")?.ends(0).says("Nothing was removed");
    for (at, (deed, statement, kind)) in cases.into_iter().enumerate() {
        let scene = if at == 0 { &scenes.1 } else { &Scene::new().await? };
        let done = scene.tampered(&statement).await?;
        assert!(done["changed"][0].as_u64().is_some_and(|rows| rows > 0), "{deed}: {done}");
        // That it was read may be on record before it is: what was cut off before is then missing.
        let kinds = if kind == "ENTRY_CUT_OFF" { [kind, "ENTRY_MISSING"] } else { [kind; 2] };
        let found = scene.found()?;
        assert!(found.first().is_some_and(|found| kinds.contains(&found.as_str())), "{deed}: {found:?}");
        // What is done afterwards neither heals it nor is it lost.
        scene.plane.token("asker").await?;
        assert_eq!(
            scene.found()?.first().map(String::as_str),
            Some(if kind == "ENTRY_CUT_OFF" { "ENTRY_MISSING" } else { kind }),
            "{deed}"
        );
        scene.chapar.run("audit verify")?.ends(1);
    }
    control.chapar.run("audit verify")?.ends(0);
    assert!(control.folder.path().exists());
    Ok(())
}
