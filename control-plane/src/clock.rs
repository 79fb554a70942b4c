//! The one source of time, so that tests wind it by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chapar_core::time::Timestamp;
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
    pub fn wound(start: Timestamp) -> Self {
        Self { wound_ms: Some(Arc::new(AtomicI64::new(start.unix_ms()))) }
    }

    /// Winds a test's clock forward. The machine's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Some(wound) = &self.wound_ms {
            wound.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// This instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        if let Some(wound) = &self.wound_ms {
            return Timestamp::from_unix_ms(wound.load(Ordering::SeqCst));
        }
        // A clock before 1970 is as good as at 1970: every certificate is then not yet valid, and everything is refused.
        SystemTime::now().max(UNIX_EPOCH).into()
    }
}

/// The instant as a date; 1970 for what no date can be.
#[must_use]
pub fn date_of(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.unix_ms()) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The instant as the wire has it.
#[must_use]
pub fn wire_of(at: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.unix_ms().rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds: at.unix_s(), nanos }
}

/// The wire's instant, cut to the millisecond and to what fits.
#[must_use]
pub fn instant_of(wire: &prost_types::Timestamp) -> Timestamp {
    Timestamp::from_unix_s(wire.seconds).plus_ms(i64::from(wire.nanos) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wound_clock_stands_still_until_it_is_wound() {
        let start = Timestamp::from_unix_ms(1_700_000_000_123);
        let clock = Clock::wound(start);
        assert_eq!(clock.now(), start);
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now(), start.plus_ms(2_000));
    }

    #[test]
    fn the_wire_keeps_milliseconds_before_and_after_1970() {
        for at in [-1_500, -1, 0, 1, 1_700_000_000_123].map(Timestamp::from_unix_ms) {
            assert_eq!(instant_of(&wire_of(at)), at);
        }
    }
}
