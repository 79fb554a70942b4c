//! Integers with a prefix (RFC 7541, section 5.1).

use super::Fault;

/// Bytes after the prefix: five carry 35 bits, so every integer of 32 bits fits, and a run of empty bytes ends somewhere.
const CONTINUATION_BYTES_MAX: usize = 5;

/// Reads an integer whose prefix is the low `prefix_bits` bits of `first`; `rest` begins after `first` and is advanced.
///
/// # Errors
///
/// The block ends within the integer, or the integer does not fit 32 bits.
#[inline]
pub(super) fn read(first: u8, prefix_bits: u32, rest: &mut &[u8]) -> Result<u32, Fault> {
    let mask = (1u8 << prefix_bits) - 1;
    let prefix = first & mask;
    if prefix < mask { Ok(u32::from(prefix)) } else { read_continuation(mask, rest) }
}

fn read_continuation(mask: u8, rest: &mut &[u8]) -> Result<u32, Fault> {
    let mut value = u64::from(mask);
    for position in 0..CONTINUATION_BYTES_MAX {
        let Some((&byte, after)) = rest.split_first() else {
            return Err(Fault::Compression("a block that ends within an integer"));
        };
        *rest = after;
        value += u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| Fault::Compression("an integer above 32 bits"));
        }
    }
    Err(Fault::Compression("an integer of too many bytes"))
}

/// Appends `value` with a prefix of `prefix_bits` bits below the bits of `pattern`.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, pattern: u8, prefix_bits: u32, value: usize) {
    let mask = (1usize << prefix_bits) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut left = value - mask;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_whole(bytes: &[u8], prefix_bits: u32) -> Result<(u32, usize), Fault> {
        let (&first, mut rest) = bytes.split_first().expect("a test gives at least one byte");
        let value = read(first, prefix_bits, &mut rest)?;
        Ok((value, rest.len()))
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        // RFC 7541, appendix C.1.
        assert_eq!(read_whole(&[0b1110_1010], 5), Ok((10, 0)));
        assert_eq!(read_whole(&[0b0001_1111, 0b1001_1010, 0b0000_1010], 5), Ok((1337, 0)));
        assert_eq!(read_whole(&[0b0010_1010], 8 - 1), Ok((42, 0)));
    }

    #[test]
    fn refuses_what_does_not_fit_32_bits() {
        assert_eq!(read_whole(&[0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f], 5), Ok((u32::MAX, 0)));
        assert_eq!(read_whole(&[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f], 5), Err(Fault::Compression("an integer above 32 bits")));
        assert_eq!(read_whole(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0x7f], 5), Err(Fault::Compression("an integer above 32 bits")));
    }

    #[test]
    fn refuses_endless_continuation() {
        assert_eq!(
            read_whole(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 5),
            Err(Fault::Compression("an integer of too many bytes"))
        );
    }

    proptest! {
        #[test]
        fn what_was_put_is_read_back(value: u32, prefix_bits in 4u32..=7) {
            let mut out = Vec::new();
            put(&mut out, 0, prefix_bits, value as usize);
            prop_assert_eq!(read_whole(&out, prefix_bits), Ok((value, 0)));
            for end in 1..out.len() {
                prop_assert_eq!(read_whole(&out[..end], prefix_bits), Err(Fault::Compression("a block that ends within an integer")));
            }
        }
    }
}
