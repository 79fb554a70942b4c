//! What a sidecar reports, checked: only what the reporter may say of itself gets into the ledger.

mod account;
mod chain;
mod fields;
mod record;
mod rejection;
mod reported;

use chapar_core::{identity::AgencyName, record::TraceContext};

pub use self::rejection::Rejection;
pub(super) use self::reported::{Account, ChainPlace, Content, ReportedSpan, SignedCheckpoint};
use self::{
    account::account,
    chain::{checkpoint, loss, place},
    record::texts,
};
use super::wire::{Arrived, Key, Malformed, Span};

/// Largest span with what its scope says, in bytes: thirty attributes of a call record take two KiB.
const SPAN_BYTES_MAX: usize = 16 * 1024;

/// Names of the spans that are no calls.
const LOSS: &str = "chapar.loss";
const CHECKPOINT: &str = "chapar.checkpoint";

/// Reads and checks one span of an export. `room` is for texts that are not in the span as they stand.
///
/// # Errors
/// Why it is not taken.
pub(super) fn validate<'a>(
    arrived: Arrived<'a>,
    reporter: &'a AgencyName,
    room: &'a mut String,
) -> Result<ReportedSpan<'a>, Rejection> {
    if arrived.len() > SPAN_BYTES_MAX {
        return Err(Rejection::TooLarge(arrived.len()));
    }
    let span = Span::read(arrived).map_err(|Malformed| Rejection::Unreadable)?;
    let (started_at_us, duration_us) = times(&span)?;
    let (trace_id, span_id) = (id(span.trace_id)?, id(span.span_id)?);
    let parent_span_id = if span.parent_span_id.is_empty() { None } else { Some(id(span.parent_span_id)?) };
    let texts = texts(&span, room);
    let trace = TraceContext { trace_id, span_id, parent_span_id, sampled: span.flags & 1 == 1 };
    let content = match span.name {
        LOSS if span.value(Key::Side).is_none() => Content::Loss(loss(&span)?),
        CHECKPOINT if span.value(Key::Side).is_none() => Content::Checkpoint(checkpoint(&span)?),
        _ => account(&span, trace, reporter, texts)?.map_or(Content::Other, Content::Call),
    };
    let place = match content {
        Content::Checkpoint(_) => None,
        _ => place(&span)?,
    };
    Ok(ReportedSpan { arrived, trace_id, span_id, started_at_us, duration_us, place, content })
}

/// The checkpoints of an export, as far as they are any: what else is in it is not looked at.
pub(super) fn checkpoints<'a>(spans: impl Iterator<Item = Arrived<'a>>, mut with: impl FnMut(&SignedCheckpoint<'a>)) {
    for arrived in spans {
        if arrived.name() != CHECKPOINT.as_bytes() || arrived.len() > SPAN_BYTES_MAX {
            continue;
        }
        if let Ok(span) = Span::read(arrived)
            && let Ok(signed) = checkpoint(&span)
        {
            with(&signed);
        }
    }
}

fn times(span: &Span<'_>) -> Result<(i64, i64), Rejection> {
    let started_at_us = span.start_ns / 1_000;
    if started_at_us == 0 || span.end_ns < span.start_ns {
        return Err(Rejection::Times);
    }
    let fitting = |us| i64::try_from(us).map_err(|_| Rejection::Times);
    Ok((fitting(started_at_us)?, fitting((span.end_ns - span.start_ns) / 1_000)?))
}

fn id<const BYTES: usize>(bytes: &[u8]) -> Result<[u8; BYTES], Rejection> {
    let id: [u8; BYTES] = bytes.try_into().map_err(|_| Rejection::Ids)?;
    if id == [0; BYTES] { Err(Rejection::Ids) } else { Ok(id) }
}
