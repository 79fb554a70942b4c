//! Every request passes here before any service sees it: the certificate is judged as of now, not as of the handshake.

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::{Status, body::Body, service::Routes};
use tower::Service as _;

use super::{
    activity::Activity,
    admin::{self, Desk, short},
    flight::{self, Airspace},
    peer::Peer,
    refusals::Refusals,
    room::Seat,
};
use crate::{audit::Holder, authority::Authority, caller::Caller, problem::Problem, telemetry::RpcSpans};

/// The one method that needs no certificate: there is none before it.
const ENROL_PATH: &str = "/chapar.v1.EnrolmentService/Enrol";

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// And whoever wants to become one.
    Sidecars,
    /// By certificate or socket.
    Admins,
}

/// Admits requests of one listener.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) audience: Audience,
    pub(super) listener: &'static str,
    pub(super) authority: Authority,
    pub(super) refusals: Refusals,
    pub(super) desk: Desk,
    pub(super) airspace: Airspace,
}

/// A connection's requests, each admitted on its own.
#[derive(Clone)]
pub(super) struct Gated {
    gate: Arc<Gate>,
    peer: Arc<Peer>,
    holder: Holder,
    seat: Arc<Seat>,
    activity: Activity,
    /// Whoever holds more connections than his share hears of it on every request, and is served none.
    spent: Option<&'static str>,
    routes: RpcSpans<Routes>,
}

impl Gated {
    pub(super) fn new(
        gate: Arc<Gate>,
        peer: Peer,
        (seat, spent): (Arc<Seat>, Option<&'static str>),
        activity: Activity,
        routes: RpcSpans<Routes>,
    ) -> Self {
        let holder = peer.holder();
        Self { gate, peer: Arc::new(peer), holder, seat, activity, spent, routes }
    }
}

impl hyper::service::Service<Request<Incoming>> for Gated {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Self { gate, peer, holder, seat, activity, spent, mut routes } = self.clone();
        Box::pin(async move {
            if let Some(bound) = spent {
                return Ok(Status::from(flight::spent(&holder, bound)).into_http());
            }
            let begun = gate.airspace.begun(&holder, &activity, request);
            let (mut request, flight) = match begun {
                Ok(begun) => begun,
                Err(problem) => return Ok(Status::from(problem).into_http()),
            };
            let response = match gate.admit(&peer, request.uri().path()).await {
                Ok(caller) if gate.audience == Audience::Admins => admin::serve(&gate.desk, caller, request, routes).await,
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    let response = routes.call(request).await?;
                    // A stranger is let in to one method only, and has enrolled when that goes well.
                    if Status::from_header_map(response.headers()).is_none() {
                        seat.came_well();
                    }
                    response
                }
                Err(problem) => Status::from(problem).into_http(),
            };
            Ok(flight::answered(response, flight))
        })
    }
}

impl Gate {
    async fn admit(&self, peer: &Peer, path: &str) -> Result<Caller, Problem> {
        let (caller, address) = match peer {
            Peer::Local { uid } => return Ok(Caller::Local { uid: *uid, powers: self.desk.access.of_local(*uid) }),
            Peer::Anonymous { address } => (Ok(Caller::Anonymous { address: *address }), *address),
            Peer::Certified { certificate, address } => {
                let standing = self.authority.standing_of(&certificate.serial, &certificate.id, &certificate.fingerprint).await?;
                let good = standing.require_good(&certificate.id, &certificate.serial);
                let known = good.and_then(|()| {
                    certificate
                        .caller(&self.desk.access)
                        .ok_or_else(|| Problem::denied("CALLER_UNEXPECTED", "the control plane's own certificate calls nobody"))
                });
                (known, *address)
            }
        };
        let admitted = caller.and_then(|caller| self.may_enter(&caller, path).map(|()| caller));
        if let Err(problem) = &admitted {
            self.refuse(peer, address, path, problem).await;
        }
        admitted
    }

    fn may_enter(&self, caller: &Caller, path: &str) -> Result<(), Problem> {
        match self.audience {
            Audience::Admins => caller.require_admin().map(drop),
            Audience::Sidecars if path == ENROL_PATH => Ok(()),
            Audience::Sidecars => caller.require_sidecar().map(drop),
        }
    }

    async fn refuse(&self, peer: &Peer, address: SocketAddr, path: &str, problem: &Problem) {
        let actor = match peer {
            Peer::Certified { certificate, .. } => certificate.id.to_string(),
            Peer::Local { .. } | Peer::Anonymous { .. } => address.to_string(),
        };
        self.refusals.request(self.listener, &peer.holder(), address, actor, short(path), problem.reason()).await;
    }
}
