//! DATA on its way: from the frame that brought it into the output it goes to, or into the queue if that has no room.

use super::{Call, Flowing, Way};
use crate::{
    Relay,
    connection::Connection,
    frame::{ErrorCode, Violation, put_data_head},
    gate::{Gate, RequestHook, ResponseHook},
    limits::Limits,
};

/// Bytes in the queue of a transformed response below which what it was made of is given back to the server's window.
const OWED_LOW_BYTES: usize = 64 * 1024;

/// Appends `bytes` as DATA; an end without bytes is an empty frame.
#[inline]
fn put_data<G: Gate>(connection: &mut Connection<G>, stream: u32, bytes: &[u8], end: bool, limits: &Limits) {
    let frame_bytes_max = connection.peer.frame_bytes_max as usize;
    let out = connection.output.buffer();
    connection.send_window -= bytes.len() as i64;
    let mut rest = bytes;
    loop {
        let (part, after) = rest.split_at(rest.len().min(frame_bytes_max));
        put_data_head(out, stream, part.len() as u32, end && after.is_empty());
        out.extend_from_slice(part);
        connection.guard.data_sent(limits);
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

impl Flowing {
    /// What the receiver's window leaves.
    #[inline]
    fn window(&self) -> usize {
        usize::try_from(self.send_window).unwrap_or(0)
    }
}

impl<G: Gate> Call<G> {
    /// Whether what leaves is given back to the source as it leaves; else messages are transformed, and give it back by themselves.
    #[inline]
    pub(crate) fn is_direct(&self, way: Way) -> bool {
        way == Way::Request || self.response_hook == ResponseHook::Pass
    }
}

impl<G: Gate> Relay<G> {
    /// Data of a call have come; `end`: they are the last.
    #[inline]
    pub(crate) fn deliver(&mut self, call: u32, way: Way, bytes: &[u8], end: bool) {
        let Some(held) = self.calls.get_mut(call) else { return };
        let is_transformed = !held.is_direct(way);
        let flowing = held.flowing(way);
        if let Some(left) = flowing.content_left {
            match left.checked_sub(bytes.len() as u64) {
                Some(left) if !end || left == 0 => flowing.content_left = Some(left),
                _ => return self.content_violated(call, way, bytes.len()),
            }
        }
        if is_transformed {
            return self.transform(call, bytes, end);
        }
        flowing.source_ended |= end;
        flowing.meter.count(bytes);
        if way == Way::Request {
            if held.replay.is_whole {
                self.keep(call, bytes);
            }
            if self.calls.get(call).is_some_and(|held| held.request_hook != RequestHook::Pass) {
                return self.deliver_hooked(call, bytes, end);
            }
        }
        self.send(call, way, bytes);
    }

    #[cold]
    fn content_violated(&mut self, call: u32, way: Way, bytes: usize) {
        let Some(held) = self.calls.get(call) else { return };
        let source = held.source(way);
        self.release_connection(source.connection, bytes);
        let violation = Violation::stream(ErrorCode::PROTOCOL_ERROR, "other content than content-length tells");
        self.stream_violated(source.connection, source.stream, violation);
    }

    /// Keeps the beginning of a request for another attempt.
    #[inline]
    fn keep(&mut self, call: u32, bytes: &[u8]) {
        let Some(held) = self.calls.get_mut(call) else { return };
        let replay = &mut held.replay;
        if replay.bytes.len() + bytes.len() > self.limits.replay_bytes_max {
            replay.is_whole = false;
            self.large.give(std::mem::take(&mut replay.bytes));
            return;
        }
        if replay.bytes.capacity() == 0 {
            replay.bytes = self.large.take();
        }
        replay.bytes.extend_from_slice(bytes);
    }

    /// Sends `bytes`, and the end if it has come: at once as far as there is room, the rest by way of the queue.
    #[inline]
    pub(crate) fn send(&mut self, call: u32, way: Way, bytes: &[u8]) {
        let Some(held) = self.calls.get(call) else { return };
        let sink = held.sink(way);
        let is_queued = match way {
            Way::Request => !held.request.queue.is_empty(),
            Way::Response => !held.response.queue.is_empty(),
        };
        if is_queued || !sink.is_somewhere() {
            return self.enqueue(call, way, bytes);
        }
        if self.writer(sink.connection).is_none() {
            return;
        }
        let (Some(held), Some(connection)) = (self.calls.get_mut(call), self.connections.get_mut(sink.connection)) else {
            return;
        };
        let is_direct = held.is_direct(way);
        let flowing = held.flowing(way);
        if flowing.sink_ended {
            // The server wants no more of the request: what comes is only given back.
            return self.release(call, way, bytes.len());
        }
        let count = bytes.len().min(connection.room(&self.limits)).min(flowing.window());
        let (now, later) = bytes.split_at(count);
        let end = flowing.source_ended && flowing.trailers.is_empty() && later.is_empty();
        if count > 0 || end {
            put_data(connection, sink.stream, now, end, &self.limits);
            flowing.send_window -= count as i64;
            flowing.sink_ended = end;
        }
        if !later.is_empty() {
            self.enqueue(call, way, later);
        }
        if is_direct && count > 0 {
            self.release(call, way, count);
        }
        if end && way == Way::Response {
            self.finish(call);
        }
    }

    #[cold]
    fn enqueue(&mut self, call: u32, way: Way, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let now_ms = self.now_ms;
        let Some(held) = self.calls.get_mut(call) else { return };
        let sink = held.sink(way);
        let flowing = held.flowing(way);
        if flowing.queue.is_empty() {
            flowing.moved_ms = now_ms;
        }
        let large = &mut self.large;
        flowing.queue.furnish(|| large.take());
        flowing.queue.buffer().extend_from_slice(bytes);
        if sink.is_somewhere() {
            if self.is_full(sink.connection) {
                self.wait(call, way);
            }
            let stalled_ms = self.ms_after(self.limits.call_stall_timeout);
            self.wake_call_by(call, stalled_ms);
        }
    }

    /// Sends what waits, as far as there is room, and the end once nothing waits.
    pub(crate) fn pump(&mut self, call: u32, way: Way) {
        self.pump_some(call, way, usize::MAX);
    }

    /// As [`Relay::pump`], but not more than `bytes_max`.
    pub(crate) fn pump_some(&mut self, call: u32, way: Way, bytes_max: usize) {
        let Some(held) = self.calls.get(call) else { return };
        let sink = held.sink(way);
        if !sink.is_somewhere() || self.writer(sink.connection).is_none() {
            return;
        }
        let (Some(held), Some(connection)) = (self.calls.get_mut(call), self.connections.get_mut(sink.connection)) else {
            return;
        };
        let is_direct = held.is_direct(way);
        let flowing = held.flowing(way);
        if flowing.sink_ended {
            return;
        }
        let room = connection.room(&self.limits).min(flowing.window()).min(bytes_max);
        let count = flowing.queue.len().min(room);
        let is_last = count == flowing.queue.len();
        let end = flowing.source_ended && flowing.trailers.is_empty() && is_last;
        if count > 0 || end {
            let part = flowing.queue.waiting().get(..count).unwrap_or_default();
            put_data(connection, sink.stream, part, end, &self.limits);
            flowing.queue.advance(count);
            flowing.send_window -= count as i64;
            flowing.moved_ms = self.now_ms;
            flowing.sink_ended = end;
        }
        let prepaid = count.min(flowing.prepaid_bytes);
        flowing.prepaid_bytes -= prepaid;
        if is_last {
            self.large.give(flowing.queue.take_buffer());
            self.end_with_trailers(call, way);
        } else if self.is_full(sink.connection) || count == bytes_max {
            self.wait(call, way);
        }
        if is_direct && count > prepaid {
            self.release(call, way, count - prepaid);
        } else if !is_direct {
            self.release_owed(call);
        }
        let is_over = self.calls.get(call).is_some_and(|held| held.response.sink_ended);
        if way == Way::Response && is_over {
            self.finish(call);
        }
    }

    /// Sends the trailers that waited behind the data.
    fn end_with_trailers(&mut self, call: u32, way: Way) {
        let Some(held) = self.calls.get_mut(call) else { return };
        let sink = held.sink(way);
        let flowing = held.flowing(way);
        if !flowing.source_ended || flowing.sink_ended {
            return;
        }
        flowing.sink_ended = true;
        // They are kept: a request may be sent again.
        let trailers = std::mem::take(&mut flowing.trailers);
        self.put_block(sink, &trailers, true);
        if let Some(held) = self.calls.get_mut(call) {
            held.flowing(way).trailers = trailers;
        }
    }

    /// Gives back to the server's window what went into transformed messages, once few of them wait.
    pub(crate) fn release_owed(&mut self, call: u32) {
        let Some(held) = self.calls.get_mut(call) else { return };
        let response = &mut held.response;
        if response.owed_bytes > 0 && response.queue.len() <= OWED_LOW_BYTES {
            let owed = std::mem::take(&mut response.owed_bytes);
            self.release(call, Way::Response, owed);
        }
    }
}
