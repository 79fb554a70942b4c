//! How much of what happened is kept.

use serde::Deserialize;

/// Bounds of the ledger: records leave by age, or the oldest first when there are too many.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ledger {
    /// Days that a call's record is kept. Default 90.
    pub retention_days: u32,
    /// Spans that are kept at most; a call has two, of about one KiB each with its indexes. Default 50 million.
    pub spans_max: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { retention_days: 90, spans_max: 50_000_000 }
    }
}

impl Ledger {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.retention_days == 0 || self.spans_max == 0 {
            return Err("ledger.retentionDays and ledger.spansMax must be at least 1".to_owned());
        }
        Ok(())
    }
}
