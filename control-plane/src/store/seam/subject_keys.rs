//! Keys that data subjects' IDs are hashed with.

use async_trait::async_trait;
use chapar_core::{subject::SubjectKey, time::Timestamp};

use crate::store::error::StoreError;

/// Reading keys.
#[async_trait]
pub trait ReadSubjectKeys {
    /// The key in force.
    async fn newest_subject_key(&mut self) -> Result<Option<SubjectKey>, StoreError>;

    /// When the key in force was made.
    async fn newest_subject_key_made_at(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// Every key, the newest first.
    async fn subject_keys(&mut self) -> Result<Vec<SubjectKey>, StoreError>;

    /// Numbers of the keys whose successor was made before then.
    async fn subject_keys_succeeded_before(&mut self, before: Timestamp) -> Result<Vec<u32>, StoreError>;
}

/// Writing keys.
#[async_trait]
pub trait WriteSubjectKeys {
    /// Keeps a new key; answers its number, which none had before.
    async fn insert_subject_key(&mut self, key: &[u8], now: Timestamp) -> Result<u32, StoreError>;

    /// Removes a key for good.
    async fn delete_subject_key(&mut self, id: u32) -> Result<(), StoreError>;
}
