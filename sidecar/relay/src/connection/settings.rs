//! The peer's SETTINGS, also those that change while calls are under way (RFC 9113, section 6.5 and 6.9.2).

use super::Flood;
use crate::{
    Relay,
    call::Way,
    frame::{self, ErrorCode, FrameHead, Settings, Violation, flags, put_settings_ack},
    gate::Gate,
};

impl<G: Gate> Relay<G> {
    pub(crate) fn settings(&mut self, slot: u32, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(()) };
        if head.has(flags::ACK) {
            if !connection.settings_acked {
                connection.settings_acked = true;
                connection.decoder.acknowledged_no_table();
            }
            return Ok(());
        }
        let settings = Settings::read(payload)?;
        if connection.endpoint().is_some() && settings.push == Some(true) {
            return Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "a server that switches push on"));
        }
        let is_first = !connection.settings_came;
        connection.settings_came = true;
        if is_first {
            connection.early_last = connection.recent.last();
        }
        if !self.allows(slot, Flood::Settings) {
            return Ok(());
        }
        let widened = self.take_settings(slot, &settings, is_first)?;
        // The acknowledgement goes before anything that only the new values allow (RFC 9113, section 6.5.3).
        if let Some(connection) = self.writer(slot) {
            put_settings_ack(connection.output.buffer());
            // The size of the table is told again after a change of its bound is acknowledged (RFC 7541, section 4.2).
            connection.table_size_due |= settings.header_table_bytes_max.is_some();
        }
        if widened {
            self.pump_all(slot);
        }
        self.check_output(slot);
        Ok(())
    }

    /// Puts down what the peer said. Whether the windows of its streams grew.
    fn take_settings(&mut self, slot: u32, settings: &Settings, is_first: bool) -> Result<bool, Violation> {
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(false) };
        let peer = &mut connection.peer;
        peer.frame_bytes_max = settings.frame_bytes_max.unwrap_or(peer.frame_bytes_max);
        peer.streams_max = match settings.streams_max {
            Some(streams_max) => streams_max,
            // Who says nothing sets no bound (RFC 9113, section 6.5.2).
            None if is_first => u32::MAX,
            None => peer.streams_max,
        };
        let more = settings.window_bytes.map_or(0, |window_bytes| {
            let before = std::mem::replace(&mut peer.window_bytes, i64::from(window_bytes));
            i64::from(window_bytes) - before
        });
        if let Some(endpoint) = connection.endpoint() {
            // There may be more room now.
            self.ready.push(endpoint);
        }
        if more != 0 {
            self.shift_windows(slot, more)?;
        }
        Ok(more > 0)
    }

    /// The windows of all streams change by `more`, below zero if need be.
    fn shift_windows(&mut self, slot: u32, more: i64) -> Result<(), Violation> {
        let Some(connection) = self.connections.get(slot) else { return Ok(()) };
        let way = if connection.is_accepted() { Way::Response } else { Way::Request };
        for key in self.calls_on(slot) {
            let Some(found) = self.calls.find(key.slot, key.generation) else { continue };
            let Some(call) = self.calls.get_mut(found) else { continue };
            let flowing = call.flowing(way);
            flowing.send_window += more;
            if flowing.send_window > i64::from(frame::WINDOW_BYTES_MAX) {
                return Err(Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, "SETTINGS that make a window overflow"));
            }
        }
        Ok(())
    }

    /// Sends what waits on all streams and now may go.
    fn pump_all(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot) else { return };
        let way = if connection.is_accepted() { Way::Response } else { Way::Request };
        for key in self.calls_on(slot) {
            if let Some(found) = self.calls.find(key.slot, key.generation) {
                self.pump(found, way);
            }
        }
    }
}
