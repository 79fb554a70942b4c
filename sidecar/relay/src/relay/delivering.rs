//! Data of a call that have come: counted, kept for another attempt, shown to the gate, and sent on.

use super::{core::Core, cutting::stream_violated, flow::send, showing::deliver_shown, transforming::transform};
use crate::{
    belief::sure,
    frame::{ErrorCode, Violation},
    gate::{Gate, RequestHook},
    keys::{CallId, Direction},
};

/// Data of a call have come; `end`: they are the last.
#[inline]
pub(super) fn deliver<G: Gate>(core: &mut Core<G>, id: CallId, direction: Direction, bytes: &[u8], end: bool) {
    let call = sure!(core.calls.get_mut(id));
    let flowing = call.flowing(direction);
    if let Some(left) = flowing.content_left {
        match left.checked_sub(bytes.len() as u64) {
            Some(left) if !end || left == 0 => flowing.content_left = Some(left),
            _ => return content_violated(core, id, direction, bytes.len()),
        }
    }
    if !call.is_direct(direction) {
        return transform(core, id, bytes, end);
    }
    call.flowing(direction).meter.count(bytes);
    if end {
        call.source_ends(direction);
    }
    if direction == Direction::Request {
        let is_shown = call.request_hook != RequestHook::Pass;
        keep(core, id, bytes);
        if is_shown {
            return deliver_shown(core, id, bytes, end);
        }
    }
    send(core, id, direction, bytes);
}

#[cold]
fn content_violated<G: Gate>(core: &mut Core<G>, id: CallId, direction: Direction, bytes: usize) {
    let source = sure!(sure!(core.calls.get(id)).source(direction).at);
    core.connections.give_back(source.connection, bytes, &mut core.shared);
    let violation = Violation::stream(ErrorCode::PROTOCOL_ERROR, "other content than content-length tells");
    stream_violated(core, source.connection, source.stream, violation);
}

/// Keeps the beginning of a request for another attempt.
#[inline]
fn keep<G: Gate>(core: &mut Core<G>, id: CallId, bytes: &[u8]) {
    let (call, large) = (sure!(core.calls.get_mut(id)), &mut core.shared.large);
    // Too much has come before, or the server has begun to answer.
    let Some(replay) = &mut call.replay else { return };
    if replay.len() + bytes.len() > core.shared.limits.replay_bytes_max {
        large.give(call.replay.take().unwrap_or_default());
        return;
    }
    if replay.capacity() == 0 {
        *replay = large.take();
    }
    replay.extend_from_slice(bytes);
}
