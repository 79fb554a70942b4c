//! Heads of messages: what the gate reads of a request's, what it appends to others, and what it tells a caller.

use std::cell::Cell;

use crate::hpack::{
    BlockLimits, Decoder, Fault, KnownName, TABLE_BYTES_MAX_DEFAULT, put_indexed, put_literal, put_static_name, statics,
};

mod request;
mod response;

pub(crate) use request::scan_request;
pub(crate) use response::{Answer, Part, scan_response, scan_trailers_onward};

/// The names whose values [`RequestHead`] holds.
const SLOTS: usize = 11;

/// Where [`RequestHead`] holds the values of `name`.
const fn slot(name: KnownName) -> Option<usize> {
    match name {
        KnownName::Method => Some(0),
        KnownName::Path => Some(1),
        KnownName::Authority => Some(2),
        KnownName::ContentType => Some(3),
        KnownName::GrpcTimeout => Some(4),
        KnownName::Traceparent => Some(5),
        KnownName::Tracestate => Some(6),
        KnownName::ChaparCallId => Some(7),
        KnownName::ChaparProvider => Some(8),
        KnownName::ChaparPurpose => Some(9),
        KnownName::GrpcEncoding => Some(10),
        _ => None,
    }
}

/// Whether a request's fields of this name stay behind: what concerns one hop, what the gate writes itself, and whatever of
/// ours comes from outside. `chapar-purpose` is the caller's own and goes on.
#[must_use]
pub const fn dropped_onward(name: KnownName) -> bool {
    match name {
        KnownName::Scheme | KnownName::Authority | KnownName::Host | KnownName::GrpcTimeout | KnownName::Traceparent => true,
        KnownName::ChaparPurpose => false,
        other => other.is_chapar() || other.is_connection_specific(),
    }
}

/// A value in the block, or decoded from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Value<'b> {
    plain: &'b [u8],
    decoded: Option<(u32, u32)>,
}

/// The head of a request, for as long as [`crate::Gate::open`] looks at it.
pub struct RequestHead<'h> {
    values: &'h [Value<'h>; SLOTS],
    present: u16,
    repeated: u16,
    decoded: &'h [u8],
    end_stream: bool,
    tracestate_dropped: Cell<bool>,
}

impl std::fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Metadata may hold credentials: it is never printed.
        f.debug_struct("RequestHead").field("path", &self.path().escape_ascii()).finish_non_exhaustive()
    }
}

impl<'h> RequestHead<'h> {
    /// `:method`.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.first(KnownName::Method).unwrap_or_default()
    }

    /// `:path`, as it came.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.first(KnownName::Path).unwrap_or_default()
    }

    /// The first value under `name`: of `:method`, `:path`, `:authority`, `content-type`, `grpc-timeout`, `traceparent`, `tracestate`,
    /// `grpc-encoding`, `chapar-call-id`, `chapar-provider` and `chapar-purpose`. Nothing is known of other names.
    #[must_use]
    #[inline]
    pub fn first(&self, name: KnownName) -> Option<&'h [u8]> {
        let slot = slot(name)?;
        if self.present & (1 << slot) == 0 {
            return None;
        }
        let value = self.values.get(slot)?;
        match value.decoded {
            Some((from, to)) => self.decoded.get(from as usize..to as usize),
            None => Some(value.plain),
        }
    }

    /// Whether there is more than one value under `name`.
    #[must_use]
    #[inline]
    pub fn repeats(&self, name: KnownName) -> bool {
        slot(name).is_some_and(|slot| self.repeated & (1 << slot) != 0)
    }

    /// The value under `name`, where there is exactly one and it is text.
    #[must_use]
    pub fn text(&self, name: KnownName) -> Option<&'h str> {
        if self.repeats(name) {
            return None;
        }
        std::str::from_utf8(self.first(name)?).ok()
    }

    /// Whether the request has no body.
    #[must_use]
    pub const fn end_stream(&self) -> bool {
        self.end_stream
    }

    /// `tracestate` stays behind: it goes on only with the trace that it belongs to.
    pub fn drop_tracestate(&self) {
        self.tracestate_dropped.set(true);
    }

    pub(crate) fn is_tracestate_dropped(&self) -> bool {
        self.tracestate_dropped.get()
    }
}

/// Reads the header block of a request and shows it to `look`, as the relay does for [`crate::Gate::open`]: for the tests of gates.
///
/// # Errors
/// A block that is malformed, or that the relay would not take.
pub fn with_head<T>(block: &[u8], end_stream: bool, look: impl FnOnce(&RequestHead<'_>) -> T) -> Result<T, Fault> {
    let limits = BlockLimits { header_list_bytes_max: u32::MAX, fields_max: u32::MAX };
    let (mut scratch, mut onward, mut tracestate, mut decoded) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut decoder = Decoder::new(TABLE_BYTES_MAX_DEFAULT);
    let fields = decoder.fields(block, &mut scratch, &limits)?;
    let found = scan_request(fields, &mut onward, &mut tracestate, &mut decoded)?;
    Ok(look(&found.head(&decoded, end_stream)))
}

/// Whether a value can stand in a field: no control characters, which no writer of values has use for.
fn is_clean(value: &[u8]) -> bool {
    // Without a way out in between, so that many bytes are looked at at once.
    value.iter().fold(0, |dirty, &byte| dirty | u8::from(byte < 0x20) | u8::from(byte == 0x7f)) == 0
}

/// Appends fields to a header block.
#[derive(Debug)]
pub struct HeadWriter<'w> {
    out: &'w mut Vec<u8>,
}

impl<'w> HeadWriter<'w> {
    /// A writer that appends to `out`.
    pub const fn new(out: &'w mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Appends a field. `name` is in lower case; a value with control characters is left out, field and all.
    #[inline]
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(!name.is_empty() && !name.iter().any(u8::is_ascii_uppercase), "names are lower case in HTTP/2");
        if is_clean(value) {
            put_literal(self.out, name, value);
        }
    }
}

/// What a caller is told in place of an answer.
#[derive(Debug, Default)]
pub struct Reply {
    /// None: 200.
    http_status: Option<u16>,
    fields: Vec<u8>,
}

impl Reply {
    pub(crate) fn clear(&mut self) {
        self.http_status = None;
        self.fields.clear();
    }

    /// `:status`, where the response's head is not out yet; 200 unless told otherwise. With another, no `content-type` is sent.
    pub fn http_status(&mut self, status: u16) {
        self.http_status = Some(status).filter(|status| *status != 200);
    }

    /// Appends a field: `grpc-status`, `grpc-message` and so on. As [`HeadWriter::field`].
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        HeadWriter::new(&mut self.fields).field(name, value);
    }

    /// The fields so far, as they stand in a block: for the tests of gates.
    #[must_use]
    pub fn block(&self) -> &[u8] {
        &self.fields
    }

    /// Writes the block, as a response of nothing but a head or as trailers.
    pub(crate) fn put(&self, out: &mut Vec<u8>, as_trailers: bool) {
        if !as_trailers {
            if let Some(status) = self.http_status {
                put_static_name(out, statics::STATUS, &digits(status));
            } else {
                put_indexed(out, statics::STATUS_200);
                put_static_name(out, statics::CONTENT_TYPE, b"application/grpc");
            }
        }
        out.extend_from_slice(&self.fields);
    }
}

/// The three digits of an HTTP status.
fn digits(status: u16) -> [u8; 3] {
    let digit = |of: u16| b'0' + (of % 10) as u8;
    [digit(status / 100), digit(status / 10), digit(status)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_control_characters_is_left_out() {
        let mut out = Vec::new();
        let mut writer = HeadWriter::new(&mut out);
        writer.field(b"a", b"x\r\ny: z");
        writer.field(b"b", b"\0");
        assert!(out.is_empty());
        HeadWriter::new(&mut out).field(b"c", "ب fine".as_bytes());
        assert!(!out.is_empty());
    }

    #[test]
    fn a_status_has_three_digits() {
        assert_eq!(&digits(415), b"415");
        assert_eq!(&digits(200), b"200");
    }

    #[test]
    fn what_is_ours_stays_behind_but_for_the_purpose() {
        assert!(dropped_onward(KnownName::ChaparCallId) && dropped_onward(KnownName::ChaparOther));
        assert!(dropped_onward(KnownName::Connection) && dropped_onward(KnownName::GrpcTimeout));
        assert!(!dropped_onward(KnownName::ChaparPurpose) && !dropped_onward(KnownName::Te) && !dropped_onward(KnownName::Path));
    }
}
