//! Calls and connections that end before their time, from either side. Each call is closed once, whatever happens.

use std::time::Duration;

use chapar_relay::{
    CloseReason, Limits,
    frame::{ErrorCode, Kind, STREAM_ID_MAX, Settings},
};

use crate::{
    calls::OK,
    gate::Ended,
    world::{
        End, Fields, Frame, World, answer, body, data, goaway, headers, message, request_block, reset, response_head, trailers,
        unary, value, window_update, with,
    },
};

/// What the caller was told at last, and whether that was a head alone.
pub(crate) fn told(world: &mut World, client: &mut End) -> (Fields, bool) {
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

/// A client that takes three bytes of an answer at first, and a server.
pub(crate) fn narrow() -> (World, End, End) {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    world.relay.endpoints(world.now).keep_open(endpoint, true);
    let server = world.dialled(endpoint, 1);
    let small = Settings { window_bytes: Some(3), ..Settings::default() };
    let client = world.client_with(chapar_relay::Probe::Never, &small);
    (world, client, server)
}

#[test]
fn a_cancelled_call_is_cancelled_at_the_server() {
    let (mut world, mut client, mut server) = World::asked(Limits::default());
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
    // However long it takes: a server under load has not looked at them yet.
    world.wind(1_000);
    assert_eq!(resets(&mut world, &mut server), 0);
    let mut left = Vec::new();
    for _ in 0..4 {
        world.send(&server, &settings_ack());
        world.wind(6);
        left.push(resets(&mut world, &mut server));
    }
    assert_eq!(left, [16, 8, 0, 0]);
    assert_eq!(world.closing(&server), None);
}

#[test]
fn a_server_that_never_says_what_it_has_read_is_not_waited_for_without_end() {
    let keepalive_timeout = Duration::from_secs(10);
    let limits = Limits { reset_notice: Duration::from_millis(50), keepalive_timeout, ..Limits::default() };
    let (mut world, client, mut server) = World::pair(limits);
    for number in 0..20 {
        world.send(&client, &unary(2 * number + 1, b"ask"));
        world.send(&client, &reset(2 * number + 1, ErrorCode::CANCEL));
    }
    world.wind(60);
    let asked = world.frames(&mut server);
    assert_eq!(asked.last().map(|frame| (frame.kind, frame.payload.len())), Some((Kind::Settings, 0)));
    world.wind(9_000);
    assert!(world.messages(&mut server).is_empty());
    world.wind(1_100);
    assert_eq!(world.messages(&mut server).len(), 4);
    assert_eq!(world.closing(&server), None);
}

fn settings_ack() -> Vec<u8> {
    let mut bytes = Vec::new();
    chapar_relay::frame::put_settings_ack(&mut bytes);
    bytes
}

#[test]
fn an_answered_call_is_cancelled_at_once() {
    let limits = Limits { reset_notice: Duration::from_millis(50), ..Limits::default() };
    let (mut world, client, mut server) = World::asked(limits);
    world.send(&server, &headers(1, &response_head(), false));
    world.send(&client, &reset(1, ErrorCode::CANCEL));
    assert_eq!(world.messages(&mut server).pop().and_then(|frame| frame.code()), Some(ErrorCode::CANCEL));
}

#[test]
fn a_call_that_the_server_breaks_off_is_broken_off() {
    for (code, passed) in [(ErrorCode::CANCEL, ErrorCode::CANCEL), (ErrorCode::PROTOCOL_ERROR, ErrorCode::INTERNAL_ERROR)] {
        let (mut world, mut client, server) = World::asked(Limits::default());
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
    let codes: Vec<_> = world.messages(&mut server).iter().map(Frame::code).collect();
    assert_eq!(codes, [Some(ErrorCode::CANCEL); 2]);
    assert_eq!(world.end(), [Ended::Abandoned, Ended::Abandoned]);
}

#[test]
fn a_lost_link_is_told_by_a_head_or_by_trailers() {
    let (mut world, mut client, server) = World::asked(Limits::default());
    world.close(server);
    let (fields, is_head) = told(&mut world, &mut client);
    assert_eq!((value(&fields, "grpc-message"), is_head), (Some("lost"), true));

    let (mut world, mut client, server) = World::asked(Limits::default());
    world.send(&server, &headers(1, &response_head(), false));
    world.close(server);
    let (fields, is_head) = told(&mut world, &mut client);
    assert_eq!((value(&fields, "grpc-message"), is_head), (Some("lost"), false));
    assert_eq!(world.end(), [Ended::Told("lost")]);
}

#[test]
fn an_answer_that_is_whole_survives_the_loss_of_its_link() {
    let (mut world, mut client, server) = narrow();
    world.send(&client, &unary(1, b"ask"));
    world.send(&server, &answer(1, b"whole"));
    world.close(server);
    assert_eq!(world.relay.calls(), 1);
    world.messages(&mut client);
    world.send(&client, &window_update(1, 100));
    assert!(world.messages(&mut client).last().is_some_and(Frame::ends));
    assert_eq!(world.end(), [OK]);
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
    assert_eq!((world.end(), world.closing(&client)), (vec![OK], Some(CloseReason::Ended)));
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
    assert_eq!((world.end(), world.closing(&client)), (vec![OK, OK], Some(CloseReason::Drained)));
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
    assert_eq!(world.closing(&client), Some(CloseReason::Drained));
}

#[test]
fn calls_that_are_cut_for_the_drain_are_told() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.send(&client, &unary(1, b"ask"));
    world.send(&client, &headers(3, &request_block(), false));
    world.messages(&mut server);
    world.relay.running(world.now).cut_all();
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
    world.relay.running(world.now).start_recheck();
    assert!(world.relay.running(world.now).continue_recheck(2));
    assert!(!world.relay.running(world.now).continue_recheck(2));
    assert_eq!(world.relay.calls(), 3);
    world.gate().allows = false;
    world.relay.running(world.now).start_recheck();
    while world.relay.running(world.now).continue_recheck(1) {}
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
        let (mut world, mut client, mut server) = World::asked(Limits::default());
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
        let (mut world, mut client, server) = World::asked(Limits::default());
        world.send(&server, &headers(1, &with(response_head(), "content-length", length), false));
        world.send(&server, &data(1, bytes, false));
        world.send(&server, &headers(1, &trailers("0"), true));
        let (fields, _) = told(&mut world, &mut client);
        assert_eq!((value(&fields, "grpc-message"), world.end()), (Some("malformed"), vec![Ended::Told("malformed")]));
    }
}
