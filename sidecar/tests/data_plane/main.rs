//! Calls through a consumer's and a provider's sidecar, seen from both ends of the wire.

#![allow(clippy::unwrap_used, unreachable_pub)] // A test says by panicking what went wrong; its modules are its own.

#[allow(dead_code)] // Shared with the tests of the tie to the control plane.
#[path = "../control/authority.rs"]
mod authority;
mod client;
mod endings;
#[path = "../control/gullible.rs"]
mod gullible;
mod pair;
mod passing;
mod placing;
mod refusing;
mod server;

use chapar_core::time::Timestamp;

/// The instant at which wound clocks begin: 2026-11-22T05:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_ms(1_795_323_600_000);
