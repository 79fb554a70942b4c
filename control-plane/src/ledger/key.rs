//! The order of calls.

/// Bits of a call's key that are not its time.
const TIE_BITS: u32 = 11;

/// Microseconds of an hour.
const HOUR_US: i64 = 3_600 * 1_000_000;

/// Where a call stands among all calls: its start in microseconds, times 2,048, plus eleven bits of its ID. The order of keys is the
/// order of time, so that a list of calls needs no second column to be sorted by. The year 2112 is the last whose microseconds fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(i64);

impl CallKey {
    /// Beyond every call.
    pub const MAX: Self = Self(i64::MAX);

    /// The key of a call that began then, if no other call has it.
    #[must_use]
    pub(super) fn new(started_at_us: i64, call_id: &[u8; 16]) -> Self {
        let tie = i64::from(u16::from_be_bytes([call_id[14], call_id[15]])) & ((1 << TIE_BITS) - 1);
        Self(started_at_us.min(i64::MAX >> TIE_BITS) << TIE_BITS | tie)
    }

    /// The lowest key of a call that began then.
    #[must_use]
    pub(super) fn first_at_us(us: i64) -> Self {
        Self(us.clamp(0, i64::MAX >> TIE_BITS) << TIE_BITS)
    }

    /// The lowest key of a call that began in this hour, counted from 1970.
    #[must_use]
    pub(super) fn first_of_hour(hour: i64) -> Self {
        Self::first_at_us(hour.saturating_mul(HOUR_US))
    }

    /// As it is stored, and written in page tokens.
    #[must_use]
    pub(super) fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// As [`Self::from_number`] reads it.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// The key after it.
    #[must_use]
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// When a call with this key began, in Unix microseconds.
    #[must_use]
    pub(super) fn started_at_us(self) -> i64 {
        self.0 >> TIE_BITS
    }

    /// The hour in which a call with this key began, counted from 1970.
    #[must_use]
    pub(super) fn hour(self) -> i64 {
        self.started_at_us() / HOUR_US
    }
}
