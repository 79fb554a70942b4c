//! How many connections of one listener are admitted: over all workers, and of one peer.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use chapar_core::identity::SpiffeId;
use prometheus::IntGauge;

use super::balance::Balance;
use crate::{
    config::Limits,
    metrics::{Listener, Metrics},
};

/// The limiter of one listener, the same for all workers.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    listener: Listener,
    admitted: AtomicUsize,
    by_peer: Mutex<HashMap<SpiffeId, usize>>,
    balance: Balance,
    connections_max: usize,
    per_peer_max: usize,
    metrics: Arc<Metrics>,
    open: IntGauge,
}

/// One connection that was admitted; dropping it makes room.
#[derive(Debug)]
pub(super) struct Admission {
    limiter: Arc<ConnectionLimiter>,
    worker: usize,
    peer: Option<SpiffeId>,
}

impl ConnectionLimiter {
    /// For so many workers.
    pub(super) fn new(limits: &Limits, listener: Listener, metrics: &Arc<Metrics>, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            listener,
            admitted: AtomicUsize::new(0),
            by_peer: Mutex::default(),
            balance: Balance::new(workers),
            connections_max: limits.connections_max,
            per_peer_max: limits.connections_per_peer_max,
            metrics: Arc::clone(metrics),
            open: metrics.connections(listener),
        })
    }

    pub(super) const fn listener(&self) -> Listener {
        self.listener
    }

    /// Admits a connection that came to `worker`, unless the listener is full: then it is to be closed at once, and is counted.
    pub(super) fn admit(self: &Arc<Self>, worker: usize) -> Option<Admission> {
        if self.admitted.fetch_add(1, Ordering::AcqRel) >= self.connections_max {
            self.admitted.fetch_sub(1, Ordering::AcqRel);
            self.metrics.connection_refused(self.listener, "full");
            return None;
        }
        self.open.inc();
        self.balance.enter(worker);
        Some(Admission { limiter: Arc::clone(self), worker, peer: None })
    }

    fn by_peer(&self) -> MutexGuard<'_, HashMap<SpiffeId, usize>> {
        // A thread that panicked while it held the map left it whole: counts are only changed in one step.
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    /// Which listener it came through.
    pub(super) fn listener(&self) -> Listener {
        self.limiter.listener()
    }

    /// A worker that should have it rather than the one that has it now, if there is one.
    pub(super) fn better_worker(&self) -> Option<usize> {
        self.limiter.balance.better_than(self.worker)
    }

    /// It is another worker's from now on.
    pub(super) fn passed_to(&mut self, worker: usize) {
        self.limiter.balance.leave(self.worker);
        self.limiter.balance.enter(worker);
        self.worker = worker;
        self.limiter.metrics.connection_passed(self.limiter.listener);
    }

    /// The peer is known now; false when it has too many connections already.
    pub(super) fn identified(&mut self, peer: &SpiffeId) -> bool {
        let mut by_peer = self.limiter.by_peer();
        let of_peer = by_peer.entry(peer.clone()).or_default();
        if *of_peer >= self.limiter.per_peer_max {
            drop(by_peer);
            self.ended_early("peer_full");
            return false;
        }
        *of_peer += 1;
        drop(by_peer);
        self.peer = Some(peer.clone());
        true
    }

    /// The connection ended before it carried anything.
    pub(super) fn ended_early(&self, cause: &'static str) {
        self.limiter.metrics.connection_refused(self.limiter.listener, cause);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            let mut by_peer = self.limiter.by_peer();
            if let Some(of_peer) = by_peer.get_mut(peer) {
                *of_peer -= 1;
                if *of_peer == 0 {
                    by_peer.remove(peer);
                }
            }
        }
        self.limiter.balance.leave(self.worker);
        self.limiter.admitted.fetch_sub(1, Ordering::AcqRel);
        self.limiter.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(connections_max: usize, connections_per_peer_max: usize) -> Arc<ConnectionLimiter> {
        let limits = Limits { connections_max, connections_per_peer_max, ..Limits::default() };
        ConnectionLimiter::new(&limits, Listener::Inbound, &Arc::new(Metrics::new().expect("names differ")), 1)
    }

    #[test]
    fn admits_so_many_and_another_when_one_leaves() {
        let limiter = limiter(2, 2);
        let (one, two) = (limiter.admit(0), limiter.admit(0));
        assert!(one.is_some() && two.is_some() && limiter.admit(0).is_none());
        drop(one);
        assert!(limiter.admit(0).is_some());
    }

    #[test]
    fn one_peer_cannot_take_all_the_room() {
        let limiter = limiter(10, 1);
        let id = |agency: &str| format!("spiffe://a.test/agency/{agency}/sidecar/main").parse::<SpiffeId>().expect("an ID");
        let (mut first, mut second) = (limiter.admit(0).expect("room"), limiter.admit(0).expect("room"));
        assert!(first.identified(&id("a")) && !second.identified(&id("a")));
        let mut other = limiter.admit(0).expect("room");
        assert!(other.identified(&id("b")));
        drop(first);
        let mut again = limiter.admit(0).expect("room");
        assert!(again.identified(&id("a")));
    }
}
