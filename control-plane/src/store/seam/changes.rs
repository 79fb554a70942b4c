//! Changes that wait for a second person.

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use crate::store::error::StoreError;

/// A change as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// 1, 2, 3 … in the order of asking; 0 before it is kept.
    pub id: u64,
    /// What four eyes are demanded for.
    pub guard: String,
    /// Of the admin API, such as "PolicyService/Apply".
    pub method: String,
    /// The request's message.
    pub request: Vec<u8>,
    /// Over what of it must be the same when it is asked again.
    pub digest: Vec<u8>,
    /// As in the audit.
    pub proposed_by: String,
    /// Who vouches for the person behind it.
    pub proposed_person: Option<String>,
    /// When it was asked.
    pub proposed_at: Timestamp,
    /// When it is void.
    pub expires_at: Timestamp,
    /// The second person, as in the audit. `None`: it waits.
    pub decided_by: Option<String>,
    /// Whether the second person agreed.
    pub approved: bool,
    /// When it was carried out. `None`: it was not, or failed.
    pub used_at: Option<Timestamp>,
}

/// Reading changes.
#[async_trait]
pub trait ReadChanges {
    /// The one with this number.
    async fn change(&mut self, id: u64) -> Result<Option<ChangeRow>, StoreError>;

    /// Those that are neither void nor carried out nor refused, the newest first; at most `limit`.
    async fn changes_open(&mut self, now: Timestamp, limit: i64) -> Result<Vec<ChangeRow>, StoreError>;
}

/// Writing changes.
#[async_trait]
pub trait WriteChanges {
    /// Keeps a new one; answers its number.
    async fn insert_change(&mut self, change: &ChangeRow) -> Result<u64, StoreError>;

    /// Keeps what the second person said.
    async fn decide_change(&mut self, id: u64, by: &str, approved: bool, now: Timestamp) -> Result<(), StoreError>;

    /// Marks it carried out; `None`: it failed, and may be tried again.
    async fn use_change(&mut self, id: u64, at: Option<Timestamp>) -> Result<(), StoreError>;
}
