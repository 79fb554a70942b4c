//! Generations of roots and issuing CAs.

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use crate::store::error::StoreError;

/// Root or issuing CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationKind {
    /// Certifies issuing CAs.
    Root,
    /// Certifies sidecars, admins and the control plane.
    Issuing,
}

/// Where a generation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationState {
    /// Trusted, not yet issuing.
    Prepared,
    /// Issuing.
    Active,
    /// Trusted, no longer issuing.
    Superseded,
    /// No longer trusted.
    Retired,
}

/// One root or issuing CA.
#[derive(Clone, Debug)]
pub struct Generation {
    /// "root-1", "issuing-1" …
    pub name: String,
    /// Root or issuing CA.
    pub kind: GenerationKind,
    /// Where it is in its life.
    pub state: GenerationState,
    /// An issuing CA's root; a root's predecessor.
    pub parent: Option<String>,
    /// DER.
    pub certificate: Vec<u8>,
    /// A root's key certified by its predecessor.
    pub cross_certificate: Option<Vec<u8>>,
    /// Lowercase hex.
    pub serial: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// When it was retired or revoked. `None`: it is trusted.
    pub retired_at: Option<Timestamp>,
    /// Why it was revoked with everything under it. `None`: it was not.
    pub revocation: Option<String>,
}

/// A rotation of the root that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootRotationRow {
    /// Name of the new root.
    pub root: String,
    /// Who asked, as in the audit.
    pub asked_by: String,
    /// Who agreed, where two are asked for.
    pub second: Option<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub asked_at: Timestamp,
    /// Distribution revision that carries the new root to the sidecars.
    pub revision: u64,
}

impl GenerationKind {
    /// As stored, and as names begin.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
        }
    }
}

impl GenerationState {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Superseded => "superseded",
            Self::Retired => "retired",
        }
    }
}

/// Reading generations.
#[async_trait]
pub trait ReadGenerations {
    /// All of them, the oldest first.
    async fn generations(&mut self) -> Result<Vec<Generation>, StoreError>;

    /// The number that the next one of this kind gets.
    async fn next_generation_number(&mut self, kind: GenerationKind) -> Result<i64, StoreError>;

    /// The rotation of the root that was asked for last.
    async fn newest_root_rotation(&mut self) -> Result<Option<RootRotationRow>, StoreError>;
}

/// Writing generations.
#[async_trait]
pub trait WriteGenerations {
    /// Keeps a new one.
    async fn insert_generation(&mut self, generation: &Generation, number: i64, now: Timestamp) -> Result<(), StoreError>;

    /// Moves whatever is active of this kind to superseded.
    async fn supersede_active_generation(&mut self, kind: GenerationKind) -> Result<(), StoreError>;

    /// Moves one to another state.
    async fn move_generation(&mut self, name: &str, state: GenerationState, now: Timestamp) -> Result<(), StoreError>;

    /// Says why one that is no longer trusted was revoked.
    async fn explain_revocation(&mut self, name: &str, reason: &str) -> Result<(), StoreError>;

    /// Keeps that a rotation of the root was asked for.
    async fn insert_root_rotation(&mut self, rotation: &RootRotationRow) -> Result<(), StoreError>;
}
