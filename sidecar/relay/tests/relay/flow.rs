//! Flow control, end to end.

use chapar_relay::{
    Breach, CloseReason, Limits, Probe,
    frame::{ErrorCode, Kind, Settings},
};

use crate::{
    calls::OK,
    world::{World, answer, body, data, headers, message, request_block, response_head, settings, trailers, window_update},
};

const WINDOW: usize = 65_535;

#[test]
fn a_receiver_without_window_is_sent_nothing_and_all_later() {
    let tiny = Settings { window_bytes: Some(0), ..Settings::default() };
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    let client = world.client();
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&client, &data(1, &message(b"asked"), true));
    let mut server = world.dialled_with(endpoint, 1, &tiny);
    // What left before the server said how much it takes is its own to hold.
    let early = body(&world.messages(&mut server));
    let mut other = headers(3, &request_block(), false);
    other.extend(data(3, &message(b"asked"), true));
    world.send(&client, &other);
    let frames = world.messages(&mut server);
    assert_eq!((early, body(&frames)), (message(b"asked"), Vec::new()));
    let mut came = Vec::new();
    for _ in 0..10 {
        world.send(&server, &window_update(3, 1));
        let frames = world.messages(&mut server);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].ends(), came.len() == 9);
        came.extend(body(&frames));
    }
    assert_eq!(came, message(b"asked"));
}

#[test]
fn the_connection_s_window_holds_all_calls_back_and_serves_them_in_turn() {
    let wide = Settings { window_bytes: Some(1 << 30), ..Settings::default() };
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    world.relay.endpoints(world.now).keep_open(endpoint, true);
    let mut server = world.dialled_with(endpoint, 1, &wide);
    let client = world.client();
    for stream in [1, 3, 5] {
        world.send(&client, &headers(stream, &request_block(), false));
        for _ in 0..8 {
            world.send(&client, &data(stream, &[stream as u8; 30_000], false));
        }
    }
    assert_eq!(body(&world.messages(&mut server)).len(), WINDOW);
    let mut by_stream = [0_usize; 3];
    for _ in 0..6 {
        world.send(&server, &window_update(0, 64 * 1024));
        for frame in world.messages(&mut server) {
            by_stream[(frame.stream as usize - 1) / 2] += frame.payload.len();
        }
    }
    // Each got its turn.
    assert!(by_stream.iter().all(|bytes| *bytes >= 100_000), "{by_stream:?}");
    assert_eq!(by_stream.iter().sum::<usize>(), 6 * 64 * 1024);
}

#[test]
fn a_sender_is_let_send_on_only_as_the_receiver_takes() {
    let limits = Limits { call_window_bytes: 65_535, ..Limits::default() };
    let (mut world, mut client, mut server) = World::pair(limits);
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&client, &data(1, &[1; 40_000], false));
    assert_eq!(body(&world.messages(&mut server)).len(), 40_000);
    let updates = |frames: Vec<crate::world::Frame>, stream: u32| -> u32 {
        let of = frames.iter().filter(|frame| frame.kind == Kind::WindowUpdate && frame.stream == stream);
        of.map(crate::world::Frame::word).sum()
    };
    assert_eq!(updates(world.frames(&mut client), 1), 40_000);
    // The server's window is full: nothing is given back.
    world.send(&client, &data(1, &[1; 60_000], false));
    assert_eq!(body(&world.messages(&mut server)).len(), 25_535);
    assert_eq!(updates(world.frames(&mut client), 1), 0);
    world.send(&server, &window_update(1, 100_000));
    world.send(&server, &window_update(0, 100_000));
    assert_eq!(body(&world.messages(&mut server)).len(), 34_465);
    assert_eq!(updates(world.frames(&mut client), 1), 60_000);
}

#[test]
fn data_beyond_the_stream_s_window_end_the_call() {
    let limits = Limits { call_window_bytes: 65_535, ..Limits::default() };
    let (mut world, mut client, server) = World::pair(limits);
    world.send(&server, &settings(&Settings { window_bytes: Some(0), ..Settings::default() }));
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&client, &data(1, &[1; 60_000], false));
    world.send(&client, &data(1, &[1; 6_000], false));
    assert_eq!(world.messages(&mut client)[0].code(), Some(ErrorCode::FLOW_CONTROL_ERROR));
    assert_eq!((world.closing(&client), world.relay.counters().breaches_of(Breach::Window)), (None, 1));
    assert_eq!(world.end().len(), 1);
}

#[test]
fn data_beyond_the_connection_s_window_end_the_connection() {
    let limits = Limits { connection_window_bytes: 65_535, ..Limits::default() };
    let (mut world, mut client, server) = World::pair(limits);
    world.send(&server, &settings(&Settings { window_bytes: Some(0), ..Settings::default() }));
    for stream in [1, 3] {
        world.send(&client, &headers(stream, &request_block(), false));
        world.send(&client, &data(stream, &[1; 40_000], false));
    }
    let last = world.messages(&mut client).pop().expect("frames");
    assert_eq!((last.kind, last.code()), (Kind::GoAway, Some(ErrorCode::FLOW_CONTROL_ERROR)));
    assert!(matches!(world.closing(&client), Some(CloseReason::Protocol(_))));
    assert_eq!(world.end().len(), 2);
}

#[test]
fn a_window_that_overflows_ends_the_stream_or_the_connection() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &request_block(), false));
    world.messages(&mut server);
    world.send(&client, &window_update(1, i32::MAX as u32));
    assert_eq!(world.messages(&mut client)[0].code(), Some(ErrorCode::FLOW_CONTROL_ERROR));
    assert_eq!(world.messages(&mut server)[0].code(), Some(ErrorCode::CANCEL));
    world.send(&client, &window_update(0, i32::MAX as u32));
    assert_eq!(world.messages(&mut client)[0].code(), Some(ErrorCode::FLOW_CONTROL_ERROR));
    assert!(matches!(world.closing(&client), Some(CloseReason::Protocol(_))));
    world.end();
}

#[test]
fn a_window_update_of_zero_is_an_error() {
    let (mut world, mut client, _server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&client, &window_update(1, 0));
    assert_eq!(world.messages(&mut client)[0].code(), Some(ErrorCode::PROTOCOL_ERROR));
    world.send(&client, &window_update(0, 0));
    assert_eq!(world.messages(&mut client)[0].kind, Kind::GoAway);
}

#[test]
fn trailers_wait_behind_data_that_wait() {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    world.relay.endpoints(world.now).keep_open(endpoint, true);
    let server = world.dialled(endpoint, 1);
    let mut client = world.client_with(Probe::Never, &Settings { window_bytes: Some(4), ..Settings::default() });
    world.send(&client, &headers(1, &request_block(), true));
    world.send(&server, &answer(1, b"0123456789"));
    let back = world.messages(&mut client);
    assert_eq!((back.len(), body(&back).len()), (2, 4));
    assert_eq!(world.relay.calls(), 1);
    world.send(&client, &window_update(1, 100));
    let back = world.messages(&mut client);
    assert_eq!((body(&back).len(), back[1].kind, back[1].ends()), (11, Kind::Headers, true));
    assert_eq!(world.end(), [OK]);
}

#[test]
fn an_output_that_is_not_read_holds_data_back() {
    let limits = Limits { output_bytes_soft_max: 10_000, ..Limits::default() };
    let (mut world, mut client, server) = World::pair(limits);
    world.send(&client, &headers(1, &request_block(), true));
    world.frames(&mut client);
    world.send(&server, &headers(1, &response_head(), false));
    for _ in 0..10 {
        world.send(&server, &data(1, &[5; 6_000], false));
    }
    world.send(&server, &headers(1, &trailers("0"), true));
    assert!(world.relay.output(client.key).len() <= 10_100);
    let back = world.messages(&mut client);
    assert_eq!(body(&back).len(), 60_000);
    assert!(back.last().is_some_and(crate::world::Frame::ends));
    assert_eq!(world.end(), [OK]);
}

#[test]
fn what_a_cancelled_call_left_unread_is_given_back() {
    let limits = Limits { connection_window_bytes: 65_535, ..Limits::default() };
    let (mut world, mut client, server) = World::pair(limits);
    world.send(&server, &settings(&Settings { window_bytes: Some(0), ..Settings::default() }));
    for round in 0..20 {
        let stream = round * 2 + 1;
        world.send(&client, &headers(stream, &request_block(), false));
        world.send(&client, &data(stream, &[1; 30_000], false));
        world.send(&client, &crate::world::reset(stream, ErrorCode::CANCEL));
        world.frames(&mut client);
    }
    assert_eq!(world.closing(&client), None);
    assert_eq!(world.end().len(), 20);
}
