//! Record: the account of a call. Opened before anything can fail, closed by being dropped, so that no ending is missed.

use std::{
    ops::{Deref, DerefMut},
    rc::Rc,
    sync::Arc,
};

use chapar_core::{
    policy::{GrpcCode, Inquiry, Permit, Reason, Refusal, Side},
    record::{CallId, CallRecord, Flow, Outcome, TraceContext},
    subject::SubjectHash,
    time::Timestamp,
};

use super::{
    account_state::{AccountState, Asked, Slot},
    accounts::Accounts,
    call_limit::Full,
    caller::Caller,
    context::StageContext,
    head::CallHead,
};

/// The open account of one call. Whatever was put down when it is dropped is on record; nothing put down means that the
/// caller went away.
///
/// It is handed from stage to stage, so what is known of the call lies elsewhere, in a slot that the worker's accounts lend it.
#[derive(Debug)]
pub struct Account {
    accounts: Rc<Accounts>,
    slot: Option<Slot>,
}

/// The open account of a call that is permitted, with the permit: there is no call under way without one.
#[derive(Debug)]
pub(crate) struct PermittedAccount {
    permit: Permit,
    account: Account,
}

/// A call that a stage refused: the gate tells the caller, and the account is closed.
#[derive(Debug)]
pub struct Refused {
    pub(crate) account: RefusedAccount,
    pub(crate) refusal: Refusal,
    pub(crate) form: Form,
}

/// The account of a refused call, as far as it had come.
#[derive(Debug)]
pub(crate) enum RefusedAccount {
    /// Nothing permits it.
    Undecided(Account),
    /// It was permitted, and there was no room for it.
    Permitted(PermittedAccount),
}

impl RefusedAccount {
    /// The record as far as it is known.
    pub(crate) fn record(&self) -> CallRecord<'_> {
        match self {
            Self::Undecided(account) => account.record(),
            Self::Permitted(account) => account.record(),
        }
    }
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
    pub(super) fn open(context: &StageContext, side: Side, call_id: CallId, trace: TraceContext, head: &CallHead<'_>) -> Self {
        let accounts = Rc::clone(context.accounts());
        accounts.opened(side);
        let mut slot = accounts.slot();
        slot.replace(AccountState {
            caller: Rc::clone(head.caller),
            call_id,
            trace,
            side,
            started_at: context.now(),
            started: context.at(),
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
        Self { accounts, slot: Some(slot) }
    }

    fn state(&self) -> &AccountState {
        self.slot.as_deref().and_then(Option::as_ref).expect("the slot is filled by `open` and taken by `close`")
    }

    fn state_mut(&mut self) -> &mut AccountState {
        self.slot.as_deref_mut().and_then(Option::as_mut).expect("the slot is filled by `open` and taken by `close`")
    }

    /// Puts down that it is known who asks: this agency, or that of the caller's certificate.
    pub(super) fn identified(&mut self) {
        self.state_mut().identified = true;
    }

    /// Puts down a path that no inquiry was found at.
    pub(super) fn asks_for_path(&mut self, path: Box<str>) {
        self.state_mut().asked = Asked::Path(path);
    }

    pub(super) fn asks_for(&mut self, inquiry: &Arc<Inquiry>) {
        self.state_mut().asked = Asked::Inquiry(Arc::clone(inquiry));
    }

    pub(super) fn decided_on(&mut self, policy_version: u64) {
        self.state_mut().policy_version = policy_version;
    }

    /// The account of the call as one that `permit` allows.
    pub(super) const fn permitted_by(self, permit: Permit) -> PermittedAccount {
        PermittedAccount { permit, account: self }
    }

    pub(super) fn states(&mut self, purpose: String) {
        self.state_mut().purpose = Some(purpose);
    }

    /// Takes permission for one call more of the caller's agency.
    ///
    /// # Errors
    /// When there is none, or none for that agency.
    pub(super) fn enter(&mut self) -> Result<(), Full> {
        self.accounts.share().enter(self.state().caller.calls())?;
        self.state_mut().entered = true;
        Ok(())
    }

    /// Puts down whom the call asks about.
    pub(crate) fn asks_about(&mut self, subject: SubjectHash) {
        self.state_mut().subject = Some(subject);
    }

    /// Puts down where it was sent.
    pub(crate) fn forwarded_to(&mut self, address: &Rc<str>) {
        self.state_mut().server = Some(Rc::clone(address));
    }

    /// Puts down what has flowed.
    pub(crate) fn flowed(&mut self, request: Flow, response: Flow) {
        let state = self.state_mut();
        (state.request, state.response) = (request, response);
    }

    /// Ends as refused here.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        self.end(Outcome::Refused, Some(refusal.reason), refusal.reason.code());
        self.state_mut().refusing_grant = refusal.grant.as_deref().map(Box::from);
    }

    /// Ends as permitted and broken on the way, for a reason of ours.
    pub(crate) fn break_off(&mut self, reason: Reason) {
        self.end(Outcome::Failed, Some(reason), reason.code());
    }

    /// Ends so. What ended otherwise before ended so after all.
    pub(crate) fn end(&mut self, outcome: Outcome, reason: Option<Reason>, status: GrpcCode) {
        let state = self.state_mut();
        (state.outcome, state.reason, state.status) = (outcome, reason, status);
    }

    /// Tracking ID.
    pub(crate) fn call_id(&self) -> CallId {
        self.state().call_id
    }

    /// Its place in the trace.
    pub(crate) fn trace(&self) -> &TraceContext {
        &self.state().trace
    }

    /// When its head had arrived.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.state().started_at
    }

    /// Which side this is.
    pub(crate) fn side(&self) -> Side {
        self.state().side
    }

    /// Whether a purpose was stated.
    pub(crate) fn states_purpose(&self) -> bool {
        self.state().purpose.is_some()
    }

    /// Who brings it.
    pub(crate) fn caller(&self) -> &Rc<Caller> {
        &self.state().caller
    }

    /// The record as far as it is known.
    pub(crate) fn record(&self) -> CallRecord<'_> {
        self.state().record(self.accounts.agency(), None)
    }

    /// Puts the call on record as it stands, once.
    fn close(&mut self, permit: Option<&Permit>) {
        let Some(mut slot) = self.slot.take() else { return };
        if let Some(state) = &mut *slot {
            let mut record = state.record(self.accounts.agency(), permit);
            let duration = self.accounts.now().saturating_duration_since(state.started);
            record.duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            self.accounts.closed(&record);
            if state.entered {
                self.accounts.share().leave(state.caller.calls());
            }
            if let Some(text) = state.purpose.take() {
                self.accounts.give_back_purpose(text);
            }
        }
        *slot = None;
        self.accounts.give_back_slot(slot);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.close(None);
    }
}

impl PermittedAccount {
    /// What permits it.
    pub(crate) const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The record as far as it is known.
    pub(crate) fn record(&self) -> CallRecord<'_> {
        self.account.state().record(self.account.accounts.agency(), Some(&self.permit))
    }
}

impl Drop for PermittedAccount {
    fn drop(&mut self) {
        self.account.close(Some(&self.permit));
    }
}

impl Deref for PermittedAccount {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.account
    }
}

impl DerefMut for PermittedAccount {
    fn deref_mut(&mut self) -> &mut Account {
        &mut self.account
    }
}
