//! One HTTP/2 connection of an end: buffers, flow control, and what both ends answer alike.

use std::{
    io::{self, Read as _, Write as _},
    ops::Range,
};

use anyhow::{Result, bail, ensure};
use mio::{Interest, Registry, Token, net::TcpStream};

use super::frame::{self, HEAD_BYTES, Head, PAYLOAD_BYTES_MAX, flag, kind, setting};

/// Room for what one reading of the socket gives: several frames of the largest kind.
const INPUT_BYTES: usize = 64 * 1024;
/// Output beyond which no further DATA is added until some was written.
const OUTPUT_BYTES_SOFT_MAX: usize = 256 * 1024;
/// The window that an end grants each stream: more than the largest message, so that the ends never hold a proxy back.
pub const STREAM_WINDOW_BYTES: u32 = 64 << 20;
/// The window that an end grants the connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;
/// The window that HTTP/2 begins with.
const WINDOW_BYTES_AT_FIRST: i64 = 65_535;

/// What the other end said by SETTINGS.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Whether it has said anything yet.
    pub known: bool,
    /// Bytes that may be sent on a stream before any WINDOW_UPDATE on it.
    pub stream_window: i64,
    /// Largest payload that it takes.
    pub payload_bytes_max: usize,
    /// Streams that it takes at a time.
    pub streams_max: usize,
    /// Bytes of its header table.
    pub table_bytes: u32,
}

/// What a frame means for the streams of a link.
#[derive(Debug)]
pub enum Event {
    /// A whole header block, at this place of the input.
    Headers {
        /// The stream.
        stream: u32,
        /// Place of the block.
        block: Range<usize>,
        /// Nothing more comes.
        end: bool,
    },
    /// A part of a body.
    Data {
        /// The stream.
        stream: u32,
        /// Place of the part.
        bytes: Range<usize>,
        /// Nothing more comes.
        end: bool,
    },
    /// A stream was cut.
    Reset {
        /// The stream.
        stream: u32,
        /// HTTP/2's error code.
        code: u32,
    },
    /// More may be sent on a stream.
    Window {
        /// The stream.
        stream: u32,
        /// Bytes more.
        by: u32,
    },
    /// Windows or settings changed: more may be sent on all streams.
    Room,
    /// No stream above this one was looked at, and none will be.
    GoAway {
        /// The last stream that counts.
        last: u32,
        /// HTTP/2's error code.
        code: u32,
    },
}

/// One connection.
#[derive(Debug)]
pub struct Link {
    socket: TcpStream,
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// What is to be written.
    pub output: Vec<u8>,
    written: usize,
    /// See [`Peer`].
    pub peer: Peer,
    /// Bytes that may be sent on the connection.
    pub window: i64,
    /// Bytes received since the connection's window was last raised.
    received: u32,
    /// The other end has said that it will write no more.
    pub ended: bool,
}

impl Link {
    /// A link over `socket`, whose readiness is told under `token`.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn new(mut socket: TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let peer = Peer {
            known: false,
            stream_window: WINDOW_BYTES_AT_FIRST,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            streams_max: usize::MAX,
            table_bytes: 4_096,
        };
        Ok(Self {
            socket,
            input: vec![0; INPUT_BYTES],
            start: 0,
            end: 0,
            output: Vec::with_capacity(64 * 1024),
            written: 0,
            peer,
            window: WINDOW_BYTES_AT_FIRST,
            received: 0,
            ended: false,
        })
    }

    /// Appends this end's settings and raises its window.
    pub fn introduce(&mut self, settings: &[(u16, u32)]) {
        frame::put_settings(&mut self.output, settings);
        frame::put_window_update(&mut self.output, 0, CONNECTION_WINDOW_BYTES - WINDOW_BYTES_AT_FIRST as u32);
    }

    /// Reads once. Answers whether there may be more.
    ///
    /// # Errors
    /// As the socket.
    pub fn receive(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let Some(room) = self.input.get_mut(self.end..) else { return Ok(false) };
        let asked = room.len();
        match self.socket.read(room) {
            Ok(0) => {
                self.ended = true;
                Ok(false)
            }
            Ok(count) => {
                self.end += count;
                // A short reading has emptied the socket; the next bytes are told anew.
                Ok(count == asked)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Takes `count` bytes from the beginning of the input, if they are exactly `expected`. `None`: not yet there.
    pub fn take_exactly(&mut self, expected: &[u8]) -> Option<bool> {
        let there = self.input.get(self.start..self.end)?.get(..expected.len())?;
        let same = there == expected;
        self.start += expected.len();
        Some(same)
    }

    /// Bytes of the input.
    pub fn bytes(&self, place: Range<usize>) -> &[u8] {
        self.input.get(place).unwrap_or_default()
    }

    /// Input and output at once, to copy from one to the other.
    pub fn halves(&mut self, place: Range<usize>) -> (&[u8], &mut Vec<u8>) {
        (self.input.get(place).unwrap_or_default(), &mut self.output)
    }

    /// The next event of the input; what both ends answer alike is answered here.
    ///
    /// # Errors
    /// When the other end breaks the protocol, or uses a part of it that no proxy needs here.
    pub fn event(&mut self) -> Result<Option<Event>> {
        loop {
            let Some(head) = Head::read(self.bytes(self.start..self.end)) else { return Ok(None) };
            ensure!(head.length <= PAYLOAD_BYTES_MAX, "a frame of {} bytes", head.length);
            let begin = self.start + HEAD_BYTES;
            if begin + head.length > self.end {
                return Ok(None);
            }
            self.start = begin + head.length;
            if let Some(event) = self.frame(head, begin..begin + head.length)? {
                return Ok(Some(event));
            }
        }
    }

    fn frame(&mut self, head: Head, payload: Range<usize>) -> Result<Option<Event>> {
        let end = head.has(flag::END_STREAM);
        let stream = head.stream;
        Ok(match head.kind {
            kind::DATA => {
                self.account(head.length as u32);
                Some(Event::Data { stream, bytes: self.unpadded(head, payload)?, end })
            }
            kind::HEADERS => {
                ensure!(head.has(flag::END_HEADERS), "a header block in several frames");
                let mut block = self.unpadded(head, payload)?;
                if head.has(flag::PRIORITY) {
                    block.start += 5;
                }
                Some(Event::Headers { stream, block, end })
            }
            kind::RST_STREAM => Some(Event::Reset { stream, code: self.number(payload.start)? }),
            kind::SETTINGS if head.has(flag::ACK) => None,
            kind::SETTINGS => {
                self.settings(payload)?;
                Some(Event::Room)
            }
            kind::PING if head.has(flag::ACK) => None,
            kind::PING => {
                frame::put_head(&mut self.output, head.length, kind::PING, flag::ACK, 0);
                let (bytes, output) = self.halves(payload);
                output.extend_from_slice(bytes);
                None
            }
            kind::GOAWAY => {
                let last = self.number(payload.start)? & 0x7fff_ffff;
                Some(Event::GoAway { last, code: self.number(payload.start + 4)? })
            }
            kind::WINDOW_UPDATE => {
                let by = self.number(payload.start)? & 0x7fff_ffff;
                if stream == 0 {
                    self.window += i64::from(by);
                    Some(Event::Room)
                } else {
                    Some(Event::Window { stream, by })
                }
            }
            kind::CONTINUATION => bail!("a header block in several frames"),
            _ => None,
        })
    }

    fn unpadded(&self, head: Head, mut payload: Range<usize>) -> Result<Range<usize>> {
        if head.has(flag::PADDED) {
            let padding = usize::from(*self.input.get(payload.start).unwrap_or(&0));
            payload.start += 1;
            ensure!(padding <= payload.len(), "a frame of nothing but padding");
            payload.end -= padding;
        }
        Ok(payload)
    }

    fn number(&self, at: usize) -> Result<u32> {
        let Some(bytes) = self.input.get(at..).and_then(|bytes| bytes.first_chunk()) else { bail!("a frame is cut short") };
        Ok(u32::from_be_bytes(*bytes))
    }

    fn settings(&mut self, payload: Range<usize>) -> Result<()> {
        for at in payload.step_by(6) {
            let [high, low] = *self.input.get(at..).and_then(|bytes| bytes.first_chunk()).unwrap_or(&[0; 2]);
            let value = self.number(at + 2)?;
            match u16::from_be_bytes([high, low]) {
                setting::HEADER_TABLE_SIZE => self.peer.table_bytes = value,
                setting::MAX_CONCURRENT_STREAMS => self.peer.streams_max = value as usize,
                setting::INITIAL_WINDOW_SIZE => self.peer.stream_window = value.into(),
                setting::MAX_FRAME_SIZE => self.peer.payload_bytes_max = (value as usize).min(PAYLOAD_BYTES_MAX),
                _ => {}
            }
        }
        self.peer.known = true;
        frame::put_head(&mut self.output, 0, kind::SETTINGS, flag::ACK, 0);
        Ok(())
    }

    /// Counts DATA towards the connection's window, and raises it when a quarter is used.
    fn account(&mut self, bytes: u32) {
        self.received += bytes;
        if self.received >= CONNECTION_WINDOW_BYTES / 4 {
            frame::put_window_update(&mut self.output, 0, self.received);
            self.received = 0;
        }
    }

    /// How many bytes of DATA may be appended now, for a stream that has `used` bytes of its window.
    pub fn room(&self, used: i64) -> usize {
        let queued = self.output.len() - self.written;
        if queued >= OUTPUT_BYTES_SOFT_MAX {
            return 0;
        }
        let window = self.window.min(self.peer.stream_window - used);
        usize::try_from(window).unwrap_or(0).min(self.peer.payload_bytes_max)
    }

    /// Writes what it can. Answers whether something that stood in the way of more DATA is gone.
    ///
    /// # Errors
    /// As the socket.
    pub fn flush(&mut self) -> io::Result<bool> {
        let was_full = self.output.len() - self.written >= OUTPUT_BYTES_SOFT_MAX;
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        } else if self.written >= OUTPUT_BYTES_SOFT_MAX {
            self.output.drain(..self.written);
            self.written = 0;
        }
        Ok(was_full && self.output.len() - self.written < OUTPUT_BYTES_SOFT_MAX)
    }

    /// Whether there is something to write.
    pub fn wants_to_write(&self) -> bool {
        self.output.len() > self.written
    }

    /// Stops watching the socket.
    pub fn leave(&mut self, registry: &Registry) {
        // A socket that is gone already needs no leave.
        let _ = registry.deregister(&mut self.socket);
    }
}
