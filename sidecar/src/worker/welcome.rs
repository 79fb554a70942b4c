//! Letting connections in: limits, TLS, and the first bytes.
//!
//! An inbound connection whose certificate does not stand is ended in the handshake, and that goes on record. A certificate
//! that was revoked is let in, and each of its calls is refused with the reason: a caller that is told why stops asking.

use std::{rc::Rc, sync::Arc, time::Duration};

use chapar_relay::Probe;
use tokio::sync::mpsc;

use super::{
    Phase, Worker,
    balance::{Newcomer, Passed},
    connections::Counted,
    door::Door,
    handshake,
    io::Io,
    preface,
    socket::Socket,
};
use crate::{call::Caller, gate::Origin, metrics::Listener};

/// How long the listener rests when the machine has no room for another connection (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What is read of a connection before it is the relay's, in bytes: with the preface most clients send their SETTINGS and a first
/// call, which then cost no system call of their own.
const FIRST_BYTES: usize = 1_024;

/// One worker's share of a listener.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) socket: Socket,
    pub(super) door: Arc<Door>,
    /// What other workers pass on.
    pub(super) passed: mpsc::Receiver<Passed>,
}

/// Lets connections in until the sidecar drains.
pub(super) async fn serve(worker: Rc<Worker>, entrance: Entrance) {
    let Entrance { socket, door, mut passed } = entrance;
    let listening = match socket.listen() {
        Ok(listening) => listening,
        Err(problem) => return tracing::error!(%problem, "a listener cannot be served"),
    };
    let mut phase = worker.common.phase.subscribe();
    loop {
        let come = tokio::select! {
            accepted = listening.accept() => accepted.and_then(|(io, address)| match door.admit(worker.number) {
                Some(admitted) => door.pass((admitted, io, address)),
                None => Ok(None),
            }),
            // This worker holds the other end itself: there is always one more to come.
            Some(passed) = passed.recv() => passed.arrive().map(Some),
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
        };
        match come {
            Ok(Some(newcomer)) => drop(tokio::task::spawn_local(welcome(Rc::clone(&worker), newcomer))),
            Ok(None) => {}
            Err(problem) => {
                tracing::warn!(listener = door.listener().as_str(), %problem, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn welcome(worker: Rc<Worker>, (mut admitted, io, address): Newcomer) {
    let (mut io, origin, probe) = match (admitted.listener(), io) {
        // An application's own gRPC library may not expect PINGs, and it is on the same machine.
        (Listener::Outbound, io) => (io, Rc::new(Caller::application(&address)), Probe::Never),
        (Listener::Inbound, Io::Tcp(tcp)) => {
            let Some((tls, peer)) = handshake::accept(&worker, tcp, &address).await else { return };
            if !admitted.identified(&peer.spiffe_id) {
                return;
            }
            let origin = Rc::new(Caller::sidecar(peer, worker.common.trust.own().spiffe_id.trust_domain(), &address));
            (Io::Tls(Box::new(tls)), origin, Probe::Ping)
        }
        (Listener::Inbound, _) => return,
    };
    let mut first = [0; FIRST_BYTES];
    match tokio::time::timeout(worker.common.limits.handshake_timeout(), preface::expect(&mut io, &mut first)).await {
        Ok(Ok(said)) => worker.let_in(origin, probe, (io, said), Counted::CameIn { _admitted: admitted }),
        Ok(Err(problem)) => admitted.ended_early(problem.as_str()),
        Err(_) => admitted.ended_early("silent"),
    }
}

impl Worker {
    /// Takes the connection in, with what it has `said` so far.
    fn let_in(self: &Rc<Self>, origin: Origin, probe: Probe, (io, said): (Io, &[u8]), counted: Counted) {
        let now = std::time::Instant::now();
        let mut state = self.state();
        let key = state.relay.accept(origin, probe, now);
        state.relay.received(key, said, now);
        state.begin(key, io.into(), counted, now);
        drop(state);
        self.attend(key);
    }
}
