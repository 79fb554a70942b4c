//! Letting connections in: limits, TLS, and the first bytes.
//!
//! An inbound connection whose certificate does not stand is ended in the handshake, and that goes on record. A certificate
//! that was revoked is let in, and each of its calls is refused with the reason: a caller that is told why stops asking.

use std::{rc::Rc, sync::Arc, time::Duration};

use chapar_relay::Probe;

use super::{
    Phase, Worker,
    connections::Counted,
    door::{Admitted, Door},
    handshake,
    io::Io,
    preface,
    socket::Listening,
};
use crate::{call::Caller, gate::Origin, metrics::Listener};

/// How long the listener rests when the machine has no room for another connection (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What is read of a connection before it is the relay's, in bytes: with the preface most clients send their SETTINGS and a first
/// call, which then cost no system call of their own.
const FIRST_BYTES: usize = 1_024;

/// Lets connections in until the sidecar drains.
pub(super) async fn serve(worker: Rc<Worker>, listening: Listening, door: Arc<Door>) {
    let mut phase = worker.common.phase.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listening.accept() => accepted,
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
        };
        match accepted {
            Ok((io, address)) => {
                if let Some(admitted) = door.admit() {
                    tokio::task::spawn_local(welcome(Rc::clone(&worker), admitted, io, address));
                }
            }
            Err(problem) => {
                tracing::warn!(listener = door.listener().as_str(), %problem, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn welcome(worker: Rc<Worker>, mut admitted: Admitted, io: Io, address: Arc<str>) {
    let (mut io, origin, probe) = match (admitted.listener(), io) {
        // An application's own gRPC library may not expect PINGs, and it is on the same machine.
        (Listener::Outbound, io) => (io, Rc::new(Caller::application(&address)), Probe::Never),
        (Listener::Inbound, Io::Tcp(tcp)) => {
            let Some((tls, peer)) = handshake::accept(&worker, tcp, &address).await else { return };
            if !admitted.identified(&peer.spiffe_id) {
                return;
            }
            let origin = Rc::new(Caller::sidecar(peer, &address));
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
