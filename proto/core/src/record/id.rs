//! Tracking IDs.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The tracking ID of a call (شناسه رهگیری): 128 bits, written as 32 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId([u8; 16]);

/// A text that is no tracking ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a tracking ID is 32 lowercase hex digits")]
pub struct NotACallId;

impl CallId {
    /// Length of its text, in bytes.
    pub const TEXT_BYTES: usize = 32;

    /// The ID of these bits. Whoever makes a new one takes random bits, not all zero.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bits.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Its text, without allocating.
    #[must_use]
    pub fn hex(&self) -> [u8; Self::TEXT_BYTES] {
        let mut text = [0; Self::TEXT_BYTES];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&hex_digits(byte));
        }
        text
    }

    /// The ID that `text` writes.
    ///
    /// # Errors
    /// When it is anything but 32 lowercase hex digits.
    pub fn parse(text: &[u8]) -> Result<Self, NotACallId> {
        if text.len() != Self::TEXT_BYTES {
            return Err(NotACallId);
        }
        // Nothing is decided before the end: a branch a digit would cost more than reading them all.
        let (mut bytes, mut all) = ([0; 16], 0);
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
            all |= high | low;
            *byte = high << 4 | low;
        }
        if all <= 0xf { Ok(Self(bytes)) } else { Err(NotACallId) }
    }
}

/// The two lowercase hex digits of a byte.
const fn hex_digits(byte: u8) -> [u8; 2] {
    [hex_digit(byte >> 4), hex_digit(byte & 0xf)]
}

/// The digit of a value below 16: computed, since a table would keep many of them from being made at a time.
const fn hex_digit(value: u8) -> u8 {
    let beyond_nine = if value > 9 { b'a' - b'0' - 10 } else { 0 };
    b'0' + value + beyond_nine
}

/// The value of each digit; more than a digit's where it is none.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[hex_digit(value) as usize] = value;
        value += 1;
    }
    values
};

impl FromStr for CallId {
    type Err = NotACallId;

    fn from_str(text: &str) -> Result<Self, NotACallId> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digits are ASCII, so the text cannot fail to be one.
        f.write_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_text_and_nothing_else_is_one() {
        let text = "00f067aa0ba902b74bf92f3577b34da6";
        let id: CallId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(&id.hex()[..], text.as_bytes());
        for bad in ["", "00F067AA0BA902B74BF92F3577B34DA6", &text[1..], "g0f067aa0ba902b74bf92f3577b34da6"] {
            assert_eq!(bad.parse::<CallId>(), Err(NotACallId), "{bad}");
        }
    }
}
