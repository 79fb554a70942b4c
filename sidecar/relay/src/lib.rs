//! The relay under the call path: HTTP/2 (RFC 9113) on the level of frames, for one worker thread.
//!
//! Bytes and instants go in, bytes and wake-ups come out. Nothing here opens a socket, reads a clock or starts a task, so the whole
//! of it can be driven by a test or a fuzzer.

#[cfg(test)]
extern crate self as chapar_relay;

mod call;
mod connection;
mod counters;
pub mod frame;
mod gate;
pub mod head;
pub mod hpack;
mod keys;
mod limits;
mod place;
mod pool;
mod relay;
mod slab;
mod timer;

pub use connection::{CloseWhy, Probe};
pub use counters::{Breach, Counters};
pub use gate::{
    Back, Cause, Ending, FirstMessage, Flow, Flows, Gate, Opening, RequestHook, ResponseHook, Seating, Transformed, Verdict,
};
pub use head::{Head, HeadWriter, Reply};
pub use keys::{CallKey, ConnKey, PlaceKey};
pub use limits::Limits;
pub use place::{PlaceConfig, PlaceState};
pub use relay::{Event, Relay};

#[cfg(test)]
mod exhaustion;
