//! Keys of what the relay holds, a type for each kind.
//!
//! What is held outside the relay, or while calls may end, is a *key*: it carries the generation of its slot, so that the key of
//! something gone is never taken for that of something new. What the relay's own tables hold of each other is an *id*: a slot alone,
//! since a thing is taken out of every table before its slot is used again.

use std::num::NonZeroU32;

use crate::slab::Id;

macro_rules! key {
    ($key:ident, $id:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $key {
            pub(crate) id: $id,
            pub(crate) generation: u32,
        }

        impl $key {
            /// The slot: dense, and used again after this key is dead. For tables beside the relay.
            #[must_use]
            pub const fn index(self) -> usize {
                self.id.0.get() as usize - 1
            }
        }

        #[doc = $what]
        // Counted from one, so that an option of it is no larger.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $id(NonZeroU32);

        impl Id for $id {
            #[inline]
            fn from_index(index: u32) -> Self {
                Self(NonZeroU32::MIN.saturating_add(index))
            }

            #[inline]
            fn index(self) -> u32 {
                self.0.get() - 1
            }
        }
    };
}

key!(ConnectionKey, ConnectionId, "A connection.");
key!(CallKey, CallId, "A call.");
key!(EndpointKey, EndpointId, "An endpoint: an address where calls can be taken.");

/// The number of a stream on its connection (RFC 9113, section 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId(u32);

impl StreamId {
    /// None: the connection itself.
    pub(crate) const CONNECTION: Self = Self(0);
    /// The last that there can be.
    pub(crate) const MAX: Self = Self(crate::frame::STREAM_ID_MAX);

    #[inline]
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// As it stands in frames.
    #[inline]
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Whether it is one that a client opens.
    #[inline]
    pub(crate) const fn is_clients(self) -> bool {
        self.0 % 2 == 1
    }
}

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the caller to the server.
    Request,
    /// From the server to the caller.
    Response,
}

/// One direction of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowId {
    pub(crate) call: CallId,
    pub(crate) direction: Direction,
}
