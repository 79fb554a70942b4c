//! Forward: a permitted call may go on its way, if there is room for it. The engine does the carrying.

use std::{rc::Rc, time::Instant};

use chapar_core::{
    identity::Agency,
    policy::{Reason, Refusal},
    time::Timestamp,
};

use super::{
    authorize::Allowed,
    call_limit::Full,
    caller::Caller,
    context::SnapshotInForce,
    minimise::{Extent, Minimised},
    record::{Form, PermittedAccount, Refused, RefusedAccount},
    trace,
};

/// A call that may go on its way. Only the stages make one; only the gate takes it apart.
#[derive(Debug)]
pub struct Forward(Forwarding);

/// What the gate needs to carry the call.
#[derive(Debug)]
pub(crate) struct Forwarding {
    /// Holds the permit; closed by how the call ends.
    pub(crate) account: PermittedAccount,
    /// What it was decided on.
    pub(crate) snapshot: Rc<SnapshotInForce>,
    /// When the caller stops waiting.
    pub(crate) deadline: Option<Instant>,
    /// From then on the call has to be decided again.
    pub(crate) valid_until: Timestamp,
    /// Whether `tracestate` goes along: only with the trace it belongs to.
    pub(crate) keeps_tracestate: bool,
    /// How much of the messages passes.
    pub(crate) extent: Extent,
}

impl Forward {
    pub(crate) fn into_forwarding(self) -> Forwarding {
        self.0
    }
}

/// Sends the call on: at the consumer's sidecar to the provider's, there to the agency's own server.
///
/// The policy cannot change between the decision and the call's being under way: a worker takes in a new snapshot between
/// calls only, and then decides all of its calls again.
///
/// # Errors
/// `DRAINING`, `OVERLOADED` or `SHARE_SPENT`.
pub fn on(minimised: Minimised<'_>) -> Result<Forward, Refused> {
    let (Allowed { known, permit }, extent) = minimised.into_parts();
    let opened = known.opened;
    let valid_until = permit.valid_until();
    let mut account = opened.account.permitted_by(permit);
    let limit = opened.context.accounts().share().limit();
    if limit.is_closed() {
        return Err(refused(account, draining()));
    }
    if let Err(full) = account.enter() {
        let refusal = no_room(full, limit.calls_max(), account.caller());
        return Err(refused(account, refusal));
    }
    let keeps_tracestate = opened.trace_joined == trace::Joined::Caller;
    let snapshot = Rc::clone(opened.snapshot);
    Ok(Forward(Forwarding { account, snapshot, deadline: opened.deadline, valid_until, keeps_tracestate, extent }))
}

/// The sidecar goes down.
pub(crate) fn draining() -> Refusal {
    Refusal::new(Reason::Draining, "this sidecar is shutting down; the call may be made again elsewhere or later")
}

fn no_room(full: Full, calls_max: usize, caller: &Caller) -> Refusal {
    match full {
        Full::All => {
            let detail = format!(
                "{calls_max} calls are under way (limits.callsMax); the sidecar's operator must raise it or add a sidecar"
            );
            Refusal::new(Reason::Overloaded, detail)
        }
        Full::Share => {
            let who = caller.agency().map_or("this agency's applications", Agency::as_str);
            let held = caller.calls().count();
            let detail = format!(
                "{held} calls of {who} are under way, which is their share of {calls_max} (limits.callsMax); \
                 they must end before others begin, or the sidecar's operator must raise it"
            );
            Refusal::new(Reason::ShareSpent, detail)
        }
    }
}

fn refused(mut account: PermittedAccount, refusal: Refusal) -> Refused {
    account.refuse(&refusal);
    Refused { account: RefusedAccount::Permitted(account), refusal, form: Form::GrpcStatus }
}
