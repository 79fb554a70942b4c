//! Signed checkpoints of a partition's chain, one for each export.

use chapar_core::{record::chain::Checkpoint, time::Timestamp};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::{
    span::{ATTRIBUTES, Stem, bytes, chain, count, nanoseconds, put, text},
    spool::Batch,
};
use crate::trust::{Trust, TrustError};

/// Name of the span that carries a checkpoint.
const CHECKPOINT: &str = "chapar.checkpoint";

/// Appends the checkpoint of `batch`, signed with the key of the certificate that this sidecar shows now, as a span.
///
/// # Errors
/// When the key does not sign; then nothing is appended.
pub(super) fn put_checkpoint(batch: &Batch, at: Timestamp, trust: &Trust, out: &mut Vec<u8>) -> Result<(), TrustError> {
    let checkpoint = Checkpoint {
        chain: batch.after.chain,
        first: batch.first,
        last: batch.after.sequence,
        before: batch.before.head,
        after: batch.after.head,
        at,
    };
    let signed = trust.sign(&checkpoint.signed_bytes())?;
    let at_ns = nanoseconds(at);
    let stem = Stem {
        trace_id: &rand::random::<[u8; 16]>(),
        span_id: &rand::random::<[u8; 8]>(),
        parent_span_id: &[],
        name: CHECKPOINT,
        kind: SpanKind::Internal,
        start_ns: at_ns,
        end_ns: at_ns,
    };
    put(&stem, out, |out| {
        chain(ATTRIBUTES, checkpoint.chain, out);
        count("chapar.checkpoint.first", checkpoint.first, out);
        count("chapar.checkpoint.last", checkpoint.last, out);
        bytes("chapar.checkpoint.before", &checkpoint.before.0, out);
        bytes("chapar.checkpoint.after", &checkpoint.after.0, out);
        bytes("chapar.checkpoint.signature", &signed.signature, out);
        text("chapar.checkpoint.scheme", signed.scheme, out);
        text("chapar.checkpoint.serial", &signed.serial, out);
        bytes("chapar.checkpoint.certificate", &signed.certificate, out);
    });
    Ok(())
}
