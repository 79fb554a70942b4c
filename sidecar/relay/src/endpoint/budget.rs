//! How much may be tried again: a share of the calls, so that an outage is not made worse by those who suffer it.

/// Calls that earn one retry.
const CALLS_PER_RETRY: u32 = 5;
/// Retries that are saved up at most; as many are there at the start, for when the first calls meet a restart.
const RETRIES_SAVED_MAX: u32 = 100;
const SAVED_MAX: u32 = RETRIES_SAVED_MAX * CALLS_PER_RETRY;

/// Retries that calls have earned, in fifths.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    saved: u32,
}

impl RetryBudget {
    pub(crate) const fn new() -> Self {
        Self { saved: SAVED_MAX }
    }

    /// A call was made.
    #[inline]
    pub(crate) fn earn(&mut self) {
        self.saved = (self.saved + 1).min(SAVED_MAX);
    }

    /// Whether a retry can be paid for; it is then.
    pub(crate) fn spend(&mut self) -> bool {
        let left = self.saved.checked_sub(CALLS_PER_RETRY);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_share_of_the_calls_and_no_more() {
        let mut budget = RetryBudget::new();
        let at_once = std::iter::repeat_with(|| budget.spend()).take_while(|paid| *paid).count();
        assert_eq!(at_once, 100);
        for _ in 0..10 {
            budget.earn();
        }
        assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
    }
}
