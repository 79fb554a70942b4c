//! Whose export is written next. Each agency has a queue of its own; of those that wait, the one that has had least of the writer's time
//! is next. So whoever sends much, or what takes long, waits behind itself, and nobody else behind it.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// What a byte of an export takes the writer, about: 20 µs a span of a KiB. It counts until the time is known.
const NS_A_BYTE: u64 = 20;

/// Exports that wait, by agency. `T`: an export.
#[derive(Debug)]
pub(super) struct Turns<T> {
    agencies: HashMap<Box<str>, Agency<T>>,
    /// What the last one that got a turn had had by then: who comes back after a pause begins there, and has saved nothing up.
    floor_ns: u64,
}

#[derive(Debug)]
struct Agency<T> {
    waiting: VecDeque<(T, usize)>,
    /// Time of the writer that it has had, on a clock that nobody else sees.
    had_ns: u64,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { agencies: HashMap::new(), floor_ns: 0 }
    }
}

impl<T> Turns<T> {
    /// Puts an export of so many bytes at the end of its agency's queue.
    pub(super) fn wait(&mut self, agency: &str, export: T, bytes: usize) {
        if !self.agencies.contains_key(agency) {
            self.agencies.insert(agency.into(), Agency { waiting: VecDeque::new(), had_ns: self.floor_ns });
        }
        if let Some(queued) = self.agencies.get_mut(agency) {
            if queued.waiting.is_empty() {
                queued.had_ns = queued.had_ns.max(self.floor_ns);
            }
            queued.waiting.push_back((export, bytes));
        }
    }

    /// The export whose turn it is, of an agency that `may` has one more. `None`: none waits.
    pub(super) fn next(&mut self, may: impl Fn(&str) -> bool) -> Option<(Box<str>, T, usize)> {
        let next = self
            .agencies
            .iter()
            .filter(|(name, agency)| !agency.waiting.is_empty() && may(name))
            .min_by(|(one, a), (other, b)| a.had_ns.cmp(&b.had_ns).then_with(|| one.cmp(other)));
        let name = next.map(|(name, _)| name.clone())?;
        let agency = self.agencies.get_mut(&name)?;
        self.floor_ns = agency.had_ns;
        let (export, bytes) = agency.waiting.pop_front()?;
        agency.had_ns = agency.had_ns.saturating_add(expected_ns(bytes));
        Some((name, export, bytes))
    }

    /// Notes what an export of so many bytes has really taken.
    pub(super) fn took(&mut self, name: &str, bytes: usize, time: Duration) {
        let Some(agency) = self.agencies.get_mut(name) else { return };
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        agency.had_ns = agency.had_ns.saturating_sub(expected_ns(bytes)).saturating_add(ns);
        if agency.waiting.is_empty() && agency.had_ns <= self.floor_ns {
            self.agencies.remove(name);
        }
    }

    /// How many agencies have exports that wait.
    pub(super) fn waiting_agencies(&self) -> usize {
        self.agencies.values().filter(|agency| !agency.waiting.is_empty()).count()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.agencies.values().all(|agency| agency.waiting.is_empty())
    }
}

fn expected_ns(bytes: usize) -> u64 {
    (bytes as u64).saturating_mul(NS_A_BYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(turns: &mut Turns<u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.next(|_| true).map(|(_, export, _)| export)).collect()
    }

    #[test]
    fn who_sends_much_waits_behind_itself() {
        let mut turns = Turns::default();
        for export in 0..5 {
            turns.wait("flood", export, 1_000);
        }
        turns.wait("one", 10, 1_000);
        turns.wait("two", 20, 1_000);
        assert_eq!(order(&mut turns), [0, 10, 20, 1, 2, 3, 4]);
    }

    #[test]
    fn who_takes_long_waits_until_the_others_have_had_as_much() {
        let mut turns = Turns::default();
        turns.wait("slow", 0, 100);
        let (name, _, bytes) = turns.next(|_| true).expect("one waits");
        turns.wait("slow", 1, 100);
        turns.took(&name, bytes, Duration::from_secs(15));
        for export in 10..20 {
            turns.wait("quick", export, 100);
        }
        let told = order(&mut turns);
        assert_eq!(told.last(), Some(&1), "{told:?}");
    }

    #[test]
    fn who_was_away_has_saved_nothing_up() {
        let mut turns = Turns::default();
        for export in 0..100 {
            turns.wait("steady", export, 1_000);
        }
        for _ in 0..50 {
            turns.next(|_| true);
        }
        for export in 200..210 {
            turns.wait("back", export, 1_000);
        }
        let told = order(&mut turns);
        assert!(told[..6].iter().filter(|export| **export < 200).count() >= 2, "{told:?}");
    }
}
