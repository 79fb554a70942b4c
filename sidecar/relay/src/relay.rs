//! The relay of one worker thread: its connections, calls and endpoints. Bytes and instants in, bytes and wake-ups out.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    call::Call,
    connection::{CloseReason, Connection, Phase, Probe, Role},
    counters::Counters,
    endpoint::{Endpoint, RetryBudget},
    gate::Gate,
    head::Reply,
    keys::{CallKey, ConnectionKey, EndpointKey},
    limits::Limits,
    pool::Pool,
    slab::Slab,
    timer::Wheel,
};

mod endpoints;
mod running;

/// Heads and trailers: many and small.
const SMALL: Pool = Pool::new(512, 8 * 1024, 1024 * 1024);
/// Queues, what is kept of requests, and messages that are gathered: most are a few small messages, and one that grows keeps its size.
const LARGE: Pool = Pool::new(1024, 256 * 1024, 2 * 1024 * 1024);
/// Outputs, and frames that came in part: few, and apart, so that each soon has the size that it needs.
const OUTPUTS: Pool = Pool::new(16 * 1024, 512 * 1024, 1024 * 1024);

/// What the worker is asked to do, or may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Connect to the endpoint, and then call [`Relay::dialled`] or [`Relay::dial_failed`], one of them and once.
    Dial {
        /// Which.
        endpoint: EndpointKey,
    },
    /// The endpoint is left out for failing.
    Ejected {
        /// Which.
        endpoint: EndpointKey,
        /// For how long.
        time: Duration,
    },
    /// The endpoint answers again.
    Restored {
        /// Which.
        endpoint: EndpointKey,
    },
}

/// Buffers for what is read and written in passing.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// A block without its dynamic entries.
    pub(crate) block: Vec<u8>,
    /// Values decoded from a request's head.
    pub(crate) values: Vec<u8>,
    pub(crate) tracestate: Vec<u8>,
    /// A block that is being written.
    pub(crate) written: Vec<u8>,
    /// The value of `chapar-refused`.
    pub(crate) refused: Vec<u8>,
    /// A message that was transformed.
    pub(crate) message: Vec<u8>,
    pub(crate) endpoints: Vec<EndpointKey>,
    pub(crate) calls: Vec<CallKey>,
}

/// The relay of one worker thread.
///
/// Every `now` must not be before the one given last. After any call that takes one, write what [`Relay::next_dirty`] names, serve
/// [`Relay::next_event`], and be back for [`Relay::tick`] at [`Relay::next_timer`].
pub struct Relay<G: Gate> {
    pub(crate) gate: G,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    began: Instant,
    pub(crate) now: Instant,
    pub(crate) now_ms: u64,
    random: u64,

    pub(crate) connections: Slab<Connection<G>>,
    pub(crate) calls: Slab<Call<G>>,
    pub(crate) endpoints: Slab<Endpoint<G>>,
    pub(crate) retries: RetryBudget,

    pub(crate) wheel: Wheel,
    pub(crate) dirty: VecDeque<ConnectionKey>,
    pub(crate) events: VecDeque<Event>,
    /// Endpoints where room came free, or whose calls must be seen to.
    pub(crate) ready: Vec<u32>,
    pub(crate) is_draining: bool,
    recheck_next: u32,

    pub(crate) small: Pool,
    pub(crate) large: Pool,
    pub(crate) outputs: Pool,
    pub(crate) scratch: Scratch,
    pub(crate) reply: Reply,
}

impl<G: Gate> std::fmt::Debug for Relay<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("connections", &self.connections.len())
            .field("calls", &self.calls.len())
            .field("endpoints", &self.endpoints.len())
            .finish_non_exhaustive()
    }
}

impl<G: Gate> Relay<G> {
    /// A relay without connections and endpoints. `seed` is for choosing among endpoints; each worker has another.
    pub fn new(gate: G, limits: Limits, seed: u64, now: Instant) -> Self {
        Self {
            gate,
            limits: limits.bounded(),
            counters: Counters::default(),
            began: now,
            now,
            now_ms: 0,
            random: seed | 1,
            connections: Slab::new(),
            calls: Slab::new(),
            endpoints: Slab::new(),
            retries: RetryBudget::new(),
            wheel: Wheel::new(),
            dirty: VecDeque::new(),
            events: VecDeque::new(),
            ready: Vec::new(),
            is_draining: false,
            recheck_next: 0,
            small: SMALL,
            large: LARGE,
            outputs: OUTPUTS,
            scratch: Scratch::default(),
            reply: Reply::default(),
        }
    }

    /// The gate.
    pub const fn gate(&self) -> &G {
        &self.gate
    }

    /// The gate, to bring it up to date.
    pub const fn gate_mut(&mut self) -> &mut G {
        &mut self.gate
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The limits in force.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Calls that are under way.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Connections of both kinds.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// A connection has come in. Its SETTINGS are in its output at once.
    pub fn accept(&mut self, origin: G::Origin, probe: Probe, now: Instant) -> ConnectionKey {
        self.wind(now);
        self.counters.accepted += 1;
        let connection = self.open_connection(Role::Accepted(origin), probe);
        if self.is_draining {
            self.notice(connection);
        }
        self.settle();
        self.key_of(connection)
    }

    /// A connection that [`Event::Dial`] asked for stands. The preface, SETTINGS and the calls that waited are in its output at once.
    /// None: the endpoint is gone, and the connection is to be closed.
    pub fn dialled(&mut self, endpoint: EndpointKey, peer: G::Peer, now: Instant) -> Option<ConnectionKey> {
        self.wind(now);
        self.counters.dialled += 1;
        let connection = self.begin_link(endpoint, peer);
        self.settle();
        connection.map(|connection| self.key_of(connection))
    }

    /// The endpoint that [`Event::Dial`] named could not be reached.
    pub fn dial_failed(&mut self, endpoint: EndpointKey, error: G::DialError, now: Instant) {
        self.wind(now);
        self.counters.dials_failed += 1;
        self.not_reached(endpoint, error);
        self.settle();
    }

    /// `bytes` came on a connection. All of them are taken.
    pub fn received(&mut self, connection: ConnectionKey, bytes: &[u8], now: Instant) {
        self.wind(now);
        let Some(connection) = self.connections.find(connection.slot, connection.generation) else { return };
        self.take_in(connection, bytes);
        self.settle();
    }

    /// What is to be written to a connection.
    #[inline]
    pub fn output(&self, connection: ConnectionKey) -> &[u8] {
        self.connection(connection).map_or(&[], |connection| connection.output.waiting())
    }

    /// So many bytes of the output were written. There may be more output then.
    pub fn written(&mut self, connection: ConnectionKey, bytes: usize, now: Instant) {
        self.wind(now);
        let Some(connection) = self.connections.find(connection.slot, connection.generation) else { return };
        self.output_left(connection, bytes);
        self.settle();
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
        self.wind(now);
        let Some(connection) = self.connections.find(connection.slot, connection.generation) else { return };
        self.lose(connection);
        self.settle();
    }

    /// The next connection that has new output or began to close. Keys may be dead: their output is empty.
    pub fn next_dirty(&mut self) -> Option<ConnectionKey> {
        let key = self.dirty.pop_front()?;
        if let Some(slot) = self.connections.find(key.slot, key.generation) {
            self.check_output(slot);
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.is_dirty = false;
            }
            self.settle();
        }
        Some(key)
    }

    /// What the worker is to do next.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Relay::tick`] is next wanted.
    pub fn next_timer(&self) -> Option<Instant> {
        self.wheel.next_ms().and_then(|at_ms| self.began.checked_add(Duration::from_millis(at_ms)))
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        self.wind(now);
        self.expire();
        self.settle();
    }

    /// The connection takes no further call, and ends when those that it has are over.
    pub fn retire(&mut self, connection: ConnectionKey, now: Instant) {
        self.wind(now);
        if let Some(connection) = self.connections.find(connection.slot, connection.generation) {
            self.retire_connection(connection, CloseReason::Retired);
        }
        self.settle();
    }

    /// Who is at the other end of a connection that came in.
    pub fn origin(&self, connection: ConnectionKey) -> Option<&G::Origin> {
        match &self.connection(connection)?.role {
            Role::Accepted(origin) => Some(origin),
            Role::Link { .. } => None,
        }
    }

    /// Who is at the other end of a connection that was dialled.
    pub fn peer(&self, connection: ConnectionKey) -> Option<&G::Peer> {
        match &self.connection(connection)?.role {
            Role::Link { peer, .. } => Some(peer),
            Role::Accepted(_) => None,
        }
    }

    /// What is left to do once the outermost call to the relay has done its own.
    pub(crate) fn settle(&mut self) {
        while let Some(endpoint) = self.ready.pop() {
            self.feed(endpoint);
        }
    }

    /// Takes over what time it is.
    #[inline]
    pub(crate) fn wind(&mut self, now: Instant) {
        if now > self.now {
            self.now = now;
            self.now_ms = self.now.duration_since(self.began).as_millis() as u64;
        }
    }

    /// When `at` is, rounded up, in ms since the relay was made.
    pub(crate) fn ms_at(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.began).as_nanos();
        u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// So long from now, in ms since the relay was made.
    #[inline]
    pub(crate) fn ms_after(&self, time: Duration) -> u64 {
        self.now_ms.saturating_add(time.as_millis() as u64)
    }

    fn connection(&self, key: ConnectionKey) -> Option<&Connection<G>> {
        let slot = self.connections.find(key.slot, key.generation)?;
        self.connections.get(slot)
    }

    /// An endpoint that was not removed.
    pub(crate) fn find_endpoint(&self, key: EndpointKey) -> Option<u32> {
        let slot = self.endpoints.find(key.slot, key.generation)?;
        self.endpoints.get(slot).filter(|endpoint| !endpoint.is_removed).map(|_| slot)
    }

    pub(crate) fn key_of(&self, connection: u32) -> ConnectionKey {
        ConnectionKey::of((connection, self.connections.generation(connection)))
    }

    pub(crate) fn key_of_call(&self, call: u32) -> CallKey {
        CallKey::of((call, self.calls.generation(call)))
    }

    pub(crate) fn key_of_endpoint(&self, endpoint: u32) -> EndpointKey {
        EndpointKey::of((endpoint, self.endpoints.generation(endpoint)))
    }

    /// A number that nobody else chooses by (xorshift64).
    pub(crate) const fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
