//! Calls that go well.

use chapar_relay::{
    Flow, Flows, Limits,
    frame::{ErrorCode, Kind, flags},
    hpack::{self, statics},
};

use crate::{
    gate::Ended,
    world::{World, answer, body, data, fast, headers, message, raw, request_block, response_head, trailers, unary, value, with},
};

pub(crate) const OK: Ended = Ended::Answered { http: 200, grpc: Some(0), refused: None };

#[test]
fn a_unary_call_goes_there_and_back() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    let there = world.messages(&mut server);
    assert_eq!(
        there.iter().map(|frame| (frame.kind, frame.ends())).collect::<Vec<_>>(),
        [(Kind::Headers, false), (Kind::Data, true)]
    );
    let fields = server.fields(&there[0].payload);
    let expected = [
        (":scheme", "https"),
        (":authority", "authority:1"),
        (":method", "POST"),
        (":path", "/a.B/C"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("x-mine", "kept"),
        ("chapar-call-id", "id"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(there[1].payload, message(b"ask"));

    world.send(&server, &answer(1, b"told"));
    let back = world.messages(&mut client);
    assert_eq!(back.iter().map(|frame| frame.kind).collect::<Vec<_>>(), [Kind::Headers, Kind::Data, Kind::Headers]);
    let head = client.fields(&back[0].payload);
    assert_eq!((value(&head, ":status"), value(&head, "chapar-call-id")), (Some("200"), Some("id")));
    let tail = client.fields(&back[2].payload);
    assert_eq!(tail, [("grpc-status".to_owned(), "0".to_owned())]);
    assert!(back[2].ends());
    assert_eq!(world.end(), [OK]);
    let flows = Flows { request: Flow { messages: 1, bytes: 8 }, response: Flow { messages: 1, bytes: 9 } };
    assert_eq!(world.gate().closed[0].1, flows);
}

#[test]
fn a_call_passes_however_its_bytes_are_cut() {
    for cut in [1, 2, 3, 7, 10, 23, 64] {
        let (mut world, mut client, mut server) = World::pair(Limits::default());
        for part in unary(1, b"ask").chunks(cut) {
            world.send(&client, part);
        }
        let there = world.messages(&mut server);
        assert_eq!(body(&there), message(b"ask"));
        assert!(there.last().is_some_and(crate::world::Frame::ends));
        for part in answer(1, b"told").chunks(cut) {
            world.send(&server, part);
        }
        assert_eq!(body(&world.messages(&mut client)), message(b"told"));
        assert_eq!(world.end(), [OK]);
    }
}

#[test]
fn a_new_client_s_bytes_may_be_cut_anywhere() {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    let key = world.relay.accept("origin", chapar_relay::Probe::Never, world.now);
    let mut bytes = chapar_relay::frame::PREFACE.to_vec();
    bytes.extend(crate::world::settings(&chapar_relay::frame::Settings::default()));
    bytes.extend(unary(1, b"ask"));
    for byte in bytes {
        world.relay.received(key, &[byte], world.now);
    }
    let mut server = world.dialled(endpoint, 1);
    assert_eq!(body(&world.messages(&mut server)), message(b"ask"));
}

#[test]
fn both_ways_stream_at_once() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&server, &headers(1, &response_head(), false));
    for round in 0..50_u8 {
        world.send(&client, &data(1, &message(&[round; 100]), false));
        assert_eq!(body(&world.messages(&mut server)), message(&[round; 100]));
        world.send(&server, &data(1, &message(&[round; 10]), false));
        assert_eq!(body(&world.messages(&mut client)), message(&[round; 10]));
    }
    world.send(&client, &data(1, &[], true));
    assert!(world.messages(&mut server).iter().any(|frame| frame.ends() && frame.payload.is_empty()));
    world.send(&server, &headers(1, &trailers("5"), true));
    world.messages(&mut client);
    assert_eq!(world.end(), [Ended::Answered { http: 200, grpc: Some(5), refused: None }]);
    assert_eq!(world.gate().closed[0].1.request.messages, 50);
}

#[test]
fn an_answer_of_trailers_only_passes() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    let block = with(with(response_head(), "grpc-status", "12"), "chapar-refused", "NO_GRANT");
    world.send(&server, &headers(1, &block, true));
    let back = world.messages(&mut client);
    assert_eq!((back.len(), back[0].ends()), (1, true));
    let fields = client.fields(&back[0].payload);
    assert_eq!((value(&fields, "grpc-status"), value(&fields, "chapar-refused")), (Some("12"), None));
    assert_eq!(world.end(), [Ended::Answered { http: 200, grpc: Some(12), refused: Some("NO_GRANT".to_owned()) }]);
}

#[test]
fn informational_heads_pass_before_the_head() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    let mut early = Vec::new();
    hpack::put_static_name(&mut early, statics::STATUS, b"103");
    world.send(&server, &headers(1, &early, false));
    let back = world.messages(&mut client);
    assert_eq!((value(&client.fields(&back[0].payload), ":status"), back[0].ends()), (Some("103"), false));
    world.messages(&mut server);
    world.send(&server, &answer(1, b"told"));
    assert_eq!(world.messages(&mut client).len(), 3);
    assert_eq!(world.end(), [OK]);
}

#[test]
fn an_answer_before_the_request_is_whole_ends_both() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &request_block(), false));
    world.messages(&mut server);
    world.send(&server, &headers(1, &with(response_head(), "grpc-status", "3"), true));
    let back = world.messages(&mut client);
    assert_eq!(back.iter().map(|frame| frame.kind).collect::<Vec<_>>(), [Kind::Headers, Kind::Reset]);
    assert_eq!(back[1].code(), Some(ErrorCode::NO_ERROR));
    assert_eq!(world.messages(&mut server)[0].code(), Some(ErrorCode::CANCEL));
    // What the caller sent before it knew is ignored, and its window given back.
    world.send(&client, &data(1, b"late", true));
    assert!(world.messages(&mut client).is_empty() && world.messages(&mut server).is_empty());
    world.send(&server, &crate::world::reset(1, ErrorCode::NO_ERROR));
    assert_eq!((world.closing(&client), world.closing(&server)), (None, None));
    assert_eq!(world.end().len(), 1);
}

#[test]
fn padding_and_priority_are_taken_off() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    let mut padded = vec![3, 0, 0, 0, 0, 9];
    padded.extend(request_block());
    padded.extend([0; 3]);
    let all = flags::PADDED | flags::PRIORITY | flags::END_HEADERS;
    world.send(&client, &raw(Kind::Headers, all, 1, &padded));
    let mut body_frame = vec![200];
    body_frame.extend(message(b"ask"));
    body_frame.extend([0; 200]);
    for byte in raw(Kind::Data, flags::PADDED | flags::END_STREAM, 1, &body_frame) {
        world.send(&client, &[byte]);
    }
    let there = world.messages(&mut server);
    assert_eq!(body(&there), message(b"ask"));
    assert!(there.last().is_some_and(crate::world::Frame::ends));
    world.send(&server, &answer(1, b"told"));
    world.messages(&mut client);
    assert_eq!(world.end(), [OK]);
}

#[test]
fn padding_alone_opens_no_window_twice() {
    let (mut world, mut client, mut server) = World::pair(Limits { call_window_bytes: 65_535, ..Limits::default() });
    world.send(&client, &headers(1, &request_block(), false));
    let mut padded = vec![255];
    padded.extend([0; 255]);
    // Many windows' worth of padding: given back as it comes.
    for _ in 0..2_000 {
        world.send(&client, &raw(Kind::Data, flags::PADDED, 1, &padded));
        world.frames(&mut client);
    }
    assert_eq!(world.closing(&client), None);
    world.send(&client, &data(1, &message(b"ask"), true));
    assert_eq!(body(&world.messages(&mut server)), message(b"ask"));
}

#[test]
fn a_block_over_several_frames_is_one() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    let block = with(request_block(), "x-long", &"l".repeat(40_000));
    let mut bytes = Vec::new();
    let parts: Vec<_> = block.chunks(9_000).collect();
    for (number, part) in parts.iter().enumerate() {
        let kind = if number == 0 { Kind::Headers } else { Kind::Continuation };
        let mut set = if number == 0 { flags::END_STREAM } else { 0 };
        if number + 1 == parts.len() {
            set |= flags::END_HEADERS;
        }
        bytes.extend(raw(kind, set, 1, part));
    }
    for part in bytes.chunks(1_000) {
        world.send(&client, part);
    }
    let there = world.messages(&mut server);
    // The server takes frames of 16,384 bytes.
    assert_eq!(there.iter().map(|frame| frame.kind).collect::<Vec<_>>(), [Kind::Headers, Kind::Continuation, Kind::Continuation]);
    assert!(there.iter().all(|frame| frame.payload.len() <= 16_384));
    let whole: Vec<u8> = there.iter().flat_map(|frame| frame.payload.clone()).collect();
    assert_eq!(value(&server.fields(&whole), "x-long").map(str::len), Some(40_000));
    assert!(there[0].ends());
}

#[test]
fn messages_of_16_mib_pass_both_ways() {
    let (mut world, mut client, mut server) = World::pair(fast());
    let big: Vec<u8> = (0..16 << 20).map(|number: u32| (number % 251) as u8).collect();
    world.send(&client, &headers(1, &request_block(), false));
    let mut came = Vec::new();
    let mut to_server = 65_535_i64;
    let sent = message(&big);
    for part in sent.chunks(60_000) {
        world.send(&client, &data(1, part, false));
        loop {
            let bytes = body(&world.messages(&mut server));
            if bytes.is_empty() {
                break;
            }
            to_server -= bytes.len() as i64;
            assert!(to_server >= 0);
            world.send(&server, &crate::world::window_update(0, bytes.len() as u32));
            world.send(&server, &crate::world::window_update(1, bytes.len() as u32));
            to_server += bytes.len() as i64;
            came.extend(bytes);
        }
        world.frames(&mut client);
    }
    assert!(came == sent);
    assert_eq!(world.closing(&client), None);
    world.send(&client, &data(1, &[], true));
    world.messages(&mut server);
    world.send(&server, &headers(1, &response_head(), false));
    let mut came = Vec::new();
    for part in sent.chunks(60_000) {
        world.send(&server, &data(1, part, false));
        loop {
            let bytes = body(&world.messages(&mut client));
            if bytes.is_empty() {
                break;
            }
            world.send(&client, &crate::world::window_update(0, bytes.len() as u32));
            world.send(&client, &crate::world::window_update(1, bytes.len() as u32));
            came.extend(bytes);
        }
        world.frames(&mut server);
    }
    assert!(came == sent);
    world.send(&server, &headers(1, &trailers("0"), true));
    world.messages(&mut client);
    assert_eq!(world.end(), [OK]);
}

#[test]
fn request_trailers_go_on() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&client, &data(1, b"x", false));
    world.send(&client, &headers(1, &with(with(Vec::new(), "x-last", "1"), "chapar-purpose", "late"), true));
    let there = world.messages(&mut server);
    let last = there.last().expect("frames");
    assert!(last.ends());
    assert_eq!(server.fields(&last.payload), [("x-last".to_owned(), "1".to_owned())].to_vec().into_iter().collect::<Vec<_>>());
}

#[test]
fn a_refused_call_is_told_by_a_head_alone() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.gate().refuses = true;
    world.send(&client, &unary(1, b"ask"));
    let back = world.messages(&mut client);
    assert_eq!(back.iter().map(|frame| frame.kind).collect::<Vec<_>>(), [Kind::Headers, Kind::Reset]);
    let fields = client.fields(&back[0].payload);
    assert_eq!((value(&fields, ":status"), value(&fields, "grpc-status")), (Some("200"), Some("7")));
    assert!(world.messages(&mut server).is_empty());
    assert!(world.end().is_empty());
}

#[test]
fn our_metadata_from_outside_is_stripped_both_ways() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    let names = ["chapar-consumer", "chapar-call-id", "grpc-timeout", "traceparent", "host", "tracestate"];
    let block = names.iter().fold(request_block(), |block, name| with(block, name, "forged"));
    world.send(&client, &headers(1, &with(block, "chapar-purpose", "audit"), true));
    let there = world.messages(&mut server);
    let fields = server.fields(&there[0].payload);
    assert!(fields.iter().all(|(_, value)| value != "forged"), "{fields:?}");
    assert_eq!(value(&fields, "chapar-purpose"), Some("audit"));
    world.send(&server, &headers(1, &with(with(response_head(), "chapar-call-id", "forged"), "grpc-status", "0"), true));
    let back = world.messages(&mut client);
    let fields = client.fields(&back[0].payload);
    assert!(fields.iter().all(|(_, value)| value != "forged"), "{fields:?}");
}
