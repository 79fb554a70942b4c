//! What one worker counts of its calls.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use chapar_core::{
    policy::{GrpcCode, Reason, Side},
    record::{CallRecord, Flow, Outcome},
};

/// Upper bounds of the buckets of the duration of calls, in microseconds: a tenth of a millisecond to a minute.
pub(super) const DURATION_BUCKETS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];
pub(super) const SIDES: [Side; 2] = [Side::Consumer, Side::Provider];
/// gRPC codes are numbered from 0 to 16.
pub(super) const CODES: usize = 17;
/// Reasons, and none.
pub(super) const REASONS: usize = Reason::ALL.len() + 1;
pub(super) const ENDINGS: usize = SIDES.len() * Outcome::ALL.len() * REASONS * CODES;

/// What one worker has counted. It alone writes; others read.
pub struct CallCounters {
    pub(super) endings: Box<[AtomicU64]>,
    pub(super) sides: [OfSide; 2],
}

/// Counts of one side.
#[derive(Default)]
pub(super) struct OfSide {
    pub(super) began: AtomicU64,
    pub(super) ended: AtomicU64,
    /// One more than there are bounds: what is above the last.
    pub(super) durations: [AtomicU64; DURATION_BUCKETS_US.len() + 1],
    pub(super) duration_us: AtomicU64,
    pub(super) request: Flowed,
    pub(super) response: Flowed,
}

#[derive(Default)]
pub(super) struct Flowed {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl fmt::Debug for CallCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallCounters").field("live", &SIDES.map(|side| self.live(side))).finish_non_exhaustive()
    }
}

impl Default for CallCounters {
    fn default() -> Self {
        Self { endings: std::iter::repeat_with(AtomicU64::default).take(ENDINGS).collect(), sides: Default::default() }
    }
}

/// Only one thread writes, so that adding needs no locked instruction.
pub(super) fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

pub(super) fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

impl CallCounters {
    /// A call has begun.
    pub fn began(&self, side: Side) {
        add(&self.sides[side as usize].began, 1);
    }

    /// A call has ended.
    pub fn ended(&self, record: &CallRecord<'_>) {
        if let Some(count) = self.endings.get(ending(record.side, record.outcome, record.reason, record.status)) {
            add(count, 1);
        }
        let side = &self.sides[record.side as usize];
        add(&side.ended, 1);
        let bucket = DURATION_BUCKETS_US.partition_point(|bound_us| *bound_us < record.duration_us);
        add(&side.durations[bucket], 1);
        add(&side.duration_us, record.duration_us);
        for (flowed, flow) in [(&side.request, record.request), (&side.response, record.response)] {
            flowed.add(flow);
        }
    }

    /// Calls of one side that are under way.
    #[must_use]
    pub fn live(&self, side: Side) -> u64 {
        let side = &self.sides[side as usize];
        // Read in this order, a call that ends meanwhile is counted as under way rather than as less than none.
        let ended = read(&side.ended);
        read(&side.began).saturating_sub(ended)
    }
}

impl Flowed {
    fn add(&self, flow: Flow) {
        add(&self.messages, flow.messages);
        add(&self.bytes, flow.bytes);
    }
}

/// The place of an ending in the table.
pub(super) fn ending(side: Side, outcome: Outcome, reason: Option<Reason>, status: GrpcCode) -> usize {
    let reason = reason.map_or(0, |reason| reason as usize + 1);
    ((side as usize * Outcome::ALL.len() + outcome as usize) * REASONS + reason) * CODES + usize::from(status as u8)
}
