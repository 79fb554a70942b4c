//! Who comes in by which door: the control plane's listeners over real TLS and a real Unix socket.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use chapar_control_plane::app::App;
use chapar_proto::{
    admin::v1::{
        IssueAdminCertificateRequest, ListAgenciesRequest, ListAuditRequest, ListCertificatesRequest, RotateRootRequest,
        SuspendAgencyRequest, agency_service_client::AgencyServiceClient, audit_service_client::AuditServiceClient,
        certificate_service_client::CertificateServiceClient,
    },
    v1::{
        EnrolRequest, FollowRequest, enrolment_service_client::EnrolmentServiceClient,
        snapshot_service_client::SnapshotServiceClient,
    },
};
use rcgen::KeyPair;
use support::{Bench, Identity, POST, Roots, config, csr, reason, renewal};
use tonic::Code;

#[tokio::test]
async fn a_sidecar_that_knows_only_a_token_enrols_and_then_renews() {
    let bench = Bench::start().await;
    let first = bench.enrol("post").await;
    let key = KeyPair::generate().unwrap();
    let renewed = bench.as_sidecar(&first).renew(renewal(&key)).await.unwrap().into_inner();
    let credentials = renewed.credentials.unwrap();
    assert_eq!(credentials.spiffe_id, POST);
    let second = Identity::of(key, credentials);
    assert_ne!(second.serial(), first.serial());
    bench.as_sidecar(&second).renew(renewal(&KeyPair::generate().unwrap())).await.unwrap();
}

#[tokio::test]
async fn a_sidecar_does_not_enrol_with_a_stranger_who_lacks_the_root() {
    let (bench, stranger) = (Bench::start().await, Bench::start().await);
    let token = bench.token("post").await;
    let channel = stranger.channel("sidecars", Roots::WithFingerprint(token.root_sha256), None);
    let request = EnrolRequest { token: token.to_string(), ..Default::default() };
    EnrolmentServiceClient::new(channel).enrol(request).await.unwrap_err();
    assert!(stranger.refusals("enrolment").await.is_empty(), "the token never reached the stranger");
}

#[tokio::test]
async fn without_a_certificate_only_enrolment_is_open() {
    let bench = Bench::start().await;
    let roots = Roots::These(bench.app.authority().current().roots_der());
    let channel = bench.channel("sidecars", roots.clone(), None);
    let renewed = EnrolmentServiceClient::new(channel.clone()).renew(renewal(&KeyPair::generate().unwrap())).await;
    let refused = renewed.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CERTIFICATE_MISSING"));
    let followed = SnapshotServiceClient::new(channel).follow(tokio_stream::empty::<FollowRequest>()).await;
    assert_eq!(reason(&followed.unwrap_err()), "CERTIFICATE_MISSING");
    assert_eq!(bench.refusals("request.refuse").await, ["CERTIFICATE_MISSING"; 2]);

    let admin = bench.channel("admin", roots, None);
    AgencyServiceClient::new(admin).list_agencies(ListAgenciesRequest::default()).await.unwrap_err();
    assert_eq!(bench.refusals_once("connection.refuse", 1).await, ["CERTIFICATE_MISSING"]);
}

#[tokio::test]
async fn refusals_of_enrolment_reach_the_wire_with_code_and_reason() {
    let bench = Bench::start().await;
    let roots = Roots::These(bench.app.authority().current().roots_der());
    let mut client = EnrolmentServiceClient::new(bench.channel("sidecars", roots, None));
    let key = KeyPair::generate().unwrap();
    let token = bench.token("post").await.to_string();
    let other = "spiffe://exchange.example/agency/cra/sidecar/main";
    for (token, csr_der, code, expected) in [
        ("x".to_owned(), csr(&key, &[]), Code::InvalidArgument, "TOKEN_MALFORMED"),
        (token.clone(), vec![1], Code::InvalidArgument, "CSR_MALFORMED"),
        (token.clone(), csr(&key, &[other]), Code::PermissionDenied, "CSR_IDENTITY_MISMATCH"),
    ] {
        let refused = client.enrol(EnrolRequest { token, csr_der, sidecar: String::new() }).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (code, expected));
    }
    let request = EnrolRequest { token, csr_der: csr(&key, &[POST]), sidecar: "main".to_owned() };
    client.enrol(request.clone()).await.unwrap();
    let used = client.enrol(request).await.unwrap_err();
    assert_eq!((used.code(), reason(&used).as_str()), (Code::Unauthenticated, "TOKEN_USED"));
    let address = bench.refusals("enrolment.refuse").await;
    assert_eq!(address, ["TOKEN_MALFORMED", "CSR_MALFORMED", "CSR_IDENTITY_MISMATCH", "TOKEN_USED"]);
}

#[tokio::test]
async fn a_revocation_reaches_an_open_connection() {
    let bench = Bench::start().await;
    let identity = bench.enrol("post").await;
    let mut open = bench.as_sidecar(&identity);
    open.renew(renewal(&identity.key)).await.unwrap();
    bench.app.authority().revoke("system", &identity.serial(), "key lost").await.unwrap();
    let refused = open.renew(renewal(&identity.key)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "CERTIFICATE_REVOKED"));
    assert!(refused.message().contains("key lost"));
    assert_eq!(bench.refusals("request.refuse").await, ["CERTIFICATE_REVOKED"]);
}

#[tokio::test]
async fn a_suspension_by_the_admin_reaches_an_open_connection_and_no_other_agency() {
    let bench = Bench::start().await;
    let (post, cra) = (bench.enrol("post").await, bench.enrol("cra").await);
    let (mut open, mut other) = (bench.as_sidecar(&post), bench.as_sidecar(&cra));
    open.renew(renewal(&post.key)).await.unwrap();
    let mut admin = AgencyServiceClient::new(bench.local());
    let asked = SuspendAgencyRequest { agency: "post".to_owned(), reason: "breach".to_owned() };
    let done = admin.suspend_agency(asked).await.unwrap().into_inner();
    assert_eq!(done.certificates, 2);
    assert_eq!(reason(&open.renew(renewal(&post.key)).await.unwrap_err()), "AGENCY_SUSPENDED");
    other.renew(renewal(&cra.key)).await.unwrap();
    let listed = admin.list_agencies(ListAgenciesRequest::default()).await.unwrap().into_inner().agencies;
    let shown: Vec<_> = listed.iter().map(|agency| (agency.name.as_str(), agency.suspended, agency.sidecars)).collect();
    assert_eq!(shown, [("cra", false, 1), ("post", true, 1)]);
}

#[tokio::test]
async fn an_expired_certificate_ends_with_its_time_on_an_open_connection_and_on_a_new_one() {
    let bench = Bench::start().await;
    let identity = bench.enrol("post").await;
    let mut open = bench.as_sidecar(&identity);
    open.renew(renewal(&identity.key)).await.unwrap();
    bench.clock.advance(Duration::from_secs(86_401));
    let refused = open.renew(renewal(&identity.key)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CERTIFICATE_EXPIRED"));
    bench.app.authority().renew_own_if_due().await.unwrap();
    bench.as_sidecar(&identity).renew(renewal(&identity.key)).await.unwrap_err();
    assert_eq!(bench.refusals_once("connection.refuse", 1).await, ["CERTIFICATE_EXPIRED"]);
}

#[tokio::test]
async fn attacks_on_identity_are_refused_at_the_handshake_and_audited() {
    let (bench, foreign) = (Bench::start().await, Bench::start().await);
    let later = bench.clock.now().plus_ms(3_600_000);
    let foreigner = foreign.enrol("post").await;
    let roots = bench.app.authority().current().roots_der();
    let attacks = [
        (bench.self_signed(POST), "CERTIFICATE_FOREIGN"),
        (Identity { roots: roots.clone(), ..foreigner }, "CERTIFICATE_FOREIGN"),
        (bench.forged(&["spiffe://other.example/agency/post/sidecar/main"], later), "CERTIFICATE_FOREIGN"),
        (bench.forged(&[POST, "spiffe://exchange.example/agency/cra/sidecar/main"], later), "CERTIFICATE_IDENTITY"),
        (bench.forged(&[], later), "CERTIFICATE_IDENTITY"),
        (bench.forged(&["https://exchange.example/agency/post"], later), "CERTIFICATE_IDENTITY"),
        (bench.forged(&[POST], bench.clock.now().plus_ms(-1_000)), "CERTIFICATE_EXPIRED"),
    ];
    for (number, (attacker, expected)) in attacks.iter().enumerate() {
        bench.as_sidecar(attacker).renew(renewal(&attacker.key)).await.unwrap_err();
        let refusals = bench.refusals_once("connection.refuse", number + 1).await;
        assert_eq!(refusals[number], *expected, "attack {number}");
    }
}

#[tokio::test]
async fn a_certificate_that_a_thief_of_the_issuing_key_made_is_unknown() {
    let bench = Bench::start().await;
    let thief = bench.forged(&[POST], bench.clock.now().plus_ms(3_600_000));
    let refused = bench.as_sidecar(&thief).renew(renewal(&thief.key)).await.unwrap_err();
    assert_eq!(reason(&refused), "CERTIFICATE_UNKNOWN");
    assert_eq!(bench.refusals("request.refuse").await, ["CERTIFICATE_UNKNOWN"]);
}

#[tokio::test]
async fn admins_come_by_socket_or_certificate_and_each_kind_stays_at_its_door() {
    let bench = Bench::start().await;
    let mut local = CertificateServiceClient::new(bench.local());
    let key = KeyPair::generate().unwrap();
    let asked = IssueAdminCertificateRequest { name: "sara".to_owned(), csr_der: csr(&key, &[]), ..Default::default() };
    let issued = local.issue_admin_certificate(asked.clone()).await.unwrap().into_inner();
    let admin = Identity { key, chain: issued.chain_der, roots: issued.roots_der };
    let roots = || Roots::These(admin.roots.clone());

    let mut remote = AuditServiceClient::new(bench.channel("admin", roots(), Some(&admin)));
    let entries = remote.list_audit(ListAuditRequest::default()).await.unwrap().into_inner().entries;
    let entry = entries.iter().find(|entry| entry.action == "certificate.issue-admin").unwrap();
    assert!(entry.actor.starts_with("local:uid="), "{}", entry.actor);
    assert_eq!(entry.object, "spiffe://exchange.example/admin/sara");

    let strayed = bench.as_sidecar(&admin).renew(renewal(&admin.key)).await.unwrap_err();
    assert_eq!(reason(&strayed), "SIDECAR_REQUIRED");
    let sidecar = bench.enrol("post").await;
    let mut intruder = CertificateServiceClient::new(bench.channel("admin", roots(), Some(&sidecar)));
    let refused = intruder.list_certificates(ListCertificatesRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ADMIN_REQUIRED"));

    for (name, valid_for_s, expected) in
        [("Not A Name", 0, "ADMIN_NAME_MALFORMED"), ("sara", 91 * 86_400, "CERTIFICATE_LIFE_TOO_LONG")]
    {
        let asked = IssueAdminCertificateRequest { name: name.to_owned(), valid_for_s, ..asked.clone() };
        assert_eq!(reason(&local.issue_admin_certificate(asked).await.unwrap_err()), expected);
    }
    bench.app.authority().revoke("system", &admin.serial(), "left the service").await.unwrap();
    let refused = remote.list_audit(ListAuditRequest::default()).await.unwrap_err();
    assert_eq!(reason(&refused), "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn a_root_rotation_breaks_no_connection_and_lets_old_and_new_in() {
    let bench = Bench::start().await;
    let old = bench.enrol("post").await;
    let token = bench.token("cra").await;
    let mut open = bench.as_sidecar(&old);
    open.renew(renewal(&old.key)).await.unwrap();
    let mut admin = CertificateServiceClient::new(bench.local());
    let rotated = admin
        .rotate_root(RotateRootRequest { reason: "planned".to_owned(), wait_s: 1, ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(rotated.root.unwrap().name, "root-2");

    let renewed = open.renew(renewal(&old.key)).await.unwrap().into_inner().credentials.unwrap();
    assert_eq!(renewed.bundle.as_ref().unwrap().roots_der.len(), 2);
    bench.as_sidecar(&old).renew(renewal(&old.key)).await.unwrap();
    let key = KeyPair::from_pem(&old.key.serialize_pem()).unwrap();
    let mut new = Identity::of(key, renewed);
    new.roots.truncate(1);
    assert_ne!(new.roots, old.roots, "the new root comes first");
    bench.as_sidecar(&new).renew(renewal(&new.key)).await.unwrap();

    let channel = bench.channel("sidecars", Roots::WithFingerprint(token.root_sha256), None);
    let request =
        EnrolRequest { token: token.to_string(), csr_der: csr(&KeyPair::generate().unwrap(), &[]), ..Default::default() };
    EnrolmentServiceClient::new(channel).enrol(request).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_fill_the_audit() {
    let bench = Bench::start().await;
    let roots = Roots::These(bench.app.authority().current().roots_der());
    let mut client = EnrolmentServiceClient::new(bench.channel("sidecars", roots, None));
    for _ in 0..100 {
        client.renew(renewal(&KeyPair::generate().unwrap())).await.unwrap_err();
    }
    assert_eq!(bench.refusals("request.refuse").await.len(), 10);
    let metrics = get(&bench, "/metrics").await;
    let counted = r#"chapar_control_plane_refusals_total{listener="sidecars",reason="CERTIFICATE_MISSING"} 100"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn it_is_ready_while_it_serves_and_alone_on_its_folder() {
    let bench = Bench::start().await;
    assert!(get(&bench, "/healthz").await.contains("200 OK"));
    assert!(get(&bench, "/readyz").await.contains("ready"));
    let second = App::start(config(bench.folder.path()), bench.clock.clone()).await.err().unwrap();
    assert!(second.to_string().contains("another chapar-control-plane"), "{second:#}");

    let socket = bench.address("adminSocket");
    let Bench { folder, clock, app } = bench;
    app.stop().await;
    assert!(!std::path::Path::new(&socket).exists());
    let again = App::start(config(folder.path()), clock).await.unwrap();
    assert_eq!(again.authority().current().active_root().unwrap().name, "root-1");
}

async fn get(bench: &Bench, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(bench.address("http")).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
