//! HTTP/2 frames (RFC 9113, sections 4 and 6): heads, views of payloads, writers.
//!
//! A view checks what the frame alone can show: sizes, padding, stream zero or not. What depends on the state of a stream or of the
//! connection is the caller's.

mod error;
mod head;
mod settings;
#[cfg(test)]
mod tests;
mod view;
mod write;

pub use error::{ErrorCode, Scope, Violation};
pub use head::{FrameHead, Kind, flags};
pub use settings::Settings;
pub use view::{DataShape, GoAway, Headers, Priority, Reset, WindowUpdate, ping};
pub use write::{
    BlockWriter, put_data_head, put_goaway, put_headers, put_ping, put_reset, put_settings, put_settings_ack, put_window_update,
};

/// What a client sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The size of a frame's head.
pub const HEAD_BYTES: usize = 9;

/// The largest payload before SETTINGS say otherwise (RFC 9113, section 6.5.2).
pub const FRAME_BYTES_MAX_DEFAULT: u32 = 16_384;

/// The largest payload that SETTINGS can allow, and that a head can tell.
pub const FRAME_BYTES_MAX: u32 = (1 << 24) - 1;

/// A flow-control window before SETTINGS say otherwise (RFC 9113, section 6.9.2).
pub const WINDOW_BYTES_DEFAULT: u32 = 65_535;

/// The largest flow-control window (RFC 9113, section 6.9.1).
pub const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

/// The last identifier that a stream can have; 31 bits.
pub const STREAM_ID_MAX: u32 = (1 << 31) - 1;
