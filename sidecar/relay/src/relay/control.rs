//! Frames that carry no message: PING, RST_STREAM, GOAWAY, PRIORITY, WINDOW_UPDATE, and what is unknown.

use super::{
    assigning::not_taken,
    core::Core,
    cutting::{allows, past, stray},
    ending::{End, abandoned, end_call},
    flow::{pump, pump_waiting, release},
    retiring::{NOTICE, retire},
};
use crate::{
    belief::sure,
    connection::{CloseReason, Flood, Past, Phase},
    frame::{self, ErrorCode, FrameHead, GoAway, Priority, Reset, Violation, WindowUpdate, flags, put_ping},
    gate::Gate,
    keys::{CallId, ConnectionId, Direction, StreamId},
};

pub(super) fn ping<G: Gate>(core: &mut Core<G>, id: ConnectionId, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
    let opaque = frame::ping(payload)?;
    if head.has(flags::ACK) {
        let is_noticed = matches!(sure!(core.connections.get(id), Ok(())).phase, Phase::Noticed { .. });
        if opaque == NOTICE && is_noticed {
            retire(core, id, CloseReason::Drained);
        }
    } else if allows(core, id, Flood::Pings)
        && let Some(connection) = core.connections.writer(id, &mut core.shared)
    {
        put_ping(connection.output.buffer(), opaque, true);
    }
    Ok(())
}

pub(super) fn priority<G: Gate>(core: &mut Core<G>, id: ConnectionId, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
    if allows(core, id, Flood::Priorities) {
        Priority::read(head, payload)?;
    }
    Ok(())
}

pub(super) fn unknown<G: Gate>(core: &mut Core<G>, id: ConnectionId) -> Result<(), Violation> {
    allows(core, id, Flood::Priorities);
    Ok(())
}

pub(super) fn reset<G: Gate>(core: &mut Core<G>, id: ConnectionId, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
    let (code, stream) = (Reset::read(payload)?.code, StreamId::new(head.stream));
    let connection = sure!(core.connections.get(id), Ok(()));
    let (accepted, call) = (connection.is_accepted(), connection.streams.call(stream));
    if call.is_none() {
        past(connection, stream)?;
    }
    // A server may refuse as many calls as it likes: only who opens streams can make us work by resetting them.
    if accepted && !allows(core, id, Flood::Resets) {
        return Ok(());
    }
    match call {
        Some(call) if accepted => abandoned(core, call),
        Some(call) => reset_by_server(core, call, code),
        None => {}
    }
    Ok(())
}

/// The server broke its stream off.
fn reset_by_server<G: Gate>(core: &mut Core<G>, id: CallId, code: ErrorCode) {
    let call = sure!(core.calls.get_mut(id));
    if !call.far.state.receives() {
        // All of the answer is here; the server only wants no more of the request.
        call.far.state.stop_sending();
        let waiting = call.request.drop_queue();
        return release(core, id, Direction::Request, waiting);
    }
    if code == ErrorCode::REFUSED_STREAM && !call.is_answered() {
        let far = sure!(call.far.at);
        let connection = sure!(core.connections.get(far.connection));
        // A connection is used before the server has told how many streams it takes: then it is no reason to leave the endpoint out.
        let was_early = far.stream <= connection.early_last || connection.streams.len() > connection.peer.streams_max;
        return not_taken(core, id, was_early);
    }
    end_call(core, id, End::Reset(code), Some(code_for_caller(code)), None);
}

/// What a server's code says to the caller: what has a meaning for a call passes (gRPC, PROTOCOL-HTTP2.md, "Errors"), what speaks of
/// the server's own connection does not.
const fn code_for_caller(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::CANCEL | ErrorCode::ENHANCE_YOUR_CALM | ErrorCode::INADEQUATE_SECURITY => code,
        _ => ErrorCode::INTERNAL_ERROR,
    }
}

pub(super) fn goaway<G: Gate>(core: &mut Core<G>, id: ConnectionId, payload: &[u8]) -> Result<(), Violation> {
    let last_stream = StreamId::new(GoAway::read(payload)?.last_stream);
    let accepted = sure!(core.connections.get(id), Ok(())).is_accepted();
    retire(core, id, CloseReason::Ended);
    if accepted {
        // The client opens no more streams; there is nothing to tell it.
        return Ok(());
    }
    let keys = core.calls_on(id);
    for key in &keys {
        // What becomes of one call may end another.
        let Some(call) = core.calls.find(*key) else { continue };
        let far = core.calls.get(call).and_then(|call| call.far.at);
        if far.is_some_and(|far| far.connection == id && far.stream > last_stream) {
            not_taken(core, call, true);
        }
    }
    core.give_back(keys);
    Ok(())
}

pub(super) fn window_update<G: Gate>(
    core: &mut Core<G>,
    id: ConnectionId,
    head: &FrameHead,
    payload: &[u8],
) -> Result<(), Violation> {
    if !allows(core, id, Flood::WindowUpdates) {
        return Ok(());
    }
    let max = i64::from(frame::WINDOW_BYTES_MAX);
    let (stream, connection) = (StreamId::new(head.stream), sure!(core.connections.get_mut(id), Ok(())));
    if stream == StreamId::CONNECTION {
        connection.send_window += i64::from(WindowUpdate::read(head, payload)?.increment_bytes);
        if connection.send_window > max {
            return Err(Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, "WINDOW_UPDATE that makes the window overflow"));
        }
        pump_waiting(core, id);
        return Ok(());
    }
    let direction = connection.outgoing();
    let Some(call) = connection.streams.call(stream) else {
        // On a stream that was reset from here the peer may not know of that yet.
        if !matches!(past(connection, stream)?, Past::Reset | Past::Forgotten) {
            stray(core, id);
        }
        return Ok(());
    };
    let more = i64::from(WindowUpdate::read(head, payload)?.increment_bytes);
    let flowing = sure!(core.calls.get_mut(call), Ok(())).flowing(direction);
    flowing.send_window += more;
    if flowing.send_window > max {
        return Err(Violation::stream(ErrorCode::FLOW_CONTROL_ERROR, "WINDOW_UPDATE that makes the window overflow"));
    }
    if !flowing.queue.is_empty() {
        pump(core, call, direction);
    }
    Ok(())
}
