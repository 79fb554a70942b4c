//! Renewal at half life, on a change of issuer, and when it fails at first.

use std::time::Duration;

use chapar_core::snapshot::{Body, ResourceKey};
use chapar_daemon::vital::Vital;
use chapar_proto::v1;
use chapar_sidecar::{clock::Clock, control::Control};
use prost::Message as _;
use tonic::Status;

use crate::{
    NOW,
    authority::{Authority, HOUR_MS},
    control_plane::ControlPlane,
    sidecar,
    snapshots::{full, manifest, set},
};

async fn renewed(control: &Control, serial: &str) {
    let mut changes = control.trust.generation();
    let waiting = async {
        while &*control.trust.own().serial == serial {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the certificate was never renewed");
}

#[tokio::test]
async fn a_certificate_is_renewed_after_half_its_life_and_not_before() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(NOW);
    let config = control_plane.config(folder.path(), "ipm", "");
    let control = Control::start(&config, &clock, &Vital::default()).await.unwrap();
    let first = control.trust.own();
    control_plane.until("following", |context| context.hellos.first().map(drop)).await;

    clock.wind_to(NOW.plus_ms(12 * HOUR_MS - 1_000));
    tokio::task::yield_now().await;
    assert!(control_plane.context().renewals.is_empty());

    control_plane.context().issue_from = NOW.plus_ms(12 * HOUR_MS);
    // A twentieth of the life later even the latest of all sidecars has renewed.
    control_plane.clock.wind_to(NOW.plus_ms(12 * HOUR_MS + 72 * 60_000));
    clock.wind_to(NOW.plus_ms(12 * HOUR_MS + 72 * 60_000));
    renewed(&control, &first.serial).await;
    assert_eq!(control_plane.context().renewals, [first.serial.to_string()]);
    assert_eq!(control.trust.own().not_after, NOW.plus_ms(36 * HOUR_MS));
    // The stream comes back with the new certificate.
    control_plane.until("following anew", |context| (context.hellos.len() == 2).then_some(())).await;
    let kept = std::fs::read_to_string(folder.path().join("state/credentials.pem")).unwrap();
    control.stop().await;

    let again = Control::start(&config, &clock, &Vital::default()).await.unwrap();
    assert_eq!(again.trust.own().not_after, NOW.plus_ms(36 * HOUR_MS));
    assert!(kept.contains("BEGIN PRIVATE KEY") && kept.matches("BEGIN CERTIFICATE").count() == 2);
    again.stop().await;
}

#[tokio::test]
async fn a_failed_renewal_is_tried_again_and_counted() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(NOW);
    let control = Control::start(&control_plane.config(folder.path(), "ipm", ""), &clock, &Vital::default()).await.unwrap();
    let first = control.trust.own();
    control_plane.context().refuse_credentials = Some(Status::unavailable("not now"));
    control_plane.context().issue_from = NOW.plus_ms(12 * HOUR_MS);
    control_plane.clock.wind_to(NOW.plus_ms(14 * HOUR_MS));
    clock.wind_to(NOW.plus_ms(14 * HOUR_MS));
    control_plane.until("asked", |context| context.renewals.first().map(drop)).await;
    control_plane.context().refuse_credentials = None;
    // Wound on until the wait between two attempts is over, however long it was.
    let mut now = NOW.plus_ms(14 * HOUR_MS);
    while control.trust.own().serial == first.serial {
        now = now.plus_ms(100);
        clock.wind_to(now);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(control.renewals.failed() >= 1);
    assert!(control.renewals.succeeded() >= 1);
    control.stop().await;
}

#[tokio::test]
async fn another_issuing_ca_makes_a_sidecar_renew_at_once_and_only_once() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(NOW);
    let control = Control::start(&control_plane.config(folder.path(), "ipm", ""), &clock, &Vital::default()).await.unwrap();
    let first = control.trust.own();

    let update = {
        let mut context = control_plane.context();
        let authority = std::mem::replace(&mut context.authority, Authority::new("exchange.example"));
        context.authority = authority.with_next_issuing();
        let settings =
            v1::SettingsResource { active_issuer: issuer(&context.authority), renewal_jitter_s_max: 1, subject_key: None };
        let mut set = set(&context.authority, &[("ipm", false)]);
        set.insert(ResourceKey::new(1, "settings"), Body::new(settings.encode_to_vec()));
        full(&context.authority, &manifest(&sidecar("ipm"), 1, &set), &set)
    };
    control_plane.send(update);
    control_plane.until("acknowledged", |context| context.acks.first().map(drop)).await;
    // The jitter is up to a second of the sidecar's clock.
    clock.wind_to(NOW.plus_ms(1_000));
    let mut now = NOW;
    while control.trust.own().serial == first.serial {
        now = now.plus_ms(1_000);
        clock.wind_to(now);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    clock.wind_to(now.plus_ms(10_000));
    control_plane.until("following anew", |context| (context.hellos.len() == 2).then_some(())).await;
    assert_eq!(control_plane.context().renewals.len(), 1);
    control.stop().await;
}

fn issuer(authority: &Authority) -> String {
    let chain = authority.issue(&["spiffe://exchange.example/agency/ipm/sidecar/main"]).chain;
    chapar_sidecar::trust::issuer_key_sha256(&chain).unwrap().to_string()
}
