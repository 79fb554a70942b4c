//! The grant was revoked.

use super::{Check, Circumstances};
use crate::{policy::refusal::Reason, time::Timestamp};

/// How a grant ended before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRevocation {
    /// Since when.
    pub at: Timestamp,
    /// Why, in the words of who revoked it.
    pub reason: String,
}

impl Check for GrantRevocation {
    const REASON: Reason = Reason::GrantRevoked;
    const DISTANCE: u8 = 1;

    fn unmet(&self, _: &Circumstances) -> Option<String> {
        Some(format!("was revoked at {}: {}", self.at, self.reason))
    }
}
