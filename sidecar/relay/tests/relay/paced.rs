//! A link to another relay resets no more than that one takes, whatever one caller does, and the others' calls go on.

use std::time::Duration;

use chapar_relay::{
    EndpointConfig, Limits, Probe,
    frame::{ErrorCode, Kind, Settings},
};

use crate::{
    calls::OK,
    world::{End, World, answer, data, headers, reset, response_head, unary},
};

/// Links are sent at most 25 resets at once, and 20 a second.
fn limits() -> Limits {
    Limits {
        relayed_resets_max: 50,
        flood_window: Duration::from_secs(1),
        calls_per_connection_max: 100,
        connections_per_endpoint_max: 1,
        ..Limits::default()
    }
}

/// A client, and a link to another relay.
fn pair(limits: Limits) -> (World, End, End) {
    let mut world = World::new(limits);
    let endpoint =
        world.relay.endpoints(world.now).add("here", &EndpointConfig { https: true, authority: "a:1", probe: Probe::Ping });
    world.gate().endpoints.push(endpoint);
    world.relay.endpoints(world.now).keep_open(endpoint, true);
    let server = world.dialled_with(endpoint, 1, &Settings { streams_max: Some(100), ..Settings::default() });
    let client = world.client();
    (world, client, server)
}

/// What came at the other relay: calls, and resets.
fn came(world: &mut World, server: &mut End) -> (usize, usize) {
    let frames = world.messages(server);
    let count = |kind| frames.iter().filter(|frame| frame.kind == kind).count();
    (count(Kind::Headers), count(Kind::Reset))
}

/// Calls that are broken off at once, over the client's streams from `first`.
fn breaks_off(world: &mut World, client: &End, first: u32, calls: u32) {
    for number in 0..calls {
        let stream = first + 2 * number;
        world.send(client, &unary(stream, b"ask"));
        world.send(client, &reset(stream, ErrorCode::CANCEL));
    }
}

#[test]
fn resets_beyond_the_pace_follow_later_and_all_of_them() {
    let (mut world, client, mut server) = pair(limits());
    breaks_off(&mut world, &client, 1, 40);
    assert_eq!(world.end().len(), 40, "the caller's own calls are over at once");
    assert_eq!(came(&mut world, &mut server), (40, 25));
    for _ in 0..3 {
        world.wind(250);
        assert_eq!(came(&mut world, &mut server), (0, 5));
    }
    world.wind(2_000);
    assert_eq!(came(&mut world, &mut server), (0, 0));
    assert_eq!(world.closing(&server), None);
}

#[test]
fn what_comes_on_a_stream_whose_reset_waits_is_no_flood() {
    let (mut world, client, mut server) = pair(Limits { strays_max: 10, ..limits() });
    breaks_off(&mut world, &client, 1, 26);
    assert_eq!(came(&mut world, &mut server), (26, 25));
    world.send(&server, &headers(51, &response_head(), false));
    for _ in 0..1_000 {
        world.send(&server, &data(51, b"x", false));
    }
    assert_eq!(world.closing(&server), None);
}

#[test]
fn a_call_that_was_answered_pays_for_a_reset_and_one_that_was_refused_does_not() {
    for (refused, resets) in [(false, 1), (true, 0)] {
        let (mut world, mut client, mut server) = pair(limits());
        breaks_off(&mut world, &client, 1, 25);
        world.send(&client, &unary(51, b"ask"));
        assert_eq!(came(&mut world, &mut server), (26, 25));
        let mut head = response_head();
        if refused {
            head = crate::world::with(head, "chapar-refused", "NO_GRANT");
        }
        world.send(&server, &headers(51, &head, true));
        assert!(!world.messages(&mut client).is_empty());
        breaks_off(&mut world, &client, 53, 1);
        assert_eq!(came(&mut world, &mut server), (1, resets), "refused: {refused}");
    }
}

#[test]
fn who_resets_and_comes_back_leaves_half_of_the_link_to_the_others() {
    let (mut world, mut neighbour, mut server) = pair(limits());
    // Neighbours have made themselves a name.
    for stream in [1, 3] {
        world.send(&neighbour, &unary(stream, b"ask"));
        world.send(&server, &answer(stream, b"told"));
        world.messages(&mut neighbour);
    }
    came(&mut world, &mut server);
    for _ in 0..10 {
        let attacker = world.client();
        breaks_off(&mut world, &attacker, 1, 30);
        world.close(attacker);
    }
    let (calls, resets) = came(&mut world, &mut server);
    // Twenty-five at once, and half of a hundred streams for streams that wait for the pace.
    assert_eq!((calls, resets), (75, 25));
    world.send(&neighbour, &unary(5, b"ask"));
    let stream = world.messages(&mut server).iter().find(|frame| frame.kind == Kind::Headers).expect("room").stream;
    world.send(&server, &answer(stream, b"told"));
    assert_eq!((world.messages(&mut neighbour).len(), world.gate().last_end()), (3, Some(&OK)));
    // Who has only just come waits for the pace, and no longer.
    let newcomer = world.client();
    world.send(&newcomer, &unary(1, b"ask"));
    assert_eq!(came(&mut world, &mut server), (0, 0));
    world.wind(100);
    // One that the neighbour's call paid for, and two for the time that has passed.
    assert_eq!(came(&mut world, &mut server), (1, 3));
    assert_eq!(world.closing(&server), None);
}
