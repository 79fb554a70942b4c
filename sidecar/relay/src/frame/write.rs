//! Writers: each appends one whole frame, or the head of one, to `out`.

use super::{ErrorCode, FrameHead, HEAD_BYTES, Kind, Settings, flags};

/// Appends the head of a DATA frame; the caller appends `data_bytes` of data, and no padding.
#[inline]
pub fn put_data_head(out: &mut Vec<u8>, stream: u32, data_bytes: u32, end_stream: bool) {
    FrameHead::new(Kind::Data, if end_stream { flags::END_STREAM } else { 0 }, stream, data_bytes).put(out);
}

/// Appends a header block that is at hand, as HEADERS and, where `frame_bytes_max` asks for it, CONTINUATION.
pub fn put_headers(out: &mut Vec<u8>, stream: u32, block: &[u8], end_stream: bool, frame_bytes_max: u32) {
    let writer = BlockWriter::begin(out, stream);
    out.extend_from_slice(block);
    writer.end(out, end_stream, frame_bytes_max);
}

/// Appends RST_STREAM.
pub fn put_reset(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    FrameHead::new(Kind::Reset, 0, stream, 4).put(out);
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Appends SETTINGS.
pub fn put_settings(out: &mut Vec<u8>, settings: &Settings) {
    FrameHead::new(Kind::Settings, 0, 0, settings.entries().map(|_| 6).sum()).put(out);
    for (identifier, value) in settings.entries() {
        out.extend_from_slice(&identifier.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends the acknowledgement of SETTINGS.
pub fn put_settings_ack(out: &mut Vec<u8>) {
    FrameHead::new(Kind::Settings, flags::ACK, 0, 0).put(out);
}

/// Appends PING, or the answer to one.
pub fn put_ping(out: &mut Vec<u8>, opaque: [u8; 8], ack: bool) {
    FrameHead::new(Kind::Ping, if ack { flags::ACK } else { 0 }, 0, 8).put(out);
    out.extend_from_slice(&opaque);
}

/// Appends GOAWAY. `debug` is ours and short; nothing foreign goes in.
pub fn put_goaway(out: &mut Vec<u8>, last_stream: u32, code: ErrorCode, debug: &'static str) {
    FrameHead::new(Kind::GoAway, 0, 0, 8 + debug.len() as u32).put(out);
    out.extend_from_slice(&last_stream.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(debug.as_bytes());
}

/// Appends WINDOW_UPDATE; `increment_bytes` is from 1 to 2^31-1.
#[inline]
pub fn put_window_update(out: &mut Vec<u8>, stream: u32, increment_bytes: u32) {
    FrameHead::new(Kind::WindowUpdate, 0, stream, 4).put(out);
    out.extend_from_slice(&increment_bytes.to_be_bytes());
}

/// A header block that is written straight into the output: the head is left open, and filled in when the block is whole.
///
/// Nothing but the block may be appended between [`BlockWriter::begin`] and [`BlockWriter::end`].
#[derive(Debug)]
#[must_use = "a block that is begun must be ended or undone"]
pub struct BlockWriter {
    at: usize,
    stream: u32,
}

impl BlockWriter {
    /// Begins a block: leaves room for the head.
    #[inline]
    pub fn begin(out: &mut Vec<u8>, stream: u32) -> Self {
        let at = out.len();
        out.extend_from_slice(&[0; HEAD_BYTES]);
        Self { at, stream }
    }

    /// The block's bytes so far.
    #[inline]
    pub fn block_bytes(&self, out: &[u8]) -> usize {
        out.len().saturating_sub(self.at + HEAD_BYTES)
    }

    /// Takes the block back: nothing of it was ever there.
    pub fn undo(self, out: &mut Vec<u8>) {
        out.truncate(self.at);
    }

    /// Ends the block: as one HEADERS frame, or as HEADERS and CONTINUATION where it is longer than the peer's
    /// SETTINGS_MAX_FRAME_SIZE, `frame_bytes_max`.
    #[inline]
    pub fn end(self, out: &mut Vec<u8>, end_stream: bool, frame_bytes_max: u32) {
        let block_bytes = self.block_bytes(out);
        let end_stream = if end_stream { flags::END_STREAM } else { 0 };
        if block_bytes <= frame_bytes_max as usize {
            let head = FrameHead::new(Kind::Headers, end_stream | flags::END_HEADERS, self.stream, block_bytes as u32);
            self.fill(out, self.at, &head);
        } else {
            self.end_in_parts(out, end_stream, frame_bytes_max);
        }
    }

    #[inline]
    fn fill(&self, out: &mut [u8], at: usize, head: &FrameHead) {
        if let Some(place) = out.get_mut(at..at + HEAD_BYTES) {
            place.copy_from_slice(&head.bytes());
        }
    }

    /// Makes room for the heads of the CONTINUATION frames from the back, so that each part moves once.
    #[cold]
    fn end_in_parts(self, out: &mut Vec<u8>, end_stream: u8, frame_bytes_max: u32) {
        let part_bytes = (frame_bytes_max as usize).max(1);
        let block_bytes = self.block_bytes(out);
        let more = block_bytes.div_ceil(part_bytes) - 1;
        out.resize(out.len() + more * HEAD_BYTES, 0);
        for part in (1..=more).rev() {
            let begin = self.at + HEAD_BYTES + part * part_bytes;
            let end = (begin + part_bytes).min(self.at + HEAD_BYTES + block_bytes);
            out.copy_within(begin..end, begin + part * HEAD_BYTES);
            let last = if part == more { flags::END_HEADERS } else { 0 };
            let head = FrameHead::new(Kind::Continuation, last, self.stream, (end - begin) as u32);
            self.fill(out, begin + (part - 1) * HEAD_BYTES, &head);
        }
        let head = FrameHead::new(Kind::Headers, end_stream, self.stream, part_bytes as u32);
        self.fill(out, self.at, &head);
    }
}
