//! What a connection is, and how far it is from its end.

use crate::{counters::Breach, frame::Violation, gate::Gate, keys::EndpointId};

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// It had no call for `Limits::idle_timeout`.
    Idle,
    /// It drained.
    Drained,
    /// It was retired.
    Retired,
    /// The peer broke a rule of HTTP/2.
    Protocol(Violation),
    /// The peer broke a limit of ours.
    Breach(Breach),
    /// The peer said that it goes away, and its calls have ended.
    Ended,
}

/// Whether a connection is probed by PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Never: ordinary gRPC ends take PINGs amiss.
    Never,
    /// After `Limits::keepalive_interval` of silence.
    Ping,
}

/// Which end of the connection this is.
pub(crate) enum Role<G: Gate> {
    /// It came in: this is the server.
    Accepted(G::Origin),
    /// It was dialled: this is the client.
    Dialled { endpoint: EndpointId, peer: G::Peer },
}

impl<G: Gate> Role<G> {
    /// Who is at the other end, if it came in.
    #[inline]
    pub(crate) const fn origin(&self) -> Option<&G::Origin> {
        match self {
            Self::Accepted(origin) => Some(origin),
            Self::Dialled { .. } => None,
        }
    }

    /// Who is at the other end, if it was dialled.
    #[inline]
    pub(crate) const fn peer(&self) -> Option<&G::Peer> {
        match self {
            Self::Dialled { peer, .. } => Some(peer),
            Self::Accepted(_) => None,
        }
    }
}

/// How far it is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It takes calls.
    Open,
    /// It came in, and the peer was told that it will end; calls are still taken for a moment.
    Noticed { since_ms: u64 },
    /// It takes no further calls and ends when those that it has are over.
    Retired(CloseReason),
    /// It ends when its output has left.
    Closing { why: CloseReason, since_ms: u64 },
}
