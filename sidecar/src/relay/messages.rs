//! Counting gRPC messages in a stream of bytes, however it is cut into frames.

use chapar_core::record::Flow;

/// A flag byte and four bytes of length (gRPC, PROTOCOL-HTTP2.md, "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;

/// Counts what flows one way.
#[derive(Debug, Default)]
pub(super) struct Meter {
    flow: Flow,
    prefix: [u8; PREFIX_BYTES],
    /// How much of the prefix has arrived.
    prefix_len: usize,
    /// How much of the message is still to come.
    body_left: usize,
}

impl Meter {
    /// Counts `bytes`. A message counts once its last byte has come.
    pub(super) fn count(&mut self, mut bytes: &[u8]) {
        self.flow.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.body_left == 0 {
                let (taken, rest) = bytes.split_at(bytes.len().min(PREFIX_BYTES - self.prefix_len));
                self.prefix[self.prefix_len..self.prefix_len + taken.len()].copy_from_slice(taken);
                self.prefix_len += taken.len();
                bytes = rest;
                if self.prefix_len == PREFIX_BYTES {
                    let [_, a, b, c, d] = self.prefix;
                    self.prefix_len = 0;
                    self.body_left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.flow.messages += u64::from(self.body_left == 0);
                }
            } else {
                let taken = bytes.len().min(self.body_left);
                self.body_left -= taken;
                bytes = &bytes[taken..];
                self.flow.messages += u64::from(self.body_left == 0);
            }
        }
    }

    pub(super) const fn flow(&self) -> Flow {
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
            bytes.extend(u32::try_from(size).unwrap().to_be_bytes());
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
            sizes in proptest::collection::vec(0_usize..40, 0..12),
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
