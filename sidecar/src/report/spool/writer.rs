//! Where one thread puts the calls that it carried on record.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::Arc,
    time::{Duration, Instant},
};

use chapar_core::{
    policy::Reason,
    record::{self, CallRecord, Loss, LossCause, frame},
    time::Timestamp,
};

use super::{
    facts::Missing,
    partitions::{Partition, Spool, SpoolError},
    segment::{HEADER_BYTES, Header},
    segments::Segments,
    slots::Slots,
};
use crate::config::WhenFull;

/// Bytes that are held in memory at most while the disk takes nothing.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that a loop turn's records take ordinarily: room is kept for them.
const PENDING_BYTES_USUAL: usize = 64 * 1024;
/// How long a disk that failed is left alone.
const RETRY: Duration = Duration::from_millis(100);

/// One thread's way into the account. [`SpoolWriter::put`] never blocks and never fails, so that it can be called from anywhere on
/// the path; [`SpoolWriter::commit`] makes what was put safe from a crash of the process, and is called before any caller can see
/// the end of a call.
#[derive(Debug)]
pub struct SpoolWriter {
    spool: Arc<Spool>,
    segments: Arc<Segments>,
    when_full: WhenFull,
    file: Option<Arc<File>>,
    /// Where in the file the next frame goes.
    offset: u64,
    /// Sequence number of the next entry.
    next: u64,
    /// Frames that are not written yet.
    pending: Vec<u8>,
    pending_since: Timestamp,
    pending_until: Timestamp,
    missing: Missing,
    /// What was last put down as missing, should the process end now.
    noted: u64,
    losses: Slots<Missing>,
    retry_at: Option<Instant>,
    /// Since there was no room for another file: when it is looked for again.
    room_sought_at: Option<Instant>,
}

impl SpoolWriter {
    /// The writer of the next partition of `spool` that has none.
    ///
    /// # Errors
    /// When its files cannot be made or read.
    pub(in crate::report) fn open(spool: &Arc<Spool>) -> Result<Self, SpoolError> {
        let partition = spool.take_partition()?;
        Ok(Self::new(Arc::clone(spool), partition))
    }

    fn new(spool: Arc<Spool>, partition: Partition) -> Self {
        let Partition { segments, when_full, missing, losses } = partition;
        let next = segments.written() + 1;
        let mut writer = Self {
            spool,
            segments,
            when_full,
            file: None,
            offset: 0,
            next,
            pending: Vec::with_capacity(PENDING_BYTES_USUAL),
            pending_since: Timestamp::default(),
            pending_until: Timestamp::default(),
            missing,
            noted: missing.records,
            losses,
            retry_at: None,
            room_sought_at: None,
        };
        writer.spool.count_lost(missing.records);
        // A start on a full disk is a start all the same: see `admits`.
        if writer.rotate().unwrap_or(false) {
            writer.tell_missing();
            writer.note();
        }
        writer
    }

    /// Puts a call on record. It is safe once [`SpoolWriter::commit`] has returned.
    pub fn put(&mut self, record: &CallRecord<'_>) {
        // Only in a program that is made for this comparison: see `crate::unrecorded`.
        if cfg!(feature = "measure-unrecorded") {
            return;
        }
        // What is refused for want of room must not take the room of calls that run: all of it is told by one entry.
        let refused_for_room = record.reason == Some(Reason::RecordsFull) && !self.admits();
        if refused_for_room || self.pending.len() + frame::FRAME_BYTES_MAX > PENDING_BYTES_MAX {
            self.missing.count(record.started_at);
            self.spool.count_lost(1);
            return;
        }
        if self.pending.is_empty() {
            self.pending_since = record.started_at;
        }
        self.pending_until = record.started_at;
        frame::put(self.next, &mut self.pending, |out| record::encode(record, out));
        self.next += 1;
    }

    /// Makes everything that was put safe from a crash of the process: one write to the file, and none if nothing was put.
    pub fn commit(&mut self) {
        if self.pending.is_empty() && self.missing.records == 0 {
            return;
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            self.note();
            return;
        }
        let failed_before = self.retry_at.is_some();
        match self.write() {
            Ok(true) => {
                self.retry_at = None;
                self.keep_ahead();
                self.tell_missing();
            }
            // As soon as the next file is there, it is gone on with.
            Ok(false) => self.retry_at = None,
            Err(error) => {
                if !failed_before {
                    tracing::error!(partition = self.segments.name(), %error, "the spool cannot be written");
                }
                self.retry_at = Some(Instant::now() + RETRY);
            }
        }
        self.note();
    }

    /// Whether new calls may be carried: false when there is no room to account for them, and the policy is to refuse then.
    /// Calls that run already have their room.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.when_full == WhenFull::Count || (self.retry_at.is_none() && self.has_room())
    }

    /// Whether there is more room than what running calls may need: the next file, or half of this one.
    fn has_room(&self) -> bool {
        self.segments.spare_ready()
            || (self.file.is_some() && self.offset + (self.pending.len() as u64) < self.segments.segment_bytes() / 2)
    }

    /// Makes the next file where the keeper was too slow to: on a busy disk under full load it can be, and calls are refused for
    /// want of room only if there is none. It costs the calls of this turn some milliseconds, once in a file.
    fn keep_ahead(&mut self) {
        if self.has_room() || self.room_sought_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let made = self.spool.provide_spare(&self.segments);
        self.room_sought_at = made.is_err().then(|| Instant::now() + RETRY);
    }

    /// Writes what is pending. `false`: there is no file for all of it.
    fn write(&mut self) -> io::Result<bool> {
        while !self.pending.is_empty() {
            let room = usize::try_from(self.segments.segment_bytes().saturating_sub(self.offset)).unwrap_or(usize::MAX);
            let fits = if self.pending.len() <= room { self.pending.len() } else { frame::whole(&self.pending, room) };
            let Some(file) = self.file.as_ref().filter(|_| fits > 0) else {
                self.keep_ahead();
                if self.rotate()? {
                    continue;
                }
                return Ok(false);
            };
            // What an earlier attempt wrote only in part is written again at the same place.
            file.write_all_at(self.pending.get(..fits).unwrap_or_default(), self.offset)?;
            self.offset += fits as u64;
            self.pending.drain(..fits);
            self.segments.wrote(self.offset, self.first_pending() - 1);
        }
        Ok(true)
    }

    /// Sequence number of the first entry that is not written.
    fn first_pending(&self) -> u64 {
        match frame::look(&self.pending) {
            frame::Look::Sound(frame) => frame.sequence,
            _ => self.next,
        }
    }

    /// Goes on in the next file. `false`: there is none.
    fn rotate(&mut self) -> io::Result<bool> {
        let Some((number, file)) = self.segments.take_spare() else { return Ok(false) };
        let header = Header { number, first: self.first_pending(), begun_at: self.spool.clock.now() };
        if let Err(error) = header.write(&file) {
            self.segments.return_spare((number, file));
            return Err(error);
        }
        let file = Arc::new(file);
        self.segments.begin(number, Arc::clone(&file));
        self.file = Some(file);
        self.offset = HEADER_BYTES;
        self.spool.wake_keeper();
        Ok(true)
    }

    /// Puts the loss itself on record, once there is room. Nothing else is pending then.
    fn tell_missing(&mut self) {
        if self.missing.records == 0 || !self.has_room() {
            return;
        }
        let Missing { number, records, first_at, last_at } = self.missing;
        let loss = Loss { cause: LossCause::SpoolFull, records, first_at, last_at, number };
        frame::put(self.next, &mut self.pending, |out| record::encode_loss(&loss, out));
        self.next += 1;
        if self.write().unwrap_or(false) {
            self.missing = Missing { number: number + 1, ..Missing::default() };
        } else {
            // It stays missing, and is told another time.
            self.pending.clear();
            self.next -= 1;
            self.retry_at = Some(Instant::now() + RETRY);
        }
    }

    /// Puts down how many records would be missing if the process ended now.
    fn note(&mut self) {
        let held = self.next - self.first_pending();
        let records = self.missing.records + held;
        if records == self.noted {
            return;
        }
        let mut missing = Missing { records, ..self.missing };
        if held > 0 {
            missing.last_at = self.pending_until.max(missing.last_at);
            missing.first_at =
                if self.missing.records == 0 { self.pending_since } else { missing.first_at.min(self.pending_since) };
        }
        match self.losses.write(&missing) {
            Ok(()) => self.noted = records,
            Err(error) => {
                tracing::error!(partition = self.segments.name(), records, %error, "records are missing, and it cannot be put down")
            }
        }
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        self.commit();
    }
}
