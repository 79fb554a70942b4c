//! The partitions of a spool, one for each writer, and the thread that keeps their files (`chapar-spool`).

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use chapar_core::record::chain::ChainId;
use chapar_daemon::vital::{Running, Vital};
use thiserror::Error;
use tokio::sync::Notify;

use super::{facts::Missing, reader::SpoolReader, recover, segments::Segments, slots::Slots};
use crate::{
    clock::Clock,
    config::{self, WhenFull},
};

/// How long the keeper waits before it tries again to make a file.
const RETRY: Duration = Duration::from_millis(500);

/// Why records cannot be kept; the sidecar's operator must act.
#[derive(Debug, Error)]
#[error("the spool {} cannot be used", path.display())]
pub struct SpoolError {
    /// The folder.
    path: PathBuf,
    source: io::Error,
}

/// All partitions, and what they share.
#[derive(Debug)]
pub(in crate::report) struct Spool {
    folder: PathBuf,
    config: config::Spool,
    segment_bytes: u64,
    pub(in crate::report) clock: Clock,
    partitions: Mutex<Partitions>,
    keeper: OnceLock<Thread>,
    /// Told when more can be exported.
    pub(in crate::report) more: Notify,
    pub(in crate::report) lost: AtomicU64,
    pub(in crate::report) damaged: AtomicU64,
    /// How old the oldest record of the last export was when it was acknowledged, in ms.
    pub(in crate::report) lag_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct Partitions {
    segments: Vec<Arc<Segments>>,
    /// What the exporter takes over.
    readers: Vec<SpoolReader>,
    /// How many have a writer.
    taken: usize,
    /// What a partition without a writer yet has lost before.
    losses: Vec<Option<(Missing, Slots<Missing>)>>,
}

/// What a writer takes over of its partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) segments: Arc<Segments>,
    pub(super) when_full: WhenFull,
    /// What was lost before, and is told by no record yet.
    pub(super) missing: Missing,
    /// Where that is kept.
    pub(super) losses: Slots<Missing>,
}

impl Spool {
    /// Opens what is there, and keeps it until the last reference goes.
    pub(in crate::report) fn open(
        folder: &Path,
        config: config::Spool,
        writers_max: usize,
        clock: Clock,
        vital: &Vital,
    ) -> Result<Arc<Self>, SpoolError> {
        let spool = Self::found(folder, config, writers_max, clock)?;
        spool
            .start_keeper(vital.running("the keeping of the spool"))
            .map_err(|source| SpoolError { path: folder.to_owned(), source })?;
        Ok(spool)
    }

    /// Opens what is there; nobody keeps it yet.
    pub(in crate::report) fn found(
        folder: &Path,
        config: config::Spool,
        writers_max: usize,
        clock: Clock,
    ) -> Result<Arc<Self>, SpoolError> {
        let failed = |source| SpoolError { path: folder.to_owned(), source };
        let spool = Arc::new(Self {
            folder: folder.to_owned(),
            segment_bytes: config.segment_bytes_among(writers_max),
            config,
            clock,
            partitions: Mutex::default(),
            keeper: OnceLock::new(),
            more: Notify::new(),
            lost: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            lag_ms: AtomicU64::new(0),
        });
        make_folder(folder).map_err(failed)?;
        let mut number = 0;
        while spool.partition_folder(number).is_dir() {
            spool.open_partition(number).map_err(failed)?;
            number += 1;
        }
        Ok(spool)
    }

    /// The next partition without a writer, for whoever writes it from now on.
    ///
    /// # Errors
    /// When its files cannot be made or read.
    pub(super) fn take_partition(&self) -> Result<Partition, SpoolError> {
        let failed = |source| SpoolError { path: self.folder.clone(), source };
        let number = {
            let mut partitions = self.partitions();
            partitions.taken += 1;
            partitions.taken - 1
        };
        if number >= self.partitions().segments.len() {
            make_folder(&self.partition_folder(number)).map_err(failed)?;
            self.open_partition(number).map_err(failed)?;
        }
        let (segments, losses) = {
            let mut partitions = self.partitions();
            let losses = partitions.losses.get_mut(number).and_then(Option::take);
            (partitions.segments.get(number).cloned(), losses)
        };
        let (Some(segments), Some((missing, losses))) = (segments, losses) else {
            return Err(failed(io::Error::other("a partition was taken twice")));
        };
        if let Err(error) = self.provide_spare(&segments) {
            // The sidecar starts all the same: it refuses or counts, as it would had the disk filled up later.
            tracing::error!(partition = segments.name(), %error, "the spool has no room");
        }
        Ok(Partition { segments, when_full: self.config.when_full, missing, losses })
    }

    /// The readers of all partitions, for the one who exports.
    pub(in crate::report) fn take_readers(&self) -> Vec<SpoolReader> {
        std::mem::take(&mut self.partitions().readers)
    }

    /// The files of each partition.
    pub(in crate::report) fn segments(&self) -> Vec<Arc<Segments>> {
        self.partitions().segments.clone()
    }

    pub(in crate::report) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts everything that was written on the disk, now.
    pub(in crate::report) fn sync(&self) {
        let mut any = false;
        for segments in self.segments() {
            match segments.sync() {
                Ok(synced) => any |= synced,
                Err(error) => tracing::error!(partition = segments.name(), %error, "the spool cannot be put on the disk"),
            }
        }
        if any {
            self.more.notify_one();
        }
    }

    /// Lets the keeper see at once that there is room again.
    pub(in crate::report) fn wake_keeper(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
    }

    pub(in crate::report) fn depth(&self) -> u64 {
        self.segments().iter().map(|segments| segments.depth()).sum()
    }

    pub(in crate::report) fn bytes(&self) -> u64 {
        self.segments().iter().map(|segments| segments.bytes()).sum()
    }

    pub(in crate::report) fn count_lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    fn partition_folder(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number:03}"))
    }

    fn open_partition(&self, number: usize) -> io::Result<()> {
        let folder = self.partition_folder(number);
        let found = recover::partition(&folder, ChainId(rand::random()))?;
        let numbers = &found.numbers;
        let segments = Arc::new(Segments::new(folder, self.segment_bytes, numbers, found.last, found.position.sequence));
        let reader = SpoolReader::new(Arc::clone(&segments), found.position, Some(found.positions));
        let mut partitions = self.partitions();
        partitions.segments.push(segments);
        partitions.readers.push(reader);
        partitions.losses.push(Some((found.missing, found.losses)));
        Ok(())
    }

    /// Makes the next file of `segments`, unless it is there.
    ///
    /// # Errors
    /// When `spool.bytesMax` is reached, or the disk takes no more.
    pub(in crate::report) fn provide_spare(&self, segments: &Segments) -> io::Result<()> {
        if segments.spare_ready() {
            return Ok(());
        }
        let files: u64 = self.segments().iter().map(|segments| segments.files()).sum();
        if (files + 1) * self.segment_bytes > self.config.bytes_max {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "spool.bytesMax is reached"));
        }
        segments.provide_spare()
    }

    fn start_keeper(self: &Arc<Self>, running: Running) -> io::Result<()> {
        let (spool, interval) = (Arc::downgrade(self), self.config.sync_interval());
        let thread = thread::Builder::new().name("chapar-spool".to_owned()).spawn(move || {
            let _running = running;
            let mut without_room = WithoutRoom::default();
            let mut sync_at = Instant::now();
            while let Some(spool) = spool.upgrade() {
                // First: while a busy disk takes its time, a partition would have to make its next file itself.
                spool.provide_spares(&mut without_room);
                // It is also woken in between, to see to files only.
                if Instant::now() >= sync_at {
                    spool.sync();
                    sync_at = Instant::now() + interval;
                }
                drop(spool);
                thread::park_timeout(sync_at.saturating_duration_since(Instant::now()));
            }
        })?;
        // It is set here only.
        let _ = self.keeper.set(thread.thread().clone());
        Ok(())
    }

    fn provide_spares(&self, without_room: &mut WithoutRoom) {
        if without_room.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let (segments, taken) = {
            let partitions = self.partitions();
            (partitions.segments.clone(), partitions.taken)
        };
        let result = segments.iter().take(taken).try_for_each(|segments| self.provide_spare(segments));
        match result {
            Ok(()) if without_room.retry_at.take().is_some() => tracing::info!("the spool has room again"),
            Ok(()) => {}
            Err(error) => {
                if without_room.retry_at.is_none() {
                    let waiting = self.depth();
                    tracing::error!(%error, waiting, "the spool has no room for another file; it is full when this one is");
                }
                without_room.retry_at = Some(Instant::now() + RETRY);
            }
        }
    }

    fn partitions(&self) -> MutexGuard<'_, Partitions> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since when the keeper could not make a file: told once.
#[derive(Debug, Default)]
struct WithoutRoom {
    retry_at: Option<Instant>,
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The name itself must outlast a power cut.
    folder.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}
