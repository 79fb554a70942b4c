//! The attributes of a span that the ledger knows.

use super::{Field, Fields, Malformed};

/// Number of the field `attributes` of a span.
pub(super) const SPAN_ATTRIBUTES: u32 = 9;

/// Attributes that the ledger knows.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) values: [Option<Value<'a>>; KEYS.len()],
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
            pub(super) fn find(name: &[u8], from: usize) -> Option<Self> {
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
    RecordFurther = "chapar.record.further",
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
    RecordVersion = "chapar.record.version",
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
        let mut fields = Fields::new(attribute);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Field::Bytes(name)) => key = Key::find(name, self.next_key),
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

fn any_value(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut value = Value::Text("");
    let mut fields = Fields::new(bytes);
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

pub(super) fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}
