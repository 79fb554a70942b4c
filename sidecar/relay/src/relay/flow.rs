//! DATA on its way out: into the output it goes to, or into the queue if that has no room.

use super::{core::Core, ending::finish, waiting};
use crate::{
    belief::sure,
    gate::Gate,
    keys::{CallId, ConnectionId, Direction, FlowId},
};

/// Bytes in the queue of a transformed response below which what it was made of is given back to the server's window.
const OWED_LOW_BYTES: usize = 64 * 1024;
/// What one direction of a call may send in its turn, while others wait for the same connection.
const TURN_BYTES_MAX: usize = 64 * 1024;

/// So many bytes of one direction have left: its source may send as many again.
#[inline]
pub(super) fn release<G: Gate>(core: &mut Core<G>, id: CallId, direction: Direction, bytes: usize) {
    let half = core.shared.limits.call_window_bytes / 2;
    let call = sure!(core.calls.get_mut(id));
    let source = *call.source(direction);
    // Its connection is gone.
    let Some(at) = source.at else { return };
    if source.state.receives() {
        let flowing = call.flowing(direction);
        flowing.unreleased_bytes += bytes as u32;
        if flowing.unreleased_bytes >= half {
            let update = std::mem::take(&mut flowing.unreleased_bytes);
            flowing.receive_window += i64::from(update);
            core.connections.put_window_update(at.connection, at.stream, update, &mut core.shared);
        }
    }
    core.connections.give_back(at.connection, bytes, &mut core.shared);
}

/// Sends `bytes`, and the end if it has come: at once as far as there is room, the rest by way of the queue.
#[inline]
pub(super) fn send<G: Gate>(core: &mut Core<G>, id: CallId, direction: Direction, bytes: &[u8]) {
    let call = sure!(core.calls.get_mut(id));
    let is_queued = !call.flowing(direction).queue.is_empty();
    let Some(at) = call.sink(direction).at.filter(|_| !is_queued) else { return enqueue(core, id, direction, bytes) };
    // A connection that closes ends its calls in a moment.
    let Some(connection) = core.connections.writer(at.connection, &mut core.shared) else { return };
    if !call.sink(direction).state.sends() {
        // The server wants no more of the request: what comes is only given back.
        return release(core, id, direction, bytes.len());
    }
    let is_direct = call.is_direct(direction);
    let has_ended = !call.source(direction).state.receives();
    let flowing = call.flowing(direction);
    let count = bytes.len().min(connection.room(&core.shared.limits)).min(flowing.window());
    let (now, later) = bytes.split_at(count);
    let end = has_ended && flowing.trailers.is_empty() && later.is_empty();
    if count > 0 || end {
        connection.put_data(at.stream, now, end, &core.shared.limits);
        flowing.send_window -= count as i64;
        if end {
            call.sink_ends(direction);
        }
    }
    if !later.is_empty() {
        enqueue(core, id, direction, later);
    }
    if is_direct && count > 0 {
        release(core, id, direction, count);
    }
    if end && direction == Direction::Response {
        finish(core, id);
    }
}

#[cold]
fn enqueue<G: Gate>(core: &mut Core<G>, id: CallId, direction: Direction, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let shared = &mut core.shared;
    let call = sure!(core.calls.get_mut(id));
    let flowing = call.flowing(direction);
    if flowing.queue.is_empty() {
        flowing.moved_ms = shared.now_ms;
    }
    flowing.queue.furnish(|| shared.large.take());
    flowing.queue.buffer().extend_from_slice(bytes);
    if let Some(at) = call.sink(direction).at {
        call.wake_by(id, shared.ms_after(shared.limits.call_stall_timeout), &mut shared.wheel);
        if core.connections.is_full(at.connection, &shared.limits) {
            waiting::wait(core, id, direction);
        }
    }
}

/// Sends what waits, as far as there is room, and the end once nothing waits.
pub(super) fn pump<G: Gate>(core: &mut Core<G>, id: CallId, direction: Direction) {
    pump_some(core, id, direction, usize::MAX);
}

/// As [`pump`], but not more than `bytes_max`.
fn pump_some<G: Gate>(core: &mut Core<G>, id: CallId, direction: Direction, bytes_max: usize) {
    let call = sure!(core.calls.get_mut(id));
    // What has no sink yet waits for that, and a connection that closes ends its calls in a moment.
    let Some(at) = call.sink(direction).at else { return };
    let Some(connection) = core.connections.writer(at.connection, &mut core.shared) else { return };
    if !call.sink(direction).state.sends() {
        return;
    }
    let (is_direct, has_ended) = (call.is_direct(direction), !call.source(direction).state.receives());
    let flowing = call.flowing(direction);
    let room = connection.room(&core.shared.limits).min(flowing.window()).min(bytes_max);
    let count = flowing.queue.len().min(room);
    let is_last = count == flowing.queue.len();
    let end = has_ended && flowing.trailers.is_empty() && is_last;
    if count > 0 || end {
        let part = flowing.queue.waiting().get(..count).unwrap_or_default();
        connection.put_data(at.stream, part, end, &core.shared.limits);
        flowing.queue.advance(count);
        flowing.send_window -= count as i64;
        flowing.moved_ms = core.shared.now_ms;
    }
    let prepaid = count.min(flowing.prepaid_bytes);
    flowing.prepaid_bytes -= prepaid;
    if is_last {
        core.shared.large.give(flowing.queue.take_buffer());
    }
    if end {
        call.sink_ends(direction);
    }
    if is_last {
        end_with_trailers(core, id, direction);
    } else if core.connections.is_full(at.connection, &core.shared.limits) || count == bytes_max {
        waiting::wait(core, id, direction);
    }
    if is_direct && count > prepaid {
        release(core, id, direction, count - prepaid);
    } else if !is_direct {
        release_owed(core, id);
    }
    if direction == Direction::Response && !sure!(core.calls.get(id)).near.state.sends() {
        finish(core, id);
    }
}

/// Sends the trailers that waited behind the data.
fn end_with_trailers<G: Gate>(core: &mut Core<G>, id: CallId, direction: Direction) {
    let call = sure!(core.calls.get_mut(id));
    if call.source(direction).state.receives() || !call.sink(direction).state.sends() {
        return;
    }
    let at = sure!(call.sink(direction).at);
    call.sink_ends(direction);
    // They are kept: a request may be sent again.
    let trailers = &call.flowing(direction).trailers;
    core.connections.put_block(at.connection, at.stream, trailers, true, &mut core.shared);
}

/// Gives back to the server's window what went into transformed messages, once few of them wait.
pub(super) fn release_owed<G: Gate>(core: &mut Core<G>, id: CallId) {
    let response = &mut sure!(core.calls.get_mut(id)).response;
    if response.owed_bytes > 0 && response.queue.len() <= OWED_LOW_BYTES {
        let owed = std::mem::take(&mut response.owed_bytes);
        release(core, id, Direction::Response, owed);
    }
}

/// Lets those that wait for a connection send, in turn, while there is room.
pub(super) fn pump_waiting<G: Gate>(core: &mut Core<G>, id: ConnectionId) {
    loop {
        let connection = sure!(core.connections.get(id));
        let Some(FlowId { call, direction }) = connection.waiting.first() else { return };
        if connection.is_closing() || connection.room(&core.shared.limits) == 0 {
            return;
        }
        waiting::wait_no_more(core, call, direction);
        pump_some(core, call, direction, TURN_BYTES_MAX);
    }
}
