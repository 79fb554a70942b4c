//! How much may be tried again: a share of the calls, so that an outage is not made worse by those who suffer it.

use std::sync::atomic::{AtomicU32, Ordering};

/// Calls that earn one retry.
const CALLS_PER_RETRY: u32 = 5;
/// Retries that are saved up at most; as many are there at the start, for when the first calls meet a restart.
const RETRIES_SAVED_MAX: u32 = 100;
const SAVED_MAX: u32 = RETRIES_SAVED_MAX * CALLS_PER_RETRY;

/// Retries that calls have earned.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    /// In fifths of a retry.
    saved: AtomicU32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { saved: AtomicU32::new(SAVED_MAX) }
    }
}

impl RetryBudget {
    /// A call was made.
    pub(crate) fn earn(&self) {
        // The common case, a full budget, is a read.
        if self.saved.load(Ordering::Relaxed) < SAVED_MAX {
            let more = |saved: u32| (saved < SAVED_MAX).then_some(saved + 1);
            let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    /// Whether a retry can be paid for; it is then.
    pub(crate) fn spend(&self) -> bool {
        let less = |saved: u32| saved.checked_sub(CALLS_PER_RETRY);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_share_of_the_calls_and_no_more() {
        let budget = RetryBudget::default();
        let at_once = std::iter::repeat_with(|| budget.spend()).take_while(|paid| *paid).count();
        assert_eq!(at_once, 100);
        for _ in 0..10 {
            budget.earn();
        }
        assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
    }
}
