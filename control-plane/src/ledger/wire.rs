//! OTLP as it arrives, read in place: a span is a view of the export's own bytes. Nothing is copied, nothing is built that is not
//! asked for, so that a hostile export costs no more than its length.

use prost::encoding::{WireType, decode_varint, encode_key, encode_varint};

/// Spans of one export at most: each is a row, and one write of more would hold up every other reporter.
pub const EXPORT_SPANS_MAX: usize = 4_096;

/// An export that is no `ExportTraceServiceRequest`, or too large a one. Its sender's software must be put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the export is not readable as an OTLP trace export")]
    Malformed,
    #[error("more than {EXPORT_SPANS_MAX} spans in one export")]
    TooMany,
}

/// The spans of an export, and the scopes that they are in.
#[derive(Debug, Default)]
pub(super) struct Spans<'a> {
    scopes: Vec<Scope<'a>>,
    /// Each with the number of its scope.
    found: Vec<(usize, &'a [u8])>,
}

/// What a scope says of all its spans.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    known: Known<'a>,
    /// All its attributes, each as its own bytes.
    attributes: Vec<&'a [u8]>,
    /// Length of all of them.
    bytes: usize,
}

/// One span as it arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived<'a> {
    scope: &'a Scope<'a>,
    bytes: &'a [u8],
}

/// Finds the spans of an `ExportTraceServiceRequest`.
///
/// # Errors
/// When the bytes around the spans are malformed, or there are more than [`EXPORT_SPANS_MAX`].
pub(super) fn spans(export: &[u8]) -> Result<Spans<'_>, Unreadable> {
    let mut spans = Spans::default();
    each(export, 1, |of_resource| each(of_resource, 2, |of_scope| spans.take(of_scope)))?;
    Ok(spans)
}

/// Hands out each field of this number that has a length.
fn each<'a>(message: &'a [u8], number: u32, mut with: impl FnMut(&'a [u8]) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
    let mut fields = Fields(message);
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
    pub(super) fn iter(&self) -> impl Iterator<Item = Arrived<'_>> {
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
    /// Length of the span with what its scope says.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len() + self.scope.bytes
    }

    /// Appends the span, as if it said by itself what its scope says; its own word comes first.
    pub(super) fn put_whole(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
        let own: Vec<_> = Attributes(Fields(self.bytes)).map(key_of).collect();
        for attribute in self.scope.attributes.iter().filter(|attribute| !own.contains(&key_of(attribute))) {
            encode_key(SPAN_ATTRIBUTES, WireType::LengthDelimited, out);
            encode_varint(attribute.len() as u64, out);
            out.extend_from_slice(attribute);
        }
    }
}

/// Number of the field `attributes` of a span.
const SPAN_ATTRIBUTES: u32 = 9;

/// The attributes of a span, as far as they can be read.
struct Attributes<'a>(Fields<'a>);

impl<'a> Iterator for Attributes<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let (SPAN_ATTRIBUTES, Field::Bytes(attribute)) = self.0.next().ok()?? {
                return Some(attribute);
            }
        }
    }
}

/// The key of an attribute; empty when it has none.
fn key_of(attribute: &[u8]) -> &[u8] {
    let mut key = &[][..];
    let mut fields = Fields(attribute);
    while let Ok(Some((number, value))) = fields.next() {
        if let (1, Field::Bytes(name)) = (number, value) {
            key = name;
        }
    }
    key
}

/// The bytes end early or have a wire type that protobuf has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<Malformed> for Unreadable {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let value = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed),
        };
        Ok(Some((number, value)))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        decode_varint(&mut self.0).map_err(|_| Malformed)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// A span's own fields, and those of its attributes that the ledger knows.
#[derive(Debug)]
pub(super) struct Span<'a> {
    pub(super) trace_id: &'a [u8],
    pub(super) span_id: &'a [u8],
    pub(super) parent_span_id: &'a [u8],
    pub(super) name: &'a str,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) flags: u32,
    known: Known<'a>,
}

/// Attributes that the ledger knows.
#[derive(Debug)]
struct Known<'a> {
    values: [Option<Value<'a>>; KEYS.len()],
    /// Where the next attribute's key is expected.
    next_key: usize,
}

/// An attribute's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Count(u64),
    Bytes(&'a [u8]),
    /// A negative number, a fraction, a truth value or a list: no attribute that is known here has one.
    Other,
}

macro_rules! keys {
    ($($key:ident = $name:literal,)*) => {
        /// The attributes that the ledger reads, in the order in which sidecars send them: a call's own, and what its scope says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Key { $($key,)* }

        const KEYS: &[&str] = &[$($name,)*];
        const ALL: [Key; KEYS.len()] = [$(Key::$key,)*];

        impl Key {
            /// The key of this name. It is looked for from `from` on, and then before it: as a rule it is found at once.
            fn of(name: &[u8], from: usize) -> Option<Self> {
                let (before, rest) = ALL.split_at_checked(from)?;
                rest.iter().chain(before).copied().find(|key| key.name().as_bytes() == name)
            }

            /// The attribute's name.
            pub(super) fn name(self) -> &'static str {
                KEYS[self as usize]
            }
        }
    };
}

keys! {
    CallId = "chapar.call_id",
    Purpose = "chapar.purpose",
    RequestBytes = "chapar.request.bytes",
    ResponseBytes = "chapar.response.bytes",
    PeerPort = "network.peer.port",
    SubjectKeyId = "chapar.subject.key",
    SubjectHash = "chapar.subject.hash",
    Sequence = "chapar.chain.sequence",
    Method = "rpc.method",
    Status = "rpc.response.status_code",
    ServerAddress = "server.address",
    PeerAddress = "network.peer.address",
    Side = "chapar.side",
    Consumer = "chapar.consumer",
    Provider = "chapar.provider",
    Inquiry = "chapar.inquiry",
    Kind = "chapar.kind",
    Path = "chapar.path",
    Grant = "chapar.grant",
    Resolution = "chapar.resolution",
    Clause = "chapar.clause",
    Reason = "chapar.reason",
    Outcome = "chapar.outcome",
    PolicyVersion = "chapar.policy_version",
    RequestMessages = "chapar.request.messages",
    ResponseMessages = "chapar.response.messages",
    ServerPort = "server.port",
    Chain = "chapar.chain.id",
    LossCause = "chapar.loss.cause",
    LossRecords = "chapar.loss.records",
    LossNumber = "chapar.loss.number",
    CheckpointFirst = "chapar.checkpoint.first",
    CheckpointLast = "chapar.checkpoint.last",
    CheckpointBefore = "chapar.checkpoint.before",
    CheckpointAfter = "chapar.checkpoint.after",
    CheckpointSignature = "chapar.checkpoint.signature",
    CheckpointScheme = "chapar.checkpoint.scheme",
    CheckpointSerial = "chapar.checkpoint.serial",
    CheckpointCertificate = "chapar.checkpoint.certificate",
}

impl Default for Known<'_> {
    fn default() -> Self {
        Self { values: [None; KEYS.len()], next_key: 0 }
    }
}

impl<'a> Known<'a> {
    /// The first of two attributes with one key holds: what is judged is then what is stored.
    fn take(&mut self, attribute: &'a [u8]) -> Result<(), Malformed> {
        let (mut key, mut value) = (None, Value::Text(""));
        let mut fields = Fields(attribute);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Field::Bytes(name)) => key = Key::of(name, self.next_key),
                (2, Field::Bytes(any)) => value = any_value(any)?,
                _ => {}
            }
        }
        if let Some(key) = key {
            self.next_key = key as usize + 1;
            self.values[key as usize].get_or_insert(value);
        }
        Ok(())
    }
}

impl<'a> Span<'a> {
    /// Reads a span. What its scope says holds as far as the span says nothing of it.
    pub(super) fn read(arrived: Arrived<'a>) -> Result<Self, Malformed> {
        let mut span = Self {
            trace_id: &[],
            span_id: &[],
            parent_span_id: &[],
            name: "",
            start_ns: 0,
            end_ns: 0,
            flags: 0,
            known: Known::default(),
        };
        let mut fields = Fields(arrived.bytes);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Field::Bytes(id)) => span.trace_id = id,
                (2, Field::Bytes(id)) => span.span_id = id,
                (4, Field::Bytes(id)) => span.parent_span_id = id,
                (5, Field::Bytes(name)) => span.name = text(name)?,
                (7, Field::Fixed64(ns)) => span.start_ns = ns,
                (8, Field::Fixed64(ns)) => span.end_ns = ns,
                (SPAN_ATTRIBUTES, Field::Bytes(attribute)) => span.known.take(attribute)?,
                (16, Field::Fixed32(flags)) => span.flags = flags,
                _ => {}
            }
        }
        for (own, shared) in span.known.values.iter_mut().zip(arrived.scope.known.values) {
            *own = own.or(shared);
        }
        Ok(span)
    }

    /// The value of an attribute; `None` when neither the span nor its scope has one of this name.
    pub(super) fn value(&self, key: Key) -> Option<Value<'a>> {
        self.known.values[key as usize]
    }

    /// The text of an attribute; empty when it is none, or of another type.
    pub(super) fn text(&self, key: Key) -> &'a str {
        match self.value(key) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The number of an attribute; 0 when it is none, or of another type.
    pub(super) fn count(&self, key: Key) -> u64 {
        match self.value(key) {
            Some(Value::Count(count)) => count,
            _ => 0,
        }
    }

    /// The bytes of an attribute; empty when it is none, or of another type.
    pub(super) fn bytes(&self, key: Key) -> &'a [u8] {
        match self.value(key) {
            Some(Value::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }
}

fn any_value(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut value = Value::Text("");
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        value = match (number, field) {
            (1, Field::Bytes(bytes)) => Value::Text(text(bytes)?),
            // A negative int64 has the highest bit set.
            (3, Field::Varint(number)) if number >> 63 == 0 => Value::Count(number),
            (7, Field::Bytes(bytes)) => Value::Bytes(bytes),
            _ => Value::Other,
        };
    }
    Ok(value)
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any},
        trace::v1::{ResourceSpans, ScopeSpans, Span as Sent},
    };
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn attribute(key: &str, value: Any) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }

    fn export(spans: Vec<Sent>) -> Vec<u8> {
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = ResourceSpans { scope_spans, ..ResourceSpans::default() };
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans::default(), resource_spans] }.encode_to_vec()
    }

    #[test]
    fn a_span_is_read_as_it_was_sent() {
        let sent = Sent {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: vec![3; 8],
            name: "a/b".into(),
            start_time_unix_nano: 7,
            end_time_unix_nano: 9,
            flags: 0x301,
            attributes: vec![
                attribute("chapar.side", Any::StringValue("consumer".into())),
                attribute("chapar.side", Any::StringValue("provider".into())),
                attribute("unknown", Any::BoolValue(true)),
                attribute("chapar.request.bytes", Any::IntValue(300)),
                attribute("chapar.response.bytes", Any::IntValue(-1)),
                attribute("chapar.checkpoint.after", Any::BytesValue(vec![5])),
            ],
            ..Sent::default()
        };
        let bytes = export(vec![sent.clone(), Sent::default()]);
        let found = spans(&bytes).unwrap();
        assert_eq!(found.iter().count(), 2);
        let span = Span::read(found.iter().next().unwrap()).unwrap();
        assert_eq!((span.trace_id, span.span_id, span.parent_span_id), (&[1; 16][..], &[2; 8][..], &[3; 8][..]));
        assert_eq!((span.name, span.start_ns, span.end_ns, span.flags), ("a/b", 7, 9, 0x301));
        assert_eq!((span.text(Key::Side), span.count(Key::RequestBytes)), ("consumer", 300), "the first of two holds");
        assert_eq!((span.value(Key::ResponseBytes), span.count(Key::ResponseBytes)), (Some(Value::Other), 0));
        assert_eq!((span.bytes(Key::CheckpointAfter), span.value(Key::CallId)), (&[5][..], None));
    }

    #[test]
    fn what_a_scope_says_holds_for_its_spans_as_far_as_they_do_not() {
        let text = |key: &str, value: &str| attribute(key, Any::StringValue(value.into()));
        let span = |attributes| Sent { span_id: vec![2; 8], attributes, ..Sent::default() };
        let shared = vec![text("chapar.consumer", "asker"), text("chapar.side", "consumer"), text("foreign", "kept")];
        let own = span(vec![text("chapar.side", "provider"), text("chapar.purpose", "loan")]);
        let scope = Some(InstrumentationScope { attributes: shared, ..InstrumentationScope::default() });
        let in_scope = ScopeSpans { scope, spans: vec![own.clone(), span(vec![])], ..ScopeSpans::default() };
        let outside = ScopeSpans { spans: vec![span(vec![])], ..ScopeSpans::default() };
        let of_resource = ResourceSpans { scope_spans: vec![in_scope, outside], ..ResourceSpans::default() };
        let bytes = ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec();
        let found = spans(&bytes).unwrap();
        let said = |arrived| {
            let span = Span::read(arrived).unwrap();
            [Key::Consumer, Key::Side, Key::Purpose].map(|key| span.text(key))
        };
        let said: Vec<_> = found.iter().map(said).collect();
        assert_eq!(said, [["asker", "provider", "loan"], ["asker", "consumer", ""], ["", "", ""]]);
        let mut whole = Vec::new();
        found.iter().next().unwrap().put_whole(&mut whole);
        let mut expected = own;
        expected.attributes.extend([text("chapar.consumer", "asker"), text("foreign", "kept")]);
        assert_eq!(Sent::decode(&whole[..]).unwrap(), expected);
    }

    #[test]
    fn an_export_that_is_none_or_too_large_is_refused() {
        let counted = |bytes: &[u8]| spans(bytes).map(|spans| spans.iter().count());
        assert_eq!(counted(&[0x0a, 0x05, 0x01]), Err(Unreadable::Malformed));
        assert_eq!(counted(&export(vec![Sent::default(); EXPORT_SPANS_MAX + 1])), Err(Unreadable::TooMany));
        assert_eq!(counted(&export(vec![Sent::default(); EXPORT_SPANS_MAX])), Ok(EXPORT_SPANS_MAX));
        assert_eq!(counted(&[]), Ok(0));
        // A resource with a scope whose attribute is cut off, and a span; then the same without the span, which nobody looks at.
        assert_eq!(counted(&[0x0a, 0x08, 0x12, 0x06, 0x0a, 0x02, 0x1a, 0x01, 0x12, 0x00]), Err(Unreadable::Malformed));
        assert_eq!(counted(&[0x0a, 0x04, 0x12, 0x02, 0x0a, 0x00]), Ok(0));
    }

    #[test]
    fn every_known_name_has_its_own_key() {
        for name in KEYS {
            for from in 0..=KEYS.len() {
                assert_eq!(Key::of(name.as_bytes(), from).unwrap().name(), *name);
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_foreign_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let scope = Scope { known: Known::default(), attributes: Vec::new(), bytes: 0 };
            let alone = Arrived { scope: &scope, bytes: &bytes };
            for arrived in spans(&bytes).unwrap_or_default().iter().chain([alone]) {
                let _ = Span::read(arrived);
                arrived.put_whole(&mut Vec::new());
            }
        }
    }
}
