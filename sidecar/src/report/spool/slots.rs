//! Small facts that are written again and again in place: two slots, written by turns, so that one is always whole. The
//! file has its full size from the beginning, so that writing it needs no room on a full disk.

use std::{
    fs::{File, OpenOptions},
    io,
    marker::PhantomData,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Bytes of one slot; each has a block of the file for itself, so that a torn write cannot reach the other one.
const SLOT_BYTES: usize = 4_096;
const FILE_MODE: u32 = 0o600;

/// What can be kept in a slot.
pub(super) trait Fact: Sized {
    /// Appends its bytes, less than a slot's worth.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads them back.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// The file of one fact.
#[derive(Debug)]
pub(super) struct Slots<F> {
    file: File,
    turn: u64,
    buffer: Vec<u8>,
    fact: PhantomData<F>,
}

impl<F: Fact> Slots<F> {
    /// Opens the file, made if it is not there, and reads the fact that was written last; `None` when there is no whole one.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<F>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
        if file.metadata()?.len() < 2 * SLOT_BYTES as u64 {
            // Written, not only reserved: overwriting then needs nothing of the file system.
            file.write_all_at(&[0; 2 * SLOT_BYTES], 0)?;
            file.sync_all()?;
        }
        let mut newest: Option<(u64, F)> = None;
        for slot in 0..2 {
            let mut bytes = [0; SLOT_BYTES];
            file.read_exact_at(&mut bytes, slot * SLOT_BYTES as u64)?;
            if let Some((turn, fact)) = read(&bytes)
                && newest.as_ref().is_none_or(|(newest, _)| turn > *newest)
            {
                newest = Some((turn, fact));
            }
        }
        let turn = newest.as_ref().map_or(0, |(turn, _)| *turn);
        let slots = Self { file, turn, buffer: Vec::with_capacity(256), fact: PhantomData };
        Ok((slots, newest.map(|(_, fact)| fact)))
    }

    /// Writes the fact: safe from a crash of the process.
    pub(super) fn write(&mut self, fact: &F) -> io::Result<()> {
        let turn = self.turn + 1;
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; 8]);
        self.buffer.extend_from_slice(&turn.to_le_bytes());
        fact.encode(&mut self.buffer);
        // A slot has 4 KiB; facts have some hundred bytes.
        let length = self.buffer.len() as u32;
        self.buffer[4..8].copy_from_slice(&length.to_le_bytes());
        let checksum = crc32c::crc32c(&self.buffer[4..]);
        self.buffer[..4].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all_at(&self.buffer, turn % 2 * SLOT_BYTES as u64)?;
        self.turn = turn;
        Ok(())
    }

    /// Makes what was written safe from a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn read<F: Fact>(slot: &[u8; SLOT_BYTES]) -> Option<(u64, F)> {
    let checksum = u32::from_le_bytes(slot[..4].try_into().ok()?);
    let length = u32::from_le_bytes(slot[4..8].try_into().ok()?) as usize;
    let checked = slot.get(4..length)?;
    if crc32c::crc32c(checked) != checksum {
        return None;
    }
    let (turn, fact) = checked.get(4..)?.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*turn), F::decode(fact)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Word(Vec<u8>);

    impl Fact for Word {
        fn encode(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(&self.0);
        }
        fn decode(bytes: &[u8]) -> Option<Self> {
            Some(Self(bytes.to_vec()))
        }
    }

    #[test]
    fn the_last_whole_fact_is_read_back_whatever_becomes_of_the_other_slot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fact");
        let (mut slots, found) = Slots::<Word>::open(&path).unwrap();
        assert_eq!(found, None);
        for word in [&b"one"[..], b"two", b"three"] {
            slots.write(&Word(word.to_vec())).unwrap();
        }
        assert_eq!(Slots::<Word>::open(&path).unwrap().1, Some(Word(b"three".to_vec())));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..20 {
            let mut torn = whole.clone();
            torn[SLOT_BYTES + at] ^= 0x10;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(Slots::<Word>::open(&path).unwrap().1, Some(Word(b"two".to_vec())), "{at}");
        }
    }
}
