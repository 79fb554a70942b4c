//! The book of one worker: where the accounts of its calls are closed.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Instant,
};

use chapar_core::{identity::Agency, policy::Side, record::CallRecord};

use super::{
    live::{Live, Share},
    record::Sheet,
};
use crate::{report::SpoolWriter, tally::Tally};

/// Where accounts are closed: the spool_writer gets the record, the tally counts it. One a worker, shared by its calls and by nobody
/// else.
#[derive(Debug)]
pub struct Book {
    agency: AgencyName,
    spool_writer: RefCell<SpoolWriter>,
    tally: Arc<Tally>,
    share: Share,
    now: Cell<Instant>,
    texts: RefCell<Vec<String>>,
    sheets: RefCell<Vec<Sheet>>,
}

/// Texts that are kept for the calls to come: as many as state a purpose at one time, and not those of a burst.
const TEXTS_KEPT_MAX: usize = 256;
/// Sheets that are kept likewise: as many calls as a worker carries at one time without allocating, at some 300 bytes each.
const SHEETS_KEPT_MAX: usize = 4_096;

impl Book {
    /// A book of `agency` whose records go to `spool_writer`, in the instant `now`.
    #[must_use]
    pub fn new(agency: AgencyName, spool_writer: SpoolWriter, tally: Arc<Tally>, live: Arc<Live>, now: Instant) -> Self {
        Self {
            agency,
            spool_writer: RefCell::new(spool_writer),
            tally,
            share: Share::new(live),
            now: Cell::new(now),
            texts: RefCell::default(),
            sheets: RefCell::default(),
        }
    }

    /// Whose book it is.
    #[must_use]
    pub const fn agency(&self) -> &Agency {
        &self.agency
    }

    /// Where calls are counted.
    #[must_use]
    pub const fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// The calls that are under way.
    #[must_use]
    pub const fn share(&self) -> &Share {
        &self.share
    }

    /// It is `now`: what is closed from here on ended then.
    pub fn turn(&self, now: Instant) {
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
        self.tally.began(side);
    }

    pub(super) fn closed(&self, record: &CallRecord<'_>) {
        self.tally.ended(record);
        self.spool_writer.borrow_mut().put(record);
    }

    /// An empty sheet, used before where possible.
    pub(super) fn sheet(&self) -> Sheet {
        self.sheets.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes an empty sheet back.
    pub(super) fn keep_sheet(&self, sheet: Sheet) {
        let mut sheets = self.sheets.borrow_mut();
        if sheets.len() < SHEETS_KEPT_MAX {
            sheets.push(sheet);
        }
    }

    /// A text to write into, used before where possible.
    pub(super) fn text(&self) -> String {
        self.texts.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a text back.
    pub(super) fn keep_text(&self, mut text: String) {
        let mut texts = self.texts.borrow_mut();
        if texts.len() < TEXTS_KEPT_MAX {
            text.clear();
            texts.push(text);
        }
    }
}
