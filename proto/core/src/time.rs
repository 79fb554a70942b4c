//! Instants, as the exchange writes them, and days, as people do.

mod calendar;

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use self::calendar::{Day, Moment, MomentError};

/// An instant: milliseconds since the Unix epoch, UTC. Always handed in; nothing in this crate reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The beginning of time: earlier than every instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The end of time: later than every instant.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant `unix_ms` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms)
    }

    /// The millisecond in which the instant `unix_us` microseconds after the Unix epoch lies.
    #[must_use]
    pub const fn from_unix_us(unix_us: i64) -> Self {
        Self(unix_us.div_euclid(1_000))
    }

    /// The instant `unix_s` seconds after the Unix epoch; stays at the end of time rather than wrapping.
    #[must_use]
    pub const fn from_unix_s(unix_s: i64) -> Self {
        Self(unix_s.saturating_mul(1_000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Microseconds since the Unix epoch; stays at the end of what can be told in microseconds.
    #[must_use]
    pub const fn unix_us(self) -> i64 {
        self.0.saturating_mul(1_000)
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn unix_s(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The instant `ms` milliseconds later; stays at the end of time rather than wrapping.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant; negative when this one is the earlier.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant that much later, in whole milliseconds; stays at the end of time rather than wrapping.
    #[must_use]
    pub fn saturating_add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(whole_ms(later)))
    }

    /// The instant that much earlier, in whole milliseconds; stays at the beginning of time rather than wrapping.
    #[must_use]
    pub fn saturating_sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(whole_ms(earlier)))
    }

    /// How long it is from `earlier` to this instant; nothing when this one is the earlier.
    #[must_use]
    pub fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.ms_since(earlier)).unwrap_or(0))
    }
}

fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(whole_ms(since)),
            Err(before) => Self(0).saturating_sub(before.duration()),
        }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, such as `2026-11-22T05:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1_000_000;
        let Ok(at) = ::time::OffsetDateTime::from_unix_timestamp_nanos(nanos) else {
            return write!(f, "{} ms since 1970", self.0);
        };
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_rfc_3339() {
        assert_eq!(Timestamp::from_unix_ms(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_unix_ms(1_674_000_000_123).to_string(), "2023-01-18T00:00:00.123Z");
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::from_unix_ms(i64::MAX).plus_ms(1).unix_ms(), i64::MAX);
        assert_eq!(Timestamp::from_unix_ms(5).saturating_add(Duration::MAX).unix_ms(), i64::MAX);
        assert_eq!(Timestamp::from_unix_ms(-5).saturating_sub(Duration::MAX).unix_ms(), i64::MIN);
        assert_eq!(
            (Timestamp::from_unix_s(i64::MAX).unix_ms(), Timestamp::from_unix_ms(i64::MIN).unix_us()),
            (i64::MAX, i64::MIN)
        );
    }

    #[test]
    fn every_unit_tells_the_same_instant() {
        let at = Timestamp::from_unix_ms(1_500);
        assert_eq!((at.unix_us(), at.unix_s(), Timestamp::from_unix_us(1_500_999)), (1_500_000, 1, at));
        assert_eq!(Timestamp::from_unix_us(-1), Timestamp::from_unix_ms(-1), "a microsecond before the epoch lies before it");
        assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::from_millis(1_500)), at);
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_millis(3)), Timestamp::from_unix_ms(-3));
    }

    #[test]
    fn a_duration_is_never_negative() {
        let (earlier, later) = (Timestamp::from_unix_ms(1), Timestamp::from_unix_ms(4));
        assert_eq!((later.duration_since(earlier), earlier.duration_since(later)), (Duration::from_millis(3), Duration::ZERO));
        assert_eq!(earlier.saturating_add(Duration::from_micros(3_999)), later);
    }
}
