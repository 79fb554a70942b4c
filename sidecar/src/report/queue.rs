//! The bounded queue between the call path and the exporter.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::Kept;

/// Records between two wake-ups of the exporter while it is behind: an export's worth.
const RECORDS_PER_WAKE_UP: usize = 64;

/// First in, first out; when full, the oldest makes room, since the newest are what an operator looks for after an outage.
#[derive(Debug)]
pub(super) struct Queue {
    records: Mutex<VecDeque<Kept>>,
    records_max: usize,
    lost: AtomicU64,
    /// Told when a record comes into an empty queue, and at every full batch's worth of them.
    arrival: Notify,
}

impl Queue {
    pub(super) fn new(records_max: usize) -> Self {
        Self { records: Mutex::default(), records_max, lost: AtomicU64::new(0), arrival: Notify::new() }
    }

    pub(super) fn push(&self, record: Kept) {
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

    /// Returns once there are `records` of them, or `delay` after there is any.
    pub(super) async fn wait_for_batch(&self, records: usize, delay: Duration) {
        while self.depth() == 0 {
            self.arrival.notified().await;
        }
        let full = async {
            while self.depth() < records {
                self.arrival.notified().await;
            }
        };
        // Out of time is as good as full.
        let _ = tokio::time::timeout(delay, full).await;
    }

    /// Takes the oldest records, at most `records_max`, as what `make` makes of them, until it makes nothing of one: that
    /// one stays.
    pub(super) fn take_while<T>(&self, records_max: usize, mut make: impl FnMut(&Kept) -> Option<T>) -> Vec<T> {
        // Taken out first, so that the path never waits for a batch to be made.
        let mut taken: VecDeque<Kept> = self.take(records_max).into();
        let mut made = Vec::with_capacity(taken.len());
        while let Some(one) = taken.front().and_then(&mut make) {
            made.push(one);
            taken.pop_front();
        }
        if !taken.is_empty() {
            let mut records = self.lock();
            while let Some(record) = taken.pop_back() {
                records.push_front(record);
            }
        }
        made
    }

    pub(super) fn count_lost(&self, records: usize) {
        self.lost.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub(super) fn take(&self, records_max: usize) -> Vec<Kept> {
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

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
