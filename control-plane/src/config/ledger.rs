//! How much of what happened is kept.

use serde::Deserialize;

use crate::subject::keys::Ages;

/// Bounds of the ledger: records leave by age, or the oldest first when there are too many.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ledger {
    /// Days that a call's record is kept. Default 90.
    pub retention_days: u32,
    /// Spans that are kept at most; a call has two, of about one KiB each with its indexes. Default 50 million.
    pub spans_max: u64,
    /// Days after which data subjects are hashed with a new key. Default 30.
    pub subject_key_days: u32,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { retention_days: 90, spans_max: 50_000_000, subject_key_days: 30 }
    }
}

impl Ledger {
    /// How old the keys that data subjects are hashed with get.
    #[must_use]
    pub fn subject_key_ages(&self) -> Ages {
        Ages { rotated_after_days: self.subject_key_days, kept_days: self.retention_days }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.retention_days == 0 || self.spans_max == 0 || self.subject_key_days == 0 {
            return Err("ledger.retentionDays, ledger.spansMax and ledger.subjectKeyDays must be at least 1".to_owned());
        }
        Ok(())
    }
}
