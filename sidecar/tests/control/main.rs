//! The sidecar's tie to the control plane: whom it trusts, what it takes for policy, how it starts, renews and reports.

#![allow(clippy::unwrap_used)] // A test says by panicking what went wrong.

mod authority;
mod control_plane;
mod gullible;
mod life;
mod probation;
mod renewal;
mod reports;
mod snapshots;
mod trust;

use chapar_core::{identity::SpiffeId, time::Timestamp};

/// The instant at which wound clocks begin: 2026-11-22T05:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_ms(1_795_323_600_000);

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn sidecar(agency: &str) -> SpiffeId {
    id(&format!("spiffe://exchange.example/agency/{agency}/sidecar/main"))
}
