//! The relay of one worker thread, as the worker sees it: bytes and instants in, bytes and wake-ups out.
//!
//! Connections, calls and endpoints each know of themselves; what concerns more than one of them is done by the functions of the
//! modules below, each on all of the relay (`core.rs`). They stand on floors: bytes are taken in (`input`), then frames (`blocks`,
//! `data`, `control`, `settings`), then calls come, are shown to the gate, assigned and sent on (`requests`, `delivering`, `showing`,
//! `assigning`, `flow`), and at the bottom calls and connections end (`cutting`, `refusing`, `ending`, `retiring`).

use std::time::Instant;

use self::core::Core;
use crate::{
    call::Calls,
    connection::{CloseReason, Connection, Connections, Phase, Probe, Role},
    counters::Counters,
    endpoint::{EndpointState, Endpoints},
    event::Event,
    gate::Gate,
    head::Reply,
    keys::{ConnectionKey, EndpointKey},
    limits::Limits,
    shared::Shared,
};

mod assigning;
mod blocks;
mod control;
mod core;
mod cutting;
mod data;
mod delivering;
mod ending;
mod endpoints;
mod flow;
mod input;
mod ready;
mod refusing;
mod requests;
mod responses;
mod retiring;
mod running;
mod settings;
mod showing;
mod timing;
mod transforming;
mod waiting;

pub use endpoints::EndpointsAt;
pub use running::CallsAt;

/// The relay of one worker thread.
///
/// Every `now` must not be before the one given last. After any call that takes one, write what [`Relay::next_dirty`] names, serve
/// [`Relay::next_event`], and be back for [`Relay::tick`] at [`Relay::next_timer`].
pub struct Relay<G: Gate> {
    pub(crate) core: Core<G>,
    /// The next slot of a call that is to be asked about again.
    recheck_next: usize,
}

impl<G: Gate> std::fmt::Debug for Relay<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("connections", &self.core.connections.len())
            .field("calls", &self.core.calls.len())
            .field("endpoints", &self.core.endpoints.len())
            .finish_non_exhaustive()
    }
}

impl<G: Gate> Relay<G> {
    /// A relay without connections and endpoints. `seed` is for choosing among endpoints; each worker has another.
    pub fn new(gate: G, limits: Limits, seed: u64, now: Instant) -> Self {
        let core = Core {
            gate,
            shared: Shared::new(limits, seed, now),
            connections: Connections::new(),
            calls: Calls::new(),
            endpoints: Endpoints::new(),
            reply: Reply::default(),
        };
        Self { core, recheck_next: 0 }
    }

    /// The gate.
    pub const fn gate(&self) -> &G {
        &self.core.gate
    }

    /// The gate, to bring it up to date.
    pub const fn gate_mut(&mut self) -> &mut G {
        &mut self.core.gate
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.core.shared.counters
    }

    /// Calls that are under way.
    pub fn calls(&self) -> usize {
        self.core.calls.len()
    }

    /// Connections of both kinds.
    pub fn connections(&self) -> usize {
        self.core.connections.len()
    }

    /// A connection has come in. Its SETTINGS are in its output at once.
    pub fn accept(&mut self, origin: G::Origin, probe: Probe, now: Instant) -> ConnectionKey {
        let core = &mut self.core;
        core.shared.wind(now);
        core.shared.counters.accepted += 1;
        let connection = core.connections.open(Role::Accepted(origin), probe, &mut core.shared);
        timing::watch(core, connection);
        if core.shared.is_draining {
            retiring::notice(core, connection);
        }
        ready::settle(core);
        core.connections.key_of(connection)
    }

    /// A connection that [`Event::Dial`] asked for stands. The preface, SETTINGS and the calls that waited are in its output at once.
    /// None: the endpoint is gone, and the connection is to be closed.
    pub fn dialled(&mut self, endpoint: EndpointKey, peer: G::Peer, now: Instant) -> Option<ConnectionKey> {
        let core = &mut self.core;
        core.shared.wind(now);
        core.shared.counters.dialled += 1;
        let connection = ready::dialled(core, endpoint, peer);
        if let Some(connection) = connection {
            timing::watch(core, connection);
        }
        ready::settle(core);
        connection.map(|connection| core.connections.key_of(connection))
    }

    /// The endpoint that [`Event::Dial`] named could not be reached.
    pub fn dial_failed(&mut self, endpoint: EndpointKey, error: G::DialError, now: Instant) {
        self.core.shared.wind(now);
        self.core.shared.counters.dials_failed += 1;
        ready::not_reached(&mut self.core, endpoint, error);
        ready::settle(&mut self.core);
    }

    /// `bytes` came on a connection. All of them are taken.
    pub fn received(&mut self, connection: ConnectionKey, bytes: &[u8], now: Instant) {
        self.core.shared.wind(now);
        let Some(connection) = self.core.connections.find(connection) else { return };
        input::take_in(&mut self.core, connection, bytes);
        ready::settle(&mut self.core);
    }

    /// What is to be written to a connection.
    #[inline]
    pub fn output(&self, connection: ConnectionKey) -> &[u8] {
        self.connection(connection).map_or(&[], |connection| connection.output.waiting())
    }

    /// So many bytes of the output were written. There may be more output then.
    pub fn written(&mut self, connection: ConnectionKey, bytes: usize, now: Instant) {
        let core = &mut self.core;
        core.shared.wind(now);
        let Some(connection) = core.connections.find(connection) else { return };
        if core.connections.output_left(connection, bytes, &mut core.shared) {
            flow::pump_waiting(core, connection);
        }
        ready::settle(core);
    }

    /// Some: read no more from the connection; when its output is empty, close it and call [`Relay::closed`]. That is bounded: after
    /// `Limits::linger` the output is dropped.
    #[inline]
    pub fn closing(&self, connection: ConnectionKey) -> Option<CloseReason> {
        match self.connection(connection)?.phase {
            Phase::Closing { why, .. } => Some(why),
            _ => None,
        }
    }

    /// The connection is gone: it was closed, or it broke. To be called once for each; its key is dead then.
    pub fn closed(&mut self, connection: ConnectionKey, now: Instant) {
        self.core.shared.wind(now);
        let Some(connection) = self.core.connections.find(connection) else { return };
        cutting::lose(&mut self.core, connection);
        ready::settle(&mut self.core);
    }

    /// The next connection that has new output or began to close. Keys may be dead: their output is empty.
    pub fn next_dirty(&mut self) -> Option<ConnectionKey> {
        let core = &mut self.core;
        let key = core.shared.dirty.pop_front()?;
        if let Some(id) = core.connections.find(key) {
            cutting::check_output(core, id);
            if let Some(connection) = core.connections.get_mut(id) {
                connection.is_dirty = false;
            }
            ready::settle(core);
        }
        Some(key)
    }

    /// What the worker is to do next.
    pub fn next_event(&mut self) -> Option<Event> {
        self.core.shared.events.pop_front()
    }

    /// When [`Relay::tick`] is next wanted.
    pub fn next_timer(&self) -> Option<Instant> {
        self.core.shared.next_timer()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        self.core.shared.wind(now);
        timing::expire(&mut self.core);
        ready::settle(&mut self.core);
    }

    /// The connection takes no further call, and ends when those that it has are over.
    pub fn retire(&mut self, connection: ConnectionKey, now: Instant) {
        self.core.shared.wind(now);
        if let Some(connection) = self.core.connections.find(connection) {
            retiring::retire(&mut self.core, connection, CloseReason::Retired);
        }
        ready::settle(&mut self.core);
    }

    /// Every connection that came in, and every one to come, is told to go elsewhere, and ends when its calls are over. Until the
    /// peer knows, calls still come: it is the gate who refuses them.
    pub fn drain(&mut self, now: Instant) {
        let core = &mut self.core;
        core.shared.wind(now);
        core.shared.is_draining = true;
        for id in core.connections.ids() {
            if core.connections.get(id).is_some_and(Connection::is_accepted) {
                retiring::notice(core, id);
            }
        }
        ready::settle(core);
    }

    /// What the gate knows of an endpoint.
    pub fn endpoint(&self, endpoint: EndpointKey) -> Option<&G::Endpoint> {
        let endpoints = &self.core.endpoints;
        endpoints.find(endpoint).and_then(|id| endpoints.get(id)).map(|endpoint| &endpoint.own)
    }

    /// How an endpoint is doing.
    pub fn endpoint_state(&self, endpoint: EndpointKey) -> Option<EndpointState> {
        let endpoints = &self.core.endpoints;
        endpoints.find(endpoint).and_then(|id| endpoints.get(id)).map(|endpoint| endpoint.state(self.core.shared.now_ms))
    }

    /// The endpoints, to change them.
    pub fn endpoints(&mut self, now: Instant) -> EndpointsAt<'_, G> {
        self.core.shared.wind(now);
        EndpointsAt::new(self)
    }

    /// The calls that are under way, to end or resume them.
    pub fn running(&mut self, now: Instant) -> CallsAt<'_, G> {
        self.core.shared.wind(now);
        CallsAt::new(self)
    }

    fn connection(&self, key: ConnectionKey) -> Option<&Connection<G>> {
        self.core.connections.find(key).and_then(|id| self.core.connections.get(id))
    }
}
