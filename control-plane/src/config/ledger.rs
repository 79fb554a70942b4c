//! How much of what happened is kept, and for how long.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::forward::Forward;

/// Bounds of the ledger: records leave by age, or the oldest first when there are too many.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ledger {
    /// Days that a call's record is kept. Default 90.
    pub retention_days: u32,
    /// The same for single kinds of inquiries (verification, data, push, broadcast, bulk). Default: as all others.
    pub retention_days_by_kind: BTreeMap<String, u32>,
    /// Spans that are kept at most; a call has two. Default 50 million.
    pub spans_max: u64,
    /// Size of the ledger's file at most, in bytes; beyond it the oldest leave. Default 64 GiB.
    pub bytes_max: u64,
    /// Seconds after which a call that only one side has reported counts as unpaired. Default 60.
    pub pairing_grace_s: u32,
    /// Days after which data subjects are hashed with new keys. Default 90: a year's search then tries five keys a pair of agencies.
    pub subject_key_days: u32,
    /// Collector that spans are forwarded to. Unset: none.
    pub forward: Option<Forward>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            retention_days: 90,
            retention_days_by_kind: BTreeMap::new(),
            spans_max: 50_000_000,
            bytes_max: 64 * 1024 * 1024 * 1024,
            pairing_grace_s: 60,
            subject_key_days: 90,
            forward: None,
        }
    }
}

impl Ledger {
    /// Days that the record of any kind is kept at most.
    #[must_use]
    pub fn retention_days_max(&self) -> u32 {
        self.retention_days_by_kind.values().copied().fold(self.retention_days, u32::max)
    }

    /// How old the keys that data subjects are hashed with get, where snapshots are good for so long.
    #[must_use]
    pub fn subject_key_ages(&self, snapshot_valid_for: Duration) -> SubjectKeyAges {
        let (rotated_after_days, kept_days) = (self.subject_key_days, self.retention_days_max());
        SubjectKeyAges { rotated_after_days, kept_days, snapshot_valid_for }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.retention_days == 0 || self.spans_max == 0 || self.bytes_max == 0 || self.subject_key_days == 0 {
            let told = "ledger.retentionDays, ledger.spansMax, ledger.bytesMax and ledger.subjectKeyDays must be at least 1";
            return Err(told.to_owned());
        }
        const KINDS: [&str; 5] = ["verification", "data", "push", "broadcast", "bulk"];
        for (kind, days) in &self.retention_days_by_kind {
            if !KINDS.contains(&kind.as_str()) || *days == 0 {
                return Err(format!(
                    "ledger.retentionDaysByKind: {kind}: {days} must be a kind ({}) with at least 1 day",
                    KINDS.join(", ")
                ));
            }
        }
        self.forward.as_ref().map_or(Ok(()), Forward::check)
    }
}

/// How old the keys get that data subjects are hashed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectKeyAges {
    /// Days after which a new key takes over.
    pub rotated_after_days: u32,
    /// Days that a key is kept after its successor took over: as long as records are.
    pub kept_days: u32,
    /// How long a sidecar goes on with what it knows.
    pub snapshot_valid_for: Duration,
}
