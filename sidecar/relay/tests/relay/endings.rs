//! Calls and connections that end before their time, from either side. Each call is closed once, whatever happens.

use std::time::Duration;

use chapar_relay::{
    CloseWhy, Limits,
    frame::{ErrorCode, Kind, STREAM_ID_MAX, Settings},
};

use crate::{
    calls::OK,
    gate::Ended,
    world::{
        End, Fields, World, answer, body, data, goaway, headers, message, request_block, reset, response_head, trailers, unary,
        value, with,
    },
};

fn told(world: &mut World, client: &mut crate::world::End) -> (Fields, bool) {
    let frames = world.messages(client);
    let last = frames.iter().rev().find(|frame| frame.kind == Kind::Headers).expect("a head");
    assert!(last.ends());
    let mut fields = Vec::new();
    for frame in frames.iter().filter(|frame| frame.kind == Kind::Headers) {
        fields = client.fields(&frame.payload);
    }
    let is_head = value(&fields, ":status").is_some();
    (fields, is_head)
}

#[test]
fn a_cancelled_call_is_cancelled_at_the_server() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.send(&client, &reset(1, ErrorCode::CANCEL));
    let there = world.messages(&mut server);
    assert_eq!((there.len(), there[0].code()), (1, Some(ErrorCode::CANCEL)));
    // What the server sent before it knew goes nowhere.
    world.send(&server, &answer(1, b"late"));
    assert!(world.messages(&mut client).is_empty());
    assert_eq!((world.closing(&server), world.end()), (None, vec![Ended::Abandoned]));
}

#[test]
fn what_the_server_may_not_have_looked_at_is_reset_late_and_little_by_little() {
    let limits = Limits { reset_notice: Duration::from_millis(50), calls_per_connection_max: 40, ..Limits::default() };
    let (mut world, client, mut server) = World::pair(limits);
    for number in 0..40 {
        world.send(&client, &unary(2 * number + 1, b"ask"));
        world.send(&client, &reset(2 * number + 1, ErrorCode::CANCEL));
    }
    assert_eq!(world.end().len(), 40);
    let resets = |world: &mut World, server: &mut End| {
        world.messages(server).into_iter().filter(|frame| frame.code() == Some(ErrorCode::CANCEL)).count()
    };
    assert_eq!(resets(&mut world, &mut server), 0);
    // The server still counts them: no other call may go over this link.
    world.send(&client, &unary(81, b"ask"));
    assert!(world.messages(&mut server).is_empty());
    world.send(&server, &answer(1, b"late"));
    world.wind(60);
    assert_eq!(resets(&mut world, &mut server), 16);
    let mut left = Vec::new();
    for _ in 0..4 {
        world.wind(6);
        left.push(resets(&mut world, &mut server));
    }
    assert_eq!(left, [16, 8, 0, 0]);
    assert_eq!(world.closing(&server), None);
}

#[test]
fn an_answered_call_is_cancelled_at_once() {
    let limits = Limits { reset_notice: Duration::from_millis(50), ..Limits::default() };
    let (mut world, client, mut server) = World::pair(limits);
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.send(&server, &headers(1, &response_head(), false));
    world.send(&client, &reset(1, ErrorCode::CANCEL));
    assert_eq!(world.messages(&mut server).pop().and_then(|frame| frame.code()), Some(ErrorCode::CANCEL));
}

#[test]
fn a_call_that_the_server_breaks_off_is_broken_off() {
    for (code, passed) in [(ErrorCode::CANCEL, ErrorCode::CANCEL), (ErrorCode::PROTOCOL_ERROR, ErrorCode::INTERNAL_ERROR)] {
        let (mut world, mut client, mut server) = World::pair(Limits::default());
        world.send(&client, &unary(1, b"ask"));
        world.messages(&mut server);
        world.send(&server, &headers(1, &response_head(), false));
        world.send(&server, &reset(1, code));
        assert_eq!(world.messages(&mut client).pop().and_then(|frame| frame.code()), Some(passed));
        assert_eq!(world.end(), [Ended::Reset(code.0)]);
    }
}

#[test]
fn a_lost_client_abandons_its_calls() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    for stream in [1, 3] {
        world.send(&client, &unary(stream, b"ask"));
    }
    world.messages(&mut server);
    world.close(client);
    let codes: Vec<_> = world.messages(&mut server).iter().map(crate::world::Frame::code).collect();
    assert_eq!(codes, [Some(ErrorCode::CANCEL); 2]);
    assert_eq!(world.end(), [Ended::Abandoned, Ended::Abandoned]);
}

#[test]
fn a_lost_link_is_told_by_a_head_or_by_trailers() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.close(server);
    let (fields, is_head) = told(&mut world, &mut client);
    assert_eq!((value(&fields, "grpc-message"), is_head), (Some("lost"), true));

    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.send(&server, &headers(1, &response_head(), false));
    world.close(server);
    let (fields, is_head) = told(&mut world, &mut client);
    assert_eq!((value(&fields, "grpc-message"), is_head), (Some("lost"), false));
    assert_eq!(world.end(), [Ended::Told("lost")]);
}

#[test]
fn an_answer_that_is_whole_survives_the_loss_of_its_link() {
    let mut world = World::new(Limits::default());
    let place = world.place("here");
    world.relay.keep_open(place, true, world.now);
    let server = world.dialled(place, 1);
    let small = Settings { window_bytes: Some(3), ..Settings::default() };
    let mut client = world.client_with(chapar_relay::Probe::Never, &small);
    world.send(&client, &unary(1, b"ask"));
    world.send(&server, &answer(1, b"whole"));
    world.close(server);
    assert_eq!(world.relay.calls(), 1);
    world.messages(&mut client);
    world.send(&client, &crate::world::window_update(1, 100));
    assert!(world.messages(&mut client).last().is_some_and(crate::world::Frame::ends));
    assert_eq!(world.end(), [OK]);
}

#[test]
fn a_call_with_its_answer_is_not_sent_again_though_its_request_goes_on() {
    let mut world = World::new(Limits::default());
    let place = world.place("here");
    world.relay.keep_open(place, true, world.now);
    let server = world.dialled(place, 1);
    let small = Settings { window_bytes: Some(3), ..Settings::default() };
    let mut client = world.client_with(chapar_relay::Probe::Never, &small);
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&server, &answer(1, b"whole"));
    world.close(server);
    let mut next = world.dialled(place, 2);
    world.messages(&mut client);
    world.send(&client, &data(1, b"more", false));
    world.send(&client, &headers(1, &with(Vec::new(), "x-last", "1"), true));
    assert!(world.messages(&mut next).is_empty());
    world.send(&client, &crate::world::window_update(1, 100));
    assert!(world.messages(&mut client).last().is_some_and(crate::world::Frame::ends));
    assert_eq!(world.end(), [OK]);
}

#[test]
fn a_refused_stream_is_tried_at_another_place_with_its_data() {
    let mut world = World::new(Limits::default());
    let (one, other) = (world.place("one"), world.place("other"));
    for place in [one, other] {
        world.relay.keep_open(place, true, world.now);
    }
    let mut servers = [world.dialled(one, 1), world.dialled(other, 2)];
    let mut client = world.client();
    world.send(&client, &unary(1, b"ask"));
    let first = usize::from(world.messages(&mut servers[0]).iter().all(|frame| frame.kind != Kind::Headers));
    world.messages(&mut servers[1]);
    let stream_end = reset(1, ErrorCode::REFUSED_STREAM);
    world.send(&servers[first], &stream_end);
    let again = world.messages(&mut servers[1 - first]);
    assert_eq!(body(&again), message(b"ask"));
    assert!(again.last().is_some_and(crate::world::Frame::ends));
    world.send(&servers[1 - first], &answer(1, b"told"));
    assert_eq!(body(&world.messages(&mut client)), message(b"told"));
    assert_eq!((world.end(), world.relay.counters().retries), (vec![OK], 1));
}

#[test]
fn a_stream_refused_before_the_server_told_how_many_it_takes_waits_for_room() {
    let mut world = World::new(Limits { links_per_place_max: 1, ..Limits::default() });
    let place = world.place("here");
    let mut client = world.client();
    for stream in [1, 3] {
        world.send(&client, &unary(stream, b"ask"));
    }
    let mut server = world.dialled_with(place, 1, &Settings { streams_max: Some(1), ..Settings::default() });
    assert_eq!(world.messages(&mut server).iter().filter(|frame| frame.kind == Kind::Headers).count(), 2);
    world.send(&server, &reset(3, ErrorCode::REFUSED_STREAM));
    assert!(world.messages(&mut server).is_empty());
    world.send(&server, &answer(1, b"told"));
    let again = world.messages(&mut server);
    assert_eq!((body(&again), again[0].stream), (message(b"ask"), 5));
    world.send(&server, &answer(5, b"told"));
    world.messages(&mut client);
    assert_eq!(world.end(), [OK, OK]);
}

#[test]
fn it_waits_for_room_even_if_the_stream_that_took_it_has_ended_meanwhile() {
    let mut world = World::new(Limits { links_per_place_max: 1, ..Limits::default() });
    let place = world.place("here");
    let mut client = world.client();
    for stream in [1, 3] {
        world.send(&client, &unary(stream, b"ask"));
    }
    let mut server = world.dialled_with(place, 1, &Settings { streams_max: Some(1), ..Settings::default() });
    world.messages(&mut server);
    world.send(&server, &answer(1, b"told"));
    world.send(&server, &reset(3, ErrorCode::REFUSED_STREAM));
    let again = world.messages(&mut server);
    assert_eq!((body(&again), again[0].stream), (message(b"ask"), 5));
    world.send(&server, &answer(5, b"told"));
    world.messages(&mut client);
    assert_eq!(world.end(), [OK, OK]);
}

#[test]
fn a_refused_stream_without_another_place_is_told() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.send(&server, &reset(1, ErrorCode::REFUSED_STREAM));
    let (fields, _) = told(&mut world, &mut client);
    assert_eq!(value(&fields, "grpc-message"), Some("not taken"));
    assert_eq!(world.end(), [Ended::Told("not taken")]);
}

#[test]
fn a_request_too_long_to_keep_is_not_tried_again() {
    let mut world = World::new(Limits { replay_bytes_max: 10, ..Limits::default() });
    let (one, other) = (world.place("one"), world.place("other"));
    for place in [one, other] {
        world.relay.keep_open(place, true, world.now);
    }
    let mut servers = [world.dialled(one, 1), world.dialled(other, 2)];
    let mut client = world.client();
    world.send(&client, &unary(1, b"more than ten bytes"));
    let first = usize::from(world.messages(&mut servers[0]).iter().all(|frame| frame.kind != Kind::Headers));
    world.send(&servers[first], &reset(1, ErrorCode::REFUSED_STREAM));
    let (fields, _) = told(&mut world, &mut client);
    assert_eq!(value(&fields, "grpc-message"), Some("not taken"));
    world.end();
}

#[test]
fn a_stream_refused_after_the_head_of_an_answer_is_not_tried_again() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.send(&server, &headers(1, &response_head(), false));
    world.send(&server, &reset(1, ErrorCode::REFUSED_STREAM));
    assert_eq!(world.messages(&mut client).pop().and_then(|frame| frame.code()), Some(ErrorCode::INTERNAL_ERROR));
    assert_eq!(world.end(), [Ended::Reset(ErrorCode::REFUSED_STREAM.0)]);
}

#[test]
fn what_a_goaway_leaves_out_is_sent_over_another_link() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    for stream in [1, 3] {
        world.send(&client, &unary(stream, b"ask"));
    }
    world.messages(&mut server);
    world.send(&server, &goaway(1, ErrorCode::NO_ERROR));
    let place = world.gate().places[0];
    let mut next = world.dialled(place, 2);
    let again = world.messages(&mut next);
    assert_eq!((body(&again), again[0].stream), (message(b"ask"), 1));
    world.send(&next, &answer(1, b"new"));
    world.send(&server, &answer(1, b"old"));
    assert_eq!(world.messages(&mut client).len(), 6);
    assert_eq!(world.end(), [OK, OK]);
    // The old link has no call left, and ends.
    assert_eq!(world.closing(&server), Some(CloseWhy::Ended));
    assert_eq!(world.closing(&next), None);
}

#[test]
fn a_client_that_goes_away_gets_its_answers() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.send(&client, &goaway(0, ErrorCode::NO_ERROR));
    assert_eq!(world.closing(&client), None);
    world.messages(&mut server);
    world.send(&server, &answer(1, b"told"));
    assert_eq!(body(&world.messages(&mut client)), message(b"told"));
    assert_eq!((world.end(), world.closing(&client)), (vec![OK], Some(CloseWhy::Ended)));
}

#[test]
fn a_drain_tells_twice_and_takes_what_was_on_its_way() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.relay.drain(world.now);
    let frames = world.messages(&mut client);
    assert_eq!(frames.iter().map(|frame| frame.kind).collect::<Vec<_>>(), [Kind::GoAway, Kind::Ping]);
    assert_eq!((frames[0].word(), frames[0].code()), (STREAM_ID_MAX, Some(ErrorCode::NO_ERROR)));
    world.send(&client, &unary(3, b"on its way"));
    let mut pong = Vec::new();
    chapar_relay::frame::put_ping(&mut pong, *frames[1].payload.first_chunk().expect("eight bytes"), true);
    world.send(&client, &pong);
    let frames = world.messages(&mut client);
    assert_eq!((frames[0].kind, frames[0].word()), (Kind::GoAway, 3));
    world.send(&client, &unary(5, b"too late"));
    world.messages(&mut server);
    for stream in [1, 3] {
        world.send(&server, &answer(stream, b"told"));
    }
    assert_eq!(world.messages(&mut client).len(), 6);
    assert_eq!((world.end(), world.closing(&client)), (vec![OK, OK], Some(CloseWhy::Drained)));
    // Whoever comes now is told at once.
    let key = world.relay.accept("late", chapar_relay::Probe::Never, world.now);
    assert!(world.relay.output(key).windows(4).any(|word| word == STREAM_ID_MAX.to_be_bytes()));
}

#[test]
fn a_drain_does_not_wait_for_an_answer_to_its_ping() {
    let (mut world, mut client, _server) = World::pair(Limits::default());
    world.relay.drain(world.now);
    world.messages(&mut client);
    assert_eq!(world.closing(&client), None);
    world.wind(1_001);
    assert_eq!(world.messages(&mut client)[0].kind, Kind::GoAway);
    assert_eq!(world.closing(&client), Some(CloseWhy::Drained));
}

#[test]
fn calls_that_are_cut_for_the_drain_are_told() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.send(&client, &headers(3, &request_block(), false));
    world.messages(&mut server);
    world.relay.cut_all(world.now);
    let kinds: Vec<_> = world.messages(&mut client).iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [Kind::Headers, Kind::Headers, Kind::Reset]);
    assert_eq!(world.messages(&mut server).len(), 2);
    assert_eq!(world.end(), [Ended::Told("draining"), Ended::Told("draining")]);
}

#[test]
fn a_recheck_cuts_what_is_no_longer_allowed() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    for stream in [1, 3, 5] {
        world.send(&client, &headers(stream, &request_block(), false));
    }
    world.send(&server, &headers(1, &response_head(), false));
    world.messages(&mut server);
    world.relay.start_recheck();
    assert!(world.relay.continue_recheck(world.now, 2));
    assert!(!world.relay.continue_recheck(world.now, 2));
    assert_eq!(world.relay.calls(), 3);
    world.gate().allows = false;
    world.relay.start_recheck();
    while world.relay.continue_recheck(world.now, 1) {}
    let heads: Vec<_> = world.messages(&mut client).into_iter().filter(|frame| frame.kind == Kind::Headers).collect();
    assert_eq!(heads.iter().filter(|frame| frame.ends()).count(), 3);
    assert_eq!(world.messages(&mut server).iter().filter(|f| f.code() == Some(ErrorCode::CANCEL)).count(), 3);
    assert_eq!(world.end(), vec![Ended::Told("no longer allowed"); 3]);
}

#[test]
fn malformed_answers_are_told_as_such() {
    let bad_heads = [
        headers(1, &with(Vec::new(), "x-no", "status"), false),
        headers(1, &with(response_head(), "connection", "close"), false),
        headers(1, &with(response_head(), "Upper", "case"), false),
        data(1, b"before the head", false),
    ];
    for bad in bad_heads {
        let (mut world, mut client, mut server) = World::pair(Limits::default());
        world.send(&client, &unary(1, b"ask"));
        world.messages(&mut server);
        world.send(&server, &bad);
        assert_eq!(world.messages(&mut server)[0].code(), Some(ErrorCode::PROTOCOL_ERROR));
        let (fields, _) = told(&mut world, &mut client);
        assert_eq!(value(&fields, "grpc-message"), Some("malformed"));
        assert_eq!((world.end(), world.closing(&server)), (vec![Ended::Told("malformed")], None));
    }
}

#[test]
fn an_answer_of_another_length_than_it_tells_is_malformed() {
    for (length, bytes) in [("3", &b"four"[..]), ("5", b"four")] {
        let (mut world, mut client, mut server) = World::pair(Limits::default());
        world.send(&client, &unary(1, b"ask"));
        world.messages(&mut server);
        world.send(&server, &headers(1, &with(response_head(), "content-length", length), false));
        world.send(&server, &data(1, bytes, false));
        world.send(&server, &headers(1, &trailers("0"), true));
        let (fields, _) = told(&mut world, &mut client);
        assert_eq!((value(&fields, "grpc-message"), world.end()), (Some("malformed"), vec![Ended::Told("malformed")]));
    }
}

#[test]
fn a_link_whose_streams_run_out_is_retired() {
    // Two thousand million calls are too many for a test: the link is told to go by hand.
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.relay.retire(server.key, world.now);
    world.send(&client, &unary(3, b"other"));
    let place = world.gate().places[0];
    let mut next = world.dialled(place, 2);
    assert_eq!(body(&world.messages(&mut next)), message(b"other"));
    world.send(&server, &answer(1, b"told"));
    assert_eq!(body(&world.messages(&mut client)), message(b"told"));
    assert_eq!(world.closing(&server), Some(CloseWhy::Retired));
    assert_eq!(world.messages(&mut server).last().map(|frame| frame.kind), Some(Kind::GoAway));
}
