//! What connections, calls and endpoints have in common: limits, time, timers, buffers, and what is put down for later.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    counters::Counters,
    event::Event,
    keys::{CallKey, ConnectionKey, EndpointId, EndpointKey},
    limits::Limits,
    pool::Pool,
    timer::Wheel,
};

/// Heads and trailers: many and small.
const SMALL: Pool = Pool::new(512, 8 * 1024, 1024 * 1024);
/// Queues, what is kept of requests, and messages that are gathered: most are a few small messages, and one that grows keeps its size.
const LARGE: Pool = Pool::new(1024, 256 * 1024, 2 * 1024 * 1024);
/// Outputs, and frames that came in part: few, and apart, so that each soon has the size that it needs.
const OUTPUTS: Pool = Pool::new(16 * 1024, 512 * 1024, 1024 * 1024);

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

/// What all of a relay has in common.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    began: Instant,
    pub(crate) now: Instant,
    /// Since the relay was made.
    pub(crate) now_ms: u64,
    random: u64,

    pub(crate) wheel: Wheel,
    /// Connections with new output, or that began to close.
    pub(crate) dirty: VecDeque<ConnectionKey>,
    pub(crate) events: VecDeque<Event>,
    /// Endpoints where room came free, or whose calls must be seen to. One may stand here twice, and be gone by the second time.
    pub(crate) ready: Vec<EndpointId>,
    pub(crate) is_draining: bool,

    pub(crate) small: Pool,
    pub(crate) large: Pool,
    pub(crate) outputs: Pool,
    pub(crate) scratch: Scratch,
}

impl Shared {
    pub(crate) fn new(limits: Limits, seed: u64, now: Instant) -> Self {
        Self {
            limits: limits.bounded(),
            counters: Counters::default(),
            began: now,
            now,
            now_ms: 0,
            random: seed | 1,
            wheel: Wheel::new(),
            dirty: VecDeque::new(),
            events: VecDeque::new(),
            ready: Vec::new(),
            is_draining: false,
            small: SMALL,
            large: LARGE,
            outputs: OUTPUTS,
            scratch: Scratch::default(),
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

    /// When something is next due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.wheel.next_ms().and_then(|at_ms| self.began.checked_add(Duration::from_millis(at_ms)))
    }

    /// A number that nobody else chooses by (xorshift64).
    pub(crate) const fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
