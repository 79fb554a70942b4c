//! Buffers that are used again, so that none is allocated in the steady state.

/// Buffers that are kept at most.
const KEPT_MAX: usize = 4_096;

/// Buffers of one kind.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Vec<Vec<u8>>,
    /// Bytes of all that are kept.
    bytes: usize,
    /// What a new buffer has room for: so much that it seldom grows.
    capacity_min: usize,
    /// A buffer that has grown beyond this is let go.
    capacity_max: usize,
    /// Bytes that are kept at most.
    bytes_max: usize,
}

impl Pool {
    pub(crate) const fn new(capacity_min: usize, capacity_max: usize, bytes_max: usize) -> Self {
        Self { free: Vec::new(), bytes: 0, capacity_min, capacity_max, bytes_max }
    }

    /// An empty buffer.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        match self.free.pop() {
            Some(buffer) => {
                self.bytes -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(self.capacity_min),
        }
    }

    /// Takes a buffer back.
    #[inline]
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity == 0 || capacity > self.capacity_max || self.free.len() >= KEPT_MAX || self.bytes + capacity > self.bytes_max
        {
            return;
        }
        buffer.clear();
        self.bytes += capacity;
        self.free.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_of_use_and_lets_go_of_the_rest() {
        let mut pool = Pool::new(10, 100, 150);
        pool.give(Vec::with_capacity(90));
        pool.give(Vec::with_capacity(90));
        pool.give(Vec::with_capacity(101));
        assert_eq!((pool.take().capacity(), pool.take().capacity()), (90, 10));
    }
}
