//! Keys that data subjects' IDs are hashed with.

use async_trait::async_trait;
use chapar_core::subject::SubjectKey;

use crate::store::error::StoreError;

/// Reading keys.
#[async_trait]
pub trait ReadSubjectKeys {
    /// The key in force.
    async fn newest_subject_key(&mut self) -> Result<Option<SubjectKey>, StoreError>;

    /// When the key in force was made, in Unix milliseconds.
    async fn newest_subject_key_made_at_ms(&mut self) -> Result<Option<i64>, StoreError>;

    /// Every key, the newest first.
    async fn subject_keys(&mut self) -> Result<Vec<SubjectKey>, StoreError>;

    /// Numbers of the keys whose successor was made before then.
    async fn subject_keys_succeeded_before(&mut self, before_ms: i64) -> Result<Vec<u32>, StoreError>;
}

/// Writing keys.
#[async_trait]
pub trait WriteSubjectKeys {
    /// Keeps a new key; answers its number, which none had before.
    async fn insert_subject_key(&mut self, key: &[u8], now_ms: i64) -> Result<u32, StoreError>;

    /// Removes a key for good.
    async fn delete_subject_key(&mut self, id: u32) -> Result<(), StoreError>;
}
