//! The relay under the call path: HTTP/2 (RFC 9113) on the level of frames, for one worker thread.
//!
//! Bytes and instants go in, bytes and wake-ups come out. Nothing here opens a socket, reads a clock or starts a task, so the whole
//! of it can be driven by a test or a fuzzer.

pub mod frame;
pub mod hpack;
