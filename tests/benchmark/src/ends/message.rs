//! The message of a run, and the answer that is expected to it.

use std::ops::Range;

/// Bytes before a gRPC message: a flag and the length.
const PREFIX_BYTES: usize = 5;
/// Bytes of the number that makes each message unlike every other.
const STAMP_BYTES: usize = 8;

/// `EchoRequest{payload}`, or the same of an `AboutRequest`, of an exact size with its gRPC prefix. Its payload begins with a stamp, so that the answer to another
/// call is told from the answer to this one.
#[derive(Debug)]
pub struct Message {
    bytes: Vec<u8>,
    stamp: Range<usize>,
}

impl Message {
    /// A message of `bytes` bytes (without the gRPC prefix), at least 10.
    pub fn new(bytes: usize) -> Self {
        let mut payload = bytes.saturating_sub(2).max(STAMP_BYTES);
        while 1 + varint_bytes(payload) + payload > bytes.max(10) {
            payload -= 1;
        }
        let length = 1 + varint_bytes(payload) + payload;
        let mut message = vec![0];
        message.extend_from_slice(&(length as u32).to_be_bytes());
        // Field 1, bytes.
        message.push(0x0a);
        let mut rest = payload;
        while rest >= 0x80 {
            message.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        message.push(rest as u8);
        let begin = message.len();
        // Any bytes that do not repeat within a frame; not compressible to nothing, and the same on every run.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        while message.len() < PREFIX_BYTES + length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bytes = state.to_le_bytes();
            let room = (PREFIX_BYTES + length - message.len()).min(bytes.len());
            message.extend_from_slice(bytes.get(..room).unwrap_or(&bytes));
        }
        Self { bytes: message, stamp: begin..begin + STAMP_BYTES }
    }

    /// Bytes with the gRPC prefix.
    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the part from `at`, `length` bytes long, of the message with this stamp.
    pub fn put(&self, out: &mut Vec<u8>, stamp: u64, at: usize, length: usize) {
        let begin = out.len();
        out.extend_from_slice(self.bytes.get(at..at + length).unwrap_or_default());
        if at < self.stamp.end {
            for (offset, byte) in stamp.to_be_bytes().into_iter().enumerate() {
                let place = (self.stamp.start + offset).checked_sub(at).filter(|place| *place < length);
                if let Some(target) = place.and_then(|place| out.get_mut(begin + place)) {
                    *target = byte;
                }
            }
        }
    }

    /// Whether `part` is what stands at `at` in the message with this stamp.
    pub fn has(&self, stamp: u64, at: usize, part: &[u8]) -> bool {
        let Some(expected) = self.bytes.get(at..at + part.len()) else { return false };
        if at >= self.stamp.end {
            return part == expected;
        }
        let stamp = stamp.to_be_bytes();
        part.iter().zip(expected).enumerate().all(|(offset, (byte, expected))| {
            let place = at + offset;
            let stamped = place.checked_sub(self.stamp.start).and_then(|place| stamp.get(place));
            byte == stamped.unwrap_or(expected)
        })
    }
}

const fn varint_bytes(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_exactly_the_size_asked_for() {
        for bytes in [10, 100, 129, 10_000, 1 << 20, 16 << 20] {
            let size = Message::new(bytes).bytes() - PREFIX_BYTES;
            // At some sizes the length of the length leaves one byte over.
            assert!(size == bytes || size == bytes - 1, "{bytes}: {size}");
        }
    }

    #[test]
    fn knows_its_own_parts_and_no_others() {
        let message = Message::new(100);
        let mut whole = Vec::new();
        message.put(&mut whole, 7, 0, message.bytes());
        assert!(message.has(7, 0, &whole));
        assert!(!message.has(8, 0, &whole));
        for cut in 0..whole.len() {
            let mut parts = Vec::new();
            message.put(&mut parts, 7, 0, cut);
            message.put(&mut parts, 7, cut, message.bytes() - cut);
            assert_eq!(parts, whole);
            assert!(message.has(7, cut, &whole[cut..]));
        }
        *whole.last_mut().unwrap() ^= 1;
        assert!(!message.has(7, 0, &whole));
        assert!(!message.has(7, 1, &whole));
    }
}
