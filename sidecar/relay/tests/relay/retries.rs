//! Calls that are sent again: those, and only those, that the server provably did not take.

use chapar_relay::{
    CloseReason, Limits,
    frame::{ErrorCode, Kind, Settings},
};

use crate::{
    calls::OK,
    endings::{narrow, told},
    gate::Ended,
    world::{
        End, Frame, World, answer, body, data, goaway, headers, message, request_block, reset, response_head, unary, value,
        window_update, with,
    },
};

/// A call of `asks` where two endpoints serve: the end that it went to, and then the other one.
fn of_two(limits: Limits, asks: &[u8]) -> (World, End, End, End) {
    let mut world = World::new(limits);
    let (one, other) = (world.endpoint("one"), world.endpoint("other"));
    for endpoint in [one, other] {
        world.relay.endpoints(world.now).keep_open(endpoint, true);
    }
    let (mut one, mut other) = (world.dialled(one, 1), world.dialled(other, 2));
    let client = world.client();
    world.send(&client, &unary(1, asks));
    let went_to_one = world.messages(&mut one).iter().any(|frame| frame.kind == Kind::Headers);
    world.messages(&mut other);
    if went_to_one { (world, client, one, other) } else { (world, client, other, one) }
}

/// Two calls went to a server that says too late that it takes one at a time.
fn two_where_one_is_taken() -> (World, End, End) {
    let mut world = World::new(Limits { connections_per_endpoint_max: 1, ..Limits::default() });
    let endpoint = world.endpoint("here");
    let client = world.client();
    for stream in [1, 3] {
        world.send(&client, &unary(stream, b"ask"));
    }
    let mut server = world.dialled_with(endpoint, 1, &Settings { streams_max: Some(1), ..Settings::default() });
    assert_eq!(world.messages(&mut server).iter().filter(|frame| frame.kind == Kind::Headers).count(), 2);
    (world, client, server)
}

/// The call that was refused comes again, on the next stream.
fn is_sent_as_the_fifth(mut world: World, client: &mut End, server: &mut End) {
    let again = world.messages(server);
    assert_eq!((body(&again), again[0].stream), (message(b"ask"), 5));
    world.send(server, &answer(5, b"told"));
    world.messages(client);
    assert_eq!(world.end(), [OK, OK]);
}

#[test]
fn a_call_with_its_answer_is_not_sent_again_though_its_request_goes_on() {
    let (mut world, mut client, server) = narrow();
    let endpoint = world.gate().endpoints[0];
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&server, &answer(1, b"whole"));
    world.close(server);
    let mut next = world.dialled(endpoint, 2);
    world.messages(&mut client);
    world.send(&client, &data(1, b"more", false));
    world.send(&client, &headers(1, &with(Vec::new(), "x-last", "1"), true));
    assert!(world.messages(&mut next).is_empty());
    world.send(&client, &window_update(1, 100));
    assert!(world.messages(&mut client).last().is_some_and(Frame::ends));
    assert_eq!(world.end(), [OK]);
}

#[test]
fn a_refused_stream_is_tried_at_another_endpoint_with_its_data() {
    let (mut world, mut client, taker, mut other) = of_two(Limits::default(), b"ask");
    world.send(&taker, &reset(1, ErrorCode::REFUSED_STREAM));
    let again = world.messages(&mut other);
    assert_eq!(body(&again), message(b"ask"));
    assert!(again.last().is_some_and(Frame::ends));
    world.send(&other, &answer(1, b"told"));
    assert_eq!(body(&world.messages(&mut client)), message(b"told"));
    assert_eq!((world.end(), world.relay.counters().retries), (vec![OK], 1));
}

#[test]
fn a_stream_refused_before_the_server_told_how_many_it_takes_waits_for_room() {
    let (mut world, mut client, mut server) = two_where_one_is_taken();
    world.send(&server, &reset(3, ErrorCode::REFUSED_STREAM));
    assert!(world.messages(&mut server).is_empty());
    world.send(&server, &answer(1, b"told"));
    is_sent_as_the_fifth(world, &mut client, &mut server);
}

#[test]
fn it_waits_for_room_even_if_the_stream_that_took_it_has_ended_meanwhile() {
    let (mut world, mut client, mut server) = two_where_one_is_taken();
    world.send(&server, &answer(1, b"told"));
    world.send(&server, &reset(3, ErrorCode::REFUSED_STREAM));
    is_sent_as_the_fifth(world, &mut client, &mut server);
}

#[test]
fn a_refused_stream_without_another_endpoint_is_told() {
    let (mut world, mut client, server) = World::asked(Limits::default());
    world.send(&server, &reset(1, ErrorCode::REFUSED_STREAM));
    let (fields, _) = told(&mut world, &mut client);
    assert_eq!(value(&fields, "grpc-message"), Some("not taken"));
    assert_eq!(world.end(), [Ended::Told("not taken")]);
}

#[test]
fn a_request_too_long_to_keep_is_not_tried_again() {
    let limits = Limits { replay_bytes_max: 10, ..Limits::default() };
    let (mut world, mut client, taker, _other) = of_two(limits, b"more than ten bytes");
    world.send(&taker, &reset(1, ErrorCode::REFUSED_STREAM));
    let (fields, _) = told(&mut world, &mut client);
    assert_eq!(value(&fields, "grpc-message"), Some("not taken"));
    world.end();
}

#[test]
fn a_stream_refused_after_the_head_of_an_answer_is_not_tried_again() {
    let (mut world, mut client, server) = World::asked(Limits::default());
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
    let endpoint = world.gate().endpoints[0];
    let mut next = world.dialled(endpoint, 2);
    let again = world.messages(&mut next);
    assert_eq!((body(&again), again[0].stream), (message(b"ask"), 1));
    world.send(&next, &answer(1, b"new"));
    world.send(&server, &answer(1, b"old"));
    assert_eq!(world.messages(&mut client).len(), 6);
    assert_eq!(world.end(), [OK, OK]);
    // The old link has no call left, and ends.
    assert_eq!(world.closing(&server), Some(CloseReason::Ended));
    assert_eq!(world.closing(&next), None);
}

#[test]
fn a_link_whose_streams_run_out_is_retired() {
    // Two thousand million calls are too many for a test: the link is told to go by hand.
    let (mut world, mut client, mut server) = World::asked(Limits::default());
    world.relay.retire(server.key, world.now);
    world.send(&client, &unary(3, b"other"));
    let endpoint = world.gate().endpoints[0];
    let mut next = world.dialled(endpoint, 2);
    assert_eq!(body(&world.messages(&mut next)), message(b"other"));
    world.send(&server, &answer(1, b"told"));
    assert_eq!(body(&world.messages(&mut client)), message(b"told"));
    assert_eq!(world.closing(&server), Some(CloseReason::Retired));
    assert_eq!(world.messages(&mut server).last().map(|frame| frame.kind), Some(Kind::GoAway));
}
