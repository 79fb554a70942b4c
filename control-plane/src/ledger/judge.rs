//! A span as it is reported, judged: only what the reporter may say of itself gets into the ledger.

mod record;

use chapar_core::{
    identity::{Agency, AgencyName},
    policy::{Reason, Side},
    record::{
        CallId, CallRecord, Loss, LossCause, Outcome, TraceContext,
        chain::{ChainId, Checkpoint, Hash},
    },
    subject::SubjectHash,
    time::Timestamp,
};

use self::record::{Texts, record, texts};
use super::wire::{Arrived, Key, Malformed, Span, Value};

/// Largest span with what its scope says, in bytes: thirty attributes of a call record take two KiB.
const SPAN_BYTES_MAX: usize = 16 * 1024;

/// How far ahead of this machine's clock a call may have started, in microseconds. A sidecar whose clock is off by a day has
/// no valid certificate; what starts later than that was made up, and would stay on top of every list.
const AHEAD_US_MAX: u64 = 24 * 3_600 * 1_000_000;

/// Longest word of a call record, in bytes; the longest in use, a grant's name, is made of four kebab-case names.
const WORD_BYTES_MAX: usize = 512;

/// Names of the spans that are no calls.
const LOSS: &str = "chapar.loss";
const CHECKPOINT: &str = "chapar.checkpoint";

/// A span that the ledger takes.
#[derive(Debug)]
pub(super) struct Reported<'a> {
    /// As it came.
    pub(super) arrived: Arrived<'a>,
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) started_at_us: i64,
    pub(super) duration_us: i64,
    /// Its place in its sidecar's evidence chain.
    pub(super) place: Option<Place>,
    pub(super) what: What<'a>,
}

/// A place in an evidence chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chain: ChainId,
    /// 1, 2, 3 …
    pub(super) sequence: u64,
}

/// What a span tells.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Nearly every span is of a call, and lives on the stack for a moment.
pub(super) enum What<'a> {
    /// One side's account of a call.
    Call(Account<'a>),
    /// Records that the sidecar lost.
    Loss(Loss),
    /// A sidecar's signature under a piece of its chain.
    Checkpoint(Signed<'a>),
    /// The sidecar's own work.
    Other,
}

/// One side's account of a call.
#[derive(Debug)]
pub(super) struct Account<'a> {
    pub(super) call_id: [u8; 16],
    pub(super) side: Side,
    pub(super) consumer: &'a str,
    pub(super) provider: &'a str,
    pub(super) inquiry: &'a str,
    pub(super) kind: &'a str,
    pub(super) resolution: &'a str,
    pub(super) outcome: &'a str,
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) subject: Option<SubjectHash>,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    /// Whether the other side has to report the call as well.
    pub(super) awaits_other: bool,
    /// The record itself, where the span says all that one holds.
    pub(super) record: Option<CallRecord<'a>>,
}

/// A checkpoint, and the signature under it.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    pub(super) checkpoint: Checkpoint,
    pub(super) scheme: &'a str,
    pub(super) serial: &'a str,
    pub(super) certificate: &'a [u8],
    pub(super) signature: &'a [u8],
}

/// Why a span is not taken. Its reporter's software must be put right; sending it again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the span is not readable")]
    Unreadable,
    #[error("trace_id must be 16 bytes and span_id 8, neither all zeros; parent_span_id 8 bytes or empty")]
    Ids,
    #[error("the span and its scope have {0} bytes; at most {SPAN_BYTES_MAX} are allowed")]
    TooLarge(usize),
    #[error("the span ends before it starts, starts a day or more in the future, or has no time at all")]
    Times,
    #[error("attribute {0} is missing or malformed")]
    Attribute(&'static str),
    #[error("it speaks of {claimed:?} as its own side ({side}), but {reporter} reported it")]
    Forged { side: &'static str, claimed: String, reporter: String },
    #[error("another sidecar reports the evidence chain {0}")]
    ForeignChain(ChainId),
    #[error("place {sequence} of the evidence chain {chain} holds something else")]
    Rewritten { chain: ChainId, sequence: u64 },
}

impl Rejection {
    /// Stable reason, as it is audited and counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable => "SPAN_UNREADABLE",
            Self::Ids => "SPAN_IDS_MALFORMED",
            Self::TooLarge(_) => "SPAN_TOO_LARGE",
            Self::Times => "SPAN_TIMES_MALFORMED",
            Self::Attribute(_) => "SPAN_ATTRIBUTE_MALFORMED",
            Self::Forged { .. } => "SPAN_FORGED",
            Self::ForeignChain(_) => "CHAIN_FOREIGN",
            Self::Rewritten { .. } => "CHAIN_REWRITTEN",
        }
    }
}

/// Reads and judges one span of an export. `room` is for texts that are not in the span as they stand.
///
/// # Errors
/// Why it is not taken.
pub(super) fn judged<'a>(
    arrived: Arrived<'a>,
    reporter: &'a AgencyName,
    now_ms: i64,
    room: &'a mut String,
) -> Result<Reported<'a>, Rejection> {
    if arrived.len() > SPAN_BYTES_MAX {
        return Err(Rejection::TooLarge(arrived.len()));
    }
    let span = Span::read(arrived).map_err(|Malformed| Rejection::Unreadable)?;
    let (started_at_us, duration_us) = times(&span, now_ms)?;
    let (trace_id, span_id) = (id(span.trace_id)?, id(span.span_id)?);
    let parent_span_id = if span.parent_span_id.is_empty() { None } else { Some(id(span.parent_span_id)?) };
    let texts = texts(&span, room);
    let trace = TraceContext { trace_id, span_id, parent_span_id, sampled: span.flags & 1 == 1 };
    let what = match span.name {
        LOSS if span.value(Key::Side).is_none() => What::Loss(loss(&span)?),
        CHECKPOINT if span.value(Key::Side).is_none() => What::Checkpoint(checkpoint(&span)?),
        _ => account(&span, trace, reporter, texts)?.map_or(What::Other, What::Call),
    };
    let place = match what {
        What::Checkpoint(_) => None,
        _ => place(&span)?,
    };
    Ok(Reported { arrived, trace_id, span_id, started_at_us, duration_us, place, what })
}

fn times(span: &Span<'_>, now_ms: i64) -> Result<(i64, i64), Rejection> {
    let started_at_us = span.start_ns / 1_000;
    let latest_us = u64::try_from(now_ms).unwrap_or_default().saturating_mul(1_000).saturating_add(AHEAD_US_MAX);
    if started_at_us == 0 || started_at_us > latest_us || span.end_ns < span.start_ns {
        return Err(Rejection::Times);
    }
    let fitting = |us| i64::try_from(us).map_err(|_| Rejection::Times);
    Ok((fitting(started_at_us)?, fitting((span.end_ns - span.start_ns) / 1_000)?))
}

fn id<const BYTES: usize>(bytes: &[u8]) -> Result<[u8; BYTES], Rejection> {
    let id: [u8; BYTES] = bytes.try_into().map_err(|_| Rejection::Ids)?;
    if id == [0; BYTES] { Err(Rejection::Ids) } else { Ok(id) }
}

fn word<'a>(span: &Span<'a>, key: Key) -> Result<&'a str, Rejection> {
    let word = span.text(key);
    if word.len() > WORD_BYTES_MAX { Err(Rejection::Attribute(key.name())) } else { Ok(word) }
}

fn hex16(span: &Span<'_>, key: Key) -> Result<[u8; 16], Rejection> {
    CallId::parse(span.text(key).as_bytes()).map(|id| *id.as_bytes()).map_err(|_| Rejection::Attribute(key.name()))
}

fn place(span: &Span<'_>) -> Result<Option<Place>, Rejection> {
    if span.value(Key::Chain).is_none() && span.value(Key::Sequence).is_none() {
        return Ok(None);
    }
    let chain = ChainId(hex16(span, Key::Chain)?);
    Ok(Some(Place { chain, sequence: sequence(span, Key::Sequence)? }))
}

/// A sequence number: not 0. A count is never beyond what the ledger's columns hold: OTLP has signed ones only.
fn sequence(span: &Span<'_>, key: Key) -> Result<u64, Rejection> {
    match span.value(key) {
        Some(Value::Count(sequence @ 1..)) => Ok(sequence),
        _ => Err(Rejection::Attribute(key.name())),
    }
}

/// The account of a call in the attributes, if there is one.
fn account<'a>(
    span: &Span<'a>,
    trace: TraceContext,
    reporter: &'a AgencyName,
    texts: Texts<'a>,
) -> Result<Option<Account<'a>>, Rejection> {
    let (consumer, provider) = (agency(span, Key::Consumer)?, agency(span, Key::Provider)?);
    let side = match span.value(Key::Side) {
        Some(Value::Text("consumer")) => Side::Consumer,
        Some(Value::Text("provider")) => Side::Provider,
        // A span of the sidecar's own work. It speaks of no call, or it would have to say from which side.
        None if consumer.is_empty() && provider.is_empty() => return Ok(None),
        _ => return Err(Rejection::Attribute(Key::Side.name())),
    };
    let own = if side == Side::Consumer { consumer } else { provider };
    // A side may not know the other, nor a provider the inquiry that was asked for; who it is itself, its certificate says.
    if !own.is_empty() && own != reporter.as_str() {
        let (claimed, reporter) = (own.to_owned(), reporter.to_string());
        return Err(Rejection::Forged { side: side.as_str(), claimed, reporter });
    }
    let call_id = hex16(span, Key::CallId)?;
    let (named_consumer, named_provider) = match side {
        Side::Consumer => (reporter.as_str(), provider),
        Side::Provider => (consumer, reporter.as_str()),
    };
    let subject = subject(span)?;
    Ok(Some(Account {
        call_id,
        side,
        consumer: named_consumer,
        provider: named_provider,
        inquiry: word(span, Key::Inquiry)?,
        kind: word(span, Key::Kind)?,
        resolution: word(span, Key::Resolution)?,
        outcome: word(span, Key::Outcome)?,
        status: word(span, Key::Status)?,
        reason: word(span, Key::Reason)?,
        subject,
        request_bytes: span.count(Key::RequestBytes),
        response_bytes: span.count(Key::ResponseBytes),
        awaits_other: awaits_other(span, side, consumer, provider),
        record: record(span, trace, side, texts).map(|record| CallRecord {
            call_id: CallId::from_bytes(call_id),
            subject,
            ..record
        }),
    }))
}

fn loss(span: &Span<'_>) -> Result<Loss, Rejection> {
    let named = |cause: &LossCause| cause.as_str() == span.text(Key::LossCause);
    let cause = LossCause::ALL.into_iter().find(named).ok_or(Rejection::Attribute(Key::LossCause.name()))?;
    let (first_at, last_at) = (instant(span.start_ns)?, instant(span.end_ns)?);
    Ok(Loss { cause, records: span.count(Key::LossRecords), first_at, last_at, number: span.count(Key::LossNumber) })
}

fn checkpoint<'a>(span: &Span<'a>) -> Result<Signed<'a>, Rejection> {
    let hash = |key: Key| match <[u8; 32]>::try_from(span.bytes(key)) {
        Ok(hash) => Ok(Hash(hash)),
        Err(_) => Err(Rejection::Attribute(key.name())),
    };
    let (first, last) = (sequence(span, Key::CheckpointFirst)?, sequence(span, Key::CheckpointLast)?);
    if last < first {
        return Err(Rejection::Attribute(Key::CheckpointLast.name()));
    }
    let checkpoint = Checkpoint {
        chain: ChainId(hex16(span, Key::Chain)?),
        first,
        last,
        before: hash(Key::CheckpointBefore)?,
        after: hash(Key::CheckpointAfter)?,
        at: instant(span.start_ns)?,
    };
    Ok(Signed {
        checkpoint,
        scheme: word(span, Key::CheckpointScheme)?,
        serial: word(span, Key::CheckpointSerial)?,
        certificate: span.bytes(Key::CheckpointCertificate),
        signature: span.bytes(Key::CheckpointSignature),
    })
}

fn instant(ns: u64) -> Result<Timestamp, Rejection> {
    i64::try_from(ns / 1_000_000).map(Timestamp::from_unix_ms).map_err(|_| Rejection::Times)
}

/// Whether the call has to be on the other side's record as well. A call that the consumer's sidecar refused by itself, or
/// could send to nobody, never reached the provider's; one whose consumer could not prove who it is has no other side.
fn awaits_other(span: &Span<'_>, side: Side, consumer: &str, provider: &str) -> bool {
    if side == Side::Provider {
        return !consumer.is_empty();
    }
    let sent_nowhere = [Reason::ProviderUnreachable.as_str(), Reason::PeerIdentityMismatch.as_str()];
    let reached = !span.text(Key::ServerAddress).is_empty() && !sent_nowhere.contains(&span.text(Key::Reason));
    !provider.is_empty() && (reached || span.text(Key::Outcome) == Outcome::Served.as_str())
}

fn agency<'a>(span: &Span<'a>, key: Key) -> Result<&'a str, Rejection> {
    match span.value(key) {
        None | Some(Value::Text("")) => Ok(""),
        Some(Value::Text(name)) if name.parse::<Agency>().is_ok() => Ok(name),
        _ => Err(Rejection::Attribute(key.name())),
    }
}

fn subject(span: &Span<'_>) -> Result<Option<SubjectHash>, Rejection> {
    if span.value(Key::SubjectHash).is_none() && span.value(Key::SubjectKeyId).is_none() {
        return Ok(None);
    }
    let key = u32::try_from(span.count(Key::SubjectKeyId)).ok().filter(|key| *key > 0);
    let key = key.ok_or(Rejection::Attribute(Key::SubjectKeyId.name()))?;
    Ok(Some(SubjectHash { key, hash: hex16(span, Key::SubjectHash)? }))
}
