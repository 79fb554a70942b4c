//! Keys that data subjects' IDs are hashed with, and the secrets that they are made of.

use std::fmt;

use async_trait::async_trait;
use chapar_core::{subject::KEY_BYTES, time::Timestamp};

use crate::store::error::StoreError;

/// A key, or what keys are made of, under its number.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptSubjectKey {
    /// 1, 2, 3 …; never given twice.
    pub id: u32,
    /// What is to be kept from everybody.
    pub secret: [u8; KEY_BYTES],
    /// When it was made.
    pub made_at: Timestamp,
    /// Calls that begin then or later are hashed with it.
    pub in_force_from: Timestamp,
    /// What it is.
    pub kind: SubjectKeyKind,
}

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKeyKind {
    /// The keys of all pairs of agencies are made of it.
    OfPairs,
    /// It is the one key of all sidecars, from before there were such.
    Shared {
        /// When its last use ended. `None`: sidecars of earlier releases use it.
        ended_at: Option<Timestamp>,
    },
}

impl fmt::Debug for KeptSubjectKey {
    /// The secret itself is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptSubjectKey").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Reading keys.
#[async_trait]
pub trait ReadSubjectKeys {
    /// Every key, in the order of their numbers.
    async fn subject_keys(&mut self) -> Result<Vec<KeptSubjectKey>, StoreError>;
}

/// Writing keys.
#[async_trait]
pub trait WriteSubjectKeys {
    /// Keeps a new secret for the keys of pairs; answers its number, which none had before.
    async fn insert_subject_key(
        &mut self,
        secret: &[u8],
        made_at: Timestamp,
        in_force_from: Timestamp,
    ) -> Result<u32, StoreError>;

    /// Ends the one key of all sidecars. Says whether there was one.
    async fn end_shared_subject_key(&mut self, now: Timestamp) -> Result<bool, StoreError>;

    /// Removes a key for good.
    async fn delete_subject_key(&mut self, id: u32) -> Result<(), StoreError>;
}
