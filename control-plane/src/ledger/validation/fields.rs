//! Single attributes of a span, read as what they must be.

use chapar_core::{identity::Agency, record::CallId, time::Timestamp};

use super::rejection::Rejection;
use crate::ledger::wire::{Key, Span, Value};

/// Longest word of a call record, in bytes; the longest in use, a grant's name, is made of four kebab-case names.
pub(super) const WORD_BYTES_MAX: usize = 512;

pub(super) fn word<'a>(span: &Span<'a>, key: Key) -> Result<&'a str, Rejection> {
    let word = span.text(key);
    if word.len() > WORD_BYTES_MAX { Err(Rejection::Attribute(key.name())) } else { Ok(word) }
}

pub(super) fn hex16(span: &Span<'_>, key: Key) -> Result<[u8; 16], Rejection> {
    CallId::parse(span.text(key).as_bytes()).map(|id| *id.as_bytes()).map_err(|_| Rejection::Attribute(key.name()))
}

/// A sequence number: not 0. A count is never beyond what the ledger's columns hold: OTLP has signed ones only.
pub(super) fn sequence(span: &Span<'_>, key: Key) -> Result<u64, Rejection> {
    match span.value(key) {
        Some(Value::Count(sequence @ 1..)) => Ok(sequence),
        _ => Err(Rejection::Attribute(key.name())),
    }
}

pub(super) fn instant(ns: u64) -> Result<Timestamp, Rejection> {
    i64::try_from(ns / 1_000_000).map(Timestamp::from_unix_ms).map_err(|_| Rejection::Times)
}

pub(super) fn agency<'a>(span: &Span<'a>, key: Key) -> Result<&'a str, Rejection> {
    match span.value(key) {
        None | Some(Value::Text("")) => Ok(""),
        Some(Value::Text(name)) if name.parse::<Agency>().is_ok() => Ok(name),
        _ => Err(Rejection::Attribute(key.name())),
    }
}
