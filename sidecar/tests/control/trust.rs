//! Who gets through a handshake, and what is said of who does not.

use std::{collections::HashMap, io, sync::Arc};

use chapar_core::{
    policy::{CertificateRevocation, PolicySnapshot, Reason, SnapshotParts, certificate_in_order},
    time::Timestamp,
};
use chapar_sidecar::{
    clock::Clock,
    config::{KeyExchange, Suite, Tls},
    trust::{Bundle, Credentials, HandshakeProblem, PeerProblem, Trust, TrustError, introduction, nominal_server_name},
};
use rustls::{ClientConfig, ServerConfig, pki_types::CertificateDer};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    NOW,
    authority::{Authority, HOUR_MS, Leaf, self_signed},
    gullible, id, sidecar,
};

const IPM: &str = "spiffe://exchange.example/agency/ipm/sidecar/main";
const POST: &str = "spiffe://exchange.example/agency/post/sidecar/main";

fn trust(authority: &Authority, uri: &str) -> Trust {
    Trust::new(&authority.issue(&[uri]).credentials(), authority.bundle(), Clock::wound(NOW)).unwrap()
}

/// Shakes hands as it is shipped; what each end says of it.
async fn shake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> (Result<(), HandshakeProblem>, Result<Vec<CertificateDer<'static>>, HandshakeProblem>) {
    let (client, server) = shake_and_tell(client, server).await;
    let server = server.map(|told| {
        assert_eq!(told.suite, rustls::CipherSuite::TLS13_AES_256_GCM_SHA384);
        assert_eq!(told.exchange, rustls::NamedGroup::X25519MLKEM768);
        told.chain
    });
    (client, server)
}

/// What the server learned in a handshake.
#[derive(Debug)]
struct Told {
    chain: Vec<CertificateDer<'static>>,
    suite: rustls::CipherSuite,
    exchange: rustls::NamedGroup,
}

async fn shake_and_tell(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> (Result<(), HandshakeProblem>, Result<Told, HandshakeProblem>) {
    use tokio::io::AsyncReadExt as _;
    let (near, far) = tokio::io::duplex(64 * 1024);
    let client = async {
        let mut stream = TlsConnector::from(client).connect(nominal_server_name(), near).await?;
        // In TLS 1.3 the client is done before the server has judged it: the first read tells.
        match stream.read(&mut [0; 1]).await {
            Ok(_) => Ok::<_, io::Error>(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error),
        }
    };
    let server = async {
        let stream = TlsAcceptor::from(server).accept(far).await?;
        let connection = stream.get_ref().1;
        assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        Ok::<_, io::Error>(Told {
            chain: connection.peer_certificates().unwrap_or_default().to_vec(),
            suite: connection.negotiated_cipher_suite().unwrap().suite(),
            exchange: connection.negotiated_key_exchange_group().unwrap().name(),
        })
    };
    let (client, server) = tokio::join!(client, server);
    (client.map_err(|error| HandshakeProblem::from_io(&error)), server.map_err(|error| HandshakeProblem::from_io(&error)))
}

#[tokio::test]
async fn two_sidecars_of_one_exchange_meet() {
    let authority = Authority::new("exchange.example");
    let (ipm, post) = (trust(&authority, IPM), trust(&authority, POST));
    let (client, server) = shake(ipm.client_config(&sidecar("post")), post.server_config()).await;
    client.unwrap();
    let met = post.peer_certificate(&server.unwrap()).unwrap();
    assert_eq!(met, *ipm.own());
    assert_eq!(met.spiffe_id, sidecar("ipm"));
    assert_eq!(met.not_after, NOW.plus_ms(24 * HOUR_MS));
}

#[tokio::test]
async fn a_forged_sidecar_below_a_retired_issuing_ca_is_known_by_that_ca() {
    let authority = Authority::new("exchange.example");
    let post = trust(&authority, POST);
    let serial = |der: &[u8]| {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
        Arc::<str>::from(certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    let retired = serial(authority.issuing.der());
    let mut forged = authority.issue(&[IPM]);
    // Decoys beside it do not hide it.
    let authority = authority.with_next_issuing();
    forged.chain.insert(1, authority.issuing.der().clone());
    let (_, chain) = shake(gullible::client(Some(&forged)), post.server_config()).await;
    let met = post.peer_certificate(&chain.unwrap()).unwrap();
    assert_eq!(*met.issuers, [serial(authority.issuing.der()), Arc::clone(&retired)]);

    let snapshot = |revoked: Option<Arc<str>>| {
        let revocation = CertificateRevocation { at: NOW, reason: "issuing-1 was retired".to_owned() };
        PolicySnapshot::new(SnapshotParts {
            trust_domain: authority.trust_domain.clone(),
            recipient: sidecar("post"),
            revision: 1,
            policy_version: 1,
            issued_at: NOW,
            valid_until: NOW.plus_ms(HOUR_MS),
            inquiries: Vec::new(),
            grants: Vec::new(),
            endpoints: Vec::new(),
            revocations: revoked.into_iter().map(|serial| (serial.to_string(), revocation.clone())).collect(),
            agencies: HashMap::new(),
        })
    };
    certificate_in_order(&snapshot(None), &met, NOW).unwrap();
    let refusal = certificate_in_order(&snapshot(Some(retired)), &met, NOW).unwrap_err();
    assert_eq!(refusal.reason, Reason::CertificateRevoked);
    assert_eq!(post.peer_certificate(&[forged.chain[0].clone(), vec![1].into()]).unwrap_err().as_str(), "malformed");
}

#[tokio::test]
async fn a_server_refuses_every_client_that_is_no_sidecar_of_its_exchange() {
    let authority = Authority::new("exchange.example");
    let stranger = Authority::new("exchange.example");
    let abroad = Authority::new("other.example");
    let post = trust(&authority, POST);
    let expired = authority.issue_valid(&[IPM], NOW.plus_ms(-48 * HOUR_MS), 24 * HOUR_MS);
    let cases: [(&str, Option<Leaf>); 10] = [
        ("no_certificate", None),
        ("untrusted_chain", Some(self_signed(IPM))),
        ("untrusted_chain", Some(stranger.issue(&[IPM]))),
        ("other_trust_domain", Some(abroad.issue(&["spiffe://other.example/agency/ipm/sidecar/main"]))),
        ("several_identities", Some(authority.issue(&[IPM, POST]))),
        ("no_identity", Some(authority.issue(&[]))),
        ("not_an_identity", Some(authority.issue(&["https://exchange.example/agency/ipm/sidecar/main"]))),
        ("expired", Some(expired)),
        ("not_yet_valid", Some(authority.issue_valid(&[IPM], NOW.plus_ms(HOUR_MS), HOUR_MS))),
        ("not_a_sidecar", Some(authority.issue(&["spiffe://exchange.example/control-plane"]))),
    ];
    for (expected, leaf) in cases {
        let client = gullible::client(leaf.as_ref());
        let (told, refused) = shake(client, post.server_config()).await;
        let problem = refused.unwrap_err();
        assert!(matches!(problem, HandshakeProblem::Peer(_)), "{expected}: {problem:?}");
        assert_eq!(problem.as_str(), expected, "{problem}");
        assert!(matches!(told, Err(HandshakeProblem::RefusedByPeer(_))), "{expected}: {told:?}");
    }
}

#[tokio::test]
async fn a_client_lets_only_the_expected_sidecar_answer() {
    let authority = Authority::new("exchange.example");
    let abroad = Authority::new("other.example");
    let ipm = trust(&authority, IPM);
    let foreign_id = "spiffe://other.example/agency/post/sidecar/main";
    for (expected, server) in [
        ("wrong_identity", trust(&authority, "spiffe://exchange.example/agency/tavanir/sidecar/main")),
        ("wrong_identity", trust(&authority, "spiffe://exchange.example/agency/post/sidecar/spare")),
        ("other_trust_domain", trust(&abroad, foreign_id)),
    ] {
        let (refused, told) = shake(ipm.client_config(&sidecar("post")), server.server_config()).await;
        assert_eq!(refused.unwrap_err().as_str(), expected);
        assert!(told.is_err());
    }
}

#[tokio::test]
async fn only_the_chosen_suites_and_key_exchanges_are_spoken_in_the_order_of_who_connects() {
    let authority = Authority::new("exchange.example");
    let speaking = |uri, suites: &[Suite], key_exchanges: &[KeyExchange]| {
        let chosen = Tls { suites: suites.to_vec(), key_exchanges: key_exchanges.to_vec() };
        let credentials = authority.issue(&[uri]).credentials();
        Trust::speaking(&chosen, &credentials, authority.bundle(), Clock::wound(NOW)).unwrap()
    };
    let picky = speaking(IPM, &[Suite::Aes128GcmSha256, Suite::Aes256GcmSha384], &[KeyExchange::Secp384r1, KeyExchange::X25519]);
    let shipped = trust(&authority, POST);
    for (name, server) in [("post", shipped.server_config()), ("ipm", picky.server_config())] {
        let told = shake_and_tell(picky.client_config(&sidecar(name)), server).await.1.unwrap();
        assert_eq!(told.suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(told.exchange, rustls::NamedGroup::secp384r1);
    }
    // Renewed credentials change nothing of it.
    picky.replace_credentials(&authority.issue(&[IPM]).credentials()).unwrap();
    let told = shake_and_tell(picky.client_config(&sidecar("post")), shipped.server_config()).await.1.unwrap();
    assert_eq!(told.suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let other = speaking(POST, &[Suite::Chacha20Poly1305Sha256], &[KeyExchange::X25519]);
    let (refused, told) = shake_and_tell(picky.client_config(&sidecar("post")), other.server_config()).await;
    assert!(refused.is_err() && told.is_err());
}

#[tokio::test]
async fn an_expired_server_is_refused_as_the_clock_is_wound() {
    let authority = Authority::new("exchange.example");
    let clock = Clock::wound(NOW);
    let ipm =
        Trust::new(&authority.issue_valid(&[IPM], NOW, 96 * HOUR_MS).credentials(), authority.bundle(), clock.clone()).unwrap();
    let post = Trust::new(&authority.issue(&[POST]).credentials(), authority.bundle(), clock.clone()).unwrap();
    shake(ipm.client_config(&sidecar("post")), post.server_config()).await.0.unwrap();
    clock.wind_to(NOW.plus_ms(25 * HOUR_MS));
    let (refused, _) = shake(ipm.client_config(&sidecar("post")), post.server_config()).await;
    assert_eq!(refused.unwrap_err(), HandshakeProblem::Peer(PeerProblem::Expired));
}

#[tokio::test]
async fn a_client_without_tls_is_told_apart_from_a_broken_connection() {
    let authority = Authority::new("exchange.example");
    let post = trust(&authority, POST);
    let (mut near, far) = tokio::io::duplex(1024);
    tokio::io::AsyncWriteExt::write_all(&mut near, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let refused = TlsAcceptor::from(post.server_config()).accept(far).await.unwrap_err();
    assert_eq!(HandshakeProblem::from_io(&refused).as_str(), "protocol");
    let (near, far) = tokio::io::duplex(1024);
    drop(near);
    let broken = TlsAcceptor::from(post.server_config()).accept(far).await.unwrap_err();
    assert_eq!(HandshakeProblem::from_io(&broken).as_str(), "broken");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_by_the_next_connection() {
    let authority = Authority::new("exchange.example");
    let (ipm, post) = (trust(&authority, IPM), trust(&authority, POST));
    let mut generation = ipm.generation();
    generation.mark_unchanged();
    let before = ipm.own();
    ipm.replace_credentials(&authority.issue(&[IPM]).credentials()).unwrap();
    assert!(generation.has_changed().unwrap());
    let (_, server) = shake(ipm.client_config(&sidecar("post")), post.server_config()).await;
    let shown = post.peer_certificate(&server.unwrap()).unwrap();
    assert_ne!(shown.serial, before.serial);
    assert_eq!(shown.serial, ipm.own().serial);
}

#[tokio::test]
async fn while_a_root_is_rotated_both_generations_meet_and_afterwards_only_the_new() {
    let (old, new) = (Authority::new("exchange.example"), Authority::new("exchange.example"));
    let both = Bundle { trust_domain: old.trust_domain.clone(), roots: vec![old.root.der().clone(), new.root.der().clone()] };
    let (ipm, post) = (trust(&old, IPM), trust(&old, POST));
    ipm.replace_bundle(both.clone()).unwrap();
    post.replace_bundle(both).unwrap();
    ipm.replace_credentials(&new.issue(&[IPM]).credentials()).unwrap();
    let (client, server) = shake(ipm.client_config(&sidecar("post")), post.server_config()).await;
    client.unwrap();
    server.unwrap();
    ipm.replace_bundle(new.bundle()).unwrap();
    let (refused, _) = shake(ipm.client_config(&sidecar("post")), post.server_config()).await;
    assert_eq!(refused.unwrap_err().as_str(), "untrusted_chain");
}

#[test]
fn credentials_that_do_not_fit_are_not_taken_into_use() {
    let authority = Authority::new("exchange.example");
    let (one, other) = (authority.issue(&[IPM]), authority.issue(&[IPM]));
    let mixed = Credentials { key: one.credentials().key, chain: other.chain.clone() };
    let make = |credentials: &Credentials, bundle| Trust::new(credentials, bundle, Clock::wound(NOW)).map(drop);
    assert!(matches!(make(&mixed, authority.bundle()), Err(TrustError::Key(_))));
    let none = Bundle { roots: Vec::new(), ..authority.bundle() };
    assert!(matches!(make(&one.credentials(), none), Err(TrustError::NoRoots(_))));
    let garbage = Bundle { roots: vec![CertificateDer::from(vec![1, 2, 3])], ..authority.bundle() };
    assert!(matches!(make(&one.credentials(), garbage), Err(TrustError::Root { .. })));
    let foreign = Authority::new("exchange.example").bundle();
    assert!(matches!(make(&one.credentials(), foreign), Err(TrustError::Certificate(PeerProblem::Untrusted(_)))));
    let admin = authority.issue(&["spiffe://exchange.example/admin/sara"]);
    assert!(matches!(make(&admin.credentials(), authority.bundle()), Err(TrustError::Certificate(PeerProblem::NotASidecar(_)))));
}

#[test]
fn an_expired_certificate_can_be_held_and_says_so() {
    let authority = Authority::new("exchange.example");
    let old = authority.issue_valid(&[IPM], NOW.plus_ms(-2 * HOUR_MS), HOUR_MS);
    let trust = Trust::new(&old.credentials(), authority.bundle(), Clock::wound(NOW)).unwrap();
    assert!(trust.own().not_after < NOW);
}

#[test]
fn a_chain_is_judged_at_the_instant_that_is_asked_for() {
    let authority = Authority::new("exchange.example");
    let trust = trust(&authority, IPM);
    let control_plane = id("spiffe://exchange.example/control-plane");
    let judge = |at: Timestamp| trust.verify_chain(&authority.signer.chain, &control_plane, at);
    judge(NOW).unwrap();
    assert_eq!(judge(NOW.plus_ms(25 * HOUR_MS)), Err(PeerProblem::Expired));
    assert_eq!(judge(NOW.plus_ms(-HOUR_MS)), Err(PeerProblem::NotYetValid));
    assert_eq!(trust.verify_chain(&[], &control_plane, NOW), Err(PeerProblem::NoCertificate));
}

/// The control plane's own server: presents its chain with the root at its end, and asks for no certificate.
fn control_plane_server(chain: Vec<CertificateDer<'static>>, leaf: &Leaf) -> Arc<ServerConfig> {
    let mut config =
        ServerConfig::builder_with_details(Arc::new(rustls::crypto::aws_lc_rs::default_provider()), Arc::new(Clock::wound(NOW)))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, leaf.credentials().key.into())
            .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

#[tokio::test]
async fn the_control_plane_is_first_met_by_the_fingerprint_of_its_root() {
    let authority = Authority::new("exchange.example");
    let signer = &authority.signer;
    let fingerprint = |authority: &Authority| -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, authority.root.der());
        digest.as_ref().try_into().unwrap()
    };
    let with_root = |chain: &[CertificateDer<'static>]| [chain, &[authority.root.der().clone()]].concat();
    let meet = |root_sha256, server: Arc<ServerConfig>| {
        shake(introduction(&authority.trust_domain, root_sha256, &Clock::wound(NOW)), server)
    };
    let good = control_plane_server(with_root(&signer.chain), signer);
    meet(fingerprint(&authority), good.clone()).await.0.unwrap();

    let other = Authority::new("exchange.example");
    let (refused, _) = meet(fingerprint(&other), good).await;
    assert_eq!(refused.unwrap_err().as_str(), "untrusted_chain");

    // Shows the right root, but hangs from another one.
    let impostor = control_plane_server(with_root(&other.signer.chain), &other.signer);
    let (refused, _) = meet(fingerprint(&authority), impostor).await;
    assert_eq!(refused.unwrap_err().as_str(), "untrusted_chain");

    // Of this exchange, but a mere sidecar.
    let mere = authority.issue(&[POST]);
    let (refused, _) = meet(fingerprint(&authority), control_plane_server(with_root(&mere.chain), &mere)).await;
    assert_eq!(refused.unwrap_err().as_str(), "wrong_identity");

    let (refused, _) = meet(fingerprint(&authority), control_plane_server(signer.chain.clone(), signer)).await;
    assert_eq!(refused.unwrap_err().as_str(), "untrusted_chain");
}
