//! SETTINGS that change while calls are under way.

use chapar_relay::{
    CloseReason, Limits,
    frame::{ErrorCode, Kind, Settings, flags},
};

use crate::world::{World, body, data, headers, raw, request_block, settings, unary, window_update};

#[test]
fn a_smaller_window_goes_below_zero_and_must_be_opened_first() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&client, &data(1, &[1; 50_000], false));
    assert_eq!(body(&world.messages(&mut server)).len(), 50_000);
    // 15,535 were left; now 65,435 fewer: -49,900.
    world.send(&server, &settings(&Settings { window_bytes: Some(100), ..Settings::default() }));
    world.send(&client, &data(1, &[1; 1_000], false));
    assert!(body(&world.messages(&mut server)).is_empty());
    world.send(&server, &window_update(1, 49_900));
    assert!(body(&world.messages(&mut server)).is_empty());
    world.send(&server, &window_update(1, 7));
    assert_eq!(body(&world.messages(&mut server)).len(), 7);
    world.send(&server, &settings(&Settings { window_bytes: Some(200), ..Settings::default() }));
    assert_eq!(body(&world.messages(&mut server)).len(), 100);
    // A new call begins with the new window.
    world.send(&client, &headers(3, &request_block(), false));
    world.send(&client, &data(3, &[1; 1_000], false));
    assert_eq!(body(&world.messages(&mut server)).len(), 200);
}

#[test]
fn a_window_that_settings_make_overflow_ends_the_connection() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&server, &window_update(1, i32::MAX as u32 - 65_535));
    world.send(&server, &settings(&Settings { window_bytes: Some(65_536), ..Settings::default() }));
    let last = world.messages(&mut server).pop().expect("frames");
    assert_eq!(last.code(), Some(ErrorCode::FLOW_CONTROL_ERROR));
}

#[test]
fn every_settings_frame_is_acknowledged() {
    let (mut world, mut client, _) = World::pair(Limits::default());
    world.send(&client, &settings(&Settings { streams_max: Some(0), ..Settings::default() }));
    let frames = world.frames(&mut client);
    assert_eq!(frames.iter().map(|frame| (frame.kind, frame.flags)).collect::<Vec<_>>(), [(Kind::Settings, flags::ACK)]);
}

#[test]
fn what_only_new_settings_allow_comes_after_their_acknowledgement() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    world.send(&server, &settings(&Settings { window_bytes: Some(0), ..Settings::default() }));
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&client, &data(1, b"ask", false));
    world.frames(&mut server);
    world.send(&server, &settings(&Settings { window_bytes: Some(1), ..Settings::default() }));
    let kinds: Vec<_> = world.frames(&mut server).iter().map(|frame| (frame.kind, frame.payload.len())).collect();
    assert_eq!(kinds, [(Kind::Settings, 0), (Kind::Data, 1)]);
}

#[test]
fn frames_are_as_large_as_the_peer_takes() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    world.send(&server, &settings(&Settings { frame_bytes_max: Some(20_000), ..Settings::default() }));
    world.send(&client, &headers(1, &request_block(), false));
    world.messages(&mut server);
    world.send(&client, &data(1, &[1; 50_000], false));
    let sizes: Vec<_> = world.messages(&mut server).iter().map(|frame| frame.payload.len()).collect();
    assert_eq!(sizes, [20_000, 20_000, 10_000]);
}

#[test]
fn a_table_size_is_told_again_after_the_peer_changed_its_bound() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"a"));
    assert_eq!(world.messages(&mut server)[0].payload[0], 0x20);
    world.send(&client, &unary(3, b"a"));
    assert_ne!(world.messages(&mut server)[0].payload[0], 0x20);
    world.send(&server, &settings(&Settings { header_table_bytes_max: Some(0), ..Settings::default() }));
    world.send(&client, &unary(5, b"a"));
    assert_eq!(world.messages(&mut server)[0].payload[0], 0x20);
}

#[test]
fn more_streams_take_those_who_wait() {
    let mut world = World::new(Limits { connections_per_endpoint_max: 1, ..Limits::default() });
    let endpoint = world.endpoint("here");
    let client = world.client();
    world.send(&client, &unary(1, b"a"));
    let mut server = world.dialled_with(endpoint, 1, &Settings { streams_max: Some(1), ..Settings::default() });
    world.messages(&mut server);
    for stream in [3, 5, 7] {
        world.send(&client, &unary(stream, b"a"));
    }
    assert!(world.messages(&mut server).is_empty());
    world.send(&server, &settings(&Settings { streams_max: Some(3), ..Settings::default() }));
    let streams: Vec<_> =
        world.messages(&mut server).iter().filter(|frame| frame.kind == Kind::Headers).map(|f| f.stream).collect();
    assert_eq!(streams, [3, 5]);
}

#[test]
fn a_server_that_switches_push_on_is_cut() {
    let (mut world, _client, server) = World::pair(Limits::default());
    world.send(&server, &settings(&Settings { push: Some(true), ..Settings::default() }));
    assert!(matches!(world.closing(&server), Some(CloseReason::Protocol(_))));
}

#[test]
fn settings_must_come_first() {
    let mut world = World::new(Limits::default());
    let key = world.relay.accept("origin", chapar_relay::Probe::Never, world.now);
    let mut bytes = chapar_relay::frame::PREFACE.to_vec();
    bytes.extend(raw(Kind::Ping, 0, 0, &[0; 8]));
    world.relay.received(key, &bytes, world.now);
    assert!(matches!(world.relay.closing(key), Some(CloseReason::Protocol(_))));
}
