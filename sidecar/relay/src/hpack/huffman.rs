//! The Huffman coding of strings (RFC 7541, section 5.2).

mod table;

use super::Fault;
use table::{CANONICAL, CODE_BITS_MAX, CODES, EOS, STEP_BITS, STEPS, Step};

/// The byte cannot stand in a field's name (RFC 9113, section 8.2.1; RFC 9110, section 5.6.2): names are tokens in lower case.
pub(super) const NOT_IN_NAME: u8 = 0b01;
/// The byte cannot stand in a field's value (RFC 9110, section 5.5): a control character other than a tab.
pub(super) const NOT_IN_VALUE: u8 = 0b10;

/// Where a byte cannot stand.
pub(super) const fn class(byte: u8) -> u8 {
    let name = match byte {
        b'a'..=b'z' | b'0'..=b'9' => 0,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' => 0,
        _ => NOT_IN_NAME,
    };
    let value = match byte {
        b'\t' | 0x20..=0x7e | 0x80.. => 0,
        _ => NOT_IN_VALUE,
    };
    name | value
}

const BROKEN: Fault = Fault::Compression("a Huffman string that does not end as it must");

/// What a coded string is, found without decoding it into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looked {
    /// The size of the decoded string.
    pub(super) bytes: u32,
    /// The classes of all its bytes together: [`NOT_IN_NAME`], [`NOT_IN_VALUE`].
    pub(super) classes: u8,
    /// Its last byte; 0 where it is empty.
    pub(super) last: u8,
}

/// Checks the coding of a string and looks at its bytes.
///
/// # Errors
///
/// The string holds EOS, or ends with anything but fewer than eight bits of it.
#[inline]
pub(super) fn look(raw: &[u8]) -> Result<Looked, Fault> {
    let mut looked = Looked { bytes: 0, classes: 0, last: 0 };
    let mut latest = None;
    walk(raw, |step| {
        looked.bytes += step.count() as u32;
        looked.classes |= step.classes();
        if !step.is_long() {
            latest = Some(step);
        }
    })?;
    looked.last = latest.map_or(0, Step::last);
    Ok(looked)
}

/// Appends the decoded string.
///
/// # Errors
///
/// As [`look`]; `out` then ends with what was decoded before the fault.
pub(super) fn decode(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    // The shortest code has five bits; a step writes two bytes whether it found one or two.
    let begin = out.len();
    out.resize(begin + raw.len() * 8 / 5 + 2, 0);
    let mut at = begin;
    let walked = walk(raw, |step| {
        if let Some(place) = out.get_mut(at..at + 2) {
            place.copy_from_slice(&step.symbols());
        }
        at += step.count();
    });
    out.truncate(at);
    walked
}

/// Goes through a coded string, a step at a time; steps that find nothing may be among them.
#[inline]
fn walk(raw: &[u8], mut found: impl FnMut(Step)) -> Result<(), Fault> {
    let mut rest = raw;
    // The next bits, from the highest down; `bits` of them count, and any below are a part of what `rest` begins with.
    let (mut buffer, mut bits) = (0u64, 0u32);
    loop {
        buffer |= word(rest) >> bits;
        let taken = ((63 - bits) as usize / 8).min(rest.len());
        rest = rest.get(taken..).unwrap_or_default();
        bits += taken as u32 * 8;
        let mut step;
        if bits >= 4 * STEP_BITS {
            // A step that finds a long code takes no bits, so the steps after it find it again.
            for _ in 0..4 {
                step = STEPS[(buffer >> (64 - STEP_BITS)) as usize];
                found(step);
                buffer <<= step.bits();
                bits -= step.bits();
            }
        }
        while bits >= STEP_BITS {
            step = STEPS[(buffer >> (64 - STEP_BITS)) as usize];
            if step.is_long() {
                if bits < CODE_BITS_MAX as u32 && !rest.is_empty() {
                    break;
                }
                step = long(buffer, bits)?;
            }
            found(step);
            buffer <<= step.bits();
            bits -= step.bits();
        }
        if rest.is_empty() && bits < STEP_BITS {
            return end(buffer, bits, found);
        }
    }
}

/// The first eight bytes of `rest`, or all of them, from the highest byte down.
#[inline]
fn word(rest: &[u8]) -> u64 {
    if let Some(eight) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*eight);
    }
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let last = u64::from(u32::from_be_bytes(*last)) << 32;
        return u64::from(u32::from_be_bytes(*first)) << 32 | last >> ((rest.len() - 4) * 8);
    }
    rest.iter().rev().fold(0, |word, &byte| word >> 8 | u64::from(byte) << 56)
}

/// Finds the symbol of a code that is longer than a step.
#[cold]
fn long(buffer: u64, bits: u32) -> Result<Step, Fault> {
    for length in STEP_BITS as usize + 1..=CODE_BITS_MAX.min(bits as usize) {
        let code = (buffer >> (64 - length)) as u32;
        let nth = code - CANONICAL.first[length];
        if nth < u32::from(CANONICAL.count[length]) {
            return match CANONICAL.symbols[usize::from(CANONICAL.begin[length]) + nth as usize] {
                EOS => Err(Fault::Compression("EOS within a Huffman string")),
                symbol => Ok(Step::one(symbol as u8, length as u8)),
            };
        }
    }
    Err(BROKEN)
}

/// Takes the last symbols out of fewer bits than a step looks at, and checks the padding after them.
#[inline]
fn end(mut buffer: u64, mut bits: u32, mut found: impl FnMut(Step)) -> Result<(), Fault> {
    while bits > 0 {
        let ones = u64::MAX >> bits;
        let step = STEPS[((buffer | ones) >> (64 - STEP_BITS)) as usize];
        let step = if step.bits() <= bits { step } else { step.first() };
        if step.is_long() || step.bits() > bits {
            // Padding is the beginning of EOS: ones, and fewer than a byte of them.
            return if bits < 8 && buffer | ones == u64::MAX { Ok(()) } else { Err(BROKEN) };
        }
        found(step);
        buffer <<= step.bits();
        bits -= step.bits();
    }
    Ok(())
}

/// The coding of `plain` and its size, at compile time.
pub(super) const fn encode_const<const N: usize>(plain: &[u8]) -> ([u8; N], usize) {
    let mut out = [0; N];
    let (mut at, mut bits) = (0, 0);
    while at < plain.len() {
        let code = CODES[plain[at] as usize];
        let mut left = code.bits;
        while left > 0 {
            left -= 1;
            out[bits / 8] |= ((code.code >> left & 1) as u8) << (7 - bits % 8);
            bits += 1;
        }
        at += 1;
    }
    while !bits.is_multiple_of(8) {
        out[bits / 8] |= 1 << (7 - bits % 8);
        bits += 1;
    }
    (out, bits / 8)
}
