//! Forward: a permitted call may go on its way, if there is room for it. The engine does the carrying.

use std::time::Instant;

use chapar_core::{
    policy::{Reason, Refusal},
    time::Timestamp,
};

use super::{
    authorize::Allowed,
    minimise::{Extent, Minimised},
    record::{Account, Form, Refused},
    trace,
};

/// A call that may go on its way. Only the stages make one; only the gate takes it apart.
#[derive(Debug)]
pub struct Forward(Way);

/// What the gate needs to carry the call.
#[derive(Debug)]
pub(crate) struct Way {
    /// Holds the permit; closed by how the call ends.
    pub(crate) account: Account,
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
    pub(crate) fn into_way(self) -> Way {
        self.0
    }
}

/// Sends the call on: at the consumer's sidecar to the provider's, there to the agency's own server.
///
/// The policy cannot change between the decision and the call's being under way: a worker takes in a new snapshot between
/// calls only, and then decides all of its calls again.
///
/// # Errors
/// `DRAINING` or `OVERLOADED`.
pub fn on(minimised: Minimised<'_>) -> Result<Forward, Refused> {
    let (Allowed { known, permit }, extent) = minimised.into_parts();
    let opened = known.opened;
    let mut account = opened.account;
    let valid_until = permit.valid_until();
    account.permitted_by(permit);
    let live = opened.desk.book().share().live();
    if live.is_closed() {
        return Err(refused(account, draining()));
    }
    if !account.enter() {
        let detail = format!(
            "{} calls are under way (limits.callsMax); the sidecar's operator must raise it or add a sidecar",
            live.calls_max()
        );
        return Err(refused(account, Refusal::new(Reason::Overloaded, detail)));
    }
    let keeps_tracestate = opened.trace_joined == trace::Joined::Caller;
    Ok(Forward(Way { account, deadline: opened.deadline, valid_until, keeps_tracestate, extent }))
}

/// The sidecar goes down.
pub(crate) fn draining() -> Refusal {
    Refusal::new(Reason::Draining, "this sidecar is shutting down; the call may be made again elsewhere or later")
}

fn refused(mut account: Account, refusal: Refusal) -> Refused {
    account.refuse(&refusal);
    Refused { account, refusal, form: Form::GrpcStatus }
}
