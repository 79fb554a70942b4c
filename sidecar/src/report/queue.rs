//! The bounded queue between the call path and the exporter.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chapar_core::record::CallRecord;
use tokio::sync::Notify;

/// First in, first out; when full, the oldest makes room, since the newest are what an operator looks for after an outage.
#[derive(Debug)]
pub(super) struct Queue {
    records: Mutex<VecDeque<CallRecord>>,
    records_max: usize,
    lost: AtomicU64,
    /// Told when a record comes into an empty queue, and at every full batch's worth of them.
    arrival: Notify,
}

/// Records between two wake-ups of the exporter while it is behind.
const RECORDS_PER_WAKE_UP: usize = 512;

impl Queue {
    pub(super) fn new(records_max: usize) -> Self {
        Self { records: Mutex::default(), records_max, lost: AtomicU64::new(0), arrival: Notify::new() }
    }

    pub(super) fn push(&self, record: CallRecord) {
        let depth = {
            let mut records = self.lock();
            if records.len() >= self.records_max {
                records.pop_front();
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            records.push_back(record);
            records.len()
        };
        if depth == 1 || depth.is_multiple_of(RECORDS_PER_WAKE_UP) {
            self.arrival.notify_one();
        }
    }

    pub(super) fn take(&self, records_max: usize) -> Vec<CallRecord> {
        let mut records = self.lock();
        let count = records.len().min(records_max);
        records.drain(..count).collect()
    }

    pub(super) fn depth(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<CallRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
