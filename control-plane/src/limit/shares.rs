//! How much of something each holds at a time.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::IntGauge;

/// What many hold of one bounded thing, at a time. Clones share it.
///
/// A holder may take more as long as he then holds no more than is left free for others. So one alone gets half, two a third each, and
/// whoever comes anew always finds something, without anybody having configured who may have how much.
#[derive(Debug)]
pub struct Shares<K> {
    max: u64,
    held: Arc<Mutex<HashMap<K, u64>>>,
    gauge: IntGauge,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self { max: self.max, held: self.held.clone(), gauge: self.gauge.clone() }
    }
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// `max` for all, `gauge` shows how much of it is held.
    #[must_use]
    pub fn new(max: u64, gauge: IntGauge) -> Self {
        Self { max, held: Arc::default(), gauge }
    }

    /// How much there is for all.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// Takes `amount` for the holder, until what is returned is dropped. `None`: his share is spent.
    #[must_use]
    pub fn take(&self, holder: &K, amount: u64) -> Option<Held<K>> {
        let mut held = Held { shares: self.clone(), holder: holder.clone(), amount: 0 };
        held.more(amount).then_some(held)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, u64>> {
        // One number is changed at a time: nothing is half done if a holder panicked.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody holds; given back when it is dropped.
pub struct Held<K: Eq + Hash + Clone> {
    shares: Shares<K>,
    holder: K,
    amount: u64,
}

impl<K: Eq + Hash + Clone> Held<K> {
    /// Takes more. False: the holder's share is spent, and nothing was taken.
    pub fn more(&mut self, amount: u64) -> bool {
        let mut held = self.shares.lock();
        let all: u64 = self.shares.gauge.get().unsigned_abs();
        let own = held.get(&self.holder).copied().unwrap_or_default();
        let free = self.shares.max.saturating_sub(all.saturating_add(amount));
        let fits = all.saturating_add(amount) <= self.shares.max;
        if !fits || own.saturating_add(amount) > free.max(1) {
            return false;
        }
        *held.entry(self.holder.clone()).or_default() += amount;
        self.shares.gauge.set(i64::try_from(all + amount).unwrap_or(i64::MAX));
        self.amount += amount;
        true
    }
}

impl<K: Eq + Hash + Clone> Drop for Held<K> {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        let Some(own) = held.get_mut(&self.holder) else { return };
        *own = own.saturating_sub(self.amount);
        if *own == 0 {
            held.remove(&self.holder);
        }
        self.shares.gauge.sub(i64::try_from(self.amount).unwrap_or(i64::MAX));
    }
}

impl<K: Eq + Hash + Clone + fmt::Debug> fmt::Debug for Held<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("holder", &self.holder).field("amount", &self.amount).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(max: u64) -> Shares<&'static str> {
        Shares::new(max, IntGauge::new("held", "held").expect("a good name"))
    }

    #[test]
    fn one_alone_gets_half_and_whoever_comes_anew_finds_something() {
        let shares = shares(100);
        let flood: Vec<_> = (0..1_000).map_while(|_| shares.take(&"flood", 1)).collect();
        assert_eq!(flood.len(), 50);
        let second: Vec<_> = (0..1_000).map_while(|_| shares.take(&"second", 1)).collect();
        assert_eq!(second.len(), 25);
        assert!(shares.take(&"new", 1).is_some());
        assert!(shares.take(&"flood", 1).is_none());
        drop(flood);
        assert!(shares.take(&"flood", 1).is_some());
        drop(second);
        assert_eq!((shares.gauge.get(), shares.lock().len()), (0, 0));
    }

    #[test]
    fn what_is_taken_piece_by_piece_is_given_back_as_a_whole() {
        let shares = shares(1_000);
        let mut held = shares.take(&"one", 100).expect("it is free");
        assert!(held.more(300) && !held.more(200));
        assert_eq!(shares.gauge.get(), 400);
        drop(held);
        assert_eq!(shares.gauge.get(), 0);
    }
}
