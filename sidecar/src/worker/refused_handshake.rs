//! Handshakes on the inbound listener that were refused. They go on record: somebody tried to be who they are not.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chapar_core::{
    policy::{Reason, Side},
    record::{CallRecord, Outcome},
};
use chapar_daemon::network::Network;
use rand::rngs::StdRng;

use super::{Worker, connection_limiter::network_of};
use crate::{call::trace, trust::HandshakeProblem};

/// The time that the following limits are for.
const LATELY: Duration = Duration::from_secs(60);
/// So many refusals of one stranger for one cause go on record in that time; all are counted. The thousandth says no more than the first,
/// and strangers cannot fill the ledger.
const RECORDS_MAX: u64 = 8;
/// Strangers, by causes, that are told apart in that time. Of others nothing goes on record until it is over.
const APART_MAX: usize = 1_024;
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
    let times = network_of(address).map_or(1, |stranger| seen(stranger, problem.as_str()));
    // Beyond what goes on record, each line stands for as many as all before it.
    if times.is_power_of_two() || (1..=RECORDS_MAX).contains(&times) {
        tracing::warn!(peer = %address, error = %problem, times, "TLS handshake refused");
    }
    if !(1..=RECORDS_MAX).contains(&times) {
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

/// How many times this was seen lately, now included; 0: it is not told apart from others, of which there are too many.
fn seen(stranger: Network, cause: &'static str) -> u64 {
    static SEEN: LazyLock<Mutex<Lately>> = LazyLock::new(|| Mutex::new(Lately::new(Instant::now())));
    // Counts are whole whoever panicked.
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).seen((stranger, cause), Instant::now())
}

/// What was seen since it began anew.
#[derive(Debug)]
struct Lately {
    since: Instant,
    times: HashMap<(Network, &'static str), u64>,
}

impl Lately {
    fn new(now: Instant) -> Self {
        Self { since: now, times: HashMap::new() }
    }

    fn seen(&mut self, what: (Network, &'static str), now: Instant) -> u64 {
        if now.duration_since(self.since) >= LATELY {
            *self = Self::new(now);
        }
        if self.times.len() >= APART_MAX && !self.times.contains_key(&what) {
            return 0;
        }
        let times = self.times.entry(what).or_default();
        *times += 1;
        *times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> (Network, &'static str) {
        (network_of(address).expect("an address"), "untrusted")
    }

    #[test]
    fn a_strangers_repetitions_are_counted_and_others_are_seen_beside_them() {
        let now = Instant::now();
        let mut lately = Lately::new(now);
        let flooder = (1..=5_000).map(|port| lately.seen(from(&format!("10.0.0.1:{port}")), now));
        assert_eq!(flooder.filter(|times| *times == 1).count(), 1);
        let network = (1..=500).map(|host| lately.seen(from(&format!("[2001:db8:0:1::{host:x}]:1")), now));
        assert_eq!(network.filter(|times| *times == 1).count(), 1, "one /64 is one stranger");
        assert_eq!(lately.seen(from("10.0.0.2:1"), now), 1);
        assert_eq!(lately.seen((from("10.0.0.1:1").0, "expired"), now), 1);
        assert_eq!(lately.seen(from("10.0.0.1:1"), now + LATELY), 1, "it goes on record again later");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let mut lately = Lately::new(now);
        let recorded = (0..2_000_u32).map(|number| lately.seen(from(&format!("10.1.{}.{}:1", number >> 8, number & 255)), now));
        assert_eq!(recorded.filter(|times| *times == 1).count(), APART_MAX);
        assert_eq!(lately.times.len(), APART_MAX);
    }
}
