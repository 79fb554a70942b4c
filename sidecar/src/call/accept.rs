//! Accept: open the account of a call, and read from its head what every later stage relies on.

use std::{sync::Arc, time::Instant};

use chapar_core::{
    policy::{PeerCertificate, PolicySnapshot, Reason, Refusal, Side},
    purpose::Purpose,
    record::{CallId, PATH_BYTES_MAX},
    time::Timestamp,
};

use super::{
    CALL_ID_METADATA, Desk, Head, PROVIDER_METADATA, PURPOSE_METADATA, record::Account, record::Refused, timeout, trace,
};

/// A call whose head is well formed, and whose account is open.
#[derive(Debug)]
pub struct Accepted(Opened);

/// What accept read. Only the stages see inside.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) account: Account,
    pub(super) side: Side,
    pub(super) now: Timestamp,
    pub(super) deadline: Option<Instant>,
    pub(super) wanted_provider: Option<Box<str>>,
    pub(super) purpose: Option<Purpose>,
    pub(super) trace_joined: trace::Joined,
    pub(super) own_agency: chapar_core::identity::AgencyName,
    pub(super) own: Arc<PeerCertificate>,
    pub(super) snapshot: Arc<PolicySnapshot>,
}

impl Accepted {
    pub(super) fn into_opened(self) -> Opened {
        self.0
    }
}

/// Accepts a call of the agency's own application.
///
/// # Errors
/// `MALFORMED_CALL`, `DEADLINE_EXCEEDED`, `RECORDS_FULL` or `SNAPSHOT_MISSING`.
pub fn from_application(desk: &Desk, head: &Head<'_>) -> Result<Accepted, Refused> {
    let call_id = trace::call_id();
    accept(desk, head, Side::Consumer, call_id)
}

/// Accepts a call that another sidecar brings. That sidecar's tracking ID is kept where it is one, so that both halves of
/// the account can be paired.
///
/// # Errors
/// As [`from_application`].
pub fn from_sidecar(desk: &Desk, head: &Head<'_>) -> Result<Accepted, Refused> {
    let brought = head.text(CALL_ID_METADATA).and_then(|id| id.parse().ok());
    let call_id = brought.unwrap_or_else(trace::call_id);
    accept(desk, head, Side::Provider, call_id)
}

fn accept(desk: &Desk, head: &Head<'_>, side: Side, call_id: CallId) -> Result<Accepted, Refused> {
    let started = Instant::now();
    let now = desk.clock.now();
    let (place, trace_joined) = trace::join(head.text("traceparent"));
    let mut account = Account::open(&desk.book, side, call_id, place, head, now);
    if !is_grpc(head) {
        return Err(account.not_grpc());
    }
    if let Err(problem) = well_formed(head) {
        return Err(account.refused(Refusal::new(Reason::MalformedCall, problem)));
    }
    let deadline = match deadline(head, started) {
        Ok(deadline) => deadline,
        Err(refusal) => return Err(account.refused(refusal)),
    };
    let purpose = match head.text(PURPOSE_METADATA).map(|text| Purpose::parse(text.as_bytes())).transpose() {
        Ok(purpose) => purpose.flatten(),
        Err(malformed) => return Err(account.refused(Refusal::new(Reason::MalformedCall, malformed.to_string()))),
    };
    if let Some(purpose) = &purpose {
        account.states(purpose.clone());
    }
    if !desk.book.admits() {
        return Err(account.refused(Refusal::new(
            Reason::RecordsFull,
            "this sidecar has no room left to put calls on record and carries none that it cannot account for; its operator must \
             bring back the control plane, or give the spool room",
        )));
    }
    let Some(snapshot) = desk.current.load() else {
        return Err(account.refused(Refusal::new(
            Reason::SnapshotMissing,
            "this sidecar has no snapshot of the policy yet; its operator must connect it to the control plane",
        )));
    };
    let wanted_provider = match side {
        Side::Consumer => head.text(PROVIDER_METADATA).map(Box::from),
        // Whoever reached this sidecar asks this agency.
        Side::Provider => Some(Box::from(desk.agency.as_str())),
    };
    Ok(Accepted(Opened {
        account,
        side,
        now,
        deadline,
        wanted_provider,
        purpose,
        trace_joined,
        own_agency: desk.agency.clone(),
        own: desk.trust.own(),
        snapshot,
    }))
}

/// gRPC over HTTP/2: anything else gets HTTP 415, as the protocol asks of servers.
fn is_grpc(head: &Head<'_>) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    head.metadata.first("content-type").is_some_and(|kind| {
        let rest = kind.get(..GRPC.len()).filter(|start| start.eq_ignore_ascii_case(GRPC));
        rest.is_some() && matches!(kind.get(GRPC.len()), None | Some(b'+' | b';' | b' '))
    })
}

fn well_formed(head: &Head<'_>) -> Result<(), String> {
    if head.method != "POST" {
        return Err("a gRPC call is an HTTP POST; the application must use a gRPC client".to_owned());
    }
    let method = head.path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let shaped = method.is_some_and(|(service, method)| !service.is_empty() && !method.is_empty() && !method.contains('/'));
    if !shaped || head.path.len() > PATH_BYTES_MAX {
        return Err(format!(
            "the path is not /package.Service/Method of at most {PATH_BYTES_MAX} bytes; the application must name an inquiry"
        ));
    }
    for name in [PROVIDER_METADATA, PURPOSE_METADATA, "grpc-timeout"] {
        if head.metadata.first(name).is_some() && head.text(name).is_none() {
            return Err(format!("the metadata {name} must occur once and be text; the application must correct it"));
        }
    }
    Ok(())
}

fn deadline(head: &Head<'_>, started: Instant) -> Result<Option<Instant>, Refusal> {
    let Some(text) = head.metadata.first("grpc-timeout") else {
        return Ok(None);
    };
    let timeout = timeout::parse(text).map_err(|_| {
        let detail = "grpc-timeout is not one to eight digits and a unit (n, u, m, S, M, H); the application must correct it";
        Refusal::new(Reason::MalformedCall, detail)
    })?;
    if timeout.is_zero() {
        let detail = "the deadline had passed when the call arrived; the application must allow more time";
        return Err(Refusal::new(Reason::DeadlineExceeded, detail));
    }
    // A deadline beyond what the machine's clock can count is none.
    Ok(started.checked_add(timeout))
}
