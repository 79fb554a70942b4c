//! The account of calls outlives whatever happens to the processes that keep it.

use std::{fs, time::Duration};

use chapar_tests::{
    echo::pb::EchoRequest,
    evidence,
    mesh::{CONSUMER, Mesh, PROVIDER},
    refusal, wait,
};
use serde_json::json;

/// How long the account may take to be complete.
const LIMIT: Duration = Duration::from_secs(60);

async fn call(mesh: &Mesh) -> Result<String, tonic::Status> {
    let answer = mesh.client().expect("the consumer published its address").unary(EchoRequest::default()).await?;
    let id = answer.metadata().get("chapar-call-id").expect("every answer names its call");
    Ok(id.to_str().expect("it is hex").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_end_was_seen_is_in_the_ledger_though_everything_is_killed_at_once() {
    let mut mesh = Mesh::start().await.unwrap();
    mesh.control_plane.kill().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.push(call(&mesh).await.unwrap());
    }
    // At once: nothing was asked whether it is ready for that.
    mesh.consumer.kill().await.unwrap();
    mesh.provider.kill().await.unwrap();
    mesh.control_plane.restart().await.unwrap();
    mesh.consumer.restart().await.unwrap();
    mesh.provider.restart().await.unwrap();
    for id in seen {
        let reporters: Vec<_> = wait::until("both sides of the call", LIMIT, || async {
            let spans = evidence::accounts(&mesh.control_plane, &id).await.ok()?;
            (spans.len() == 2).then(|| spans.into_iter().map(|span| span.reporter).collect())
        })
        .await
        .unwrap();
        for agency in [CONSUMER, PROVIDER] {
            assert!(reporters.iter().any(|reporter| reporter.contains(&format!("/{agency}/"))), "{reporters:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_without_room_for_records_refuses_calls_and_carries_them_again_once_they_are_handed_over() {
    let small = json!({"workers": 1, "spool": {"segmentBytes": 65_536, "bytesMax": 262_144}});
    let mut mesh = Mesh::start_with(&json!({}), &small).await.unwrap();
    mesh.control_plane.kill().await.unwrap();
    let mut carried = 0;
    let status = loop {
        match call(&mesh).await {
            Ok(_) => carried += 1,
            Err(status) => break status,
        }
        assert!(carried < 5_000, "the spool is never full");
    };
    assert_eq!(refusal::reason(&status), "RECORDS_FULL");
    // Two hundred records go into one of four files.
    assert!(carried > 200, "{carried}");
    mesh.control_plane.restart().await.unwrap();
    wait::until("calls to be carried again", LIMIT, || async { call(&mesh).await.ok() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_spool_costs_the_records_that_were_hit_and_never_the_start() {
    let mut mesh = Mesh::start().await.unwrap();
    mesh.control_plane.kill().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(call(&mesh).await.unwrap());
    }
    mesh.consumer.kill().await.unwrap();
    let mut hit = 0;
    for lane in fs::read_dir(mesh.consumer.state().join("spool")).unwrap() {
        for file in fs::read_dir(lane.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            // A file with records: the first of them is hit.
            if path.extension().is_some_and(|ending| ending == "seg") && bytes.len() > 200 {
                bytes[100] ^= 0x40;
                fs::write(&path, bytes).unwrap();
                hit += 1;
            }
        }
    }
    assert!(hit > 0, "records were kept");
    mesh.consumer.restart().await.unwrap();
    mesh.control_plane.restart().await.unwrap();
    let counted = format!("chapar_sidecar_records_damaged_total {hit}");
    wait::until("the damage to be told", LIMIT, || async {
        let (_, metrics) = mesh.consumer.admin_get("/metrics").await.ok()?;
        (metrics.contains(&counted) && metrics.contains("chapar_sidecar_records_waiting 0")).then_some(())
    })
    .await
    .unwrap();
    let mut both = 0;
    for id in &seen {
        let spans = evidence::accounts(&mesh.control_plane, id).await.unwrap();
        both += usize::from(spans.iter().any(|span| span.reporter.contains(&format!("/{CONSUMER}/"))));
    }
    assert!(both >= seen.len() - hit, "{both} of {} with {hit} hit", seen.len());
}
