//! When a certificate is renewed.

use std::time::Duration;

use chapar_core::time::Timestamp;

/// Renewals of sidecars that enrolled together are spread over this part of a certificate's life (one twentieth: 72 minutes
/// of a day).
const SPREAD_DIVISOR: u32 = 20;

/// When a certificate that is valid from `not_before` until `not_after` is renewed: at half its life, and up to a twentieth
/// of its life later, by `chance` (0 to 1).
#[must_use]
pub fn renewal_due(not_before: Timestamp, not_after: Timestamp, chance: f64) -> Timestamp {
    let life: Duration = not_after.duration_since(not_before);
    not_before.saturating_add(life / 2).saturating_add((life / SPREAD_DIVISOR).mul_f64(chance.clamp(0.0, 1.0)))
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
