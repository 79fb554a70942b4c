//! Admins who want more than they were given.

use anyhow::Result;
use chapar_tests::{
    cli::{Chapar, Ended},
    control_plane::ControlPlane,
    hostile::{self, Act, RefusedCalls},
    mesh::AGENCIES,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A made-up ID with a right check digit.
const ID: &str = "0013542419";
/// Calls of a flood.
const CALLS: usize = 400;

/// A control plane with admins of several roles.
struct Scene {
    _folder: TempDir,
    plane: ControlPlane,
    chapar: Chapar,
}

impl Scene {
    async fn new() -> Result<Self> {
        let scene = Self::with(&json!({})).await?;
        scene.plane.apply("agencies.yaml", AGENCIES).await?;
        Ok(scene)
    }

    async fn with(overlay: &Value) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chapar-attacks-").tempdir()?;
        let plane = ControlPlane::start_with(folder.path(), overlay).await?;
        let chapar = Chapar::at(&plane.endpoint(), folder.path())?;
        for (name, role) in [
            ("ali", "admin"),
            ("sara", "inspector"),
            ("reza", "operator:asker"),
            ("mina", "viewer"),
            ("omid", "security"),
            ("vida", "policy-approver"),
        ] {
            chapar.run(&format!("admin-cert issue {name} --role {role} --out certs"))?.ends(0);
        }
        Ok(Self { _folder: folder, plane, chapar })
    }

    /// Runs a command over the network, with the certificate of this admin.
    fn run(&self, name: &str, line: &str) -> Result<Ended> {
        self.run_with(name, line, "")
    }

    fn run_with(&self, name: &str, line: &str, input: &str) -> Result<Ended> {
        let (endpoint, certs) = (self.plane.address("admin"), "certs");
        let shown =
            format!("--endpoint https://{endpoint} --cert {certs}/{name}.crt --key {certs}/{name}.key --ca {certs}/ca.crt");
        self.chapar.run_with(&format!("{shown} {line}"), input)
    }

    /// The audit's entries of this action.
    fn audit(&self, action: &str) -> Result<Vec<Value>> {
        let told = self.chapar.json(&format!("audit list --action {action} --limit 1000"))?;
        Ok(told["entries"].as_array().cloned().unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_makes_himself_nothing_that_he_was_not_given() -> Result<()> {
    let scene = Scene::new().await?;
    let refused = |name: &str, line: &str, reason: &str| -> Result<()> {
        scene.run_with(name, line, ID)?.ends(4).complains(&format!("[{reason}]"));
        Ok(())
    };
    // The inspector's search, by an admin and by whom an admin makes.
    refused("ali", "subject calls --reason curious", "INSPECTOR_REQUIRED")?;
    refused("ali", "admin-cert issue ali-2 --role inspector --out certs", "SECOND_PERSON_REQUIRED")?;
    refused("ali", "admin-cert issue ali-2 --role security --role admin --out certs", "SECOND_PERSON_REQUIRED")?;
    refused("ali", "admin-cert issue sara --out other", "ADMIN_NAME_TAKEN")?;
    scene.run("ali", "admin-cert issue ali-2 --out certs")?.ends(0);
    refused("ali-2", "subject calls --reason curious", "INSPECTOR_REQUIRED")?;
    // Each role without what the others have.
    scene.chapar.write("agencies.yaml", AGENCIES)?;
    for name in ["sara", "reza", "mina", "omid"] {
        refused(name, "apply -f agencies.yaml", "ROLE_MISSING")?;
        refused(name, "admin-cert issue nobody --role admin --out certs", "ROLE_MISSING")?;
    }
    refused("mina", "trace list", "ROLE_MISSING")?;
    refused("reza", "token create answerer", "AGENCY_FOREIGN")?;
    refused("reza", "trace list --agency answerer", "AGENCY_FOREIGN")?;
    refused("reza", "trace list", "AGENCY_FOREIGN")?;
    refused("omid", "subject calls --reason curious", "INSPECTOR_REQUIRED")?;
    // The control group: each does what his role is for.
    scene.run_with("sara", "subject calls --reason complaint", ID)?.ends(0);
    scene.run("ali", "apply -f agencies.yaml")?.ends(0);
    scene.run("reza", "token create asker")?.ends(0);
    scene.run("reza", "trace list --agency asker")?.ends(0);
    scene.run("mina", "agency list")?.ends(0);
    scene.run("omid", "audit verify")?.ends(0);
    scene.run("omid", "agency suspend stranger --reason test")?.ends(0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_of_power_is_on_record_and_a_flood_does_not_fill_it() -> Result<()> {
    let scene = Scene::new().await?;
    let certs = scene.chapar.folder().join("certs");
    let (chain, key) = (certs.join("mina.crt"), certs.join("mina.key"));
    let address = scene.plane.address("admin").to_owned();
    let flood = Act::RefusedCalls(RefusedCalls { address, chain, key, calls: CALLS });
    assert_eq!(hostile::outcome_of(&flood).await?["ROLE_MISSING"], CALLS);
    let refused = scene.audit("policy.apply")?.into_iter().filter(|entry| entry["reason"] == "ROLE_MISSING");
    let refused: Vec<_> = refused.collect();
    assert!(refused.iter().all(|entry| entry["actor"] == "spiffe://exchange.example/admin/mina"), "{refused:?}");
    assert!((1..=4).contains(&refused.len()), "{} rows of {CALLS} calls", refused.len());

    // What is read of the account and of the audit, and by whom.
    let readings = [
        ("trace list --agency asker", "account.list", "asker"),
        ("ledger sums --consumer asker", "account.sums", "asker"),
        ("ledger unpaired", "account.unpaired", ""),
        ("ledger verify", "account.verify", ""),
        ("audit list --actor nobody", "audit.list", "nobody"),
        ("audit verify", "audit.verify", ""),
    ];
    for (line, action, told) in readings {
        scene.run("ali", line)?.ends(0);
        let entries = scene.audit(action)?;
        let entry = entries.iter().find(|entry| entry["actor"] == "spiffe://exchange.example/admin/ali");
        assert!(
            entry.is_some_and(|entry| entry["object"].as_str().is_some_and(|object| object.contains(told))),
            "{line}: {entries:?}"
        );
    }
    for (line, action) in [("trace show 4711", "account.show"), ("evidence export 4711 --out none", "account.evidence")] {
        scene.run("ali", line)?.ends(4);
        let entries = scene.audit(action)?;
        assert!(entries.iter().any(|entry| entry["succeeded"] == true) && entries.len() >= 2, "{line}: {entries:?}");
    }
    // Acts that failed, of services that told nobody before.
    scene.run("ali", "token revoke none")?.ends(4);
    assert_eq!(scene.audit("token.revoke")?.len(), 1);
    scene.chapar.run("audit verify")?.ends(0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_a_second_person_who_is_named_in_the_audit() -> Result<()> {
    let scene = Scene::with(&json!({"access": {"fourEyes": ["policy", "root"]}})).await?;
    scene.chapar.write("agencies.yaml", AGENCIES)?;
    let apply = "apply -f agencies.yaml --reason founding";
    let waits = |ended: Ended| ended.ends(4).complains("[SECOND_PERSON_REQUIRED]");
    let refused = |name: &str, line: &str, reason: &str| -> Result<()> {
        scene.run(name, line)?.ends(4).complains(&format!("[{reason}]"));
        Ok(())
    };
    // What only looks does not wait, and what waits is not done: not over the network, not on the machine itself.
    scene.run("ali", "apply -f agencies.yaml --dry-run")?.ends(0);
    waits(scene.run("ali", apply)?).complains("change 1");
    waits(scene.run("ali", apply)?).complains("change 1");
    waits(scene.chapar.run("apply -f agencies.yaml --reason mine")?).complains("change 2");
    waits(scene.chapar.run("ca rotate-root --reason mine")?).complains("change 3");
    scene.run("ali", "resource list -o json")?.ends(0);
    assert!(!scene.run("ali", "agency list")?.ends(0).stdout.contains("asker"));

    // Nobody is two: not he himself, nor whom he makes an admin, nor who has another role.
    refused("ali", "change approve 1", "SAME_PERSON")?;
    scene.run("ali", "admin-cert issue ali-2 --out certs")?.ends(0);
    refused("ali-2", "change approve 1", "SAME_PERSON")?;
    refused("mina", "change approve 1", "ROLE_MISSING")?;
    refused("omid", "change approve 1", "ROLE_MISSING")?;
    waits(scene.run("ali", apply)?);

    // The second person sees what is asked, and agrees to that and nothing else.
    scene.run("vida", "change show 1")?.ends(0).says("name: asker").says("founding");
    scene.run("vida", "change approve 1")?.ends(0);
    refused("vida", "change reject 1", "CHANGE_DECIDED")?;
    waits(scene.run("ali", "apply -f agencies.yaml --reason another")?).complains("change 4");
    waits(scene.run("ali-2", apply)?).complains("change 5");
    scene.run("ali", apply)?.ends(0);
    let applied = scene.audit("policy.apply")?.into_iter().find(|entry| entry["succeeded"] == true).expect("it was applied");
    assert_eq!(applied["actor"], "spiffe://exchange.example/admin/ali");
    assert!(applied["details"].as_str().is_some_and(|told| told.contains("spiffe://exchange.example/admin/vida")), "{applied}");

    // A new inspector over the network waits, whatever the configuration says.
    waits(scene.run("ali", "admin-cert issue nora --role inspector --out certs")?).complains("change 6");
    refused("vida", "change approve 6", "ROLE_MISSING")?;
    scene.run("omid", "change approve 6")?.ends(0);
    scene.run("ali", "admin-cert issue nora --role inspector --out certs")?.ends(0);
    scene.run_with("nora", "subject calls --reason complaint", ID)?.ends(0);
    // Taking away never waits.
    scene.run("ali", "agency suspend stranger --reason test")?.ends(0);
    scene.chapar.run("audit verify")?.ends(0);
    Ok(())
}
