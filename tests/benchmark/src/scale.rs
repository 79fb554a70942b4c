//! `--scale`: how the cost of a call grows with everything that can grow.

pub mod grants;
pub mod providers;

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use crate::{
    measure::{self, Figures},
    peers::Peer,
    scenario::{Effort, Scenario, closed},
};

/// More and more connections, one call at a time on each.
pub const CONNECTIONS: [Scenario; 4] = [
    closed("scale-connections-1", "1 connection", (1, 1), 100),
    closed("scale-connections-10", "10 connections", (10, 1), 100),
    closed("scale-connections-100", "100 connections", (100, 1), 100),
    closed("scale-connections-1000", "1,000 connections", (1_000, 1), 100),
];

/// Longer and longer messages, one call at a time.
pub const MESSAGES: [Scenario; 7] = [
    closed("scale-message-10b", "10 B", (1, 1), 10),
    closed("scale-message-100b", "100 B", (1, 1), 100),
    closed("scale-message-1kb", "1 KB", (1, 1), 1_000),
    closed("scale-message-10kb", "10 KB", (1, 1), 10_000),
    closed("scale-message-100kb", "100 KB", (1, 1), 100_000),
    closed("scale-message-1mb", "1 MB", (1, 1), 1_000_000),
    closed("scale-message-16mb", "16 MB", (1, 1), 16_000_000),
];

/// More and more providers of the service that is called.
pub const PROVIDERS: [(usize, Scenario); 4] = [
    (1, closed("scale-providers-1", "1 provider", (10, 10), 100)),
    (10, closed("scale-providers-10", "10 providers", (10, 10), 100)),
    (100, closed("scale-providers-100", "100 providers", (10, 10), 100)),
    (1_000, closed("scale-providers-1000", "1,000 providers", (10, 10), 100)),
];

/// More and more grants in a snapshot.
pub const GRANTS: [(usize, &str); 4] =
    [(1, "scale-grants-1"), (1_000, "scale-grants-1000"), (100_000, "scale-grants-100000"), (1_000_000, "scale-grants-1000000")];

/// One thing that grows.
#[derive(Debug)]
pub struct Series {
    /// What grows.
    pub title: &'static str,
    /// Its figures, from the least to the most.
    pub figures: Vec<Figures>,
}

/// Measures connections and message sizes on `peers`, providers on a mesh of its own, and grants on the decision alone.
///
/// # Errors
/// When a peer cannot be measured.
pub fn run(
    peers: &[Peer],
    upstream: SocketAddr,
    effort: Effort,
    runtime: &tokio::runtime::Runtime,
    mut done: impl FnMut(&Series),
) -> Result<()> {
    let on_peers = |scenarios: &[Scenario]| -> Result<Vec<Figures>> {
        let rows = scenarios.iter().map(|scenario| measure::scenario(scenario, peers, effort));
        Ok(rows.collect::<Result<Vec<_>>>()?.concat())
    };
    // The largest first time takes long to warm up: its connections are opened and its windows grow.
    let slow = Effort { warm_up: effort.warm_up.max(Duration::from_millis(500)), ..effort };
    done(&Series {
        title: "connections of one application, one call at a time on each, 100 B",
        figures: on_peers(&CONNECTIONS)?,
    });
    done(&Series { title: "bytes of a message, both ways, one call at a time", figures: on_peers(&MESSAGES)? });
    done(&Series { title: "grants in a snapshot: the decision alone, on one thread", figures: grants::measure() });
    let figures = providers::measure(upstream, slow, runtime)?;
    done(&Series {
        title: "providers of the service, all granted, one of them called; 10 connections of 10 streams, 100 B",
        figures,
    });
    Ok(())
}
