//! What an earlier process left in a partition's folder.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use chapar_core::record::{
    ChainEntry, LossCause,
    chain::ChainId,
    frame::{Step, step},
};

use super::{
    facts::{Missing, Position},
    segment::{self, HEADER_BYTES, Header},
    slots::Slots,
};

/// The state of a partition.
#[derive(Debug)]
pub(super) struct Found {
    /// Numbers of the files with entries.
    pub(super) numbers: Vec<u64>,
    /// Last sequence number in use.
    pub(super) last: u64,
    /// From where nothing is acknowledged.
    pub(super) position: Position,
    pub(super) positions: Slots<Position>,
    pub(super) missing: Missing,
    pub(super) losses: Slots<Missing>,
}

/// Name of the file that tells how far the control plane has acknowledged.
const POSITION_FILE: &str = "acknowledged";
/// Name of the file that counts what was lost for want of room.
const LOSSES_FILE: &str = "missing";

/// Reads a partition's folder. `new_chain` is used where there is none to go on with.
pub(super) fn partition(folder: &Path, new_chain: ChainId) -> io::Result<Found> {
    let mut numbers = without_empty(folder)?;
    let (mut positions, known) = Slots::<Position>::open(&folder.join(POSITION_FILE))?;
    let (losses, missing) = Slots::<Missing>::open(&folder.join(LOSSES_FILE))?;
    let position = match known {
        Some(position) => position,
        None => {
            let first = numbers.first().copied();
            let before = match first {
                Some(number) => entries(folder, number)?.first.map_or(0, |first| first.saturating_sub(1)),
                None => 0,
            };
            let position = Position::beginning(new_chain, first.unwrap_or(0), before);
            // Should all of the process end here, the same chain is gone on with.
            positions.write(&position)?;
            positions.sync()?;
            position
        }
    };
    for number in numbers.extract_if(.., |number| *number < position.segment) {
        fs::remove_file(segment::path(folder, number))?;
    }
    let mut last = position.sequence;
    let mut told = None;
    for number in numbers.iter().rev() {
        let entries = entries(folder, *number)?;
        told = told.max(entries.loss);
        // What cannot be read at the end was at least one entry, and its number is not given away again.
        last = last.max(entries.last.unwrap_or(0) + u64::from(entries.damaged_end));
        if entries.last.is_some() {
            break;
        }
    }
    let mut missing = missing.unwrap_or_default();
    if let Some(told) = told.filter(|told| *told >= missing.number) {
        missing = Missing { number: told + 1, ..Missing::default() };
    }
    Ok(Found { numbers, last, position, positions, missing, losses })
}

/// The files of the partition, all on the disk now; those that were never begun are removed.
fn without_empty(folder: &Path) -> io::Result<Vec<u64>> {
    let mut kept = Vec::new();
    for number in segment::numbers(folder)? {
        let path = segment::path(folder, number);
        let file = File::open(&path)?;
        if file.metadata()?.len() == 0 {
            fs::remove_file(&path)?;
        } else {
            file.sync_data()?;
            kept.push(number);
        }
    }
    Ok(kept)
}

/// What one file holds.
#[derive(Debug, Default)]
struct Entries {
    first: Option<u64>,
    /// The last entry, or the one before the first that was to come here.
    last: Option<u64>,
    damaged_end: bool,
    /// Number of the last loss for want of room that it tells of.
    loss: Option<u64>,
}

fn entries(folder: &Path, number: u64) -> io::Result<Entries> {
    let mut file = File::open(segment::path(folder, number))?;
    let header = Header::read(&file)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(HEADER_BYTES))?;
    file.read_to_end(&mut bytes)?;
    let mut entries = Entries {
        first: header.map(|header| header.first),
        last: header.map(|header| header.first.saturating_sub(1)),
        ..Entries::default()
    };
    let mut rest = &bytes[..];
    loop {
        let taken = match step(rest, entries.last.unwrap_or(0), true) {
            Step::Frame(frame, taken) => {
                entries.first.get_or_insert(frame.sequence);
                entries.last = Some(frame.sequence);
                entries.damaged_end = false;
                if let ChainEntry::Loss(loss) = frame.entry
                    && loss.cause == LossCause::SpoolFull
                {
                    entries.loss = Some(loss.number);
                }
                taken
            }
            Step::Damage(taken) => {
                entries.damaged_end = true;
                taken
            }
            Step::More | Step::End => return Ok(entries),
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
}

/// Most files that are kept; further damage is counted and told in the log.
const FILES_MAX: usize = 64;
/// Most bytes of one of them.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// Sets `bytes` aside, which lay in a file of this partition at this offset. The same damage again makes no second file.
pub(super) fn set_aside(spool: &Path, partition: &str, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<PathBuf> {
    let folder = spool.join("damaged");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join(format!("{partition}-{segment}-{offset}.bin"));
    if path.exists() || fs::read_dir(&folder)?.count() >= FILES_MAX {
        return Ok(path);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(bytes.get(..FILE_BYTES_MAX).unwrap_or(bytes))?;
    Ok(path)
}
