//! Record: the account of a call. Opened before anything can fail, closed by being dropped, so that no ending is missed.

use std::{rc::Rc, sync::Arc, time::Instant};

use chapar_core::{
    identity::Agency,
    policy::{GrpcCode, Inquiry, Permit, Reason, Refusal, Side},
    record::{CallId, CallRecord, Flow, Outcome, TraceContext},
    subject::SubjectHash,
    time::Timestamp,
};

use super::{Caller, Desk, Head, book::Book};

/// The open account of one call. Whatever was put down when it is dropped is on record; nothing put down means that the
/// caller went away.
///
/// It is handed from stage to stage, so what it holds lies elsewhere, in a place that its book lends it.
#[derive(Debug)]
pub struct Account {
    book: Rc<Book>,
    sheet: Option<Sheet>,
}

/// A place for what is known of one call; empty while no call has it.
pub(super) type Sheet = Box<Option<Draft>>;

/// What is known of a call.
#[derive(Debug)]
pub(super) struct Draft {
    caller: Rc<Caller>,
    call_id: CallId,
    trace: TraceContext,
    side: Side,
    started_at: Timestamp,
    started: Instant,
    identified: bool,
    asked: Asked,
    /// Known before the permit is, since a refusal was decided on a policy too.
    policy_version: u64,
    purpose: Option<String>,
    subject: Option<SubjectHash>,
    /// Whether permission was taken from the pool, and has to go back.
    entered: bool,
    server: Option<Rc<str>>,
    outcome: Outcome,
    reason: Option<Reason>,
    status: GrpcCode,
    /// Name of the grant that a refusal looked at.
    refusing_grant: Option<Box<str>>,
    request: Flow,
    response: Flow,
}

/// What was asked, as far as it is known.
#[derive(Debug)]
enum Asked {
    /// No inquiry was found at this path.
    Path(Box<str>),
    /// An inquiry.
    Inquiry(Arc<Inquiry>),
    /// An inquiry that may be made.
    Permitted(Permit),
}

/// A call that a stage refused: the gate tells the caller, and the account is closed.
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
    pub(super) fn open(desk: &Desk, side: Side, call_id: CallId, trace: TraceContext, head: &Head<'_>) -> Self {
        let book = Rc::clone(desk.book());
        book.opened(side);
        let mut sheet = book.sheet();
        sheet.replace(Draft {
            caller: Rc::clone(head.caller),
            call_id,
            trace,
            side,
            started_at: desk.now(),
            started: desk.at(),
            identified: false,
            asked: Asked::Path(Box::default()),
            policy_version: 0,
            purpose: None,
            subject: None,
            entered: false,
            server: None,
            outcome: Outcome::Abandoned,
            reason: None,
            status: GrpcCode::Cancelled,
            refusing_grant: None,
            request: Flow { messages: 0, bytes: 0 },
            response: Flow { messages: 0, bytes: 0 },
        });
        Self { book, sheet: Some(sheet) }
    }

    fn draft(&self) -> &Draft {
        self.sheet.as_deref().and_then(Option::as_ref).expect("the sheet is filled by `open` and taken by `drop`")
    }

    fn draft_mut(&mut self) -> &mut Draft {
        self.sheet.as_deref_mut().and_then(Option::as_mut).expect("the sheet is filled by `open` and taken by `drop`")
    }

    /// Puts down that it is known who asks: this agency, or that of the caller's certificate.
    pub(super) fn identified(&mut self) {
        self.draft_mut().identified = true;
    }

    /// Puts down a path that no inquiry was found at.
    pub(super) fn asks_for_path(&mut self, path: Box<str>) {
        self.draft_mut().asked = Asked::Path(path);
    }

    pub(super) fn asks_for(&mut self, inquiry: &Arc<Inquiry>) {
        self.draft_mut().asked = Asked::Inquiry(Arc::clone(inquiry));
    }

    pub(super) fn decided_on(&mut self, policy_version: u64) {
        self.draft_mut().policy_version = policy_version;
    }

    pub(super) fn permitted_by(&mut self, permit: Permit) {
        self.draft_mut().asked = Asked::Permitted(permit);
    }

    pub(super) fn states(&mut self, purpose: String) {
        self.draft_mut().purpose = Some(purpose);
    }

    /// Takes permission for one call more; false when as many are under way as may be.
    pub(super) fn enter(&mut self) -> bool {
        let entered = self.book.share().enter();
        self.draft_mut().entered = entered;
        entered
    }

    /// Puts down whom the call asks about.
    pub(crate) fn asks_about(&mut self, subject: SubjectHash) {
        self.draft_mut().subject = Some(subject);
    }

    /// Puts down where it was sent.
    pub(crate) fn forwarded_to(&mut self, address: &Rc<str>) {
        self.draft_mut().server = Some(Rc::clone(address));
    }

    /// Puts down what has flowed.
    pub(crate) fn flowed(&mut self, request: Flow, response: Flow) {
        let draft = self.draft_mut();
        (draft.request, draft.response) = (request, response);
    }

    /// Ends as refused here.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        self.end(Outcome::Refused, Some(refusal.reason), refusal.reason.code());
        self.draft_mut().refusing_grant = refusal.grant.as_deref().map(Box::from);
    }

    /// Ends as permitted and broken on the way, for a reason of ours.
    pub(crate) fn break_off(&mut self, reason: Reason) {
        self.end(Outcome::Failed, Some(reason), reason.code());
    }

    /// Ends as broken by the other side, which told this status.
    pub(crate) fn fail(&mut self, status: GrpcCode) {
        self.end(Outcome::Failed, None, status);
    }

    /// Ends as served: the server answered with this status.
    pub(crate) fn serve(&mut self, status: GrpcCode) {
        self.end(Outcome::Served, None, status);
    }

    /// Ends as refused by the provider's sidecar, in its own words.
    pub(crate) fn refuse_elsewhere(&mut self, reason: Reason, status: GrpcCode) {
        self.end(Outcome::Refused, Some(reason), status);
    }

    /// Ends because the caller went away.
    pub(crate) fn abandon(&mut self) {
        self.end(Outcome::Abandoned, None, GrpcCode::Cancelled);
    }

    fn end(&mut self, outcome: Outcome, reason: Option<Reason>, status: GrpcCode) {
        let draft = self.draft_mut();
        (draft.outcome, draft.reason, draft.status) = (outcome, reason, status);
    }

    /// Tracking ID.
    pub(crate) fn call_id(&self) -> CallId {
        self.draft().call_id
    }

    /// Its place in the trace.
    pub(crate) fn trace(&self) -> &TraceContext {
        &self.draft().trace
    }

    /// Which side this is.
    pub(crate) fn side(&self) -> Side {
        self.draft().side
    }

    /// Whether a purpose was stated.
    pub(crate) fn states_purpose(&self) -> bool {
        self.draft().purpose.is_some()
    }

    /// Who brings it.
    pub(crate) fn caller(&self) -> &Rc<Caller> {
        &self.draft().caller
    }

    /// What permits it; `None` until it is decided.
    pub(crate) fn permit(&self) -> Option<&Permit> {
        match &self.draft().asked {
            Asked::Permitted(permit) => Some(permit),
            Asked::Path(_) | Asked::Inquiry(_) => None,
        }
    }

    /// The record as far as it is known.
    pub(crate) fn record(&self) -> CallRecord<'_> {
        self.draft().record(&self.book)
    }
}

impl Draft {
    fn record<'r>(&'r self, book: &'r Book) -> CallRecord<'r> {
        let mut record = CallRecord::begun(self.call_id, self.trace, self.side, "", self.started_at, self.caller.address());
        record.policy_version = self.policy_version;
        match &self.asked {
            Asked::Path(path) => record.path = path,
            Asked::Inquiry(inquiry) => asks_for(&mut record, inquiry),
            Asked::Permitted(permit) => {
                asks_for(&mut record, permit.inquiry());
                record.permitted_by(permit);
            }
        }
        record.consumer = self.consumer(book);
        record.purpose = self.purpose.as_deref().unwrap_or_default();
        record.subject = self.subject;
        (record.outcome, record.reason, record.status) = (self.outcome, self.reason, self.status);
        if let Some(grant) = &self.refusing_grant {
            record.grant = grant;
        }
        record.server_address = self.server.as_deref().unwrap_or_default();
        (record.request, record.response) = (self.request, self.response);
        record
    }

    fn consumer<'r>(&'r self, book: &'r Book) -> &'r str {
        match (self.identified, self.side) {
            (false, _) => "",
            (true, Side::Consumer) => book.agency().as_str(),
            (true, Side::Provider) => self.caller.agency().map_or("", Agency::as_str),
        }
    }
}

fn asks_for<'r>(record: &mut CallRecord<'r>, inquiry: &'r Inquiry) {
    record.path = &inquiry.path;
    record.provider = inquiry.key.provider.as_str();
    record.inquiry = &inquiry.key.inquiry;
    record.kind = inquiry.kind.as_str();
}

impl Drop for Account {
    fn drop(&mut self) {
        let Some(mut sheet) = self.sheet.take() else { return };
        if let Some(draft) = &mut *sheet {
            let mut record = draft.record(&self.book);
            let duration = self.book.now().saturating_duration_since(draft.started);
            record.duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            self.book.closed(&record);
            if draft.entered {
                self.book.share().leave();
            }
            if let Some(text) = draft.purpose.take() {
                self.book.keep_text(text);
            }
        }
        *sheet = None;
        self.book.keep_sheet(sheet);
    }
}
