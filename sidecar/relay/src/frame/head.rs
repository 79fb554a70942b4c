//! The nine bytes before every payload.

use super::{ErrorCode, HEAD_BYTES, STREAM_ID_MAX, Violation};

/// The flags that have a meaning (RFC 9113, section 6).
pub mod flags {
    /// Of SETTINGS and PING.
    pub const ACK: u8 = 0x01;
    /// Of DATA and HEADERS.
    pub const END_STREAM: u8 = 0x01;
    /// Of HEADERS, PUSH_PROMISE and CONTINUATION.
    pub const END_HEADERS: u8 = 0x04;
    /// Of DATA, HEADERS and PUSH_PROMISE.
    pub const PADDED: u8 = 0x08;
    /// Of HEADERS.
    pub const PRIORITY: u8 = 0x20;
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes of a message.
    Data,
    /// A header block, or its beginning.
    Headers,
    /// What a stream depends on: ignored (RFC 9113, section 5.3.2).
    Priority,
    /// RST_STREAM.
    Reset,
    /// SETTINGS, or their acknowledgement.
    Settings,
    /// Switched off here.
    PushPromise,
    /// PING, or the answer to one.
    Ping,
    /// No further stream is taken.
    GoAway,
    /// More may be sent.
    WindowUpdate,
    /// More of a header block.
    Continuation,
    /// An extension: skipped (RFC 9113, section 5.5), except within a header block.
    Unknown(u8),
}

impl Kind {
    /// The kind that a byte stands for.
    #[inline]
    pub const fn of(byte: u8) -> Self {
        match byte {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x2 => Self::Priority,
            0x3 => Self::Reset,
            0x4 => Self::Settings,
            0x5 => Self::PushPromise,
            0x6 => Self::Ping,
            0x7 => Self::GoAway,
            0x8 => Self::WindowUpdate,
            0x9 => Self::Continuation,
            other => Self::Unknown(other),
        }
    }

    /// The byte that stands for the kind.
    #[inline]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Data => 0x0,
            Self::Headers => 0x1,
            Self::Priority => 0x2,
            Self::Reset => 0x3,
            Self::Settings => 0x4,
            Self::PushPromise => 0x5,
            Self::Ping => 0x6,
            Self::GoAway => 0x7,
            Self::WindowUpdate => 0x8,
            Self::Continuation => 0x9,
            Self::Unknown(other) => other,
        }
    }
}

/// The head of a frame (RFC 9113, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// The payload's size; below 2^24.
    pub payload_bytes: u32,
    /// What the frame is.
    pub kind: Kind,
    /// See [`flags`]; those that have no meaning for the kind are ignored.
    pub flags: u8,
    /// Without the reserved bit, which is ignored.
    pub stream: u32,
}

impl FrameHead {
    /// A head; `payload_bytes` is below 2^24.
    pub const fn new(kind: Kind, flags: u8, stream: u32, payload_bytes: u32) -> Self {
        Self { payload_bytes, kind, flags, stream }
    }

    /// Reads the head at the beginning of `bytes`; none while fewer than nine have arrived.
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, s0, s1, s2, s3] = bytes.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            payload_bytes: u32::from_be_bytes([0, a, b, c]),
            kind: Kind::of(kind),
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & STREAM_ID_MAX,
        })
    }

    /// Whether every bit of `flags` is set.
    #[inline]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The size of the whole frame, head included.
    #[inline]
    pub const fn frame_bytes(&self) -> usize {
        HEAD_BYTES + self.payload_bytes as usize
    }

    /// The nine bytes of the head.
    #[inline]
    pub const fn bytes(&self) -> [u8; HEAD_BYTES] {
        let [_, a, b, c] = self.payload_bytes.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [a, b, c, self.kind.byte(), self.flags, s0, s1, s2, s3]
    }

    /// Appends the head.
    #[inline]
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes());
    }

    /// Checks what the head alone shows, before the payload is awaited: the size against our SETTINGS_MAX_FRAME_SIZE and against
    /// the kind, and whether the kind belongs to a stream or to the connection.
    ///
    /// # Errors
    ///
    /// The rule of RFC 9113, sections 4.2 and 6.1 to 6.10, that the head breaks. An oversized frame always ends the connection,
    /// as section 5.4.1 permits: a sender that ignores our limit has lost our framing.
    #[inline]
    pub fn check(&self, frame_bytes_max: u32) -> Result<(), Violation> {
        if self.payload_bytes > frame_bytes_max {
            return Err(size("frame above SETTINGS_MAX_FRAME_SIZE"));
        }
        match self.kind {
            Kind::Data | Kind::Headers | Kind::PushPromise | Kind::Continuation if self.stream == 0 => {
                Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "a frame of a stream on stream 0"))
            }
            Kind::Data | Kind::Headers | Kind::PushPromise | Kind::Continuation | Kind::Unknown(_) => Ok(()),
            _ => self.check_fixed(),
        }
    }

    /// The kinds whose payload has a size of its own.
    fn check_fixed(&self) -> Result<(), Violation> {
        let of_stream = matches!(self.kind, Kind::Priority | Kind::Reset);
        if of_stream && self.stream == 0 {
            return Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "a frame of a stream on stream 0"));
        }
        let of_connection = matches!(self.kind, Kind::Settings | Kind::Ping | Kind::GoAway);
        if of_connection && self.stream != 0 {
            return Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "a frame of the connection on a stream"));
        }
        match (self.kind, self.payload_bytes) {
            (Kind::Priority, bytes) if bytes != 5 => {
                Err(Violation::stream(ErrorCode::FRAME_SIZE_ERROR, "PRIORITY of another size than 5"))
            }
            (Kind::Reset, bytes) if bytes != 4 => Err(size("RST_STREAM of another size than 4")),
            (Kind::Settings, bytes) if self.has(flags::ACK) && bytes != 0 => {
                Err(size("acknowledgement of SETTINGS with a payload"))
            }
            (Kind::Settings, bytes) if bytes % 6 != 0 => Err(size("SETTINGS of a size that is no multiple of 6")),
            (Kind::Ping, bytes) if bytes != 8 => Err(size("PING of another size than 8")),
            (Kind::GoAway, bytes) if bytes < 8 => Err(size("GOAWAY below 8 bytes")),
            (Kind::WindowUpdate, bytes) if bytes != 4 => Err(size("WINDOW_UPDATE of another size than 4")),
            _ => Ok(()),
        }
    }
}

fn size(why: &'static str) -> Violation {
    Violation::connection(ErrorCode::FRAME_SIZE_ERROR, why)
}
