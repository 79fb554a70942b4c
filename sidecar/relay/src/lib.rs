//! The relay under the call path: HTTP/2 (RFC 9113) on the level of frames, for one worker thread.
//!
//! Bytes and instants go in, bytes and wake-ups come out. Nothing here opens a socket, reads a clock or starts a task, so the whole
//! of it can be driven by a test or a fuzzer.

#![warn(missing_docs)]

#[cfg(test)]
extern crate self as chapar_relay;

mod belief;
mod call;
mod connection;
mod counters;
mod endpoint;
mod event;
pub mod frame;
mod gate;
pub mod head;
pub mod hpack;
mod keys;
mod limits;
mod list;
mod pool;
mod queue;
mod relay;
mod reputation;
mod shared;
mod slab;
mod timer;

pub use connection::{CloseReason, Probe};
pub use counters::{Breach, Counters};
pub use endpoint::{EndpointConfig, EndpointState};
pub use event::Event;
pub use gate::{
    Assignment, Back, Cause, Ending, FirstMessage, Flow, Flows, Gate, Opening, RequestHook, ResponseHook, Transformed, Verdict,
};
pub use head::{HeadWriter, Reply, RequestHead};
pub use keys::{CallKey, ConnectionKey, EndpointKey};
pub use limits::Limits;
pub use relay::{CallsAt, EndpointsAt, Relay};

#[cfg(test)]
mod exhaustion;
