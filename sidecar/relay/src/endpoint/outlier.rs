//! How an endpoint has been doing: outliers are left out for a while, longer each time.

/// Calls lost in a row after which an endpoint is left out, although it can be connected to.
const LOSSES_MAX: u32 = 5;
/// How long an endpoint is left out at first, in ms; doubles each time.
const EJECTED_MS_MIN: u64 = 500;
/// How long it is left out at most, in ms: an endpoint that is back is found again within this time.
const EJECTED_MS_MAX: u64 = 15_000;

#[derive(Debug, Default)]
pub(crate) struct Outlier {
    losses_in_a_row: u32,
    ejections_in_a_row: u32,
    ejected_until_ms: u64,
}

impl Outlier {
    #[inline]
    pub(crate) const fn is_ejected(&self, now_ms: u64) -> bool {
        now_ms < self.ejected_until_ms
    }

    pub(crate) const fn ejected_until_ms(&self) -> u64 {
        self.ejected_until_ms
    }

    /// A call was answered. True: the endpoint was left out and is back.
    #[inline]
    pub(crate) fn answered(&mut self) -> bool {
        if self.losses_in_a_row == 0 && self.ejections_in_a_row == 0 {
            return false;
        }
        std::mem::take(self).ejections_in_a_row > 0
    }

    /// A call was lost. True: it is time to leave the endpoint out.
    pub(crate) const fn lost(&mut self) -> bool {
        self.losses_in_a_row += 1;
        self.losses_in_a_row >= LOSSES_MAX
    }

    /// Leaves the endpoint out, for the time that is returned, in ms. `random` spreads it over half to whole: those who lost an endpoint
    /// together do not come back to it together.
    pub(crate) fn eject(&mut self, now_ms: u64, random: u64) -> u64 {
        let longest_ms = (EJECTED_MS_MIN << self.ejections_in_a_row.min(10)).min(EJECTED_MS_MAX);
        let time_ms = longest_ms / 2 + random % (longest_ms / 2 + 1);
        self.ejected_until_ms = now_ms + time_ms;
        self.ejections_in_a_row += 1;
        self.losses_in_a_row = 0;
        time_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_left_out_longer_each_time_and_back_once_it_answers() {
        let mut outlier = Outlier::default();
        assert!((EJECTED_MS_MIN / 2..=EJECTED_MS_MIN).contains(&outlier.eject(7, 12_345)));
        assert!(outlier.is_ejected(7) && !outlier.is_ejected(7 + EJECTED_MS_MIN));
        for random in 0..40 {
            outlier.eject(7, random);
        }
        assert!((EJECTED_MS_MAX / 2..=EJECTED_MS_MAX).contains(&outlier.eject(7, 99)));
        assert!(outlier.answered() && !outlier.answered());
        assert!(!outlier.is_ejected(7));
        assert!(outlier.eject(7, 3) <= EJECTED_MS_MIN);
    }

    #[test]
    fn some_losses_are_forgiven_many_in_a_row_are_not() {
        let mut outlier = Outlier::default();
        assert!((1..LOSSES_MAX).all(|_| !outlier.lost()));
        assert!(!outlier.answered());
        assert!((1..LOSSES_MAX).all(|_| !outlier.lost()));
        assert!(outlier.lost());
    }
}
