//! The control plane's disk runs full, and has room again.

use std::{fs, time::Duration};

use anyhow::Result;
use chapar_proto::admin::v1::{self as admin, CreateTokenRequest};
use chapar_tests::{
    control_plane::ControlPlane,
    disk::SmallDisk,
    mesh::{AGENCIES, CONSUMER},
    process::http_get,
    refusal, wait,
};
use tonic::Code;

/// Until readiness follows.
const LIMIT: Duration = Duration::from_secs(30);
/// Writes that may still find room in what the database holds already.
const WRITES_MAX: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_changes_and_says_so_and_hurts_no_longer_once_it_has_room() -> Result<()> {
    let disk = SmallDisk::mount(24)?;
    let plane = ControlPlane::start(disk.path()).await?;
    plane.apply("agencies.yaml", AGENCIES).await?;
    assert_eq!(readiness(&plane).await?, (200, "ready\n".to_owned()));

    let filler = disk.fill()?;
    let mut tokens = admin::token_service_client::TokenServiceClient::new(plane.channel());
    let asked = CreateTokenRequest { agency: CONSUMER.to_owned(), ..Default::default() };
    let mut refused = None;
    for _ in 0..WRITES_MAX {
        if let Err(status) = tokens.create_token(asked.clone()).await {
            refused = refusal::of(&status);
            break;
        }
    }
    let refused = refused.expect("a full disk takes no more tokens");
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unavailable, "STORE_UNWRITABLE"));
    assert!(refused.message.contains("the disk of stateDir is full"), "{}", refused.message);

    // Both files are tried, also when nobody writes.
    wait::until("both files to be known as unwritable", LIMIT, || async {
        let metrics = plane.metrics().await.ok()?;
        let unwritable = |file: &str| metrics.contains(&format!("chapar_control_plane_store_writable{{file=\"{file}\"}} 0"));
        (unwritable("database") && unwritable("ledger")).then_some(())
    })
    .await?;
    let (status, text) = readiness(&plane).await?;
    assert!(status == 503 && text.contains("the disk of stateDir is full"), "{status} {text}");
    // What was there is still read.
    assert_eq!(plane.sidecars().await?.sidecars.len(), 0);

    filler.free()?;
    wait::until("the control plane to be ready again", LIMIT, || async {
        (readiness(&plane).await.ok()?.0 == 200).then_some(())
    })
    .await?;
    tokens.create_token(asked).await?;
    let log = fs::read_to_string(plane.folder().join("log"))?;
    assert!(!log.contains("backup"), "nothing is to be restored from a backup:\n{log}");
    Ok(())
}

async fn readiness(plane: &ControlPlane) -> Result<(u16, String)> {
    http_get(plane.address("http"), "/readyz").await
}
