//! What whoever answers in the control plane's place cannot do: give a certificate, or add a root.

use std::time::Duration;

use chapar_core::snapshot::{Body, ResourceKey};
use chapar_daemon::vital::Vital;
use chapar_proto::v1;
use chapar_sidecar::{clock::Clock, control::Control};
use prost::Message as _;

use crate::{
    NOW,
    authority::{Authority, HOUR_MS},
    control_plane::ControlPlane,
    sidecar,
    snapshots::{full, manifest, set},
};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(20);

async fn following() -> (ControlPlane, tempfile::TempDir, Clock, Control) {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(NOW);
    let config = control_plane.config(folder.path(), "ipm", "");
    let control = Control::start(&config, &clock, &Vital::default()).await.unwrap();
    control_plane.until("following", |context| context.hellos.first().map(drop)).await;
    (control_plane, folder, clock, control)
}

/// Winds both clocks on, a bit at a time, until something has come true.
async fn wound_until(control_plane: &ControlPlane, clock: &Clock, mut is_true: impl FnMut() -> bool) {
    let mut now = clock.now();
    let winding = async {
        while !is_true() {
            now = now.plus_ms(100);
            control_plane.clock.wind_to(now);
            clock.wind_to(now);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, winding).await.expect("it never came true");
}

#[tokio::test]
async fn a_certificate_that_the_control_plane_denies_is_not_taken_into_use_and_the_operator_reads_why() {
    let (control_plane, folder, clock, control) = following().await;
    let first = control.trust.own();
    let kept = std::fs::read(folder.path().join("state/credentials.pem")).unwrap();
    control_plane.context().issue_from = NOW.plus_ms(12 * HOUR_MS);
    control_plane.context().deny = vec![("CERTIFICATE_UNKNOWN", first.serial.to_string())];
    clock.wind_to(NOW.plus_ms(14 * HOUR_MS));
    wound_until(&control_plane, &clock, || control.trust.doubted().is_some()).await;
    let doubt = control.trust.doubted().unwrap();
    assert!(doubt.contains("CERTIFICATE_UNKNOWN") && doubt.contains("revoke-issuer"), "{doubt}");
    assert_eq!(control.trust.own().serial, first.serial, "the one before stays in use");
    assert_eq!(std::fs::read(folder.path().join("state/credentials.pem")).unwrap(), kept);
    assert!(control.renewals.failed() >= 1);

    control_plane.context().deny.clear();
    wound_until(&control_plane, &clock, || control.trust.own().serial != first.serial).await;
    assert!(control.trust.doubted().is_none(), "a renewal that was accepted ends the doubt");
    control.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_denied_later_gives_way_to_the_one_before_and_is_renewed() {
    let (control_plane, folder, clock, control) = following().await;
    let first = control.trust.own();
    control_plane.context().issue_from = NOW.plus_ms(12 * HOUR_MS);
    clock.wind_to(NOW.plus_ms(14 * HOUR_MS));
    // Whoever answers accepts it, too.
    wound_until(&control_plane, &clock, || control.trust.own().serial != first.serial).await;
    let second = control.trust.own();
    assert!(folder.path().join("state/former-credentials.pem").exists());
    let hellos = control_plane.context().hellos.len();
    control_plane.until("following with it", |context| (context.hellos.len() > hellos.min(1)).then_some(())).await;

    let mut changes = control.trust.generation();
    changes.borrow_and_update();
    control_plane.context().deny = vec![("CERTIFICATE_FORGED", first.serial.to_string())];
    control_plane.end_streams();
    tokio::time::timeout(LIMIT, changes.changed()).await.expect("it never fell back").unwrap();
    assert_eq!(control.trust.own().serial, first.serial);
    assert!(control.trust.doubted().is_some());
    control_plane.context().deny.clear();
    wound_until(&control_plane, &clock, || ![&first.serial, &second.serial].contains(&&control.trust.own().serial)).await;
    assert!(control.trust.doubted().is_none());
    control.stop().await;
}

#[tokio::test]
async fn a_signed_snapshot_adds_no_root_that_no_held_root_certifies() {
    let (control_plane, _folder, _clock, control) = following().await;
    let held = control.trust.bundle();
    let thief = Authority::new("exchange.example");
    let naming = |revision: u64, cross_certificates_der: Vec<Vec<u8>>| {
        let context = control_plane.context();
        let roots_der = vec![context.authority.root.der().to_vec(), thief.root.der().to_vec()];
        let bundle = v1::TrustBundle { trust_domain: "exchange.example".to_owned(), roots_der };
        let mut set = set(&context.authority, &[("ipm", false)]);
        let resource = v1::BundleResource { bundle: Some(bundle), cross_certificates_der };
        set.insert(ResourceKey::new(2, "exchange.example"), Body::new(resource.encode_to_vec()));
        full(&context.authority, &manifest(&sidecar("ipm"), revision, &set), &set)
    };
    // As he would certify himself, and the root that is held.
    for (revision, shown) in [(1, vec![]), (2, vec![thief.root.der().to_vec()])] {
        control_plane.send(naming(revision, shown));
        control_plane.until("acknowledged", |context| (context.acks.len() as u64 >= revision).then_some(())).await;
        assert_eq!(control.trust.bundle(), held);
    }
    let cross = control_plane.context().authority.cross(&thief.root);
    control_plane.send(naming(3, vec![cross]));
    control_plane.until("acknowledged", |context| (context.acks.len() >= 3).then_some(())).await;
    assert_eq!(control.trust.bundle().roots.len(), 2, "the held root's own word adds one");
    control.stop().await;
}
