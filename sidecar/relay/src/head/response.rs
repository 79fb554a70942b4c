//! Reading a response's head and trailers: what HTTP/2 demands of them (RFC 9113, section 8.3.2), what goes back, how the call went.

use super::{
    dropped_onward,
    request::{content_bytes, number},
};
use crate::hpack::{Fault, Field, Fields, KnownName, Word};

const HTTP_OK: Word = Word::new("200");
const GRPC_OK: Word = Word::new("0");

/// The status of a `grpc-status` that is no number: UNKNOWN.
const GRPC_STATUS_UNKNOWN: u32 = 2;

/// Which part of a response a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Head,
    Trailers,
}

/// What a head or trailers say.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) http_status: Option<u16>,
    pub(crate) grpc_status: Option<u32>,
    pub(crate) content_bytes: Option<u64>,
    pub(crate) refused: bool,
    regular: bool,
}

/// Reads `fields` and appends what goes back to `back`; the value of `chapar-refused` goes to `refused`, which is scratch space
/// besides.
///
/// # Errors
/// A block that cannot be decoded, or a part that is malformed.
pub(crate) fn scan_response(
    fields: Fields<'_>,
    part: Part,
    keeps_length: bool,
    back: &mut Vec<u8>,
    refused: &mut Vec<u8>,
) -> Result<Answer, Fault> {
    let mut answer = Answer::default();
    let block = fields.block();
    let mut run = 0..0;
    for field in fields {
        let field = field?;
        answer.look(&field, part, refused)?;
        let dropped = field.known.is_chapar() || (field.known == KnownName::ContentLength && !keeps_length);
        if dropped {
            continue;
        }
        if field.at != run.end {
            back.extend_from_slice(block.get(run.clone()).unwrap_or_default());
            run.start = field.at;
        }
        run.end = field.at + field.bytes.len();
    }
    back.extend_from_slice(block.get(run).unwrap_or_default());
    if part == Part::Head && answer.http_status.is_none() {
        return Err(Fault::Malformed("a response without :status"));
    }
    Ok(answer)
}

impl Answer {
    #[inline]
    fn look(&mut self, field: &Field<'_>, part: Part, refused: &mut Vec<u8>) -> Result<(), Fault> {
        if field.known.is_pseudo() {
            if part == Part::Trailers || field.known != KnownName::Status || self.regular || self.http_status.is_some() {
                return Err(Fault::Malformed("a pseudo-header field where none may be"));
            }
            self.http_status = Some(http_status(field, refused)?);
            return Ok(());
        }
        self.regular = true;
        match field.known {
            KnownName::GrpcStatus => self.grpc_status = Some(grpc_status(field, refused)),
            KnownName::ChaparRefused => {
                self.refused = true;
                refused.clear();
                field.value.append_to(refused);
            }
            KnownName::ContentLength => content_bytes(&mut self.content_bytes, field, refused)?,
            known if known.is_connection_specific() => return Err(Fault::Malformed("a field of one connection only")),
            _ => {}
        }
        Ok(())
    }
}

fn http_status(field: &Field<'_>, scratch: &mut Vec<u8>) -> Result<u16, Fault> {
    if field.value.is(&HTTP_OK) {
        return Ok(200);
    }
    match number(field, scratch) {
        Some(status @ 100..=999) if field.value.len() == 3 => Ok(status as u16),
        _ => Err(Fault::Malformed(":status is no status")),
    }
}

fn grpc_status(field: &Field<'_>, scratch: &mut Vec<u8>) -> u32 {
    if field.value.is(&GRPC_OK) {
        return 0;
    }
    number(field, scratch).and_then(|status| u32::try_from(status).ok()).unwrap_or(GRPC_STATUS_UNKNOWN)
}

/// Reads a request's trailers and appends what goes on.
///
/// # Errors
/// As [`scan_response`].
pub(crate) fn scan_trailers_onward(fields: Fields<'_>, onward: &mut Vec<u8>) -> Result<(), Fault> {
    for field in fields {
        let field: Field<'_> = field?;
        if field.known.is_pseudo() {
            return Err(Fault::Malformed("a pseudo-header field in trailers"));
        }
        if field.known.is_connection_specific() {
            return Err(Fault::Malformed("a field of one connection only"));
        }
        // In trailers not even a purpose is the caller's to state: it was decided on by then.
        if dropped_onward(field.known) || field.known.is_chapar() {
            continue;
        }
        onward.extend_from_slice(field.bytes);
    }
    Ok(())
}
