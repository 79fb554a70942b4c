//! The grant begins at an instant.

use super::{Check, Circumstances};
use crate::{policy::refusal::Reason, time::Timestamp};

/// The grant is in force from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBefore(pub Timestamp);

impl Check for NotBefore {
    const REASON: Reason = Reason::GrantNotYetInForce;
    const DISTANCE: u8 = 2;

    fn unmet(&self, circumstances: &Circumstances) -> Option<String> {
        (circumstances.now < self.0).then(|| format!("is in force only from {}", self.0))
    }
}
