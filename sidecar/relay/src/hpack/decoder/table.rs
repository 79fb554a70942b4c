//! The dynamic table (RFC 7541, section 2.3.2).

use std::collections::VecDeque;

use crate::hpack::FIELD_OVERHEAD_BYTES;

/// A field in the table, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    text: Vec<u8>,
    name_bytes: usize,
}

impl Entry {
    /// `text` is the name and the value, one after the other.
    pub(super) fn new(text: Vec<u8>, name_bytes: usize) -> Self {
        Self { name_bytes: name_bytes.min(text.len()), text }
    }

    pub(super) fn name(&self) -> &[u8] {
        self.text.split_at(self.name_bytes).0
    }

    pub(super) fn value(&self) -> &[u8] {
        self.text.split_at(self.name_bytes).1
    }

    /// What the entry counts (RFC 7541, section 4.1).
    pub(super) fn counted_bytes(&self) -> usize {
        self.text.len() + FIELD_OVERHEAD_BYTES
    }
}

#[derive(Debug)]
pub(super) struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: u32,
}

impl Table {
    pub(super) fn new(bytes_max: u32) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn bytes_max(&self) -> u32 {
        self.bytes_max
    }

    /// The entry that was added `nth` from the last; 0 is the last.
    pub(super) fn entry(&self, nth: usize) -> Option<&Entry> {
        self.entries.get(nth)
    }

    /// Adds an entry, after the oldest made room for it. One that is larger than the table empties it, which is no error
    /// (RFC 7541, section 4.4).
    pub(super) fn insert(&mut self, entry: Entry) {
        let counted = entry.counted_bytes();
        self.evict(counted);
        if counted <= self.bytes_max as usize {
            self.bytes += counted;
            self.entries.push_front(entry);
        }
    }

    pub(super) fn resize(&mut self, bytes_max: u32) {
        self.bytes_max = bytes_max;
        self.evict(0);
    }

    /// Drops the oldest entries until `wanted_bytes` more fit, or none is left.
    fn evict(&mut self, wanted_bytes: usize) {
        while self.bytes + wanted_bytes > self.bytes_max as usize {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.bytes -= oldest.counted_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: &str) -> Entry {
        Entry::new(format!("{name}{value}").into_bytes(), name.len())
    }

    #[test]
    fn the_oldest_make_room_for_the_newest() {
        let mut table = Table::new(2 * 34);
        table.insert(entry("a", "1"));
        table.insert(entry("b", "2"));
        table.insert(entry("c", "3"));
        assert_eq!(table.entry(0), Some(&entry("c", "3")));
        assert_eq!(table.entry(1), Some(&entry("b", "2")));
        assert_eq!(table.entry(2), None);
    }

    #[test]
    fn an_entry_larger_than_the_table_empties_it() {
        let mut table = Table::new(40);
        table.insert(entry("a", "1"));
        table.insert(entry("name", "value that is too long"));
        assert!(table.is_empty());
        table.insert(entry("b", "2"));
        assert_eq!(table.entry(0), Some(&entry("b", "2")));
    }

    #[test]
    fn a_smaller_table_keeps_the_newest() {
        let mut table = Table::new(200);
        table.insert(entry("a", "1"));
        table.insert(entry("b", "2"));
        table.resize(34);
        assert_eq!(table.entry(0), Some(&entry("b", "2")));
        assert_eq!(table.entry(1), None);
        table.resize(0);
        assert!(table.is_empty());
    }
}
