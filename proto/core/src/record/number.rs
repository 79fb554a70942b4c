//! Numbers in the canonical form: unsigned LEB128 in its shortest form, so that a number has one form only.

/// Appends a number.
pub(super) fn put_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        // The low seven bits, and that more follow.
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What bytes begin with.
pub(super) enum Shortest<'r> {
    /// A number, and what follows it.
    Number(u64, &'r [u8]),
    /// The beginning of one.
    Cut,
    /// More than 64 bits, or not the shortest form.
    Malformed,
}

/// The number that `bytes` begin with.
pub(super) fn shortest(bytes: &[u8]) -> Shortest<'_> {
    let (mut number, mut rest) = (0_u64, bytes);
    for shift in (0..64).step_by(7) {
        let Some((&byte, after)) = rest.split_first() else { return Shortest::Cut };
        rest = after;
        let bits = u64::from(byte & 0x7f);
        // Ten bytes hold 70 bits: what does not fit is no number, and a last byte of nought says nothing.
        if (bits << shift) >> shift != bits || (byte == 0 && shift > 0) {
            return Shortest::Malformed;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Shortest::Number(number, rest);
        }
    }
    Shortest::Malformed
}
