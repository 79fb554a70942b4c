//! A call comes: its head is read, the gate decides, and it is entered.

use super::{Call, Stream};
use crate::{
    Relay,
    connection::Role,
    frame::{ErrorCode, Violation},
    gate::{Gate, Opening, RequestHook, ResponseHook},
    head::{scan_request, scan_trailers_onward},
    keys::CallKey,
};

/// What the gate says beside the call itself.
struct Terms {
    deadline: Option<std::time::Instant>,
    request: RequestHook,
    response: ResponseHook,
    awaits_answer: bool,
}

impl<G: Gate> Relay<G> {
    /// The head of a request has come on a new stream.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn request_head(&mut self, slot: u32, stream: u32, block: &[u8], end_stream: bool) -> Result<(), Violation> {
        let limits = self.block_limits();
        let mut onward = self.small.take();
        let key = CallKey::of(self.calls.next_key());
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(()) };
        let Role::Accepted(origin) = &connection.role else { return Ok(()) };
        let scratch = &mut self.scratch;
        let found = connection
            .decoder
            .fields(block, &mut scratch.block, &limits)
            .and_then(|fields| scan_request(fields, &mut onward, &mut scratch.tracestate, &mut scratch.values));
        let found = match found {
            Ok(found) => found,
            Err(fault) => {
                self.small.give(onward);
                self.counters.malformed_requests += 1;
                return self.fault(slot, fault).map_or(Ok(()), Err);
            }
        };
        let content_left = found.content_bytes;
        if end_stream && content_left.is_some_and(|bytes| bytes > 0) {
            self.small.give(onward);
            self.counters.malformed_requests += 1;
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "content-length of a request without content"));
        }
        self.counters.calls += 1;
        let head = found.head(&scratch.values, end_stream);
        self.reply.clear();
        let opening = self.gate.open(origin, &head, key, self.now, &mut self.reply);
        if !head.is_tracestate_dropped() {
            onward.extend_from_slice(&scratch.tracestate);
        }
        match opening {
            Opening::Refuse => {
                self.small.give(onward);
                self.put_reply(Stream { connection: slot, stream }, false);
                if !end_stream {
                    self.put_stream_reset(slot, stream, ErrorCode::NO_ERROR);
                }
            }
            Opening::Forward { call, deadline, request, response, awaits_answer } => {
                let terms = Terms { deadline, request, response, awaits_answer };
                let call = self.enter(Stream { connection: slot, stream }, call, onward, content_left, &terms);
                self.begin(call, end_stream);
            }
        }
        Ok(())
    }

    fn enter(&mut self, near: Stream, own: G::Call, onward: Vec<u8>, content_left: Option<u64>, terms: &Terms) -> u32 {
        let mut call = Call::new(own, near, self.limits.call_window_bytes);
        call.head = onward;
        call.request.content_left = content_left;
        call.deadline = terms.deadline;
        call.request_hook = terms.request;
        call.response_hook = terms.response;
        call.awaits_answer = terms.awaits_answer;
        let (call, _) = self.calls.insert(call);
        if let Some(connection) = self.connections.get_mut(near.connection) {
            connection.streams.insert(near.stream, call);
            let window = connection.peer.window_bytes;
            if let Some(call) = self.calls.get_mut(call) {
                call.response.send_window = window;
            }
        }
        self.retries.earn();
        if let Some(deadline) = terms.deadline {
            let deadline_ms = self.ms_at(deadline);
            if let Some(call) = self.calls.get_mut(call) {
                call.deadline_ms = deadline_ms;
            }
            self.wake_call_by(call, deadline_ms);
        }
        call
    }

    fn begin(&mut self, call: u32, end_stream: bool) {
        let key = self.key_of_call(call);
        if end_stream {
            if let Some(call) = self.calls.get_mut(call) {
                call.request.source_ended = true;
            }
            self.look_into(call, &[], true);
        }
        if let Some(call) = self.calls.find(key.slot, key.generation) {
            self.go_on(call);
        }
    }

    /// Seats a call that nothing holds back any more.
    pub(crate) fn go_on(&mut self, call: u32) {
        let Some(held) = self.calls.get(call) else { return };
        let is_held = held.awaits_answer || held.request_hook == RequestHook::Hold;
        // One that has its answer is not sent again, though its link may be gone.
        if held.stage == super::Stage::Held && held.http_status == 0 && !is_held {
            self.assign(call);
        }
    }

    /// HEADERS on a stream whose request is under way: trailers.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn request_trailers(&mut self, slot: u32, call: u32, block: &[u8], end_stream: bool) -> Result<(), Violation> {
        let limits = self.block_limits();
        let is_ended = self.calls.get(call).is_some_and(|held| held.request.source_ended);
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(()) };
        let mut trailers = self.small.take();
        // What comes after the end is decoded for the table's sake only.
        let read = connection
            .decoder
            .fields(block, &mut self.scratch.block, &limits)
            .and_then(|fields| if is_ended { Ok(()) } else { scan_trailers_onward(fields, &mut trailers) });
        if let Err(fault) = read {
            return self.fault(slot, fault).map_or(Ok(()), Err);
        }
        if is_ended {
            return Err(Violation::stream(ErrorCode::STREAM_CLOSED, "HEADERS after the end of the stream"));
        }
        let Some(held) = self.calls.get_mut(call) else { return Ok(()) };
        if !end_stream {
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "HEADERS in the midst of a request"));
        }
        if held.request.content_left.is_some_and(|left| left > 0) {
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "less content than content-length tells"));
        }
        held.request.trailers = trailers;
        held.request.source_ended = true;
        let key = self.key_of_call(call);
        self.look_into(call, &[], true);
        if let Some(call) = self.calls.find(key.slot, key.generation) {
            self.go_on(call);
            self.pump(call, super::Way::Request);
        }
        Ok(())
    }
}
