//! Where calls are taken: several servers, full ones, dead ones, ones that refuse.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    client::{finish, message},
    pair::{CONSUMER, Changes, PATIENCE, Pair},
    server,
};

#[tokio::test]
async fn calls_are_balanced_over_servers_and_dead_ones_are_passed_over() {
    let (one, seen) = server::start().await;
    let (two, seen_too) = server::start().await;
    // Port 1 of loopback: nobody listens there.
    let pair = Pair::with_upstreams(&[&one.to_string(), "127.0.0.1:1", &two.to_string()], seen).await;
    let client = pair.client().await;
    for _ in 0..60 {
        assert_eq!(client.call("Echo", &[], &[b"x"]).await.status(), "0");
    }
    assert!(!pair.seen.heads.lock().unwrap().is_empty() && !seen_too.heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_call_that_was_not_taken_on_is_made_again_elsewhere() {
    let (good, seen) = server::start().await;
    let (refusing, refused) = server::start_refusing(false).await;
    let pair = Pair::with_upstreams(&[&good.to_string(), &refusing.to_string()], seen).await;
    let client = pair.client().await;
    for _ in 0..30 {
        let answer = client.call("Echo", &[], &[b"first", b"second"]).await;
        assert_eq!(answer.status(), "0");
        assert_eq!(answer.body, [message(b"first"), message(b"second")].concat());
    }
    assert!(refused.load(Ordering::SeqCst) > 0, "thirty calls met the refusing server at least once");
    let record = pair.provider.record().await;
    assert_eq!(record.request.messages, 2, "a message that was sent twice counts once");
}

#[tokio::test]
async fn a_call_that_nobody_takes_on_is_refused() {
    for going in [false, true] {
        let (refusing, refused) = server::start_refusing(going).await;
        let (_, seen) = server::start().await;
        let pair = Pair::with_upstreams(&[&refusing.to_string()], seen).await;
        let answer = pair.client().await.call("Echo", &[], &[b"x"]).await;
        assert_eq!(answer.refusal().reason, "UPSTREAM_UNREACHABLE");
        assert!((1..=3).contains(&refused.load(Ordering::SeqCst)), "retries are bounded");
    }
}

#[tokio::test]
async fn another_connection_is_opened_when_a_server_takes_no_more_on_one() {
    let (server, seen) = server::start_limited(1).await;
    let pair = Pair::with_upstreams(&[&server.to_string()], seen).await;
    let client = pair.client().await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let (response, mut body) = client.begin("Linger", &[]).await;
        body.send_data(message(b"x"), false).unwrap();
        open.push((response.await.unwrap(), body));
    }
    assert_eq!(pair.provider.data_plane.calls(), 5);
}

#[tokio::test]
async fn who_waits_for_a_sidecar_that_is_no_more_is_served_by_its_successor_or_told_what_the_policy_says() {
    for (revoked_grant, told) in [(None, "served"), (Some("Echo"), "GRANT_REVOKED")] {
        let pair = Pair::start().await;
        // It is connected to, and never says a word.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Some(silent.local_addr().unwrap().to_string());
        let before = Changes { endpoint, revision: 1, ..Changes::default() };
        pair.consumer.current.replace(pair.snapshot(CONSUMER, &before));
        let client = pair.client().await;
        let (response, mut body) = client.begin("Echo", &[]).await;
        body.send_data(message(b"x"), true).unwrap();
        let (_held, _) = silent.accept().await.unwrap();
        let after = Changes { revoked_grant, revision: 2, ..Changes::default() };
        pair.consumer.current.replace(pair.snapshot(CONSUMER, &after));
        let answer = finish(response).await.unwrap();
        let heard = if answer.status() == "0" { "served".to_owned() } else { answer.refusal().reason };
        assert_eq!(heard, told);
    }
}

#[tokio::test]
async fn connections_are_served_by_whichever_worker_they_are_passed_to() {
    let pair = Pair::start().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        let client = pair.client().await;
        assert_eq!(client.call("Echo", &[], &[b"x"]).await.status(), "0");
        open.push(client);
    }
    for client in &open {
        assert_eq!(client.call("Echo", &[], &[b"again"]).await.status(), "0");
    }
    let metrics = get(&pair.consumer.data_plane.addresses()["admin"], "/metrics").await;
    assert!(metrics.contains(r#"chapar_sidecar_connections_open{listener="outbound"} 32"#), "{metrics}");
    drop(open);
    let gone = r#"chapar_sidecar_connections_open{listener="outbound"} 0"#;
    let all_gone = async {
        while !get(&pair.consumer.data_plane.addresses()["admin"], "/metrics").await.contains(gone) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_gone).await.expect("who left is no longer counted");
}

#[tokio::test]
async fn a_server_on_a_unix_socket_is_called_as_localhost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let seen = server::start_unix(&path);
    let pair = Pair::with_upstreams(&[&format!("unix:{}", path.display())], seen).await;
    assert_eq!(pair.client().await.call("Echo", &[], &[b"x"]).await.status(), "0");
    assert_eq!(pair.seen.heads.lock().unwrap()[0].0, "localhost");
}

#[tokio::test]
async fn the_operators_pages_tell_what_is_going_on() {
    let pair = Pair::start().await;
    assert_eq!(pair.client().await.call("Echo", &[], &[b"x"]).await.status(), "0");
    pair.consumer.record().await;
    let page = |path: &'static str| get(&pair.consumer.data_plane.addresses()["admin"], path);
    assert!(page("/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(page("/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = page("/metrics").await;
    let counted = r#"chapar_sidecar_calls_total{outcome="served",reason="",side="consumer",status="OK"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("chapar_sidecar_snapshot_policy_version 7"), "{metrics}");
    let names: HashSet<_> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(names.len() > 10, "{names:?}");
    let snapshot = page("/snapshot").await;
    assert!(snapshot.contains("\"policyVersion\":7") && snapshot.contains("1/1/asker/echo"), "{snapshot}");
    pair.clock.wind_to(crate::NOW.plus_ms(3_600_000));
    assert!(page("/readyz").await.starts_with("HTTP/1.1 503"));
}

async fn get(address: &str, path: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    tcp.read_to_string(&mut page).await.unwrap();
    page
}
