//! A span that the ledger takes, as its reporter may tell it.

use chapar_core::{
    policy::Side,
    record::{
        CallRecord, Loss,
        chain::{ChainId, Checkpoint},
    },
    subject::SubjectHash,
};

use crate::ledger::wire::Arrived;

/// A span that the ledger takes.
#[derive(Debug)]
pub(in crate::ledger) struct ReportedSpan<'a> {
    /// As it came.
    pub(in crate::ledger) arrived: Arrived<'a>,
    pub(in crate::ledger) trace_id: [u8; 16],
    pub(in crate::ledger) span_id: [u8; 8],
    pub(in crate::ledger) started_at_us: i64,
    pub(in crate::ledger) duration_us: i64,
    /// Its place in its sidecar's evidence chain.
    pub(in crate::ledger) place: Option<ChainPlace>,
    pub(in crate::ledger) content: Content<'a>,
}

/// A place in an evidence chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct ChainPlace {
    pub(in crate::ledger) chain: ChainId,
    /// 1, 2, 3 …
    pub(in crate::ledger) sequence: u64,
}

/// Content a span tells.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Nearly every span is of a call, and lives on the stack for a moment.
pub(in crate::ledger) enum Content<'a> {
    /// One side's account of a call.
    Call(Account<'a>),
    /// Records that the sidecar lost.
    Loss(Loss),
    /// A sidecar's signature under a piece of its chain.
    Checkpoint(SignedCheckpoint<'a>),
    /// The sidecar's own work.
    Other,
}

/// One side's account of a call.
#[derive(Debug)]
pub(in crate::ledger) struct Account<'a> {
    pub(in crate::ledger) call_id: [u8; 16],
    pub(in crate::ledger) side: Side,
    pub(in crate::ledger) consumer: &'a str,
    pub(in crate::ledger) provider: &'a str,
    pub(in crate::ledger) inquiry: &'a str,
    pub(in crate::ledger) kind: &'a str,
    pub(in crate::ledger) resolution: &'a str,
    pub(in crate::ledger) outcome: &'a str,
    pub(in crate::ledger) status: &'a str,
    pub(in crate::ledger) reason: &'a str,
    pub(in crate::ledger) subject: Option<SubjectHash>,
    pub(in crate::ledger) request_bytes: u64,
    pub(in crate::ledger) response_bytes: u64,
    /// Whether the other side has to report the call as well.
    pub(in crate::ledger) awaits_other: bool,
    /// The record itself, where the span says all that one holds.
    pub(in crate::ledger) record: Option<CallRecord<'a>>,
}

/// A checkpoint, and the signature under it.
#[derive(Debug)]
pub(in crate::ledger) struct SignedCheckpoint<'a> {
    pub(in crate::ledger) checkpoint: Checkpoint,
    pub(in crate::ledger) scheme: &'a str,
    pub(in crate::ledger) serial: &'a str,
    pub(in crate::ledger) certificate: &'a [u8],
    pub(in crate::ledger) signature: &'a [u8],
}
