//! Granted, but not yet in force: until another resolution says so.

use super::{Check, Circumstances};
use crate::policy::refusal::Reason;

/// The grant is not yet in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotYetInForce;

impl Check for NotYetInForce {
    const REASON: Reason = Reason::GrantNotYetInForce;
    const DISTANCE: u8 = 2;

    fn unmet(&self, _: &Circumstances) -> Option<String> {
        Some("is not yet in force".to_owned())
    }
}
