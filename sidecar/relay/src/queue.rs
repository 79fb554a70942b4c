//! Bytes that wait, first in, first out.

/// Bytes that were taken out are moved over only when there are as many as this.
const COMPACT_BYTES_MIN: usize = 64 * 1024;

/// A queue of bytes in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    bytes: Vec<u8>,
    start: usize,
}

impl Queue {
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.len() == self.start
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    #[inline]
    pub(crate) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(crate) const EMPTY: Self = Self { bytes: Vec::new(), start: 0 };

    /// Where bytes are appended. Use only what [`Vec`] offers to append.
    #[inline]
    pub(crate) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Gives the queue a buffer, if it has none.
    #[inline]
    pub(crate) fn furnish(&mut self, take: impl FnOnce() -> Vec<u8>) {
        if self.bytes.capacity() == 0 {
            self.bytes = take();
        }
    }

    #[inline]
    pub(crate) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes the first `bytes` out.
    #[inline]
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start >= COMPACT_BYTES_MIN && self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// The buffer, once nothing waits any more or nobody asks for it.
    #[inline]
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        self.start = 0;
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_out_what_was_put_in_in_order() {
        let mut queue = Queue::default();
        let sent: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
        let mut came = Vec::new();
        for chunk in sent.chunks(70_001) {
            queue.buffer().extend_from_slice(chunk);
            let part = queue.len() / 2;
            came.extend_from_slice(&queue.waiting()[..part]);
            queue.advance(part);
        }
        came.extend_from_slice(queue.waiting());
        queue.advance(queue.len());
        assert!(came == sent && queue.is_empty());
    }
}
