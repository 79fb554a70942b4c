//! Endpoints: dialling, waiting for room, going elsewhere, leaving out.

use chapar_relay::{
    Breach, Event, Limits,
    frame::{ErrorCode, Kind, Settings},
};

use crate::{
    calls::OK,
    gate::Ended,
    world::{World, answer, body, message, reset, unary, value},
};

#[test]
fn a_call_without_an_endpoint_is_told() {
    let mut world = World::new(Limits::default());
    let mut client = world.client();
    world.send(&client, &unary(1, b"ask"));
    let frames = world.messages(&mut client);
    assert_eq!(value(&client.fields(&frames[0].payload), "grpc-message"), Some("no endpoint"));
    assert_eq!(world.end(), [Ended::Told("no endpoint")]);
}

#[test]
fn a_burst_opens_one_link() {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    let mut client = world.client();
    for stream in 0..50 {
        world.send(&client, &unary(stream * 2 + 1, b"ask"));
    }
    let mut server = world.dialled(endpoint, 1);
    assert_eq!(world.next_dial(), None);
    let heads = world.messages(&mut server).iter().filter(|frame| frame.kind == Kind::Headers).count();
    assert_eq!((heads, world.relay.endpoint_state(endpoint).map(|state| (state.calls, state.pending))), (50, Some((50, 0))));
    for stream in 0..50 {
        world.send(&server, &answer(stream * 2 + 1, b"told"));
    }
    world.messages(&mut client);
    assert_eq!(world.end(), vec![OK; 50]);
}

#[test]
fn an_endpoint_that_cannot_be_reached_sends_calls_elsewhere() {
    let mut world = World::new(Limits::default());
    let (one, other) = (world.endpoint("one"), world.endpoint("other"));
    let client = world.client();
    world.send(&client, &unary(1, b"ask"));
    let first = world.next_dial().expect("a dial");
    world.relay.dial_failed(first, "refused", world.now);
    let second = world.next_dial().expect("another dial");
    assert_eq!([first, second].iter().collect::<std::collections::BTreeSet<_>>(), [one, other].iter().collect());
    let key = world.relay.dialled(second, 2, world.now).expect("there");
    assert!(!world.relay.output(key).is_empty());
    assert_eq!(world.relay.endpoint_state(first).map(|state| state.is_ejected), Some(true));
    // The next call does not even try the one that failed.
    world.send(&client, &unary(3, b"ask"));
    assert_eq!(world.next_dial(), None);
    assert_eq!(world.relay.endpoint_state(second).map(|state| state.calls), Some(2));
}

#[test]
fn calls_that_reach_no_endpoint_are_told_why() {
    let mut world = World::new(Limits::default());
    world.endpoint("one");
    world.endpoint("other");
    let mut client = world.client();
    world.send(&client, &unary(1, b"ask"));
    for _ in 0..2 {
        let endpoint = world.next_dial().expect("a dial");
        world.relay.dial_failed(endpoint, "refused", world.now);
    }
    assert_eq!(world.next_dial(), None);
    let frames = world.messages(&mut client);
    assert_eq!(value(&client.fields(&frames[0].payload), "grpc-message"), Some("refused"));
    assert_eq!(world.end(), [Ended::Told("refused")]);
}

#[test]
fn full_links_open_more_up_to_their_limit_and_then_calls_wait() {
    let limits =
        Limits { connections_per_endpoint_max: 2, pending_timeout: std::time::Duration::from_secs(10), ..Limits::default() };
    let mut world = World::new(limits);
    let endpoint = world.endpoint("here");
    let mut client = world.client();
    let one = Settings { streams_max: Some(1), ..Settings::default() };
    world.send(&client, &unary(1, b"a"));
    let mut first = world.dialled_with(endpoint, 1, &one);
    world.send(&client, &unary(3, b"b"));
    let mut second = world.dialled_with(endpoint, 2, &one);
    world.send(&client, &unary(5, b"c"));
    assert_eq!(world.next_dial(), None);
    assert_eq!(world.relay.endpoint_state(endpoint).map(|state| (state.connections, state.pending)), Some((2, 1)));
    world.messages(&mut first);
    assert_eq!(body(&world.messages(&mut second)), message(b"b"));
    // Room that comes free goes to who waits.
    world.send(&first, &answer(1, b"told"));
    assert_eq!(body(&world.messages(&mut first)), message(b"c"));
    world.send(&client, &unary(7, b"d"));
    world.wind(10_001);
    let frames = world.messages(&mut client);
    let last = frames.last().expect("frames");
    let mut fields = Vec::new();
    for frame in frames.iter().filter(|frame| frame.kind == Kind::Headers) {
        fields = client.fields(&frame.payload);
    }
    assert_eq!((last.stream, value(&fields, "grpc-message")), (7, Some("no room in time")));
}

#[test]
fn only_so_many_wait_at_a_endpoint() {
    let mut world = World::new(Limits { pending_per_endpoint_max: 2, ..Limits::default() });
    world.endpoint("here");
    let mut client = world.client();
    for stream in [1, 3, 5] {
        world.send(&client, &unary(stream, b"ask"));
    }
    let frames = world.messages(&mut client);
    assert_eq!(frames.iter().map(|frame| (frame.kind, frame.stream)).collect::<Vec<_>>(), [(Kind::Headers, 5), (Kind::Reset, 5)]);
    assert_eq!((world.relay.calls(), world.relay.counters().breaches_of(Breach::Pending)), (2, 1));
    assert_eq!(world.gate().closed[0].0, Ended::Told("full"));
}

#[test]
fn a_void_peer_s_link_is_retired_and_another_dialled_once() {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    world.gate().void_peers = vec![1];
    let mut client = world.client();
    world.send(&client, &unary(1, b"ask"));
    let void = world.dialled(endpoint, 1);
    assert!(world.closing(&void).is_some());
    let mut good = world.dialled(endpoint, 2);
    assert_eq!(body(&world.messages(&mut good)), message(b"ask"));
    world.gate().void_peers = vec![1, 2, 3];
    world.send(&client, &unary(3, b"ask"));
    let _third = world.dialled(endpoint, 3);
    let frames = world.messages(&mut client);
    assert_eq!(value(&client.fields(&frames[0].payload), "grpc-message"), Some("peer void"));
    assert_eq!(world.gate().assigned, [1, 2, 2, 3]);
}

#[test]
fn an_endpoint_that_loses_calls_is_left_out_and_found_again() {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    let mut client = world.client();
    for number in 0..5 {
        world.send(&client, &unary(number * 2 + 1, b"ask"));
        let server = world.dialled(endpoint, 1);
        world.close(server);
    }
    let events: Vec<_> = std::iter::from_fn(|| world.relay.next_event()).collect();
    assert!(events.iter().any(|event| matches!(event, Event::Ejected { .. })), "{events:?}");
    assert_eq!(world.relay.endpoint_state(endpoint).map(|state| state.is_ejected), Some(true));
    // It is the only one, so that it is tried all the same; an answer restores it.
    world.send(&client, &unary(11, b"ask"));
    let server = world.dialled(endpoint, 1);
    world.send(&server, &answer(1, b"told"));
    world.messages(&mut client);
    assert_eq!(world.relay.endpoint_state(endpoint).map(|state| state.is_ejected), Some(false));
    assert_eq!(world.end().len(), 6);
}

#[test]
fn unwell_places_are_avoided() {
    let mut world = World::new(Limits::default());
    let (sick, well) = (world.endpoint("sick"), world.endpoint("well"));
    world.relay.endpoints(world.now).set_healthy(sick, false);
    let client = world.client();
    for number in 0..20 {
        world.send(&client, &unary(number * 2 + 1, b"ask"));
    }
    assert_eq!((world.next_dial(), world.next_dial()), (Some(well), None));
    assert_eq!(world.relay.endpoint_state(sick).map(|state| state.pending), Some(0));
}

#[test]
fn calls_are_spread_by_load() {
    let mut world = World::new(Limits::default());
    let endpoints: Vec<_> = ["a", "b", "c", "d"].into_iter().map(|name| world.endpoint(name)).collect();
    let client = world.client();
    for number in 0..400 {
        world.send(&client, &unary(number * 2 + 1, b"ask"));
    }
    let loads: Vec<_> =
        endpoints.iter().filter_map(|endpoint| world.relay.endpoint_state(*endpoint)).map(|state| state.pending).collect();
    assert!(loads.iter().all(|load| (80..=120).contains(load)), "{loads:?}");
}

#[test]
fn an_endpoint_that_is_kept_open_is_dialled_ahead_and_again() {
    let mut world = World::new(Limits::default());
    let endpoint = world.endpoint("here");
    assert_eq!(world.next_dial(), None);
    world.relay.endpoints(world.now).keep_open(endpoint, true);
    let server = world.dialled(endpoint, 1);
    world.close(server);
    assert_eq!(world.next_dial(), Some(endpoint));
    world.relay.dial_failed(endpoint, "refused", world.now);
    assert_eq!(world.next_dial(), None);
    world.wind(501);
    assert_eq!(world.next_dial(), Some(endpoint));
    world.relay.endpoints(world.now).keep_open(endpoint, false);
    world.relay.dial_failed(endpoint, "refused", world.now);
    world.wind(60_000);
    assert_eq!(world.next_dial(), None);
}

#[test]
fn a_removed_endpoint_lets_its_calls_end_and_sends_the_waiting_elsewhere() {
    let mut world = World::new(Limits { connections_per_endpoint_max: 1, ..Limits::default() });
    let (one, _) = (world.endpoint("one"), ());
    let mut client = world.client();
    world.send(&client, &unary(1, b"a"));
    let mut server = world.dialled_with(one, 1, &Settings { streams_max: Some(1), ..Settings::default() });
    world.messages(&mut server);
    world.send(&client, &unary(3, b"b"));
    let other = world.endpoint("other");
    world.relay.endpoints(world.now).remove(one);
    assert!(world.relay.endpoint(one).is_none());
    let mut next = world.dialled(other, 2);
    assert_eq!(body(&world.messages(&mut next)), message(b"b"));
    world.send(&server, &answer(1, b"told"));
    assert_eq!(body(&world.messages(&mut client)), message(b"told"));
    assert!(world.closing(&server).is_some());
    world.close(server);
    assert!(world.relay.dialled(one, 9, world.now).is_none());
}

#[test]
fn who_waits_at_the_only_endpoint_when_it_is_removed_is_told_that_there_is_none() {
    let mut world = World::new(Limits::default());
    let only = world.endpoint("only");
    let mut client = world.client();
    world.send(&client, &unary(1, b"a"));
    world.relay.endpoints(world.now).remove(only);
    let frames = world.messages(&mut client);
    assert_eq!(value(&client.fields(&frames[0].payload), "grpc-message"), Some("no endpoint"));
}

#[test]
fn retries_are_paid_for_out_of_a_budget() {
    let mut world = World::new(Limits::default());
    let (one, other) = (world.endpoint("one"), world.endpoint("other"));
    for endpoint in [one, other] {
        world.relay.endpoints(world.now).keep_open(endpoint, true);
    }
    let mut servers = [world.dialled(one, 1), world.dialled(other, 2)];
    let mut client = world.client();
    let mut next_streams = [1, 1];
    for number in 0..200 {
        world.send(&client, &unary(number * 2 + 1, b"ask"));
        for _ in 0..2 {
            for at in 0..2 {
                let heads = world.messages(&mut servers[at]).iter().filter(|frame| frame.kind == Kind::Headers).count();
                for _ in 0..heads {
                    world.send(&servers[at], &reset(next_streams[at], ErrorCode::REFUSED_STREAM));
                    next_streams[at] += 2;
                }
            }
        }
        world.messages(&mut client);
    }
    // A hundred at the start, and one for every five calls.
    let retries = world.relay.counters().retries;
    assert!((100..=141).contains(&retries), "{retries}");
    assert_eq!(world.end().len(), 200);
}

#[test]
fn new_credentials_retire_the_links_of_a_endpoint() {
    let (mut world, client, mut server) = World::pair(Limits::default());
    let endpoint = world.gate().endpoints[0];
    world.send(&client, &unary(1, b"a"));
    world.messages(&mut server);
    world.relay.endpoints(world.now).retire_connections(endpoint);
    assert_eq!(world.closing(&server), None);
    world.send(&client, &unary(3, b"b"));
    let mut next = world.dialled(endpoint, 2);
    assert_eq!(body(&world.messages(&mut next)), message(b"b"));
    world.send(&server, &answer(1, b"told"));
    assert!(world.closing(&server).is_some());
}
