//! What the relay wants of the worker that runs it.

use std::time::Duration;

use crate::keys::EndpointKey;

/// What the worker is asked to do, or may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Connect to the endpoint, and then call [`crate::Relay::dialled`] or [`crate::Relay::dial_failed`], one of them and once.
    Dial {
        /// Which.
        endpoint: EndpointKey,
    },
    /// The endpoint is left out for failing.
    Ejected {
        /// Which.
        endpoint: EndpointKey,
        /// For how long.
        time: Duration,
    },
    /// The endpoint answers again.
    Restored {
        /// Which.
        endpoint: EndpointKey,
    },
}
