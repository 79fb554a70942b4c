//! Deadlines: the `grpc-timeout` of the gRPC protocol (PROTOCOL-HTTP2.md, "Timeout").

use std::time::Duration;

/// Most digits of a timeout value.
const DIGITS_MAX: usize = 8;
/// The largest value that fits into them.
const VALUE_MAX: u64 = 99_999_999;

/// Units, finest first: letter and length in nanoseconds.
const UNITS_NS: [(u8, u64); 6] =
    [(b'n', 1), (b'u', 1_000), (b'm', 1_000_000), (b'S', 1_000_000_000), (b'M', 60_000_000_000), (b'H', 3_600_000_000_000)];

/// The text is no `grpc-timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedTimeout;

/// A `grpc-timeout`, written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; DIGITS_MAX + 1],
    len: usize,
}

impl Text {
    /// As it goes on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

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
pub fn format(left: Duration) -> Text {
    // 584 years are as good as more.
    let nanos = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
    let (letter, length_ns) = UNITS_NS.into_iter().find(|(_, length_ns)| nanos / length_ns <= VALUE_MAX).unwrap_or(UNITS_NS[5]);
    write(nanos / length_ns, letter)
}

fn write(value: u64, letter: u8) -> Text {
    let mut bytes = [0; DIGITS_MAX + 1];
    let len = value.checked_ilog10().unwrap_or(0) as usize + 2;
    let mut rest = value;
    if let Some((last, digits)) = bytes.get_mut(..len).and_then(<[u8]>::split_last_mut) {
        *last = letter;
        for digit in digits.iter_mut().rev() {
            // A digit fits into a byte.
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    Text { bytes, len }
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

    #[test]
    fn writes_the_finest_unit_that_fits() {
        for (left, text) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(9), "9n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_000), "100000u"),
            (Duration::from_secs(30), "30000000u"),
            (Duration::from_secs(3_600 * 24 * 365), "31536000S"),
        ] {
            assert_eq!(format(left).as_bytes(), text.as_bytes());
        }
        assert_eq!(parse(format(Duration::MAX).as_bytes()), Ok(Duration::from_secs(5_124_095 * 3_600)));
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
