//! HTTP/2 frames as far as the two ends of the benchmark need them (RFC 9113, section 4.1).

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's header.
pub const HEAD_BYTES: usize = 9;
/// The largest payload that an end takes; HTTP/2's default, which every proxy knows how to fill.
pub const PAYLOAD_BYTES_MAX: usize = 16_384;

/// Frame types.
pub mod kind {
    /// Content of a stream.
    pub const DATA: u8 = 0;
    /// Begins a header block.
    pub const HEADERS: u8 = 1;
    /// Ends a stream at once.
    pub const RST_STREAM: u8 = 3;
    /// What an end takes.
    pub const SETTINGS: u8 = 4;
    /// Is to be answered.
    pub const PING: u8 = 6;
    /// Ends a connection.
    pub const GOAWAY: u8 = 7;
    /// Lets more be sent.
    pub const WINDOW_UPDATE: u8 = 8;
    /// Goes on with a header block.
    pub const CONTINUATION: u8 = 9;
}

/// Frame flags.
pub mod flag {
    /// Answers SETTINGS or PING.
    pub const ACK: u8 = 1;
    /// Nothing more comes on this stream.
    pub const END_STREAM: u8 = 1;
    /// The header block is whole.
    pub const END_HEADERS: u8 = 4;
    /// Padding follows.
    pub const PADDED: u8 = 8;
    /// A priority goes before the block.
    pub const PRIORITY: u8 = 32;
}

/// Settings (RFC 9113, section 6.5.2).
pub mod setting {
    /// Bytes of the dynamic table.
    pub const HEADER_TABLE_SIZE: u16 = 1;
    /// Whether the server may push.
    pub const ENABLE_PUSH: u16 = 2;
    /// Streams at a time.
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    /// Bytes of a stream's first window.
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    /// Bytes of a frame's payload.
    pub const MAX_FRAME_SIZE: u16 = 5;
}

/// A frame's header.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Bytes of the payload.
    pub length: usize,
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// The stream, 0 for the connection.
    pub stream: u32,
}

impl Head {
    /// The header at the beginning of `bytes`, if it is there whole.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, s0, s1, s2, s3] = bytes.first_chunk::<HEAD_BYTES>()?;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        Some(Self { length, kind, flags, stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]) })
    }

    /// Whether `flag` is set.
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame's header.
pub fn put_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    debug_assert!(length < 1 << 24, "HTTP/2 has 24 bits for a length");
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, s0, s1, s2, s3]);
}

/// Appends a SETTINGS frame.
pub fn put_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    put_head(out, settings.len() * 6, kind::SETTINGS, 0, 0);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a WINDOW_UPDATE frame.
pub fn put_window_update(out: &mut Vec<u8>, stream: u32, by: u32) {
    put_head(out, 4, kind::WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&by.to_be_bytes());
}
