//! Carrying one call: the path first, then attempts until one lands.

use std::{future::poll_fn, sync::Arc, time::Instant};

use bytes::Bytes;
use chapar_core::policy::{GrpcCode, Reason, Refusal, certificate_in_order};
use h2::{RecvStream, server::SendResponse};
use http::Request;

use super::{
    Engine, Origin,
    caller::Caller,
    flight::{Flight, Landing, Near},
    heads::{self, Onward, View},
    pump::Pump,
    reply,
};
use crate::{
    call::{
        self, Forward, Head, Refused,
        forward::{Destination, Way},
        minimise::Extent,
        record::Account,
        timeout,
    },
    places::{Place, Seat, SeatError, choose},
};

/// Attempts for one call, the first included.
const ATTEMPTS_MAX: usize = 3;

/// Carries the call that came in as `request`, to its end.
pub(super) async fn carry(
    engine: Arc<Engine>,
    origin: Origin,
    peer_address: Arc<str>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let (parts, body) = request.into_parts();
    let mut caller = Caller::Waiting(respond);
    let way = match walk(&engine, &origin, &peer_address, &parts) {
        Ok(forward) => forward.into_way(),
        Err(refused) => return reply::refuse(&mut caller, refused),
    };
    let onward = heads::onward(parts, &way);
    let Way { mut account, destination, deadline, pass, extent, .. } = way;
    match extent {
        // Bodies pass through unread.
        Extent::Whole => {}
    }
    let mut near = Near {
        caller,
        body,
        request: Pump::replayable(),
        response: Pump::once(),
        pass,
        deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into()))),
        call_id: account.call_id().to_string().into(),
    };
    let settled = engine.attempts(&mut near, &mut account, &destination, &onward, deadline).await;
    account.flowed(near.request.meter.flow(), near.response.meter.flow());
    settle(&mut near.caller, account, settled);
}

/// Hands the head to the stages.
fn walk(engine: &Engine, origin: &Origin, peer_address: &Arc<str>, parts: &http::request::Parts) -> Result<Forward, Refused> {
    let view = View(&parts.headers);
    let head = Head { method: parts.method.as_str(), path: parts.uri.path(), metadata: &view, peer_address };
    match origin {
        Origin::Application => call::from_application(&engine.desk, &head),
        Origin::Sidecar(peer) => call::from_sidecar(&engine.desk, peer, &head),
    }
}

/// What became of a call, before the caller is told.
enum Settled {
    /// An attempt came to an end of its own.
    Landed(Landing),
    /// It found no place that takes it.
    Refused(Refusal),
    /// It was taken, and broke.
    Broken(Refusal),
}

impl Engine {
    async fn attempts(
        &self,
        near: &mut Near,
        account: &mut Account,
        destination: &Destination,
        onward: &Onward,
        deadline: Option<Instant>,
    ) -> Settled {
        let places = match self.places(destination) {
            Ok(places) => places,
            Err(refusal) => return Settled::Refused(refusal),
        };
        self.retries.earn();
        let mut useless: Vec<Arc<Place>> = Vec::new();
        let mut problem = None;
        for attempt in 0..ATTEMPTS_MAX {
            let Some(place) = choose(&places, &useless) else { break };
            // The first attempt is free; every other one must have been earned.
            if attempt > 0 {
                if !self.retries.spend() {
                    break;
                }
                self.desk.book.metrics().retry();
            }
            account.forwarded_to(place.address());
            let seated = tokio::select! {
                biased;
                landing = poll_fn(|cx| near.poll_over(cx)) => return Settled::Landed(landing),
                seated = self.seat(destination, place) => seated,
            };
            let seat = match seated {
                Ok(seat) => seat,
                Err(refusal) => {
                    useless.push(Arc::clone(place));
                    problem = Some(refusal);
                    continue;
                }
            };
            match fly(near, &seat, onward, deadline).await {
                Landing::NotTaken(error) => {
                    problem = Some(lost(destination, place, &error));
                    // A place that refused the stream is full; one that said GOAWAY may take it on another connection.
                    if error.is_reset() {
                        useless.push(Arc::clone(place));
                    } else {
                        seat.retire_link();
                    }
                    if !near.request.rewind(&mut near.body) {
                        break;
                    }
                }
                Landing::Lost(error) => {
                    place.lost(&error);
                    return Settled::Broken(lost(destination, place, &error));
                }
                landing => {
                    if matches!(landing, Landing::Answered { .. }) {
                        place.answered();
                    }
                    return Settled::Landed(landing);
                }
            }
        }
        Settled::Refused(problem.unwrap_or_else(|| nowhere(destination)))
    }

    fn places(&self, destination: &Destination) -> Result<Vec<Arc<Place>>, Refusal> {
        match destination {
            Destination::Provider { inquiry, consumer, snapshot } => Ok(self.peers.places(snapshot, inquiry, consumer)),
            Destination::Upstream { inquiry } => {
                let places = self.upstreams.places(&inquiry.grpc_service).map(<[_]>::to_vec);
                places.ok_or_else(|| nowhere(destination))
            }
        }
    }

    /// Room for one call at `place`, with a peer whose certificate is in order.
    async fn seat(&self, destination: &Destination, place: &Arc<Place>) -> Result<Seat, Refusal> {
        let seated = async || place.seat().await.map_err(|error| unreachable(destination, place, &error));
        let seat = seated().await?;
        if self.check(&seat).is_ok() {
            return Ok(seat);
        }
        // The peer may have renewed since this connection was opened: it is judged by what it shows now.
        drop(seat);
        let seat = seated().await?;
        self.check(&seat).map(|()| seat)
    }

    /// Revocation and expiry do not reach an open connection by themselves: who is at its other end is checked per call.
    fn check(&self, seat: &Seat) -> Result<(), Refusal> {
        let (Some(peer), Some(snapshot)) = (seat.peer(), self.desk.current.load()) else {
            return Ok(());
        };
        certificate_in_order(&snapshot, peer, self.desk.clock.now()).inspect_err(|_| seat.place().retire_links_to(peer))
    }
}

async fn fly(near: &mut Near, seat: &Seat, onward: &Onward, deadline: Option<Instant>) -> Landing {
    if let Some(peer) = seat.peer() {
        near.pass.met(peer);
    }
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    let Some(request) = onward.request(seat.place().origin(), left.map(timeout::format).as_deref()) else {
        return Landing::Lost(h2::Reason::INTERNAL_ERROR.into());
    };
    let mut sender = match seat.sender().ready().await {
        Ok(sender) => sender,
        Err(error) => return Landing::NotTaken(error),
    };
    let no_body = near.body.is_end_stream() && near.request.is_fresh();
    let (response, sink) = match sender.send_request(request, no_body) {
        Ok(sent) => sent,
        Err(error) => return Landing::NotTaken(error),
    };
    let from_sidecar = seat.peer().is_some();
    Flight::new(near, response, sink, no_body, from_sidecar).land().await
}

/// Tells the caller what became of its call, and closes the account.
fn settle(caller: &mut Caller, account: Account, settled: Settled) {
    let landing = match settled {
        Settled::Landed(landing) => landing,
        Settled::Refused(refusal) => return reply::refuse(caller, account.refused(refusal)),
        Settled::Broken(refusal) => return reply::refuse(caller, account.broken(refusal)),
    };
    match landing {
        Landing::Answered { status, refused: None } => account.served(status),
        Landing::Answered { status, refused: Some(reason) } => account.refused_elsewhere(reason, status),
        Landing::Reset(reason) => {
            account.failed(heads::status_of_reset(reason));
            caller.reset(reason);
        }
        Landing::Cut(refusal) => reply::refuse(caller, account.refused(refusal)),
        Landing::TooLate => {
            let detail = "the deadline passed before the answer was complete; the application must allow more time";
            reply::refuse(caller, account.broken(Refusal::new(Reason::DeadlineExceeded, detail)));
        }
        // An account that is dropped says that the caller went away.
        Landing::Abandoned => drop(account),
        Landing::Lost(error) | Landing::NotTaken(error) => {
            account.failed(GrpcCode::Unavailable);
            caller.reset(error.reason().unwrap_or(h2::Reason::INTERNAL_ERROR));
        }
    }
}

/// The parties of a destination, for a refusal's sentence: what was sought, and who must see to it.
fn sought(destination: &Destination) -> (Reason, String) {
    match destination {
        Destination::Provider { inquiry, .. } => {
            (Reason::ProviderUnreachable, format!("the sidecar of {}", inquiry.key.provider))
        }
        Destination::Upstream { inquiry } => {
            (Reason::UpstreamUnreachable, format!("{}'s own server of {}", inquiry.key.provider, inquiry.grpc_service))
        }
    }
}

fn unreachable(destination: &Destination, place: &Place, error: &SeatError) -> Refusal {
    let (reason, whom) = sought(destination);
    let reason = match error {
        SeatError::Full(_) => Reason::Overloaded,
        SeatError::Dial(error) if error.is_identity_mismatch() && reason == Reason::ProviderUnreachable => {
            Reason::PeerIdentityMismatch
        }
        SeatError::Dial(_) => reason,
    };
    Refusal::new(
        reason,
        format!("{whom}{} takes no call; the provider's operator must see to it", shown(destination, place, error)),
    )
}

/// Where it is and what is wrong there: told of another agency's sidecar, whose address the snapshot names anyway. How an agency's
/// own servers are reached is nobody else's business: that goes into the log of its own sidecar.
fn shown(destination: &Destination, place: &Place, error: &dyn std::fmt::Display) -> String {
    match destination {
        Destination::Provider { .. } => format!(" at {} ({error})", place.address()),
        Destination::Upstream { .. } => {
            tracing::debug!(address = %place.address(), %error, "no call taken by the agency's own server");
            String::new()
        }
    }
}

fn lost(destination: &Destination, place: &Place, error: &h2::Error) -> Refusal {
    let (reason, whom) = sought(destination);
    let detail = format!("the connection to {whom}{} broke under the call", shown(destination, place, error));
    Refusal::new(reason, detail)
}

fn nowhere(destination: &Destination) -> Refusal {
    match destination {
        Destination::Provider { inquiry, .. } => {
            let detail = format!(
                "no sidecar of {} is known that offers {} to this agency; the provider's operator must start one",
                inquiry.key.provider, inquiry.grpc_service
            );
            Refusal::new(Reason::ProviderUnreachable, detail)
        }
        Destination::Upstream { inquiry } => {
            let detail = format!(
                "this sidecar of {} is told of no server of {}; its operator must add it to `services`",
                inquiry.key.provider, inquiry.grpc_service
            );
            Refusal::new(Reason::NotOfferedHere, detail)
        }
    }
}
