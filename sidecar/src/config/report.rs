//! How records of calls leave for the control plane.

use std::time::Duration;

use serde::Deserialize;

/// What `batch_records_max` may be at most.
const BATCH_RECORDS_LIMIT: usize = 4_095;
/// What `batch_bytes_max` may be at most. A checkpoint comes on top.
const BATCH_BYTES_LIMIT: usize = 3 * 1024 * 1024;

/// Limits of the batches in which call records leave.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Report {
    /// Records in one export. Default 4,000; at most 4,095, since the control plane takes 4,096 spans with the checkpoint among them.
    pub batch_records_max: usize,
    /// Bytes in one export, uncompressed. Default 1 MiB, at most 3 MiB: gRPC servers take 4 MiB by default.
    pub batch_bytes_max: usize,
    /// How long a record may wait for others to share an export, in milliseconds. Default 1,000: seldom and much costs
    /// calls less than often and little.
    pub batch_delay_ms: u32,
    /// Whether exports are compressed with gzip: a tenth of the bytes for some CPU. Default false: most control planes are
    /// near.
    pub gzip: bool,
    /// How long the last export may take when the sidecar stops, in milliseconds; what is left stays in the spool. Default
    /// 5,000.
    pub flush_timeout_ms: u32,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            batch_records_max: 4_000,
            batch_bytes_max: 1024 * 1024,
            batch_delay_ms: 1_000,
            gzip: false,
            flush_timeout_ms: 5_000,
        }
    }
}

impl Report {
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let counts = [
            ("batchRecordsMax", self.batch_records_max, BATCH_RECORDS_LIMIT),
            ("batchBytesMax", self.batch_bytes_max, BATCH_BYTES_LIMIT),
        ];
        match counts.iter().find(|(_, count, limit)| !(1..=*limit).contains(count)) {
            Some((field, _, limit)) => Err((format!("report.{field}"), format!("must be from 1 to {limit}"))),
            None => Ok(()),
        }
    }

    /// See `batch_delay_ms`.
    #[must_use]
    pub const fn batch_delay(&self) -> Duration {
        Duration::from_millis(self.batch_delay_ms as u64)
    }

    /// See `flush_timeout_ms`.
    #[must_use]
    pub const fn flush_timeout(&self) -> Duration {
        Duration::from_millis(self.flush_timeout_ms as u64)
    }
}
