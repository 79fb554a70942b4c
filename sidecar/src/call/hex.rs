//! Lowercase hex digits, written where there is room for them rather than into new text.

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
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

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
