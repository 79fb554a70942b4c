//! One stream, with states turned by hand.

use chapar_core::subject::SubjectKey;
use chapar_proto::v1::RevocationResource;

use super::*;

#[tokio::test]
async fn a_new_sidecar_gets_the_whole_set_and_then_only_what_changed() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    let (update, manifest) = sidecar.take().await;
    assert!(update.full);
    assert_eq!((manifest.revision, manifest.policy_version), (1, 10));
    let (issued, until) = (manifest.issued_at.unwrap(), manifest.valid_until.unwrap());
    assert_eq!((issued.seconds, until.seconds - issued.seconds), (NOW_MS / 1_000, 100));

    exchange.turn(with_grant(facts(2), "g"));
    let (update, manifest) = sidecar.take().await;
    assert!(!update.full);
    let names: Vec<_> = update.changed.iter().map(|changed| changed.key.clone().unwrap().name).collect();
    assert_eq!(names, ["ipm", "g"]);
    assert_eq!(manifest.revision, 2);

    exchange.turn(facts(3));
    let (update, _) = sidecar.take().await;
    assert_eq!((update.changed.len(), update.removed.len()), (0, 2));
}

#[tokio::test]
async fn a_change_that_concerns_others_still_tells_the_new_policy_version() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    exchange.turn(facts(2));
    let (update, manifest) = sidecar.take().await;
    assert!(!update.full && update.changed.is_empty() && update.removed.is_empty());
    assert_eq!((manifest.revision, manifest.policy_version), (2, 20));
    exchange.acknowledgements.wait_for(2, Duration::from_secs(5)).await.unwrap();
    let status = &exchange.distribution.recipients().list()[0];
    assert_eq!((status.acknowledged_revision, status.policy_version, status.connected), (2, 20, true));
}

#[tokio::test]
async fn who_comes_back_with_a_known_set_gets_a_delta_and_with_an_unknown_one_the_whole() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    let (_, first) = sidecar.take().await;
    let held = sidecar.set.clone();
    exchange.turn(with_grant(facts(2), "g"));
    sidecar.take().await;

    let mut again = exchange.sidecar(hello(1, &first.digest)).await.unwrap();
    again.set = held;
    let (update, _) = again.take().await;
    assert!(!update.full);

    let mut unknown = exchange.sidecar(hello(1, &[7; 32])).await.unwrap();
    let (update, _) = unknown.take().await;
    assert!(update.full);
}

#[tokio::test]
async fn a_restarted_control_plane_need_not_send_what_is_held_already() {
    let exchange = Exchange::at(facts(1)).await;
    let present = exchange.distribution.state().set_of("post");
    let mut sidecar = exchange.sidecar(hello(9, &present.digest)).await.unwrap();
    sidecar.set = present.set.clone();
    let (update, manifest) = sidecar.take().await;
    assert!(!update.full && update.changed.is_empty());
    assert_eq!(manifest.revision, 9, "never below what is held");
}

#[tokio::test]
async fn a_slow_sidecar_gets_the_newest_state_and_no_backlog() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    let (_, first) = sidecar.receive().await;
    for revision in 2..=50 {
        exchange.turn(with_grant(facts(revision), &format!("g{revision}")));
    }
    sidecar.answer(first.revision, true).await;
    let (_, manifest) = sidecar.take().await;
    assert_eq!(manifest.revision, 50);
}

#[tokio::test]
async fn a_refused_delta_is_followed_by_the_whole_set_and_recorded() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    exchange.turn(with_grant(facts(2), "g"));
    let (update, manifest) = sidecar.receive().await;
    assert!(!update.full);
    sidecar.answer(manifest.revision, false).await;
    let (update, manifest) = sidecar.receive().await;
    assert!(update.full);
    assert_eq!(exchange.distribution.recipients().list()[0].problem, "disk full");
    assert_eq!(exchange.audited().await, [("snapshot.refuse".to_owned(), "SNAPSHOT_REFUSED".to_owned())]);
    assert_eq!(exchange.acknowledgements.behind(2), [POST]);

    // A refused whole set is not sent over and over: only the next change brings another.
    sidecar.answer(manifest.revision, false).await;
    exchange.turn(facts(3));
    let (update, manifest) = sidecar.take().await;
    assert!(update.full);
    assert_eq!(manifest.revision, 3);
}

#[tokio::test]
async fn a_second_stream_of_the_same_identity_ends_the_first() {
    let exchange = Exchange::at(facts(1)).await;
    let mut first = exchange.sidecar(hello(0, &[])).await.unwrap();
    first.take().await;
    let mut second = exchange.sidecar(hello(0, &[])).await.unwrap();
    second.take().await;
    let status = first.ending().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "STREAM_TAKEN_OVER"));
    exchange.turn(facts(2));
    assert_eq!(second.take().await.1.revision, 2);
}

#[tokio::test]
async fn anothers_snapshot_is_refused_and_audited() {
    let exchange = Exchange::at(facts(1)).await;
    let spiffe_id = "spiffe://exchange.example/agency/ipm/sidecar/main".to_owned();
    let status = exchange.sidecar(Hello { spiffe_id, ..hello(0, &[]) }).await.err().unwrap();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "FOREIGN_SNAPSHOT"));
    assert_eq!(exchange.audited().await, [("snapshot.follow".to_owned(), "FOREIGN_SNAPSHOT".to_owned())]);
}

#[tokio::test]
async fn nobody_without_a_certificate_follows() {
    let exchange = Exchange::at(facts(1)).await;
    let status = exchange.door.enter(hello(0, &[]), "").await.err().unwrap();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CERTIFICATE_MISSING"));
}

#[tokio::test]
async fn a_malformed_beginning_is_refused() {
    let exchange = Exchange::at(facts(1)).await;
    for (malformed, why) in [(hello(1, &[1; 31]), "digest"), (hello(u64::MAX, &[1; 32]), "revision")] {
        let status = exchange.sidecar(malformed).await.err().unwrap();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "HELLO_MALFORMED"), "{why}");
    }
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.receive().await;
    sidecar.answer(77, true).await;
    assert_eq!(reason(&sidecar.ending().await), "ACK_UNEXPECTED");
}

fn revoked(facts: Facts) -> Facts {
    let revocation = RevocationResource {
        serial: "0a".into(),
        spiffe_id: POST.into(),
        reason: "key lost".into(),
        ..RevocationResource::default()
    };
    Facts { revocations: vec![revocation], ..facts }
}

#[tokio::test]
async fn a_revoked_sidecar_is_told_by_its_snapshot_and_its_stream_ends() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    exchange.acknowledgements.wait_for(1, Duration::from_secs(5)).await.unwrap();
    exchange.turn(revoked(facts(2)));
    let (update, _) = sidecar.receive().await;
    assert_eq!(update.changed[0].key.clone().unwrap().name, "0a");
    let status = sidecar.ending().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "CERTIFICATE_REVOKED"));
    assert!(status.message().contains("key lost"), "{}", status.message());

    // Nor does it get in again; the same sidecar with another certificate does.
    let status = exchange.sidecar(hello(0, &[])).await.err().unwrap();
    assert_eq!(reason(&status), "CERTIFICATE_REVOKED");
    assert!(exchange.door.enter(hello(0, &[]), "0b").await.is_ok());
}

#[tokio::test]
async fn a_revoked_sidecar_that_owes_an_answer_is_ended_all_the_same() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.receive().await;
    exchange.turn(revoked(facts(2)));
    assert_eq!(reason(&sidecar.ending().await), "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn a_suspended_agencys_streams_end() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    let mut suspended = facts(2);
    suspended.agencies.insert("post".into(), Some("audit pending".into()));
    exchange.turn(suspended);
    let status = sidecar.ending().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "AGENCY_SUSPENDED"));
}

#[tokio::test]
async fn who_leaves_is_no_longer_connected() {
    let exchange = Exchange::at(facts(1)).await;
    let mut sidecar = exchange.sidecar(hello(0, &[])).await.unwrap();
    sidecar.take().await;
    exchange.acknowledgements.wait_for(1, Duration::from_secs(5)).await.unwrap();
    assert_eq!(exchange.distribution.recipients().connected(), 1);
    drop(sidecar);
    // It counts as behind this revision for as long as it is connected.
    exchange.acknowledgements.wait_for(u64::MAX, Duration::from_secs(5)).await.unwrap();
    assert_eq!(exchange.distribution.recipients().connected(), 0);
}

#[tokio::test]
async fn a_sidecar_that_needs_the_one_key_of_all_is_served_as_long_as_there_is_one() {
    let shared = Some(SubjectKey::new(1, [7; 32]));
    let exchange = Exchange::at(Facts { shared_subject_key: shared, ..facts(1) }).await;
    let old = Hello { reads_keys_of_pairs: false, ..hello(0, &[]) };
    let mut sidecar = exchange.sidecar(old.clone()).await.unwrap();
    sidecar.take().await;
    assert_eq!(exchange.distribution.recipients().outdated(), [POST]);
    exchange.turn(facts(2));
    assert_eq!(sidecar.ending().await.message().split(';').count(), 2);
    let refused = exchange.sidecar(old).await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    exchange.sidecar(hello(0, &[])).await.unwrap();
    assert_eq!(exchange.distribution.recipients().outdated(), [""; 0]);
}
