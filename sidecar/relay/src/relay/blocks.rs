//! Header blocks: gathered over CONTINUATION, and handed to whom they concern.

use super::{
    core::Core,
    cutting::{allows, breach, past, stray},
    requests::{block_limits, request_head, request_trailers},
    responses::response_block,
};
use crate::{
    belief::sure,
    call::At,
    connection::{Block, CloseReason, Flood, Past, Phase},
    counters::Breach,
    frame::{ErrorCode, FrameHead, Headers, Violation, flags},
    gate::Gate,
    hpack::Fault,
    keys::{ConnectionId, StreamId},
};

pub(super) fn headers<G: Gate>(core: &mut Core<G>, id: ConnectionId, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
    let headers = Headers::read(head, payload)?;
    let stream = StreamId::new(head.stream);
    let depends_on_itself = headers.check_priority(head.stream).is_err();
    let end_stream = head.has(flags::END_STREAM);
    if headers.fragment.len() > core.shared.limits.header_block_bytes_max as usize {
        breach(core, id, Breach::HeaderBlock);
        return Ok(());
    }
    if head.has(flags::END_HEADERS) {
        return whole_block(core, At { connection: id, stream }, end_stream, depends_on_itself, headers.fragment);
    }
    let shared = &mut core.shared;
    let mut bytes = shared.outputs.take();
    bytes.extend_from_slice(headers.fragment);
    let connection = sure!(core.connections.get_mut(id), Ok(()));
    connection.block = Some(Block { stream, end_stream, depends_on_itself, continuations: 0, bytes });
    connection.times.begun_ms = shared.now_ms;
    connection.wake_by(id, shared.ms_after(shared.limits.frame_timeout), &mut shared.wheel);
    Ok(())
}

pub(super) fn continuation<G: Gate>(
    core: &mut Core<G>,
    id: ConnectionId,
    head: &FrameHead,
    payload: &[u8],
) -> Result<(), Violation> {
    let limits = &core.shared.limits;
    let connection = sure!(core.connections.get_mut(id), Ok(()));
    let block = sure!(&mut connection.block, Ok(()));
    block.continuations += 1;
    if block.continuations > limits.continuations_max {
        breach(core, id, Breach::Continuations);
        return Ok(());
    }
    if block.bytes.len() + payload.len() > limits.header_block_bytes_max as usize {
        breach(core, id, Breach::HeaderBlock);
        return Ok(());
    }
    block.bytes.extend_from_slice(payload);
    if !head.has(flags::END_HEADERS) {
        return Ok(());
    }
    let block = sure!(connection.block.take(), Ok(()));
    let at = At { connection: id, stream: block.stream };
    let done = whole_block(core, at, block.end_stream, block.depends_on_itself, &block.bytes);
    core.shared.outputs.give(block.bytes);
    done
}

#[inline]
fn whole_block<G: Gate>(
    core: &mut Core<G>,
    at: At,
    end_stream: bool,
    depends_on_itself: bool,
    block: &[u8],
) -> Result<(), Violation> {
    let At { connection: id, stream } = at;
    let connection = sure!(core.connections.get(id), Ok(()));
    let accepted = connection.is_accepted();
    if let Some(call) = connection.streams.call(stream) {
        return if accepted {
            request_trailers(core, at, call, block, end_stream)
        } else {
            response_block(core, id, call, block, end_stream)
        };
    }
    let is_new = accepted && stream.is_clients() && stream > connection.recent.last();
    if !is_new {
        read_past(core, id, block)?;
        return stray_headers(core, id, stream);
    }
    if depends_on_itself {
        read_past(core, id, block)?;
        sure!(core.connections.get_mut(id), Ok(())).note_stream(stream, &core.shared.limits);
        return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "a stream that depends on itself"));
    }
    if takes_stream(core, id, stream) { request_head(core, at, block, end_stream) } else { read_past(core, id, block) }
}

/// Whether a new stream becomes a call; it is put down in any case.
fn takes_stream<G: Gate>(core: &mut Core<G>, id: ConnectionId, stream: StreamId) -> bool {
    let connection = sure!(core.connections.get_mut(id), false);
    let too_many = connection.streams.len() >= core.shared.limits.calls_per_connection_max;
    connection.note_stream(stream, &core.shared.limits);
    if matches!(connection.phase, Phase::Retired(why) if why != CloseReason::Ended) {
        // Above the last stream that our GOAWAY named: the peer knows that it was not taken. What follows on it is ignored.
        connection.recent.reset(stream);
        return false;
    }
    if too_many {
        core.shared.counters.breach(Breach::Streams);
        if allows(core, id, Flood::Resets) {
            core.connections.put_reset(id, stream, ErrorCode::REFUSED_STREAM, &mut core.shared);
        }
    }
    !too_many
}

/// Decodes a block that nobody wants: the table must be kept (RFC 9113, section 4.3).
fn read_past<G: Gate>(core: &mut Core<G>, id: ConnectionId, block: &[u8]) -> Result<(), Violation> {
    let limits = block_limits(&core.shared);
    let connection = sure!(core.connections.get_mut(id), Ok(()));
    match connection.decoder.fields(block, &mut core.shared.scratch.block, &limits) {
        Err(fault @ Fault::Compression(_)) => Err(fault.violation()),
        _ => Ok(()),
    }
}

/// HEADERS on a stream that is not open and cannot be opened.
fn stray_headers<G: Gate>(core: &mut Core<G>, id: ConnectionId, stream: StreamId) -> Result<(), Violation> {
    match past(sure!(core.connections.get(id), Ok(())), stream)? {
        Past::Reset | Past::Forgotten => {
            stray(core, id);
            Ok(())
        }
        Past::Ended => Err(Violation::connection(ErrorCode::STREAM_CLOSED, "HEADERS on a stream that has ended")),
        Past::Skipped => Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "a stream below one that was opened")),
    }
}
