//! Records that were lost: the loss itself is put on record, so that it is never silent.

use crate::time::Timestamp;

/// Why records were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossCause {
    /// The spool had no room, and the sidecar's policy was to go on, or the calls had begun before.
    SpoolFull,
    /// What the spool held could not be read back.
    Damaged,
}

impl LossCause {
    /// All of them, in the order of their numbers in the canonical form.
    pub const ALL: [Self; 2] = [Self::SpoolFull, Self::Damaged];

    /// Stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SpoolFull => "spool-full",
            Self::Damaged => "damaged",
        }
    }
}

/// A number of records that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub cause: LossCause,
    /// How many.
    pub records: u64,
    /// Since when records were lost; of damage, when it was found.
    pub first_at: Timestamp,
    /// Until when.
    pub last_at: Timestamp,
    /// Counts the losses of one chain for want of room; for damage, the first sequence number in the chain that is missing.
    pub number: u64,
}
