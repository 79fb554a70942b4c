//! Entries in a file: each in a frame with its sequence number and a checksum, so that whatever is torn, cut off or flipped is
//! found, and what follows it is found again.
//!
//! A frame is: CRC-32C of all that follows (4 bytes), length of the entry (4), sequence number (8), all little-endian, and the
//! entry's canonical bytes.

use super::{ChainEntry, ENTRY_BYTES_MAX, decode_entry};

/// Bytes before the entry.
pub const HEADER_BYTES: usize = 16;

/// Largest frame, in bytes.
pub const FRAME_BYTES_MAX: usize = HEADER_BYTES + ENTRY_BYTES_MAX;

/// Appends one frame to `out`; `encode` appends the entry.
pub fn put(sequence: u64, out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    encode(out);
    let Some(frame) = out.get_mut(start..) else { return };
    // An entry is shorter than ENTRY_BYTES_MAX.
    let entry_bytes = frame.len().saturating_sub(HEADER_BYTES) as u32;
    if let Some(length) = frame.get_mut(4..8) {
        length.copy_from_slice(&entry_bytes.to_le_bytes());
    }
    if let Some(number) = frame.get_mut(8..16) {
        number.copy_from_slice(&sequence.to_le_bytes());
    }
    let checksum = crc32c::crc32c(frame.get(4..).unwrap_or_default());
    if let Some(place) = frame.get_mut(..4) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
}

/// A whole and sound frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'f> {
    /// Its entry's place in its chain.
    pub sequence: u64,
    /// The entry's canonical bytes.
    pub canonical: &'f [u8],
    /// What they say.
    pub entry: ChainEntry<'f>,
}

/// What lies at some place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // Nearly every one is a frame.
pub enum Look<'f> {
    /// A frame.
    Sound(Frame<'f>),
    /// What may be the beginning of one.
    Short,
    /// No frame.
    Damaged,
}

/// Looks at the beginning of `bytes`.
#[must_use]
pub fn look(bytes: &[u8]) -> Look<'_> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Look::Short;
    };
    let number = |at: usize| header.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes);
    let (checksum, entry_bytes) = (number(0), number(4) as usize);
    if entry_bytes == 0 || entry_bytes > ENTRY_BYTES_MAX {
        return Look::Damaged;
    }
    let (Some(canonical), Some(checked)) = (rest.get(..entry_bytes), bytes.get(4..HEADER_BYTES + entry_bytes)) else {
        return Look::Short;
    };
    if crc32c::crc32c(checked) != checksum {
        return Look::Damaged;
    }
    let sequence = u64::from(number(8)) | u64::from(number(12)) << 32;
    // A sound checksum over no entry is what a later version of this software left behind.
    decode_entry(canonical).map_or(Look::Damaged, |entry| Look::Sound(Frame { sequence, canonical, entry }))
}

/// How much of `bytes`, which are frames one after another, is whole frames within `bytes_max`.
#[must_use]
pub fn whole(bytes: &[u8], bytes_max: usize) -> usize {
    let mut at = 0;
    while let Some(length) = bytes.get(at + 4..at + 8).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes) {
        let end = at.saturating_add(HEADER_BYTES).saturating_add(length as usize);
        if end > bytes_max || end > bytes.len() {
            break;
        }
        at = end;
    }
    at
}

/// A step through a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // Nearly every one is a frame.
pub enum Step<'f> {
    /// A frame, of this many bytes.
    Frame(Frame<'f>, usize),
    /// This many bytes hold nothing that can be read.
    Damage(usize),
    /// More bytes must be seen before anything can be said.
    More,
    /// Nothing is left.
    End,
}

/// The step from the beginning of `bytes`, where the last entry that was read had the number `after`. `last` says that no
/// bytes follow these. Sequence numbers only rise: a frame that comes again is damage.
#[must_use]
pub fn step(bytes: &[u8], after: u64, last: bool) -> Step<'_> {
    if bytes.is_empty() {
        return if last { Step::End } else { Step::More };
    }
    match look(bytes) {
        Look::Sound(frame) if frame.sequence > after => {
            return Step::Frame(frame, HEADER_BYTES + frame.canonical.len());
        }
        Look::Short if !last => return Step::More,
        _ => {}
    }
    // Wherever the next sound frame begins, there the damage ends.
    let sound = (1..bytes.len()).find(|&at| {
        let here = bytes.get(at..).unwrap_or_default();
        matches!(look(here), Look::Sound(frame) if frame.sequence > after)
    });
    match sound {
        Some(at) => Step::Damage(at),
        None if last => Step::Damage(bytes.len()),
        None => Step::More,
    }
}

#[cfg(test)]
mod tests;
