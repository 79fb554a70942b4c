//! The files of one partition: which there are, which one is written, and how much of them a power cut would leave.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use chapar_core::time::Timestamp;

use super::segment::{self, HEADER_BYTES};

/// A place in the files up to which something holds: all earlier files, and so much of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Reach {
    pub(in crate::report) segment: u64,
    pub(in crate::report) offset: u64,
}

/// What the writer and the keeper share. Locks are held for a moment, and by the writer only from one file to the next.
#[derive(Debug)]
pub(in crate::report) struct Segments {
    folder: PathBuf,
    name: String,
    segment_bytes: u64,
    files: Mutex<Files>,
    /// Held while a file is made.
    making: Mutex<()>,
    /// Bytes of the file that is written.
    offset: AtomicU64,
    spare_ready: AtomicBool,
    /// Last sequence number that was written.
    written: AtomicU64,
    /// Last sequence number that was acknowledged.
    acknowledged: AtomicU64,
    /// When the oldest call that is on its way to the control plane was begun, in Unix ms; 0 for none.
    oldest_ms: AtomicI64,
}

#[derive(Debug)]
struct Files {
    /// Numbers of those that hold entries.
    numbers: BTreeSet<u64>,
    /// The one that is written.
    open: Option<(u64, Arc<File>)>,
    /// Those that are full and may not be on the disk yet.
    to_sync: Vec<Arc<File>>,
    /// The next one, empty.
    spare: Option<(u64, File)>,
    /// Number of the next one to be made.
    next: u64,
    synced: Reach,
}

impl Segments {
    /// The segments of a partition folder that holds the files `numbers`, none of which is written any more.
    pub(in crate::report) fn new(folder: PathBuf, segment_bytes: u64, numbers: &[u64], written: u64, acknowledged: u64) -> Self {
        let next = numbers.last().map_or(1, |last| last + 1);
        let files = Files {
            numbers: numbers.iter().copied().collect(),
            open: None,
            to_sync: Vec::new(),
            spare: None,
            next,
            synced: Reach { segment: next, offset: 0 },
        };
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            folder,
            name,
            segment_bytes,
            files: Mutex::new(files),
            making: Mutex::new(()),
            offset: AtomicU64::new(0),
            spare_ready: AtomicBool::new(false),
            written: AtomicU64::new(written),
            acknowledged: AtomicU64::new(acknowledged),
            oldest_ms: AtomicI64::new(0),
        }
    }

    pub(in crate::report) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The partition's name.
    pub(in crate::report) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::report) const fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Whether the next file is there already.
    pub(in crate::report) fn spare_ready(&self) -> bool {
        self.spare_ready.load(Ordering::Relaxed)
    }

    pub(in crate::report) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(in crate::report) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// When the oldest call was begun that is on its way to the control plane; `None` when none is.
    pub(in crate::report) fn oldest_at(&self) -> Option<Timestamp> {
        let oldest_ms = self.oldest_ms.load(Ordering::Relaxed);
        (oldest_ms > 0).then(|| Timestamp::from_unix_ms(oldest_ms))
    }

    /// From now on, that is the oldest one.
    pub(in crate::report) fn oldest_waits_since(&self, begun_at: Option<Timestamp>) {
        self.oldest_ms.store(begun_at.map_or(0, Timestamp::unix_ms), Ordering::Relaxed);
    }

    /// Entries that wait for their acknowledgement.
    pub(in crate::report) fn depth(&self) -> u64 {
        self.written().saturating_sub(self.acknowledged())
    }

    /// Files that are there, the empty one included.
    pub(in crate::report) fn files(&self) -> u64 {
        let files = self.lock();
        files.numbers.len() as u64 + u64::from(files.spare.is_some())
    }

    /// Bytes of entries in the files.
    pub(in crate::report) fn bytes(&self) -> u64 {
        let numbers = self.lock().numbers.clone();
        let length = |number| fs::metadata(segment::path(&self.folder, number)).map_or(0, |metadata| metadata.len());
        numbers.into_iter().map(length).sum()
    }

    /// Makes the next file ready, if there is none.
    pub(in crate::report) fn provide_spare(&self) -> io::Result<()> {
        // The keeper and the start of a partition may both come here.
        let _alone = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let next = {
            let files = self.lock();
            if files.spare.is_some() {
                return Ok(());
            }
            files.next
        };
        let file = segment::create(&self.folder, next, self.segment_bytes)?;
        let mut files = self.lock();
        files.spare = Some((next, file));
        files.next = next + 1;
        self.spare_ready.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Takes the next file for writing, if it is ready.
    pub(in crate::report) fn take_spare(&self) -> Option<(u64, File)> {
        if !self.spare_ready() {
            return None;
        }
        let spare = self.lock().spare.take();
        self.spare_ready.store(false, Ordering::Relaxed);
        spare
    }

    /// Puts back a file that could not be begun.
    pub(in crate::report) fn return_spare(&self, spare: (u64, File)) {
        self.lock().spare = Some(spare);
        self.spare_ready.store(true, Ordering::Relaxed);
    }

    /// From now on, this file is written; its header is.
    pub(in crate::report) fn begin(&self, number: u64, file: Arc<File>) {
        let mut files = self.lock();
        files.numbers.insert(number);
        if let Some((_, full)) = files.open.replace((number, file)) {
            files.to_sync.push(full);
        }
        self.offset.store(HEADER_BYTES, Ordering::Release);
    }

    /// So much of the file that is written now is with the operating system.
    pub(in crate::report) fn wrote(&self, offset: u64, sequence: u64) {
        self.offset.store(offset, Ordering::Release);
        self.written.store(sequence, Ordering::Release);
    }

    /// Puts everything on the disk that was written so far. Returns whether that was anything.
    pub(in crate::report) fn sync(&self) -> io::Result<bool> {
        let (full, open, reach) = {
            let files = self.lock();
            // Under the lock, the offset is that of the file that is open.
            let offset = self.offset.load(Ordering::Acquire);
            let Some((segment, file)) = &files.open else { return Ok(false) };
            let reach = Reach { segment: *segment, offset };
            if reach == files.synced {
                return Ok(false);
            }
            (files.to_sync.clone(), Arc::clone(file), reach)
        };
        for file in &full {
            file.sync_data()?;
        }
        open.sync_data()?;
        let mut files = self.lock();
        files.to_sync.retain(|file| !full.iter().any(|synced| Arc::ptr_eq(synced, file)));
        files.synced = reach;
        Ok(true)
    }

    /// How far a power cut would leave the files.
    pub(in crate::report) fn synced(&self) -> Reach {
        self.lock().synced
    }

    /// How far a crash of the process would leave them.
    pub(in crate::report) fn committed(&self) -> Reach {
        let files = self.lock();
        let offset = self.offset.load(Ordering::Acquire);
        files.open.as_ref().map_or(files.synced, |(segment, _)| Reach { segment: *segment, offset })
    }

    /// The first file with entries at or after `number`.
    pub(in crate::report) fn first_from(&self, number: u64) -> Option<u64> {
        self.lock().numbers.range(number..).next().copied()
    }

    /// Everything up to this entry is acknowledged, and durably so: files before `segment` go.
    pub(in crate::report) fn acknowledge(&self, sequence: u64, segment: u64) {
        self.acknowledged.fetch_max(sequence, Ordering::AcqRel);
        let gone = {
            let mut files = self.lock();
            let kept = files.numbers.split_off(&segment);
            std::mem::replace(&mut files.numbers, kept)
        };
        for number in gone {
            if let Err(error) = fs::remove_file(segment::path(&self.folder, number)) {
                tracing::warn!(partition = self.name, number, %error, "a file of the spool cannot be removed");
            }
        }
    }

    /// Whether there is a file that is not needed any more once everything before `segment` is acknowledged.
    pub(in crate::report) fn holds_before(&self, segment: u64) -> bool {
        self.lock().numbers.first().is_some_and(|first| *first < segment)
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
