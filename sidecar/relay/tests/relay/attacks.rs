//! Each limit that an attacker may try, attacked: the attacker is cut and counted, memory stays bounded, others are unharmed.

use chapar_relay::{
    Breach, CloseReason, Limits,
    frame::{ErrorCode, Kind, Settings},
};

use crate::{
    calls::OK,
    world::{End, World, answer, data, headers, raw, request_block, reset, response_head, settings, unary, window_update, with},
};

/// Sends `attack(number)` until the attacker is cut; then a neighbour makes a call. How many it took.
fn cut_by(breach: Breach, limits: Limits, mut attack: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let (mut world, mut attacker, mut server) = World::pair(limits);
    let mut neighbour = world.client();
    let mut count = 0;
    while world.closing(&attacker).is_none() {
        assert!(count < 20_000, "{breach:?} is never cut");
        world.send(&attacker, &attack(count));
        world.messages(&mut server);
        count += 1;
    }
    assert_eq!(world.closing(&attacker), Some(CloseReason::Breach(breach)));
    assert_eq!(world.relay.counters().breaches_of(breach), 1);
    let told = world.messages(&mut attacker).pop().expect("a last frame");
    assert_eq!((told.kind, told.code()), (Kind::GoAway, Some(ErrorCode::ENHANCE_YOUR_CALM)));
    serves(&mut world, &mut neighbour, &mut server);
    world.close(attacker);
    count
}

/// The neighbour's call goes there and back.
fn serves(world: &mut World, neighbour: &mut End, server: &mut End) {
    world.messages(server);
    world.send(neighbour, &unary(1, b"ask"));
    let stream = world.messages(server).iter().find(|frame| frame.kind == Kind::Headers).expect("the neighbour's call").stream;
    world.send(server, &answer(stream, b"told"));
    assert_eq!(world.messages(neighbour).len(), 3);
    assert_eq!(world.gate().last_end(), Some(&OK));
}

#[test]
fn rapid_resets() {
    let attack = |number: u32| {
        let mut bytes = headers(number * 2 + 1, &request_block(), false);
        bytes.extend(reset(number * 2 + 1, ErrorCode::CANCEL));
        bytes
    };
    assert_eq!(cut_by(Breach::Resets, Limits::default(), attack), 501);
}

#[test]
fn who_breaks_off_one_call_in_two_is_no_attacker() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    for number in 0..2_000 {
        let stream = number * 4 + 1;
        world.send(&client, &unary(stream, b"ask"));
        world.send(&server, &answer(stream, b"told"));
        world.send(&client, &unary(stream + 2, b"ask"));
        world.send(&client, &reset(stream + 2, ErrorCode::CANCEL));
        world.messages(&mut client);
        world.messages(&mut server);
    }
    assert_eq!(world.closing(&client), None);
}

#[test]
fn refusals_of_calls_with_data_are_no_flood() {
    let (mut world, mut client, _server) = World::pair(Limits { strays_max: 100, ..Limits::default() });
    world.gate().refuses = true;
    for number in 0..2_000 {
        world.send(&client, &unary(number * 2 + 1, b"ask"));
        world.messages(&mut client);
    }
    assert_eq!(world.closing(&client), None);
}

#[test]
fn streams_that_make_us_reset_them() {
    let attack = |number: u32| headers(number * 2 + 1, &with(request_block(), "connection", "close"), false);
    assert_eq!(cut_by(Breach::Resets, Limits::default(), attack), 501);
    let attack = |number: u32| {
        let mut bytes = headers(number * 2 + 1, &request_block(), false);
        bytes.extend(window_update(number * 2 + 1, 0));
        bytes
    };
    assert_eq!(cut_by(Breach::Resets, Limits::default(), attack), 501);
}

#[test]
fn floods_of_frames_that_cost_nothing() {
    let limits = Limits::default();
    assert_eq!(cut_by(Breach::Pings, limits, |_| raw(Kind::Ping, 0, 0, &[0; 8])), 201);
    // One for the handshake.
    assert_eq!(cut_by(Breach::Settings, limits, |_| settings(&Settings::default())), 50);
    assert_eq!(cut_by(Breach::Priorities, limits, |_| raw(Kind::Priority, 0, 1, &[0, 0, 0, 3, 9])), 1_001);
    assert_eq!(cut_by(Breach::Priorities, limits, |_| raw(Kind::Unknown(99), 0, 0, b"")), 1_001);
    assert_eq!(cut_by(Breach::WindowUpdates, limits, |_| window_update(0, 1)), 2_001);
    let empty = |number: u32| if number == 0 { headers(1, &request_block(), false) } else { data(1, b"", false) };
    assert_eq!(cut_by(Breach::EmptyData, limits, empty), 202);
}

#[test]
fn floods_are_let_off_over_time() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.messages(&mut server);
    for _ in 0..50 {
        for _ in 0..150 {
            world.send(&client, &raw(Kind::Ping, 0, 0, &[0; 8]));
        }
        world.wind(10_000);
        world.messages(&mut client);
    }
    assert_eq!(world.closing(&client), None);
}

#[test]
fn frames_on_streams_that_ended() {
    let limits = Limits { strays_max: 100, ..Limits::default() };
    let attack = |number: u32| if number == 0 { reset_after_headers() } else { data(1, b"", true) };
    assert_eq!(cut_by(Breach::Strays, limits, attack), 102);
}

fn reset_after_headers() -> Vec<u8> {
    let mut bytes = headers(1, &request_block(), false);
    bytes.extend(window_update(1, 0));
    bytes
}

#[test]
fn chains_of_continuations() {
    let attack = |number: u32| match number {
        0 => raw(Kind::Headers, 0, 1, &request_block()),
        _ => raw(Kind::Continuation, 0, 1, b""),
    };
    assert_eq!(cut_by(Breach::Continuations, Limits::default(), attack), 10);
    let attack = |number: u32| match number {
        0 => raw(Kind::Headers, 0, 1, &[0; 55_000]),
        _ => raw(Kind::Continuation, 0, 1, &[0; 10_000]),
    };
    let limits = Limits { header_list_bytes_max: 30_000, header_block_bytes_max: 1, ..Limits::default() };
    assert_eq!(cut_by(Breach::HeaderBlock, limits, attack), 2);
}

#[test]
fn header_lists_too_large_reset_their_stream_alone() {
    let limits = Limits { header_list_bytes_max: 2_000, header_fields_max: 20, ..Limits::default() };
    let many = (0..30).fold(request_block(), |block, _| with(block, "a", "b"));
    for block in [with(request_block(), "x", &"y".repeat(3_000)), many] {
        let (mut world, mut attacker, mut server) = World::pair(limits);
        world.send(&attacker, &headers(1, &block, true));
        assert_eq!(world.messages(&mut attacker)[0].code(), Some(ErrorCode::ENHANCE_YOUR_CALM));
        assert_eq!((world.closing(&attacker), world.relay.counters().breaches_of(Breach::HeaderList)), (None, 1));
        let mut neighbour = world.client();
        serves(&mut world, &mut neighbour, &mut server);
    }
}

#[test]
fn more_streams_than_we_allow_are_refused() {
    let limits = Limits { calls_per_connection_max: 3, ..Limits::default() };
    let (mut world, mut attacker, _server) = World::pair(limits);
    for number in 0..5 {
        world.send(&attacker, &headers(number * 2 + 1, &request_block(), false));
    }
    let frames = world.messages(&mut attacker);
    assert_eq!(
        frames.iter().map(|frame| (frame.stream, frame.code())).collect::<Vec<_>>(),
        [(7, Some(ErrorCode::REFUSED_STREAM)), (9, Some(ErrorCode::REFUSED_STREAM))]
    );
    assert_eq!((world.relay.calls(), world.relay.counters().breaches_of(Breach::Streams)), (3, 2));
}

#[test]
fn who_makes_us_answer_and_does_not_read_is_cut() {
    let limits = Limits { output_bytes_hard_max: 10_000, pings_max: 100_000, ..Limits::default() };
    let (mut world, attacker, _server) = World::pair(limits);
    let mut count = 0;
    while world.closing(&attacker).is_none() {
        world.send(&attacker, &raw(Kind::Ping, 0, 0, &[0; 8]));
        assert!(world.relay.output(attacker.key).len() < 11_000);
        count += 1;
        assert!(count < 10_000);
    }
    assert_eq!(world.closing(&attacker), Some(CloseReason::Breach(Breach::Output)));
    assert!(world.relay.output(attacker.key).is_empty());
}

#[test]
fn heads_of_answers_pile_up_only_so_far() {
    let limits = Limits { output_bytes_hard_max: 100_000, ..Limits::default() };
    let (mut world, attacker, mut server) = World::pair(limits);
    for number in 0..200 {
        world.send(&attacker, &headers(number * 2 + 1, &request_block(), true));
    }
    world.messages(&mut server);
    for number in 0..200 {
        world.send(&server, &headers(number * 2 + 1, &with(response_head(), "x", &"y".repeat(2_000)), false));
        while world.relay.next_dirty().is_some() {}
    }
    assert_eq!(world.closing(&attacker), Some(CloseReason::Breach(Breach::Output)));
    assert_eq!((world.relay.calls(), world.closing(&server)), (0, None));
}

#[test]
fn a_server_that_floods_is_cut_too() {
    let (mut world, mut client, server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    for _ in 0..300 {
        world.send(&server, &raw(Kind::Ping, 0, 0, &[0; 8]));
    }
    assert_eq!(world.closing(&server), Some(CloseReason::Breach(Breach::Pings)));
    assert!(world.messages(&mut client).iter().any(crate::world::Frame::ends));
}

#[test]
fn a_server_s_informational_heads_are_counted() {
    let (mut world, mut client, server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    let mut early = Vec::new();
    chapar_relay::hpack::put_static_name(&mut early, chapar_relay::hpack::statics::STATUS, b"103");
    for _ in 0..1_001 {
        world.send(&server, &headers(1, &early, false));
        world.messages(&mut client);
    }
    assert_eq!(world.closing(&server), Some(CloseReason::Breach(Breach::Priorities)));
}
