//! Floods: each kind of frame that costs the sender nothing has a bucket of tokens on each connection.

use super::Probe;
use crate::{counters::Breach, limits::Limits, reputation::Reputation};

/// Frames on a stream that has ended which are no flood: a window of 1 MiB in frames of 16 KiB.
const STRAYS_PER_STREAM: u32 = 64;

/// A token bucket: so many at once, and as many again over the flood window.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: u32,
    filled_ms: u64,
}

impl Bucket {
    const fn full(max: u32) -> Self {
        Self { tokens: max, filled_ms: 0 }
    }

    #[inline]
    fn spend(&mut self, max: u32, window_ms: u64, now_ms: u64) -> bool {
        if self.tokens == 0 {
            let grown = now_ms.saturating_sub(self.filled_ms).saturating_mul(u64::from(max)) / window_ms.max(1);
            self.tokens = grown.min(u64::from(max)) as u32;
            if self.tokens > 0 {
                self.filled_ms = now_ms;
            }
        } else if self.tokens == max {
            self.filled_ms = now_ms;
        }
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }

    #[inline]
    fn earn(&mut self, tokens: u32, max: u32) {
        self.tokens = (self.tokens + tokens).min(max);
    }
}

/// Calls that were answered and calls that were reset are set off against each other up to this: a name is made, and lost, by what
/// came lately.
const STANDING_MAX: i16 = 100;

/// The buckets of one connection.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Calls that were answered, less those that were reset.
    standing: i16,
    resets: Bucket,
    resets_max: u32,
    settings: Bucket,
    pings: Bucket,
    priorities: Bucket,
    empty_data: Bucket,
    window_updates: Bucket,
    strays: Bucket,
}

/// What is counted against a bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Flood {
    Resets,
    Settings,
    Pings,
    Priorities,
    EmptyData,
    WindowUpdates,
    Strays,
}

impl Guard {
    pub(crate) const fn new(limits: &Limits, probe: Probe) -> Self {
        let resets_max = match probe {
            Probe::Never => limits.resets_max,
            Probe::Ping => limits.relayed_resets_max,
        };
        Self {
            standing: 0,
            resets: Bucket::full(resets_max),
            resets_max,
            settings: Bucket::full(limits.settings_max),
            pings: Bucket::full(limits.pings_max),
            priorities: Bucket::full(limits.priorities_max),
            empty_data: Bucket::full(limits.empty_data_max),
            window_updates: Bucket::full(limits.window_updates_max),
            strays: Bucket::full(limits.strays_max),
        }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// The limit that it breaks.
    #[inline]
    pub(crate) fn count(&mut self, flood: Flood, limits: &Limits, now_ms: u64) -> Result<(), Breach> {
        let (bucket, max, breach) = match flood {
            Flood::Resets => (&mut self.resets, self.resets_max, Breach::Resets),
            Flood::Settings => (&mut self.settings, limits.settings_max, Breach::Settings),
            Flood::Pings => (&mut self.pings, limits.pings_max, Breach::Pings),
            Flood::Priorities => (&mut self.priorities, limits.priorities_max, Breach::Priorities),
            Flood::EmptyData => (&mut self.empty_data, limits.empty_data_max, Breach::EmptyData),
            Flood::WindowUpdates => (&mut self.window_updates, limits.window_updates_max, Breach::WindowUpdates),
            Flood::Strays => (&mut self.strays, limits.strays_max, Breach::Strays),
        };
        if matches!(flood, Flood::Resets) {
            self.standing = (self.standing - 1).max(-STANDING_MAX);
        }
        let window_ms = u64::try_from(limits.flood_window.as_millis()).unwrap_or(u64::MAX);
        if bucket.spend(max, window_ms, now_ms) { Ok(()) } else { Err(breach) }
    }

    /// DATA was sent to the peer: it may tell us of its windows.
    #[inline]
    pub(crate) fn data_sent(&mut self, limits: &Limits) {
        self.window_updates.earn(2, limits.window_updates_max);
        self.pings.earn(1, limits.pings_max);
    }

    /// A stream was opened: what the peer sends on it before it knows of its end is no flood.
    #[inline]
    pub(crate) fn stream_opened(&mut self, limits: &Limits) {
        self.strays.earn(STRAYS_PER_STREAM, limits.strays_max);
    }

    /// A call was answered: the peer may break another one off.
    #[inline]
    pub(crate) fn call_answered(&mut self) {
        self.resets.earn(1, self.resets_max);
    }

    /// The answer was the server's own, and no refusal on the way.
    #[inline]
    pub(crate) fn call_served(&mut self) {
        self.standing = (self.standing + 1).min(STANDING_MAX);
    }

    /// Whether the peer has had more calls answered than it reset. Who has only just come has made no name yet.
    #[inline]
    pub(crate) const fn reputation(&self) -> Reputation {
        if self.standing > 0 { Reputation::Good } else { Reputation::None }
    }

    /// The peer sent DATA: it may measure how fast.
    #[inline]
    pub(crate) fn data_came(&mut self, limits: &Limits) {
        self.pings.earn(1, limits.pings_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_so_many_at_once_and_as_many_again_over_the_window() {
        let limits = Limits { settings_max: 10, ..Limits::default() };
        let mut guard = Guard::new(&limits, Probe::Never);
        let mut count = |now_ms| guard.count(Flood::Settings, &limits, now_ms);
        assert!((0..10).all(|_| count(5).is_ok()));
        assert_eq!(count(5), Err(Breach::Settings));
        assert_eq!((count(1_005), count(1_005)), (Ok(()), Err(Breach::Settings)));
        assert!((0..10).all(|_| count(100_000).is_ok()));
        assert_eq!(count(100_000), Err(Breach::Settings));
    }

    #[test]
    fn pings_that_measure_data_are_no_flood() {
        let limits = Limits { pings_max: 3, ..Limits::default() };
        let mut guard = Guard::new(&limits, Probe::Never);
        for _ in 0..100 {
            guard.data_came(&limits);
            assert_eq!(guard.count(Flood::Pings, &limits, 0), Ok(()));
        }
        assert!((0..2).all(|_| guard.count(Flood::Pings, &limits, 0).is_ok()));
        assert_eq!(guard.count(Flood::Pings, &limits, 0), Err(Breach::Pings));
    }
}
