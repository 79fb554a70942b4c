//! An agency that takes another's names.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use chapar_tests::{
    attacker::Disguise,
    cli::Chapar,
    control_plane::ControlPlane,
    echo::{self, EchoServer},
    hostile::{self, Act, Registering},
    mesh::{AGENCIES, PROVIDER, STRANGER, echo_offer},
    sidecar::{Plan, Sidecar},
    wait,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a registration may take to be seen.
const NOTICED_LIMIT: Duration = Duration::from_secs(30);

/// A control plane with three agencies, and an attacker who is enrolled as one of them.
struct Scene {
    folder: TempDir,
    plane: ControlPlane,
    chapar: Chapar,
    attack: Registering,
}

impl Scene {
    /// `descriptor_set` is what the attacker offers as the echo service.
    async fn new(resources: &str, overlay: &Value, descriptor_set: &[u8]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chapar-attacks-").tempdir()?;
        let plane = ControlPlane::start_with(folder.path(), overlay).await?;
        plane.apply("agencies.yaml", resources).await?;
        let chapar = Chapar::at(&plane.endpoint(), folder.path())?;
        let uri = format!("spiffe://exchange.example/agency/{STRANGER}/sidecar/main");
        let attack = registering(&plane, folder.path(), &Disguise::enrolled(&plane, STRANGER, &uri).await?, descriptor_set)?;
        Ok(Self { folder, plane, chapar, attack })
    }

    async fn attack(&self, change: impl FnOnce(&mut Registering)) -> Result<Value> {
        let mut attack = self.attack.clone();
        change(&mut attack);
        hostile::outcome_of(&Act::Registering(attack)).await
    }

    /// The owner's sidecar, which registers the echo service.
    async fn owner(&self, upstream: &str) -> Result<Sidecar> {
        let plan = Plan::consumer(PROVIDER, self.plane.address("sidecars")).offering(echo_offer(upstream));
        Sidecar::start(self.folder.path(), &plan, &self.plane.token(PROVIDER).await?).await
    }

    fn passports(&self) -> Result<Vec<Value>> {
        Ok(self.chapar.json("passport list")?["passports"].as_array().cloned().unwrap_or_default())
    }
}

fn registering(plane: &ControlPlane, folder: &std::path::Path, who: &Disguise, descriptor_set: &[u8]) -> Result<Registering> {
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let (chain, key, offered) = (file("attacker.crt"), file("attacker.key"), file("attacker.binpb"));
    who.write(&chain, &key)?;
    fs::write(&offered, descriptor_set)?;
    Ok(Registering {
        address: plane.address("sidecars").to_owned(),
        chain,
        key,
        advertised: vec!["8.8.8.8:15002".to_owned()],
        offer: (echo::GRPC_SERVICE.to_owned(), offered),
        software_version: "1".to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_squatters_draft_reserves_nothing() -> Result<()> {
    // Nothing says yet whose the system is.
    let (agencies, system) = AGENCIES.rsplit_once("---").context("the system comes last")?;
    let scene = Scene::new(agencies, &json!({}), echo::DESCRIPTOR_SET).await?;
    assert_eq!(scene.attack(|_| {}).await?["8.8.8.8:15002"][0], "", "a draft may wait for its system");
    let server = EchoServer::start().await?;
    let _owner = scene.owner(server.address()).await?;
    wait::until("the owner's draft beside the squatter's", NOTICED_LIMIT, || async {
        scene.passports().is_ok_and(|passports| passports.len() == 2).then_some(())
    })
    .await?;
    let version = scene.passports()?[0]["version"].as_str().context("a version")?.to_owned();
    let run = |line: &str| scene.chapar.run(&line.replace("VERSION", &version));

    // The approver sees both, and says whom he means.
    run("passport list")?.ends(0).says("draft (also drafted by stranger)").says("draft (also drafted by answerer)");
    run("passport show VERSION --agency answerer")?.ends(0).says("also drafted by").says("stranger");
    run("passport submit VERSION")?.ends(4).complains("several agencies drafted this passport: answerer, stranger");
    scene.plane.apply("system.yaml", system).await?;
    run("passport submit VERSION --agency stranger")?
        .ends(4)
        .complains("[FOREIGN_SERVICE]")
        .complains("its information system echo-system is answerer's");
    run("passport submit VERSION --agency answerer")?.ends(0);
    run("passport approve VERSION")?.ends(0);
    let states: Vec<_> = scene.passports()?.iter().map(|found| (found["agency"].clone(), found["state"].clone())).collect();
    assert_eq!(
        states,
        [(json!("answerer"), json!("PASSPORT_STATE_APPROVED")), (json!("stranger"), json!("PASSPORT_STATE_DRAFT"))]
    );
    // From now on the squatter is told whose it is.
    let refused = scene.attack(|_| {}).await?;
    assert_eq!(refused["8.8.8.8:15002"][0], "FOREIGN_SERVICE", "{refused}");
    assert!(refused["8.8.8.8:15002"][1].as_str().unwrap_or_default().contains("answerer"), "{refused}");
    run("passport approve VERSION --agency stranger --danger-allow-breaks")?.ends(4).complains("[FOREIGN_SERVICE]");
    Ok(())
}
