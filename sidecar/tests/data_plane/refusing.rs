//! What is refused, is refused with its reason, and goes on record.

use bytes::Bytes;
use chapar_core::{
    policy::{Reason, Side},
    record::Outcome,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    authority::{Leaf, self_signed},
    client::{Client, message},
    pair::{CONSUMER, Changes, PROVIDER, Pair, id},
};

#[tokio::test]
async fn what_is_not_granted_or_not_known_is_refused_early() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    for (method, headers, reason, status) in [
        ("Secret", &[][..], "NO_GRANT", "7"),
        ("Nothing", &[], "UNKNOWN_INQUIRY", "12"),
        ("Echo", &[("chapar-provider", "nobody")], "UNKNOWN_INQUIRY", "12"),
        ("Echo", &[("grpc-timeout", "soon")], "MALFORMED_CALL", "3"),
        ("Echo", &[("grpc-timeout", "0n")], "DEADLINE_EXCEEDED", "4"),
    ] {
        let answer = client.call(method, headers, &[b"x"]).await;
        assert_eq!((answer.http.as_u16(), answer.status()), (200, status), "{method}");
        let refusal = answer.refusal();
        assert_eq!((refusal.reason.as_str(), refusal.domain.as_str()), (reason, "chapar"));
        assert_eq!(refusal.metadata["call_id"], answer.call_id());
        assert_eq!(refusal.metadata["side"], "consumer");
        assert!(refusal.metadata.contains_key("who_must_act"));
        let record = pair.consumer.record().await;
        assert_eq!((record.outcome, record.reason.unwrap().as_str()), (Outcome::Refused, reason));
        assert_eq!(record.call_id.to_string(), answer.call_id());
    }
    assert!(pair.seen.heads.lock().unwrap().is_empty(), "nothing reached the server");
    assert_eq!(client.call("Echo", &[("chapar-provider", "answerer")], &[b"x"]).await.status(), "0");
}

#[tokio::test]
async fn a_provider_decides_for_itself() {
    let pair = Pair::start().await;
    let changes = Changes { revoked_grant: Some("Echo"), ..Changes::default() };
    pair.provider.current.replace(pair.snapshot("answerer", &changes));
    let answer = pair.client().await.call("Echo", &[], &[b"x"]).await;
    let refusal = answer.refusal();
    assert_eq!((refusal.reason.as_str(), refusal.metadata["side"].as_str()), ("GRANT_REVOKED", "provider"));
    assert!(!answer.head.contains_key("chapar-refused"), "that mark is between sidecars");
    for node in [&pair.consumer, &pair.provider] {
        let record = node.record().await;
        assert_eq!((record.outcome, record.reason), (Outcome::Refused, Some(Reason::GrantRevoked)), "{:?}", record.side);
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_on_an_open_connection() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    assert_eq!(client.call("Echo", &[], &[b"x"]).await.status(), "0");
    let serial = pair.consumer.trust.own().serial.to_string();
    let changes = Changes { revoked_serial: Some(serial), ..Changes::default() };
    pair.provider.current.replace(pair.snapshot("answerer", &changes));
    let refusal = client.call("Echo", &[], &[b"x"]).await.refusal();
    assert_eq!((refusal.reason.as_str(), refusal.metadata["side"].as_str()), ("CERTIFICATE_REVOKED", "provider"));
    pair.both(&changes);
    let refusal = client.call("Echo", &[], &[b"x"]).await.refusal();
    assert_eq!((refusal.reason.as_str(), refusal.metadata["side"].as_str()), ("CERTIFICATE_REVOKED", "consumer"));
}

#[tokio::test]
async fn a_providers_revoked_certificate_is_refused_on_an_open_connection() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    assert_eq!(client.call("Echo", &[], &[b"x"]).await.status(), "0");
    let serial = pair.provider.trust.own().serial.to_string();
    pair.consumer.current.replace(pair.snapshot("asker", &Changes { revoked_serial: Some(serial), ..Changes::default() }));
    assert_eq!(client.call("Echo", &[], &[b"x"]).await.refusal().reason, "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn a_provider_that_has_renewed_is_judged_by_its_new_certificate() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    assert_eq!(client.call("Echo", &[], &[b"x"]).await.status(), "0");
    let serial = pair.provider.trust.own().serial.to_string();
    let uri = crate::pair::id("answerer").to_string();
    pair.provider.trust.replace_credentials(&pair.authority.issue(&[&uri]).credentials()).unwrap();
    // The connection that is open was made with the certificate that is revoked now.
    pair.both(&Changes { revoked_serial: Some(serial), ..Changes::default() });
    assert_eq!(client.call("Echo", &[], &[b"x"]).await.status(), "0");
}

#[tokio::test]
async fn whoever_answers_at_the_providers_address_must_be_the_provider() {
    let pair = Pair::start().await;
    let wrong = pair.consumer.data_plane.addresses()["inbound"].clone();
    pair.both(&Changes { endpoint: Some(wrong), ..Changes::default() });
    let refusal = pair.client().await.call("Echo", &[], &[b"x"]).await.refusal();
    assert_eq!(refusal.reason, "PEER_IDENTITY_MISMATCH");
}

#[tokio::test]
async fn an_unreachable_provider_is_told_as_such() {
    let pair = Pair::start().await;
    // Port 1 of loopback: nobody listens there.
    pair.both(&Changes { endpoint: Some("127.0.0.1:1".to_owned()), ..Changes::default() });
    let answer = pair.client().await.call("Echo", &[], &[b"x"]).await;
    assert_eq!((answer.status(), answer.refusal().reason.as_str()), ("14", "PROVIDER_UNREACHABLE"));
    let record = pair.consumer.record().await;
    assert_eq!((record.outcome, record.server_address), (Outcome::Refused, "127.0.0.1:1"));
}

#[tokio::test]
async fn without_a_fresh_snapshot_nothing_is_served() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    pair.clock.wind_to(crate::NOW.plus_ms(3_600_000));
    assert_eq!(client.call("Echo", &[], &[b"x"]).await.refusal().reason, "SNAPSHOT_STALE");
    assert_eq!(client.call("Nothing", &[], &[b"x"]).await.refusal().reason, "SNAPSHOT_STALE");
}

#[tokio::test]
async fn other_protocols_are_told_what_is_spoken_here() {
    let pair = Pair::start().await;
    let outbound = pair.consumer.data_plane.addresses()["outbound"].clone();
    let mut tcp = TcpStream::connect(&outbound).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut told = Vec::new();
    tcp.read_to_end(&mut told).await.unwrap();
    assert!(told.starts_with(b"HTTP/1.1 505 "), "{}", String::from_utf8_lossy(&told));

    let answer = Client::connect(&outbound).await.plain("/index.html").await;
    assert_eq!(answer.http.as_u16(), 415);
}

#[tokio::test]
async fn an_identity_that_does_not_stand_is_refused_in_the_handshake_and_recorded() {
    let pair = Pair::start().await;
    let other = crate::authority::Authority::new("other.test");
    let asker = id("asker").to_string();
    let hour_ms = crate::authority::HOUR_MS;
    let attacks: [(Option<Leaf>, Reason); 6] = [
        (None, Reason::PeerNotIdentified),
        (Some(self_signed(&asker)), Reason::PeerNotIdentified),
        (Some(other.issue(&[&asker.replace("exchange.test", "other.test")])), Reason::PeerNotIdentified),
        (Some(other.issue(&[&asker])), Reason::PeerNotIdentified),
        (Some(pair.authority.issue(&[&asker, &id("judiciary").to_string()])), Reason::PeerNotIdentified),
        (Some(pair.authority.issue_valid(&[&asker], crate::NOW.plus_ms(-2 * hour_ms), hour_ms)), Reason::CertificateExpired),
    ];
    for (at, (leaf, reason)) in attacks.into_iter().enumerate() {
        attack(&pair, leaf).await;
        let record = pair.provider.record().await;
        assert_eq!((record.side, record.outcome, record.reason), (Side::Provider, Outcome::Refused, Some(reason)), "attack {at}");
        assert_eq!(record.consumer, "", "nobody is named who did not prove to be it");
    }
    let uri = id("asker").to_string();
    assert!(attack(&pair, Some(pair.authority.issue(&[&uri]))).await, "a good certificate is let in");
}

#[tokio::test]
async fn whoever_pads_or_packs_a_request_about_somebody_until_nobody_can_read_it_is_refused_on_either_side() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    let id = [&[0x0a, 10][..], b"0013542419"].concat();
    // Field 2 follows, of 512 KiB.
    let padded = message(&[&id[..], &[0x12, 0x80, 0x80, 0x20], &vec![7; 512 * 1024]].concat());
    let mut packed = [message(&id)].concat();
    packed[0] = 1;
    let packed = Bytes::from(packed);
    for (coding, request) in [("identity", &padded), ("gzip", &packed), ("br", &packed)] {
        for (node, side) in [(&pair.consumer, CONSUMER), (&pair.provider, PROVIDER)] {
            pair.both(&Changes::default());
            node.current.replace(pair.snapshot(side, &Changes { names_subject: true, ..Changes::default() }));
            let answer = client.raw("Echo", &[("grpc-encoding", coding)], request).await;
            assert_eq!((answer.status(), answer.refusal().reason.as_str()), ("3", "SUBJECT_UNREADABLE"), "{coding}, {side}");
            assert!(answer.body.len() < request.len(), "the server had all of it: {coding}, {side}");
            assert_eq!(answer.refusal().metadata["who_must_act"], "application");
            let record = node.next_refused().await;
            assert_eq!((record.reason, record.subject), (Some(Reason::SubjectUnreadable), None), "{coding}, {side}");
        }
    }
    pair.both(&Changes::default());
    assert_eq!(client.raw("Echo", &[], &padded).await.body, padded, "about nobody, and as long as it likes");
}

#[tokio::test]
async fn whoever_spells_a_request_so_that_servers_may_read_another_person_in_it_is_refused_on_either_side() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    let id = [&[0x0a, 10][..], b"0013542419"].concat();
    let other = [&[0x0a, 10][..], b"0013542427"].concat();
    let odd = [&[0x0a, 13][..], "\u{200e}0013542419".as_bytes()].concat();
    let requests = [
        ("the same field twice", [&id[..], &other].concat()),
        ("as a number beside", [&id[..], &[0x08, 0xb3, 0xc6, 0xba, 0x06]].concat()),
        ("in a group of its number", [&id[..], &[0x0b], &other, &[0x0c]].concat()),
        ("behind a mark", odd),
        ("by a tag beyond 32 bits", [&[0x8a, 0x80, 0x80, 0x80, 0x10][..], &id[1..]].concat()),
    ];
    for (node, side) in [(&pair.consumer, CONSUMER), (&pair.provider, PROVIDER)] {
        pair.both(&Changes::default());
        node.current.replace(pair.snapshot(side, &Changes { names_subject: true, ..Changes::default() }));
        for (what, request) in &requests {
            let answer = client.raw("Echo", &[], &message(request)).await;
            assert_eq!((answer.status(), answer.refusal().reason.as_str()), ("3", "SUBJECT_UNREADABLE"), "{what}, {side}");
            let record = node.next_refused().await;
            assert_eq!((record.reason, record.subject), (Some(Reason::SubjectUnreadable), None), "{what}, {side}");
        }
        let plain = message(&id);
        assert_eq!(client.raw("Echo", &[], &plain).await.body, plain, "who is asked about as passports say is answered, {side}");
    }
}

/// Connects with this certificate; true when the sidecar then speaks HTTP/2.
async fn attack(pair: &Pair, leaf: Option<Leaf>) -> bool {
    let config = crate::gullible::client(leaf.as_ref());
    let tcp = TcpStream::connect(&pair.provider.data_plane.addresses()["inbound"]).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(config);
    let Ok(mut tls) = connector.connect(ServerName::try_from("x.test").unwrap(), tcp).await else { return false };
    let begun = tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    begun.is_ok() && tls.read_u8().await.is_ok()
}
