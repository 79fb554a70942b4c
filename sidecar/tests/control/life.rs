//! A sidecar's start, its restart, and the control plane's absence.

use std::{path::Path, time::Duration};

use chapar_core::{
    identity::TrustDomain,
    snapshot::{Body, ResourceKey},
};
use chapar_daemon::vital::Vital;
use chapar_proto::v1;
use chapar_sidecar::{
    clock::Clock,
    config::Config,
    control::{Control, ControlError},
    control_channel::sentence,
    enrol::EnrolError,
    snapshot::Current,
};
use prost::Message as _;
use tonic::Code;

use crate::{
    NOW,
    authority::HOUR_MS,
    control_plane::{ControlPlane, refusal},
    sidecar,
    snapshots::{delta, full, manifest, set},
};

async fn revision(current: &Current, wanted: u64) {
    let mut changes = current.watch();
    let reached = async {
        while current.load().is_none_or(|snapshot| snapshot.revision() != wanted) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the revision never came into force");
}

async fn start(config: &Config) -> Control {
    Control::start(config, &Clock::wound(NOW), &Vital::default()).await.unwrap()
}

async fn start_error(config: &Config) -> (ControlError, String) {
    let error = Control::start(config, &Clock::wound(NOW), &Vital::default()).await.expect_err("it started");
    let text = sentence(&error);
    (error, text)
}

fn with_service(folder: &Path) -> String {
    std::fs::write(folder.join("shahkar.binpb"), b"descriptors").unwrap();
    "advertisedAddress: '127.0.0.1:15002'\n\
     services: [{name: ir.cra.v1.Shahkar, descriptorSet: shahkar.binpb, upstreams: ['127.0.0.1:1']}]\n"
        .to_owned()
}

#[tokio::test]
async fn a_sidecar_enrols_follows_and_registers() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = control_plane.config(folder.path(), "ipm", &with_service(folder.path()));
    let mut control = start(&config).await;
    control.offer();
    assert_eq!(control.trust.own().spiffe_id, sidecar("ipm"));
    assert_eq!(control.trust.trust_domain(), "exchange.example".parse::<TrustDomain>().unwrap());

    let own = sidecar("ipm");
    let (first, second) = {
        let authority = &control_plane.context().authority;
        let (one, two) = (set(authority, &[("ipm", false)]), set(authority, &[("ipm", false), ("cra", false)]));
        let second = delta(authority, &manifest(&own, 2, &two), &one, &two);
        (full(authority, &manifest(&own, 1, &one), &one), second)
    };
    control_plane.send(first);
    revision(&control.current, 1).await;
    control_plane.send(second);
    revision(&control.current, 2).await;
    control_plane.until("both acknowledged", |context| (context.acks.len() == 2).then_some(())).await;
    assert!(control_plane.context().acks.iter().all(|ack| ack.accepted && ack.problem.is_empty()));
    assert_eq!(control_plane.context().hellos[0].revision, 0);
    control_plane.until("registered", |context| context.registrations.first().map(drop)).await;
    let offered = control_plane.context().registrations[0].clone();
    assert_eq!(offered.advertised_address, "127.0.0.1:15002");
    assert_eq!(offered.services[0].descriptor_set, b"descriptors");
    control.stop().await;
}

#[tokio::test]
async fn a_refused_update_changes_nothing_and_is_explained() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let control = start(&control_plane.config(folder.path(), "ipm", "")).await;
    let (good, foreign) = {
        let authority = &control_plane.context().authority;
        let set = set(authority, &[("ipm", false)]);
        let foreign = full(authority, &manifest(&sidecar("cra"), 9, &set), &set);
        (full(authority, &manifest(&sidecar("ipm"), 1, &set), &set), foreign)
    };
    control_plane.send(good);
    revision(&control.current, 1).await;
    control_plane.send(foreign);
    let nack = control_plane.until("refused", |context| context.acks.iter().find(|ack| !ack.accepted).cloned()).await;
    assert_eq!(nack.revision, 9);
    assert!(nack.problem.contains("agency/cra/"), "{}", nack.problem);
    assert_eq!(control.current.load().unwrap().revision(), 1);
    control.stop().await;
}

#[tokio::test]
async fn it_starts_and_serves_without_the_control_plane_and_finds_it_again() {
    let mut control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = control_plane.config(folder.path(), "ipm", &with_service(folder.path()));
    let mut control = start(&config).await;
    control.offer();
    let own = sidecar("ipm");
    let (first, second) = {
        let authority = &control_plane.context().authority;
        let (one, two) = (set(authority, &[("ipm", false)]), set(authority, &[("ipm", false), ("cra", false)]));
        let second = delta(authority, &manifest(&own, 6, &two), &one, &two);
        (full(authority, &manifest(&own, 5, &one), &one), second)
    };
    control_plane.send(first);
    revision(&control.current, 5).await;
    control_plane.until("acknowledged", |context| context.acks.first().map(drop)).await;
    control_plane.until("registered", |context| context.registrations.first().map(drop)).await;
    control_plane.kill().await;
    control.stop().await;
    std::fs::remove_file(folder.path().join("token")).unwrap();

    let mut control = start(&config).await;
    control.offer();
    assert_eq!(control.current.load().unwrap().revision(), 5);
    let greeted = control_plane.context().hellos.len();
    let registered = control_plane.context().registrations.len();
    control_plane.send(second);
    control_plane.open().await;
    revision(&control.current, 6).await;
    assert_eq!(control_plane.context().hellos[greeted].revision, 5);
    control_plane.until("registered anew", |context| (context.registrations.len() > registered).then_some(())).await;
    assert_eq!(control_plane.context().enrolments.len(), 1);
    control.stop().await;
}

#[tokio::test]
async fn a_tampered_snapshot_on_disk_is_not_served_from() {
    let mut control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = control_plane.config(folder.path(), "ipm", "");
    let control = start(&config).await;
    let first = {
        let authority = &control_plane.context().authority;
        let set = set(authority, &[("ipm", true)]);
        full(authority, &manifest(&sidecar("ipm"), 5, &set), &set)
    };
    control_plane.send(first);
    control_plane.until("acknowledged", |context| context.acks.first().map(drop)).await;
    control_plane.kill().await;
    control.stop().await;
    let file = folder.path().join("state/snapshot.binpb");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(3).position(|window| window == b"ipm").unwrap();
    bytes[at] = b'x';
    std::fs::write(&file, bytes).unwrap();
    let control = start(&config).await;
    assert!(control.current.load().is_none());
    assert!(folder.path().join("state/snapshot.binpb.refused").exists());
    control.stop().await;
}

#[tokio::test]
async fn a_snapshot_that_has_become_stale_on_disk_still_explains_refusals() {
    let mut control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = control_plane.config(folder.path(), "ipm", "");
    let control = start(&config).await;
    let first = {
        let authority = &control_plane.context().authority;
        let set = set(authority, &[("ipm", false)]);
        let mut manifest = manifest(&sidecar("ipm"), 5, &set);
        manifest.valid_until = manifest.issued_at.map(|at| prost_types::Timestamp { seconds: at.seconds + 60, ..at });
        full(authority, &manifest, &set)
    };
    control_plane.send(first);
    control_plane.until("acknowledged", |context| context.acks.first().map(drop)).await;
    control_plane.kill().await;
    control.stop().await;
    let control = Control::start(&config, &Clock::wound(NOW.plus_ms(HOUR_MS)), &Vital::default()).await.unwrap();
    assert_eq!(control.current.load().unwrap().valid_until(), NOW.plus_ms(60_000));
    control.stop().await;
}

#[tokio::test]
async fn enrolment_waits_for_a_control_plane_that_is_away() {
    let mut control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = control_plane.config(folder.path(), "ipm", "");
    control_plane.kill().await;
    let starting = tokio::spawn(async move { start(&config).await });
    // The refused connections need no waiting for: whenever the listener opens, the sidecar comes.
    tokio::task::yield_now().await;
    control_plane.open().await;
    let control = starting.await.unwrap();
    assert_eq!(control_plane.context().enrolments.len(), 1);
    control.stop().await;
}

#[tokio::test]
async fn a_refused_token_ends_the_start_and_says_what_to_do() {
    let control_plane = ControlPlane::start().await;
    for (reason, advice) in [
        ("TOKEN_USED", "ask an admin of the exchange for another one"),
        ("TOKEN_EXPIRED", "ask an admin of the exchange for another token"),
        ("TOKEN_UNKNOWN", "never issued by this exchange"),
        ("AGENCY_SUSPENDED", "only an admin of the exchange can reinstate it"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        control_plane.context().refuse_credentials = Some(refusal(Code::Unauthenticated, reason));
        let config = control_plane.config(folder.path(), "ipm", "");
        let (error, text) = start_error(&config).await;
        assert!(matches!(error, ControlError::Enrol(EnrolError::Control(_))));
        assert!(text.contains(reason) && text.contains(advice), "{text}");
        assert!(!text.contains("chapar1."), "the token is in the error");
    }
}

#[tokio::test]
async fn a_missing_foreign_or_damaged_token_ends_the_start_before_anything_is_sent() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = control_plane.config(folder.path(), "ipm", "");
    let token = folder.path().join("token");

    std::fs::remove_file(&token).unwrap();
    assert!(start_error(&config).await.1.contains("chapar token create ipm"));
    std::fs::write(&token, control_plane.token("cra").to_string()).unwrap();
    assert!(start_error(&config).await.1.contains("is for sidecar (any) of agency cra"));
    std::fs::write(&token, "chapar1.!!").unwrap();
    assert!(start_error(&config).await.1.contains("damaged"));
    let other_exchange = ControlPlane::start().await.token("ipm");
    std::fs::write(&token, other_exchange.to_string()).unwrap();
    let text = start_error(&config).await.1;
    assert!(text.contains("fingerprint in the token") && text.contains("same exchange"), "{text}");
    assert!(control_plane.context().enrolments.is_empty());
}

#[tokio::test]
async fn a_state_folder_of_another_sidecar_is_refused() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    start(&control_plane.config(folder.path(), "ipm", "")).await.stop().await;
    let text = start_error(&control_plane.config(folder.path(), "cra", "")).await.1;
    assert!(text.contains("agency/ipm/") && text.contains("state folder of its own"), "{text}");
}

#[tokio::test]
async fn a_certificate_that_ran_out_while_off_needs_a_new_token_and_uses_one_that_is_there() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = control_plane.config(folder.path(), "ipm", "");
    control_plane.context().issue_from = NOW.plus_ms(-20 * HOUR_MS);
    start(&config).await.stop().await;

    let late = Clock::wound(NOW.plus_ms(5 * HOUR_MS));
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let error = Control::start(&config, &late, &Vital::default()).await.unwrap_err();
    assert!(sentence(&error).contains("expired at 2026-11-22T09:00:00.000Z"), "{}", sentence(&error));

    control_plane.context().issue_from = NOW;
    let config = control_plane.config(folder.path(), "ipm", "");
    let control = Control::start(&config, &late, &Vital::default()).await.unwrap();
    assert_eq!(control.trust.own().not_after, NOW.plus_ms(24 * HOUR_MS));
    control.stop().await;
}

#[tokio::test]
async fn a_revoked_sidecar_starts_to_tell_why_and_enrols_anew_as_soon_as_there_is_a_token() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = control_plane.config(folder.path(), "ipm", "");
    let control = start(&config).await;
    let first = control.trust.own();
    let update = {
        let authority = &control_plane.context().authority;
        let mut set = set(authority, &[("ipm", false)]);
        let revocation = v1::RevocationResource {
            serial: first.serial.to_string(),
            spiffe_id: first.spiffe_id.to_string(),
            revoked_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            reason: "stolen".to_owned(),
            not_after: None,
        };
        let key = ResourceKey::new(v1::ResourceKind::Revocation as u32, &first.serial);
        set.insert(key, Body::new(revocation.encode_to_vec()));
        full(authority, &manifest(&sidecar("ipm"), 5, &set), &set)
    };
    control_plane.send(update);
    control_plane.until("acknowledged", |context| context.acks.first().map(drop)).await;
    control.stop().await;

    std::fs::remove_file(folder.path().join("token")).unwrap();
    let control = start(&config).await;
    assert_eq!(control.trust.own().serial, first.serial);
    assert!(control.current.load().unwrap().revocation(&first.serial).is_some());
    control.stop().await;

    let config = control_plane.config(folder.path(), "ipm", "");
    let control = start(&config).await;
    assert_ne!(control.trust.own().serial, first.serial);
    control.stop().await;
}
