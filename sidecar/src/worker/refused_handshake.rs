//! Handshakes on the inbound listener that were refused. They go on record: somebody tried to be who they are not.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};

use chapar_core::{
    policy::{Reason, Side},
    record::{CallRecord, Outcome},
};
use rand::rngs::StdRng;

use super::Worker;
use crate::{call::trace, trust::HandshakeProblem};

/// Failed handshakes that go on record in one second; all are counted. An attacker cannot fill the ledger.
const RECORDS_PER_S_MAX: u32 = 20;
/// What stands for the path of a call in such a record.
const NO_CALL: &str = "/chapar.tls/Handshake";

/// Counts and logs the refused handshake, and puts it on record where somebody claimed an identity.
pub(super) fn put(worker: &Worker, address: &str, problem: &HandshakeProblem) {
    worker.shared.metrics.handshake_failed(problem.as_str());
    // What broke off or spoke another protocol claimed to be nobody.
    let HandshakeProblem::Peer(peer) = problem else {
        tracing::debug!(peer = %address, error = %problem, "TLS handshake failed");
        return;
    };
    tracing::warn!(peer = %address, error = %problem, "TLS handshake refused");
    if !may_record() {
        return;
    }
    let reason = match peer.reason() {
        // On this side nobody in particular was expected.
        Reason::PeerIdentityMismatch => Reason::PeerNotIdentified,
        reason => reason,
    };
    worker.state().relay.gate().accounts().put_handshake(&record(worker, address, reason));
    worker.bell.ring();
}

fn record<'r>(worker: &'r Worker, address: &'r str, reason: Reason) -> CallRecord<'r> {
    let shared = &worker.shared;
    let mut rng: StdRng = rand::make_rng();
    let (trace, _) = trace::join(None, &mut rng);
    let begun = CallRecord::begun(trace::call_id(&mut rng), trace, Side::Provider, NO_CALL, shared.clock.now(), address);
    CallRecord {
        provider: shared.agency.as_str(),
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
