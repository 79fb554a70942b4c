//! Reading a request's head: what HTTP/2 demands of it (RFC 9113, section 8.3.1), what goes on, what the gate wants to know.

use std::cell::Cell;

use super::{RequestHead, SLOTS, Value, dropped_onward, slot};
use crate::hpack::{Fault, Field, Fields, KnownName, Word};

const TRAILERS: Word = Word::new("trailers");

/// What was found in a request's head.
#[derive(Debug, Default)]
pub(crate) struct Found<'b> {
    values: [Value<'b>; SLOTS],
    present: u16,
    repeated: u16,
    scheme: bool,
    regular: bool,
    /// `content-length`.
    pub(crate) content_bytes: Option<u64>,
}

/// Reads `fields`. What goes on is appended to `onward`, but `tracestate` to a buffer of its own; values in Huffman coding that the
/// gate may ask for are decoded into `decoded`.
///
/// # Errors
/// A block that cannot be decoded, or a head that is malformed.
pub(crate) fn scan_request<'b>(
    fields: Fields<'b>,
    onward: &mut Vec<u8>,
    tracestate: &mut Vec<u8>,
    decoded: &mut Vec<u8>,
) -> Result<Found<'b>, Fault> {
    decoded.clear();
    tracestate.clear();
    let mut found = Found::default();
    let block = fields.block();
    // Fields that stand side by side are copied at once.
    let mut run = 0..0;
    for field in fields {
        let field = field?;
        found.look(&field, decoded)?;
        if dropped_onward(field.known) {
            continue;
        }
        if field.known == KnownName::Tracestate {
            tracestate.extend_from_slice(field.bytes);
            continue;
        }
        if field.at != run.end {
            onward.extend_from_slice(block.get(run.clone()).unwrap_or_default());
            run.start = field.at;
        }
        run.end = field.at + field.bytes.len();
    }
    onward.extend_from_slice(block.get(run).unwrap_or_default());
    found.check(decoded)?;
    Ok(found)
}

impl<'b> Found<'b> {
    #[inline]
    fn look(&mut self, field: &Field<'b>, decoded: &mut Vec<u8>) -> Result<(), Fault> {
        match field.known {
            KnownName::Method | KnownName::Scheme | KnownName::Path | KnownName::Authority => {
                if self.regular {
                    return Err(Fault::Malformed("a pseudo-header field after others"));
                }
                if field.known == KnownName::Scheme {
                    if self.scheme || field.value.is_empty() {
                        return Err(Fault::Malformed("not one :scheme"));
                    }
                    self.scheme = true;
                    return Ok(());
                }
            }
            KnownName::Status | KnownName::Protocol => {
                return Err(Fault::Malformed("a pseudo-header field that is none of requests"));
            }
            other => {
                self.regular = true;
                self.look_regular(other, field, decoded)?;
            }
        }
        if let Some(slot) = slot(field.known) {
            self.hold(slot, field, decoded)?;
        }
        Ok(())
    }

    fn look_regular(&mut self, known: KnownName, field: &Field<'b>, scratch: &mut Vec<u8>) -> Result<(), Fault> {
        match known {
            KnownName::Te if !field.value.is(&TRAILERS) => Err(Fault::Malformed("te says more than trailers")),
            KnownName::ContentLength => content_bytes(&mut self.content_bytes, field, scratch),
            known if known.is_connection_specific() => Err(Fault::Malformed("a field of one connection only")),
            _ => Ok(()),
        }
    }

    #[inline]
    fn hold(&mut self, slot: usize, field: &Field<'b>, decoded: &mut Vec<u8>) -> Result<(), Fault> {
        let bit = 1_u16 << slot;
        if self.present & bit != 0 {
            self.repeated |= bit;
            return if field.known.is_pseudo() { Err(Fault::Malformed("a pseudo-header field twice")) } else { Ok(()) };
        }
        self.present |= bit;
        let value = match field.value.plain() {
            Some(plain) => Value { plain, decoded: None },
            None => {
                let from = decoded.len() as u32;
                field.value.append_to(decoded);
                Value { plain: &[], decoded: Some((from, decoded.len() as u32)) }
            }
        };
        if let Some(held) = self.values.get_mut(slot) {
            *held = value;
        }
        Ok(())
    }

    fn check(&self, decoded: &[u8]) -> Result<(), Fault> {
        let head = self.head(decoded, false);
        let path = head.path();
        let shaped = path.first() == Some(&b'/') || path == b"*";
        if self.scheme && shaped && !head.method().is_empty() {
            return Ok(());
        }
        Err(Fault::Malformed("a request without :method, :scheme or :path"))
    }

    /// As the gate sees it.
    pub(crate) fn head<'h>(&'h self, decoded: &'h [u8], end_stream: bool) -> RequestHead<'h> {
        RequestHead {
            values: &self.values,
            present: self.present,
            repeated: self.repeated,
            decoded,
            end_stream,
            tracestate_dropped: Cell::new(false),
        }
    }
}

/// Reads `content-length`; told twice, both must agree (RFC 9110, section 8.6).
pub(super) fn content_bytes(held: &mut Option<u64>, field: &Field<'_>, scratch: &mut Vec<u8>) -> Result<(), Fault> {
    let bytes = number(field, scratch).ok_or(Fault::Malformed("content-length is no number"))?;
    if held.is_some_and(|held| held != bytes) {
        return Err(Fault::Malformed("content-length twice, and not the same"));
    }
    *held = Some(bytes);
    Ok(())
}

/// The value as a number of up to 18 digits. `scratch` is left as it was.
pub(super) fn number(field: &Field<'_>, scratch: &mut Vec<u8>) -> Option<u64> {
    let from = scratch.len();
    field.value.append_to(scratch);
    let digits = scratch.get(from..).unwrap_or_default();
    let is_number = !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit);
    let number = digits.iter().fold(0_u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))));
    scratch.truncate(from);
    is_number.then_some(number)
}
