//! Record: the account of a call. Opened before anything can fail, closed by being dropped, so that no ending is missed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chapar_core::{
    identity::AgencyName,
    policy::{GrpcCode, Inquiry, Permit, Reason, Refusal, Side},
    purpose::Purpose,
    record::{CallId, CallRecord, Flow, Outcome, PATH_BYTES_MAX, TraceContext},
    time::Timestamp,
};

use super::Head;
use crate::{
    metrics::Metrics,
    report::{Lane, Reporter, SpoolError},
};

/// Where accounts are closed: the lane gets the record, the metrics count it.
#[derive(Debug)]
pub struct Book {
    reporter: Reporter,
    lane: Mutex<Lane>,
    metrics: Arc<Metrics>,
}

impl Book {
    /// A book whose records go to a lane of `reporter`.
    ///
    /// # Errors
    /// When there is no such lane to be had.
    pub fn new(reporter: Reporter, metrics: Arc<Metrics>) -> Result<Self, SpoolError> {
        let lane = Mutex::new(reporter.lane()?);
        Ok(Self { reporter, lane, metrics })
    }

    /// Puts down a finished record.
    pub fn put(&self, record: &CallRecord<'_>) {
        self.metrics.call_ended(record);
        self.keep(record);
    }

    /// Puts down a handshake that was refused: no call, so it counts as none.
    pub(crate) fn put_handshake(&self, record: &CallRecord<'_>) {
        self.keep(record);
    }

    /// Whether new calls may be carried: see [`Lane::admits`].
    pub(crate) fn admits(&self) -> bool {
        self.lane().admits()
    }

    fn keep(&self, record: &CallRecord<'_>) {
        let mut lane = self.lane();
        lane.put(record);
        lane.commit();
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
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
    draft: Box<Draft>,
    started: Instant,
    book: Arc<Book>,
}

/// What an account keeps until its record is made.
#[derive(Debug)]
struct Draft {
    call_id: CallId,
    trace: TraceContext,
    side: Side,
    consumer: Option<AgencyName>,
    inquiry: Option<Arc<Inquiry>>,
    purpose: Option<Purpose>,
    /// As the call named it, where it named no inquiry.
    path: Box<str>,
    permit: Option<Permit>,
    /// The grant that a refusal named.
    refused_by_grant: Option<Box<str>>,
    policy_version: u64,
    outcome: Outcome,
    reason: Option<Reason>,
    status: GrpcCode,
    started_at: Timestamp,
    request: Flow,
    response: Flow,
    peer_address: Arc<str>,
    server_address: Option<Arc<str>>,
}

impl Draft {
    fn record(&self) -> CallRecord<'_> {
        let mut record = CallRecord {
            consumer: self.consumer.as_ref().map_or("", AgencyName::as_str),
            purpose: self.purpose.as_ref().map_or("", Purpose::as_str),
            policy_version: self.policy_version,
            outcome: self.outcome,
            reason: self.reason,
            status: self.status,
            request: self.request,
            response: self.response,
            server_address: self.server_address.as_deref().unwrap_or_default(),
            ..CallRecord::begun(self.call_id, self.trace, self.side, &self.path, self.started_at, &self.peer_address)
        };
        if let Some(inquiry) = &self.inquiry {
            record.path = &inquiry.path;
            record.provider = inquiry.key.provider.as_str();
            record.inquiry = &inquiry.key.inquiry;
            record.kind = inquiry.kind.as_str();
        }
        if let Some(permit) = &self.permit {
            record.permitted_by(permit);
        }
        if let Some(grant) = &self.refused_by_grant {
            record.grant = grant;
        }
        record
    }
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
        call_id: CallId,
        trace: TraceContext,
        head: &Head<'_>,
        started_at: Timestamp,
    ) -> Self {
        let draft = Draft {
            call_id,
            trace,
            side,
            consumer: None,
            inquiry: None,
            purpose: None,
            path: Box::from(clip(head.path)),
            permit: None,
            refused_by_grant: None,
            policy_version: 0,
            outcome: Outcome::Abandoned,
            reason: None,
            status: GrpcCode::Cancelled,
            started_at,
            request: Flow::default(),
            response: Flow::default(),
            peer_address: Arc::clone(head.peer_address),
            server_address: None,
        };
        book.metrics.call_began(side);
        Self { draft: Box::new(draft), started: Instant::now(), book: Arc::clone(book) }
    }

    pub(super) fn asked_by(&mut self, consumer: &AgencyName) {
        self.draft.consumer = Some(consumer.clone());
    }

    pub(super) fn asks_for(&mut self, inquiry: &Arc<Inquiry>) {
        self.draft.inquiry = Some(Arc::clone(inquiry));
    }

    pub(super) fn states(&mut self, purpose: Purpose) {
        self.draft.purpose = Some(purpose);
    }

    pub(super) const fn decided_on(&mut self, policy_version: u64) {
        self.draft.policy_version = policy_version;
    }

    pub(super) fn permitted_by(&mut self, permit: &Permit) {
        self.draft.permit = Some(permit.clone());
    }

    /// Ends as refused.
    pub(crate) fn refused(mut self, refusal: Refusal) -> Refused {
        self.end(Outcome::Refused, Some(refusal.reason), refusal.reason.code());
        if let Some(grant) = &refusal.grant {
            self.draft.refused_by_grant = Some(Box::from(grant.as_str()));
        }
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
        self.end(Outcome::Failed, Some(refusal.reason), refusal.reason.code());
        Refused { account: self, refusal, form: Form::GrpcStatus }
    }

    /// Ends as broken by the other side, which told this status.
    pub(crate) fn failed(mut self, status: GrpcCode) {
        self.end(Outcome::Failed, None, status);
    }

    /// Ends as served: the server answered with this status.
    pub(crate) fn served(mut self, status: GrpcCode) {
        self.end(Outcome::Served, None, status);
    }

    /// Ends as refused by the provider's sidecar, in its own words.
    pub(crate) fn refused_elsewhere(mut self, reason: Reason, status: GrpcCode) {
        self.end(Outcome::Refused, Some(reason), status);
    }

    /// Puts down where it was forwarded to.
    pub(crate) fn forwarded_to(&mut self, address: &Arc<str>) {
        self.draft.server_address = Some(Arc::clone(address));
    }

    /// Puts down what has flowed.
    pub(crate) const fn flowed(&mut self, request: Flow, response: Flow) {
        (self.draft.request, self.draft.response) = (request, response);
    }

    /// The record as far as it is known.
    pub(crate) fn so_far(&self) -> CallRecord<'_> {
        self.draft.record()
    }

    pub(crate) const fn call_id(&self) -> CallId {
        self.draft.call_id
    }

    pub(super) fn path(&self) -> &str {
        self.draft.inquiry.as_ref().map_or(&self.draft.path, |inquiry| &inquiry.path)
    }

    pub(super) const fn trace(&self) -> &TraceContext {
        &self.draft.trace
    }

    const fn end(&mut self, outcome: Outcome, reason: Option<Reason>, status: GrpcCode) {
        self.draft.outcome = outcome;
        self.draft.reason = reason;
        self.draft.status = status;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.book.put(&CallRecord { duration_us, ..self.draft.record() });
    }
}

fn clip(path: &str) -> &str {
    path.get(..path.floor_char_boundary(PATH_BYTES_MAX)).unwrap_or(path)
}
