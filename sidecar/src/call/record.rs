//! Record: the account of a call. Opened before anything can fail, closed by being dropped, so that no ending is missed.

use std::{sync::Arc, time::Instant};

use chapar_core::{
    identity::AgencyName,
    policy::{GrpcCode, Inquiry, Permit, Reason, Refusal, Side},
    record::{CallRecord, Flow, Outcome, PATH_BYTES_MAX, TraceContext},
    time::Timestamp,
};

use super::Head;
use crate::{metrics::Metrics, report::Reporter};

/// Where accounts are closed: the reporter gets the record, the metrics count it.
#[derive(Debug)]
pub struct Book {
    reporter: Reporter,
    metrics: Arc<Metrics>,
}

impl Book {
    /// A book whose records go to `reporter`.
    #[must_use]
    pub const fn new(reporter: Reporter, metrics: Arc<Metrics>) -> Self {
        Self { reporter, metrics }
    }

    /// Puts down a finished record.
    pub fn put(&self, record: CallRecord) {
        self.metrics.call_ended(&record);
        self.reporter.record(record);
    }

    /// Puts down a handshake that was refused: no call, so it counts as none.
    pub(crate) fn put_handshake(&self, record: CallRecord) {
        self.reporter.record(record);
    }

    /// Brings the metrics of the reporter up to date.
    pub(crate) fn reporting(&self) {
        self.metrics.reporter(self.reporter.depth(), self.reporter.lost());
    }

    /// Where calls are counted.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

/// The open account of one call. Whatever was put down when it is dropped is on record; nothing put down means that the
/// caller went away.
#[derive(Debug)]
pub struct Account {
    record: Option<Box<CallRecord>>,
    started: Instant,
    book: Arc<Book>,
}

/// A call that a stage refused: the engine tells the caller, and the account is closed.
#[derive(Debug)]
pub struct Refused {
    pub(crate) account: Account,
    pub(crate) refusal: Refusal,
    pub(crate) form: Form,
}

/// How the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a gRPC status.
    GrpcStatus,
    /// As HTTP 415: the caller does not speak gRPC.
    UnsupportedMediaType,
}

impl Account {
    pub(super) fn open(
        book: &Arc<Book>,
        side: Side,
        call_id: String,
        trace: TraceContext,
        head: &Head<'_>,
        started_at: Timestamp,
    ) -> Self {
        let empty: Arc<str> = Arc::from("");
        let record = CallRecord {
            call_id: call_id.into(),
            trace,
            side,
            consumer: Arc::clone(&empty),
            provider: Arc::clone(&empty),
            inquiry: Arc::clone(&empty),
            kind: "",
            path: Arc::from(clip(head.path)),
            grant: Arc::clone(&empty),
            resolution: Arc::clone(&empty),
            clause: Arc::clone(&empty),
            policy_version: 0,
            outcome: Outcome::Abandoned,
            reason: None,
            status: GrpcCode::Cancelled,
            started_at,
            duration_us: 0,
            request: Flow::default(),
            response: Flow::default(),
            peer_address: Arc::clone(head.peer_address),
            server_address: empty,
        };
        book.metrics.call_began(side);
        Self { record: Some(Box::new(record)), started: Instant::now(), book: Arc::clone(book) }
    }

    pub(super) fn asked_by(&mut self, consumer: &AgencyName) {
        self.put(|record| record.consumer = Arc::from(consumer.as_str()));
    }

    pub(super) fn asks_for(&mut self, inquiry: &Inquiry) {
        self.put(|record| {
            record.path = Arc::clone(&inquiry.path);
            record.provider = Arc::from(inquiry.key.provider.as_str());
            record.inquiry = Arc::clone(&inquiry.key.inquiry);
            record.kind = inquiry.kind.as_str();
        });
    }

    pub(super) fn decided_on(&mut self, policy_version: u64) {
        self.put(|record| record.policy_version = policy_version);
    }

    pub(super) fn permitted_by(&mut self, permit: &Permit) {
        self.put(|record| record.permitted_by(permit));
    }

    /// Ends as refused.
    pub(crate) fn refused(mut self, refusal: Refusal) -> Refused {
        self.put(|record| record.refused_by(&refusal));
        Refused { account: self, refusal, form: Form::GrpcStatus }
    }

    /// Ends as refused, since it is no gRPC call.
    pub(super) fn not_grpc(self) -> Refused {
        let detail = "the content type is not application/grpc; the application must use a gRPC client";
        let refused = self.refused(Refusal::new(Reason::MalformedCall, detail));
        Refused { form: Form::UnsupportedMediaType, ..refused }
    }

    /// Ends as permitted and broken on the way, for a reason of ours.
    pub(crate) fn broken(mut self, refusal: Refusal) -> Refused {
        self.put(|record| {
            record.outcome = Outcome::Failed;
            record.reason = Some(refusal.reason);
            record.status = refusal.reason.code();
        });
        Refused { account: self, refusal, form: Form::GrpcStatus }
    }

    /// Ends as broken by the other side, which told this status.
    pub(crate) fn failed(mut self, status: GrpcCode) {
        self.put(|record| {
            record.outcome = Outcome::Failed;
            record.status = status;
        });
    }

    /// Ends as served: the server answered with this status.
    pub(crate) fn served(mut self, status: GrpcCode) {
        self.put(|record| {
            record.outcome = Outcome::Served;
            record.status = status;
        });
    }

    /// Ends as refused by the provider's sidecar, in its own words.
    pub(crate) fn refused_elsewhere(mut self, reason: Reason, status: GrpcCode) {
        self.put(|record| {
            record.outcome = Outcome::Refused;
            record.reason = Some(reason);
            record.status = status;
        });
    }

    /// Puts down where it was forwarded to.
    pub(crate) fn forwarded_to(&mut self, address: &Arc<str>) {
        self.put(|record| record.server_address = Arc::clone(address));
    }

    /// Puts down what has flowed.
    pub(crate) fn flowed(&mut self, request: Flow, response: Flow) {
        self.put(|record| (record.request, record.response) = (request, response));
    }

    /// The record as far as it is known.
    pub(crate) fn so_far(&self) -> &CallRecord {
        self.record.as_ref().expect("the record is taken only by drop")
    }

    pub(crate) fn call_id(&self) -> &str {
        &self.so_far().call_id
    }

    pub(super) fn path(&self) -> &str {
        &self.so_far().path
    }

    pub(super) fn trace(&self) -> &TraceContext {
        &self.so_far().trace
    }

    fn put(&mut self, change: impl FnOnce(&mut CallRecord)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.book.put(*record);
        }
    }
}

fn clip(path: &str) -> &str {
    path.get(..path.floor_char_boundary(PATH_BYTES_MAX)).unwrap_or(path)
}
