//! The response's head and trailers on their way back.

use std::num::NonZeroU16;

use super::{
    core::Core,
    cutting::allows,
    ending::finish,
    flow::pump,
    requests::{block_limits, fault},
};
use crate::{
    belief::sure,
    connection::Flood,
    frame::{ErrorCode, Violation},
    gate::{Back, Gate, ResponseHook},
    head::{Answer, HeadWriter, Part, scan_response},
    keys::{CallId, ConnectionId, Direction},
};

/// HEADERS on the stream of a call that is on a connection to an endpoint.
///
/// # Errors
/// What is wrong with them.
pub(super) fn response_block<G: Gate>(
    core: &mut Core<G>,
    on: ConnectionId,
    id: CallId,
    block: &[u8],
    end_stream: bool,
) -> Result<(), Violation> {
    let limits = block_limits(&core.shared);
    let (call, connection) = (sure!(core.calls.get_mut(id), Ok(())), sure!(core.connections.get_mut(on), Ok(())));
    let part = if call.is_answered() { Part::Trailers } else { Part::Head };
    let keeps_length = call.response_hook == ResponseHook::Pass;
    let scratch = &mut core.shared.scratch;
    scratch.written.clear();
    scratch.refused.clear();
    let read = connection
        .decoder
        .fields(block, &mut scratch.block, &limits)
        .and_then(|fields| scan_response(fields, part, keeps_length, &mut scratch.written, &mut scratch.refused));
    let answer = match read {
        Ok(answer) => answer,
        Err(found) => return Err(fault(&mut core.shared, found)),
    };
    if !call.far.state.receives() {
        return Err(Violation::stream(ErrorCode::STREAM_CLOSED, "HEADERS after the end of the stream"));
    }
    match (part, answer.http_status.and_then(NonZeroU16::new)) {
        (Part::Head, Some(status)) if (100..200).contains(&status.get()) => informational(core, on, id, status, end_stream),
        (Part::Head, status) => response_head(core, id, sure!(status, Ok(())), &answer, end_stream),
        (Part::Trailers, _) if !end_stream => {
            Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "HEADERS in the midst of a response"))
        }
        (Part::Trailers, _) => response_trailers(core, id, &answer),
    }
}

/// A head that only says that another will come (RFC 9110, section 15.2).
fn informational<G: Gate>(
    core: &mut Core<G>,
    on: ConnectionId,
    id: CallId,
    status: NonZeroU16,
    end_stream: bool,
) -> Result<(), Violation> {
    // 101 is none of HTTP/2 (RFC 9113, section 8.6).
    if end_stream || status.get() == 101 {
        return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "an informational response that is none"));
    }
    let near = sure!(sure!(core.calls.get(id), Ok(())).near.at, Ok(()));
    if allows(core, on, Flood::Priorities) {
        let block = std::mem::take(&mut core.shared.scratch.written);
        core.connections.put_block(near.connection, near.stream, &block, false, &mut core.shared);
        core.shared.scratch.written = block;
    }
    Ok(())
}

fn response_head<G: Gate>(
    core: &mut Core<G>,
    id: CallId,
    status: NonZeroU16,
    answer: &Answer,
    end_stream: bool,
) -> Result<(), Violation> {
    if end_stream && answer.content_bytes.is_some_and(|bytes| bytes > 0) {
        return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "content-length of a response without content"));
    }
    let call = sure!(core.calls.get_mut(id), Ok(()));
    call.answered.http_status = Some(status);
    call.response.content_left = answer.content_bytes;
    // From here on the other side has taken the call, and nothing will be sent again.
    core.shared.large.give(call.replay.take().unwrap_or_default());
    core.shared.small.give(std::mem::take(&mut call.head));
    let endpoint = sure!(call.endpoint(), Ok(()));
    take_verdict(core, id, answer);
    put_back(core, id, Back::Head { end: end_stream });
    core.endpoints.answered(endpoint, &mut core.shared);
    if end_stream {
        let call = sure!(core.calls.get_mut(id), Ok(()));
        call.source_ends(Direction::Response);
        call.sink_ends(Direction::Response);
        finish(core, id);
    }
    Ok(())
}

fn response_trailers<G: Gate>(core: &mut Core<G>, id: CallId, answer: &Answer) -> Result<(), Violation> {
    let call = sure!(core.calls.get_mut(id), Ok(()));
    if call.response.lacks_content() {
        return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "less content than content-length tells"));
    }
    if !call.gathered_back.is_empty() {
        return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "trailers in the midst of a message"));
    }
    call.source_ends(Direction::Response);
    let waits = !call.response.queue.is_empty();
    take_verdict(core, id, answer);
    let part = Back::Trailers { refused: sure!(core.calls.get(id), Ok(())).answered.refused.is_some() };
    if !waits {
        put_back(core, id, part);
        sure!(core.calls.get_mut(id), Ok(())).sink_ends(Direction::Response);
        finish(core, id);
        return Ok(());
    }
    let mut trailers = core.shared.small.take();
    trailers.extend_from_slice(&core.shared.scratch.written);
    let call = sure!(core.calls.get_mut(id), Ok(()));
    core.gate.write_back(&call.own, part, &mut HeadWriter::new(&mut trailers));
    call.response.trailers = trailers;
    pump(core, id, Direction::Response);
    Ok(())
}

/// Puts down how the call went.
#[inline]
fn take_verdict<G: Gate>(core: &mut Core<G>, id: CallId, answer: &Answer) {
    let answered = &mut sure!(core.calls.get_mut(id)).answered;
    answered.grpc_status = answer.grpc_status.or(answered.grpc_status);
    if answer.refused {
        let refused = answered.refused.get_or_insert_default();
        refused.clear();
        refused.extend_from_slice(&core.shared.scratch.refused);
    }
}

/// Appends the block that was read, with what the gate adds.
#[inline]
fn put_back<G: Gate>(core: &mut Core<G>, id: CallId, part: Back) {
    let call = sure!(core.calls.get(id));
    let near = sure!(call.near.at);
    // A connection that closes ends its calls in a moment.
    let Some(connection) = core.connections.writer(near.connection, &mut core.shared) else { return };
    let end = matches!(part, Back::Head { end: true } | Back::Trailers { .. });
    let writer = connection.begin_block(near.stream);
    let out = connection.output.buffer();
    out.extend_from_slice(&core.shared.scratch.written);
    core.gate.write_back(&call.own, part, &mut HeadWriter::new(out));
    connection.end_block(writer, end);
}
