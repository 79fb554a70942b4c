//! How long sidecars may go on without the control plane.

use serde::Deserialize;

/// Validity and freshness of the snapshots that sidecars decide with.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Snapshot {
    /// Seconds that a snapshot may be used for without a newer one. Default a day.
    pub valid_for_s: u32,
    /// Seconds between two fresh manifests to a connected sidecar when nothing changes. Default 60.
    pub refresh_s: u32,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { valid_for_s: 86_400, refresh_s: 60 }
    }
}

impl Snapshot {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.refresh_s == 0 || self.valid_for_s <= self.refresh_s {
            return Err(format!(
                "snapshot.validForS ({}) must be longer than snapshot.refreshS ({}), and that at least 1",
                self.valid_for_s, self.refresh_s
            ));
        }
        Ok(())
    }
}
