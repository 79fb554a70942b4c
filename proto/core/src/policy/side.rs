//! The two sides of a call.

/// Which of the two sidecars of a call decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The sidecar of the agency that asks: refuses early.
    Consumer,
    /// The sidecar of the agency that answers: decides for itself.
    Provider,
}

impl Side {
    /// Stable name, as in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Provider => "provider",
        }
    }
}
