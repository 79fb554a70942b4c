//! What the gate is shown of messages, and calls that wait for an answer.

use chapar_relay::{
    Breach, Limits, RequestHook, ResponseHook,
    frame::{ErrorCode, Kind, Settings},
};

use crate::{
    calls::OK,
    gate::{Ended, Message},
    world::{
        World, answer, body, data, headers, message, request_block, reset, response_head, trailers, unary, value, window_update,
        with,
    },
};

#[test]
fn a_peek_shows_the_first_message_while_it_goes_on() {
    for cut in [1, 4, 5, 6, 300] {
        let (mut world, client, mut server) = World::pair(Limits::default());
        world.gate().request = RequestHook::Peek;
        world.send(&client, &headers(1, &request_block(), false));
        let sent = [message(b"first"), message(b"second")].concat();
        for part in sent.chunks(cut) {
            world.send(&client, &data(1, part, false));
        }
        world.send(&client, &data(1, b"", true));
        assert_eq!(body(&world.messages(&mut server)), sent);
        assert_eq!(world.gate().first_messages, ["false first"]);
    }
}

#[test]
fn a_peek_can_cut() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    (world.gate().request, world.gate().on_message) = (RequestHook::Peek, Message::Cut);
    world.send(&client, &unary(1, b"ask"));
    assert_eq!(world.messages(&mut client).iter().filter(|frame| frame.ends()).count(), 1);
    let there = world.messages(&mut server);
    assert_eq!((body(&there), there.last().and_then(crate::world::Frame::code)), (Vec::new(), Some(ErrorCode::CANCEL)));
    assert_eq!(world.end(), [Ended::Told("cut by the gate")]);
}

#[test]
fn nothing_of_a_held_request_goes_on_before_the_gate_says_so() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.gate().request = RequestHook::Hold;
    world.send(&client, &headers(1, &request_block(), false));
    let sent = message(b"condition");
    world.send(&client, &data(1, &sent[..8], false));
    assert!(world.messages(&mut server).is_empty());
    world.send(&client, &data(1, &sent[8..], true));
    let there = world.messages(&mut server);
    assert_eq!((body(&there), there[0].kind), (sent, Kind::Headers));
    assert_eq!(world.gate().first_messages, ["false condition"]);
    world.send(&server, &answer(1, b"told"));
    world.messages(&mut client);
    assert_eq!(world.end(), [OK]);
}

#[test]
fn a_held_request_that_the_gate_cuts_never_went_on() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    (world.gate().request, world.gate().on_message) = (RequestHook::Hold, Message::Cut);
    world.send(&client, &unary(1, b"ask"));
    assert!(world.messages(&mut server).is_empty());
    assert_eq!(world.messages(&mut client).len(), 1);
    assert_eq!(world.end(), [Ended::Told("cut by the gate")]);
}

#[test]
fn first_messages_that_are_missing_torn_or_too_long_are_told_apart() {
    for hook in [RequestHook::Peek, RequestHook::Hold] {
        let limits = Limits { first_message_bytes_max: 10, ..Limits::default() };
        let (mut world, client, mut server) = World::pair(limits);
        world.gate().request = hook;
        world.send(&client, &headers(1, &request_block(), true));
        world.send(&client, &headers(3, &request_block(), false));
        world.send(&client, &data(3, &message(b"eleven bytes"), false));
        world.send(&client, &headers(5, &request_block(), false));
        world.send(&client, &data(5, b"torn", true));
        assert_eq!(world.gate().first_messages, ["missing", "too long", "torn"]);
        assert_eq!(world.relay.counters().breaches_of(Breach::FirstMessage), 1);
        let heads = world.messages(&mut server).iter().filter(|frame| frame.kind == Kind::Headers).count();
        assert_eq!(heads, 3);
    }
}

#[test]
fn a_call_that_awaits_an_answer_waits_for_its_answer() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    world.gate().awaits = true;
    world.send(&client, &unary(1, b"ask"));
    world.send(&client, &unary(3, b"ask"));
    assert!(world.messages(&mut server).is_empty());
    let keys = world.gate().keys.clone();
    assert!(world.relay.running(world.now).answer(keys[0], ()));
    assert_eq!(body(&world.messages(&mut server)), message(b"ask"));
    assert!(!world.relay.running(world.now).answer(keys[0], ()));
    world.gate().on_answer = Message::Cut;
    assert!(world.relay.running(world.now).answer(keys[1], ()));
    assert!(!world.relay.running(world.now).answer(keys[1], ()));
    assert_eq!(world.messages(&mut client).len(), 1);
    world.send(&server, &answer(1, b"told"));
    assert_eq!(world.end(), [Ended::Told("cut by the gate"), OK]);
}

#[test]
fn a_held_call_may_await_an_answer_and_an_abandoned_one_is_not_found() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    (world.gate().request, world.gate().on_message) = (RequestHook::Hold, Message::Await);
    world.send(&client, &unary(1, b"ask"));
    world.send(&client, &unary(3, b"ask"));
    assert!(world.messages(&mut server).is_empty());
    let keys = world.gate().keys.clone();
    world.send(&client, &reset(1, ErrorCode::CANCEL));
    assert!(!world.relay.running(world.now).answer(keys[0], ()));
    world.gate().on_answer = Message::Await;
    assert!(world.relay.running(world.now).answer(keys[1], ()));
    assert!(world.messages(&mut server).is_empty());
    world.gate().on_answer = Message::Go;
    assert!(world.relay.running(world.now).answer(keys[1], ()));
    assert_eq!(body(&world.messages(&mut server)), message(b"ask"));
}

#[test]
fn each_message_of_a_response_is_transformed() {
    for cut in [1, 3, 5, 7, 1_000] {
        let (mut world, mut client, mut server) = World::pair(Limits::default());
        world.gate().response = ResponseHook::EachMessage;
        world.send(&client, &unary(1, b"ask"));
        world.messages(&mut server);
        let sent = [message(b"one"), message(b""), message(b"three")].concat();
        world.send(&server, &headers(1, &with(response_head(), "content-length", &sent.len().to_string()), false));
        for part in sent.chunks(cut) {
            world.send(&server, &data(1, part, false));
        }
        world.send(&server, &headers(1, &trailers("0"), true));
        let back = world.messages(&mut client);
        assert_eq!(body(&back), [message(b"<one>"), message(b"<>"), message(b"<three>")].concat());
        assert_eq!(value(&client.fields(&back[0].payload), "content-length"), None);
        assert_eq!(world.end(), [OK]);
        assert_eq!(world.gate().closed[0].1.response.messages, 3);
    }
}

#[test]
fn a_response_that_comes_amid_the_peeked_message_is_not_mixed_with_it() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    (world.gate().request, world.gate().response) = (RequestHook::Peek, ResponseHook::EachMessage);
    let (asked, told) = (message(b"first"), message(b"told"));
    // The caller holds back the rest of its message: what it has said must not be taken for the beginning of the answer.
    world.send(&client, &headers(1, &request_block(), false));
    world.send(&client, &data(1, &asked[..7], false));
    world.messages(&mut server);
    world.send(&server, &[headers(1, &response_head(), false), data(1, &told[..6], false)].concat());
    world.send(&client, &data(1, &asked[7..], true));
    world.send(&server, &[data(1, &told[6..], false), headers(1, &trailers("0"), true)].concat());
    assert_eq!(body(&world.messages(&mut client)), message(b"<told>"));
    assert_eq!(world.gate().first_messages, ["false first"]);
    assert_eq!(world.end(), [OK]);
}

#[test]
fn a_message_that_cannot_be_transformed_ends_the_call() {
    let (mut world, mut client, mut server) = World::pair(Limits::default());
    (world.gate().response, world.gate().transform_cuts_at) = (ResponseHook::EachMessage, Some(b'!'));
    world.send(&client, &unary(1, b"ask"));
    world.messages(&mut server);
    world.send(&server, &headers(1, &response_head(), false));
    world.send(&server, &data(1, &[message(b"fine"), message(b"no!"), message(b"never")].concat(), false));
    let back = world.messages(&mut client);
    assert_eq!((body(&back), back.last().map(crate::world::Frame::ends)), (message(b"<fine>"), Some(true)));
    assert_eq!(world.messages(&mut server)[0].code(), Some(ErrorCode::CANCEL));
    assert_eq!(world.end(), [Ended::Told("cannot be transformed")]);
}

#[test]
fn messages_too_long_to_transform_and_torn_ones_end_the_call() {
    let limits = Limits { transformed_message_bytes_max: 10, ..Limits::default() };
    for (bytes, why) in [(message(b"eleven bytes"), "message too long"), (message(b"torn")[..7].to_vec(), "malformed")] {
        for cut in [1, 100] {
            let (mut world, mut client, mut server) = World::pair(limits);
            world.gate().response = ResponseHook::EachMessage;
            world.send(&client, &unary(1, b"ask"));
            world.messages(&mut server);
            world.send(&server, &headers(1, &response_head(), false));
            for part in bytes.chunks(cut) {
                world.send(&server, &data(1, part, false));
            }
            world.send(&server, &headers(1, &trailers("0"), true));
            assert!(body(&world.messages(&mut client)).is_empty());
            assert_eq!(world.end(), [Ended::Told(why)]);
            let breaches = world.relay.counters().breaches_of(Breach::TransformedMessage);
            assert_eq!(breaches, u64::from(why == "message too long"));
        }
    }
}

#[test]
fn a_slow_caller_holds_a_transformed_response_back() {
    let limits = Limits { call_window_bytes: 100_000, transformed_message_bytes_max: 50_000, ..Limits::default() };
    let mut world = World::new(limits);
    let endpoint = world.endpoint("here");
    world.relay.endpoints(world.now).keep_open(endpoint, true);
    let mut server = world.dialled(endpoint, 1);
    let small = Settings { window_bytes: Some(0), ..Settings::default() };
    let mut client = world.client_with(chapar_relay::Probe::Never, &small);
    world.gate().response = ResponseHook::EachMessage;
    world.send(&client, &unary(1, b"ask"));
    world.frames(&mut server);
    world.send(&server, &headers(1, &response_head(), false));
    let one = message(&[b'm'; 30_000]);
    let mut given_back = 0;
    for _ in 0..3 {
        world.send(&server, &data(1, &one[..16_000], false));
        world.send(&server, &data(1, &one[16_000..], false));
        let frames = world.frames(&mut server);
        given_back +=
            frames.iter().filter(|f| f.kind == Kind::WindowUpdate && f.stream == 1).map(crate::world::Frame::word).sum::<u32>();
    }
    assert!(given_back <= 65_536, "{given_back}");
    let mut came = 0;
    for _ in 0..10 {
        world.send(&client, &window_update(1, 30_000));
        world.send(&client, &window_update(0, 30_000));
        came += body(&world.messages(&mut client)).len();
    }
    assert_eq!(came, 3 * 30_007);
    world.send(&server, &headers(1, &trailers("0"), true));
    world.messages(&mut client);
    assert_eq!(world.end(), [OK]);
}
