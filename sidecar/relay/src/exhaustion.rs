//! Streams are numbered up to 2^31-1: what happens at the end cannot be reached by calls in a test, so it is brought about from within.

#[path = "../tests/steady/mod.rs"]
mod steady;

use std::time::Instant;

use crate::{
    CloseReason, ConnectionKey, Event,
    connection::Phase,
    frame::STREAM_ID_MAX,
    keys::{ConnectionId, StreamId},
    slab::Id as _,
};

#[test]
fn a_connection_whose_streams_run_out_is_retired_and_another_dialled() {
    let mut steady = steady::Steady::new(1, 1, 100);
    let dialled = ConnectionKey { id: ConnectionId::from_index(0), generation: 0 };
    let connection = steady.relay.core.connections.get_mut(dialled.id).expect("it is the first connection");
    connection.recent.open(StreamId::new(STREAM_ID_MAX - 2));
    steady.server_stream = STREAM_ID_MAX;
    steady.round();
    assert_eq!(steady.relay.gate().served, 1);
    assert_eq!(steady.relay.closing(dialled), Some(CloseReason::Retired));
    assert!(matches!(steady.relay.next_event(), Some(Event::Dial { .. })));
    steady.relay.closed(dialled, Instant::now());
    assert_eq!(steady.relay.connections(), 1);
    let client = steady.relay.core.connections.get(ConnectionId::from_index(1)).expect("the client stays");
    assert_eq!(client.phase, Phase::Open);
}
