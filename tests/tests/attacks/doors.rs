//! Floods at the control plane's listeners: whoever floods is held up by himself, and others notice nothing.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chapar_proto::v1::{
    RegisterRequest, RenewRequest, enrolment_service_client::EnrolmentServiceClient,
    registration_service_client::RegistrationServiceClient,
};
use chapar_tests::{
    attacker::{self, Disguise},
    cli::Chapar,
    control_plane::ControlPlane,
    hostile::{Act, Asked, FalseClaims, Flood, Hostile, Idlers},
    mesh::{AGENCIES, CONSUMER, PROVIDER, STRANGER},
    process::http_get,
    refusal, wait,
};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// How long an attacker floods.
const FLOOD_MS: u64 = 4_000;
/// How long an attack may take to show.
const BEGINS_LIMIT: Duration = Duration::from_secs(20);
/// Rounds of what honest ones do meanwhile.
const ROUNDS: usize = 4;

struct Scene {
    folder: TempDir,
    plane: ControlPlane,
    chapar: Chapar,
}

impl Scene {
    async fn new(shares: &Value, open_files: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chapar-attacks-").tempdir()?;
        let plane = ControlPlane::start_with_files(folder.path(), &json!({ "shares": shares }), open_files).await?;
        plane.apply("agencies.yaml", AGENCIES).await?;
        let chapar = Chapar::at(&plane.endpoint(), folder.path())?;
        Ok(Self { folder, plane, chapar })
    }

    fn address(&self) -> String {
        self.plane.address("sidecars").to_owned()
    }

    /// Certificate and key of a sidecar of `agency`, in files.
    async fn stolen(&self, agency: &str) -> Result<(PathBuf, PathBuf)> {
        let (chain, key) = (self.folder.path().join(format!("{agency}.crt")), self.folder.path().join(format!("{agency}.key")));
        Disguise::enrolled(&self.plane, agency, &uri(agency)).await?.write(&chain, &key)?;
        Ok((chain, key))
    }

    async fn flood(&self, agency: &str, asked: Asked) -> Result<Hostile> {
        let (chain, key) = self.stolen(agency).await?;
        Hostile::start(&Act::Flood(Flood { address: self.address(), chain, key, asked, length_ms: FLOOD_MS }))
    }

    /// What an honest agency, an admin and the platform do; none of it may fail.
    async fn others_notice_nothing(&self) -> Result<()> {
        for round in 0..ROUNDS {
            let what = || format!("round {round}");
            self.chapar.run("agency list")?.ends(0);
            let enrolled = Disguise::enrolled(&self.plane, STRANGER, &uri(STRANGER)).await.with_context(what)?;
            let channel = attacker::channel(&self.address(), Some(&enrolled))?;
            let mut registering = RegistrationServiceClient::new(channel.clone());
            registering.register(RegisterRequest::default()).await.with_context(what)?;
            EnrolmentServiceClient::new(channel.clone()).renew(RenewRequest { csr_der: csr()? }).await.with_context(what)?;
            TraceServiceClient::new(channel).export(ExportTraceServiceRequest::default()).await.with_context(what)?;
            let (status, told) = http_get(self.plane.address("http"), "/readyz").await.with_context(what)?;
            ensure!(status == 200, "{round}: {told}");
        }
        Ok(())
    }

    /// The value of the metric whose line begins so; 0 when there is none.
    async fn metric(&self, begins: &str) -> Result<u64> {
        let page = self.plane.metrics().await?;
        let line = page.lines().find_map(|line| line.strip_prefix(begins));
        line.map_or(Ok(0), |count| Ok(count.trim().parse()?))
    }

    /// Waits until that metric is at least `least`.
    async fn shows(&self, begins: &str, least: u64) -> Result<()> {
        wait::until(&format!("{begins} to be {least}"), BEGINS_LIMIT, || async {
            self.metric(begins).await.ok().filter(|count| *count >= least).map(drop)
        })
        .await
    }

    /// Rows of the audit by this action, the newest thousand.
    fn audit(&self, action: &str) -> Result<Vec<Value>> {
        let told = self.chapar.json(&format!("audit list --action {action} --limit 1000"))?;
        Ok(told["entries"].as_array().cloned().unwrap_or_default())
    }
}

fn uri(agency: &str) -> String {
    format!("spiffe://exchange.example/agency/{agency}/sidecar/main")
}

fn csr() -> Result<Vec<u8>> {
    Ok(rcgen::CertificateParams::default().serialize_request(&rcgen::KeyPair::generate()?)?.der().to_vec())
}

fn count(outcome: &Value, reason: &str) -> u64 {
    outcome[reason].as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_beyond_all_bounds_close_the_door_for_nobody_else() -> Result<()> {
    const FILES: u32 = 700;
    const ASKS_MAX: u32 = 100;
    let scene = Scene::new(&json!({"firstRequestTimeoutS": 60}), FILES).await?;
    let open = |share| format!(r#"chapar_control_plane_connections_open{{listener="sidecars",share="{share}"}} "#);
    let bound = |share| format!(r#"chapar_control_plane_connections_max{{listener="sidecars",share="{share}"}} "#);
    let (strangers_max, certified_max) = (scene.metric(&bound("strangers")).await?, scene.metric(&bound("certified")).await?);
    assert!(strangers_max + certified_max < u64::from(FILES), "the bounds follow the limit on open files");

    let shown = scene.stolen(CONSUMER).await?;
    let idlers = Idlers {
        address: scene.address(),
        connections: 400,
        sources: 1,
        sources_apart: 0,
        handshake: true,
        shown: None,
        length_ms: 3 * FLOOD_MS,
    };
    let attackers = [
        Idlers { sources: 100, ..idlers.clone() },
        Idlers { handshake: false, ..idlers.clone() },
        // Not from where the flood comes, which would hold them up too.
        Idlers { shown: Some(shown.clone()), sources: 50, sources_apart: 200, ..idlers },
    ];
    let attackers = attackers.map(|idlers| Hostile::start(&Act::Idlers(idlers)));
    scene.shows(&open("strangers"), strangers_max).await?;
    scene.shows(&open("certified"), certified_max / 2).await?;
    // Who holds more than his share is told so, and by which bound.
    let disguise = Disguise::read(&shown.0, &shown.1)?;
    let mut held_up = RegistrationServiceClient::new(attacker::channel(&scene.address(), Some(&disguise))?);
    let mut asked = 0;
    // Until then its connection is one of the strangers', and goes like theirs when there are too many: it asks again, and is never served.
    let refused = loop {
        let refused = held_up.register(RegisterRequest::default()).await.expect_err("its share is spent");
        if refusal::of(&refused).is_some() {
            break refused;
        }
        asked += 1;
        assert!(asked < ASKS_MAX, "it is not told within {ASKS_MAX} times: {refused}");
    };
    assert_eq!(refusal::reason(&refused), "SHARE_SPENT");
    assert!(refused.message().contains("the agency asker") && refused.message().contains("shares.connect"), "{refused}");
    scene.others_notice_nothing().await?;
    assert!(scene.metric(&open("certified")).await? < certified_max, "something is left for whoever comes anew");
    for attacker in attackers {
        let outcome = attacker?.outcome().await?;
        assert!(outcome["closed"].as_u64() > Some(0), "{outcome}");
    }
    assert_eq!(scene.metric(r#"chapar_control_plane_accept_failures_total{listener="sidecars"} "#).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_silent_is_let_go() -> Result<()> {
    let shares = json!({"handshakeTimeoutS": 1, "firstRequestTimeoutS": 1, "idleTimeoutS": 1, "requestTimeoutS": 1});
    let scene = Scene::new(&shares, 1_024).await?;
    let (chain, key) = scene.stolen(CONSUMER).await?;
    let disguise = Disguise::read(&chain, &key)?;
    let mut byte = [0];
    let ends = async |what: &str, end: &mut (dyn tokio::io::AsyncRead + Unpin + Send)| {
        let read = tokio::time::timeout(BEGINS_LIMIT, end.read(&mut [0; 64])).await;
        read.map(drop).with_context(|| format!("{what} is never let go"))
    };
    let mut no_handshake = TcpStream::connect(scene.address()).await?;
    ends("who shakes no hands", &mut no_handshake).await?;
    for shown in [None, Some(&disguise)] {
        let mut no_preface = attacker::connect(TcpStream::connect(scene.address()).await?, shown).await?;
        while tokio::time::timeout(BEGINS_LIMIT, no_preface.read(&mut byte))
            .await
            .context("is never let go")?
            .is_ok_and(|n| n > 0)
        {}
    }
    // After an honest request, and after one that never ends.
    let honest = attacker::channel(&scene.address(), Some(&disguise))?;
    RegistrationServiceClient::new(honest.clone()).register(RegisterRequest::default()).await?;
    scene.shows(r#"chapar_control_plane_connections_open{listener="sidecars",share="certified"} "#, 0).await?;
    wait::until("the idle connection to be closed", BEGINS_LIMIT, || async {
        let open = scene.metric(r#"chapar_control_plane_connections_open{listener="sidecars",share="certified"} "#).await;
        open.ok().filter(|open| *open == 0).map(drop)
    })
    .await?;
    // It comes back as if nothing had been.
    RegistrationServiceClient::new(honest).register(RegisterRequest::default()).await?;
    scene.others_notice_nothing().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_renews_and_registers_without_end_costs_nobody_else_anything() -> Result<()> {
    let scene = Scene::new(&json!({}), 4_096).await?;
    let (before, asker) = (scene.metric("chapar_control_plane_distribution_revision ").await?, uri(CONSUMER));
    let renewing = scene.flood(CONSUMER, Asked::Renewals).await?;
    let registering = scene.flood(PROVIDER, Asked::Registrations).await?;
    scene.shows(r#"chapar_control_plane_shares_spent_total{share="renewals"} "#, 1).await?;
    scene.shows(r#"chapar_control_plane_shares_spent_total{share="registrations"} "#, 1).await?;
    scene.others_notice_nothing().await?;
    let (renewing, registering) = (renewing.outcome().await?, registering.outcome().await?);
    for outcome in [&renewing, &registering] {
        assert!(count(outcome, "SHARE_SPENT") > 2 * count(outcome, ""), "{outcome}");
        assert_eq!(outcome.as_object().map_or(0, serde_json::Map::len), 2, "{outcome}");
    }
    // What shares.renewalsPerLifetime and shares.registrationsPerMinute say, with what has come back meanwhile.
    assert!((1..=17).contains(&count(&renewing, "")), "{renewing}");
    assert!((1..=30).contains(&count(&registering, "")), "{registering}");
    assert!(scene.metric("chapar_control_plane_distribution_revision ").await? <= before + 30 + ROUNDS as u64);
    let of = |actor: &str, action: &str| -> Result<usize> {
        Ok(scene.audit(action)?.iter().filter(|entry| entry["actor"] == actor).count())
    };
    assert!(of(&asker, "certificate.")? <= 17 + 2, "every renewal is on record, and what is refused is counted");
    assert!(of(&uri(PROVIDER), "sidecar.register")? <= 30 + 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_without_end_push_out_the_agencys_own_and_nothing_more() -> Result<()> {
    const BYTES: usize = 500_000;
    let shares = json!({"draftBytesMax": 4 * BYTES, "registrationsPerMinute": 10_000, "auditRowsPerHour": 10_000});
    let scene = Scene::new(&shares, 4_096).await?;
    let flood = scene.flood(PROVIDER, Asked::Drafts { bytes: BYTES }).await?;
    if let Err(error) = scene.shows(r#"chapar_control_plane_shares_spent_total{share="drafts"} "#, 1).await {
        return Err(error.context(flood.outcome().await?.to_string()));
    }
    scene.others_notice_nothing().await?;
    let outcome = flood.outcome().await?;
    assert!(count(&outcome, "") > 8, "{outcome}");
    let drafts = scene.chapar.json("passport list --state draft --limit 1000")?;
    let drafts = drafts["passports"].as_array().map_or(0, Vec::len);
    assert!((1..=4).contains(&drafts), "{drafts} drafts are left of {outcome}");
    let written = std::fs::metadata(scene.plane.folder().join("chapar.db"))?.len();
    assert!(written < 20 * BYTES as u64, "{written} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_from_many_addresses_fill_no_audit() -> Result<()> {
    let scene = Scene::new(&json!({}), 4_096).await?;
    let claims = FalseClaims { address: scene.address(), uri: uri(STRANGER), sources: 150, length_ms: FLOOD_MS };
    let claims = Hostile::start(&Act::FalseClaims(claims))?;
    scene.shows(r#"chapar_control_plane_shares_spent_total{share="auditRows"} "#, 1).await?;
    scene.others_notice_nothing().await?;
    let outcome = claims.outcome().await?;
    assert!(outcome["tried"].as_u64() > Some(500), "{outcome}");
    // What shares.auditRowsPerHour says, with what has come back meanwhile.
    let rows = scene.audit("connection.refuse")?.len();
    assert!((100..=250).contains(&rows), "{rows} rows of {outcome}");
    scene.chapar.run("audit verify")?.ends(0);
    Ok(())
}
