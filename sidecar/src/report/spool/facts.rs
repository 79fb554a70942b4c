//! What a partition keeps beside its records: how far they were acknowledged, and what was lost for want of room.

use chapar_core::{
    record::chain::{ChainId, Hash, beginning},
    time::Timestamp,
};

use super::slots::Fact;

/// A place between two entries of a partition, and the head of the chain there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Position {
    pub(in crate::report) chain: ChainId,
    /// Number of the file.
    pub(in crate::report) segment: u64,
    /// Bytes from the file's beginning.
    pub(in crate::report) offset: u64,
    /// Sequence number of the entry before this place.
    pub(in crate::report) sequence: u64,
    /// Head of the chain after that entry.
    pub(in crate::report) head: Hash,
}

impl Position {
    /// Where a new chain begins: after the entry `sequence`, which is another chain's or none.
    pub(in crate::report) fn beginning(chain: ChainId, segment: u64, sequence: u64) -> Self {
        Self { chain, segment, offset: 0, sequence, head: beginning(chain) }
    }
}

impl Fact for Position {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.chain.0);
        for number in [self.segment, self.offset, self.sequence] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.head.0);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (chain, rest) = bytes.split_first_chunk()?;
        let (segment, rest) = rest.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        Some(Self {
            chain: ChainId(*chain),
            segment: u64::from_le_bytes(*segment),
            offset: u64::from_le_bytes(*offset),
            sequence: u64::from_le_bytes(*sequence),
            head: Hash(rest.try_into().ok()?),
        })
    }
}

/// Records for which there was no room, and which no entry tells of yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(in crate::report) struct Missing {
    /// How many losses this partition has had before.
    pub(in crate::report) number: u64,
    /// How many records.
    pub(in crate::report) records: u64,
    /// Since when.
    pub(in crate::report) first_at: Timestamp,
    /// Until when.
    pub(in crate::report) last_at: Timestamp,
}

impl Missing {
    /// Counts one.
    pub(in crate::report) fn count(&mut self, at: Timestamp) {
        if self.records == 0 {
            (self.first_at, self.last_at) = (at, at);
        }
        self.records += 1;
        self.first_at = self.first_at.min(at);
        self.last_at = self.last_at.max(at);
    }
}

impl Fact for Missing {
    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.number, self.records] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for instant in [self.first_at, self.last_at] {
            out.extend_from_slice(&instant.unix_ms().to_le_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (records, rest) = rest.split_first_chunk()?;
        let (first_at, last_at) = rest.split_first_chunk()?;
        Some(Self {
            number: u64::from_le_bytes(*number),
            records: u64::from_le_bytes(*records),
            first_at: Timestamp::from_unix_ms(i64::from_le_bytes(*first_at)),
            last_at: Timestamp::from_unix_ms(i64::from_le_bytes(last_at.try_into().ok()?)),
        })
    }
}
