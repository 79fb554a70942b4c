//! OTLP as it arrives, read in place: a span is a view of the export's own bytes. Nothing is copied, nothing is built that is not
//! asked for, so that a hostile export costs no more than its length.

mod attributes;
mod export;
mod span;

use chapar_core::wire::{self as protobuf, Value as Field};

pub use self::export::{EXPORT_SPANS_MAX, Unreadable};
pub(super) use self::{
    attributes::{Key, Value},
    export::{Arrived, spans},
    span::Span,
};

/// The bytes are no message, or hold what no OTLP export does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) struct Malformed;

impl From<protobuf::Malformed> for Malformed {
    fn from(_: protobuf::Malformed) -> Self {
        Self
    }
}

/// The fields of a message. OTLP has no groups: a message with one is none of its.
struct Fields<'a>(protobuf::Fields<'a>);

impl<'a> Fields<'a> {
    fn new(message: &'a [u8]) -> Self {
        Self(protobuf::Fields::new(message))
    }

    fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, Malformed> {
        match self.0.next_field()? {
            Some(protobuf::Field { value: Field::Group(_), .. }) => Err(Malformed),
            field => Ok(field.map(|field| (field.number, field.value))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
