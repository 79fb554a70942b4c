//! The grant ends at an instant.

use super::{Check, Circumstances};
use crate::{policy::refusal::Reason, time::Timestamp};

/// The grant is no longer in force from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAfter(pub Timestamp);

impl Check for NotAfter {
    const REASON: Reason = Reason::GrantExpired;
    const DISTANCE: u8 = 3;

    fn unmet(&self, circumstances: &Circumstances) -> Option<String> {
        (circumstances.now >= self.0).then(|| format!("expired at {}", self.0))
    }

    fn ends_at(&self) -> Option<Timestamp> {
        Some(self.0)
    }
}
