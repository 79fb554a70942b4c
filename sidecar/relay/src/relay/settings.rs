//! The peer's SETTINGS, also those that change while calls are under way (RFC 9113, section 6.5 and 6.9.2).

use super::{core::Core, cutting::allows, flow::pump};
use crate::{
    belief::sure,
    connection::Flood,
    frame::{self, ErrorCode, FrameHead, Settings, Violation, flags, put_settings_ack},
    gate::Gate,
    keys::ConnectionId,
};

pub(super) fn settings<G: Gate>(core: &mut Core<G>, id: ConnectionId, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
    let connection = sure!(core.connections.get_mut(id), Ok(()));
    if head.has(flags::ACK) {
        if !connection.settings_acked {
            connection.settings_acked = true;
            connection.decoder.acknowledged_no_table();
        } else {
            core.connections.resets_heard(id, &mut core.shared);
        }
        return Ok(());
    }
    let settings = Settings::read(payload)?;
    if !connection.is_accepted() && settings.push == Some(true) {
        return Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "a server that switches push on"));
    }
    let is_first = !connection.settings_came;
    connection.settings_came = true;
    if is_first {
        connection.early_last = connection.recent.last();
    }
    if !allows(core, id, Flood::Settings) {
        return Ok(());
    }
    let has_widened = take_settings(core, id, &settings, is_first)?;
    // The acknowledgement goes before anything that only the new values allow (RFC 9113, section 6.5.3).
    if let Some(connection) = core.connections.writer(id, &mut core.shared) {
        put_settings_ack(connection.output.buffer());
        // The size of the table is told again after a change of its bound is acknowledged (RFC 7541, section 4.2).
        connection.table_size_due |= settings.header_table_bytes_max.is_some();
    }
    if has_widened {
        pump_all(core, id);
    }
    Ok(())
}

/// Puts down what the peer said. Whether the windows of its streams grew.
fn take_settings<G: Gate>(core: &mut Core<G>, id: ConnectionId, settings: &Settings, is_first: bool) -> Result<bool, Violation> {
    let connection = sure!(core.connections.get_mut(id), Ok(false));
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
    // There may be more room now.
    core.shared.ready.extend(connection.endpoint());
    if more != 0 {
        shift_windows(core, id, more)?;
    }
    Ok(more > 0)
}

/// The windows of all streams change by `more`, below zero if need be.
fn shift_windows<G: Gate>(core: &mut Core<G>, id: ConnectionId, more: i64) -> Result<(), Violation> {
    let connection = sure!(core.connections.get(id), Ok(()));
    let direction = connection.outgoing();
    for call in connection.streams.calls() {
        let flowing = sure!(core.calls.get_mut(call), Ok(())).flowing(direction);
        flowing.send_window += more;
        if flowing.send_window > i64::from(frame::WINDOW_BYTES_MAX) {
            return Err(Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, "SETTINGS that make a window overflow"));
        }
    }
    Ok(())
}

/// Sends what waits on all streams and now may go.
fn pump_all<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    let direction = sure!(core.connections.get(id)).outgoing();
    let keys = core.calls_on(id);
    for key in &keys {
        // What was sent may have ended calls.
        if let Some(call) = core.calls.find(*key) {
            pump(core, call, direction);
        }
    }
    core.give_back(keys);
}
