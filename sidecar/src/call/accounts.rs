//! The accounts of one worker: where the accounts of its calls are closed.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Instant,
};

use chapar_core::{identity::Agency, policy::Side, record::CallRecord};

use super::{
    account_state::Slot,
    call_limit::{CallLimit, CallLimitShare},
};
use crate::{call_metrics::CallCounters, report::SpoolWriter};

/// Where accounts are closed: the spool_writer gets the record, the counters counts it. One a worker, shared by its calls and by nobody
/// else.
#[derive(Debug)]
pub struct Accounts {
    agency: Agency,
    spool_writer: RefCell<SpoolWriter>,
    counters: Arc<CallCounters>,
    share: CallLimitShare,
    now: Cell<Instant>,
    purposes: RefCell<Vec<String>>,
    slots: RefCell<Vec<Slot>>,
}

/// Texts that are kept for the calls to come: as many as state a purpose at one time, and not those of a burst.
const PURPOSES_KEPT_MAX: usize = 256;
/// Sheets that are kept likewise: as many calls as a worker carries at one time without allocating, at some 300 bytes each.
const SLOTS_KEPT_MAX: usize = 4_096;

impl Accounts {
    /// A accounts of `agency` whose records go to `spool_writer`, in the instant `now`.
    #[must_use]
    pub fn new(
        agency: Agency,
        spool_writer: SpoolWriter,
        counters: Arc<CallCounters>,
        call_limit: Arc<CallLimit>,
        now: Instant,
    ) -> Self {
        Self {
            agency,
            spool_writer: RefCell::new(spool_writer),
            counters,
            share: CallLimitShare::new(call_limit),
            now: Cell::new(now),
            purposes: RefCell::default(),
            slots: RefCell::default(),
        }
    }

    /// Whose accounts it is.
    #[must_use]
    pub const fn agency(&self) -> &Agency {
        &self.agency
    }

    /// Where calls are counted.
    #[must_use]
    pub const fn counters(&self) -> &Arc<CallCounters> {
        &self.counters
    }

    /// The calls that are under way.
    #[must_use]
    pub const fn share(&self) -> &CallLimitShare {
        &self.share
    }

    /// It is `now`: what is closed from here on ended then.
    pub fn advance_to(&self, now: Instant) {
        self.now.set(now);
    }

    /// Puts down a handshake that was refused: no call, so it counts as none.
    pub fn put_handshake(&self, record: &CallRecord<'_>) {
        self.spool_writer.borrow_mut().put(record);
    }

    /// Makes everything that was put down safe from a crash: before any caller sees the end of its call.
    pub fn commit(&self) {
        self.spool_writer.borrow_mut().commit();
    }

    /// Whether there is room to account for new calls.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.spool_writer.borrow().admits()
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn opened(&self, side: Side) {
        self.counters.began(side);
    }

    pub(super) fn closed(&self, record: &CallRecord<'_>) {
        self.counters.ended(record);
        self.spool_writer.borrow_mut().put(record);
    }

    /// An empty slot, used before where possible.
    pub(super) fn slot(&self) -> Slot {
        self.slots.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes an empty slot back.
    pub(super) fn give_back_slot(&self, slot: Slot) {
        let mut slots = self.slots.borrow_mut();
        if slots.len() < SLOTS_KEPT_MAX {
            slots.push(slot);
        }
    }

    /// A text to write a purpose into, used before where possible.
    pub(super) fn purpose(&self) -> String {
        self.purposes.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a text back.
    pub(super) fn give_back_purpose(&self, mut text: String) {
        let mut purposes = self.purposes.borrow_mut();
        if purposes.len() < PURPOSES_KEPT_MAX {
            text.clear();
            purposes.push(text);
        }
    }
}
