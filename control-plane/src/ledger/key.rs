//! The order of calls.

use chapar_core::time::Timestamp;

/// Bits of a call's key that are not its time.
const TIE_BITS: u32 = 11;

/// Microseconds of an hour.
const HOUR_US: i64 = 3_600 * 1_000_000;

/// Where a call stands among all calls: when its first account came in, in microseconds, times 2,048, plus a number of the ledger's own
/// for those that came at the same time. The order of keys is the order of receipt: nothing that a sender chooses is in it. The year
/// 2112 is the last whose microseconds fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(i64);

impl CallKey {
    /// Beyond every call.
    pub const MAX: Self = Self(i64::MAX);

    /// The key of a call whose first account came in now, where `newest` is the highest that was given away. A clock that was set back
    /// gives no key twice.
    #[must_use]
    pub(super) fn received(now: Timestamp, newest: Self) -> Self {
        Self::first_at(now).max(Self(newest.0.saturating_add(1)))
    }

    /// The lowest key of a call that came in then.
    #[must_use]
    pub(super) fn first_at(then: Timestamp) -> Self {
        Self::first_at_us(then.unix_ms().saturating_mul(1_000))
    }

    /// The lowest key of a call that came in then.
    #[must_use]
    pub(super) fn first_at_us(us: i64) -> Self {
        Self(us.clamp(0, i64::MAX >> TIE_BITS) << TIE_BITS)
    }

    /// The lowest key of a call that came in in this hour, counted from 1970.
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

    /// When the first account of a call with this key came in, in Unix microseconds.
    #[must_use]
    pub fn received_at_us(self) -> i64 {
        self.0 >> TIE_BITS
    }

    /// The hour in which a call with this key came in, counted from 1970.
    #[must_use]
    pub(super) fn hour(self) -> i64 {
        self.received_at_us() / HOUR_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_on_by_receipt_whatever_the_clock_does() {
        let at = Timestamp::from_unix_ms;
        let first = CallKey::received(at(1_000), CallKey::first_at_us(0));
        let second = CallKey::received(at(1_000), first);
        let set_back = CallKey::received(at(500), second);
        let later = CallKey::received(at(1_001), set_back);
        assert!(first < second && second < set_back && set_back < later);
        assert_eq!((first.received_at_us(), later.received_at_us()), (1_000_000, 1_001_000));
    }
}
