//! The open connections of one worker, by the relay's keys.

use std::task::Waker;

use chapar_relay::ConnectionKey;
use prometheus::IntGauge;

use super::connection_limiter::Admission;
use crate::{metrics::Listener, transport::Wire};

/// All of them. The relay's keys are dense, so that finding one is an index and a comparison.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Option<Connection>>,
}

/// One connection's socket, and who waits for it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) key: ConnectionKey,
    pub(super) wire: Wire,
    /// Wakes the task that reads.
    pub(super) waker: Waker,
    /// The socket had no room; the waker is woken when it has.
    pub(super) blocked: bool,
    /// In its last turn it opened more calls than it may in one: it is read in smaller pieces, so that others need not wait long.
    pub(super) brings_many_calls: bool,
    /// Counts the connection for as long as it is there.
    counted: Counted,
}

/// What an open connection counts towards.
#[derive(Debug)]
pub(super) enum Counted {
    /// The connections that a listener admits.
    CameIn { admission: Admission },
    /// The connections to peers or upstreams.
    Dialled(IntGauge),
}

impl Counted {
    pub(super) fn dialled(open: IntGauge) -> Self {
        open.inc();
        Self::Dialled(open)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        match self {
            Self::CameIn { .. } => {}
            Self::Dialled(open) => open.dec(),
        }
    }
}

impl Connections {
    pub(super) fn insert(&mut self, key: ConnectionKey, wire: Wire, counted: Counted) {
        let slot = key.index();
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        if let Some(room) = self.slots.get_mut(slot) {
            let waker = Waker::noop().clone();
            *room = Some(Connection { key, wire, waker, blocked: false, brings_many_calls: false, counted });
        }
    }

    /// The connection, unless it is gone.
    pub(super) fn find(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.slots.get_mut(key.index())?.as_mut().filter(|connection| connection.key == key)
    }

    /// Takes the connection out, and ends the task that reads from it.
    pub(super) fn remove(&mut self, key: ConnectionKey) -> Option<Connection> {
        let slot = self.slots.get_mut(key.index())?;
        let connection = slot.take_if(|connection| connection.key == key)?;
        connection.waker.wake_by_ref();
        Some(connection)
    }

    /// The keys of those by which other sidecars came in.
    pub(super) fn keys_of_sidecars(&self) -> Vec<ConnectionKey> {
        let came_in = self.slots.iter().flatten().filter(|connection| match &connection.counted {
            Counted::CameIn { admission } => admission.listener() == Listener::Inbound,
            Counted::Dialled(_) => false,
        });
        came_in.map(|connection| connection.key).collect()
    }

    /// The keys of all that are open.
    pub(super) fn keys(&self) -> Vec<ConnectionKey> {
        self.slots.iter().flatten().map(|connection| connection.key).collect()
    }
}
