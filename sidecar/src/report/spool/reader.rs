//! Reads a partition's files behind its writer: entry by entry, past whatever is damaged, with the chain going along.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use chapar_core::{
    record::{
        self, ChainEntry, Loss, LossCause,
        chain::{ChainId, Hash, digest, next},
        frame::{Frame, Step, step},
    },
    time::Timestamp,
};

use super::{
    facts::Position,
    recover::set_aside,
    segment::{self, HEADER_BYTES, Header},
    segments::{Reach, Segments},
    slots::Slots,
};

/// Bytes that are read at once: some hundreds of records. Only damage makes it more, up to a whole file.
const READ_BYTES: usize = 128 * 1024;

/// The reader of one partition.
#[derive(Debug)]
pub(in crate::report) struct SpoolReader {
    segments: Arc<Segments>,
    /// From where nothing is acknowledged.
    at: Position,
    /// Where that is kept; `None` for a reader that only looks.
    positions: Option<Slots<Position>>,
    open: Option<Open>,
    /// Bytes of the open file from `buffer_at` on.
    buffer: Vec<u8>,
    buffer_at: u64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    file: File,
    header: Option<Header>,
    /// How long it is, once nothing is written to it any more.
    length: Option<u64>,
}

/// Entries in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Batch {
    /// The place before the first.
    pub(in crate::report) before: Position,
    /// Sequence number of the first, or the first that it stands for.
    pub(in crate::report) first: u64,
    /// The place after the last.
    pub(in crate::report) after: Position,
    /// Entries that were missing because of damage.
    pub(in crate::report) damaged: u64,
    /// When the oldest call was begun.
    pub(in crate::report) oldest_at: Option<Timestamp>,
}

/// One entry on its way out.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Numbered<'e> {
    pub(in crate::report) sequence: u64,
    pub(in crate::report) canonical: &'e [u8],
    pub(in crate::report) entry: &'e ChainEntry<'e>,
}

impl SpoolReader {
    pub(super) const fn new(segments: Arc<Segments>, at: Position, positions: Option<Slots<Position>>) -> Self {
        Self { segments, at, positions, open: None, buffer: Vec::new(), buffer_at: 0 }
    }

    pub(in crate::report) const fn segments(&self) -> &Arc<Segments> {
        &self.segments
    }

    /// The chain that its entries belong to.
    pub(in crate::report) const fn chain(&self) -> ChainId {
        self.at.chain
    }

    /// Reads everything anew: what was read before may not be what the files hold.
    pub(in crate::report) fn reopen(&mut self) {
        self.open = None;
    }

    /// Another reader at the same place, which acknowledges nothing.
    pub(in crate::report) fn onlooker(&self) -> Self {
        Self::new(Arc::clone(&self.segments), self.at, None)
    }

    /// Hands the entries that follow to `each`, until it takes one no more or `reach` is reached. They stay where they are:
    /// see [`SpoolReader::acknowledge`]. `None`: there are none.
    pub(in crate::report) fn next(
        &mut self,
        reach: Reach,
        spool: &Path,
        mut each: impl FnMut(Numbered<'_>) -> bool,
    ) -> io::Result<Option<Batch>> {
        let before = self.at;
        let mut walk = Walk { at: before, first: before.sequence + 1, damaged: 0, oldest_at: None };
        while self.step(reach, spool, &mut walk, &mut each)? {}
        let Walk { at: after, first, damaged, oldest_at } = walk;
        if after.sequence == before.sequence {
            // Nothing but an end of a file or damage was passed, which needs no acknowledgement.
            if after != before && (self.positions.is_none() || after.segment != before.segment) {
                self.acknowledge(after)?;
            }
            return Ok(None);
        }
        Ok(Some(Batch { before, first, after, damaged, oldest_at }))
    }

    /// Goes on behind `position`: everything before is with the control plane.
    pub(in crate::report) fn acknowledge(&mut self, position: Position) -> io::Result<()> {
        self.at = position;
        let Some(positions) = &mut self.positions else { return Ok(()) };
        positions.write(&position)?;
        if self.segments.holds_before(position.segment) {
            // A file goes only when it is certain that it will not be asked for again.
            positions.sync()?;
        }
        self.segments.acknowledge(position.sequence, position.segment);
        Ok(())
    }

    /// One step; `false` when there is nothing more to be had.
    fn step(
        &mut self,
        reach: Reach,
        spool: &Path,
        walk: &mut Walk,
        each: &mut impl FnMut(Numbered<'_>) -> bool,
    ) -> io::Result<bool> {
        if walk.at.segment > reach.segment || !self.open(walk.at.segment)? {
            return Ok(self.next_file(walk, reach));
        }
        let Some(Open { file, header, number, length }) = &mut self.open else { return Ok(false) };
        let end = match length {
            Some(length) => *length,
            None if walk.at.segment < reach.segment => *length.insert(file.metadata()?.len()),
            None => reach.offset,
        };
        let begun_at = header.map_or(Timestamp::from_unix_ms(1), |header| header.begun_at);
        if walk.at.offset < HEADER_BYTES {
            if let Some(header) = header
                && !walk.gap(header.first, begun_at, each)
            {
                return Ok(false);
            }
            walk.at.offset = HEADER_BYTES;
        }
        let number = *number;
        let (bytes, last) = fill(file, &mut self.buffer, &mut self.buffer_at, walk.at.offset, end, 0)?;
        let (mut step_here, mut wanted) = (step(bytes, walk.at.sequence, last), bytes.len());
        while step_here == Step::More {
            // A frame that the buffer cuts off, or damage that goes on behind it.
            wanted += READ_BYTES;
            let (bytes, last) = fill(file, &mut self.buffer, &mut self.buffer_at, walk.at.offset, end, wanted)?;
            step_here = step(bytes, walk.at.sequence, last);
        }
        match step_here {
            Step::Frame(frame, taken) => {
                let taken_on = walk.gap(frame.sequence, begun_at, each) && walk.entry(&frame, each);
                if taken_on {
                    walk.at.offset += taken as u64;
                }
                Ok(taken_on)
            }
            Step::Damage(taken) => {
                let from = usize::try_from(walk.at.offset - self.buffer_at).unwrap_or(usize::MAX);
                let damaged = self.buffer.get(from..).and_then(|rest| rest.get(..taken)).unwrap_or_default();
                tell_damage(spool, self.segments.name(), number, walk.at.offset, damaged);
                walk.at.offset += taken as u64;
                Ok(true)
            }
            Step::More | Step::End => Ok(self.next_file(walk, reach)),
        }
    }

    fn next_file(&self, walk: &mut Walk, reach: Reach) -> bool {
        let Some(number) = self.segments.first_from(walk.at.segment + 1).filter(|number| *number <= reach.segment) else {
            return false;
        };
        // Of the file that is reached last, not even the header may be on the disk.
        if number == reach.segment && reach.offset < HEADER_BYTES {
            return false;
        }
        (walk.at.segment, walk.at.offset) = (number, 0);
        true
    }

    /// Opens the file of that number; `false` when there is none.
    fn open(&mut self, number: u64) -> io::Result<bool> {
        if self.open.as_ref().is_some_and(|open| open.number == number) {
            return Ok(true);
        }
        self.open = None;
        self.buffer.clear();
        self.buffer.shrink_to(READ_BYTES);
        let file = match File::open(segment::path(self.segments.folder(), number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let header = Header::read(&file)?;
        self.open = Some(Open { number, file, header, length: None });
        Ok(true)
    }
}

/// Where a walk through the entries is.
struct Walk {
    at: Position,
    first: u64,
    damaged: u64,
    oldest_at: Option<Timestamp>,
}

impl Walk {
    /// If the entry `found` is not the next one, hands out that those between are missing. `false`: that is not taken.
    fn gap(&mut self, found: u64, begun_at: Timestamp, each: &mut impl FnMut(Numbered<'_>) -> bool) -> bool {
        let number = self.at.sequence + 1;
        if found <= number {
            return true;
        }
        let records = found - number;
        let loss = Loss { cause: LossCause::Damaged, records, first_at: begun_at, last_at: begun_at, number };
        let mut canonical = Vec::new();
        record::encode_loss(&loss, &mut canonical);
        let numbered = Numbered { sequence: found - 1, canonical: &canonical, entry: &ChainEntry::Loss(loss) };
        let taken = self.take(numbered, each);
        if taken {
            self.damaged += records;
        }
        taken
    }

    fn entry(&mut self, frame: &Frame<'_>, each: &mut impl FnMut(Numbered<'_>) -> bool) -> bool {
        let numbered = Numbered { sequence: frame.sequence, canonical: frame.canonical, entry: &frame.entry };
        let taken = self.take(numbered, each);
        if taken && let ChainEntry::Call(record) = &frame.entry {
            self.oldest_at = Some(self.oldest_at.map_or(record.started_at, |oldest| oldest.min(record.started_at)));
        }
        taken
    }

    fn take(&mut self, numbered: Numbered<'_>, each: &mut impl FnMut(Numbered<'_>) -> bool) -> bool {
        if !each(numbered) {
            return false;
        }
        self.at.sequence = numbered.sequence;
        self.at.head = head(self.at.head, numbered.canonical);
        true
    }
}

fn head(before: Hash, canonical: &[u8]) -> Hash {
    next(before, digest(canonical))
}

/// The bytes of the file from `offset` on: `wanted` of them or more, as far as `end`. Also says whether that is all.
fn fill<'b>(
    file: &File,
    buffer: &'b mut Vec<u8>,
    buffer_at: &mut u64,
    offset: u64,
    end: u64,
    wanted: usize,
) -> io::Result<(&'b [u8], bool)> {
    let there = *buffer_at..*buffer_at + buffer.len() as u64;
    let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
    let held = if there.contains(&offset) || offset == there.end { usize::try_from(there.end - offset).unwrap_or(0) } else { 0 };
    if held == 0 || held < wanted.min(left) {
        let read = wanted.max(READ_BYTES).min(left);
        buffer.resize(read, 0);
        *buffer_at = offset;
        file.read_exact_at(buffer, offset)?;
    }
    let from = usize::try_from(offset - *buffer_at).unwrap_or(usize::MAX);
    // What was read ahead of an earlier end is not yet to be seen.
    let bytes = buffer.get(from..).unwrap_or_default();
    let bytes = bytes.get(..left).unwrap_or(bytes);
    Ok((bytes, bytes.len() >= left))
}

fn tell_damage(spool: &Path, partition: &str, segment: u64, offset: u64, damaged: &[u8]) {
    let bytes = damaged.len();
    match set_aside(spool, partition, segment, offset, damaged) {
        Ok(path) => tracing::error!(partition, segment, offset, bytes, set_aside = %path.display(), "the spool is damaged"),
        Err(error) => {
            tracing::error!(partition, segment, offset, bytes, %error, "the spool is damaged, and that cannot be set aside")
        }
    }
}
