//! How fast a dialled connection resets streams, so that the relay at its other end never cuts it as a flooder.
//!
//! That relay counts the resets of all callers that share the connection in one bucket, `Limits::relayed_resets_max`
//! ([`super::guard`]). This is a smaller one of the same kind at our end: whatever one caller does, the connection stays below.

use crate::limits::Limits;

/// At once: so many hundredths of what the other relay takes. The rest is for what is counted against the same bucket there and not
/// here, such as streams beyond its limit.
const AT_ONCE_PERCENT: u32 = 50;
/// Over the flood window: likewise. Less than what is left of the burst, since resets that were under way for long arrive together.
const OVER_WINDOW_PERCENT: u32 = 40;

/// The resets that a connection may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    tokens: u32,
    filled_ms: u64,
}

const fn share(max: u32, percent: u32) -> u32 {
    let share = (max as u64 * percent as u64 / 100) as u32;
    if share == 0 { 1 } else { share }
}

const fn window_ms(limits: &Limits) -> u64 {
    let ms = limits.flood_window.as_millis() as u64;
    if ms == 0 { 1 } else { ms }
}

impl Pace {
    pub(crate) const fn new(limits: &Limits, now_ms: u64) -> Self {
        Self { tokens: share(limits.relayed_resets_max, AT_ONCE_PERCENT), filled_ms: now_ms }
    }

    /// So many may leave now.
    #[inline]
    pub(crate) fn left(&self, limits: &Limits, now_ms: u64) -> u32 {
        self.sum(self.grown(limits, now_ms), limits)
    }

    /// When one more may leave: `now_ms`, or later.
    pub(crate) fn next_ms(&mut self, limits: &Limits, now_ms: u64) -> u64 {
        let (window_ms, rate) = (window_ms(limits), u64::from(share(limits.relayed_resets_max, OVER_WINDOW_PERCENT)));
        let grown = self.grown(limits, now_ms);
        if grown > 0 {
            self.tokens = self.sum(grown, limits);
            // What does not make a whole token yet is not lost.
            self.filled_ms = now_ms.min(self.filled_ms.saturating_add(grown.saturating_mul(window_ms).div_ceil(rate)));
        }
        if self.tokens > 0 { now_ms } else { (self.filled_ms + window_ms.div_ceil(rate)).max(now_ms + 1) }
    }

    fn grown(&self, limits: &Limits, now_ms: u64) -> u64 {
        let rate = share(limits.relayed_resets_max, OVER_WINDOW_PERCENT);
        now_ms.saturating_sub(self.filled_ms).saturating_mul(rate.into()) / window_ms(limits)
    }

    fn sum(&self, more: u64, limits: &Limits) -> u32 {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.tokens.saturating_add(more).min(share(limits.relayed_resets_max, AT_ONCE_PERCENT))
    }

    /// One has left.
    pub(crate) const fn spend(&mut self) {
        self.tokens = self.tokens.saturating_sub(1);
    }

    /// A call was answered, for which the other relay lets one more be reset.
    pub(crate) fn earn(&mut self, limits: &Limits) {
        self.tokens = self.sum(1, limits);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::connection::{Flood, Guard, Probe};

    #[test]
    fn so_many_leave_at_once_and_then_by_and_by() {
        let limits = Limits { relayed_resets_max: 20, ..Limits::default() };
        let mut pace = Pace::new(&limits, 0);
        let mut left_at = Vec::new();
        let mut now_ms = 7;
        while left_at.len() < 13 {
            let next_ms = pace.next_ms(&limits, now_ms);
            if next_ms == now_ms {
                pace.spend();
                left_at.push(now_ms);
            }
            now_ms = next_ms;
        }
        assert_eq!(left_at[..10], [7; 10]);
        assert_eq!(left_at[10..], [1_250, 2_500, 3_750]);
        pace.earn(&limits);
        assert_eq!(pace.next_ms(&limits, now_ms), now_ms);
    }

    /// What is on its way to the other relay, in the order in which it was sent.
    enum UnderWay {
        /// A call, which is answered as soon as it arrives.
        Call,
        Reset,
    }

    proptest::proptest! {
        /// In each step some time passes, and callers make and reset so many calls; what they send is under way for so long.
        #[test]
        fn what_keeps_the_pace_is_never_cut(
            relayed_resets_max in 20_u32..400,
            steps in proptest::collection::vec((0_u64..3_000, 0_u32..80, 0_u32..300, 0_u64..500), 1..200),
        ) {
            let limits = Limits { relayed_resets_max, ..Limits::default() };
            // As many capacity beside as many resets as by default.
            let capacity = (relayed_resets_max / 5) as usize;
            let (mut pace, mut guard) = (Pace::new(&limits, 0), Guard::new(&limits, Probe::Ping));
            let (mut now_ms, mut under_way) = (0, VecDeque::new());
            for (after_ms, calls, resets, way_ms) in steps {
                now_ms += after_ms;
                while let Some((arrived_ms, what)) = under_way.pop_front_if(|(arrives_ms, _)| *arrives_ms <= now_ms) {
                    match what {
                        UnderWay::Call => {
                            guard.call_answered();
                            pace.earn(&limits);
                        }
                        UnderWay::Reset => proptest::prop_assert_eq!(guard.count(Flood::Resets, &limits, arrived_ms), Ok(())),
                    }
                }
                let arrives_ms = under_way.back().map_or(0, |(arrives_ms, _)| *arrives_ms).max(now_ms + way_ms);
                let open = under_way.iter().filter(|(_, what)| matches!(what, UnderWay::Call)).count();
                let assigned = (calls as usize).min(capacity.saturating_sub(open));
                under_way.extend((0..assigned).map(|_| (arrives_ms, UnderWay::Call)));
                for _ in 0..resets {
                    if pace.next_ms(&limits, now_ms) == now_ms {
                        pace.spend();
                        under_way.push_back((arrives_ms, UnderWay::Reset));
                    }
                }
            }
        }
    }
}
