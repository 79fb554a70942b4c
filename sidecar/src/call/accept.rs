//! Accept: open the account of a call, and read from its head what every later stage relies on.

use std::{rc::Rc, time::Instant};

use chapar_core::{
    metadata,
    policy::{Reason, Refusal, Side},
    record::{CallId, PATH_BYTES_MAX},
};
use chapar_relay::hpack::KnownName;

use super::{
    context::{SnapshotInForce, StageContext},
    head::CallHead,
    record::{Account, Form, Refused, RefusedAccount},
    timeout, trace,
};

/// A call whose head is well formed, and whose account is open.
#[derive(Debug)]
pub struct Accepted<'c>(Opened<'c>);

/// What accept read. Only the stages see inside.
#[derive(Debug)]
pub(super) struct Opened<'c> {
    pub(super) account: Account,
    pub(super) context: &'c StageContext,
    pub(super) head: &'c CallHead<'c>,
    pub(super) path: &'c str,
    pub(super) deadline: Option<Instant>,
    pub(super) wanted_provider: Option<&'c str>,
    pub(super) trace_joined: trace::Joined,
    pub(super) snapshot: &'c Rc<SnapshotInForce>,
}

impl<'c> Accepted<'c> {
    pub(super) fn into_opened(self) -> Opened<'c> {
        self.0
    }
}

impl Opened<'_> {
    /// Ends as refused before it is known what inquiry is asked for.
    pub(super) fn refused(self, refusal: Refusal) -> Refused {
        refuse(self.account, self.head, refusal)
    }
}

/// Accepts a call of the agency's own application.
///
/// # Errors
/// `MALFORMED_CALL`, `RECORDS_FULL`, `DEADLINE_EXCEEDED` or `SNAPSHOT_MISSING`.
pub fn from_application<'c>(context: &'c StageContext, head: &'c CallHead<'_>) -> Result<Accepted<'c>, Refused> {
    let call_id = trace::call_id(&mut context.rng().borrow_mut());
    let wanted_provider = head.text(KnownName::ChaparProvider);
    accept(context, head, Side::Consumer, call_id, wanted_provider)
}

/// Accepts a call that another sidecar brings. That sidecar's tracking ID is kept where it is one, so that both halves of
/// the account can be paired. Whoever reached this sidecar asks this agency.
///
/// # Errors
/// As [`from_application`].
pub fn from_sidecar<'c>(context: &'c StageContext, head: &'c CallHead<'_>) -> Result<Accepted<'c>, Refused> {
    let brought = head.text(KnownName::ChaparCallId).and_then(|id| CallId::parse(id.as_bytes()).ok());
    let call_id = brought.unwrap_or_else(|| trace::call_id(&mut context.rng().borrow_mut()));
    accept(context, head, Side::Provider, call_id, Some(context.agency().as_str()))
}

fn accept<'c>(
    context: &'c StageContext,
    head: &'c CallHead<'_>,
    side: Side,
    call_id: CallId,
    wanted_provider: Option<&'c str>,
) -> Result<Accepted<'c>, Refused> {
    let traceparent = head.text(KnownName::Traceparent).map(str::as_bytes);
    let (trace, trace_joined) = trace::join(traceparent, &mut context.rng().borrow_mut());
    let mut account = Account::open(context, side, call_id, trace, head);
    if !is_grpc(head) {
        return Err(not_grpc(account, head));
    }
    match read(context, head, &mut account) {
        Ok((path, deadline, snapshot)) => {
            Ok(Accepted(Opened { account, context, head, path, deadline, wanted_provider, trace_joined, snapshot }))
        }
        Err(refusal) => Err(refuse(account, head, refusal)),
    }
}

type Read<'c> = (&'c str, Option<Instant>, &'c Rc<SnapshotInForce>);

fn read<'c>(context: &'c StageContext, head: &'c CallHead<'_>, account: &mut Account) -> Result<Read<'c>, Refusal> {
    let path = well_formed(head)?;
    if !context.accounts().admits() {
        let detail = "there is no room left to keep the account of another call, and no call goes without; \
                      the sidecar's operator must make room or restore the connection to the control plane";
        return Err(Refusal::new(Reason::RecordsFull, detail));
    }
    let deadline = deadline(context, head)?;
    if let Some(purpose) = purpose(context, head)? {
        account.states(purpose);
    }
    Ok((path, deadline, context.in_force()?))
}

fn refuse(mut account: Account, head: &CallHead<'_>, refusal: Refusal) -> Refused {
    account.asks_for_path(head.path_on_record());
    account.refuse(&refusal);
    Refused { account: RefusedAccount::Undecided(account), refusal, form: Form::GrpcStatus }
}

fn not_grpc(account: Account, head: &CallHead<'_>) -> Refused {
    let detail = "the content type is not application/grpc; the application must use a gRPC client";
    let refused = refuse(account, head, Refusal::new(Reason::MalformedCall, detail));
    Refused { form: Form::UnsupportedMediaType, ..refused }
}

/// gRPC over HTTP/2: anything else gets HTTP 415, as the protocol asks of servers.
fn is_grpc(head: &CallHead<'_>) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    head.metadata.first(KnownName::ContentType).is_some_and(|kind| {
        let rest = kind.get(..GRPC.len()).filter(|start| start.eq_ignore_ascii_case(GRPC));
        rest.is_some() && matches!(kind.get(GRPC.len()), None | Some(b'+' | b';' | b' '))
    })
}

fn malformed(detail: impl Into<String>) -> Refusal {
    Refusal::new(Reason::MalformedCall, detail)
}

/// The path, if the call is one that gRPC allows.
fn well_formed<'c>(head: &'c CallHead<'_>) -> Result<&'c str, Refusal> {
    if head.method != b"POST" {
        return Err(malformed("a gRPC call is an HTTP POST; the application must use a gRPC client"));
    }
    let path = std::str::from_utf8(head.path).ok().filter(|path| path.len() <= PATH_BYTES_MAX);
    let Some(path) = path.filter(|path| names_a_method(path)) else {
        return Err(malformed(format!(
            "the path is not /package.Service/Method of at most {PATH_BYTES_MAX} bytes; the application must name an inquiry"
        )));
    };
    for (known, name) in [(KnownName::ChaparProvider, metadata::PROVIDER), (KnownName::GrpcTimeout, "grpc-timeout")] {
        once(head, known, name)?;
    }
    Ok(path)
}

fn names_a_method(path: &str) -> bool {
    let named = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    named.is_some_and(|(service, method)| !service.is_empty() && !method.is_empty() && !method.contains('/'))
}

/// The value under a name that may occur once at most.
fn once<'c>(head: &'c CallHead<'_>, known: KnownName, name: &str) -> Result<Option<&'c [u8]>, Refusal> {
    let value = head.metadata.first(known);
    if value.is_some() && head.text(known).is_none() {
        return Err(malformed(format!("the metadata {name} must occur once and be text; the application must correct it")));
    }
    Ok(value)
}

fn deadline(context: &StageContext, head: &CallHead<'_>) -> Result<Option<Instant>, Refusal> {
    let Some(text) = head.metadata.first(KnownName::GrpcTimeout) else {
        return Ok(None);
    };
    let timeout = timeout::parse(text).map_err(|_| {
        malformed("grpc-timeout is not one to eight digits and a unit (n, u, m, S, M, H); the application must correct it")
    })?;
    if timeout.is_zero() {
        let detail = "the deadline had passed when the call arrived; the application must allow more time";
        return Err(Refusal::new(Reason::DeadlineExceeded, detail));
    }
    // A deadline beyond what the machine's clock can count is none.
    Ok(context.at().checked_add(timeout))
}

fn purpose(context: &StageContext, head: &CallHead<'_>) -> Result<Option<String>, Refusal> {
    let Some(stated) = once(head, KnownName::ChaparPurpose, metadata::PURPOSE)? else {
        return Ok(None);
    };
    let mut text = context.accounts().purpose();
    match chapar_core::purpose::read_into(stated, &mut text) {
        Ok(true) => Ok(Some(text)),
        Ok(false) => {
            context.accounts().give_back_purpose(text);
            Ok(None)
        }
        Err(problem) => Err(malformed(problem.to_string())),
    }
}
