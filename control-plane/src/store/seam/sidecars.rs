//! Sidecars that were ever connected.

use async_trait::async_trait;

use crate::store::error::StoreError;

/// What is known of a sidecar from its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarRow {
    /// Its identity.
    pub spiffe_id: String,
    /// Whose it is.
    pub agency: String,
    /// When it connected, or left, last; Unix milliseconds.
    pub seen_at_ms: i64,
    /// What it says of itself.
    pub software_version: String,
    /// Revision of the snapshot that it was sent last.
    pub sent_revision: u64,
    /// Distribution revision that it holds.
    pub acknowledged_revision: u64,
    /// Of the policy in the snapshot that it acknowledged last.
    pub policy_version: u64,
    /// Why it refused the last snapshot; empty when it did not.
    pub problem: String,
}

/// Reading sidecars.
#[async_trait]
pub trait ReadSidecars {
    /// Everyone that was ever connected.
    async fn sidecars(&mut self) -> Result<Vec<SidecarRow>, StoreError>;
}

/// Writing sidecars.
#[async_trait]
pub trait WriteSidecars {
    /// What is known of this one is now so.
    async fn put_sidecar(&mut self, sidecar: &SidecarRow) -> Result<(), StoreError>;
}
