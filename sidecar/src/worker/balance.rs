//! How many connections of one listener each worker has, and which worker should have the next one.
//!
//! The kernel spreads connections over the workers' sockets by a hash of their addresses, so that one worker may well get two of two
//! connections. gRPC's connections last, and so would that: a worker that has more than another hands a new connection over to it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Up to so many connections a worker, they are spread exactly: no worker has two more than another. Beyond, a small difference is no
/// reason to hand one over, or connections that are opened for one call would go back and forth.
const EXACT_BELOW: usize = 2;

/// The number of connections of each worker.
#[derive(Debug)]
pub(super) struct Balance(Vec<AtomicUsize>);

impl Balance {
    /// For so many workers, none of which has any.
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicUsize::new(0)).collect())
    }

    /// A worker has one more.
    pub(super) fn enter(&self, worker: usize) {
        if let Some(connections) = self.0.get(worker) {
            connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A worker has one less.
    pub(super) fn leave(&self, worker: usize) {
        if let Some(connections) = self.0.get(worker) {
            connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The worker that should have the connection which `worker` was the last to enter: the one with the fewest, if it has enough less.
    /// `None`: the connection stays.
    pub(super) fn better_than(&self, worker: usize) -> Option<usize> {
        let own = self.0.get(worker)?.load(Ordering::Relaxed);
        let counts = self.0.iter().map(|connections| connections.load(Ordering::Relaxed));
        let (lightest, least) = counts.enumerate().min_by_key(|(_, count)| *count)?;
        let slack = if least < EXACT_BELOW { 0 } else { 1 + least / 8 };
        (own > least + 1 + slack).then_some(lightest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(counts: &[usize]) -> Balance {
        let balance = Balance::new(counts.len());
        for (worker, count) in counts.iter().enumerate() {
            (0..*count).for_each(|_| balance.enter(worker));
        }
        balance
    }

    #[test]
    fn a_connection_is_for_the_worker_with_the_fewest() {
        for (counts, of_first) in [
            (&[1, 0][..], None),
            (&[2, 0], Some(1)),
            (&[2, 1], None),
            (&[5, 4, 3], None),
            (&[6, 4, 3], Some(2)),
            (&[3, 1], Some(1)),
            (&[4, 2], None),
            (&[6, 4], None),
            (&[7, 4], Some(1)),
            (&[100, 90], None),
            (&[104, 90], Some(1)),
            (&[9], None),
        ] {
            assert_eq!(with(counts).better_than(0), of_first, "{counts:?}");
        }
    }

    #[test]
    fn who_left_is_no_load() {
        let balance = with(&[2, 0]);
        balance.leave(0);
        assert_eq!(balance.better_than(0), None);
    }
}
