//! The response's head and trailers on their way back.

use super::{Stream, Way};
use crate::{
    Relay,
    connection::Flood,
    frame::{BlockWriter, ErrorCode, Violation},
    gate::{Back, Gate, ResponseHook},
    head::{Answer, HeadWriter, Part, scan_response},
    hpack::put_table_size_zero,
    relay::Event,
};

impl<G: Gate> Relay<G> {
    /// Appends a whole header block.
    pub(crate) fn put_block(&mut self, to: Stream, block: &[u8], end: bool) {
        let Some(connection) = self.writer(to.connection) else { return };
        let out = connection.output.buffer();
        let writer = BlockWriter::begin(out, to.stream);
        if std::mem::take(&mut connection.table_size_due) {
            put_table_size_zero(out);
        }
        out.extend_from_slice(block);
        writer.end(out, end, connection.peer.frame_bytes_max);
    }

    /// HEADERS on the stream of a call that is on a link.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn response_block(&mut self, slot: u32, call: u32, block: &[u8], end_stream: bool) -> Result<(), Violation> {
        let limits = self.block_limits();
        let (Some(held), Some(connection)) = (self.calls.get_mut(call), self.connections.get_mut(slot)) else { return Ok(()) };
        let part = if held.http_status == 0 { Part::Head } else { Part::Trailers };
        let keeps_length = held.response_hook == ResponseHook::Pass;
        let scratch = &mut self.scratch;
        scratch.written.clear();
        scratch.refused.clear();
        let read = connection
            .decoder
            .fields(block, &mut scratch.block, &limits)
            .and_then(|fields| scan_response(fields, part, keeps_length, &mut scratch.written, &mut scratch.refused));
        let answer = match read {
            Ok(answer) => answer,
            Err(fault) => return self.fault(slot, fault).map_or(Ok(()), Err),
        };
        if held.response.source_ended {
            return Err(Violation::stream(ErrorCode::STREAM_CLOSED, "HEADERS after the end of the stream"));
        }
        match (part, answer.http_status) {
            (Part::Head, Some(status @ 100..=199)) => self.informational(slot, call, status, end_stream),
            (Part::Head, status) => self.response_head(call, status.unwrap_or(0), &answer, end_stream),
            (Part::Trailers, _) if !end_stream => {
                Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "HEADERS in the midst of a response"))
            }
            (Part::Trailers, _) => self.response_trailers(call, &answer),
        }
    }

    /// A head that only says that another will come (RFC 9110, section 15.2).
    fn informational(&mut self, slot: u32, call: u32, status: u16, end_stream: bool) -> Result<(), Violation> {
        // 101 is none of HTTP/2 (RFC 9113, section 8.6).
        if end_stream || status == 101 {
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "an informational response that is none"));
        }
        let Some(near) = self.calls.get(call).map(|held| held.near) else { return Ok(()) };
        if self.allows(slot, Flood::Priorities) {
            let block = std::mem::take(&mut self.scratch.written);
            self.put_block(near, &block, false);
            self.scratch.written = block;
        }
        Ok(())
    }

    fn response_head(&mut self, call: u32, status: u16, answer: &Answer, end_stream: bool) -> Result<(), Violation> {
        if end_stream && answer.content_bytes.is_some_and(|bytes| bytes > 0) {
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "content-length of a response without content"));
        }
        let Some(held) = self.calls.get_mut(call) else { return Ok(()) };
        held.http_status = status;
        held.response.content_left = answer.content_bytes;
        // From here on the other side has taken the call, and nothing will be sent again.
        held.replay.is_whole = false;
        self.large.give(std::mem::take(&mut held.replay.bytes));
        self.small.give(std::mem::take(&mut held.head));
        let endpoint = held.endpoint;
        self.take_verdict(call, answer);
        self.put_back(call, Back::Head { end: end_stream });
        if self.endpoints.get_mut(endpoint).is_some_and(|endpoint| endpoint.outlier.answered()) {
            let endpoint = self.key_of_endpoint(endpoint);
            self.events.push_back(Event::Restored { endpoint });
        }
        if let Some(held) = self.calls.get_mut(call) {
            held.head_sent = true;
            held.response.source_ended |= end_stream;
            held.response.sink_ended |= end_stream;
        }
        if end_stream {
            self.finish(call);
        }
        Ok(())
    }

    fn response_trailers(&mut self, call: u32, answer: &Answer) -> Result<(), Violation> {
        let Some(held) = self.calls.get_mut(call) else { return Ok(()) };
        if held.response.content_left.is_some_and(|left| left > 0) {
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "less content than content-length tells"));
        }
        if !held.gathered_back.is_empty() {
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "trailers in the midst of a message"));
        }
        held.response.source_ended = true;
        let waits = !held.response.queue.is_empty();
        self.take_verdict(call, answer);
        let refused = self.calls.get(call).is_some_and(|held| held.is_refused);
        if !waits {
            self.put_back(call, Back::Trailers { refused });
            if let Some(held) = self.calls.get_mut(call) {
                held.response.sink_ended = true;
            }
            self.finish(call);
            return Ok(());
        }
        let mut trailers = self.small.take();
        trailers.extend_from_slice(&self.scratch.written);
        if let Some(held) = self.calls.get_mut(call) {
            self.gate.write_back(&held.own, Back::Trailers { refused }, &mut HeadWriter::new(&mut trailers));
            held.response.trailers = trailers;
        }
        self.pump(call, Way::Response);
        Ok(())
    }

    /// Puts down how the call went.
    #[inline]
    fn take_verdict(&mut self, call: u32, answer: &Answer) {
        let Some(held) = self.calls.get_mut(call) else { return };
        held.grpc_status = answer.grpc_status.or(held.grpc_status);
        if answer.refused {
            held.is_refused = true;
            held.refused.clear();
            held.refused.extend_from_slice(&self.scratch.refused);
        }
    }

    /// Appends the block that was read, with what the gate adds.
    #[inline]
    fn put_back(&mut self, call: u32, part: Back) {
        let Some(near) = self.calls.get(call).map(|held| held.near) else { return };
        if self.writer(near.connection).is_none() {
            return;
        }
        let (Some(held), Some(connection)) = (self.calls.get(call), self.connections.get_mut(near.connection)) else { return };
        let end = matches!(part, Back::Head { end: true } | Back::Trailers { .. });
        let out = connection.output.buffer();
        let writer = BlockWriter::begin(out, near.stream);
        if std::mem::take(&mut connection.table_size_due) {
            put_table_size_zero(out);
        }
        out.extend_from_slice(&self.scratch.written);
        self.gate.write_back(&held.own, part, &mut HeadWriter::new(out));
        writer.end(out, end, connection.peer.frame_bytes_max);
    }
}
