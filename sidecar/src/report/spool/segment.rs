//! One file of a partition: a header, then frames. Written from its beginning to its end and never again.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use chapar_core::time::Timestamp;
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

/// Bytes before the first frame.
pub(super) const HEADER_BYTES: u64 = 40;
const MAGIC: &[u8; 8] = b"chspool1";
/// Mode of every file: nobody but the owner reads them.
const FILE_MODE: u32 = 0o600;
const ENDING: &str = "seg";

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The file's number in its partition: numbers rise.
    pub(super) number: u64,
    /// Sequence number of the first entry that was to go in.
    pub(super) first: u64,
    /// When it was begun.
    pub(super) begun_at: Timestamp,
}

impl Header {
    fn encoded(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.begun_at.unix_ms().to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..32]);
        bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decoded(bytes: &[u8; HEADER_BYTES as usize]) -> Option<Self> {
        let eight = |at: usize| bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_le_bytes);
        let sound = bytes.starts_with(MAGIC) && bytes[32..36] == crc32c::crc32c(&bytes[..32]).to_le_bytes();
        sound.then(|| Self { number: eight(8), first: eight(16), begun_at: Timestamp::from_unix_ms(eight(24).cast_signed()) })
    }

    /// Writes it.
    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.encoded(), 0)
    }

    /// Reads it; `None` when there is no sound one.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER_BYTES as usize];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Self::decoded(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Where the file of this number is.
pub(super) fn path(partition: &Path, number: u64) -> PathBuf {
    partition.join(format!("{number:020}.{ENDING}"))
}

/// Makes an empty file that has `bytes` of the disk to itself, and whose name outlasts a power cut.
pub(super) fn create(partition: &Path, number: u64, bytes: u64) -> io::Result<File> {
    let path = path(partition, number);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(&path)?;
    let reserved = match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        // Where a file system cannot reserve, room is found or not found when it is written.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        result => result.map_err(io::Error::from),
    };
    if let Err(error) = reserved.and_then(|()| File::open(partition)?.sync_all()) {
        // Nothing is in it: it would only take room.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(file)
}

/// Numbers of the files of a partition, rising.
pub(super) fn numbers(partition: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(partition)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(ENDING)?.strip_suffix('.')?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_a_damaged_one_is_none() {
        let header = Header { number: 3, first: 900, begun_at: Timestamp::from_unix_ms(-5) };
        let bytes = header.encoded();
        assert_eq!(Header::decoded(&bytes), Some(header));
        for at in 0..36 {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(Header::decoded(&damaged), None, "{at}");
        }
    }

    #[test]
    fn files_are_found_by_their_numbers_and_nothing_else_is() {
        let partition = tempfile::tempdir().unwrap();
        for number in [10, 2] {
            create(partition.path(), number, 4_096).unwrap();
        }
        fs::write(partition.path().join("x.seg"), "").unwrap();
        fs::write(partition.path().join("acked"), "").unwrap();
        assert_eq!(numbers(partition.path()).unwrap(), [2, 10]);
        assert_eq!(fs::metadata(path(partition.path(), 2)).unwrap().len(), 0, "what is reserved is not yet written");
    }
}
