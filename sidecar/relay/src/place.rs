//! A place: an address where calls can be taken, its links, and who waits for room there.

use crate::{
    connection::{Probe, Waiting},
    gate::Gate,
    hpack::{put_indexed, put_static_name, statics},
    slab::NONE,
    timer::Timer,
};

mod budget;
mod dial;
mod seats;
mod standing;

pub(crate) use budget::RetryBudget;
pub(crate) use standing::Standing;

/// How requests to a place are addressed.
#[derive(Debug, Clone, Copy)]
pub struct PlaceConfig<'c> {
    /// `:scheme` is `https`, not `http`.
    pub https: bool,
    /// `:authority`.
    pub authority: &'c str,
    /// Whether its links are probed.
    pub probe: Probe,
}

/// How a place is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceState {
    /// Links that take calls.
    pub links: usize,
    /// Calls on its links.
    pub calls: usize,
    /// Calls that wait for room.
    pub parked: usize,
    /// What the last health check said.
    pub is_well: bool,
    /// Whether it is left out for failing.
    pub is_ejected: bool,
}

/// What a caller is known for: whether it has had more calls answered than it reset ([`crate::connection::Guard::name`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Good = 0,
    None = 1,
}

impl Name {
    /// In the order in which they get room.
    pub(crate) const ALL: [Self; 2] = [Self::Good, Self::None];
}

/// A place.
pub(crate) struct Place<G: Gate> {
    pub(crate) own: G::Place,
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
    pub(crate) parked: usize,
    pub(crate) is_dialling: bool,
    pub(crate) standing: Standing,
    pub(crate) is_well: bool,
    pub(crate) is_warm: bool,
    pub(crate) is_removed: bool,
    /// Why it was last not reached.
    pub(crate) problem: Option<G::DialError>,
    /// When it is dialled again though nobody calls.
    pub(crate) timer: Timer,
}

impl<G: Gate> Place<G> {
    pub(crate) fn new(own: G::Place, config: &PlaceConfig<'_>) -> Self {
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
            parked: 0,
            is_dialling: false,
            standing: Standing::default(),
            is_well: true,
            is_warm: false,
            is_removed: false,
            problem: None,
            timer: Timer::UNSET,
        }
    }

    /// Those who wait, and whose callers have such a name.
    #[inline]
    pub(crate) const fn line(&mut self, name: Name) -> &mut Waiting {
        &mut self.lines[name as usize]
    }

    /// Who waits longest of those with such a name; [`NONE`] if nobody does.
    #[inline]
    pub(crate) const fn first_of(&self, name: Name) -> u32 {
        self.lines[name as usize].first
    }

    /// Anybody who waits.
    pub(crate) fn first(&self) -> Option<u32> {
        Name::ALL.map(|name| self.first_of(name)).into_iter().find(|call| *call != NONE)
    }

    /// Whether it is worth trying: neither left out for failing, nor unwell.
    #[inline]
    pub(crate) const fn is_available(&self, now_ms: u64) -> bool {
        self.is_well && !self.standing.is_ejected(now_ms)
    }

    /// Calls that it has or will have.
    #[inline]
    pub(crate) const fn load(&self) -> usize {
        self.calls + self.parked
    }

    /// Whether nothing depends on it any more, and it was removed.
    pub(crate) const fn is_over(&self) -> bool {
        self.is_removed && self.connections == 0 && self.calls == 0 && self.parked == 0 && !self.is_dialling
    }
}
