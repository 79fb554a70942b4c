//! What callers are known for, by which they get room.

/// Whether a caller has had more calls answered than it reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reputation {
    Good = 0,
    None = 1,
}

impl Reputation {
    /// In the order in which they get room.
    pub(crate) const ALL: [Self; 2] = [Self::Good, Self::None];
}
