//! Connections that calls are sent over: to the sidecars of providers, and to the agency's own servers.
//!
//! A [`Place`] is somewhere a call can be taken, with its [`link::Link`]s (HTTP/2 connections) and how it has been doing. A
//! [`Seat`] is room for one call on one link. Several places are balanced by [`choose`].

mod budget;
mod choose;
mod dial;
mod io;
pub(crate) mod keepalive;
mod link;
mod place;
mod standing;

pub(crate) use budget::RetryBudget;
pub(crate) use choose::choose;
pub(crate) use dial::Dial;
pub(crate) use io::Io;
pub(crate) use place::{Place, PlaceLimits, Seat, SeatError};

/// What kind of place it is, as a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Towards {
    /// A sidecar of another agency.
    Peer,
    /// The agency's own server.
    Upstream,
}

impl Towards {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Upstream => "upstream",
        }
    }
}
