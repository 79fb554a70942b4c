//! How many connections are let in: over all workers, and of one peer.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use chapar_core::identity::SpiffeId;
use prometheus::IntGauge;
use tokio::sync::mpsc;

use super::balance::{Balance, Newcomer, Passed};
use crate::{
    config::Limits,
    metrics::{Listener, Metrics},
};

/// The door of one listener, the same for all workers.
#[derive(Debug)]
pub(super) struct Door {
    listener: Listener,
    inside: AtomicUsize,
    by_peer: Mutex<HashMap<SpiffeId, usize>>,
    balance: Balance,
    connections_max: usize,
    per_peer_max: usize,
    metrics: Arc<Metrics>,
    open: IntGauge,
}

/// One connection that was let in; dropping it makes room.
#[derive(Debug)]
pub(super) struct Admitted {
    door: Arc<Door>,
    worker: usize,
    peer: Option<SpiffeId>,
}

impl Door {
    /// For so many workers; also the connections that each of them is passed by another.
    pub(super) fn new(
        limits: &Limits,
        listener: Listener,
        metrics: &Arc<Metrics>,
        workers: usize,
    ) -> (Arc<Self>, Vec<mpsc::Receiver<Passed>>) {
        let (balance, passed) = Balance::of(workers);
        let door = Self {
            listener,
            inside: AtomicUsize::new(0),
            by_peer: Mutex::default(),
            balance,
            connections_max: limits.connections_max,
            per_peer_max: limits.connections_per_peer_max,
            metrics: Arc::clone(metrics),
            open: metrics.connections(listener),
        };
        (Arc::new(door), passed)
    }

    pub(super) const fn listener(&self) -> Listener {
        self.listener
    }

    /// Lets a connection in that came to `worker`, unless the listener is full: then it is closed at once, and counted.
    pub(super) fn admit(self: &Arc<Self>, worker: usize) -> Option<Admitted> {
        if self.inside.fetch_add(1, Ordering::AcqRel) >= self.connections_max {
            self.inside.fetch_sub(1, Ordering::AcqRel);
            self.metrics.connection_refused(self.listener, "full");
            return None;
        }
        self.open.inc();
        self.balance.enter(worker);
        Some(Admitted { door: Arc::clone(self), worker, peer: None })
    }

    /// Passes a connection to a worker that has fewer, if there is one: [`Balance::pass`].
    pub(super) fn pass(&self, newcomer: Newcomer) -> io::Result<Option<Newcomer>> {
        self.balance.pass(newcomer)
    }

    fn by_peer(&self) -> MutexGuard<'_, HashMap<SpiffeId, usize>> {
        // A thread that panicked while it held the map left it whole: counts are only changed in one step.
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Whose door it came through.
    pub(super) fn listener(&self) -> Listener {
        self.door.listener()
    }

    /// Whose it is.
    pub(super) const fn worker(&self) -> usize {
        self.worker
    }

    /// It is another worker's from now on.
    pub(super) fn passed_to(&mut self, worker: usize) {
        self.door.balance.leave(self.worker);
        self.door.balance.enter(worker);
        self.worker = worker;
        self.door.metrics.connection_passed(self.door.listener);
    }

    /// The peer is known now; false when it has too many connections already.
    pub(super) fn identified(&mut self, peer: &SpiffeId) -> bool {
        let mut by_peer = self.door.by_peer();
        let of_peer = by_peer.entry(peer.clone()).or_default();
        if *of_peer >= self.door.per_peer_max {
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
        self.door.metrics.connection_refused(self.door.listener, cause);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            let mut by_peer = self.door.by_peer();
            if let Some(of_peer) = by_peer.get_mut(peer) {
                *of_peer -= 1;
                if *of_peer == 0 {
                    by_peer.remove(peer);
                }
            }
        }
        self.door.balance.leave(self.worker);
        self.door.inside.fetch_sub(1, Ordering::AcqRel);
        self.door.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(connections_max: usize, connections_per_peer_max: usize) -> Arc<Door> {
        let limits = Limits { connections_max, connections_per_peer_max, ..Limits::default() };
        Door::new(&limits, Listener::Inbound, &Arc::new(Metrics::new().expect("names differ")), 1).0
    }

    #[test]
    fn lets_so_many_in_and_another_when_one_leaves() {
        let door = door(2, 2);
        let (one, two) = (door.admit(0), door.admit(0));
        assert!(one.is_some() && two.is_some() && door.admit(0).is_none());
        drop(one);
        assert!(door.admit(0).is_some());
    }

    #[test]
    fn one_peer_cannot_take_all_the_room() {
        let door = door(10, 1);
        let id = |agency: &str| format!("spiffe://a.test/agency/{agency}/sidecar/main").parse::<SpiffeId>().expect("an ID");
        let (mut first, mut second) = (door.admit(0).expect("room"), door.admit(0).expect("room"));
        assert!(first.identified(&id("a")) && !second.identified(&id("a")));
        let mut other = door.admit(0).expect("room");
        assert!(other.identified(&id("b")));
        drop(first);
        let mut again = door.admit(0).expect("room");
        assert!(again.identified(&id("a")));
    }
}
