//! Who connects to the inbound listener. A handshake that fails goes on record: somebody tried to be who they are not.

use std::{
    rc::Rc,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};

use chapar_core::{
    policy::{PeerCertificate, Reason, Side},
    record::{CallRecord, Outcome},
};
use rand::rngs::StdRng;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::Worker;
use crate::{call::trace, metrics::Listener, trust::HandshakeProblem};

/// Failed handshakes that go on record in one second; all are counted. An attacker cannot fill the ledger.
const RECORDS_PER_S_MAX: u32 = 20;
/// What stands for the path of a call in such a record.
const NO_CALL: &str = "/chapar.tls/Handshake";

/// Completes the handshake. `None` when it failed, which has been counted and recorded then.
pub(super) async fn accept(
    worker: &Rc<Worker>,
    tcp: TcpStream,
    address: &Arc<str>,
) -> Option<(TlsStream<TcpStream>, PeerCertificate)> {
    let trust = &worker.common.trust;
    let acceptor = TlsAcceptor::from(trust.server_config());
    let stepwise = worker.turnstile.through(acceptor.accept(tcp));
    let accepted = tokio::time::timeout(worker.common.limits.handshake_timeout(), stepwise).await;
    let problem = match accepted {
        Ok(Ok(tls)) => match trust.peer_certificate(tls.get_ref().1.peer_certificates().unwrap_or_default()) {
            Ok(peer) => {
                worker.common.metrics.handshake(Listener::Inbound.as_str(), tls.get_ref().1);
                return Some((tls.into(), peer));
            }
            Err(problem) => HandshakeProblem::Peer(problem),
        },
        Ok(Err(error)) => HandshakeProblem::of(&error),
        Err(_) => HandshakeProblem::Broken("it was not completed in time".to_owned()),
    };
    refused(worker, address, &problem);
    None
}

fn refused(worker: &Worker, address: &str, problem: &HandshakeProblem) {
    worker.common.metrics.handshake_failed(problem.as_str());
    // What broke off or spoke another protocol claimed to be nobody.
    let HandshakeProblem::Peer(peer) = problem else {
        tracing::debug!(peer = %address, %problem, "TLS handshake failed");
        return;
    };
    tracing::warn!(peer = %address, %problem, "TLS handshake refused");
    if !may_record() {
        return;
    }
    let reason = match peer.reason() {
        // On this side nobody in particular was expected.
        Reason::PeerIdentityMismatch => Reason::PeerNotIdentified,
        reason => reason,
    };
    worker.state().relay.gate().book().put_handshake(&record(worker, address, reason));
    worker.bell.ring();
}

fn record<'r>(worker: &'r Worker, address: &'r str, reason: Reason) -> CallRecord<'r> {
    let common = &worker.common;
    let mut chance: StdRng = rand::make_rng();
    let (trace, _) = trace::join(None, &mut chance);
    let begun = CallRecord::begun(trace::call_id(&mut chance), trace, Side::Provider, NO_CALL, common.clock.now(), address);
    CallRecord {
        provider: common.agency.as_str(),
        outcome: Outcome::Refused,
        reason: Some(reason),
        status: reason.code(),
        ..begun
    }
}

/// Whether this second has room for another record.
fn may_record() -> bool {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    static SECOND: AtomicU64 = AtomicU64::new(0);
    static RECORDED: AtomicU32 = AtomicU32::new(0);
    let second = START.elapsed().as_secs();
    if SECOND.swap(second, Ordering::Relaxed) != second {
        RECORDED.store(0, Ordering::Relaxed);
    }
    RECORDED.fetch_add(1, Ordering::Relaxed) < RECORDS_PER_S_MAX
}
