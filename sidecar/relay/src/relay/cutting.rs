//! Ending connections at once: for what their peers did, or since they are gone.

use super::{
    core::Core,
    ending::{End, end_call},
    refusing::{end_calls_of, malformed_response},
    retiring::{begin_closing, leave_endpoint},
};
use crate::{
    belief::sure,
    connection::{CloseReason, Connection, Flood, Past, Phase, Role},
    counters::Breach,
    frame::{ErrorCode, Violation, put_goaway},
    gate::Gate,
    keys::{ConnectionId, StreamId},
};

/// Ends a connection and its calls: GOAWAY is the last it is told.
pub(super) fn shut<G: Gate>(core: &mut Core<G>, id: ConnectionId, why: CloseReason, code: ErrorCode, debug: &'static str) {
    // It ends already.
    let Some(connection) = core.connections.writer(id, &mut core.shared) else { return };
    let last = if connection.is_accepted() { connection.recent.last().min(connection.told_last).number() } else { 0 };
    put_goaway(connection.output.buffer(), last, code, debug);
    begin_closing(core, id, why);
    end_calls_of(core, id);
}

/// Ends a connection for a limit that its peer broke.
pub(super) fn breach<G: Gate>(core: &mut Core<G>, id: ConnectionId, breach: Breach) {
    core.shared.counters.breach(breach);
    core.shared.counters.violations += 1;
    shut(core, id, CloseReason::Breach(breach), ErrorCode::ENHANCE_YOUR_CALM, breach.as_str());
}

/// Ends a connection whose peer broke a rule.
pub(super) fn violated<G: Gate>(core: &mut Core<G>, id: ConnectionId, violation: Violation) {
    if sure!(core.connections.get(id)).is_closing() {
        return;
    }
    core.shared.counters.violations += 1;
    shut(core, id, CloseReason::Protocol(violation), violation.code, violation.why);
}

/// The socket is gone.
pub(super) fn lose<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    let connection = sure!(core.connections.get_mut(id));
    if !connection.is_closing() {
        // Nothing can be told any more: ends of streams must not be written.
        connection.phase = Phase::Closing { why: CloseReason::Ended, since_ms: core.shared.now_ms };
    }
    leave_endpoint(core, id);
    end_calls_of(core, id);
    if let Role::Dialled { endpoint, .. } = sure!(core.connections.remove(id, &mut core.shared)) {
        sure!(core.endpoints.get_mut(endpoint)).connections_count -= 1;
        core.shared.ready.push(endpoint);
    }
}

/// A peer that makes us answer and does not read is cut.
pub(super) fn check_output<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    let connection = sure!(core.connections.get(id));
    if !connection.is_closing() && connection.output.len() > core.shared.limits.output_bytes_hard_max {
        breach(core, id, Breach::Output);
        // It would not read what is left either.
        core.connections.drop_output(id, &mut core.shared);
    }
}

/// Counts a frame against a bucket of its connection. False: that was one too many, and the connection ends.
pub(super) fn allows<G: Gate>(core: &mut Core<G>, id: ConnectionId, flood: Flood) -> bool {
    let connection = sure!(core.connections.get_mut(id), false);
    match connection.guard.count(flood, &core.shared.limits, core.shared.now_ms) {
        Ok(()) => true,
        Err(one_too_many) => {
            breach(core, id, one_too_many);
            false
        }
    }
}

/// Counts a frame on a stream that has ended.
pub(super) fn stray<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    if !sure!(core.connections.get(id)).is_closing() {
        allows(core, id, Flood::Strays);
    }
}

/// What became of a stream that is not open.
///
/// # Errors
/// It never was, and cannot have been.
pub(super) fn past<G: Gate>(connection: &Connection<G>, stream: StreamId) -> Result<Past, Violation> {
    if !stream.is_clients() || stream > connection.recent.last() {
        return Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "a frame on a stream that is idle"));
    }
    Ok(connection.recent.past(stream))
}

/// The peer broke a rule on a stream, which ends thereby.
pub(super) fn stream_violated<G: Gate>(core: &mut Core<G>, id: ConnectionId, stream: StreamId, violation: Violation) {
    let connection = sure!(core.connections.get(id));
    let (accepted, call) = (connection.is_accepted(), connection.streams.call(stream));
    if accepted && !allows(core, id, Flood::Resets) {
        return;
    }
    match call {
        Some(call) if accepted => end_call(core, call, End::Abandoned, Some(violation.code), Some(ErrorCode::CANCEL)),
        Some(call) => malformed_response(core, call, violation.code),
        None => match past(sure!(core.connections.get(id)), stream) {
            Ok(Past::Reset) => {}
            Ok(_) => core.connections.put_reset(id, stream, violation.code, &mut core.shared),
            // RST_STREAM must not name a stream that is idle (RFC 9113, section 6.4).
            Err(_) => violated(core, id, Violation::connection(violation.code, violation.why)),
        },
    }
}
