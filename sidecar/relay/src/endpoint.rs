//! An endpoint: an address where calls can be taken, its links, and who waits for room there.

use crate::{
    connection::{Probe, Waiting},
    gate::Gate,
    hpack::{put_indexed, put_static_name, statics},
    slab::NONE,
    timer::Timer,
};

mod budget;
mod capacity;
mod dial;
mod outlier;

pub(crate) use budget::RetryBudget;
pub(crate) use outlier::Outlier;

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

/// What a caller is known for: whether it has had more calls answered than it reset ([`crate::connection::Guard::reputation`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reputation {
    Good = 0,
    None = 1,
}

impl Reputation {
    /// In the order in which they get room.
    pub(crate) const ALL: [Self; 2] = [Self::Good, Self::None];
}

/// An endpoint.
pub(crate) struct Endpoint<G: Gate> {
    pub(crate) own: G::Endpoint,
    /// `:scheme` and `:authority`, as they stand in a block.
    pub(crate) origin: Vec<u8>,
    pub(crate) probe: Probe,
    /// Links that take calls.
    pub(crate) links: Vec<u32>,
    /// All its connections, retired ones included.
    pub(crate) connections: usize,
    pub(crate) calls: usize,
    /// Calls that wait for room, by their callers' names.
    lines: [Waiting; 2],
    pub(crate) pending: usize,
    pub(crate) is_dialling: bool,
    pub(crate) outlier: Outlier,
    pub(crate) is_healthy: bool,
    pub(crate) is_warm: bool,
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
            links: Vec::new(),
            connections: 0,
            calls: 0,
            lines: [Waiting { first: NONE, last: NONE }; 2],
            pending: 0,
            is_dialling: false,
            outlier: Outlier::default(),
            is_healthy: true,
            is_warm: false,
            is_removed: false,
            problem: None,
            timer: Timer::UNSET,
        }
    }

    /// Those who wait, and whose callers have such a name.
    #[inline]
    pub(crate) const fn line(&mut self, reputation: Reputation) -> &mut Waiting {
        &mut self.lines[reputation as usize]
    }

    /// Who waits longest of those with such a name; [`NONE`] if nobody does.
    #[inline]
    pub(crate) const fn first_of(&self, reputation: Reputation) -> u32 {
        self.lines[reputation as usize].first
    }

    /// Anybody who waits.
    pub(crate) fn first(&self) -> Option<u32> {
        Reputation::ALL.map(|reputation| self.first_of(reputation)).into_iter().find(|call| *call != NONE)
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
    pub(crate) const fn is_over(&self) -> bool {
        self.is_removed && self.connections == 0 && self.calls == 0 && self.pending == 0 && !self.is_dialling
    }
}
