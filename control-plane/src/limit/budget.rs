//! How often somebody may do something: so many at once, and then as fast as they come back.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use chapar_core::time::Timestamp;

use crate::clock::Clock;

/// Holders that are remembered, some 5 MiB: those who have spent nothing lately are forgotten. When even more have, those that are not
/// remembered have one budget together.
const HOLDERS_MAX: usize = 65_536;

/// Pause between two attempts to forget holders while there are too many, in milliseconds.
const FORGET_PAUSE_MS: i64 = 1_000;

/// So many within a period: all of them at once if need be, and each comes back in its part of the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    count: u32,
    period_ms: i64,
}

impl Budget {
    /// `count` within `period_s` seconds.
    #[must_use]
    pub fn new(count: u32, period_s: u32) -> Self {
        Self { count: count.max(1), period_ms: i64::from(period_s.max(1)) * 1_000 }
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { count: self.count.saturating_mul(times), ..self }
    }
}

/// What each holder has left of the same budget.
#[derive(Debug)]
pub struct Budgets<K> {
    clock: Clock,
    budget: Budget,
    spent: Mutex<Spent<K>>,
}

#[derive(Debug)]
struct Spent<K> {
    /// By when each has everything back, in microseconds since 1970.
    whole_at_us: HashMap<K, i64>,
    /// The same of all who are not remembered.
    others_whole_at_us: i64,
    forgot_at: Timestamp,
}

impl<K: Eq + Hash + Clone> Budgets<K> {
    /// Nobody has spent anything.
    #[must_use]
    pub fn new(clock: Clock, budget: Budget) -> Self {
        let spent = Spent { whole_at_us: HashMap::new(), others_whole_at_us: 0, forgot_at: Timestamp::MIN };
        Self { clock, budget, spent: Mutex::new(spent) }
    }

    /// Spends one of the holder's.
    ///
    /// # Errors
    /// When nothing is left: seconds until there is, rounded up.
    pub fn take(&self, holder: &K) -> Result<(), u32> {
        let now = self.clock.now();
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let whole_at_us = spent.of(holder, now);
        let (one_us, all_us, now_us) = (self.one_us(), self.budget.period_ms * 1_000, us(now));
        // A clock that was set back must not keep anybody out for longer than the budget lasts.
        let next_us = (*whole_at_us).clamp(now_us, now_us + all_us) + one_us;
        if next_us > now_us + all_us {
            return Err(u32::try_from((next_us - all_us - now_us + 999_999) / 1_000_000).unwrap_or(u32::MAX));
        }
        *whole_at_us = next_us;
        Ok(())
    }

    /// Gives one back that was not spent after all.
    pub fn give_back(&self, holder: &K) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole_at_us) = spent.whole_at_us.get_mut(holder) {
            *whole_at_us -= self.one_us();
        }
    }

    fn one_us(&self) -> i64 {
        self.budget.period_ms * 1_000 / i64::from(self.budget.count)
    }
}

impl<K: Eq + Hash + Clone> Spent<K> {
    fn of(&mut self, holder: &K, now: Timestamp) -> &mut i64 {
        let full = self.whole_at_us.len() >= HOLDERS_MAX && !self.whole_at_us.contains_key(holder);
        if full && self.forgot_at.plus_ms(FORGET_PAUSE_MS) <= now {
            self.forgot_at = now;
            self.whole_at_us.retain(|_, whole_at_us| *whole_at_us > us(now));
        }
        if full && self.whole_at_us.len() >= HOLDERS_MAX {
            return &mut self.others_whole_at_us;
        }
        self.whole_at_us.entry(holder.clone()).or_insert(0)
    }
}

fn us(at: Timestamp) -> i64 {
    at.unix_ms().saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn whoever_has_spent_all_waits_until_one_is_back_and_nobody_else_does() {
        let clock = Clock::wound(Timestamp::from_unix_ms(1_000_000));
        let budgets = Budgets::new(clock.clone(), Budget::new(3, 60));
        assert_eq!([0; 4].map(|_| budgets.take(&"flood")), [Ok(()), Ok(()), Ok(()), Err(20)]);
        assert_eq!(budgets.take(&"other"), Ok(()));
        clock.advance(Duration::from_secs(20));
        assert_eq!([0; 2].map(|_| budgets.take(&"flood")), [Ok(()), Err(20)]);
        budgets.give_back(&"flood");
        assert_eq!(budgets.take(&"flood"), Ok(()));
        clock.advance(Duration::from_secs(3_600));
        assert_eq!([0; 4].map(|_| budgets.take(&"flood")), [Ok(()), Ok(()), Ok(()), Err(20)], "nothing is saved up");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let clock = Clock::wound(Timestamp::from_unix_ms(1_000_000));
        let budgets = Budgets::new(clock.clone(), Budget::new(2, 60));
        let holders = u32::try_from(HOLDERS_MAX).unwrap_or(u32::MAX);
        assert!((0..holders).all(|holder| budgets.take(&holder).is_ok()));
        assert_eq!((0..4).map(|more| budgets.take(&(holders + more)).is_ok()).filter(|taken| *taken).count(), 2);
        clock.advance(Duration::from_secs(60));
        assert_eq!(budgets.take(&(holders + 9)), Ok(()));
        assert_eq!(budgets.spent.lock().map_or(0, |spent| spent.whole_at_us.len()), 1);
    }
}
