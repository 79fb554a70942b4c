//! Rules of HTTP/2 that a peer can break, and what each leads to.

use chapar_relay::{
    CloseReason, Limits, Probe,
    frame::{ErrorCode, Kind, flags},
    hpack::{self, statics},
};

use crate::world::{World, answer, data, headers, raw, request_block, reset, unary, window_update, with};

/// The code of the GOAWAY that `bytes` lead to, after an ordinary call on stream 1.
fn goaway_after(bytes: &[u8]) -> Option<ErrorCode> {
    let (mut world, mut client, server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.send(&server, &answer(1, b"told"));
    world.messages(&mut client);
    world.send(&client, bytes);
    let last = world.messages(&mut client).pop();
    assert_eq!(world.closing(&client).is_some(), last.as_ref().is_some_and(|frame| frame.kind == Kind::GoAway));
    let code = last.filter(|frame| frame.kind == Kind::GoAway).and_then(|frame| frame.code());
    assert!(world.relay.calls() == 0 || code.is_none());
    code
}

#[test]
fn violations_of_the_connection_end_it() {
    let cases = [
        ("DATA on stream 0", data(0, b"x", false), ErrorCode::PROTOCOL_ERROR),
        ("HEADERS on stream 0", headers(0, &request_block(), true), ErrorCode::PROTOCOL_ERROR),
        ("HEADERS on an even stream", headers(2, &request_block(), true), ErrorCode::PROTOCOL_ERROR),
        ("DATA on an idle stream", data(9, b"x", false), ErrorCode::PROTOCOL_ERROR),
        ("RST_STREAM on an idle stream", reset(9, ErrorCode::CANCEL), ErrorCode::PROTOCOL_ERROR),
        ("WINDOW_UPDATE on an idle stream", window_update(9, 1), ErrorCode::PROTOCOL_ERROR),
        ("CONTINUATION of nothing", raw(Kind::Continuation, flags::END_HEADERS, 3, b""), ErrorCode::PROTOCOL_ERROR),
        ("PUSH_PROMISE", raw(Kind::PushPromise, flags::END_HEADERS, 3, &[0; 8]), ErrorCode::PROTOCOL_ERROR),
        ("HEADERS on a stream that has ended", headers(1, &request_block(), true), ErrorCode::STREAM_CLOSED),
        ("PING of 7 bytes", raw(Kind::Ping, 0, 0, &[0; 7]), ErrorCode::FRAME_SIZE_ERROR),
        ("SETTINGS of 7 bytes", raw(Kind::Settings, 0, 0, &[0; 7]), ErrorCode::FRAME_SIZE_ERROR),
        ("a frame beyond our limit", raw(Kind::Data, 0, 1, &[0; 70_000]), ErrorCode::FRAME_SIZE_ERROR),
        ("a block that cannot be decoded", headers(3, &[0x80], true), ErrorCode::COMPRESSION_ERROR),
        ("padding beyond the frame", raw(Kind::Data, flags::PADDED, 1, &[9, 0, 0]), ErrorCode::PROTOCOL_ERROR),
    ];
    for (what, bytes, code) in cases {
        assert_eq!(goaway_after(&bytes), Some(code), "{what}");
    }
}

#[test]
fn a_stream_below_one_that_was_opened_ends_the_connection() {
    let mut bytes = headers(9, &request_block(), false);
    bytes.extend(headers(7, &request_block(), true));
    assert_eq!(goaway_after(&bytes), Some(ErrorCode::PROTOCOL_ERROR));
}

#[test]
fn a_block_that_another_frame_breaks_up_ends_the_connection() {
    for between in [data(3, b"x", false), raw(Kind::Ping, 0, 0, &[0; 8]), raw(Kind::Continuation, flags::END_HEADERS, 5, b"")] {
        let mut bytes = raw(Kind::Headers, 0, 3, &request_block());
        bytes.extend(between);
        assert_eq!(goaway_after(&bytes), Some(ErrorCode::PROTOCOL_ERROR));
    }
}

#[test]
fn what_is_unknown_or_late_is_ignored() {
    for bytes in [
        raw(Kind::Unknown(0x42), 0xff, 77, b"anything"),
        raw(Kind::Priority, 0, 99, &[0, 0, 0, 1, 9]),
        window_update(1, 5),
        reset(1, ErrorCode::CANCEL),
        raw(Kind::Ping, flags::ACK, 0, &[9; 8]),
    ] {
        assert_eq!(goaway_after(&bytes), None);
    }
}

#[test]
fn malformed_requests_are_reset_and_are_no_calls() {
    let mut no_path = Vec::new();
    hpack::put_indexed(&mut no_path, statics::METHOD_POST);
    hpack::put_indexed(&mut no_path, statics::SCHEME_HTTP);
    let mut two_methods = request_block();
    hpack::put_indexed(&mut two_methods, statics::METHOD_POST);
    let mut late_pseudo = with(Vec::new(), "a", "b");
    late_pseudo.extend(request_block());
    let mut doubled = Vec::new();
    hpack::put_indexed(&mut doubled, statics::METHOD_POST);
    doubled.extend(request_block());
    let mut empty_path = no_path.clone();
    hpack::put_static_name(&mut empty_path, statics::PATH, b"");
    let cases = [
        ("no path", no_path),
        ("a pseudo-header field after others", two_methods),
        ("a regular field first", late_pseudo),
        ("two methods", doubled),
        ("an empty path", empty_path),
        ("upper case", with(request_block(), "X-Upper", "1")),
        ("connection", with(request_block(), "connection", "close")),
        ("transfer-encoding", with(request_block(), "transfer-encoding", "chunked")),
        ("te", with(request_block(), "te", "gzip")),
        (":status", with(request_block(), ":status", "200")),
        ("unknown pseudo", with(request_block(), ":other", "x")),
        ("length", with(request_block(), "content-length", "x")),
        ("lengths", with(with(request_block(), "content-length", "1"), "content-length", "2")),
    ];
    let count = cases.len();
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    for (number, (what, block)) in cases.into_iter().enumerate() {
        let stream = number as u32 * 2 + 1;
        world.send(&client, &headers(stream, &block, false));
        let frames = world.messages(&mut client);
        assert_eq!(frames.len(), 1, "{what}");
        assert_eq!((frames[0].stream, frames[0].code()), (stream, Some(ErrorCode::PROTOCOL_ERROR)), "{what}");
    }
    assert_eq!((world.relay.counters().malformed_requests, world.gate().opened), (count as u64, 0));
    assert!(world.messages(&mut server).is_empty());
    assert_eq!(world.closing(&client), None);
}

#[test]
fn requests_of_another_length_than_they_tell_are_cut() {
    for (length, bytes) in [("3", &b"four"[..]), ("5", b"four")] {
        let (mut world, mut client, mut server) = World::pair(Limits::default());
        world.send(&client, &headers(1, &with(request_block(), "content-length", length), false));
        world.send(&client, &data(1, bytes, true));
        assert_eq!(world.messages(&mut client)[0].code(), Some(ErrorCode::PROTOCOL_ERROR));
        assert_eq!(world.messages(&mut server).last().and_then(crate::world::Frame::code), Some(ErrorCode::CANCEL));
        assert_eq!(world.end().len(), 1);
    }
    let (mut world, client, mut server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &with(request_block(), "content-length", "4"), false));
    world.send(&client, &data(1, b"four", true));
    assert!(world.messages(&mut server).last().is_some_and(crate::world::Frame::ends));
}

#[test]
fn a_second_head_after_the_end_is_an_error_of_the_stream() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &request_block(), true));
    world.messages(&mut server);
    // Its pseudo-header fields would make it malformed trailers; but nothing at all may come here (RFC 9113, section 5.1).
    world.send(&client, &headers(1, &request_block(), true));
    assert_eq!(world.messages(&mut client)[0].code(), Some(ErrorCode::STREAM_CLOSED));
}

#[test]
fn data_after_the_end_are_an_error_of_the_stream() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.send(&client, &data(1, b"more", false));
    assert_eq!(world.messages(&mut client)[0].code(), Some(ErrorCode::STREAM_CLOSED));
    world.send(&client, &unary(3, b"ask"));
    world.send(&server, &answer(3, b"told"));
    world.messages(&mut client);
    // The call is over on both sides: its stream is told closed.
    world.send(&client, &data(3, b"more", false));
    assert_eq!(world.messages(&mut client)[0].code(), Some(ErrorCode::STREAM_CLOSED));
    assert_eq!(world.closing(&client), None);
}

#[test]
fn pings_are_answered() {
    let (mut world, mut client, _server) = World::pair(Limits::default());
    world.send(&client, &raw(Kind::Ping, 0, 0, b"12345678"));
    let frames = world.messages(&mut client);
    assert_eq!((frames[0].flags, &*frames[0].payload), (flags::ACK, &b"12345678"[..]));
}

#[test]
fn what_is_no_preface_ends_the_connection() {
    let mut world = World::new(Limits::default());
    let key = world.relay.accept("origin", Probe::Never, world.now);
    world.relay.received(key, b"GET / HTTP/1.1\r\n", world.now);
    assert!(matches!(world.relay.closing(key), Some(CloseReason::Protocol(_))));
    world.relay.received(key, b"more", world.now);
    world.relay.closed(key, world.now);
    assert_eq!((world.relay.closing(key), world.relay.connections()), (None, 0));
    world.relay.closed(key, world.now);
}

#[test]
fn blocks_before_the_acknowledgement_use_the_table_and_later_ones_do_not() {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    world.relay.endpoints(world.now).keep_open(endpoint, true);
    let mut server = world.dialled(endpoint, 1);
    let key = world.relay.accept("origin", Probe::Never, world.now);
    let mut bytes = chapar_relay::frame::PREFACE.to_vec();
    bytes.extend(crate::world::settings(&chapar_relay::frame::Settings::default()));
    // A literal with incremental indexing, then a reference to it.
    let mut first = request_block();
    first.extend([0x40, 1, b'k', 1, b'v']);
    let mut second = request_block();
    second.push(0x80 | 62);
    bytes.extend(headers(1, &first, true));
    bytes.extend(headers(3, &second, true));
    world.relay.received(key, &bytes, world.now);
    let there = world.messages(&mut server);
    for frame in there.iter().filter(|frame| frame.kind == Kind::Headers) {
        assert_eq!(crate::world::value(&server.fields(&frame.payload), "k"), Some("v"));
    }
    let mut late = Vec::new();
    chapar_relay::frame::put_settings_ack(&mut late);
    let mut update = vec![0x20];
    update.extend(&second);
    late.extend(headers(5, &update, true));
    world.relay.received(key, &late, world.now);
    assert!(matches!(world.relay.closing(key), Some(CloseReason::Protocol(_))));
}
