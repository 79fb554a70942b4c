//! Calls that end before they are over.

use std::time::Duration;

use chapar_core::{
    policy::{GrpcCode, Reason},
    record::Outcome,
};

use crate::{
    NOW,
    client::{finish, message, rest},
    pair::{Changes, PATIENCE, Pair},
};

/// Begins a call that stays open after its first message, and reads that far.
async fn lingering(pair: &Pair) -> (h2::SendStream<bytes::Bytes>, h2::RecvStream) {
    let (response, mut body) = pair.client().await.begin("Linger", &[]).await;
    body.send_data(message(b"x"), false).unwrap();
    let mut answer = response.await.unwrap().into_body();
    let first = std::future::poll_fn(|cx| answer.poll_data(cx)).await.unwrap().unwrap();
    assert_eq!(first, message(b"first"));
    (body, answer)
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_at_the_server() {
    let pair = Pair::start().await;
    let (mut body, answer) = lingering(&pair).await;
    body.send_reset(h2::Reason::CANCEL);
    drop(answer);
    pair.seen.broken_off().await;
    for node in [&pair.consumer, &pair.provider] {
        let record = node.record().await;
        assert_eq!((record.outcome, record.status), (Outcome::Abandoned, GrpcCode::Cancelled), "{:?}", record.side);
    }
}

#[tokio::test]
async fn a_call_that_was_not_answered_yet_is_cancelled_too() {
    let pair = Pair::start().await;
    let (response, mut body) = pair.client().await.begin("Hang", &[]).await;
    body.send_data(message(b"x"), false).unwrap();
    while pair.seen.heads.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop((response, body));
    pair.seen.broken_off().await;
    assert_eq!(pair.provider.record().await.outcome, Outcome::Abandoned);
}

#[tokio::test]
async fn a_deadline_is_passed_on_shortened_and_enforced() {
    let pair = Pair::start().await;
    let answer = pair.client().await.call("Hang", &[("grpc-timeout", "250m")], &[b"x"]).await;
    assert_eq!((answer.status(), answer.refusal().reason.as_str()), ("4", "DEADLINE_EXCEEDED"));
    let passed_on = pair.seen.last_head()["grpc-timeout"].to_str().unwrap().to_owned();
    let (digits, unit) = passed_on.split_at(passed_on.len() - 1);
    assert_eq!(unit, "u", "{passed_on}");
    assert!(digits.parse::<u32>().unwrap() < 250_000, "{passed_on}");
    pair.seen.broken_off().await;
    let record = pair.consumer.record().await;
    assert_eq!((record.status, record.reason), (GrpcCode::DeadlineExceeded, Some(Reason::DeadlineExceeded)));
}

#[tokio::test]
async fn a_revoked_grant_ends_running_streams() {
    let pair = Pair::start().await;
    let (_body, answer) = lingering(&pair).await;
    pair.both(&Changes { revoked_grant: Some("Linger"), revision: 1, ..Changes::default() });
    let (_, trailers) = tokio::time::timeout(PATIENCE, rest(answer)).await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "7");
    assert!(trailers.contains_key("grpc-status-details-bin") && trailers.contains_key("chapar-call-id"));
    pair.seen.broken_off().await;
    let record = pair.consumer.record().await;
    assert_eq!((record.outcome, record.reason), (Outcome::Refused, Some(Reason::GrantRevoked)));
}

#[tokio::test]
async fn a_stream_that_the_provider_ends_can_be_followed_up() {
    let pair = Pair::start().await;
    let (_body, answer) = lingering(&pair).await;
    let changes = Changes { revoked_grant: Some("Linger"), revision: 1, ..Changes::default() };
    pair.provider.current.replace(pair.snapshot("answerer", &changes));
    let (_, trailers) = tokio::time::timeout(PATIENCE, rest(answer)).await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "7");
    assert!(!trailers.contains_key("chapar-refused"), "that mark is between sidecars");
    let record = pair.consumer.record().await;
    assert_eq!((record.outcome, record.reason), (Outcome::Refused, Some(Reason::GrantRevoked)));
    assert_eq!(trailers["chapar-call-id"], record.call_id.to_string());
}

#[tokio::test]
async fn a_call_that_waits_for_its_answer_is_told_why_it_ends() {
    let pair = Pair::start().await;
    let (response, mut body) = pair.client().await.begin("Hang", &[]).await;
    body.send_data(message(b"x"), false).unwrap();
    while pair.seen.heads.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let serial = pair.consumer.trust.own().serial.to_string();
    // Only the provider's side knows: what it tells must reach the application.
    let changes = Changes { revoked_serial: Some(serial), revision: 1, ..Changes::default() };
    pair.provider.current.replace(pair.snapshot("answerer", &changes));
    let answer = tokio::time::timeout(PATIENCE, finish(response)).await.unwrap().unwrap();
    assert_eq!((answer.status(), answer.refusal().reason.as_str()), ("16", "CERTIFICATE_REVOKED"));
    assert_eq!(pair.consumer.record().await.reason, Some(Reason::CertificateRevoked));
}

#[tokio::test]
async fn a_revoked_issuing_ca_ends_the_streams_of_who_hangs_on_it() {
    let pair = Pair::start().await;
    let (_body, answer) = lingering(&pair).await;
    let issuing = pair.consumer.trust.own().issuers[0].to_string();
    pair.both(&Changes { revoked_serial: Some(issuing), revision: 1, ..Changes::default() });
    let (_, trailers) = tokio::time::timeout(PATIENCE, rest(answer)).await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "16");
    pair.seen.broken_off().await;
    assert_eq!(pair.consumer.record().await.reason, Some(Reason::CertificateRevoked));
    assert_eq!(pair.client().await.call("Echo", &[], &[b"x"]).await.refusal().reason, "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn a_grant_that_ends_takes_its_streams_with_it() {
    let pair = Pair::start().await;
    pair.both(&Changes { grant_ends: Some(NOW.plus_ms(60_000)), revision: 1, ..Changes::default() });
    let (_body, answer) = lingering(&pair).await;
    pair.clock.wind_to(NOW.plus_ms(60_000));
    let (_, trailers) = tokio::time::timeout(PATIENCE, rest(answer)).await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "7");
    let reason = pair.consumer.record().await.reason;
    assert_eq!(reason, Some(Reason::GrantExpired));
}

#[tokio::test]
async fn unrelated_changes_of_policy_leave_a_stream_alone() {
    let pair = Pair::start().await;
    let (body, answer) = lingering(&pair).await;
    pair.both(&Changes { revoked_grant: Some("Size"), revision: 1, ..Changes::default() });
    // The change has passed every running call once a refused call shows it to be in force.
    while pair.client().await.call("Size", &[("x-size", "1")], &[b"x"]).await.status() != "7" {}
    assert_eq!(pair.consumer.data_plane.calls(), 1);
    drop((body, answer));
}

#[tokio::test]
async fn draining_lets_running_calls_finish_and_takes_no_new_connections() {
    let mut pair = Pair::start().await;
    let (response, mut body) = pair.client().await.begin("Echo", &[]).await;
    body.send_data(message(b"a"), false).unwrap();
    let answer = response.await.unwrap().into_body();
    let outbound = pair.consumer.data_plane.addresses()["outbound"].clone();
    let finishing = async {
        while tokio::net::TcpStream::connect(&outbound).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        body.send_data(message(b"b"), true).unwrap();
        rest(answer).await.unwrap()
    };
    let (cut, (bytes, trailers)) = tokio::join!(pair.consumer.data_plane.drain(PATIENCE), finishing);
    assert_eq!((cut, &trailers["grpc-status"]), (0, &"0".parse().unwrap()));
    assert_eq!(bytes, [message(b"a"), message(b"b")].concat());
}

#[tokio::test]
async fn what_still_runs_at_the_drain_limit_is_told_so() {
    let mut pair = Pair::start().await;
    let (_body, answer) = lingering(&pair).await;
    let (cut, end) = tokio::join!(pair.consumer.data_plane.drain(Duration::from_millis(50)), rest(answer));
    assert_eq!((cut, &end.unwrap().1["grpc-status"]), (1, &"14".parse().unwrap()));
    assert_eq!(pair.consumer.record().await.reason, Some(Reason::TimedOut));
    pair.seen.broken_off().await;
}
