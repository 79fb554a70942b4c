//! Admitting connections: limits, TLS, and the first bytes.
//!
//! An inbound connection whose certificate does not stand is ended in the handshake, and that goes on record. A certificate
//! that was revoked is admitted, and each of its calls is refused with the reason: a caller that is told why stops asking.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use chapar_core::identity::Agency;
use chapar_relay::{ConnectionKey, Probe};
use tokio::sync::mpsc;

use super::{
    Worker,
    connection_limiter::ConnectionLimiter,
    connections::Counted,
    handover::{HandedOver, Handover, NewConnection},
    refused_handshake,
};
use crate::{
    call::Caller,
    metrics::Listener,
    shared::Phase,
    transport::{self, Io, Socket},
};

/// How long the listener rests when the machine has no room for another connection (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What is read of a connection before it is the relay's, in bytes: with the preface most clients send their SETTINGS and a first
/// call, which then cost no system call of their own.
const FIRST_BYTES: usize = 1_024;

/// One worker's share of a listener.
#[derive(Debug)]
pub(super) struct ListenerShare {
    pub(super) socket: Socket,
    pub(super) limiter: Arc<ConnectionLimiter>,
    pub(super) handover: Arc<Handover>,
    /// What other workers hand over.
    pub(super) handed_over: mpsc::Receiver<HandedOver>,
}

/// Who is at the other end of a connection that came in, and how it is held to its word.
struct Audience {
    io: Io,
    caller: Rc<Caller>,
    probe: Probe,
}

/// Admits connections until the sidecar drains.
pub(super) async fn run(worker: Rc<Worker>, share: ListenerShare) {
    let ListenerShare { socket, limiter, handover, mut handed_over } = share;
    let listening = match socket.listen() {
        Ok(listening) => listening,
        Err(error) => return tracing::error!(%error, "a listener cannot be served"),
    };
    let mut phase = worker.shared.phase.subscribe();
    loop {
        let come = tokio::select! {
            accepted = listening.accept() => accepted.and_then(|(io, address)| match limiter.admit(worker.number, &address) {
                Some(admission) => handover.pass(NewConnection { admission, io, address }),
                None => Ok(None),
            }),
            // This worker holds the other end itself: there is always one more to come.
            Some(handed_over) = handed_over.recv() => handed_over.arrive().map(Some),
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
        };
        match come {
            Ok(Some(connection)) => drop(tokio::task::spawn_local(admit(Rc::clone(&worker), connection))),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(listener = limiter.listener().as_str(), %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes a connection to where the relay reads it: its handshake, where there is one, and its preface.
async fn admit(worker: Rc<Worker>, connection: NewConnection) {
    let NewConnection { mut admission, io, address } = connection;
    // Read before the handshake: a certificate that is renewed meanwhile outdates the connection, never the other way around.
    let mut shown = None;
    let audience = match (admission.listener(), io) {
        // An application's own gRPC library may not expect PINGs, and it is on the same machine.
        (Listener::Outbound, io) => {
            let caller = Caller::application(&address).among(worker.shared.calls.of(None));
            Audience { io, caller: Rc::new(caller), probe: Probe::Never }
        }
        (Listener::Inbound, Io::Tcp(tcp)) => {
            shown = Some(worker.shared.trust.own());
            let time_max = worker.shared.limits.handshake_timeout();
            let (tls, peer) = match transport::accept(tcp, &worker.shared.trust, &worker.handshakes, time_max).await {
                Ok(accepted) => accepted,
                Err(problem) => return refused_handshake::put(&worker, &address, &problem),
            };
            worker.shared.metrics.handshake(Listener::Inbound.as_str(), tls.get_ref().1);
            let caller = Caller::sidecar(peer, worker.shared.trust.own().spiffe_id.trust_domain(), &address);
            let agency = caller.agency().map_or("", Agency::as_str);
            if !caller.peer().is_some_and(|peer| admission.identified(&peer.spiffe_id, agency)) {
                return;
            }
            let calls = worker.shared.calls.of(Some(agency.into()));
            let caller = Rc::new(caller.among(calls));
            Audience { io: Io::Tls(Box::new(tls)), caller, probe: Probe::Ping }
        }
        (Listener::Inbound, _) => return,
    };
    let Audience { mut io, caller, probe } = audience;
    let mut first = [0; FIRST_BYTES];
    let time_max = worker.shared.limits.handshake_timeout();
    match tokio::time::timeout(time_max, transport::expect_preface(&mut io, &mut first)).await {
        Ok(Ok(said)) => {
            let key = worker.begin(caller, probe, (io, said), Counted::CameIn { admission });
            if shown.is_some_and(|shown| shown.serial != worker.shared.trust.own().serial) {
                worker.state().relay.retire(key, Instant::now());
                worker.bell.ring();
            }
        }
        Ok(Err(error)) => admission.ended_early(error.as_str()),
        Err(_elapsed) => admission.ended_early("silent"),
    }
}

impl Worker {
    /// Takes the connection in, with what it has `said` so far.
    fn begin(self: &Rc<Self>, caller: Rc<Caller>, probe: Probe, (io, said): (Io, &[u8]), counted: Counted) -> ConnectionKey {
        let now = Instant::now();
        let mut state = self.state();
        let key = state.relay.accept(caller, probe, now);
        state.relay.received(key, said, now);
        state.begin(key, io.into(), counted, now);
        drop(state);
        self.attend(key);
        key
    }
}
