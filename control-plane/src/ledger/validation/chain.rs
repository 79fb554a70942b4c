//! What a span says of its sidecar's evidence chain.

use chapar_core::record::{
    Loss, LossCause,
    chain::{ChainId, Checkpoint, Hash},
};

use super::{
    fields::{hex16, instant, sequence, word},
    rejection::Rejection,
    reported::{ChainPlace, SignedCheckpoint},
};
use crate::ledger::wire::{Key, Span};

pub(super) fn place(span: &Span<'_>) -> Result<Option<ChainPlace>, Rejection> {
    if span.value(Key::Chain).is_none() && span.value(Key::Sequence).is_none() {
        return Ok(None);
    }
    let chain = ChainId(hex16(span, Key::Chain)?);
    Ok(Some(ChainPlace { chain, sequence: sequence(span, Key::Sequence)? }))
}

pub(super) fn loss(span: &Span<'_>) -> Result<Loss, Rejection> {
    let named = |cause: &LossCause| cause.as_str() == span.text(Key::LossCause);
    let cause = LossCause::ALL.into_iter().find(named).ok_or(Rejection::Attribute(Key::LossCause.name()))?;
    let (first_at, last_at) = (instant(span.start_ns)?, instant(span.end_ns)?);
    Ok(Loss { cause, records: span.count(Key::LossRecords), first_at, last_at, number: span.count(Key::LossNumber) })
}

pub(super) fn checkpoint<'a>(span: &Span<'a>) -> Result<SignedCheckpoint<'a>, Rejection> {
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
    Ok(SignedCheckpoint {
        checkpoint,
        scheme: word(span, Key::CheckpointScheme)?,
        serial: word(span, Key::CheckpointSerial)?,
        certificate: span.bytes(Key::CheckpointCertificate),
        signature: span.bytes(Key::CheckpointSignature),
    })
}
