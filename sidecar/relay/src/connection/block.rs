//! Header blocks: gathered over CONTINUATION, and handed to whom they concern.

use super::{CloseReason, Connection, Past, Phase};
use crate::{
    Relay,
    counters::Breach,
    frame::{ErrorCode, FrameHead, Headers, Violation, flags},
    gate::Gate,
    hpack::{BlockLimits, Fault},
};

impl<G: Gate> Relay<G> {
    pub(crate) fn headers(&mut self, slot: u32, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
        let headers = Headers::read(head, payload)?;
        let depends_on_itself = headers.check_priority(head.stream).is_err();
        let end_stream = head.has(flags::END_STREAM);
        if headers.fragment.len() > self.limits.header_block_bytes_max as usize {
            self.breach(slot, Breach::HeaderBlock);
            return Ok(());
        }
        if head.has(flags::END_HEADERS) {
            return self.whole_block(slot, head.stream, end_stream, depends_on_itself, headers.fragment);
        }
        let mut bytes = self.outputs.take();
        bytes.extend_from_slice(headers.fragment);
        let due_ms = self.ms_after(self.limits.frame_timeout);
        let now_ms = self.now_ms;
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.block = super::Block { stream: head.stream, end_stream, depends_on_itself, continuations: 0, bytes };
            connection.times.begun_ms = now_ms;
        }
        self.wake_by(slot, due_ms);
        Ok(())
    }

    pub(crate) fn continuation(&mut self, slot: u32, head: &FrameHead, payload: &[u8]) -> Result<(), Violation> {
        let (bytes_max, continuations_max) = (self.limits.header_block_bytes_max, self.limits.continuations_max);
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(()) };
        let block = &mut connection.block;
        block.continuations += 1;
        if block.continuations > continuations_max {
            self.breach(slot, Breach::Continuations);
            return Ok(());
        }
        if block.bytes.len() + payload.len() > bytes_max as usize {
            self.breach(slot, Breach::HeaderBlock);
            return Ok(());
        }
        block.bytes.extend_from_slice(payload);
        if !head.has(flags::END_HEADERS) {
            return Ok(());
        }
        let block = std::mem::take(&mut connection.block);
        let done = self.whole_block(slot, block.stream, block.end_stream, block.depends_on_itself, &block.bytes);
        self.outputs.give(block.bytes);
        done
    }

    /// The limits that header lists are read with.
    pub(crate) const fn block_limits(&self) -> BlockLimits {
        BlockLimits { header_list_bytes_max: self.limits.header_list_bytes_max, fields_max: self.limits.header_fields_max }
    }

    #[inline]
    fn whole_block(
        &mut self,
        slot: u32,
        stream: u32,
        end_stream: bool,
        depends_on_itself: bool,
        block: &[u8],
    ) -> Result<(), Violation> {
        let Some(connection) = self.connections.get(slot) else { return Ok(()) };
        if connection.is_closing() {
            return Ok(());
        }
        let accepted = connection.is_accepted();
        if let Some(call) = connection.streams.call(stream) {
            return if accepted {
                self.request_trailers(slot, call, block, end_stream)
            } else {
                self.response_block(slot, call, block, end_stream)
            };
        }
        let is_new = accepted && stream % 2 == 1 && stream > connection.recent.last();
        if !is_new {
            self.read_past(slot, block)?;
            return self.stray_headers(slot, stream);
        }
        if depends_on_itself {
            self.read_past(slot, block)?;
            self.note_stream(slot, stream);
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "a stream that depends on itself"));
        }
        if self.takes_stream(slot, stream) {
            self.request_head(slot, stream, block, end_stream)
        } else {
            self.read_past(slot, block)
        }
    }

    /// Whether a new stream becomes a call; it is put down in any case.
    fn takes_stream(&mut self, slot: u32, stream: u32) -> bool {
        let Some(connection) = self.connections.get(slot) else { return false };
        let too_many = connection.streams.len() >= self.limits.calls_per_connection_max;
        if matches!(connection.phase, Phase::Retired(why) if why != CloseReason::Ended) {
            // Above the last stream that our GOAWAY named: the peer knows that it was not taken. What follows on it is ignored.
            self.note_stream(slot, stream);
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.recent.reset(stream);
            }
            return false;
        }
        self.note_stream(slot, stream);
        if too_many {
            self.counters.breach(Breach::Streams);
            if self.allows(slot, super::Flood::Resets) {
                self.put_stream_reset(slot, stream, ErrorCode::REFUSED_STREAM);
            }
        }
        !too_many
    }

    fn note_stream(&mut self, slot: u32, stream: u32) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.recent.open(stream);
            connection.guard.stream_opened(&self.limits);
        }
    }

    /// Decodes a block that nobody wants: the table must be kept (RFC 9113, section 4.3).
    pub(crate) fn read_past(&mut self, slot: u32, block: &[u8]) -> Result<(), Violation> {
        let limits = self.block_limits();
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(()) };
        match connection.decoder.fields(block, &mut self.scratch.block, &limits) {
            Err(fault @ Fault::Compression(_)) => Err(fault.violation()),
            _ => Ok(()),
        }
    }

    /// HEADERS on a stream that is not open and cannot be opened.
    fn stray_headers(&mut self, slot: u32, stream: u32) -> Result<(), Violation> {
        match self.past(slot, stream)? {
            Past::Reset | Past::Forgotten => {
                self.stray(slot);
                Ok(())
            }
            Past::Ended => Err(Violation::connection(ErrorCode::STREAM_CLOSED, "HEADERS on a stream that has ended")),
            Past::Skipped => Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "a stream below one that was opened")),
        }
    }

    /// What a fault of a header block leads to. `None`: the connection has ended.
    pub(crate) fn fault(&mut self, slot: u32, fault: Fault) -> Option<Violation> {
        if matches!(fault, Fault::ListTooLarge | Fault::TooManyFields) {
            self.counters.breach(Breach::HeaderList);
        }
        let is_open = self.connections.get(slot).is_some_and(|connection: &Connection<G>| !connection.is_closing());
        is_open.then(|| fault.violation())
    }
}
