//! The code of RFC 7541, appendix B, and what is made of it at compile time.

/// The symbol that ends a string, and must never be written (RFC 7541, section 5.2).
pub(super) const EOS: u16 = 256;

/// The longest code.
pub(super) const CODE_BITS_MAX: usize = 30;

/// How many bits one step of the decoder looks at: the codes of all that is common, and often two of them at once.
pub(super) const STEP_BITS: u32 = 12;

/// The length of each symbol's code. The code is canonical: codes count up in the order of length, then of symbol; so the lengths tell
/// the codes.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28,
    28, //
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, //
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23,
    24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22,
    23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
    27, //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27,
    26, //
    30,
];

/// A symbol's code, in the low `bits` bits.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub(super) bits: u8,
    pub(super) code: u32,
}

/// The codes in their order: by length, then by symbol.
pub(super) struct Canonical {
    /// For each length the first code that has it.
    pub(super) first: [u32; CODE_BITS_MAX + 1],
    /// For each length how many codes have it.
    pub(super) count: [u16; CODE_BITS_MAX + 1],
    /// For each length where its symbols begin in `symbols`.
    pub(super) begin: [u16; CODE_BITS_MAX + 1],
    pub(super) symbols: [u16; 257],
}

pub(super) const CODES: [Code; 257] = codes();
pub(super) static CANONICAL: Canonical = canonical();

const fn canonical() -> Canonical {
    let mut made = Canonical {
        first: [0; CODE_BITS_MAX + 1],
        count: [0; CODE_BITS_MAX + 1],
        begin: [0; CODE_BITS_MAX + 1],
        symbols: [0; 257],
    };
    let (mut bits, mut code, mut placed) = (1, 0u32, 0);
    while bits <= CODE_BITS_MAX {
        code <<= 1;
        made.first[bits] = code;
        made.begin[bits] = placed as u16;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == bits {
                made.symbols[placed] = symbol as u16;
                made.count[bits] += 1;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    made
}

const fn codes() -> [Code; 257] {
    let canonical = canonical();
    let mut codes = [Code { bits: 0, code: 0 }; 257];
    let mut bits = 1;
    while bits <= CODE_BITS_MAX {
        let mut nth = 0;
        while nth < canonical.count[bits] {
            let symbol = canonical.symbols[(canonical.begin[bits] + nth) as usize];
            codes[symbol as usize] = Code { bits: bits as u8, code: canonical.first[bits] + nth as u32 };
            nth += 1;
        }
        bits += 1;
    }
    codes
}

/// What one step finds: up to two symbols, how many bits they and the first of them take, and what is wrong with them.
///
/// Packed, since the table is looked up for every byte or two: the bits of both symbols in bits 0–7, where a shift takes its amount
/// from; the number of symbols in 8–9, the bits of the first in 10–13, and the classes of [`super::class`] in 14–15; the symbols in
/// 16–31.
#[derive(Clone, Copy)]
pub(super) struct Step(u32);

impl Step {
    /// No code ends within the bits of a step: no symbols, no bits.
    const LONG: Self = Self(0);

    pub(super) const fn one(symbol: u8, bits: u8) -> Self {
        // The bits of the first are only asked for where a step of two could be too long, so where they are few.
        let first_bits = if bits as u32 <= STEP_BITS { bits as u32 } else { 0 };
        Self(bits as u32 | 1 << 8 | first_bits << 10 | (super::class(symbol) as u32) << 14 | (symbol as u32) << 16)
    }

    const fn two(first: u8, first_bits: u8, second: u8, second_bits: u8) -> Self {
        let classes = (super::class(first) | super::class(second)) as u32;
        let symbols = first as u32 | (second as u32) << 8;
        Self((first_bits + second_bits) as u32 | 2 << 8 | (first_bits as u32) << 10 | classes << 14 | symbols << 16)
    }

    #[inline]
    pub(super) const fn is_long(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) const fn symbols(self) -> [u8; 2] {
        [(self.0 >> 16) as u8, (self.0 >> 24) as u8]
    }

    /// The last of the symbols.
    #[inline]
    pub(super) const fn last(self) -> u8 {
        if self.count() == 2 { (self.0 >> 24) as u8 } else { (self.0 >> 16) as u8 }
    }

    #[inline]
    pub(super) const fn count(self) -> usize {
        (self.0 >> 8 & 0x3) as usize
    }

    #[inline]
    pub(super) const fn bits(self) -> u32 {
        self.0 & 0x3f
    }

    #[inline]
    const fn first_bits(self) -> u32 {
        self.0 >> 10 & 0xf
    }

    /// The classes of the symbols, as [`super::class`] tells them.
    #[inline]
    pub(super) const fn classes(self) -> u8 {
        (self.0 >> 14 & 0x3) as u8
    }

    /// The step cut down to its first symbol.
    #[inline]
    pub(super) const fn first(self) -> Self {
        if self.is_long() { self } else { Self::one((self.0 >> 16) as u8, self.first_bits() as u8) }
    }
}

pub(super) static STEPS: [Step; 1 << STEP_BITS] = steps();

const fn steps() -> [Step; 1 << STEP_BITS] {
    let mut steps = [Step::LONG; 1 << STEP_BITS];
    let mut first = 0;
    while first < 256 {
        let Code { bits: first_bits, code: first_code } = CODES[first];
        if first_bits as u32 <= STEP_BITS {
            let left = STEP_BITS - first_bits as u32;
            let base = (first_code as usize) << left;
            let mut at = 0;
            while at < 1 << left {
                steps[base + at] = Step::one(first as u8, first_bits);
                at += 1;
            }
            let mut second = 0;
            while second < 256 {
                let Code { bits: second_bits, code: second_code } = CODES[second];
                if second_bits as u32 <= left {
                    let left = left - second_bits as u32;
                    let base = base + ((second_code as usize) << left);
                    let mut at = 0;
                    while at < 1 << left {
                        steps[base + at] = Step::two(first as u8, first_bits, second as u8, second_bits);
                        at += 1;
                    }
                }
                second += 1;
            }
        }
        first += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_that_of_the_rfc_and_fills_its_space() {
        let code = |symbol: usize| (CODES[symbol].bits, CODES[symbol].code);
        assert_eq!(code(0), (13, 0x1ff8));
        assert_eq!(code(usize::from(b'0')), (5, 0x0));
        assert_eq!(code(usize::from(b'a')), (5, 0x3));
        assert_eq!(code(usize::from(b' ')), (6, 0x14));
        assert_eq!(code(usize::from(b'~')), (13, 0x1ffd));
        assert_eq!(code(usize::from(b'\\')), (19, 0x7fff0));
        assert_eq!(code(255), (26, 0x3ffffee));
        assert_eq!(code(usize::from(EOS)), (30, 0x3fffffff));
        let space: u64 = CODES.iter().map(|code| 1u64 << (CODE_BITS_MAX - usize::from(code.bits))).sum();
        assert_eq!(space, 1 << CODE_BITS_MAX);
    }
}
