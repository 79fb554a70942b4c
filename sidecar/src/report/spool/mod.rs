//! The spool: files under `stateDir/spool`, a folder for each lane, that hold records until the control plane has them.
//!
//! A record is written before any caller sees the end of its call, so that a crash of the process loses none; a thread off the
//! path (`chapar-spool`) puts what was written on the disk every `spool.syncIntervalMs` and keeps the next file of every lane
//! ready. What is exported is read back from the files, and only as far as a power cut would leave it: a number in the chain
//! is never given to two entries.

mod aside;
mod facts;
mod recover;
mod segment;
mod shelf;
mod slots;

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use chapar_core::record::chain::ChainId;
use thiserror::Error;
use tokio::sync::Notify;

pub(super) use self::{
    aside::put as set_aside,
    facts::{Missing, Position},
    segment::{HEADER_BYTES, Header, path as segment_path},
    shelf::{Reach, Shelf},
    slots::Slots,
};
use super::{lane::Lane, tail::Tail};
use crate::{clock::Clock, config};

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

/// All lanes, and what they share.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    config: config::Spool,
    segment_bytes: u64,
    pub(super) clock: Clock,
    lanes: Mutex<Lanes>,
    keeper: OnceLock<Thread>,
    /// Told when more can be exported.
    pub(super) more: Notify,
    pub(super) lost: AtomicU64,
    pub(super) damaged: AtomicU64,
    /// How old the oldest record of the last export was when it was acknowledged, in ms.
    pub(super) lag_ms: AtomicI64,
}

#[derive(Debug, Default)]
struct Lanes {
    shelves: Vec<Arc<Shelf>>,
    /// What the exporter takes over.
    tails: Vec<Tail>,
    /// How many have a writer.
    taken: usize,
    /// What a lane without a writer yet has lost before.
    losses: Vec<Option<(Missing, Slots<Missing>)>>,
}

impl Spool {
    /// Opens what is there, and keeps it until the last reference goes.
    pub(super) fn open(folder: &Path, config: config::Spool, lanes_max: usize, clock: Clock) -> Result<Arc<Self>, SpoolError> {
        let spool = Self::found(folder, config, lanes_max, clock)?;
        spool.keep_by_a_thread().map_err(|source| SpoolError { path: folder.to_owned(), source })?;
        Ok(spool)
    }

    /// Opens what is there; nobody keeps it yet.
    pub(super) fn found(folder: &Path, config: config::Spool, lanes_max: usize, clock: Clock) -> Result<Arc<Self>, SpoolError> {
        let failed = |source| SpoolError { path: folder.to_owned(), source };
        let spool = Arc::new(Self {
            folder: folder.to_owned(),
            segment_bytes: config.segment_bytes_among(lanes_max),
            config,
            clock,
            lanes: Mutex::default(),
            keeper: OnceLock::new(),
            more: Notify::new(),
            lost: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            lag_ms: AtomicI64::new(0),
        });
        make_folder(folder).map_err(failed)?;
        let mut number = 0;
        while spool.lane_folder(number).is_dir() {
            spool.open_lane(number).map_err(failed)?;
            number += 1;
        }
        Ok(spool)
    }

    /// The next lane without a writer.
    pub(super) fn lane(self: &Arc<Self>) -> Result<Lane, SpoolError> {
        let failed = |source| SpoolError { path: self.folder.clone(), source };
        let number = {
            let mut lanes = self.lanes();
            lanes.taken += 1;
            lanes.taken - 1
        };
        if number >= self.lanes().shelves.len() {
            make_folder(&self.lane_folder(number)).map_err(failed)?;
            self.open_lane(number).map_err(failed)?;
        }
        let (shelf, losses) = {
            let mut lanes = self.lanes();
            let losses = lanes.losses.get_mut(number).and_then(Option::take);
            (lanes.shelves.get(number).cloned(), losses)
        };
        let (Some(shelf), Some((missing, losses))) = (shelf, losses) else {
            return Err(failed(io::Error::other("a lane was taken twice")));
        };
        if let Err(error) = self.provide_spare(&shelf) {
            // The sidecar starts all the same: it refuses or counts, as it would had the disk filled up later.
            tracing::error!(lane = shelf.name(), %error, "the spool has no room");
        }
        Ok(Lane::new(Arc::clone(self), shelf, self.config.when_full, missing, losses))
    }

    /// The readers of all lanes, for the one who exports.
    pub(super) fn take_tails(&self) -> Vec<Tail> {
        std::mem::take(&mut self.lanes().tails)
    }

    /// The files of each lane.
    pub(super) fn shelves(&self) -> Vec<Arc<Shelf>> {
        self.lanes().shelves.clone()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts everything that was written on the disk, now.
    pub(super) fn sync(&self) {
        let mut any = false;
        for shelf in self.shelves() {
            match shelf.sync() {
                Ok(synced) => any |= synced,
                Err(error) => tracing::error!(lane = shelf.name(), %error, "the spool cannot be put on the disk"),
            }
        }
        if any {
            self.more.notify_one();
        }
    }

    /// Lets the keeper see at once that there is room again.
    pub(super) fn wake_keeper(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
    }

    pub(super) fn depth(&self) -> u64 {
        self.shelves().iter().map(|shelf| shelf.depth()).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.shelves().iter().map(|shelf| shelf.bytes()).sum()
    }

    pub(super) fn count_lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    fn lane_folder(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number:03}"))
    }

    fn open_lane(&self, number: usize) -> io::Result<()> {
        let folder = self.lane_folder(number);
        let found = recover::lane(&folder, ChainId(rand::random()))?;
        let numbers = &found.numbers;
        let shelf = Arc::new(Shelf::new(folder, self.segment_bytes, numbers, found.last, found.position.sequence));
        let tail = Tail::new(Arc::clone(&shelf), found.position, Some(found.positions));
        let mut lanes = self.lanes();
        lanes.shelves.push(shelf);
        lanes.tails.push(tail);
        lanes.losses.push(Some((found.missing, found.losses)));
        Ok(())
    }

    /// Makes the next file of `shelf`, unless it is there.
    ///
    /// # Errors
    /// When `spool.bytesMax` is reached, or the disk takes no more.
    pub(super) fn provide_spare(&self, shelf: &Shelf) -> io::Result<()> {
        if shelf.spare_ready() {
            return Ok(());
        }
        let segments: u64 = self.shelves().iter().map(|shelf| shelf.segments()).sum();
        if (segments + 1) * self.segment_bytes > self.config.bytes_max {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "spool.bytesMax is reached"));
        }
        shelf.provide_spare()
    }

    fn keep_by_a_thread(self: &Arc<Self>) -> io::Result<()> {
        let (spool, interval) = (Arc::downgrade(self), self.config.sync_interval());
        let thread = thread::Builder::new().name("chapar-spool".to_owned()).spawn(move || {
            let mut without_room = WithoutRoom::default();
            let mut sync_at = Instant::now();
            while let Some(spool) = spool.upgrade() {
                // First: while a busy disk takes its time, a lane would have to make its next file itself.
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
        let (shelves, taken) = {
            let lanes = self.lanes();
            (lanes.shelves.clone(), lanes.taken)
        };
        let result = shelves.iter().take(taken).try_for_each(|shelf| self.provide_spare(shelf));
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

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
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
