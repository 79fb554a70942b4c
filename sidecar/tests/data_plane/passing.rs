//! What passes, passes untouched.

use bytes::Bytes;
use chapar_core::{policy::GrpcCode, record::Outcome};

use crate::{
    client::{finish, message, rest},
    pair::{Changes, Pair},
};

#[tokio::test]
async fn messages_metadata_and_trailers_pass_as_they_are() {
    let pair = Pair::start().await;
    let sent =
        [("x-key-bin", "AAEC/w"), ("x-many", "one"), ("x-many", "two"), ("user-agent", "app/1"), ("grpc-encoding", "gzip")];
    let answer = pair.client().await.call("Echo", &sent, &[b"first", b"", b"third"]).await;
    assert_eq!(answer.status(), "0");
    assert_eq!(answer.body, [message(b"first"), message(b""), message(b"third")].concat());
    assert_eq!(answer.head["x-head-bin"], "AAECAw");
    assert_eq!(answer.head.get_all("x-double").iter().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(answer.trailers["x-tail-bin"], "/w");

    let seen = pair.seen.last_head();
    assert_eq!(seen["x-key-bin"], "AAEC/w");
    assert_eq!(seen.get_all("x-many").iter().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(
        (&seen["user-agent"], &seen["te"], &seen["content-type"]),
        (&"app/1".parse().unwrap(), &"trailers".parse().unwrap(), &"application/grpc+proto".parse().unwrap())
    );
    assert_eq!(seen["grpc-encoding"], "gzip");
    assert_eq!(pair.seen.heads.lock().unwrap()[0].0, pair.upstream, "the server is addressed as itself");
    for absent in ["content-length", "host", "grpc-timeout"] {
        assert!(!seen.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn both_sides_account_for_a_call_and_their_spans_are_of_one_trace() {
    let pair = Pair::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = pair.client().await.call("Echo", &[("traceparent", parent), ("tracestate", "a=1")], &[b"ab", b"c"]).await;
    let (asked, answered) = (pair.consumer.record().await, pair.provider.record().await);
    for record in [&asked, &answered] {
        assert_eq!(record.call_id.to_string(), answer.call_id());
        assert_eq!((record.outcome, record.status, record.reason), (Outcome::Served, GrpcCode::Ok, None));
        assert_eq!((record.consumer, record.provider, record.inquiry), ("asker", "answerer", "echo"));
        assert_eq!((record.grant, record.policy_version), ("1/1/asker/echo", 7));
        assert_eq!((record.request.messages, record.request.bytes), (2, 13));
        assert_eq!(record.request, record.response);
        assert_eq!(record.trace.trace_id[..2], [0x4b, 0xf9]);
    }
    assert_eq!(asked.trace.parent_span_id, Some([0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
    assert_eq!(answered.trace.parent_span_id, Some(asked.trace.span_id));
    assert_eq!(answered.server_address, pair.upstream);

    let seen = pair.seen.last_head();
    let span: String = answered.trace.span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(seen["traceparent"], format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01"));
    assert_eq!(seen["tracestate"], "a=1");
}

#[tokio::test]
async fn a_malformed_trace_is_begun_anew_without_its_state() {
    let pair = Pair::start().await;
    pair.client().await.call("Echo", &[("traceparent", "00-00-00-00"), ("tracestate", "a=1")], &[b"x"]).await;
    assert_eq!(pair.consumer.record().await.trace.parent_span_id, None);
    assert!(!pair.seen.last_head().contains_key("tracestate"));
}

#[tokio::test]
async fn responses_of_any_size_arrive_whole() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    // The initial window of HTTP/2 is 65,535 bytes: a response that fills it exactly is a known trap.
    for size in [0, 1, 16_379, 65_530, 65_531, 65_535, 65_536, 1_048_571, 4_194_304] {
        let answer = client.call("Size", &[("x-size", &size.to_string())], &[b"?"]).await;
        assert_eq!((answer.status(), answer.body.len()), ("0", size + 5), "{size}");
    }
}

#[tokio::test]
async fn a_stream_flows_both_ways_while_it_is_open() {
    let pair = Pair::start().await;
    let (response, mut body) = pair.client().await.begin("Echo", &[]).await;
    body.send_data(message(b"ping"), false).unwrap();
    let (_, mut answer) = response.await.unwrap().into_parts();
    for _ in 0..1_000 {
        let chunk = std::future::poll_fn(|cx| answer.poll_data(cx)).await.unwrap().unwrap();
        assert_eq!(chunk, message(b"ping"));
        answer.flow_control().release_capacity(chunk.len()).unwrap();
        body.send_data(message(b"ping"), false).unwrap();
    }
    body.send_data(Bytes::new(), true).unwrap();
    let (last, trailers) = rest(answer).await.unwrap();
    assert_eq!((last, &trailers["grpc-status"]), (message(b"ping"), &"0".parse().unwrap()));
    assert_eq!(pair.provider.record().await.response.messages, 1_001);
}

#[tokio::test]
async fn large_requests_pass_a_slow_start() {
    let pair = Pair::start().await;
    let (response, mut body) = pair.client().await.begin("Echo", &[]).await;
    let mut payload = message(&vec![5; 3_000_000]);
    let expected = payload.clone();
    let sending = async {
        while !payload.is_empty() {
            body.reserve_capacity(payload.len());
            let room = match body.capacity() {
                0 => std::future::poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap(),
                room => room,
            };
            let end = room >= payload.len();
            body.send_data(payload.split_to(room.min(payload.len())), end).unwrap();
        }
    };
    let (answer, ()) = tokio::join!(finish(response), sending);
    assert!(answer.unwrap().body == expected);
}

#[tokio::test]
async fn an_answer_without_body_passes_with_its_details() {
    let pair = Pair::start().await;
    let answer = pair.client().await.call("Only", &[], &[b"x"]).await;
    assert_eq!((answer.status(), &answer.head["grpc-message"]), ("5", &"no such thing".parse().unwrap()));
    assert_eq!(answer.head["grpc-status-details-bin"], "CAUSDW5vIHN1Y2ggdGhpbmc");
    assert!(answer.trailers.is_empty() && answer.body.is_empty());
    let record = pair.consumer.record().await;
    assert_eq!((record.outcome, record.status), (Outcome::Served, GrpcCode::NotFound));
}

#[tokio::test]
async fn our_own_metadata_counts_only_from_ourselves() {
    let pair = Pair::start().await;
    let forged = [("chapar-call-id", "00000000000000000000000000000001"), ("chapar-consumer", "judiciary"), ("chapar-x", "y")];
    let answer = pair.client().await.call("Forge", &forged, &[b"x"]).await;
    assert_eq!(answer.status(), "0");
    for headers in [&answer.head, &answer.trailers] {
        assert!(!headers.contains_key("chapar-refused") && !headers.contains_key("chapar-anything"), "{headers:?}");
    }
    let seen = pair.seen.last_head();
    assert_eq!(seen["chapar-consumer"], "asker");
    assert_eq!(seen["chapar-call-id"], answer.call_id());
    assert!(!seen.contains_key("chapar-x"));
    let record = pair.consumer.record().await;
    assert_eq!((record.outcome, &*record.call_id.to_string()), (Outcome::Served, answer.call_id()));
    assert_ne!(answer.call_id(), "00000000000000000000000000000001");
}

#[tokio::test]
async fn a_purpose_that_the_grant_demands_reaches_the_server() {
    let pair = Pair::start().await;
    pair.both(&Changes { purpose_required: true, ..Changes::default() });
    let client = pair.client().await;
    for (headers, reason) in [
        (&[][..], "PURPOSE_MISSING"),
        (&[("chapar-purpose", "%")], "MALFORMED_CALL"),
        (&[("chapar-purpose", "one"), ("chapar-purpose", "two")], "MALFORMED_CALL"),
    ] {
        let refusal = client.call("Echo", headers, &[b"x"]).await.refusal();
        assert_eq!((refusal.reason.as_str(), refusal.metadata["side"].as_str()), (reason, "consumer"));
    }
    let answer = client.call("Echo", &[("chapar-purpose", "%D8%A8%DB%8C%D9%85%D9%87 12")], &[b"x"]).await;
    assert_eq!(answer.status(), "0");
    assert_eq!(pair.seen.last_head()["chapar-purpose"], "%D8%A8%DB%8C%D9%85%D9%87 12");
    assert_eq!(pair.provider.record().await.purpose, "بیمه 12");
}

#[tokio::test]
async fn renewed_certificates_take_over_under_running_calls() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    let (response, mut body) = client.begin("Echo", &[]).await;
    body.send_data(message(b"before"), false).unwrap();
    let running = response.await.unwrap();
    for node in [&pair.consumer, &pair.provider] {
        let uri = node.trust.own().spiffe_id.to_string();
        node.trust.replace_credentials(&pair.authority.issue(&[&uri]).credentials()).unwrap();
        assert_eq!(client.call("Echo", &[], &[b"x"]).await.status(), "0");
    }
    body.send_data(message(b"after"), true).unwrap();
    let (bytes, trailers) = rest(running.into_body()).await.unwrap();
    assert_eq!(bytes, [message(b"before"), message(b"after")].concat());
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn whom_a_call_asks_about_goes_on_record_as_a_hash_and_to_the_server_as_it_is() {
    let pair = Pair::start().await;
    let client = pair.client().await;
    let request = [&[0x0a, 10][..], b"0013542419"].concat();
    let answer = client.call("Echo", &[], &[&request]).await;
    assert_eq!(answer.body, message(&request));
    assert_eq!(pair.consumer.record().await.subject, None, "this passport names nobody");
    let _ = pair.provider.record().await;

    pair.both(&Changes { names_subject: true, ..Changes::default() });
    let answer = client.call("Echo", &[], &[&request, b"anything"]).await;
    assert_eq!(answer.body, [message(&request), message(b"anything")].concat());
    for node in [&pair.consumer, &pair.provider] {
        let subject = node.record().await.subject.unwrap();
        // Made with another implementation of HMAC-SHA-256.
        assert_eq!((subject.key, subject.hash[..4].to_vec()), (7, vec![0x5c, 0xbc, 0xde, 0xd3]));
    }
    let names_nobody = [&[0x12, 12][..], b"names nobody"].concat();
    assert_eq!(client.call("Echo", &[], &[&names_nobody]).await.body, message(&names_nobody));
    assert_eq!(pair.consumer.record().await.subject, None, "the field may be optional");
    assert_eq!(client.call("Echo", &[], &[]).await.status(), "0");
    assert_eq!(pair.consumer.record().await.subject, None, "who says nothing asks about nobody");
}
