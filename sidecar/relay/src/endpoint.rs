//! An endpoint: an address where calls can be taken, its connections, and who waits for room there.

mod outlier;
mod slots;

use crate::{
    connection::Probe,
    gate::Gate,
    hpack::{put_indexed, put_static_name, statics},
    keys::{CallId, ConnectionId},
    list::List,
    reputation::Reputation,
    timer::Timer,
};

pub(crate) use outlier::Outlier;
pub(crate) use slots::Endpoints;

/// How requests to an endpoint are addressed.
#[derive(Debug, Clone, Copy)]
pub struct EndpointConfig<'c> {
    /// `:scheme` is `https`, not `http`.
    pub https: bool,
    /// `:authority`.
    pub authority: &'c str,
    /// Whether its connections are probed.
    pub probe: Probe,
}

/// How an endpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointState {
    /// Connections that take calls.
    pub connections: usize,
    /// Calls on its connections.
    pub calls: usize,
    /// Calls that wait for room.
    pub pending: usize,
    /// What the last health check said.
    pub is_healthy: bool,
    /// Whether it is left out for failing.
    pub is_ejected: bool,
}

/// An endpoint.
pub(crate) struct Endpoint<G: Gate> {
    pub(crate) own: G::Endpoint,
    /// `:scheme` and `:authority`, as they stand in a block.
    pub(crate) origin: Vec<u8>,
    pub(crate) probe: Probe,
    /// Connections that take calls.
    pub(crate) connections: Vec<ConnectionId>,
    /// All its connections, retired ones included.
    pub(crate) connections_count: usize,
    pub(crate) calls: usize,
    /// Calls that wait for room, by their callers' reputation.
    pending_calls: [List<CallId>; 2],
    pub(crate) pending: usize,
    pub(crate) is_dialling: bool,
    pub(crate) outlier: Outlier,
    pub(crate) is_healthy: bool,
    pub(crate) is_kept_open: bool,
    pub(crate) is_removed: bool,
    /// Why it was last not reached.
    pub(crate) problem: Option<G::DialError>,
    /// When it is dialled again though nobody calls.
    pub(crate) timer: Timer,
}

impl<G: Gate> Endpoint<G> {
    pub(crate) fn new(own: G::Endpoint, config: &EndpointConfig<'_>) -> Self {
        let mut origin = Vec::with_capacity(config.authority.len() + 8);
        put_indexed(&mut origin, if config.https { statics::SCHEME_HTTPS } else { statics::SCHEME_HTTP });
        put_static_name(&mut origin, statics::AUTHORITY, config.authority.as_bytes());
        Self {
            own,
            origin,
            probe: config.probe,
            connections: Vec::new(),
            connections_count: 0,
            calls: 0,
            pending_calls: [List::EMPTY; 2],
            pending: 0,
            is_dialling: false,
            outlier: Outlier::default(),
            is_healthy: true,
            is_kept_open: false,
            is_removed: false,
            problem: None,
            timer: Timer::UNSET,
        }
    }

    /// How it is doing.
    pub(crate) const fn state(&self, now_ms: u64) -> EndpointState {
        EndpointState {
            connections: self.connections.len(),
            calls: self.calls,
            pending: self.pending,
            is_healthy: self.is_healthy,
            is_ejected: self.outlier.is_ejected(now_ms),
        }
    }

    /// Those who wait, and whose callers have such a reputation.
    #[inline]
    pub(crate) const fn pending_calls(&mut self, reputation: Reputation) -> &mut List<CallId> {
        &mut self.pending_calls[reputation as usize]
    }

    /// Who waits longest of those with such a reputation.
    #[inline]
    pub(crate) const fn first_of(&self, reputation: Reputation) -> Option<CallId> {
        self.pending_calls[reputation as usize].first()
    }

    /// Anybody who waits.
    pub(crate) fn first(&self) -> Option<CallId> {
        Reputation::ALL.into_iter().find_map(|reputation| self.first_of(reputation))
    }

    /// Takes a connection out of those that take calls. False: it was not among them.
    pub(crate) fn leave(&mut self, connection: ConnectionId) -> bool {
        let at = self.connections.iter().position(|held| *held == connection);
        at.map(|at| self.connections.remove(at)).is_some()
    }

    /// Whether it is worth trying: neither left out for failing, nor unwell.
    #[inline]
    pub(crate) const fn is_available(&self, now_ms: u64) -> bool {
        self.is_healthy && !self.outlier.is_ejected(now_ms)
    }

    /// Calls that it has or will have.
    #[inline]
    pub(crate) const fn load(&self) -> usize {
        self.calls + self.pending
    }

    /// Whether nothing depends on it any more, and it was removed.
    const fn is_over(&self) -> bool {
        self.is_removed && self.connections_count == 0 && self.calls == 0 && self.pending == 0 && !self.is_dialling
    }
}

/// Calls that earn one retry.
const CALLS_PER_RETRY: u32 = 5;
/// Retries that are saved up at most; as many are there at the start, for when the first calls meet a restart.
const RETRIES_SAVED_MAX: u32 = 100;
const SAVED_MAX: u32 = RETRIES_SAVED_MAX * CALLS_PER_RETRY;

/// Retries that calls have earned, in fifths.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    saved: u32,
}

impl RetryBudget {
    pub(crate) const fn new() -> Self {
        Self { saved: SAVED_MAX }
    }

    /// A call was made.
    #[inline]
    pub(crate) fn earn(&mut self) {
        self.saved = (self.saved + 1).min(SAVED_MAX);
    }

    /// Whether a retry can be paid for; it is then.
    pub(crate) fn spend(&mut self) -> bool {
        let left = self.saved.checked_sub(CALLS_PER_RETRY);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_share_of_the_calls_and_no_more() {
        let mut budget = RetryBudget::new();
        let at_once = std::iter::repeat_with(|| budget.spend()).take_while(|paid| *paid).count();
        assert_eq!(at_once, 100);
        for _ in 0..10 {
            budget.earn();
        }
        assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
    }
}
