//! Lowercase hex digits, written where there is room for them rather than into new text. A call writes some forty bytes so and reads as
//! many, in half to two thirds of the time that a general library takes (data-encoding 2.11); elsewhere that one is used.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes `bytes` over the beginning of `into`, two digits a byte, as far as both reach.
pub fn write(bytes: &[u8], into: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(into.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0xf)];
    }
}

/// Reads `N` bytes; `None` unless `text` is exactly as many lowercase hex digits as they take.
#[must_use]
pub fn read<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != N * 2 {
        return None;
    }
    // Nothing is decided before the end: a branch a digit would cost more than reading them all.
    let mut all = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        all |= high | low;
        *byte = high << 4 | low;
    }
    (all <= 0xf).then_some(bytes)
}

/// What no digit stands for.
const NONE: u8 = 0xff;

/// The value of each digit.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        // Sixteen values fit.
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let mut text = [0; 6];
        write(&[0x00, 0xab, 0xff], &mut text);
        assert_eq!(&text, b"00abff");
        assert_eq!(read::<3>(&text), Some([0x00, 0xab, 0xff]));
        for bad in ["", "00abf", "00abff0", "00ABFF", "00abfg", "00ab f"] {
            assert_eq!(read::<3>(bad.as_bytes()), None, "{bad}");
        }
    }
}
