//! The canonical bytes of a record: what the spool holds and the evidence chain hashes. One record has exactly one form:
//! whatever [`decode`] takes, [`encode`] gives back byte by byte.
//!
//! Numbers are unsigned LEB128 in their shortest form, unless a width is given; those are big-endian. A text is its length
//! and its UTF-8.
//!
//! The first byte says what it is and in which version: `0x01` and `0x02` are calls, `0x80` is a loss. A call record is, in this
//! order: that byte; flags (from the lowest bit: provider's side, sampled, parent, reason, subject); outcome; status;
//! call ID (16); trace ID (16); span ID (8); parent (8, if flagged); start in Unix ms (8); duration in µs; policy version;
//! messages and bytes towards the provider, and towards the consumer; subject key (4) and hash (16, if flagged); reason (text,
//! if flagged); then the texts consumer, provider, inquiry, kind, path, grant, resolution, clause, purpose, peer address,
//! server address; in version 2 then the further fields. A loss is: `0x80`; cause; records; first and last instant in Unix ms (8
//! each); number.
//!
//! **Further fields** are what later releases add, up to the end of the record: each its number, the length of its value, and the
//! value. Numbers rise from one field to the next, so that there is one order; a value has a byte at least, since a field that says
//! nothing is left out. Who does not know a field carries it along as it is, so that chains and evidence hold across releases. What
//! must not be overlooked is no further field: it needs another version, which older software refuses ([`Malformed::Version`]).
//!
//! Version 1 stays readable for ever: `golden.rs` beside this file holds its bytes.

use thiserror::Error;

use super::{
    CallId, CallRecord, FURTHER_BYTES_MAX, Flow, FurtherFields, Loss, LossCause, Outcome, RecordVersion, TraceContext,
    number::{Shortest, put_number, shortest},
};
use crate::{
    policy::{GrpcCode, Reason, Side},
    subject::SubjectHash,
    time::Timestamp,
};

/// Longest text in a record, in bytes; [`encode`] clips longer ones. The longest in use, a grant's name, is made of four names.
pub const TEXT_BYTES_MAX: usize = 512;

/// Longest canonical form, in bytes: twelve texts at their longest with their lengths, all further fields, and less than 200 bytes of
/// the rest.
pub const ENTRY_BYTES_MAX: usize = 12 * (TEXT_BYTES_MAX + 2) + FURTHER_BYTES_MAX + 200;

/// First byte of a loss; what is below is the version of a call.
const LOSS: u8 = 0x80;

const PROVIDER: u8 = 1;
const SAMPLED: u8 = 1 << 1;
const PARENT: u8 = 1 << 2;
const REASON: u8 = 1 << 3;
const SUBJECT: u8 = 1 << 4;
const ALL_FLAGS: u8 = PROVIDER | SAMPLED | PARENT | REASON | SUBJECT;

/// Bytes that are no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// It is a loss and not a call.
    #[error("the entry tells of lost records, and not of a call")]
    Form,
    /// Made by a later release of this software, or by none.
    #[error("the record is of version {0}, which this software does not know")]
    Version(u8),
    /// It ends early.
    #[error("the record is cut short")]
    Short,
    /// Something follows it.
    #[error("something follows the record")]
    Long,
    /// A field holds what no field of a record can.
    #[error("the record's {0} is malformed")]
    Field(&'static str),
}

/// What the spool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // Nearly every entry is a call, and a box would be an allocation each.
pub enum ChainEntry<'r> {
    /// A call.
    Call(CallRecord<'r>),
    /// Records that are not there.
    Loss(Loss),
}

/// Appends the canonical bytes of `record` to `out`. Texts are clipped to [`TEXT_BYTES_MAX`].
pub fn encode(record: &CallRecord<'_>, out: &mut Vec<u8>) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(record.side == Side::Provider, PROVIDER)
        | flag(record.trace.sampled, SAMPLED)
        | flag(record.trace.parent_span_id.is_some(), PARENT)
        | flag(record.reason.is_some(), REASON)
        | flag(record.subject.is_some(), SUBJECT);
    out.extend_from_slice(&[record.version.number(), flags, record.outcome as u8, record.status as u8]);
    out.extend_from_slice(record.call_id.as_bytes());
    out.extend_from_slice(&record.trace.trace_id);
    out.extend_from_slice(&record.trace.span_id);
    if let Some(parent) = &record.trace.parent_span_id {
        out.extend_from_slice(parent);
    }
    out.extend_from_slice(&record.started_at.unix_ms().to_be_bytes());
    for number in [
        record.duration_us,
        record.policy_version,
        record.request.messages,
        record.request.bytes,
        record.response.messages,
        record.response.bytes,
    ] {
        put_number(number, out);
    }
    if let Some(subject) = &record.subject {
        out.extend_from_slice(&subject.key.to_be_bytes());
        out.extend_from_slice(&subject.hash);
    }
    if let Some(reason) = record.reason {
        put_text(reason.as_str(), out);
    }
    for text in texts(record) {
        put_text(text, out);
    }
    if record.version == RecordVersion::Two {
        out.extend_from_slice(record.further.as_bytes());
    }
}

/// Appends the canonical bytes of `loss` to `out`.
pub fn encode_loss(loss: &Loss, out: &mut Vec<u8>) {
    out.extend_from_slice(&[LOSS, loss.cause as u8]);
    put_number(loss.records, out);
    out.extend_from_slice(&loss.first_at.unix_ms().to_be_bytes());
    out.extend_from_slice(&loss.last_at.unix_ms().to_be_bytes());
    put_number(loss.number, out);
}

/// Reads a call record back.
///
/// # Errors
/// When `bytes` are not exactly what [`encode`] makes of some record.
pub fn decode(bytes: &[u8]) -> Result<CallRecord<'_>, Malformed> {
    match decode_entry(bytes)? {
        ChainEntry::Call(record) => Ok(record),
        ChainEntry::Loss(_) => Err(Malformed::Form),
    }
}

/// Reads back whatever the spool holds.
///
/// # Errors
/// As [`decode`].
pub fn decode_entry(bytes: &[u8]) -> Result<ChainEntry<'_>, Malformed> {
    let mut rest = Rest(bytes);
    let entry = match rest.byte()? {
        LOSS => ChainEntry::Loss(loss(&mut rest)?),
        number => {
            let version = RecordVersion::from_number(number.into()).ok_or(Malformed::Version(number))?;
            let record = call(&mut rest, version)?;
            let further = match version {
                RecordVersion::One => FurtherFields::NONE,
                RecordVersion::Two => rest.further()?,
            };
            ChainEntry::Call(CallRecord { further, ..record })
        }
    };
    if rest.0.is_empty() { Ok(entry) } else { Err(Malformed::Long) }
}

fn texts<'r>(record: &CallRecord<'r>) -> [&'r str; 11] {
    [
        record.consumer,
        record.provider,
        record.inquiry,
        record.kind,
        record.path,
        record.grant,
        record.resolution,
        record.clause,
        record.purpose,
        record.peer_address,
        record.server_address,
    ]
}

fn call<'r>(rest: &mut Rest<'r>, version: RecordVersion) -> Result<CallRecord<'r>, Malformed> {
    let flags = rest.byte()?;
    if flags & !ALL_FLAGS != 0 {
        return Err(Malformed::Field("flags"));
    }
    let has = |flag| flags & flag != 0;
    let outcome = *Outcome::ALL.get(usize::from(rest.byte()?)).ok_or(Malformed::Field("outcome"))?;
    let status_number = rest.byte()?;
    let status = GrpcCode::from_number(status_number.into());
    if status as u8 != status_number {
        return Err(Malformed::Field("status"));
    }
    let call_id = CallId::from_bytes(rest.array()?);
    let trace = TraceContext {
        trace_id: rest.array()?,
        span_id: rest.array()?,
        parent_span_id: if has(PARENT) { Some(rest.array()?) } else { None },
        sampled: has(SAMPLED),
    };
    let started_at = rest.instant()?;
    let (duration_us, policy_version) = (rest.number()?, rest.number()?);
    let request = Flow { messages: rest.number()?, bytes: rest.number()? };
    let response = Flow { messages: rest.number()?, bytes: rest.number()? };
    let subject = match has(SUBJECT) {
        true => Some(SubjectHash { key: u32::from_be_bytes(rest.array()?), hash: rest.array()? }),
        false => None,
    };
    let reason = if has(REASON) { Some(reason(rest.text()?)?) } else { None };
    Ok(CallRecord {
        call_id,
        trace,
        side: if has(PROVIDER) { Side::Provider } else { Side::Consumer },
        // Fields are read in the order in which they are written here.
        consumer: rest.text()?,
        provider: rest.text()?,
        inquiry: rest.text()?,
        kind: rest.text()?,
        path: rest.text()?,
        grant: rest.text()?,
        resolution: rest.text()?,
        clause: rest.text()?,
        purpose: rest.text()?,
        subject,
        policy_version,
        outcome,
        reason,
        status,
        started_at,
        duration_us,
        request,
        response,
        peer_address: rest.text()?,
        server_address: rest.text()?,
        version,
        further: FurtherFields::NONE,
    })
}

fn reason(name: &str) -> Result<Reason, Malformed> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == name).ok_or(Malformed::Field("reason"))
}

fn loss(rest: &mut Rest<'_>) -> Result<Loss, Malformed> {
    let cause = *LossCause::ALL.get(usize::from(rest.byte()?)).ok_or(Malformed::Field("cause"))?;
    Ok(Loss { cause, records: rest.number()?, first_at: rest.instant()?, last_at: rest.instant()?, number: rest.number()? })
}

pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    let text = text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(text);
    put_number(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// What is still to be read.
struct Rest<'r>(&'r [u8]);

impl<'r> Rest<'r> {
    fn take(&mut self, bytes: usize) -> Result<&'r [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn instant(&mut self) -> Result<Timestamp, Malformed> {
        self.array().map(|bytes| Timestamp::from_unix_ms(i64::from_be_bytes(bytes)))
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        match shortest(self.0) {
            Shortest::Number(number, rest) => {
                self.0 = rest;
                Ok(number)
            }
            Shortest::Cut => Err(Malformed::Short),
            Shortest::Malformed => Err(Malformed::Field("number")),
        }
    }

    fn further(&mut self) -> Result<FurtherFields<'r>, Malformed> {
        let further = FurtherFields::parse(self.0).map_err(|_| Malformed::Field("further fields"))?;
        self.0 = &[];
        Ok(further)
    }

    fn text(&mut self) -> Result<&'r str, Malformed> {
        let bytes = usize::try_from(self.number()?).ok().filter(|bytes| *bytes <= TEXT_BYTES_MAX);
        let text = self.take(bytes.ok_or(Malformed::Field("text"))?)?;
        std::str::from_utf8(text).map_err(|_| Malformed::Field("text"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by panicking what went wrong.
mod golden;
#[cfg(test)]
mod tests;
