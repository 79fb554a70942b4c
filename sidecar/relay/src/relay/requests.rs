//! A call comes: its head is read, the gate decides, and it is entered. Later, perhaps, its trailers.

use super::{assigning::go_on, core::Core, flow::pump, refusing::put_reply, showing::show_data};
use crate::{
    belief::sure,
    call::{At, Call},
    counters::Breach,
    frame::{ErrorCode, Violation},
    gate::{Gate, Opening},
    head::{scan_request, scan_trailers_onward},
    hpack::{BlockLimits, Fault},
    keys::{CallId, Direction},
    shared::Shared,
};

/// The limits that header lists are read with.
pub(super) const fn block_limits(shared: &Shared) -> BlockLimits {
    BlockLimits { header_list_bytes_max: shared.limits.header_list_bytes_max, fields_max: shared.limits.header_fields_max }
}

/// What a fault of a header block leads to.
pub(super) fn fault(shared: &mut Shared, fault: Fault) -> Violation {
    if matches!(fault, Fault::ListTooLarge | Fault::TooManyFields) {
        shared.counters.breach(Breach::HeaderList);
    }
    fault.violation()
}

/// The head of a request has come on a new stream.
///
/// # Errors
/// What is wrong with it.
pub(super) fn request_head<G: Gate>(core: &mut Core<G>, near: At, block: &[u8], end_stream: bool) -> Result<(), Violation> {
    let limits = block_limits(&core.shared);
    let mut onward = core.shared.small.take();
    let connection = sure!(core.connections.get_mut(near.connection), Ok(()));
    let origin = sure!(connection.role.origin(), Ok(()));
    let scratch = &mut core.shared.scratch;
    let found = connection
        .decoder
        .fields(block, &mut scratch.block, &limits)
        .and_then(|fields| scan_request(fields, &mut onward, &mut scratch.tracestate, &mut scratch.values));
    let found = match found {
        Ok(found) => found,
        Err(found) => {
            core.shared.small.give(onward);
            core.shared.counters.malformed_requests += 1;
            return Err(fault(&mut core.shared, found));
        }
    };
    let content_left = found.content_bytes;
    if end_stream && content_left.is_some_and(|bytes| bytes > 0) {
        core.shared.small.give(onward);
        core.shared.counters.malformed_requests += 1;
        return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "content-length of a request without content"));
    }
    core.shared.counters.calls += 1;
    let head = found.head(&scratch.values, end_stream);
    core.reply.clear();
    let opening = core.gate.open(origin, &head, core.calls.next_key(), core.shared.now, &mut core.reply);
    if !head.is_tracestate_dropped() {
        onward.extend_from_slice(&scratch.tracestate);
    }
    match opening {
        Opening::Refuse => {
            core.shared.small.give(onward);
            put_reply(core, near, false);
            if !end_stream {
                core.connections.put_reset(near.connection, near.stream, ErrorCode::NO_ERROR, &mut core.shared);
            }
        }
        Opening::Forward { call: own, deadline, request, response, awaits_answer } => {
            // Made where it lies from now on: a call is too large to be handed around.
            let id = core.calls.insert(Call::new(own, near, core.shared.limits.call_window_bytes));
            let call = sure!(core.calls.get_mut(id), Ok(()));
            (call.head, call.request.content_left) = (onward, content_left);
            (call.request_hook, call.response_hook, call.awaits_answer) = (request, response, awaits_answer);
            call.times.deadline = deadline;
            enter(core, near, id, end_stream);
        }
    }
    Ok(())
}

/// Has a call that was made begin.
fn enter<G: Gate>(core: &mut Core<G>, near: At, id: CallId, end_stream: bool) {
    let connection = sure!(core.connections.get_mut(near.connection));
    let call = sure!(core.calls.get_mut(id));
    connection.streams.insert(near.stream, id);
    call.response.send_window = connection.peer.window_bytes;
    if end_stream {
        call.source_ends(Direction::Request);
    }
    core.endpoints.retries.earn();
    if let Some(deadline) = call.times.deadline {
        call.times.deadline_ms = core.shared.ms_at(deadline);
        call.wake_by(id, call.times.deadline_ms, &mut core.shared.wheel);
    }
    let key = core.calls.key_of(id);
    if end_stream {
        show_data(core, id, &[], true);
    }
    // The gate may have cut it.
    if core.calls.find(key).is_some() {
        go_on(core, id);
    }
}

/// HEADERS on a stream whose request is under way: trailers.
///
/// # Errors
/// What is wrong with them.
pub(super) fn request_trailers<G: Gate>(
    core: &mut Core<G>,
    near: At,
    id: CallId,
    block: &[u8],
    end_stream: bool,
) -> Result<(), Violation> {
    let limits = block_limits(&core.shared);
    let call = sure!(core.calls.get_mut(id), Ok(()));
    let is_ended = !call.near.state.receives();
    let connection = sure!(core.connections.get_mut(near.connection), Ok(()));
    let mut trailers = core.shared.small.take();
    // What comes after the end is decoded for the table's sake only.
    let read = connection
        .decoder
        .fields(block, &mut core.shared.scratch.block, &limits)
        .and_then(|fields| if is_ended { Ok(()) } else { scan_trailers_onward(fields, &mut trailers) });
    if let Err(found) = read {
        return Err(fault(&mut core.shared, found));
    }
    if is_ended {
        return Err(Violation::stream(ErrorCode::STREAM_CLOSED, "HEADERS after the end of the stream"));
    }
    if !end_stream {
        return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "HEADERS in the midst of a request"));
    }
    if call.request.lacks_content() {
        return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "less content than content-length tells"));
    }
    call.request.trailers = trailers;
    call.source_ends(Direction::Request);
    let key = core.calls.key_of(id);
    show_data(core, id, &[], true);
    // The gate may have cut it, and then perhaps nobody would take it.
    if core.calls.find(key).is_some() {
        go_on(core, id);
    }
    if core.calls.find(key).is_some() {
        pump(core, id, Direction::Request);
    }
    Ok(())
}
