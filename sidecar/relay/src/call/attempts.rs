//! What has been tried for a call.

use crate::keys::EndpointKey;

/// Why an attempt came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    Unreachable,
    Full,
    TimedOut,
    NotTaken,
}

/// Endpoints that were tried in vain, at most.
const TRIED_MAX: usize = 4;

/// What has been tried for a call. Endpoints are known by their keys: one may be gone, and another in its slot, by the next attempt.
#[derive(Debug)]
pub(crate) struct Attempts {
    pub(crate) made: u8,
    pub(crate) void_peers: u8,
    tried: [Option<EndpointKey>; TRIED_MAX],
    pub(crate) last: Option<(EndpointKey, Problem)>,
}

impl Attempts {
    pub(super) const NONE: Self = Self { made: 0, void_peers: 0, tried: [None; TRIED_MAX], last: None };

    pub(crate) fn leave_out(&mut self, endpoint: EndpointKey) {
        if let Some(slot) = self.tried.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(endpoint);
        }
    }

    #[inline]
    pub(crate) fn is_left_out(&self, endpoint: EndpointKey) -> bool {
        // They are filled in order.
        self.tried[0].is_some() && self.tried.contains(&Some(endpoint))
    }
}
