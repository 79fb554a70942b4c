//! Counting gRPC messages in a stream of bytes, however it is cut into frames.

use crate::gate::Flow;

/// A flag byte and four bytes of length (gRPC, PROTOCOL-HTTP2.md, "Length-Prefixed-Message").
pub(crate) const PREFIX_BYTES: usize = 5;

/// Counts what flows one way.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    flow: Flow,
    /// The message's length, as far as its prefix has arrived.
    length: u32,
    /// Bytes of the prefix that have arrived.
    prefix_bytes: u8,
    /// How much of the message is still to come.
    left_bytes: u32,
}

impl Meter {
    pub(crate) const NEW: Self = Self { flow: Flow { messages: 0, bytes: 0 }, length: 0, prefix_bytes: 0, left_bytes: 0 };

    /// Counts `bytes`. A message counts once its last byte has come.
    #[inline]
    pub(crate) fn count(&mut self, mut bytes: &[u8]) {
        self.flow.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.left_bytes > 0 {
                let taken = bytes.len().min(self.left_bytes as usize);
                self.left_bytes -= taken as u32;
                bytes = bytes.get(taken..).unwrap_or_default();
                self.flow.messages += u64::from(self.left_bytes == 0);
                continue;
            }
            if self.prefix_bytes == 0
                && let Some((&[_, a, b, c, d], rest)) = bytes.split_first_chunk::<PREFIX_BYTES>()
            {
                bytes = rest;
                self.begin(u32::from_be_bytes([a, b, c, d]));
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.prefix_byte(byte);
        }
    }

    fn begin(&mut self, length: u32) {
        self.left_bytes = length;
        self.flow.messages += u64::from(length == 0);
    }

    /// One byte of a prefix that arrives in parts.
    fn prefix_byte(&mut self, byte: u8) {
        if self.prefix_bytes > 0 {
            self.length = self.length << 8 | u32::from(byte);
        }
        self.prefix_bytes += 1;
        if usize::from(self.prefix_bytes) == PREFIX_BYTES {
            let length = std::mem::take(&mut self.length);
            self.prefix_bytes = 0;
            self.begin(length);
        }
    }

    pub(crate) const fn flow(&self) -> Flow {
        self.flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(sizes: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &size in sizes {
            bytes.push(0);
            bytes.extend(u32::try_from(size).expect("small").to_be_bytes());
            bytes.extend(std::iter::repeat_n(7, size));
        }
        bytes
    }

    #[test]
    fn a_message_counts_when_it_is_whole() {
        let bytes = stream(&[3]);
        let mut meter = Meter::default();
        meter.count(&bytes[..7]);
        assert_eq!(meter.flow(), Flow { messages: 0, bytes: 7 });
        meter.count(&bytes[7..]);
        assert_eq!(meter.flow(), Flow { messages: 1, bytes: 8 });
    }

    proptest::proptest! {
        #[test]
        fn counts_alike_however_the_stream_is_cut(
            sizes in proptest::collection::vec(0_usize..400, 0..12),
            cut in 1_usize..50,
        ) {
            let bytes = stream(&sizes);
            let mut meter = Meter::default();
            bytes.chunks(cut).for_each(|chunk| meter.count(chunk));
            let expected = Flow { messages: sizes.len() as u64, bytes: bytes.len() as u64 };
            proptest::prop_assert_eq!(meter.flow(), expected);
        }
    }
}
