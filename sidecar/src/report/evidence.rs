//! Signed checkpoints of a lane's chain, one for each export.

use chapar_core::{
    record::chain::{ChainId, Checkpoint, Hash},
    time::Timestamp,
};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};

use super::{
    span::{count, nanoseconds, text},
    tail::Batch,
};
use crate::trust::{Trust, TrustError};

/// Name of the span that carries a checkpoint.
pub(super) const CHECKPOINT: &str = "chapar.checkpoint";

/// The checkpoint of `batch`, signed with the key of the certificate that this sidecar shows now.
///
/// # Errors
/// When the key does not sign.
pub(super) fn checkpoint(batch: &Batch, at: Timestamp, trust: &Trust) -> Result<Span, TrustError> {
    let checkpoint = Checkpoint {
        chain: batch.after.chain,
        first: batch.first,
        last: batch.after.sequence,
        before: batch.before.head,
        after: batch.after.head,
        at,
    };
    let signed = trust.sign(&checkpoint.signed_bytes())?;
    let instant_ns = nanoseconds(at);
    Ok(Span {
        trace_id: rand::random::<[u8; 16]>().to_vec(),
        span_id: rand::random::<[u8; 8]>().to_vec(),
        name: CHECKPOINT.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: instant_ns,
        end_time_unix_nano: instant_ns,
        attributes: vec![
            chain(checkpoint.chain),
            count("chapar.checkpoint.first", checkpoint.first),
            count("chapar.checkpoint.last", checkpoint.last),
            hash("chapar.checkpoint.before", checkpoint.before),
            hash("chapar.checkpoint.after", checkpoint.after),
            bytes("chapar.checkpoint.signature", signed.signature),
            text("chapar.checkpoint.scheme", signed.scheme),
            text("chapar.checkpoint.serial", &signed.serial),
            bytes("chapar.checkpoint.certificate", signed.certificate.to_vec()),
        ],
        ..Span::default()
    })
}

/// The attribute that names a chain.
pub(super) fn chain(chain: ChainId) -> KeyValue {
    text("chapar.chain.id", &chain.to_string())
}

fn hash(key: &'static str, hash: Hash) -> KeyValue {
    bytes(key, hash.0.to_vec())
}

fn bytes(key: &'static str, bytes: Vec<u8>) -> KeyValue {
    let value = AnyValue { value: Some(Value::BytesValue(bytes)) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}
