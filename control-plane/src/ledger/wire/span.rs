//! A span as the ledger reads it: its own fields, and the attributes that are known here.

use super::{Field, Fields, Malformed, export::Arrived};

/// Number of the field `attributes` of a span.
pub(super) const SPAN_ATTRIBUTES: u32 = 9;

/// A span's own fields, and those of its attributes that the ledger knows.
#[derive(Debug)]
pub(in crate::ledger) struct Span<'a> {
    pub(in crate::ledger) trace_id: &'a [u8],
    pub(in crate::ledger) span_id: &'a [u8],
    pub(in crate::ledger) parent_span_id: &'a [u8],
    pub(in crate::ledger) name: &'a str,
    pub(in crate::ledger) start_ns: u64,
    pub(in crate::ledger) end_ns: u64,
    pub(in crate::ledger) flags: u32,
    known: Known<'a>,
}

/// Attributes that the ledger knows.
#[derive(Debug)]
pub(super) struct Known<'a> {
    values: [Option<Value<'a>>; KEYS.len()],
    /// Where the next attribute's key is expected.
    next_key: usize,
}

/// An attribute's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::ledger) enum Value<'a> {
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
        pub(in crate::ledger) enum Key { $($key,)* }

        pub(super) const KEYS: &[&str] = &[$($name,)*];
        const ALL: [Key; KEYS.len()] = [$(Key::$key,)*];

        impl Key {
            /// The key of this name. It is looked for from `from` on, and then before it: as a rule it is found at once.
            pub(super) fn of(name: &[u8], from: usize) -> Option<Self> {
                let (before, rest) = ALL.split_at_checked(from)?;
                rest.iter().chain(before).copied().find(|key| key.name().as_bytes() == name)
            }

            /// The attribute's name.
            pub(in crate::ledger) fn name(self) -> &'static str {
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
    pub(super) fn take(&mut self, attribute: &'a [u8]) -> Result<(), Malformed> {
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
    pub(in crate::ledger) fn read(arrived: Arrived<'a>) -> Result<Self, Malformed> {
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
    pub(in crate::ledger) fn value(&self, key: Key) -> Option<Value<'a>> {
        self.known.values[key as usize]
    }

    /// The text of an attribute; empty when it is none, or of another type.
    pub(in crate::ledger) fn text(&self, key: Key) -> &'a str {
        match self.value(key) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The number of an attribute; 0 when it is none, or of another type.
    pub(in crate::ledger) fn count(&self, key: Key) -> u64 {
        match self.value(key) {
            Some(Value::Count(count)) => count,
            _ => 0,
        }
    }

    /// The bytes of an attribute; empty when it is none, or of another type.
    pub(in crate::ledger) fn bytes(&self, key: Key) -> &'a [u8] {
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
