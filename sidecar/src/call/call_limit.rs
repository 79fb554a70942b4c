//! How many calls are under way, over all workers, and whether new ones are taken.
//!
//! Workers share no lock for it: each takes permission for a handful of calls at a time from the common pool, and gives back
//! what it has too much of. Of what there is, one agency may hold its share ([`crate::shares`]).

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::shares::Held;

/// Why a call is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// As many calls are under way as may be.
    All,
    /// The caller's agency has its share under way.
    Share,
}

/// Parts that the pool is divided into: a worker takes one at a time, so that little of the pool lies idle with others.
const PARTS: usize = 256;
/// Most permissions that a worker takes at a time.
const PART_MAX: usize = 64;

/// The pool of permissions to carry a call.
#[derive(Debug)]
pub struct CallLimit {
    calls_max: usize,
    /// Permissions that no worker holds.
    free: AtomicUsize,
    closed: AtomicBool,
}

impl CallLimit {
    /// A pool for `calls_max` calls at a time.
    #[must_use]
    pub const fn new(calls_max: usize) -> Self {
        Self { calls_max, free: AtomicUsize::new(calls_max), closed: AtomicBool::new(false) }
    }

    /// Most calls at a time (`limits.callsMax`).
    #[must_use]
    pub const fn calls_max(&self) -> usize {
        self.calls_max
    }

    /// From now on, no call is taken in.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether calls are no longer taken in.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn take(&self, most: usize) -> usize {
        let mut taken = 0;
        let less = |free: usize| {
            taken = free.min(most);
            Some(free - taken)
        };
        // Never fails: `less` always says how much is left.
        let _ = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        taken
    }
}

/// One worker's share of the pool.
#[derive(Debug)]
pub struct CallLimitShare {
    limit: Arc<CallLimit>,
    spare: Cell<usize>,
    part: usize,
}

impl CallLimitShare {
    /// A share that holds nothing yet.
    #[must_use]
    pub fn new(limit: Arc<CallLimit>) -> Self {
        let part = (limit.calls_max / PARTS).clamp(1, PART_MAX);
        Self { limit, spare: Cell::new(0), part }
    }

    /// The pool.
    #[must_use]
    pub const fn limit(&self) -> &Arc<CallLimit> {
        &self.limit
    }

    /// Permission for one call more of those who have `held` so many.
    ///
    /// # Errors
    /// When there is none, or none for them.
    pub fn enter(&self, held: &Held) -> Result<(), Full> {
        if self.spare.get() == 0 {
            self.spare.set(self.limit.take(self.part));
        }
        let spare = self.spare.get();
        let left = spare.checked_sub(1).ok_or(Full::All)?;
        if !held.take(self.limit.free.load(Ordering::Relaxed) + spare) {
            return Err(Full::Share);
        }
        self.spare.set(left);
        Ok(())
    }

    /// Gives the permission for one of their calls back.
    pub fn leave(&self, held: &Held) {
        held.give_back();
        let spare = self.spare.get() + 1;
        // Between nothing and two parts no other worker is disturbed. A pool so small that its part is one is shared at once.
        let keep = if self.part == 1 { 0 } else { self.part };
        if spare >= keep + self.part {
            self.limit.free.fetch_add(spare - keep, Ordering::AcqRel);
            self.spare.set(keep);
        } else {
            self.spare.set(spare);
        }
    }
}

impl Drop for CallLimitShare {
    fn drop(&mut self) {
        self.limit.free.fetch_add(self.spare.get(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many calls enter, each for somebody else.
    fn entered(share: &CallLimitShare) -> usize {
        std::iter::repeat_with(|| share.enter(&Held::default())).take_while(Result::is_ok).count()
    }

    fn leave(share: &CallLimitShare) {
        let held = Held::default();
        assert!(held.take(1));
        share.leave(&held);
    }

    #[test]
    fn as_many_calls_are_taken_as_the_pool_holds_whoever_takes_them() {
        for calls_max in [1, 2, 5, 255, 256, 1_000, 16_384] {
            let limit = Arc::new(CallLimit::new(calls_max));
            let (one, other) = (CallLimitShare::new(Arc::clone(&limit)), CallLimitShare::new(Arc::clone(&limit)));
            assert_eq!((entered(&one), entered(&other)), (calls_max, 0));
            for _ in 0..calls_max {
                leave(&one);
            }
            drop(one);
            assert_eq!(entered(&other), calls_max);
        }
    }

    #[test]
    fn one_agency_gets_its_share_and_others_find_room() {
        let limit = Arc::new(CallLimit::new(1_000));
        let (one, other) = (CallLimitShare::new(Arc::clone(&limit)), CallLimitShare::new(limit));
        let flooder = Held::default();
        let got = std::iter::repeat_with(|| one.enter(&flooder)).take_while(Result::is_ok).count();
        assert_eq!((got, one.enter(&flooder)), (800, Err(Full::Share)));
        assert_eq!(entered(&other), 200 - one.spare.get(), "what no worker keeps back is everybody's");
        assert_eq!(other.enter(&Held::default()), Err(Full::All));
        one.leave(&flooder);
        assert_eq!(flooder.count(), 799);
    }

    #[test]
    fn what_an_idle_worker_keeps_back_is_little() {
        let limit = Arc::new(CallLimit::new(16_384));
        let (one, other) = (CallLimitShare::new(Arc::clone(&limit)), CallLimitShare::new(Arc::clone(&limit)));
        assert_eq!(entered(&one), 16_384);
        for _ in 0..16_384 {
            leave(&one);
        }
        assert!(entered(&other) >= 16_384 - 2 * PART_MAX);
    }

    #[test]
    fn a_pool_of_one_goes_back_and_forth() {
        let limit = Arc::new(CallLimit::new(1));
        let (one, other) = (CallLimitShare::new(Arc::clone(&limit)), CallLimitShare::new(Arc::clone(&limit)));
        let held = Held::default();
        for _ in 0..3 {
            assert_eq!((one.enter(&held), other.enter(&held)), (Ok(()), Err(Full::All)));
            one.leave(&held);
            assert_eq!((other.enter(&held), one.enter(&held)), (Ok(()), Err(Full::All)));
            other.leave(&held);
        }
    }
}
