//! The one source of time, so that tests wind it by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use time::OffsetDateTime;

/// Tells the time: the machine's, or a test's.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Unix milliseconds that a test set. `None`: the machine's clock.
    wound_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn real() -> Self {
        Self::default()
    }

    /// A clock that stands still at `start` until it is wound.
    #[must_use]
    pub fn wound(start: OffsetDateTime) -> Self {
        let start_ms = i64::try_from(start.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
        Self { wound_ms: Some(Arc::new(AtomicI64::new(start_ms))) }
    }

    /// Winds a test's clock forward. The machine's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Some(wound) = &self.wound_ms {
            wound.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Unix milliseconds, UTC.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        if let Some(wound) = &self.wound_ms {
            return wound.load(Ordering::SeqCst);
        }
        // A clock before 1970 is as good as at 1970: every certificate is then not yet valid, and everything is refused.
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    }

    /// The same instant as a date.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        date_of_ms(self.now_ms())
    }
}

/// The date at these Unix milliseconds; 1970 for what no date can be.
#[must_use]
pub fn date_of_ms(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Unix milliseconds as the wire's timestamp.
#[must_use]
pub fn timestamp_of_ms(ms: i64) -> prost_types::Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds: ms.div_euclid(1_000), nanos }
}

/// The wire's timestamp as Unix milliseconds, cut to what fits.
#[must_use]
pub fn ms_of_timestamp(timestamp: &prost_types::Timestamp) -> i64 {
    timestamp.seconds.saturating_mul(1_000).saturating_add(i64::from(timestamp.nanos) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wound_clock_stands_still_until_it_is_wound() {
        let clock = Clock::wound(date_of_ms(1_700_000_000_123));
        assert_eq!(clock.now_ms(), 1_700_000_000_123);
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now_ms(), 1_700_000_002_123);
    }

    #[test]
    fn timestamps_keep_milliseconds_before_and_after_1970() {
        for ms in [-1_500, -1, 0, 1, 1_700_000_000_123] {
            assert_eq!(ms_of_timestamp(&timestamp_of_ms(ms)), ms);
        }
    }
}
