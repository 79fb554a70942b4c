//! The account of calls under attack by agencies that are enrolled, and lie.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use chapar_tests::{
    attacker::Disguise,
    cli::Chapar,
    echo::pb::EchoRequest,
    hostile::{self, Act, ForgedAccount, ForgedReport},
    mesh::{CONSUMER, Mesh, PROVIDER, STRANGER},
    wait,
};
use serde_json::{Value, json};

/// How long what was reported may take to show on a loaded machine.
const SHOWN_LIMIT: Duration = Duration::from_secs(60);
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// An exchange with an honest call that both sides have reported, and an agency that lies.
struct World {
    mesh: Mesh,
    chapar: Chapar,
    honest: String,
}

impl World {
    async fn start(ledger: Value) -> Result<Self> {
        let mesh = Mesh::start_with(&json!({"ledger": ledger}), &json!({})).await?;
        let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;
        let answer = mesh.client()?.unary(EchoRequest::default()).await?;
        let honest = answer.metadata().get("chapar-call-id").context("a tracking ID")?.to_str()?.to_owned();
        let world = Self { mesh, chapar, honest };
        world.call_is(&world.honest, "AGREES").await?;
        Ok(world)
    }

    /// Waits until the accounts of a call stand so to each other.
    async fn call_is(&self, call_id: &str, accounts: &str) -> Result<Value> {
        wait::until(&format!("the call {call_id} to be told as {accounts}"), SHOWN_LIMIT, || async {
            let found = self.chapar.json(&format!("trace list --call-id {call_id}")).ok()?["traces"][0].clone();
            (found["accounts"] == json!(accounts)).then_some(found)
        })
        .await
    }

    /// The liar with this disguise reports these exports, in a process of its own.
    async fn lied(&self, who: &str, disguise: &Disguise, exports: Vec<Vec<ForgedAccount>>) -> Result<Vec<Value>> {
        let file = |of: &str| self.mesh.folder().join(format!("{who}.{of}"));
        disguise.write(&file("chain"), &file("key"))?;
        let report = ForgedReport {
            address: self.mesh.control_plane.address("sidecars").to_owned(),
            chain: hostile::text(&file("chain")),
            key: hostile::text(&file("key")),
            exports,
        };
        let outcome = hostile::outcome_of(&Act::ForgedReport(report)).await?;
        Ok(outcome["exports"].as_array().cloned().unwrap_or_default())
    }

    async fn stranger(&self) -> Result<Disguise> {
        let uri = format!("spiffe://exchange.example/agency/{STRANGER}/sidecar/main");
        Disguise::enrolled(&self.mesh.control_plane, STRANGER, &uri).await
    }
}

fn now_us() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

fn account(first: u32, started_at_us: i64, texts: &[(&str, &str)]) -> ForgedAccount {
    let told = [("chapar.inquiry", "echo-unary"), ("chapar.outcome", "served"), ("rpc.response.status_code", "OK")];
    let texts: BTreeMap<_, _> = told.iter().chain(texts).map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    ForgedAccount { count: 1, first, started_at_us, texts, name: "forged".into(), ..ForgedAccount::default() }
}

/// 24,000 accounts of one agency that all claim one instant and end in the same digits: half of them long past, half tomorrow. The
/// ledger has room for a tenth of them.
#[tokio::test(flavor = "multi_thread")]
async fn made_up_times_push_out_nobody_elses_account_and_delay_nobody() -> Result<()> {
    let world = World::start(json!({"spansMax": 2_400})).await?;
    let claims = [("chapar.side", "consumer"), ("chapar.provider", PROVIDER)];
    let exports = (0..6_u32).map(|export| {
        let at = if export % 2 == 0 { 1_000 } else { now_us()? + DAY_US };
        Ok(vec![ForgedAccount { count: 4_000, ..account(export * 4_000, at, &claims) }])
    });
    let answers = world.lied("flooder", &world.stranger().await?, exports.collect::<Result<_>>()?).await?;
    assert!(answers.iter().all(|answer| answer["refused"] == json!("")), "{answers:?}");
    wait::until("the flood to be evicted", SHOWN_LIMIT, || async {
        let text = world.mesh.control_plane.metrics().await.ok()?;
        let evicted = text.lines().find_map(|line| line.strip_prefix("chapar_control_plane_spans_evicted_total "))?;
        (evicted.trim().parse::<f64>().ok()? >= 21_000.0).then_some(())
    })
    .await?;
    // The honest account is the oldest of all, and whole; nothing is dated before it or pushed on top of it.
    let honest = world.call_is(&world.honest, "AGREES").await?;
    assert_eq!((&honest["spans"], &honest["marks"]), (&json!(2), &json!([])));
    let flood = world.chapar.json(&format!("trace list --consumer {STRANGER} --limit 1"))?["traces"][0].clone();
    assert_eq!(flood["marks"][0], json!("TIME_DOUBTED"));
    let again = world.mesh.client()?.unary(EchoRequest::default()).await?;
    let again = again.metadata().get("chapar-call-id").context("a tracking ID")?.to_str()?;
    world.call_is(again, "AGREES").await?;
    let newest = world.chapar.json("trace list --limit 1")?["traces"][0].clone();
    assert_eq!(newest["callId"], json!(again), "what claims tomorrow is not on top");
    // Retention is not taken for tampering.
    let verified = world
        .chapar
        .run(&format!("ledger verify -o json --reporter spiffe://exchange.example/agency/{CONSUMER}/sidecar/main"))?;
    assert!(!verified.stdout.contains("FORGOTTEN_EARLY"), "{}", verified.stdout);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_tells_otherwise_than_the_other_side_is_seen_everywhere() -> Result<()> {
    let world = World::start(json!({"pairingGraceS": 1})).await?;
    world.chapar.run("ledger verify")?.ends(0).says("Nothing was removed or altered.");

    // A consumer that got data says afterwards that it was refused.
    let got = world.mesh.client()?.unary(EchoRequest::default()).await?;
    let got = got.metadata().get("chapar-call-id").context("a tracking ID")?.to_str()?.to_owned();
    world.call_is(&got, "AGREES").await?;
    let consumer = Disguise::stolen_from(world.mesh.consumer.state())?;
    let denied = [
        ("chapar.call_id", got.as_str()),
        ("chapar.side", "consumer"),
        ("chapar.provider", PROVIDER),
        ("chapar.outcome", "refused"),
        ("rpc.response.status_code", "PERMISSION_DENIED"),
    ];
    world.lied("consumer", &consumer, vec![vec![account(1, now_us()?, &denied)]]).await?;
    let told = world.call_is(&got, "DISAGREES").await?;
    assert_eq!((&told["outcome"], &told["providerOutcome"]), (&json!("served"), &json!("served")), "{told}");
    world.chapar.run(&format!("trace show {got}"))?.ends(0).says("DISAGREES");

    // An agency claims that another one has asked it, which has not, and names a grant that it has not got.
    let asked = [("chapar.side", "provider"), ("chapar.consumer", CONSUMER), ("chapar.grant", "test-1/1/asker/echo-unary")];
    let mut asked = account(2, now_us()?, &asked);
    asked.counts.insert("chapar.policy_version".into(), 1);
    world.lied("provider", &world.stranger().await?, vec![vec![asked]]).await?;
    let claimed = format!("{:08x}{:024x}", 2, 7);
    world.call_is(&claimed, "ONE-SIDED").await?;
    wait::until("the claim to be marked", SHOWN_LIMIT, || async {
        let found = world.chapar.json("trace list --mark NO_GRANT_IN_FORCE").ok()?;
        (found["traces"][0]["callId"] == json!(claimed)).then_some(())
    })
    .await?;

    let disagreeing = world.chapar.json("trace list --accounts DISAGREES")?;
    assert_eq!(disagreeing["traces"].as_array().map(Vec::len), Some(1), "{disagreeing}");
    let one_sided = world.chapar.json("trace list --accounts ONE-SIDED")?;
    assert_eq!(one_sided["traces"][0]["callId"], json!(claimed));
    world.chapar.run("ledger verify")?.ends(1).says("DISAGREES").says("ONE-SIDED").says("NO_GRANT_IN_FORCE");
    let metrics = world.mesh.control_plane.metrics().await?;
    for line in [
        "chapar_control_plane_calls_disagreeing_total 1",
        "chapar_control_plane_calls_marked_total{mark=\"NO_GRANT_IN_FORCE\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    // The honest notice nothing.
    let honest = world.call_is(&world.honest, "AGREES").await?;
    assert_eq!(honest["marks"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_proves_what_it_says_whatever_outsiders_add() -> Result<()> {
    let world = World::start(json!({})).await?;
    world.chapar.run("admin-cert issue sara --out certs")?.ends(0);
    let verify = |file: &str| world.chapar.run(&format!("evidence verify {file} --bundle certs/ca.crt"));

    // An outsider puts an entry with the same call ID into a chain of its own and signs nothing, or not with its key.
    let chain = "0f".repeat(16);
    let claims = [("chapar.call_id", world.honest.as_str()), ("chapar.side", "provider"), ("chapar.consumer", CONSUMER)];
    let mut claim = account(1, now_us()?, &claims);
    claim.texts.extend([
        ("chapar.chain.id".to_owned(), chain.clone()),
        ("chapar.kind".to_owned(), "data".to_owned()),
        ("rpc.method".to_owned(), "x.Y/Z".to_owned()),
    ]);
    claim.counts.insert("chapar.chain.sequence".into(), 1);
    let mut checkpoint = account(2, now_us()?, &[]);
    checkpoint.name = "chapar.checkpoint".into();
    checkpoint.texts = BTreeMap::from([
        ("chapar.chain.id".to_owned(), chain),
        ("chapar.checkpoint.scheme".to_owned(), "ECDSA_NISTP256_SHA256".to_owned()),
    ]);
    checkpoint.counts = BTreeMap::from([("chapar.checkpoint.first".to_owned(), 1), ("chapar.checkpoint.last".to_owned(), 1)]);
    checkpoint.bytes = ["before", "after"].map(|which| (format!("chapar.checkpoint.{which}"), vec![1; 32])).into();
    checkpoint.bytes.extend(["signature", "certificate"].map(|which| (format!("chapar.checkpoint.{which}"), vec![1; 64])));
    let answers = world.lied("outsider", &world.stranger().await?, vec![vec![claim, checkpoint]]).await?;
    assert_eq!(answers[0]["rejected"], json!(1), "{answers:?}");
    assert!(answers[0]["told"].as_str().is_some_and(|told| told.starts_with("CHECKPOINT_UNPROVEN")), "{answers:?}");

    let export = format!("evidence export {} --out call.json", world.honest);
    wait::until("evidence of the honest call", SHOWN_LIMIT, || async {
        world.chapar.run(&export).ok().filter(|ended| !ended.stderr.contains("EVIDENCE_NOT_YET_SIGNED")).map(|_| ())
    })
    .await?;
    verify("call.json")?.ends(0).says("PROVEN").says("consumer's side, by").says("provider's side, by").says("received ");

    let text = std::fs::read_to_string(world.chapar.folder().join("call.json"))?;
    let changed = |file: &str, change: &dyn Fn(&mut Value)| -> Result<()> {
        let mut evidence: Value = serde_json::from_str(&text)?;
        change(&mut evidence["records"]);
        world.chapar.write(file, &evidence.to_string())
    };
    // One side's word is no proof of a call, whichever side it is.
    for side in [0, 1] {
        changed("one.json", &|records| {
            records.as_array_mut().map(|records| records.remove(side));
        })?;
        verify("one.json")?.ends(8).says("ONE-SIDED");
    }
    // Without the exchange's receipt whoever has got the keys meanwhile may have signed; and a receipt is of one moment.
    changed("bare.json", &|records| {
        for record in records.as_array_mut().into_iter().flatten() {
            record["receipt"] = json!("");
        }
    })?;
    verify("bare.json")?.ends(8).says("NOT RECEIVED");
    changed("dated.json", &|records| {
        for record in records.as_array_mut().into_iter().flatten() {
            record["receivedAt"] = json!("2020-01-01T00:00:00Z");
        }
    })?;
    verify("dated.json")?.ends(1).says("NOT PROVEN");
    Ok(())
}
