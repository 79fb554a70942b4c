//! A span as it is reported, judged: only what the reporter may say of itself gets into the ledger.

use std::collections::BTreeMap;

use chapar_core::{identity::AgencyName, policy::Side};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;

/// Largest span, in bytes: thirty attributes of a call record take two KiB.
const SPAN_BYTES_MAX: usize = 16 * 1024;

/// How far ahead of this machine's clock a call may have started, in microseconds. A sidecar whose clock is off by a day has
/// no valid certificate; what starts later than that was made up, and would stay on top of every list.
const AHEAD_US_MAX: u64 = 24 * 3_600 * 1_000_000;

/// Longest word of a call record, in bytes; the longest in use, a grant's name, is made of four kebab-case names.
const WORD_BYTES_MAX: usize = 512;

/// A span that the ledger takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedSpan {
    /// Lowercase hex, like the other IDs.
    pub trace_id: String,
    pub span_id: String,
    /// Empty: a root span.
    pub parent_span_id: String,
    pub name: String,
    /// Number of the OpenTelemetry span kind.
    pub kind: i32,
    /// Number of the OpenTelemetry status code.
    pub status: i32,
    pub status_message: String,
    pub started_at_us: i64,
    pub duration_us: i64,
    pub attributes: BTreeMap<String, String>,
    /// Set when the span is one side's account of a call.
    pub call: Option<Account>,
}

/// One side's account of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub call_id: String,
    pub side: Side,
    pub consumer: String,
    pub provider: String,
    pub inquiry: String,
    pub resolution: String,
    pub outcome: String,
    pub status: String,
    pub reason: String,
}

/// Why a span is not taken. Its reporter's software must be put right; sending it again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("trace_id must be 16 bytes and span_id 8, neither all zeros; parent_span_id 8 bytes or empty")]
    Ids,
    #[error("the span has {0} bytes; at most {SPAN_BYTES_MAX} are allowed")]
    TooLarge(usize),
    #[error("the span ends before it starts, starts a day or more in the future, or has no time at all")]
    Times,
    #[error("attribute {0} is missing or malformed")]
    Attribute(&'static str),
    #[error("it speaks of {claimed:?} as its own side ({side}), but {reporter} reported it")]
    Forged { side: &'static str, claimed: String, reporter: String },
}

impl Rejection {
    /// Stable reason, as it is audited and counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Ids => "SPAN_IDS_MALFORMED",
            Self::TooLarge(_) => "SPAN_TOO_LARGE",
            Self::Times => "SPAN_TIMES_MALFORMED",
            Self::Attribute(_) => "SPAN_ATTRIBUTE_MALFORMED",
            Self::Forged { .. } => "SPAN_FORGED",
        }
    }
}

/// Judges one span.
///
/// # Errors
/// Why it is not taken.
pub fn judged(span: Span, reporter: &AgencyName, now_ms: i64) -> Result<ReportedSpan, Rejection> {
    let bytes = span.encoded_len();
    if bytes > SPAN_BYTES_MAX {
        return Err(Rejection::TooLarge(bytes));
    }
    let (started_at_us, duration_us) = times(&span, now_ms)?;
    let attributes = texts(span.attributes);
    let call = account(&attributes, reporter)?;
    let root = span.parent_span_id.is_empty();
    Ok(ReportedSpan {
        trace_id: id::<16>(&span.trace_id)?,
        span_id: id::<8>(&span.span_id)?,
        parent_span_id: if root { String::new() } else { id::<8>(&span.parent_span_id)? },
        name: span.name,
        kind: span.kind,
        status: span.status.as_ref().map_or(0, |status| status.code),
        status_message: span.status.map(|status| status.message).unwrap_or_default(),
        started_at_us,
        duration_us,
        attributes,
        call,
    })
}

fn times(span: &Span, now_ms: i64) -> Result<(i64, i64), Rejection> {
    let started_at_us = span.start_time_unix_nano / 1_000;
    let latest_us = u64::try_from(now_ms).unwrap_or_default().saturating_mul(1_000).saturating_add(AHEAD_US_MAX);
    if started_at_us == 0 || started_at_us > latest_us || span.end_time_unix_nano < span.start_time_unix_nano {
        return Err(Rejection::Times);
    }
    let duration_us = (span.end_time_unix_nano - span.start_time_unix_nano) / 1_000;
    let fitting = |us| i64::try_from(us).map_err(|_| Rejection::Times);
    Ok((fitting(started_at_us)?, fitting(duration_us)?))
}

fn id<const BYTES: usize>(bytes: &[u8]) -> Result<String, Rejection> {
    if bytes.len() != BYTES || bytes.iter().all(|byte| *byte == 0) {
        return Err(Rejection::Ids);
    }
    Ok(hex(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first of two attributes with one key holds: what is judged is then what is stored.
fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for KeyValue { key, value, .. } in attributes {
        texts.entry(key).or_insert_with(|| text(value));
    }
    texts
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BytesValue(bytes)) => hex(&bytes),
        // Lists have no text of their own; nothing here reads them, so OTLP's JSON will do.
        Some(list) => serde_json::to_string(&list).unwrap_or_default(),
    }
}

/// The account of a call in the attributes, if there is one.
fn account(attributes: &BTreeMap<String, String>, reporter: &AgencyName) -> Result<Option<Account>, Rejection> {
    let word = |key: &'static str| match attributes.get(key).map(String::as_str).unwrap_or_default() {
        long if long.len() > WORD_BYTES_MAX => Err(Rejection::Attribute(key)),
        word => Ok(word.to_owned()),
    };
    let (consumer, provider) = (agency(attributes, "chapar.consumer")?, agency(attributes, "chapar.provider")?);
    let side = match attributes.get("chapar.side").map(String::as_str) {
        Some("consumer") => Side::Consumer,
        Some("provider") => Side::Provider,
        // A span of the sidecar's own work. It speaks of no call, or it would have to say from which side.
        None if consumer.is_empty() && provider.is_empty() => return Ok(None),
        _ => return Err(Rejection::Attribute("chapar.side")),
    };
    let own = if side == Side::Consumer { &consumer } else { &provider };
    // A side may not know the other, nor a provider the inquiry that was asked for; who it is itself, its certificate says.
    if !own.is_empty() && own != reporter.as_str() {
        let reporter = reporter.to_string();
        return Err(Rejection::Forged { side: side.as_str(), claimed: own.clone(), reporter });
    }
    let (consumer, provider) = match side {
        Side::Consumer => (reporter.to_string(), provider),
        Side::Provider => (consumer, reporter.to_string()),
    };
    Ok(Some(Account {
        call_id: call_id(attributes)?,
        side,
        consumer,
        provider,
        inquiry: word("chapar.inquiry")?,
        resolution: word("chapar.resolution")?,
        outcome: word("chapar.outcome")?,
        status: word("rpc.response.status_code")?,
        reason: word("chapar.reason")?,
    }))
}

fn agency(attributes: &BTreeMap<String, String>, key: &'static str) -> Result<String, Rejection> {
    match attributes.get(key) {
        Some(name) if !name.is_empty() => {
            name.parse::<AgencyName>().map(|name| name.to_string()).map_err(|_| Rejection::Attribute(key))
        }
        _ => Ok(String::new()),
    }
}

fn call_id(attributes: &BTreeMap<String, String>) -> Result<String, Rejection> {
    let is_hex = |id: &&String| id.len() == 32 && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    attributes.get("chapar.call_id").filter(is_hex).cloned().ok_or(Rejection::Attribute("chapar.call_id"))
}

#[cfg(test)]
mod tests;
