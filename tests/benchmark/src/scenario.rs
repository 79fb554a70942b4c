//! What is measured.

use std::time::Duration;

use crate::ends::load::Manner;

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name in every output.
    pub name: &'static str,
    /// What it is, for the table.
    pub title: &'static str,
    /// Connections of the application to its proxy.
    pub connections: usize,
    /// Calls at a time on each.
    pub streams: usize,
    /// Bytes of the message, the same in both directions.
    pub message_bytes: usize,
    /// How calls follow each other.
    pub manner: Manner,
}

/// Calls that follow each other on all streams.
pub const fn closed(
    name: &'static str,
    title: &'static str,
    (connections, streams): (usize, usize),
    message_bytes: usize,
) -> Scenario {
    Scenario { name, title, connections, streams, message_bytes, manner: Manner::Closed }
}

/// What leaves the machine room: also what bystanders of an attack do.
pub const OFFERED: Scenario = Scenario {
    name: "2000rps-100b",
    title: "2,000 calls/s offered on 10 connections, 100 B",
    connections: 10,
    streams: 100,
    message_bytes: 100,
    manner: Manner::Offered(2_000),
};

/// All of them, in the order in which they are measured and shown.
pub const SCENARIOS: [Scenario; 9] = [
    closed("1x1-100b", "one call at a time, 100 B", (1, 1), 100),
    // Before full load, which leaves records that are exported for long after.
    OFFERED,
    closed("10x10-100b", "10 connections of 10 streams, 100 B", (10, 10), 100),
    closed("50x10-100b", "50 connections of 10 streams, 100 B", (50, 10), 100),
    closed("10x10-10kb", "10 connections of 10 streams, 10 KB", (10, 10), 10_000),
    closed("1x1-1mb", "one call at a time, 1 MB", (1, 1), 1_000_000),
    closed("1x1-16mb", "one call at a time, 16 MB", (1, 1), 16_000_000),
    Scenario {
        name: "10x10-bidi-100b",
        title: "100 bidirectional streams, 100 B a message",
        connections: 10,
        streams: 10,
        message_bytes: 100,
        manner: Manner::Dialogue,
    },
    Scenario {
        name: "new-connection-100b",
        title: "a new connection for each call, 10 at a time, 100 B",
        connections: 10,
        streams: 1,
        message_bytes: 100,
        manner: Manner::Fresh,
    },
];

/// How long and how often each is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds; each goes once through all peers. The median of the rounds is told.
    pub rounds: usize,
    /// Time before counting begins, in each round.
    pub warm_up: Duration,
    /// Time for which is counted, in each round.
    pub length: Duration,
}

impl Effort {
    /// For a table that is kept.
    pub const FULL: Self = Self { rounds: 5, warm_up: Duration::from_millis(500), length: Duration::from_millis(3_000) };
    /// For a look: with five peers and nine scenarios within three minutes.
    pub const QUICK: Self = Self { rounds: 3, warm_up: Duration::from_millis(150), length: Duration::from_millis(700) };
}
