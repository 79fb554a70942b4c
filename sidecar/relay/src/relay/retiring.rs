//! Connections that take no further calls, up to their last byte.

use super::core::Core;
use crate::{
    belief::sure,
    connection::{CloseReason, Phase},
    frame::{ErrorCode, STREAM_ID_MAX, put_goaway, put_ping},
    gate::Gate,
    keys::{ConnectionId, EndpointId},
};

/// What the PING of a drain carries: it is told from those that only probe.
pub(super) const NOTICE: [u8; 8] = *b"chaparGO";

/// A connection takes no further calls: its endpoint no longer counts on it.
pub(super) fn leave_endpoint<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    // One that came in belongs to no endpoint.
    let Some(endpoint) = sure!(core.connections.get(id)).endpoint() else { return };
    if sure!(core.endpoints.get_mut(endpoint)).leave(id) {
        core.shared.ready.push(endpoint);
    }
}

/// From now on the connection only waits for its output to leave.
pub(super) fn begin_closing<G: Gate>(core: &mut Core<G>, id: ConnectionId, why: CloseReason) {
    let shared = &mut core.shared;
    let connection = sure!(core.connections.get_mut(id));
    connection.phase = Phase::Closing { why, since_ms: shared.now_ms };
    connection.data = None;
    shared.outputs.give(std::mem::take(&mut connection.partial));
    shared.outputs.give(connection.block.take().map(|block| block.bytes).unwrap_or_default());
    connection.wake_by(id, shared.ms_after(shared.limits.linger), &mut shared.wheel);
    leave_endpoint(core, id);
}

/// Tells a client that its connection will end; calls that are on their way to us are still taken.
pub(super) fn notice<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    let shared = &mut core.shared;
    // A connection that closes ends anyway.
    let Some(connection) = core.connections.writer(id, shared) else { return };
    if connection.phase != Phase::Open {
        return;
    }
    connection.phase = Phase::Noticed { since_ms: shared.now_ms };
    let out = connection.output.buffer();
    put_goaway(out, STREAM_ID_MAX, ErrorCode::NO_ERROR, "");
    put_ping(out, NOTICE, false);
    connection.wake_by(id, shared.ms_after(shared.limits.drain_notice), &mut shared.wheel);
}

/// The connection takes no further call, and ends when those that it has are over.
pub(super) fn retire<G: Gate>(core: &mut Core<G>, id: ConnectionId, why: CloseReason) {
    let connection = sure!(core.connections.get(id));
    if matches!(connection.phase, Phase::Retired(_) | Phase::Closing { .. }) {
        return;
    }
    let accepted = connection.is_accepted();
    if accepted && connection.phase == Phase::Open && why != CloseReason::Ended {
        return notice(core, id);
    }
    let connection = sure!(core.connections.writer(id, &mut core.shared));
    connection.phase = Phase::Retired(why);
    if accepted && why != CloseReason::Ended {
        connection.told_last = connection.recent.last();
        put_goaway(connection.output.buffer(), connection.told_last.number(), ErrorCode::NO_ERROR, "");
    }
    leave_endpoint(core, id);
    end_if_empty(core, id);
}

/// Retires all connections of an endpoint.
pub(super) fn retire_all_of<G: Gate>(core: &mut Core<G>, endpoint: EndpointId) {
    while let Some(&connection) = sure!(core.endpoints.get(endpoint)).connections.first() {
        retire(core, connection, CloseReason::Retired);
        debug_assert!(
            !sure!(core.endpoints.get(endpoint)).connections.contains(&connection),
            "a retired connection leaves its endpoint"
        );
    }
    core.shared.ready.push(endpoint);
}

/// Ends a retired connection that has no call.
#[inline]
pub(super) fn end_if_empty<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    let connection = sure!(core.connections.get(id));
    // It still takes calls, or closes already.
    let Phase::Retired(why) = connection.phase else { return };
    if !connection.streams.is_empty() {
        return;
    }
    let connection = sure!(core.connections.writer(id, &mut core.shared));
    if !connection.is_accepted() {
        put_goaway(connection.output.buffer(), 0, ErrorCode::NO_ERROR, "");
    }
    begin_closing(core, id, why);
}
