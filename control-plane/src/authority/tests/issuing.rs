use std::time::Duration;

use chapar_core::identity::SpiffeId;
use data_encoding::HEXLOWER;
use x509_parser::{extensions::ParsedExtension, parse_x509_certificate, prelude::GeneralName};

use super::*;
use crate::page::Page;

#[tokio::test]
async fn a_sidecars_certificate_is_an_svid_and_nothing_more() {
    let bench = Bench::new().await;
    let issued = bench.issue(MAIN).await;
    let (_, leaf) = parse_x509_certificate(&issued.chain[0]).unwrap();

    assert_eq!(leaf.subject().iter().count(), 0);
    assert!(!leaf.is_ca());
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical, "an empty subject needs a critical subject alternative name");
    assert!(matches!(names.value.general_names.as_slice(), [GeneralName::URI(uri)] if *uri == MAIN));
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.value.digital_signature() && !usage.value.key_cert_sign() && usage.value.flags == 1);
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth && !extended.any && extended.other.is_empty());
    assert_eq!(leaf.validity().not_before.timestamp(), START_MS / 1_000 - 60);
    assert_eq!(leaf.validity().not_after.timestamp(), START_MS / 1_000 + 86_400);
    assert_eq!(leaf.raw_serial().len(), 16);
    assert_eq!(HEXLOWER.encode(leaf.raw_serial()), issued.serial);

    let (_, issuer) = parse_x509_certificate(&issued.chain[1]).unwrap();
    let key_id = |certificate: &x509_parser::certificate::X509Certificate<'_>, own: bool| {
        certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) if own => Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) if !own => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        })
    };
    assert!(key_id(&leaf, true).is_some());
    assert_eq!(key_id(&leaf, false).unwrap(), key_id(&issuer, true).unwrap());
    assert!(bench.accepts(&bench.authority.current().roots_der(), &issued.chain));
}

#[tokio::test]
async fn an_expired_certificate_is_not_accepted() {
    let bench = Bench::new().await;
    let issued = bench.issue(MAIN).await;
    bench.clock.advance(Duration::from_secs(86_399));
    assert_eq!(bench.authority.standing(&issued.serial, &issued.id).await.unwrap(), CertificateStanding::Good);
    bench.clock.advance(Duration::from_secs(2));
    assert!(!bench.accepts(&bench.authority.current().roots_der(), &issued.chain));
    assert_eq!(bench.authority.standing(&issued.serial, &issued.id).await.unwrap(), CertificateStanding::Expired);
}

#[tokio::test]
async fn keys_are_for_the_daemons_user_alone_and_survive_a_restart() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new().await;
    let folder = bench.folder.path().join("authority");
    for (name, mode) in [("", 0o700), ("root-1.key", 0o600), ("issuing-1.key", 0o600)] {
        assert_eq!(folder.join(name).metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    let before = bench.issue(MAIN).await;
    let again = bench.reopened().await.unwrap();
    assert_eq!(again.current().roots_der(), bench.authority.current().roots_der());
    assert_eq!(bench.audited("authority.found").await, 2);
    assert!(bench.accepts(&again.current().roots_der(), &before.chain));
}

#[tokio::test]
async fn a_lost_database_does_not_overwrite_the_root() {
    let bench = Bench::new().await;
    let other = Store::open(&bench.folder.path().join("other.db"), bench.clock.clone()).await.unwrap();
    let refused = open(&bench.folder, &other, &bench.acknowledgements).await.err().unwrap();
    assert!(matches!(refused, AuthorityError::DatabaseLost { .. }), "{refused}");
}

#[tokio::test]
async fn another_trust_domain_is_refused() {
    let bench = Bench::new().await;
    let keys = bench.folder.path().join("authority");
    let trust_domain = "other.example".parse().unwrap();
    let refused = Authority::open(bench.store.clone(), &keys, trust_domain, Certificates::default(), Acknowledgements::default());
    let refused = refused.await.err().unwrap();
    assert!(matches!(refused, AuthorityError::OtherTrustDomain { .. }), "{refused}");
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_from_then_on_and_only_once() {
    let bench = Bench::new().await;
    let (issued, spared) = (bench.issue(MAIN).await, bench.issue(MAIN).await);
    bench.authority.require_good_standing(&caller(&issued)).await.unwrap();

    let shouted: String = issued
        .serial
        .to_uppercase()
        .as_bytes()
        .chunks(2)
        .map(|pair| format!("{}{}:", pair[0] as char, pair[1] as char))
        .collect();
    let revision = bench.authority.revoke("local:uid=0", shouted.trim_end_matches(':'), "key lost").await.unwrap();
    assert_eq!(revision, bench.store.revision().await.unwrap());
    let refusal = bench.authority.require_good_standing(&caller(&issued)).await.unwrap_err();
    assert_eq!(refusal.reason(), "CERTIFICATE_REVOKED");
    assert!(refusal.message().contains("key lost"), "{refusal}");
    bench.authority.require_good_standing(&caller(&spared)).await.unwrap();

    let view = trust_view(&bench.store).await.unwrap();
    assert_eq!(view.revoked.iter().map(|revoked| revoked.serial.as_str()).collect::<Vec<_>>(), [issued.serial.as_str()]);
    assert_eq!(view.revoked[0].agency.as_deref(), Some("post"));
    let again = bench.authority.revoke("local:uid=0", &issued.serial, "again").await.unwrap_err();
    assert_eq!(again.reason(), "CERTIFICATE_REVOKED");
    let unknown = bench.authority.revoke("local:uid=0", "00ff", "x").await.unwrap_err();
    assert_eq!(unknown.reason(), "CERTIFICATE_UNKNOWN");
    let silent = bench.authority.revoke("local:uid=0", &spared.serial, " ").await.unwrap_err();
    assert_eq!(silent.reason(), "REASON_MISSING");
    assert_eq!(bench.audited("certificate.revoke").await, 1);

    bench.clock.advance(Duration::from_secs(90_000));
    assert!(trust_view(&bench.store).await.unwrap().revoked.is_empty(), "expired certificates need no revocation");
}

#[tokio::test]
async fn a_serial_number_with_another_identity_is_unknown() {
    let bench = Bench::new().await;
    let issued = bench.issue(MAIN).await;
    let other: SpiffeId = "spiffe://exchange.example/agency/cra/sidecar/main".parse().unwrap();
    assert_eq!(bench.authority.standing(&issued.serial, &other).await.unwrap(), CertificateStanding::Unknown);
}

#[tokio::test]
async fn the_control_planes_own_certificate_is_renewed_at_half_life() {
    let bench = Bench::new().await;
    let first = bench.authority.current().own.serial.clone();
    assert!(!bench.authority.renew_own_if_due().await.unwrap());
    bench.clock.advance(Duration::from_secs(43_201));
    assert!(bench.authority.renew_own_if_due().await.unwrap());
    assert_ne!(bench.authority.current().own.serial, first);
}

#[tokio::test]
async fn an_issuing_ca_about_to_expire_issues_nothing_and_says_what_to_do() {
    let bench = Bench::new().await;
    bench.clock.advance(Duration::from_secs(364 * 86_400));
    bench.authority.renew_own_if_due().await.unwrap();
    bench.clock.advance(Duration::from_secs(43_200));
    let issued = bench.issue(MAIN).await;
    assert_eq!(issued.not_after, Timestamp::from_unix_ms(START_MS + 365 * 86_400_000), "not beyond its issuer");
    bench.clock.advance(Duration::from_secs(43_190));
    let mut tx = bench.store.write().await.unwrap();
    let refused = bench.authority.issue_sidecar(&mut tx, &MAIN.parse().unwrap(), &csr()).await.unwrap_err();
    assert!(matches!(refused, AuthorityError::GenerationExpires { .. }), "{refused}");
}

#[tokio::test]
async fn a_snapshots_signature_verifies_with_the_signers_certificate() {
    let bench = Bench::new().await;
    let signature = bench.authority.signer().sign(b"manifest").unwrap();
    let (_, leaf) = parse_x509_certificate(&signature.chain[0]).unwrap();
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
        leaf.public_key().subject_public_key.data.as_ref(),
    );
    key.verify(b"manifest", &signature.der).unwrap();
    assert!(key.verify(b"manifesT", &signature.der).is_err());
    assert!(bench.accepts(&bench.authority.current().roots_der(), &signature.chain));
}

#[tokio::test]
async fn certificates_are_listed_newest_first_page_by_page() {
    let bench = Bench::new().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(bench.issue(MAIN).await.serial);
        bench.clock.advance(Duration::from_secs(1));
    }
    made.reverse();
    let list = async |after: &str| bench.authority.list("post", false, &Page::asked(2, after).unwrap()).await.unwrap();
    let (first, next) = list("").await;
    let (second, end) = list(&next).await;
    assert_eq!(first.iter().chain(&second).map(|row| row.serial.clone()).collect::<Vec<_>>(), made);
    assert_eq!(end, "");
}
