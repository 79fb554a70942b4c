//! Shares of what all members use together: what one can use up, others keep their part of.
//!
//! A member may take one more of something bounded while it holds less than four times what is still free. So whoever is alone gets four
//! fifths, two that want all of it get four ninths each, and something is always left for whoever has little. Nothing is set aside for
//! anybody by name, and no member has to be configured.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// How many times what is free one member may hold.
const TIMES_FREE: usize = 4;

/// Members without anything that are remembered at most, before they are looked through.
const EMPTY_MAX: usize = 1_024;

/// What one member holds. Shared by all its connections.
#[derive(Debug, Default)]
pub struct Held(AtomicUsize);

impl Held {
    /// Takes one more, where so much is `free`; false: its share is spent.
    #[must_use]
    pub fn take(&self, free: usize) -> bool {
        // Members race with themselves only, for one more or less.
        if self.0.load(Ordering::Relaxed) >= free.saturating_mul(TIMES_FREE) {
            return false;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Gives one back.
    pub fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How much it holds.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Who holds how much of one bounded thing.
#[derive(Debug)]
pub struct Members<M>(Mutex<HashMap<M, Arc<Held>>>);

impl<M> Default for Members<M> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<M: Eq + Hash> Members<M> {
    /// What `member` holds.
    pub fn of(&self, member: M) -> Arc<Held> {
        // A map of counters is whole whoever panicked.
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if members.len() >= EMPTY_MAX {
            members.retain(|_, held| Arc::strong_count(held) > 1 || held.count() > 0);
        }
        Arc::clone(members.entry(member).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_all_it_can_leaves_something_to_others() {
        let members = Members::default();
        let (greedy, greedy_too, modest) = (members.of("a"), members.of("b"), members.of("c"));
        let (mut free, size) = (1_000_usize, 1_000);
        while greedy.take(free) {
            free -= 1;
        }
        assert_eq!((greedy.count(), free), (800, 200));
        while greedy_too.take(free) {
            free -= 1;
        }
        assert!(greedy_too.count() > 150 && free > 0, "{} {free}", greedy_too.count());
        assert!(modest.take(free), "one more always finds room");
        // Of a connection more of the same member the share is the same.
        assert!(!members.of("a").take(free));
        assert_eq!(greedy.count() + greedy_too.count() + free, size);
    }

    #[test]
    fn a_pool_of_one_is_whole() {
        let held = Held::default();
        assert!(held.take(1));
        assert!(!held.take(0));
        held.give_back();
        assert!(held.take(1));
    }

    #[test]
    fn members_that_are_gone_are_forgotten() {
        let members = Members::default();
        let kept = members.of(0_usize);
        assert!(kept.take(1));
        for member in 1..3 * EMPTY_MAX {
            drop(members.of(member));
        }
        assert!(members.0.lock().expect("nobody panicked").len() <= EMPTY_MAX + 1);
        assert_eq!(members.of(0).count(), 1);
    }
}
