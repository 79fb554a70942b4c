//! The three owners side by side, and what they share: what every step of the relay works on.

use crate::{
    call::Calls, connection::Connections, endpoint::Endpoints, gate::Gate, head::Reply, keys::CallKey, keys::ConnectionId,
    shared::Shared,
};

/// All of a relay.
pub(crate) struct Core<G: Gate> {
    pub(crate) gate: G,
    pub(crate) shared: Shared,
    pub(crate) connections: Connections<G>,
    pub(crate) calls: Calls<G>,
    pub(crate) endpoints: Endpoints<G>,
    /// What the gate wrote last.
    pub(crate) reply: Reply,
}

impl<G: Gate> Core<G> {
    /// Lends the calls on a connection, as they are now; they may end meanwhile. Give it back ([`Core::give_back`]).
    pub(super) fn calls_on(&mut self, id: ConnectionId) -> Vec<CallKey> {
        let mut keys = std::mem::take(&mut self.shared.scratch.calls);
        keys.clear();
        if let Some(connection) = self.connections.get(id) {
            keys.extend(connection.streams.calls().map(|call| self.calls.key_of(call)));
        }
        keys
    }

    pub(super) fn give_back(&mut self, keys: Vec<CallKey>) {
        self.shared.scratch.calls = keys;
    }
}
