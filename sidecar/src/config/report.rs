//! How records of calls leave for the control plane.

use std::time::Duration;

use serde::Deserialize;

/// Limits of the batches in which call records leave.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Report {
    /// Records in one export. Default 1,024.
    pub batch_records_max: usize,
    /// Bytes in one export, uncompressed. Default 1 MiB, a quarter of what gRPC servers take by default.
    pub batch_bytes_max: usize,
    /// How long a record may wait for others to share an export, in milliseconds. Default 200.
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
        Self { batch_records_max: 1_024, batch_bytes_max: 1024 * 1024, batch_delay_ms: 200, gzip: false, flush_timeout_ms: 5_000 }
    }
}

impl Report {
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let counts = [("batchRecordsMax", self.batch_records_max), ("batchBytesMax", self.batch_bytes_max)];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((field, _)) => Err((format!("report.{field}"), "must be more than 0".to_owned())),
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
