//! What is known of one call, for as long as its account is open.

use std::{rc::Rc, sync::Arc, time::Instant};

use chapar_core::{
    identity::Agency,
    policy::{GrpcCode, Inquiry, Permit, Reason, Side},
    record::{CallId, CallRecord, Flow, Outcome, TraceContext},
    subject::SubjectHash,
    time::Timestamp,
};

use super::caller::Caller;

/// Room for what is known of one call; empty while no call has it.
pub(super) type Slot = Box<Option<AccountState>>;

/// What is known of a call.
#[derive(Debug)]
pub(super) struct AccountState {
    pub(super) caller: Rc<Caller>,
    pub(super) call_id: CallId,
    pub(super) trace: TraceContext,
    pub(super) side: Side,
    pub(super) started_at: Timestamp,
    pub(super) started: Instant,
    pub(super) identified: bool,
    pub(super) asked: Asked,
    /// Known before the permit is, since a refusal was decided on a policy too.
    pub(super) policy_version: u64,
    pub(super) purpose: Option<String>,
    pub(super) subject: Option<SubjectHash>,
    /// Whether permission was taken from the pool, and has to go back.
    pub(super) entered: bool,
    pub(super) server: Option<Rc<str>>,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<Reason>,
    pub(super) status: GrpcCode,
    /// Name of the grant that a refusal looked at.
    pub(super) refusing_grant: Option<Box<str>>,
    pub(super) request: Flow,
    pub(super) response: Flow,
}

/// What was asked, as far as it is known.
#[derive(Debug)]
pub(super) enum Asked {
    /// No inquiry was found at this path.
    Path(Box<str>),
    /// An inquiry.
    Inquiry(Arc<Inquiry>),
}

impl AccountState {
    /// The record of the call as far as it is known; with the `permit` of a call that has one.
    pub(super) fn record<'r>(&'r self, agency: &'r Agency, permit: Option<&'r Permit>) -> CallRecord<'r> {
        let mut record = CallRecord::begun(self.call_id, self.trace, self.side, "", self.started_at, self.caller.address());
        record.policy_version = self.policy_version;
        match (permit, &self.asked) {
            (Some(permit), _) => {
                asks_for(&mut record, permit.inquiry());
                record.permitted_by(permit);
            }
            (None, Asked::Path(path)) => record.path = path,
            (None, Asked::Inquiry(inquiry)) => asks_for(&mut record, inquiry),
        }
        record.consumer = self.consumer(agency);
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

    fn consumer<'r>(&'r self, agency: &'r Agency) -> &'r str {
        match (self.identified, self.side) {
            (false, _) => "",
            (true, Side::Consumer) => agency.as_str(),
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
