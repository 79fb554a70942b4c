//! How a place has been doing: outliers are left out for a while, longer each time.

use std::time::{Duration, Instant};

/// Calls lost in a row after which a place is left out, although it can be connected to.
const LOSSES_MAX: u32 = 5;
/// How long a place is left out at first; doubles each time.
const EJECTED_MIN: Duration = Duration::from_millis(500);
/// How long it is left out at most: a place that is back is found again within this time.
const EJECTED_MAX: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Standing {
    losses_in_a_row: u32,
    ejections_in_a_row: u32,
    ejected_until: Option<Instant>,
}

impl Standing {
    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.is_some_and(|until| now < until)
    }

    pub(super) fn answered(&mut self) {
        if self.losses_in_a_row > 0 || self.ejections_in_a_row > 0 {
            *self = Self::default();
        }
    }

    /// A call was lost. True: it is time to leave the place out.
    pub(super) fn lost(&mut self) -> bool {
        self.losses_in_a_row += 1;
        self.losses_in_a_row >= LOSSES_MAX
    }

    /// Leaves the place out, for the time that is returned.
    pub(super) fn eject(&mut self, now: Instant) -> Duration {
        let longest = EJECTED_MIN.saturating_mul(1 << self.ejections_in_a_row.min(10)).min(EJECTED_MAX);
        // Half to whole: those who lost a place together do not come back to it together.
        let time = longest.mul_f64(rand::random_range(0.5..=1.0));
        self.ejected_until = Some(now + time);
        self.ejections_in_a_row += 1;
        self.losses_in_a_row = 0;
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_left_out_longer_each_time_and_back_once_it_answers() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        assert!((EJECTED_MIN / 2..=EJECTED_MIN).contains(&standing.eject(now)));
        assert!(standing.is_ejected(now) && !standing.is_ejected(now + EJECTED_MIN));
        for _ in 0..40 {
            standing.eject(now);
        }
        assert!((EJECTED_MAX / 2..=EJECTED_MAX).contains(&standing.eject(now)));
        standing.answered();
        assert!(!standing.is_ejected(now));
        assert!(standing.eject(now) <= EJECTED_MIN);
    }

    #[test]
    fn some_losses_are_forgiven_many_in_a_row_are_not() {
        let mut standing = Standing::default();
        assert!((1..LOSSES_MAX).all(|_| !standing.lost()));
        standing.answered();
        assert!((1..LOSSES_MAX).all(|_| !standing.lost()));
        assert!(standing.lost());
    }
}
