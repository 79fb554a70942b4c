//! The account of calls: from the thread that carried them, through files that outlive the process, to the control plane.

mod evidence;
mod export;
mod send;
mod span;
mod spans;
mod spool;
mod wire;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use chapar_core::{
    record::{self, CallRecord, ChainEntry},
    time::Timestamp,
};
use chapar_daemon::vital::Vital;

use self::spool::{Spool, SpoolReader};
pub use self::{
    export::Exporter,
    span::Origin,
    spool::{SpoolError, SpoolWriter},
};
use crate::{clock::Clock, config};

/// Where records of calls are kept until they are exported. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reporter {
    spool: Arc<Spool>,
    onlookers: Arc<Mutex<Vec<SpoolReader>>>,
}

/// One record that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept(Box<[u8]>);

impl Kept {
    /// What it says.
    ///
    /// # Panics
    /// Never: only what was read as a record is kept.
    #[must_use]
    pub fn record(&self) -> CallRecord<'_> {
        record::decode(&self.0).expect("it was read before")
    }
}

/// How the account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Records that wait for the control plane.
    pub records: u64,
    /// Bytes of the files that hold them.
    pub bytes: u64,
    /// When the oldest that waits was begun; `None` when none waits, or none was looked at yet.
    pub oldest_at: Option<Timestamp>,
    /// How old the oldest record of the last export was when it was acknowledged.
    pub lag: Duration,
    /// Records that were lost since the start: there was no room, or the control plane refused them.
    pub lost: u64,
    /// Records that could not be read back.
    pub damaged: u64,
}

impl Reporter {
    /// Opens the spool in `folder`, made if it is not there, with whatever an earlier process left in it. It is shared out
    /// among as many partitions as there are `workers`.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(folder: &Path, config: config::Spool, workers: usize, clock: Clock, vital: &Vital) -> Result<Self, SpoolError> {
        let spool = Spool::open(folder, config, workers, clock, vital)?;
        Ok(Self { spool, onlookers: Arc::default() })
    }

    /// A writer with files of its own for whoever puts calls on record: one for each thread that carries calls.
    ///
    /// # Errors
    /// When its files cannot be made or read.
    pub fn writer(&self) -> Result<SpoolWriter, SpoolError> {
        SpoolWriter::open(&self.spool)
    }

    /// Puts everything that was committed on the disk, without waiting for the next time that it would.
    pub fn sync(&self) {
        self.spool.sync();
    }

    /// How many records wait for their export.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.spool.depth()
    }

    /// How many records were lost since the start, because there was no room or the control plane refused them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.spool.lost.load(Ordering::Relaxed)
    }

    /// How the account stands.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        let records = self.depth();
        let oldest_at = self.spool.segments().iter().filter_map(|segments| segments.oldest_at()).min();
        SpoolStatus {
            records,
            bytes: self.spool.bytes(),
            oldest_at: oldest_at.filter(|_| records > 0),
            lag: Duration::from_millis(self.spool.lag_ms.load(Ordering::Relaxed)),
            lost: self.lost(),
            damaged: self.spool.damaged.load(Ordering::Relaxed),
        }
    }

    /// The oldest committed records that this was not asked for before, at most `records_max`: for tests of what was
    /// recorded, where nothing exports. Nothing is acknowledged by it.
    #[must_use]
    pub fn take(&self, records_max: usize) -> Vec<Kept> {
        let mut onlookers = self.onlookers.lock().unwrap_or_else(PoisonError::into_inner);
        onlookers.extend(self.spool.take_readers().iter().map(SpoolReader::onlooker));
        let mut kept = Vec::new();
        for reader in onlookers.iter_mut() {
            let reach = reader.segments().committed();
            let seen = reader.next(reach, self.spool.folder(), |numbered| {
                let room = kept.len() < records_max;
                if room && matches!(numbered.entry, ChainEntry::Call(_)) {
                    kept.push(Kept(numbered.canonical.into()));
                }
                room
            });
            let passed = seen.and_then(|batch| batch.map_or(Ok(()), |batch| reader.acknowledge(batch.after)));
            if let Err(error) = passed {
                tracing::error!(%error, "the spool cannot be read");
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests;
