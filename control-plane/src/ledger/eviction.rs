//! What is to be removed from the ledger.

use super::key::CallKey;

/// Which calls are to be evicted: those below a key, of a kind or of all but some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Eviction {
    pub(super) before: CallKey,
    pub(super) kinds: Kinds,
}

/// Kinds of inquiries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    Only(String),
    AllBut(Vec<String>),
}

/// What one step evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evicted {
    pub(super) spans: u64,
    /// Whether there may be more of the kind.
    pub(super) more: bool,
}
