//! A timing wheel: five wheels of 64 slots, of which each turns 64 times slower than the one before. Setting and unsetting cost the
//! same however many timers there are, and allocate nothing once there have been as many at a time.

use std::num::NonZeroU32;

use crate::{
    belief::sure,
    keys::{CallId, ConnectionId, EndpointId},
    list::{Links, List, Listed},
    slab::{Id, Slab},
};

/// What a timer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Connection(ConnectionId),
    Call(CallId),
    Endpoint(EndpointId),
}

/// A timer that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TimerId(NonZeroU32);

impl Id for TimerId {
    #[inline]
    fn from_index(index: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    #[inline]
    fn index(self) -> u32 {
        self.0.get() - 1
    }
}

/// A timer, set or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer(Option<TimerId>);

impl Timer {
    pub(crate) const UNSET: Self = Self(None);

    pub(crate) const fn is_set(self) -> bool {
        self.0.is_some()
    }
}

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 5;
/// Bits of a time, in ms, that the slowest wheel does not see: it holds 12 days.
const SLOWEST: u32 = BITS * (LEVELS as u32 - 1);

#[derive(Debug)]
struct Node {
    owner: Owner,
    due_ms: u64,
    /// The slot in which it stands.
    slot: u16,
    links: Links<TimerId>,
}

impl Listed<TimerId> for Slab<TimerId, Node> {
    #[inline]
    fn links(&mut self, at: TimerId) -> Option<&mut Links<TimerId>> {
        self.get_mut(at).map(|node| &mut node.links)
    }
}

/// The wheels.
#[derive(Debug)]
pub(crate) struct Wheel {
    now_ms: u64,
    nodes: Slab<TimerId, Node>,
    slots: [List<TimerId>; SLOTS * LEVELS],
    occupied: [u64; LEVELS],
}

impl Wheel {
    pub(crate) const fn new() -> Self {
        Self { now_ms: 0, nodes: Slab::new(), slots: [List::EMPTY; SLOTS * LEVELS], occupied: [0; LEVELS] }
    }

    /// Sets a timer. One that is due already fires at the next [`Wheel::expire`].
    pub(crate) fn set(&mut self, owner: Owner, due_ms: u64) -> Timer {
        let id = self.nodes.insert(Node { owner, due_ms, slot: 0, links: Links::NONE });
        self.enter(id, due_ms);
        Timer(Some(id))
    }

    /// Unsets `timer`.
    pub(crate) fn unset(&mut self, timer: &mut Timer) {
        if let Some(id) = timer.0.take() {
            self.leave(id);
            self.nodes.remove(id);
        }
    }

    /// The next owner whose timer is due by `now_ms`; its timer is unset thereby.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Option<Owner> {
        loop {
            let (level, slot, at_ms) = self.first()?;
            if at_ms > now_ms {
                self.now_ms = self.now_ms.max(now_ms);
                return None;
            }
            self.now_ms = self.now_ms.max(at_ms);
            let id = sure!(self.slots[level * SLOTS + slot].first(), None);
            self.leave(id);
            let Node { owner, due_ms, .. } = *sure!(self.nodes.get(id), None);
            if due_ms <= now_ms {
                self.nodes.remove(id);
                return Some(owner);
            }
            self.enter(id, due_ms);
        }
    }

    /// When [`Wheel::expire`] may next have something to do: not later than the first timer is due.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.first().map(|(_, _, at_ms)| at_ms)
    }

    /// The first slot that is occupied, and when its turn begins.
    fn first(&self) -> Option<(usize, usize, u64)> {
        let mut first: Option<(usize, usize, u64)> = None;
        for (level, &occupied) in self.occupied.iter().enumerate() {
            if occupied == 0 {
                continue;
            }
            let shift = BITS * level as u32;
            let current = (self.now_ms >> shift) & (SLOTS as u64 - 1);
            let ahead = u64::from(occupied.rotate_right(current as u32).trailing_zeros());
            let at_ms = (((self.now_ms >> shift) + ahead) << shift).max(self.now_ms);
            if first.is_none_or(|(_, _, before)| at_ms < before) {
                first = Some((level, ((current + ahead) as usize) % SLOTS, at_ms));
            }
        }
        first
    }

    fn enter(&mut self, id: TimerId, due_ms: u64) {
        // The last slot of the slowest wheel before its current one: what is due later is looked at then, and entered again.
        let last_ms = ((self.now_ms >> SLOWEST) + SLOTS as u64 - 1) << SLOWEST;
        let due_ms = due_ms.clamp(self.now_ms, last_ms);
        // The level at whose resolution the due time and now differ for the first time.
        let differing = (due_ms ^ self.now_ms) | 1;
        let level = ((63 - differing.leading_zeros()) / BITS).min(LEVELS as u32 - 1) as usize;
        let slot = (due_ms >> (BITS * level as u32)) as usize % SLOTS;
        let number = level * SLOTS + slot;
        sure!(self.nodes.get_mut(id)).slot = number as u16;
        self.slots[number].push(&mut self.nodes, id);
        self.occupied[level] |= 1 << slot;
    }

    fn leave(&mut self, id: TimerId) {
        let number = usize::from(sure!(self.nodes.get(id)).slot);
        self.slots[number].remove(&mut self.nodes, id);
        if self.slots[number].is_empty() {
            self.occupied[number / SLOTS] &= !(1 << (number % SLOTS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u32) -> Owner {
        Owner::Call(CallId::from_index(number))
    }

    #[test]
    fn fires_what_is_due_and_nothing_else() {
        let mut wheel = Wheel::new();
        let mut unset = wheel.set(call(1), 10);
        wheel.set(call(2), 70_000);
        wheel.set(Owner::Endpoint(EndpointId::from_index(3)), 0);
        wheel.unset(&mut unset);
        assert_eq!(wheel.expire(0), Some(Owner::Endpoint(EndpointId::from_index(3))));
        assert_eq!(wheel.expire(69_999), None);
        assert_eq!(wheel.expire(70_000), Some(call(2)));
        assert_eq!((wheel.expire(u64::MAX >> 1), wheel.next_ms()), (None, None));
    }

    #[test]
    fn what_is_never_due_never_fires() {
        let mut wheel = Wheel::new();
        for now_ms in [1, 1 << 24, (1 << 30) - 1, 1 << 30, 5 << 40] {
            let mut timer = wheel.set(call(1), u64::MAX);
            assert_eq!(wheel.expire(now_ms), None);
            wheel.unset(&mut timer);
        }
    }

    proptest::proptest! {
        #[test]
        fn fires_each_timer_once_and_in_its_time(
            dues in proptest::collection::vec((0_u64..40_000_000, proptest::bool::ANY), 1..60),
            steps in proptest::collection::vec(1_u64..3_000_000, 1..60),
        ) {
            let mut wheel = Wheel::new();
            let mut left: std::collections::BTreeMap<u32, u64> = std::collections::BTreeMap::new();
            for (number, (due_ms, kept)) in (0_u32..).zip(&dues) {
                let mut timer = wheel.set(call(number), *due_ms);
                if *kept {
                    left.insert(number, *due_ms);
                } else {
                    wheel.unset(&mut timer);
                }
            }
            let mut now_ms = 0;
            for step in steps {
                now_ms += step;
                while let Some(owner) = wheel.expire(now_ms) {
                    let Owner::Call(number) = owner else { panic!("{owner:?}") };
                    let due_ms = left.remove(&number.index());
                    proptest::prop_assert!(due_ms.is_some_and(|due_ms| due_ms <= now_ms));
                }
                proptest::prop_assert!(left.values().all(|due_ms| *due_ms > now_ms));
                let first = left.values().min();
                proptest::prop_assert_eq!(wheel.next_ms().is_some(), first.is_some());
                proptest::prop_assert!(wheel.next_ms().is_none_or(|at| at <= *first.expect("some")));
            }
        }
    }
}
