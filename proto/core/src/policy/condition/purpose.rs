//! The call states what it asks for; see [`crate::purpose`].

use super::{Check, Circumstances};
use crate::{metadata, policy::refusal::Reason};

/// Only calls that state their purpose are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurposeStated;

impl Check for PurposeStated {
    const REASON: Reason = Reason::PurposeMissing;
    const DISTANCE: u8 = 0;

    fn unmet(&self, circumstances: &Circumstances) -> Option<String> {
        (!circumstances.purpose_stated).then(|| {
            let name = metadata::PURPOSE;
            format!("demands a purpose, and the call states none; the application must state it in the metadata {name}")
        })
    }
}
