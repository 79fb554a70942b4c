//! What time does. It is wound by hand, and the relay says itself when it wants to be woken.

use std::time::Duration;

use chapar_relay::{
    Breach, CloseReason, EndpointConfig, Limits, Probe,
    frame::{ErrorCode, Kind, PREFACE, Settings, put_ping},
};

use crate::{
    calls::OK,
    gate::Ended,
    world::{World, answer, data, headers, raw, request_block, response_head, settings, unary, value},
};

#[test]
fn a_deadline_ends_the_call_where_it_stands() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.gate().timeout = Some(Duration::from_millis(250));
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.wind(249);
    assert_eq!(world.relay.calls(), 1);
    assert!(world.relay.next_timer().is_some_and(|at| at <= world.now + Duration::from_millis(1)));
    world.wind(1);
    let back = world.messages(&mut client);
    assert_eq!(value(&client.fields(&back[0].payload), "grpc-status"), Some("4"));
    assert_eq!(world.messages(&mut server)[0].code(), Some(ErrorCode::CANCEL));
    assert_eq!(world.end(), [Ended::Told("deadline")]);
}

#[test]
fn a_deadline_ends_a_call_that_waits_for_room() {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    let mut client = world.client();
    world.gate().timeout = Some(Duration::from_millis(250));
    world.send(&client, &unary(1, b"ask"));
    world.wind(300);
    assert_eq!(world.messages(&mut client).len(), 1);
    let mut server = world.dialled(endpoint, 1);
    assert!(world.messages(&mut server).is_empty());
    assert_eq!(world.end(), [Ended::Told("deadline")]);
}

#[test]
fn a_deadline_holds_for_a_call_that_went_elsewhere() {
    let mut world = World::new(Limits::default());
    let one = world.endpoint("one");
    let mut client = world.client();
    world.gate().timeout = Some(Duration::from_secs(30));
    world.send(&client, &unary(1, b"ask"));
    assert_eq!(world.next_dial(), Some(one));
    let other = world.endpoint("other");
    world.relay.endpoints(world.now).keep_open(other, true);
    let mut server = world.dialled(other, 2);
    world.wind(10_001);
    assert!(!world.messages(&mut server).is_empty());
    world.wind(20_000);
    assert_eq!(world.messages(&mut client).len(), 1);
    assert_eq!(world.end(), [Ended::Told("deadline")]);
}

#[test]
fn the_time_that_is_left_goes_on() {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    let client = world.client();
    world.gate().timeout = Some(Duration::from_millis(250));
    world.send(&client, &unary(1, b"ask"));
    world.wind(100);
    world.dialled(endpoint, 1);
    assert_eq!(world.gate().lefts, [Some(Duration::from_millis(150))]);
}

#[test]
fn an_answer_in_time_unsets_the_deadline() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.gate().timeout = Some(Duration::from_millis(250));
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.send(&server, &answer(1, b"told"));
    world.messages(&mut client);
    world.wind(1_000);
    assert!(world.messages(&mut client).is_empty());
    assert_eq!(world.end(), [OK]);
}

#[test]
fn an_idle_connection_ends() {
    let limits = Limits { idle_timeout: Duration::from_secs(60), ..Limits::default() };
    let (mut world, mut client, mut server) = World::pair(limits);
    world.messages(&mut server);
    world.wind(40_000);
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.send(&server, &answer(1, b"told"));
    world.messages(&mut client);
    world.wind(59_000);
    assert_eq!(world.closing(&client), None);
    world.wind(1_000);
    assert_eq!(world.messages(&mut client)[0].kind, Kind::GoAway);
    world.wind(1_000);
    assert!(world.closing(&client).is_some());
    assert_eq!(world.relay.counters().breaches_of(Breach::Idle), 1);
    // The link of an endpoint that is kept open stays.
    assert_eq!(world.closing(&server), None);
}

#[test]
fn a_link_that_nobody_keeps_open_ends_when_it_is_idle() {
    let limits = Limits { idle_timeout: Duration::from_secs(60), ..Limits::default() };
    let (mut world, _client, mut server) = World::pair(limits);
    world.messages(&mut server);
    let endpoint = world.gate().endpoints[0];
    world.relay.endpoints(world.now).keep_open(endpoint, false);
    for _ in 0..3 {
        world.wind(60_000);
    }
    assert_eq!(world.closing(&server), Some(CloseReason::Idle));
}

#[test]
fn a_connection_with_a_call_is_not_idle() {
    let limits = Limits { idle_timeout: Duration::from_secs(60), ..Limits::default() };
    let (mut world, mut client, mut server) = World::pair(limits);
    world.send(&client, &headers(1, &request_block(), false));
    world.messages(&mut server);
    world.wind(300_000);
    world.messages(&mut client);
    assert_eq!((world.closing(&client), world.closing(&server)), (None, None));
}

#[test]
fn a_silent_peer_is_probed_and_then_cut() {
    let limits = Limits { idle_timeout: Duration::from_secs(9_000), ..Limits::default() };
    let mut world = World::new(limits);
    let endpoint =
        world.relay.endpoints(world.now).add("here", &EndpointConfig { https: true, authority: "a:1", probe: Probe::Ping });
    world.gate().endpoints.push(endpoint);
    world.relay.endpoints(world.now).keep_open(endpoint, true);
    let mut server = world.dialled(endpoint, 1);
    let mut client = world.client_with(Probe::Ping, &Settings::default());
    world.send(&client, &headers(1, &request_block(), false));
    world.messages(&mut server);
    world.wind(20_000);
    let ping = world.messages(&mut client).pop().expect("a probe");
    assert_eq!((ping.kind, world.messages(&mut server).pop().map(|frame| frame.kind)), (Kind::Ping, Some(Kind::Ping)));
    let mut pong = Vec::new();
    put_ping(&mut pong, *ping.payload.first_chunk().expect("eight bytes"), true);
    world.wind(5_000);
    world.send(&client, &pong);
    world.wind(5_000);
    assert_eq!((world.closing(&client), world.closing(&server)), (None, Some(CloseReason::Breach(Breach::Unanswered))));
    assert_eq!(world.end(), [Ended::Told("lost")]);
    // Others are let alone.
    let mut other = world.client();
    world.wind(100_000);
    assert!(world.messages(&mut other).is_empty());
}

#[test]
fn who_does_not_say_its_settings_is_cut() {
    for bytes in [&b""[..], &PREFACE[..10], PREFACE] {
        let mut world = World::new(Limits::default());
        let key = world.relay.accept("origin", Probe::Never, world.now);
        world.relay.received(key, bytes, world.now);
        world.wind(4_999);
        assert_eq!(world.relay.closing(key), None);
        world.wind(1);
        assert_eq!(world.relay.closing(key), Some(CloseReason::Breach(Breach::HalfOpen)));
        assert_eq!(world.relay.counters().breaches_of(Breach::HalfOpen), 1);
    }
}

#[test]
fn who_does_not_acknowledge_our_settings_is_cut() {
    let mut world = World::new(Limits::default());
    let key = world.relay.accept("origin", Probe::Never, world.now);
    let bytes = [PREFACE.to_vec(), settings(&Settings::default())].concat();
    world.relay.received(key, &bytes, world.now);
    world.wind(5_000);
    assert_eq!(world.relay.closing(key), Some(CloseReason::Breach(Breach::HalfOpen)));
}

#[test]
fn a_frame_that_does_not_become_whole_ends_the_connection() {
    let (mut world, client, _server) = World::pair(Limits::default());
    let whole = headers(1, &request_block(), true);
    for byte in &whole[..whole.len() - 1] {
        world.send(&client, &[*byte]);
        world.wind(100);
    }
    assert_eq!(world.closing(&client), None);
    for _ in 0..100 {
        world.wind(100);
    }
    assert_eq!(world.closing(&client), Some(CloseReason::Breach(Breach::SlowWriter)));
}

#[test]
fn a_header_block_that_does_not_become_whole_ends_the_connection() {
    let (mut world, client, _server) = World::pair(Limits::default());
    world.send(&client, &raw(Kind::Headers, 0, 1, &request_block()));
    world.wind(6_000);
    world.send(&client, &raw(Kind::Continuation, 0, 1, b""));
    world.wind(4_000);
    assert_eq!(world.closing(&client), Some(CloseReason::Breach(Breach::SlowWriter)));
}

#[test]
fn an_output_that_does_not_move_ends_the_connection() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &headers(1, &request_block(), true));
    world.messages(&mut server);
    world.frames(&mut client);
    world.send(&server, &headers(1, &response_head(), false));
    world.send(&server, &data(1, &[1; 1_000], false));
    for _ in 0..10 {
        // A little is progress.
        world.wind(30_000);
        world.relay.written(client.key, 1, world.now);
        assert_eq!(world.closing(&client), None);
    }
    world.wind(60_000);
    assert_eq!(world.closing(&client), Some(CloseReason::Breach(Breach::SlowReader)));
    assert!(world.relay.output(client.key).is_empty());
    assert_eq!(world.end(), [Ended::Abandoned]);
}

#[test]
fn a_call_whose_data_nobody_takes_ends_and_the_connection_goes_on() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &settings(&Settings { window_bytes: Some(0), ..Settings::default() }));
    world.send(&client, &headers(1, &request_block(), true));
    world.messages(&mut server);
    world.send(&server, &headers(1, &response_head(), false));
    world.send(&server, &data(1, &[1; 1_000], false));
    world.messages(&mut client);
    world.wind(299_000);
    assert_eq!(world.relay.calls(), 1);
    world.wind(1_000);
    assert_eq!(world.end(), [Ended::Told("stalled")]);
    assert!(world.messages(&mut client).pop().is_some_and(|frame| frame.ends()));
    assert_eq!((world.closing(&client), world.relay.counters().breaches_of(Breach::SlowCall)), (None, 1));
}

#[test]
fn a_closing_connection_whose_output_stays_lets_go_of_it() {
    let (mut world, client, _server) = World::pair(Limits::default());
    world.send(&client, &raw(Kind::Data, 0, 0, b""));
    assert!(matches!(world.closing(&client), Some(CloseReason::Protocol(_))));
    assert!(!world.relay.output(client.key).is_empty());
    while world.relay.next_dirty().is_some() {}
    world.wind(2_000);
    assert!(world.relay.output(client.key).is_empty());
    assert_eq!(world.relay.next_dirty(), Some(client.key));
    world.wind(1_000_000);
    world.close(client);
}
