//! The fields of resources, read one by one: each error names its field.

use std::{str::FromStr, sync::Arc};

use chapar_core::{identity::IdentityError, snapshot::ResourceKey, time::Timestamp};
use prost::Message;

use super::ConvertError;

/// Longest free text in a resource that is kept (reasons, names of clauses), in bytes: it ends up in refusals and records.
const TEXT_BYTES_MAX: usize = 1_024;

pub(super) fn decode<M: Message + Default>(key: &ResourceKey, body: &[u8]) -> Result<M, ConvertError> {
    M::decode(body).map_err(|_| ConvertError::Undecodable(key.to_string()))
}

pub(super) fn named(key: &ResourceKey, body: &str) -> Result<(), ConvertError> {
    if &*key.name == body {
        return Ok(());
    }
    Err(ConvertError::KeyMismatch { key: key.clone(), body: body.to_owned() })
}

pub(super) fn name<T: FromStr<Err = IdentityError>>(field: &'static str, value: &str) -> Result<T, ConvertError> {
    if value.is_empty() {
        return Err(ConvertError::Unset(field));
    }
    value.parse().map_err(|problem| ConvertError::Name { field, problem })
}

pub(super) fn text(field: &'static str, value: &str) -> Result<Arc<str>, ConvertError> {
    if value.is_empty() {
        return Err(ConvertError::Unset(field));
    }
    if value.len() > TEXT_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(ConvertError::Malformed { field, problem: "is too long or holds control characters" });
    }
    Ok(Arc::from(value))
}

pub(super) fn hex<'a>(field: &'static str, value: &'a str) -> Result<&'a str, ConvertError> {
    if value.is_empty() {
        return Err(ConvertError::Unset(field));
    }
    let good = value.len().is_multiple_of(2) && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if good { Ok(value) } else { Err(ConvertError::Malformed { field, problem: "is not lowercase hex, two digits a byte" }) }
}

pub(super) fn clipped(mut free_text: String) -> String {
    let end = free_text.floor_char_boundary(TEXT_BYTES_MAX);
    free_text.truncate(end);
    free_text
}

pub(super) fn required_instant(field: &'static str, wire: Option<prost_types::Timestamp>) -> Result<Timestamp, ConvertError> {
    instant(field, wire)?.ok_or(ConvertError::Unset(field))
}

pub(super) fn instant(field: &'static str, wire: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, ConvertError> {
    let Some(wire) = wire else { return Ok(None) };
    let whole_ms = wire.seconds.checked_mul(1_000);
    let part_ms = (0..1_000_000_000).contains(&wire.nanos).then(|| i64::from(wire.nanos / 1_000_000));
    match whole_ms.zip(part_ms).and_then(|(whole_ms, part_ms)| whole_ms.checked_add(part_ms)) {
        Some(unix_ms) => Ok(Some(Timestamp::from_unix_ms(unix_ms))),
        None => Err(ConvertError::Malformed { field, problem: "is no time" }),
    }
}

/// An instant as messages hold it.
pub(super) fn wire_instant(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, part_ms) = (at.unix_s(), at.unix_ms().rem_euclid(1_000));
    // Less than a second of milliseconds always fits.
    prost_types::Timestamp { seconds, nanos: i32::try_from(part_ms * 1_000_000).unwrap_or_default() }
}
