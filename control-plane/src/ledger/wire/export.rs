//! Where the spans are in an export, and what their scopes say of them.

use prost::encoding::{WireType, encode_key, encode_varint};

use super::{
    Field, Fields, Malformed,
    attributes::{Known, SPAN_ATTRIBUTES},
};

/// Spans of one export at most: each is a row, and one write of more would hold up every other reporter.
pub const EXPORT_SPANS_MAX: usize = 4_096;

/// An export that is no `ExportTraceServiceRequest`, or too large a one. Its sender's software must be put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its structure cannot be read.
    #[error("the export is not readable as an OTLP trace export")]
    Malformed,
    /// It is to be sent in parts.
    #[error("more than {EXPORT_SPANS_MAX} spans in one export")]
    TooMany,
}

/// The spans of an export, and the scopes that they are in.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Spans<'a> {
    scopes: Vec<Scope<'a>>,
    /// Each with the number of its scope.
    found: Vec<(usize, &'a [u8])>,
}

/// What a scope says of all its spans.
#[derive(Debug)]
pub(in crate::ledger) struct Scope<'a> {
    pub(super) known: Known<'a>,
    /// All its attributes, each as its own bytes.
    pub(super) attributes: Vec<&'a [u8]>,
    /// Length of all of them.
    pub(super) bytes: usize,
}

/// Number of a span's name.
const SPAN_NAME: u32 = 5;

/// One span as it arrived.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) struct Arrived<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) bytes: &'a [u8],
}

/// Finds the spans of an `ExportTraceServiceRequest`.
///
/// # Errors
/// When the bytes around the spans are malformed, or there are more than [`EXPORT_SPANS_MAX`].
pub(in crate::ledger) fn spans(export: &[u8]) -> Result<Spans<'_>, Unreadable> {
    let mut spans = Spans::default();
    each(export, 1, |of_resource| each(of_resource, 2, |of_scope| spans.take(of_scope)))?;
    Ok(spans)
}

/// Hands out each field of this number that has a length.
fn each<'a>(message: &'a [u8], number: u32, mut with: impl FnMut(&'a [u8]) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
    let mut fields = Fields::new(message);
    while let Some((found, value)) = fields.next()? {
        if let (true, Field::Bytes(inner)) = (found == number, value) {
            with(inner)?;
        }
    }
    Ok(())
}

impl<'a> Spans<'a> {
    /// Takes a `ScopeSpans`.
    fn take(&mut self, message: &'a [u8]) -> Result<(), Unreadable> {
        let (number, before) = (self.scopes.len(), self.found.len());
        each(message, 2, |span| {
            if self.found.len() == EXPORT_SPANS_MAX {
                return Err(Unreadable::TooMany);
            }
            self.found.push((number, span));
            Ok(())
        })?;
        // A scope without spans would cost more here than it did on the wire.
        if self.found.len() > before {
            let mut scope = Scope { known: Known::default(), attributes: Vec::new(), bytes: 0 };
            each(message, 1, |said| each(said, 3, |attribute| Ok(scope.take(attribute)?)))?;
            self.scopes.push(scope);
        }
        Ok(())
    }

    /// All spans, in the order in which they stand.
    pub(in crate::ledger) fn iter(&self) -> impl Iterator<Item = Arrived<'_>> {
        self.found.iter().filter_map(|(scope, bytes)| Some(Arrived { scope: self.scopes.get(*scope)?, bytes }))
    }
}

impl<'a> Scope<'a> {
    fn take(&mut self, attribute: &'a [u8]) -> Result<(), Malformed> {
        self.known.take(attribute)?;
        self.attributes.push(attribute);
        self.bytes += attribute.len();
        Ok(())
    }
}

impl<'a> Arrived<'a> {
    /// The span's name; empty when it has none, or is not readable.
    pub(in crate::ledger) fn name(&self) -> &'a [u8] {
        let (mut fields, mut name) = (Fields::new(self.bytes), &[][..]);
        while let Ok(Some((number, value))) = fields.next() {
            if let (SPAN_NAME, Field::Bytes(named)) = (number, value) {
                name = named;
            }
        }
        name
    }

    /// Length of the span with what its scope says.
    pub(in crate::ledger) const fn len(&self) -> usize {
        self.bytes.len() + self.scope.bytes
    }

    /// Appends the span, as if it said by itself what its scope says; its own word comes first.
    pub(in crate::ledger) fn put_whole(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
        if self.scope.attributes.is_empty() {
            return;
        }
        let mut own = Vec::new();
        // What cannot be read was not judged to be a span.
        let _ = each(self.bytes, SPAN_ATTRIBUTES, |attribute| {
            own.push(key_of(attribute));
            Ok(())
        });
        for attribute in self.scope.attributes.iter().filter(|attribute| !own.contains(&key_of(attribute))) {
            encode_key(SPAN_ATTRIBUTES, WireType::LengthDelimited, out);
            encode_varint(attribute.len() as u64, out);
            out.extend_from_slice(attribute);
        }
    }
}

/// The key of an attribute; empty when it has none, or cannot be read.
fn key_of(attribute: &[u8]) -> &[u8] {
    let mut key = &[][..];
    let _ = each(attribute, 1, |name| {
        key = name;
        Ok(())
    });
    key
}

impl From<Malformed> for Unreadable {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}
