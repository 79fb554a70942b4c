//! Thieves of a key of the authority.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use chapar_tests::{
    attacker::{self, Disguise},
    cli::Chapar,
    echo::pb::EchoRequest,
    hostile::{self, Act, FalseRenewal, Forgery, text},
    mesh::{CONSUMER, EchoClient, Mesh, STRANGER},
    sidecar::Plan,
    traffic::Load,
    wait,
};
use serde_json::{Value, json};

const CONSUMER_ID: &str = "spiffe://exchange.example/agency/asker/sidecar/main";
const STRANGER_ID: &str = "spiffe://exchange.example/agency/stranger/sidecar/main";
const ADMIN_ID: &str = "spiffe://exchange.example/admin/ali";
/// How long sidecars may take to renew after another CA took over: the jitter of 10 s that the exchange allows them, and as much
/// again; and how long they may take to hear of a revocation.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// Calls of others that go on after each attack.
const OTHERS_CALLS: u64 = 50;

/// A mesh, and what a thief took from it.
struct Scene {
    mesh: Mesh,
    /// A copy of the issuing CA's key and certificate.
    loot: PathBuf,
    admin_serial: String,
}

impl Scene {
    async fn new() -> Result<Self> {
        let mesh = Mesh::start().await?;
        let folder = mesh.folder().to_owned();
        Chapar::at(&mesh.control_plane.endpoint(), &folder)?.run("admin-cert issue ali --out certs")?.ends(0);
        let certs = folder.join("admin/certs");
        let admin_serial = Disguise::read(&certs.join("ali.crt"), &certs.join("ali.key"))?.serial()?;
        let loot = folder.join("loot");
        fs::create_dir(&loot)?;
        for file in ["issuing-1.key", "issuing-1.pem"] {
            fs::copy(mesh.control_plane.folder().join("authority").join(file), loot.join(file))?;
        }
        Ok(Self { mesh, loot, admin_serial })
    }

    /// A certificate like the one that the consumer's sidecar holds now, down to its serial number.
    fn double(&self) -> Result<Disguise> {
        let serial = Disguise::stolen_from(self.mesh.consumer.state())?.serial()?;
        Disguise::double(&self.loot, "issuing-1", CONSUMER_ID, &serial)
    }

    /// Another issuing CA takes over, and both sidecars have its certificates in use.
    async fn renewed_by_another_issuer(&self) -> Result<()> {
        self.mesh.control_plane.rotate_issuer().await?;
        for sidecar in [&self.mesh.consumer, &self.mesh.provider] {
            wait::until("a renewed certificate to be in use", CHANGE_LIMIT, || async {
                sidecar.counted("chapar_sidecar_certificate_renewals_total ").await.ok().filter(|count| *count > 0)
            })
            .await?;
        }
        Ok(())
    }

    /// What doubles of the consumer's and an admin's certificate are good for.
    async fn forgery(&self) -> Result<Value> {
        let written = |name: &str, disguise: Disguise| -> Result<(String, String)> {
            let (chain, key) = (self.loot.join(format!("{name}.crt")), self.loot.join(format!("{name}.key")));
            disguise.write(&chain, &key)?;
            Ok((text(&chain), text(&key)))
        };
        let plane = &self.mesh.control_plane;
        let forgery = Forgery {
            sidecars: plane.address("sidecars").to_owned(),
            admin: plane.address("admin").to_owned(),
            uri: CONSUMER_ID.to_owned(),
            sidecar: written("sidecar", self.double()?)?,
            administrator: written("admin", Disguise::double(&self.loot, "issuing-1", ADMIN_ID, &self.admin_serial)?)?,
            agency: CONSUMER.to_owned(),
        };
        hostile::outcome_of(&Act::Forgery(forgery)).await
    }
}

/// The same answer to everything that a thief tries.
fn everywhere(reason: &Value) -> Value {
    json!({"renew": reason, "export": reason, "token": reason, "suspend": reason})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_of_an_issuing_key_is_nobody_before_and_after_its_retirement() -> Result<()> {
    let scene = Scene::new().await?;
    let plane = &scene.mesh.control_plane;
    let load = Load::start(&scene.mesh.consumer, 2, 0).await?;
    let dialogue = Load::start(&scene.mesh.consumer, 0, 1).await?;

    let forged = json!("CERTIFICATE_FORGED");
    assert_eq!(scene.forgery().await?, everywhere(&forged));
    load.further(OTHERS_CALLS).await?;
    // A stream that runs on a certificate of the retired CA ends with it; calls do not.
    dialogue.unbroken().await?;

    scene.renewed_by_another_issuer().await?;
    // Calls that began on links of the former certificates have ended, and others use new ones.
    load.further(OTHERS_CALLS).await?;
    plane.retire("issuing-1", true).await?;
    assert_eq!(scene.forgery().await?, everywhere(&json!("handshake")));

    // A sidecar hears of it with its snapshot; from then on its handshakes fail, and are counted by their cause.
    let inbound = scene.mesh.provider.address("inbound");
    let counted = "chapar_sidecar_handshakes_failed_total{cause=\"revoked\"} ";
    wait::until("the provider to refuse the handshake", CHANGE_LIMIT, || async {
        let mut peer = EchoClient::new(attacker::channel(inbound, Some(&scene.double().ok()?)).ok()?);
        peer.unary(EchoRequest::default()).await.err()?;
        scene.mesh.provider.counted(counted).await.ok().filter(|count| *count > 0)
    })
    .await
    .context("by its metric")?;
    load.further(OTHERS_CALLS).await?;
    load.unbroken().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_issuing_ca_takes_everything_under_it_along_and_who_has_renewed_does_not_notice() -> Result<()> {
    let scene = Scene::new().await?;
    let plane = &scene.mesh.control_plane;
    let mut away = scene.mesh.join(&Plan::consumer(STRANGER, plane.address("sidecars"))).await?;
    away.ready().await?;
    away.kill().await?;
    let load = Load::start(&scene.mesh.consumer, 2, 0).await?;
    let chapar = Chapar::at(&plane.endpoint(), scene.mesh.folder())?;
    let revoke = "ca revoke-issuer issuing-1 --reason copied";
    // The last one in force stays, whoever dares.
    chapar.run(&format!("{revoke} --danger-void-certificates"))?.ends(4).complains("rotate it first");

    scene.renewed_by_another_issuer().await?;
    // As above.
    load.further(OTHERS_CALLS).await?;
    chapar
        .run(revoke)?
        .ends(4)
        .complains(STRANGER_ID)
        .complains("must enrol anew")
        .complains(CONSUMER_ID)
        .complains("has renewed");
    chapar.run(&format!("{revoke} --danger-void-certificates"))?.ends(0).says(&format!("must enrol anew: {STRANGER_ID}"));
    chapar.run("ca show")?.ends(0).says("revoked");
    assert_eq!(scene.forgery().await?, everywhere(&json!("handshake")));
    load.further(OTHERS_CALLS).await?;
    load.unbroken().await?;
    Ok(())
}

/// Life of a sidecar's certificate, in seconds: the shortest that there is, so that it is renewed half a minute after the start.
const SHORT_LIFE_S: u32 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_a_renewal_cannot_put_his_root_in_the_place_of_the_exchanges() -> Result<()> {
    let mut mesh = Mesh::start_with(&json!({"certificates": {"sidecarLifetimeS": SHORT_LIFE_S}}), &json!({})).await?;
    let loot = mesh.folder().join("loot");
    fs::create_dir(&loot)?;
    for file in ["issuing-1.key", "issuing-1.pem"] {
        fs::copy(mesh.control_plane.folder().join("authority").join(file), loot.join(file))?;
    }
    let bundles = [&mesh.consumer, &mesh.provider].map(|sidecar| sidecar.state().join("bundle.pem"));
    let kept = || bundles.iter().map(fs::read).collect::<Result<Vec<_>, _>>();
    let roots = kept()?;
    let load = Load::start(&mesh.consumer, 2, 1).await?;
    let address = mesh.control_plane.address("sidecars").to_owned();
    mesh.control_plane.kill().await?;

    let thief = FalseRenewal { address, authority: loot, issuer: "issuing-1".to_owned(), refusals_max: 0 };
    let outcome = hostile::outcome_of(&Act::FalseRenewal(thief)).await?;
    assert_eq!(outcome, json!({"answered": true}));
    assert_eq!(kept()?, roots, "the thief's root is not kept");
    load.further(OTHERS_CALLS).await?;

    // The control plane denies what the thief gave; its victim goes back to what it had, says so, and renews.
    mesh.control_plane.restart().await?;
    let known = |log: String| log.contains("not the control plane answered") && log.contains("CERTIFICATE_UNKNOWN");
    let (consumer, provider) = (&mut mesh.consumer, &mut mesh.provider);
    wait::until("the victim to say so", CHANGE_LIMIT, || {
        let told = [consumer.process().log_end(), provider.process().log_end()].into_iter().any(known);
        async move { told.then_some(()) }
    })
    .await?;
    for sidecar in [&mesh.consumer, &mesh.provider] {
        wait::until("a certificate that the control plane issued", CHANGE_LIMIT, || async {
            let serial = Disguise::stolen_from(sidecar.state()).ok()?.serial().ok()?;
            let issued = mesh.control_plane.certificates(sidecar.agency()).await.ok()?;
            issued.iter().any(|certificate| certificate.serial == serial).then_some(())
        })
        .await?;
        sidecar.ready().await?;
    }
    mesh.control_plane.distributed(2).await?;
    load.further(OTHERS_CALLS).await?;
    load.unbroken().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_of_a_retired_issuing_key_is_no_control_plane_to_a_sidecar() -> Result<()> {
    let mut scene = Scene::new().await?;
    scene.renewed_by_another_issuer().await?;
    let load = Load::start(&scene.mesh.consumer, 2, 1).await?;
    scene.mesh.control_plane.retire("issuing-1", true).await?;
    // A later change that both hold shows that they hold this one.
    scene.mesh.control_plane.revoke_grant("test-1/1/asker/echo-push").await?;
    scene.mesh.control_plane.distributed(2).await?;
    let address = scene.mesh.control_plane.address("sidecars").to_owned();
    scene.mesh.control_plane.kill().await?;

    let thief = FalseRenewal { address, authority: scene.loot.clone(), issuer: "issuing-1".to_owned(), refusals_max: 4 };
    let outcome = hostile::outcome_of(&Act::FalseRenewal(thief)).await?;
    assert_eq!(outcome, json!({"answered": false, "refused": 4}), "every handshake is ended by the sidecar");
    scene.mesh.control_plane.restart().await?;
    scene.mesh.control_plane.distributed(2).await?;
    load.further(OTHERS_CALLS).await?;
    load.unbroken().await?;
    Ok(())
}
