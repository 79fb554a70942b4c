//! The states of a stream (RFC 9113, section 5.1), as they are seen from here.

use crate::{
    belief::broken,
    keys::{ConnectionId, StreamId},
};

/// How far a stream is. Streams are neither pushed nor reserved here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing was said on it yet.
    Idle,
    /// Both sides may send.
    Open,
    /// We have ended it: only the peer may send.
    HalfClosedLocal,
    /// The peer has ended it: only we may send.
    HalfClosedRemote,
    /// Nobody sends any more.
    Closed,
}

impl State {
    /// Whether the peer may still send.
    #[inline]
    pub(crate) const fn receives(self) -> bool {
        matches!(self, Self::Idle | Self::Open | Self::HalfClosedLocal)
    }

    /// Whether we may still send.
    #[inline]
    pub(crate) const fn sends(self) -> bool {
        matches!(self, Self::Idle | Self::Open | Self::HalfClosedRemote)
    }

    /// The peer said END_STREAM.
    #[inline]
    pub(crate) fn receive_end(&mut self) {
        *self = match self {
            Self::Open => Self::HalfClosedRemote,
            Self::HalfClosedLocal => Self::Closed,
            Self::Idle | Self::HalfClosedRemote | Self::Closed => {
                return broken("only a stream on which the peer sends is ended by it");
            }
        };
    }

    /// We said END_STREAM.
    #[inline]
    pub(crate) fn send_end(&mut self) {
        *self = match self {
            Self::Open => Self::HalfClosedLocal,
            Self::HalfClosedRemote => Self::Closed,
            Self::Idle | Self::HalfClosedLocal | Self::Closed => return broken("only a stream on which we send is ended by us"),
        };
    }

    /// The peer wants no more of what we send.
    pub(crate) const fn stop_sending(&mut self) {
        *self = match self {
            Self::Open | Self::HalfClosedLocal => Self::HalfClosedLocal,
            Self::Idle | Self::HalfClosedRemote | Self::Closed => Self::Closed,
        };
    }
}

/// Where a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) connection: ConnectionId,
    pub(crate) stream: StreamId,
}

/// One of the two streams of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    /// None: there is none yet, or its connection is gone.
    pub(crate) at: Option<At>,
    pub(crate) state: State,
}

impl Stream {
    pub(crate) const IDLE: Self = Self { at: None, state: State::Idle };

    pub(crate) const fn open(at: At) -> Self {
        Self { at: Some(at), state: State::Open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_closes_once_both_sides_have_ended_it() {
        let (mut ours_first, mut theirs_first) = (State::Open, State::Open);
        ours_first.send_end();
        assert_eq!((ours_first, ours_first.sends(), ours_first.receives()), (State::HalfClosedLocal, false, true));
        ours_first.receive_end();
        theirs_first.receive_end();
        assert_eq!((theirs_first, theirs_first.sends(), theirs_first.receives()), (State::HalfClosedRemote, true, false));
        theirs_first.send_end();
        assert_eq!((ours_first, theirs_first), (State::Closed, State::Closed));
    }

    #[test]
    #[should_panic(expected = "ended by it")]
    fn a_stream_that_the_peer_has_ended_is_not_ended_again() {
        State::HalfClosedRemote.receive_end();
    }

    #[test]
    fn whoever_wants_no_more_is_sent_no_more() {
        let mut states = [State::Idle, State::Open, State::HalfClosedLocal, State::HalfClosedRemote, State::Closed];
        states.iter_mut().for_each(State::stop_sending);
        assert!(states.iter().all(|state| !state.sends()));
        assert!(states[1].receives() && states[2].receives() && !states[3].receives());
    }
}
