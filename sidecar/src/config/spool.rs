//! How records of calls are kept until the control plane has them.

use std::time::Duration;

use serde::Deserialize;

/// The spool: files under `stateDir/spool` that records are in before any caller sees the end of its call.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Spool {
    /// Most bytes that it takes on the disk. Default 1 GiB: some three million records, eight hours at 100 calls a second.
    pub bytes_max: u64,
    /// Bytes of one file of it. The disk is asked for them before they are needed, so that a call that runs is never without
    /// a place in the account; two files for each worker thread are always there. Default 8 MiB; less where `bytesMax` has no
    /// room for four files a worker.
    pub segment_bytes: u64,
    /// How long a record may be in the operating system's memory only, in milliseconds: a crash of the process loses none, a
    /// power cut may lose this much. Default 200, as databases that commit in groups have it: `sidecar/docs/0004-account-of-calls.md` has what
    /// other values cost.
    pub sync_interval_ms: u32,
    /// What becomes of new calls when the spool is full or cannot be written. Default `refuse`.
    pub when_full: WhenFull,
}

/// What becomes of calls that could not be put on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenFull {
    /// They are refused (`RECORDS_FULL`), until there is room again.
    Refuse,
    /// They are carried, and counted: the loss itself goes on record as soon as there is room.
    Count,
}

impl Default for Spool {
    fn default() -> Self {
        Self { bytes_max: 1024 * 1024 * 1024, segment_bytes: 8 * 1024 * 1024, sync_interval_ms: 200, when_full: WhenFull::Refuse }
    }
}

/// Least bytes of one file: some two hundred records.
const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// Files that each writer must have room for: one that is written, one that stands ready, one that is exported, one to spare.
const SEGMENTS_PER_WRITER: u64 = 4;

impl Spool {
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let wrong = |field: &str, problem: String| Err((format!("spool.{field}"), problem));
        if self.segment_bytes < SEGMENT_BYTES_MIN {
            return wrong("segmentBytes", format!("must be {SEGMENT_BYTES_MIN} or more"));
        }
        let least = SEGMENT_BYTES_MIN * SEGMENTS_PER_WRITER;
        if self.bytes_max < least {
            return wrong("bytesMax", format!("must be {least} or more"));
        }
        if self.sync_interval_ms == 0 {
            return wrong("syncIntervalMs", "must be more than 0".to_owned());
        }
        Ok(())
    }

    /// Bytes of one file, where this many writers share the spool.
    #[must_use]
    pub fn segment_bytes_among(&self, writers: usize) -> u64 {
        let share = self.bytes_max / (SEGMENTS_PER_WRITER * writers.max(1) as u64);
        self.segment_bytes.min(share).max(SEGMENT_BYTES_MIN)
    }

    /// See `sync_interval_ms`.
    #[must_use]
    pub const fn sync_interval(&self) -> Duration {
        Duration::from_millis(self.sync_interval_ms as u64)
    }
}
