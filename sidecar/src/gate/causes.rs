//! Why the relay ends a call by itself, in the words that the caller is told.

use chapar_core::{
    identity::Agency,
    policy::{Inquiry, Reason, Refusal},
};
use chapar_relay::{Cause, Reply};

use super::{Call, DialError, Gate, Towards, Whither, reply};
use crate::call::{forward, record::Form};

/// What the caller is told, and what it means for the account.
#[derive(Debug)]
pub(super) struct Told {
    refusal: Refusal,
    /// The call had been sent on, and may have been carried out.
    broken: bool,
}

impl Told {
    /// The call did not take place.
    pub(super) const fn refused(refusal: Refusal) -> Self {
        Self { refusal, broken: false }
    }

    const fn broken(refusal: Refusal) -> Self {
        Self { refusal, broken: true }
    }

    /// A message came that had to be narrowed, and nothing said how.
    pub(super) fn not_narrowed() -> Self {
        let detail = "a message of the answer could not be narrowed to what the grant lets through, so it does not pass";
        Self::broken(Refusal::new(Reason::Overloaded, detail))
    }
}

/// Tells the caller, and puts it down.
pub(super) fn put(call: &mut Call, told: &Told, reply: &mut Reply) {
    if told.broken {
        call.account.break_off(told.refusal.reason);
    } else {
        call.account.refuse(&told.refusal);
    }
    reply::put(&call.account, &told.refusal, Form::GrpcStatus, reply);
}

/// What is to be told of a call that ends for `cause`.
pub(super) fn told(call: &mut Call, cause: &Cause<'_, Gate>, agency: &Agency) -> Told {
    // Every call that goes on its way has a permit.
    let Some(inquiry) = call.account.permit().map(|permit| permit.inquiry().clone()) else {
        return Told::refused(forward::draining());
    };
    let inquiry = &*inquiry;
    match cause {
        Cause::DeadlineExceeded => {
            let detail = "the deadline passed before the answer was complete; the application must allow more time";
            Told::broken(Refusal::new(Reason::DeadlineExceeded, detail))
        }
        Cause::NoEndpoint => Told::refused(nowhere(call, inquiry, agency)),
        Cause::Unreachable { endpoint, error } => {
            call.account.forwarded_to(&endpoint.address);
            Told::refused(unreachable(inquiry, endpoint, error))
        }
        Cause::Full { endpoint } => {
            call.account.forwarded_to(&endpoint.address);
            Told::refused(takes_none(inquiry, endpoint, Reason::Overloaded, "all connections are full"))
        }
        Cause::PeerVoid { endpoint } => {
            call.account.forwarded_to(&endpoint.address);
            let void = call.void.take().map(|refusal| *refusal);
            Told::refused(
                void.unwrap_or_else(|| takes_none(inquiry, endpoint, Reason::PeerNotIdentified, "its certificate is void")),
            )
        }
        Cause::NotTaken { endpoint } => {
            Told::refused(takes_none(inquiry, endpoint, sought(inquiry, endpoint).0, "it did not take the call on"))
        }
        Cause::Lost { endpoint } => Told::broken(lost(inquiry, endpoint)),
        Cause::MalformedResponse { endpoint } => Told::broken(malformed(inquiry, endpoint)),
        Cause::MessageTooLong => {
            let detail = "a message of the answer is too long to be narrowed to what the grant lets through; \
                          the provider's operator must send shorter ones";
            Told::broken(Refusal::new(Reason::Overloaded, detail))
        }
        Cause::Stalled => {
            let detail = "the caller or the server took nothing for too long, and the call was given up";
            Told::broken(Refusal::new(Reason::Overloaded, detail))
        }
        Cause::Draining => Told::refused(forward::draining()),
    }
}

/// Whose place it is, for a refusal's sentence, and the reason that says so.
fn sought(inquiry: &Inquiry, place: &Whither) -> (Reason, String) {
    let provider = &inquiry.key.provider;
    match place.towards {
        Towards::Peer => (Reason::ProviderUnreachable, format!("the sidecar of {provider}")),
        Towards::Upstream => (Reason::UpstreamUnreachable, format!("{provider}'s own server of {}", inquiry.grpc_service)),
    }
}

fn unreachable(inquiry: &Inquiry, place: &Whither, error: &DialError) -> Refusal {
    let reason = match place.towards {
        Towards::Peer if error.is_identity_mismatch() => Reason::PeerIdentityMismatch,
        Towards::Peer | Towards::Upstream => sought(inquiry, place).0,
    };
    takes_none(inquiry, place, reason, error)
}

fn takes_none(inquiry: &Inquiry, place: &Whither, reason: Reason, why: impl std::fmt::Display) -> Refusal {
    let (_, whom) = sought(inquiry, place);
    Refusal::new(reason, format!("{whom}{} takes no call; the provider's operator must see to it", shown(place, why)))
}

fn lost(inquiry: &Inquiry, place: &Whither) -> Refusal {
    let (reason, whom) = sought(inquiry, place);
    Refusal::new(reason, format!("the connection to {whom}{} broke under the call", at(place)))
}

fn malformed(inquiry: &Inquiry, place: &Whither) -> Refusal {
    let (reason, whom) = sought(inquiry, place);
    let detail = format!("{whom}{} answered against the rules of HTTP/2; the provider's operator must see to it", at(place));
    Refusal::new(reason, detail)
}

/// Where it is: told of another agency's sidecar, whose address the snapshot names anyway. How an agency's own servers are
/// reached is nobody else's business.
fn at(place: &Whither) -> String {
    match place.towards {
        Towards::Peer => format!(" at {}", place.address),
        Towards::Upstream => String::new(),
    }
}

/// As [`at`], and what is wrong there. Of an agency's own server that goes into the log of its own sidecar.
fn shown(place: &Whither, why: impl std::fmt::Display) -> String {
    match place.towards {
        Towards::Peer => format!(" at {} ({why})", place.address),
        Towards::Upstream => {
            tracing::debug!(address = %place.address, error = %why, "no call taken by the agency's own server");
            String::new()
        }
    }
}

fn nowhere(call: &Call, inquiry: &Inquiry, agency: &Agency) -> Refusal {
    use chapar_core::policy::Side;
    match call.account.side() {
        Side::Consumer => {
            let detail = format!(
                "no sidecar of {} is known that offers {} to this agency; the provider's operator must start one",
                inquiry.key.provider, inquiry.grpc_service
            );
            Refusal::new(Reason::ProviderUnreachable, detail)
        }
        Side::Provider => {
            let detail = format!(
                "this sidecar of {agency} is told of no server of {}; its operator must add it to `services`",
                inquiry.grpc_service
            );
            Refusal::new(Reason::NotOfferedHere, detail)
        }
    }
}
