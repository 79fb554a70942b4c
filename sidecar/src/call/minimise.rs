//! Minimise: what of the messages a grant lets through.
//!
//! The grants of today name whole inquiries: every field of the approved passport is granted, so both messages go through
//! whole and unread. A grant that narrows fields will put its projection into [`Minimised`], and the engine will have to
//! carry it out, since nothing else leads to `forward`.

use super::authorize::{Allowed, Permitted};

/// A permitted call with the extent in which its messages may pass.
#[derive(Debug)]
pub struct Minimised<'c> {
    allowed: Allowed<'c>,
    extent: Extent,
}

/// How much of the messages passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every field of the approved passport: bodies pass through unread.
    Whole,
}

impl<'c> Minimised<'c> {
    pub(super) fn into_parts(self) -> (Allowed<'c>, Extent) {
        (self.allowed, self.extent)
    }
}

/// Finds the extent that the grant allows.
#[must_use]
pub fn narrow(permitted: Permitted<'_>) -> Minimised<'_> {
    Minimised { allowed: permitted.into_allowed(), extent: Extent::Whole }
}
