//! The connections of a relay.

use super::{Connection, Probe, Role};
use crate::{
    belief::sure,
    frame::{self, Settings, put_settings, put_window_update},
    gate::Gate,
    keys::{ConnectionId, ConnectionKey},
    shared::Shared,
    slab::{Id as _, Slab},
};

/// All connections, of both kinds.
pub(crate) struct Connections<G: Gate> {
    held: Slab<ConnectionId, Connection<G>>,
}

impl<G: Gate> Connections<G> {
    pub(crate) const fn new() -> Self {
        Self { held: Slab::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// All slots that were ever used, occupied or not.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ConnectionId> + use<G> {
        self.held.ids()
    }

    #[inline]
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection<G>> {
        self.held.get(id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection<G>> {
        self.held.get_mut(id)
    }

    /// None: the connection was closed.
    #[inline]
    pub(crate) fn find(&self, key: ConnectionKey) -> Option<ConnectionId> {
        self.held.holds(key.id, key.generation).then_some(key.id)
    }

    #[inline]
    pub(crate) fn key_of(&self, id: ConnectionId) -> ConnectionKey {
        ConnectionKey { id, generation: self.held.generation(id) }
    }

    /// Enters a connection, and puts its SETTINGS into its output; before them the preface, if it was dialled.
    pub(crate) fn open(&mut self, role: Role<G>, probe: Probe, shared: &mut Shared) -> ConnectionId {
        let connection = Connection::new(role, probe, &shared.limits, shared.now_ms);
        let accepted = connection.is_accepted();
        let id = self.held.insert(connection);
        let limits = shared.limits;
        let settings = Settings {
            header_table_bytes_max: Some(0),
            push: (!accepted).then_some(false),
            streams_max: accepted.then_some(limits.calls_per_connection_max),
            window_bytes: Some(limits.call_window_bytes),
            frame_bytes_max: Some(limits.frame_bytes_max),
            header_list_bytes_max: Some(limits.header_list_bytes_max),
        };
        let out = sure!(self.writer(id, shared), id).output.buffer();
        if !accepted {
            out.extend_from_slice(frame::PREFACE);
        }
        put_settings(out, &settings);
        let more = limits.connection_window_bytes.saturating_sub(frame::WINDOW_BYTES_DEFAULT);
        if more > 0 {
            put_window_update(out, 0, more);
        }
        id
    }

    /// Takes a connection out that no call is on any more.
    pub(crate) fn remove(&mut self, id: ConnectionId, shared: &mut Shared) -> Option<Role<G>> {
        let mut connection = self.held.remove(id)?;
        debug_assert!(connection.streams.is_empty() && connection.waiting.is_empty(), "{} still has calls", id.index());
        shared.wheel.unset(&mut connection.times.timer);
        shared.outputs.give(connection.output.take_buffer());
        shared.outputs.give(connection.partial);
        shared.outputs.give(connection.block.map(|block| block.bytes).unwrap_or_default());
        Some(connection.role)
    }
}
