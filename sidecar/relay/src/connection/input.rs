//! Taking bytes in: the preface, frames as they become whole, DATA as it comes.

use super::{CloseReason, Connection, DataFrame};
use crate::{
    Relay,
    frame::{self, DataShape, ErrorCode, FrameHead, HEAD_BYTES, Kind, Scope, Violation, flags},
    gate::Gate,
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

impl<G: Gate> Relay<G> {
    /// Takes in what came.
    pub(crate) fn take_in(&mut self, slot: u32, bytes: &[u8]) {
        let now_ms = self.now_ms;
        match self.connections.get_mut(slot) {
            Some(connection) if !connection.is_closing() => {
                connection.times.heard_ms = now_ms;
                connection.times.pinged_ms = connection.times.pinged_ms.filter(|_| bytes.is_empty());
            }
            _ => return,
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(used) = self.step(slot, rest) else { return };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Takes in a part of `bytes`: so many. None: the connection is at its end.
    fn step(&mut self, slot: u32, bytes: &[u8]) -> Option<usize> {
        let connection = self.connections.get_mut(slot)?;
        if connection.is_closing() {
            return None;
        }
        if connection.preface_left > 0 {
            return self.take_preface(slot, bytes);
        }
        if connection.data.is_some() {
            return Some(self.take_data(slot, bytes));
        }
        if !connection.partial.is_empty() {
            return self.take_partial(slot, bytes);
        }
        match self.need(slot, bytes) {
            Ok(Need::Frame(head)) => {
                self.frame(slot, &head, bytes.get(HEAD_BYTES..head.frame_bytes()).unwrap_or_default());
                Some(head.frame_bytes())
            }
            Ok(Need::Data(head, shape)) => {
                self.begin_data(slot, &head, shape);
                Some(HEAD_BYTES)
            }
            Ok(Need::Bytes(_)) => {
                self.begin_partial(slot, bytes);
                Some(bytes.len())
            }
            Err(violation) => {
                self.violated(slot, violation);
                None
            }
        }
    }

    fn take_preface(&mut self, slot: u32, bytes: &[u8]) -> Option<usize> {
        let connection = self.connections.get_mut(slot)?;
        let left = usize::from(connection.preface_left);
        let expected = frame::PREFACE.get(frame::PREFACE.len() - left..).unwrap_or_default();
        let count = bytes.len().min(left);
        if bytes.get(..count) != expected.get(..count) {
            self.violated(slot, NO_PREFACE);
            return None;
        }
        connection.preface_left -= count as u8;
        Some(count)
    }

    /// What the frame at the beginning of `bytes` needs.
    #[inline]
    fn need(&self, slot: u32, bytes: &[u8]) -> Result<Need, Violation> {
        let Some(head) = FrameHead::read(bytes) else { return Ok(Need::Bytes(HEAD_BYTES)) };
        let Some(connection) = self.connections.get(slot) else { return Ok(Need::Bytes(0)) };
        if connection.block.stream != 0 && (head.kind != Kind::Continuation || head.stream != connection.block.stream) {
            return Err(BLOCK_BROKEN);
        }
        match head.check(self.limits.frame_bytes_max) {
            Err(violation) if violation.scope == Scope::Connection => return Err(violation),
            _ => {}
        }
        match head.kind {
            Kind::Continuation if connection.block.stream == 0 => return Err(NO_BLOCK),
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

    fn begin_partial(&mut self, slot: u32, bytes: &[u8]) {
        let mut buffer = self.outputs.take();
        buffer.extend_from_slice(bytes);
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.partial = buffer;
            if connection.block.stream == 0 {
                connection.times.begun_ms = self.now_ms;
            }
        }
        let due_ms = self.ms_after(self.limits.frame_timeout);
        self.wake_by(slot, due_ms);
    }

    /// Adds to a frame that came in part.
    fn take_partial(&mut self, slot: u32, bytes: &[u8]) -> Option<usize> {
        let mut partial = std::mem::take(&mut self.connections.get_mut(slot)?.partial);
        let mut used = 0;
        let done = loop {
            match self.need(slot, &partial) {
                Ok(Need::Bytes(needed)) => {
                    let more = needed.saturating_sub(partial.len()).min(bytes.len() - used);
                    if more == 0 {
                        break false;
                    }
                    partial.extend_from_slice(bytes.get(used..used + more).unwrap_or_default());
                    used += more;
                }
                Ok(Need::Data(head, shape)) => {
                    // The pad length is all of a payload that can be here.
                    self.begin_data(slot, &head, shape);
                    let arrived = partial.get(HEAD_BYTES..).unwrap_or_default();
                    if !arrived.is_empty() {
                        self.take_data(slot, arrived);
                    }
                    break true;
                }
                Ok(Need::Frame(head)) => {
                    self.frame(slot, &head, partial.get(HEAD_BYTES..head.frame_bytes()).unwrap_or_default());
                    break true;
                }
                Err(violation) => {
                    self.violated(slot, violation);
                    break true;
                }
            }
        };
        match self.connections.get_mut(slot) {
            Some(connection) if !done => connection.partial = partial,
            _ => self.outputs.give(partial),
        }
        Some(used)
    }

    /// A frame that is whole, and no DATA.
    fn frame(&mut self, slot: u32, head: &FrameHead, payload: &[u8]) {
        let done = match head.check(self.limits.frame_bytes_max) {
            Err(violation) => Err(violation),
            Ok(()) => match head.kind {
                Kind::Headers => self.headers(slot, head, payload),
                Kind::WindowUpdate => self.window_update(slot, head, payload),
                Kind::Continuation => self.continuation(slot, head, payload),
                Kind::Settings => self.settings(slot, head, payload),
                Kind::Ping => self.ping(slot, head, payload),
                Kind::Reset => self.reset(slot, head, payload),
                Kind::GoAway => self.goaway(slot, payload),
                Kind::Priority => self.priority(slot, head, payload),
                Kind::PushPromise => Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "PUSH_PROMISE, which is switched off")),
                Kind::Unknown(_) => self.unknown(slot),
                Kind::Data => Ok(()),
            },
        };
        match done {
            Ok(()) => {}
            Err(violation) if violation.scope == Scope::Stream => self.stream_violated(slot, head.stream, violation),
            Err(violation) => self.violated(slot, violation),
        }
    }

    /// Ends a connection whose peer broke a rule.
    pub(crate) fn violated(&mut self, slot: u32, violation: Violation) {
        if self.connections.get(slot).is_none_or(Connection::is_closing) {
            return;
        }
        self.counters.violations += 1;
        self.shut(slot, CloseReason::Protocol(violation), violation.code, violation.why);
    }

    /// Data of the frame that is under way; so many bytes were used.
    fn take_data(&mut self, slot: u32, bytes: &[u8]) -> usize {
        let Some(connection) = self.connections.get_mut(slot) else { return bytes.len() };
        let Some(data) = &mut connection.data else { return 0 };
        let lead = bytes.len().min(data.lead_bytes as usize);
        data.lead_bytes -= lead as u32;
        let rest = bytes.get(lead..).unwrap_or_default();
        let count = rest.len().min(data.data_bytes as usize);
        data.data_bytes -= count as u32;
        let after = rest.get(count..).unwrap_or_default();
        let trail = if data.lead_bytes == 0 && data.data_bytes == 0 { after.len().min(data.trail_bytes as usize) } else { 0 };
        data.trail_bytes -= trail as u32;
        let DataFrame { end_stream, call, lead_bytes, data_bytes, trail_bytes } = *data;
        let is_whole = lead_bytes == 0 && data_bytes == 0 && trail_bytes == 0;
        if is_whole {
            connection.data = None;
        }
        if let Some(call) = call
            && let Some(call) = self.calls.find(call.slot, call.generation)
        {
            let way = if connection.is_accepted() { crate::call::Way::Request } else { crate::call::Way::Response };
            let piece = rest.get(..count).unwrap_or_default();
            if count > 0 || (is_whole && end_stream) {
                self.deliver(call, way, piece, is_whole && end_stream);
            }
        } else if count > 0 {
            self.release_connection(slot, count);
        }
        lead + count + trail
    }
}
