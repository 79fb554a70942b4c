//! Beginning a connection, and what is written to it.

use super::{CloseReason, Connection, Phase, Probe, Role};
use crate::{
    Relay,
    counters::Breach,
    frame::{self, ErrorCode, Settings, put_settings, put_window_update},
    gate::Gate,
    keys::EndpointKey,
    timer::Owner,
};

/// An output that has grown beyond this gives its buffer back as soon as it is empty; others, when the connection is next looked after.
const OUTPUT_KEPT_BYTES_MAX: usize = 64 * 1024;

impl<G: Gate> Relay<G> {
    /// Enters a connection and puts its SETTINGS, after the preface of a link, into its output.
    pub(crate) fn open_connection(&mut self, role: Role<G>, probe: Probe) -> u32 {
        let connection = Connection::new(role, probe, &self.limits, self.now_ms);
        let accepted = connection.is_accepted();
        let (slot, _) = self.connections.insert(connection);
        let limits = self.limits;
        let settings = Settings {
            header_table_bytes_max: Some(0),
            push: (!accepted).then_some(false),
            streams_max: accepted.then_some(limits.calls_per_connection_max),
            window_bytes: Some(limits.call_window_bytes),
            frame_bytes_max: Some(limits.frame_bytes_max),
            header_list_bytes_max: Some(limits.header_list_bytes_max),
        };
        if let Some(connection) = self.writer(slot) {
            let out = connection.output.buffer();
            if !accepted {
                out.extend_from_slice(frame::PREFACE);
            }
            put_settings(out, &settings);
            let more = limits.connection_window_bytes.saturating_sub(frame::WINDOW_BYTES_DEFAULT);
            if more > 0 {
                put_window_update(out, 0, more);
            }
        }
        self.watch(slot);
        slot
    }

    /// Enters a link to `endpoint`.
    pub(crate) fn begin_link(&mut self, endpoint: EndpointKey, peer: G::Peer) -> Option<u32> {
        let slot = self.endpoints.find(endpoint.slot, endpoint.generation)?;
        let endpoint = self.endpoints.get_mut(slot)?;
        endpoint.is_dialling = false;
        if endpoint.is_removed {
            self.let_go(slot);
            return None;
        }
        endpoint.problem = None;
        let probe = endpoint.probe;
        endpoint.connections += 1;
        let connection = self.open_connection(Role::Link { endpoint: slot, peer }, probe);
        if let Some(endpoint) = self.endpoints.get_mut(slot) {
            endpoint.links.push(connection);
        }
        self.ready.push(slot);
        Some(connection)
    }

    /// The connection, to append to its output; none if it is closing. It is marked for whoever writes to its socket.
    #[inline]
    pub(crate) fn writer(&mut self, slot: u32) -> Option<&mut Connection<G>> {
        let generation = self.connections.generation(slot);
        let connection = self.connections.get_mut(slot)?;
        if connection.is_closing() {
            return None;
        }
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push_back(crate::ConnectionKey { slot, generation });
        }
        if connection.output.is_empty() {
            connection.times.moved_ms = self.now_ms;
            let outputs = &mut self.outputs;
            connection.output.furnish(|| outputs.take());
            let stalled_ms = self.now_ms.saturating_add(self.limits.stall_timeout.as_millis() as u64);
            if stalled_ms < connection.times.timer_ms {
                self.wheel.unset(&mut connection.times.timer);
                connection.times.timer = self.wheel.set(Owner::Connection(slot), stalled_ms);
                connection.times.timer_ms = stalled_ms;
            }
        }
        Some(connection)
    }

    /// So many bytes of the output are gone.
    pub(crate) fn output_left(&mut self, slot: u32, bytes: usize) {
        let (soft_max, now_ms) = (self.limits.output_bytes_soft_max, self.now_ms);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let was_full = connection.output.len() >= soft_max;
        connection.output.advance(bytes);
        connection.times.moved_ms = now_ms;
        if connection.output.is_empty() && connection.output.capacity() > OUTPUT_KEPT_BYTES_MAX {
            let buffer = connection.output.take_buffer();
            self.outputs.give(buffer);
        }
        let is_low = connection.output.len() <= soft_max / 2;
        if was_full && let Some(endpoint) = connection.endpoint() {
            self.ready.push(endpoint);
        }
        if is_low {
            self.pump_waiting(slot);
        }
    }

    /// A peer that makes us answer and does not read is cut.
    pub(crate) fn check_output(&mut self, slot: u32) {
        let hard_max = self.limits.output_bytes_hard_max;
        let over = self
            .connections
            .get(slot)
            .is_some_and(|connection| !matches!(connection.phase, Phase::Closing { .. }) && connection.output.len() > hard_max);
        if over {
            self.breach(slot, Breach::Output);
            // It would not read what is left either.
            self.drop_output(slot);
        }
    }

    pub(crate) fn drop_output(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot) {
            self.outputs.give(connection.output.take_buffer());
        }
    }

    /// Ends a connection for a limit that its peer broke.
    pub(crate) fn breach(&mut self, slot: u32, breach: Breach) {
        self.counters.breach(breach);
        self.counters.violations += 1;
        self.shut(slot, CloseReason::Breach(breach), ErrorCode::ENHANCE_YOUR_CALM, breach.as_str());
    }
}
