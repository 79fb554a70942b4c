//! Deadlines: the `grpc-timeout` of the gRPC protocol (PROTOCOL-HTTP2.md, "Timeout").

use std::time::Duration;

/// Most digits of a timeout value.
const DIGITS_MAX: usize = 8;
/// The largest value that fits into them.
const VALUE_MAX: u128 = 99_999_999;

/// Units, finest first: letter and length in nanoseconds.
const UNITS_NS: [(char, u128); 6] =
    [('n', 1), ('u', 1_000), ('m', 1_000_000), ('S', 1_000_000_000), ('M', 60_000_000_000), ('H', 3_600_000_000_000)];

/// The text is no `grpc-timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedTimeout;

/// Reads a `grpc-timeout`.
///
/// # Errors
/// [`MalformedTimeout`] unless the text is one to eight digits and a unit.
pub fn parse(text: &[u8]) -> Result<Duration, MalformedTimeout> {
    let (unit, digits) = text.split_last().ok_or(MalformedTimeout)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MalformedTimeout);
    }
    let value = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match unit {
        b'n' => Ok(Duration::from_nanos(value)),
        b'u' => Ok(Duration::from_micros(value)),
        b'm' => Ok(Duration::from_millis(value)),
        b'S' => Ok(Duration::from_secs(value)),
        b'M' => Ok(Duration::from_secs(value * 60)),
        b'H' => Ok(Duration::from_secs(value * 3600)),
        _ => Err(MalformedTimeout),
    }
}

/// Writes `left` in the finest unit that it fits; never longer than `left`, so that a deadline is never extended.
#[must_use]
pub fn format(left: Duration) -> String {
    let nanos = left.as_nanos();
    for (letter, length_ns) in UNITS_NS {
        let value = nanos / length_ns;
        if value <= VALUE_MAX {
            return format!("{value}{letter}");
        }
    }
    format!("{VALUE_MAX}H")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit() {
        assert_eq!(parse(b"5n"), Ok(Duration::from_nanos(5)));
        assert_eq!(parse(b"5u"), Ok(Duration::from_micros(5)));
        assert_eq!(parse(b"5m"), Ok(Duration::from_millis(5)));
        assert_eq!(parse(b"5S"), Ok(Duration::from_secs(5)));
        assert_eq!(parse(b"5M"), Ok(Duration::from_secs(300)));
        assert_eq!(parse(b"99999999H"), Ok(Duration::from_secs(99_999_999 * 3600)));
    }

    #[test]
    fn refuses_what_is_no_timeout() {
        for text in ["", "S", "5", "5s", "-5S", "123456789S", "5 S", "٥S", "0x5S"] {
            assert_eq!(parse(text.as_bytes()), Err(MalformedTimeout), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_writes_a_longer_time_than_is_left(nanos in 0_u64..) {
            let left = Duration::from_nanos(nanos);
            let read = parse(format(left).as_bytes());
            proptest::prop_assert!(read.is_ok_and(|read| read <= left));
        }

        #[test]
        fn never_panics(text in proptest::collection::vec(0_u8.., 0..12)) {
            let _ = parse(&text);
        }
    }
}
