//! Why the relay ends a call by itself, in the words that the caller is told.

use std::sync::Arc;

use chapar_core::{
    identity::Agency,
    policy::{Inquiry, Reason, Refusal, Side},
};
use chapar_relay::{Cause, Reply};

use super::{Call, Gate, reply};
use crate::{
    call::{forward, record::Form},
    endpoints::{Endpoint, EndpointKind},
    transport::DialError,
};

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
        Self::broken(Refusal::new(Reason::NotNarrowed, detail))
    }
}

/// Tells the caller, and puts it down.
pub(super) fn put(call: &mut Call, told: &Told, reply: &mut Reply) {
    if told.broken {
        call.account.break_off(told.refusal.reason);
    } else {
        call.account.refuse(&told.refusal);
    }
    reply::put(&call.account.record(), &told.refusal, Form::GrpcStatus, reply);
}

/// What is to be told of a call that ends for `cause`.
pub(super) fn told(call: &mut Call, cause: &Cause<'_, Gate>, agency: &Agency) -> Told {
    let inquiry = Arc::clone(call.account.permit().inquiry());
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
        Cause::TimedOut { endpoint } => {
            call.account.forwarded_to(&endpoint.address);
            Told::refused(takes_none(inquiry, endpoint, Reason::TimedOut, "there was no room in time"))
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
            Told::broken(Refusal::new(Reason::MessageTooLong, detail))
        }
        Cause::Stalled => {
            let detail = "the caller or the server took nothing for too long, and the call was given up";
            Told::broken(Refusal::new(Reason::Stalled, detail))
        }
        Cause::Draining if call.was_sent() => {
            let detail = "the call still ran at the end of the time that this sidecar, which shuts down, gives to its calls; it may have \
                          been carried out";
            Told::broken(Refusal::new(Reason::TimedOut, detail))
        }
        Cause::Draining => Told::refused(forward::draining()),
    }
}

/// Whose endpoint it is, for a refusal's sentence, and the reason that says so.
fn sought(inquiry: &Inquiry, endpoint: &Endpoint) -> (Reason, String) {
    let provider = &inquiry.key.provider;
    match endpoint.kind {
        EndpointKind::Peer => (Reason::ProviderUnreachable, format!("the sidecar of {provider}")),
        EndpointKind::Upstream => (Reason::UpstreamUnreachable, format!("{provider}'s own server of {}", inquiry.grpc_service)),
    }
}

fn unreachable(inquiry: &Inquiry, endpoint: &Endpoint, error: &DialError) -> Refusal {
    let reason = match endpoint.kind {
        EndpointKind::Peer if error.is_identity_mismatch() => Reason::PeerIdentityMismatch,
        EndpointKind::Peer | EndpointKind::Upstream => sought(inquiry, endpoint).0,
    };
    takes_none(inquiry, endpoint, reason, error)
}

fn takes_none(inquiry: &Inquiry, endpoint: &Endpoint, reason: Reason, why: impl std::fmt::Display) -> Refusal {
    let (_, whom) = sought(inquiry, endpoint);
    Refusal::new(reason, format!("{whom}{} takes no call; the provider's operator must see to it", shown(endpoint, why)))
}

fn lost(inquiry: &Inquiry, endpoint: &Endpoint) -> Refusal {
    let (reason, whom) = sought(inquiry, endpoint);
    Refusal::new(reason, format!("the connection to {whom}{} broke under the call", at(endpoint)))
}

fn malformed(inquiry: &Inquiry, endpoint: &Endpoint) -> Refusal {
    let (reason, whom) = sought(inquiry, endpoint);
    let detail = format!("{whom}{} answered against the rules of HTTP/2; the provider's operator must see to it", at(endpoint));
    Refusal::new(reason, detail)
}

/// Where it is: told of another agency's sidecar, whose address the snapshot names anyway. How an agency's own servers are
/// reached is nobody else's business.
fn at(endpoint: &Endpoint) -> String {
    match endpoint.kind {
        EndpointKind::Peer => format!(" at {}", endpoint.address),
        EndpointKind::Upstream => String::new(),
    }
}

/// As [`at`], and what is wrong there. Of an agency's own server that goes into the log of its own sidecar.
fn shown(endpoint: &Endpoint, why: impl std::fmt::Display) -> String {
    match endpoint.kind {
        EndpointKind::Peer => format!(" at {} ({why})", endpoint.address),
        EndpointKind::Upstream => {
            tracing::debug!(address = %endpoint.address, error = %why, "no call taken by the agency's own server");
            String::new()
        }
    }
}

fn nowhere(call: &Call, inquiry: &Inquiry, agency: &Agency) -> Refusal {
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
