//! When a certificate is renewed.

use chapar_core::time::Timestamp;

/// Renewals of sidecars that enrolled together are spread over this part of a certificate's life (one twentieth: 72 minutes
/// of a day).
const SPREAD_DIVISOR: i64 = 20;

/// When a certificate that is valid from `not_before` until `not_after` is renewed: at half its life, and up to a twentieth
/// of its life later, by `chance` (0 to 1).
#[must_use]
pub fn renewal_due(not_before: Timestamp, not_after: Timestamp, chance: f64) -> Timestamp {
    let life_ms = not_after.ms_since(not_before).max(0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // Milliseconds of a life are far below 2^52.
    let spread_ms = ((life_ms / SPREAD_DIVISOR) as f64 * chance.clamp(0.0, 1.0)) as i64;
    not_before.plus_ms(life_ms / 2 + spread_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_s_certificate_is_renewed_at_noon_and_at_most_72_minutes_later() {
        let (midnight, next) = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(86_400_000));
        assert_eq!(renewal_due(midnight, next, 0.0).unix_ms(), 43_200_000);
        assert_eq!(renewal_due(midnight, next, 1.0).unix_ms(), 43_200_000 + 72 * 60_000);
    }

    #[test]
    fn a_certificate_without_a_life_is_due_at_once() {
        let (late, early) = (Timestamp::from_unix_ms(10), Timestamp::from_unix_ms(5));
        assert_eq!(renewal_due(late, early, 1.0), late);
    }
}
