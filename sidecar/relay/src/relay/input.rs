//! Taking bytes in: the preface, frames as they become whole, DATA as it comes.

use super::{
    blocks, control,
    core::Core,
    cutting::{check_output, stream_violated, violated},
    data::{begin_data, take_data},
    settings,
};
use crate::{
    belief::sure,
    connection::Connection,
    frame::{self, DataShape, ErrorCode, FrameHead, HEAD_BYTES, Kind, Scope, Violation, flags},
    gate::Gate,
    keys::{ConnectionId, StreamId},
    limits::Limits,
};

const NOT_SETTINGS_FIRST: Violation = Violation::connection(ErrorCode::PROTOCOL_ERROR, "SETTINGS must come first");
const NO_PREFACE: Violation = Violation::connection(ErrorCode::PROTOCOL_ERROR, "not the preface of HTTP/2");
const BLOCK_BROKEN: Violation = Violation::connection(ErrorCode::PROTOCOL_ERROR, "a header block that another frame breaks up");
const NO_BLOCK: Violation = Violation::connection(ErrorCode::PROTOCOL_ERROR, "CONTINUATION of nothing");

/// What a frame that has begun needs.
enum Need {
    /// So many bytes before anything can be done.
    Bytes(usize),
    /// Nothing more: its data are forwarded as they come.
    Data(FrameHead, DataShape),
    /// Nothing more: it is whole.
    Frame(FrameHead),
}

/// Takes in what came.
pub(super) fn take_in<G: Gate>(core: &mut Core<G>, id: ConnectionId, bytes: &[u8]) {
    let connection = sure!(core.connections.get_mut(id));
    // Nothing that comes is of use any more.
    if connection.is_closing() {
        return;
    }
    connection.times.heard_ms = core.shared.now_ms;
    if !bytes.is_empty() {
        connection.times.pinged_ms = None;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(used) = step(core, id, rest) else { break };
        rest = rest.get(used..).unwrap_or_default();
    }
    check_output(core, id);
}

/// Takes in a part of `bytes`: so many. None: the connection is at its end.
fn step<G: Gate>(core: &mut Core<G>, id: ConnectionId, bytes: &[u8]) -> Option<usize> {
    let connection = sure!(core.connections.get_mut(id), None);
    if connection.is_closing() {
        return None;
    }
    if connection.preface_left > 0 {
        return take_preface(core, id, bytes);
    }
    if connection.data.is_some() {
        return Some(take_data(core, id, bytes));
    }
    if !connection.partial.is_empty() {
        return Some(take_partial(core, id, bytes));
    }
    match need(connection, bytes, &core.shared.limits) {
        Ok(Need::Frame(head)) => {
            frame(core, id, &head, bytes.get(HEAD_BYTES..head.frame_bytes()).unwrap_or_default());
            Some(head.frame_bytes())
        }
        Ok(Need::Data(head, shape)) => {
            begin_data(core, id, &head, shape);
            Some(HEAD_BYTES)
        }
        Ok(Need::Bytes(_)) => {
            begin_partial(core, id, bytes);
            Some(bytes.len())
        }
        Err(violation) => {
            violated(core, id, violation);
            None
        }
    }
}

fn take_preface<G: Gate>(core: &mut Core<G>, id: ConnectionId, bytes: &[u8]) -> Option<usize> {
    let connection = sure!(core.connections.get_mut(id), None);
    let left = usize::from(connection.preface_left);
    let expected = frame::PREFACE.get(frame::PREFACE.len() - left..).unwrap_or_default();
    let count = bytes.len().min(left);
    if bytes.get(..count) != expected.get(..count) {
        violated(core, id, NO_PREFACE);
        return None;
    }
    connection.preface_left -= count as u8;
    Some(count)
}

/// What the frame at the beginning of `bytes` needs.
#[inline]
fn need<G: Gate>(connection: &Connection<G>, bytes: &[u8], limits: &Limits) -> Result<Need, Violation> {
    let Some(head) = FrameHead::read(bytes) else { return Ok(Need::Bytes(HEAD_BYTES)) };
    if let Some(block) = &connection.block
        && (head.kind != Kind::Continuation || head.stream != block.stream.number())
    {
        return Err(BLOCK_BROKEN);
    }
    match head.check(limits.frame_bytes_max) {
        Err(violation) if violation.scope == Scope::Connection => return Err(violation),
        _ => {}
    }
    match head.kind {
        Kind::Continuation if connection.block.is_none() => return Err(NO_BLOCK),
        Kind::Settings if !head.has(flags::ACK) => {}
        _ if !connection.settings_came => return Err(NOT_SETTINGS_FIRST),
        Kind::Data => {
            let arrived = bytes.get(HEAD_BYTES..).unwrap_or_default();
            return match DataShape::of(&head, arrived)? {
                Some(shape) => Ok(Need::Data(head, shape)),
                None => Ok(Need::Bytes(HEAD_BYTES + 1)),
            };
        }
        _ => {}
    }
    if bytes.len() < head.frame_bytes() { Ok(Need::Bytes(head.frame_bytes())) } else { Ok(Need::Frame(head)) }
}

fn begin_partial<G: Gate>(core: &mut Core<G>, id: ConnectionId, bytes: &[u8]) {
    let shared = &mut core.shared;
    let connection = sure!(core.connections.get_mut(id));
    connection.partial = shared.outputs.take();
    connection.partial.extend_from_slice(bytes);
    if connection.block.is_none() {
        connection.times.begun_ms = shared.now_ms;
    }
    connection.wake_by(id, shared.ms_after(shared.limits.frame_timeout), &mut shared.wheel);
}

/// Adds to a frame that came in part; so many bytes were used.
fn take_partial<G: Gate>(core: &mut Core<G>, id: ConnectionId, bytes: &[u8]) -> usize {
    let mut partial = std::mem::take(&mut sure!(core.connections.get_mut(id), bytes.len()).partial);
    let mut used = 0;
    loop {
        let connection = sure!(core.connections.get_mut(id), bytes.len());
        match need(connection, &partial, &core.shared.limits) {
            Ok(Need::Bytes(needed)) => {
                let more = needed.saturating_sub(partial.len()).min(bytes.len() - used);
                if more == 0 {
                    connection.partial = partial;
                    return used;
                }
                partial.extend_from_slice(bytes.get(used..used + more).unwrap_or_default());
                used += more;
                continue;
            }
            Ok(Need::Data(head, shape)) => {
                // The pad length is all of a payload that can be here.
                begin_data(core, id, &head, shape);
                let arrived = partial.get(HEAD_BYTES..).unwrap_or_default();
                if !arrived.is_empty() {
                    take_data(core, id, arrived);
                }
            }
            Ok(Need::Frame(head)) => frame(core, id, &head, partial.get(HEAD_BYTES..head.frame_bytes()).unwrap_or_default()),
            Err(violation) => violated(core, id, violation),
        }
        core.shared.outputs.give(partial);
        return used;
    }
}

/// A frame that is whole, and no DATA.
fn frame<G: Gate>(core: &mut Core<G>, id: ConnectionId, head: &FrameHead, payload: &[u8]) {
    let done = match head.check(core.shared.limits.frame_bytes_max) {
        Err(violation) => Err(violation),
        Ok(()) => match head.kind {
            Kind::Headers => blocks::headers(core, id, head, payload),
            Kind::WindowUpdate => control::window_update(core, id, head, payload),
            Kind::Continuation => blocks::continuation(core, id, head, payload),
            Kind::Settings => settings::settings(core, id, head, payload),
            Kind::Ping => control::ping(core, id, head, payload),
            Kind::Reset => control::reset(core, id, head, payload),
            Kind::GoAway => control::goaway(core, id, payload),
            Kind::Priority => control::priority(core, id, head, payload),
            Kind::PushPromise => Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "PUSH_PROMISE, which is switched off")),
            Kind::Unknown(_) => control::unknown(core, id),
            Kind::Data => Ok(()),
        },
    };
    match done {
        Ok(()) => {}
        Err(violation) if violation.scope == Scope::Stream => {
            stream_violated(core, id, StreamId::new(head.stream), violation);
        }
        Err(violation) => violated(core, id, violation),
    }
}
