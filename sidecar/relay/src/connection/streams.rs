//! The streams of one connection: which call each belongs to, and what became of those that ended lately.

use crate::keys::{CallId, StreamId};

/// From stream to call: a small open-addressed table, of which at least half is empty. Nothing is allocated until more streams are
/// open at a time than ever before.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Option<(StreamId, CallId)>>,
    len: u32,
}

const SLOTS_MIN: usize = 16;

impl Streams {
    #[inline]
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn slot_of(&self, stream: StreamId) -> usize {
        // Streams are numbered one after the other: multiplied, they spread over the table (Knuth's multiplicative hashing).
        (stream.number().wrapping_mul(0x9e37_79b1) >> 8) as usize & (self.slots.len().wrapping_sub(1))
    }

    /// The call of `stream`, if it is open.
    #[inline]
    pub(crate) fn call(&self, stream: StreamId) -> Option<CallId> {
        let mut at = self.slot_of(stream);
        loop {
            match self.slots.get(at) {
                Some(&Some((held, call))) if held == stream => return Some(call),
                Some(None) | None => return None,
                Some(_) => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// Enters a stream that is not in the table.
    pub(crate) fn insert(&mut self, stream: StreamId, call: CallId) {
        if (self.len as usize + 1) * 2 > self.slots.len() {
            let grown = (self.slots.len() * 2).max(SLOTS_MIN);
            let held = std::mem::replace(&mut self.slots, vec![None; grown]);
            for (stream, call) in held.into_iter().flatten() {
                self.put(stream, call);
            }
        }
        self.put(stream, call);
        self.len += 1;
    }

    fn put(&mut self, stream: StreamId, call: CallId) {
        let mut at = self.slot_of(stream);
        // Half of the slots are empty, so that there is an end.
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.is_none() {
                *slot = Some((stream, call));
                return;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Takes a stream out, if it is in.
    pub(crate) fn remove(&mut self, stream: StreamId) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = self.slot_of(stream);
        loop {
            match self.slots.get(at) {
                Some(Some((held, _))) if *held == stream => break,
                Some(None) | None => return,
                Some(_) => at = (at + 1) & mask,
            }
        }
        self.len -= 1;
        // Those behind move up, so that no gap hides them.
        let mut next = at;
        loop {
            next = (next + 1) & mask;
            let Some(&Some(moved @ (held, _))) = self.slots.get(next) else { break };
            let home = self.slot_of(held);
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(at) & mask) {
                if let Some(gap) = self.slots.get_mut(at) {
                    *gap = Some(moved);
                }
                at = next;
            }
        }
        if let Some(gap) = self.slots.get_mut(at) {
            *gap = None;
        }
    }

    /// All calls.
    pub(crate) fn calls(&self) -> impl Iterator<Item = CallId> + '_ {
        self.slots.iter().flatten().map(|(_, call)| *call)
    }
}

/// Streams, counted back from the last, of which it is remembered what became of them.
const RECENT: u32 = 1_024;
const WORDS: usize = RECENT as usize / 64;

/// What became of a stream that is not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// It was ended by both sides, or by the peer.
    Ended,
    /// It was reset from here: what the peer sent before it knew is ignored.
    Reset,
    /// It was skipped, so it never was.
    Skipped,
    /// Too long ago to know.
    Forgotten,
}

/// A memory of the last streams of a connection.
#[derive(Debug)]
pub(crate) struct Recent {
    last: StreamId,
    opened: [u64; WORDS],
    reset: [u64; WORDS],
}

impl Recent {
    pub(crate) const fn new() -> Self {
        Self { last: StreamId::CONNECTION, opened: [0; WORDS], reset: [0; WORDS] }
    }

    /// The last stream that was opened, [`StreamId::CONNECTION`] if none was.
    #[inline]
    pub(crate) const fn last(&self) -> StreamId {
        self.last
    }

    /// `stream`, later than all before, is opened.
    #[inline]
    pub(crate) fn open(&mut self, stream: StreamId) {
        let (from, to) = (self.last.number() >> 1, stream.number() >> 1);
        // What is between was skipped, and what stood there before is forgotten.
        for number in (from + 1..to).take(RECENT as usize) {
            let (word, bit) = bit_of(number);
            self.opened[word] &= !bit;
            self.reset[word] &= !bit;
        }
        let (word, bit) = bit_of(to);
        self.opened[word] |= bit;
        self.reset[word] &= !bit;
        self.last = stream;
    }

    /// How many have been opened or skipped since.
    const fn age_of(&self, stream: StreamId) -> u32 {
        self.last.number().saturating_sub(stream.number()) >> 1
    }

    /// `stream` was reset from here.
    #[inline]
    pub(crate) fn reset(&mut self, stream: StreamId) {
        if self.age_of(stream) < RECENT {
            let (word, bit) = bit_of(stream.number() >> 1);
            self.reset[word] |= bit;
        }
    }

    /// What became of `stream`, which is not later than the last and not open.
    pub(crate) fn past(&self, stream: StreamId) -> Past {
        if self.age_of(stream) >= RECENT {
            return Past::Forgotten;
        }
        let (word, bit) = bit_of(stream.number() >> 1);
        match (self.opened[word] & bit != 0, self.reset[word] & bit != 0) {
            (_, true) => Past::Reset,
            (true, false) => Past::Ended,
            (false, false) => Past::Skipped,
        }
    }
}

const fn bit_of(number: u32) -> (usize, u64) {
    ((number % RECENT / 64) as usize, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Id as _;

    proptest::proptest! {
        #[test]
        fn finds_what_is_open_and_nothing_else(steps in proptest::collection::vec((0_u32..60, proptest::bool::ANY), 0..400)) {
            let (mut streams, mut model) = (Streams::default(), std::collections::BTreeMap::new());
            for (number, insert) in steps {
                let (stream, call) = (StreamId::new(number * 2 + 1), CallId::from_index(number));
                if insert && !model.contains_key(&stream) {
                    streams.insert(stream, call);
                    model.insert(stream, call);
                } else if !insert {
                    streams.remove(stream);
                    model.remove(&stream);
                }
                proptest::prop_assert_eq!(streams.len() as usize, model.len());
                for stream in (1..130).step_by(2).map(StreamId::new) {
                    proptest::prop_assert_eq!(streams.call(stream), model.get(&stream).copied());
                }
            }
            let mut calls: Vec<_> = streams.calls().collect();
            calls.sort_unstable();
            proptest::prop_assert_eq!(calls, model.values().copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn remembers_what_became_of_the_last_streams() {
        let mut recent = Recent::new();
        let stream = StreamId::new;
        recent.open(stream(1));
        recent.open(stream(7));
        recent.reset(stream(7));
        assert_eq!(
            [1, 3, 5, 7].map(|number| recent.past(stream(number))),
            [Past::Ended, Past::Skipped, Past::Skipped, Past::Reset]
        );
        recent.open(stream(7 + 2 * RECENT));
        assert_eq!((recent.past(stream(7)), recent.past(stream(9))), (Past::Forgotten, Past::Skipped));
    }
}
