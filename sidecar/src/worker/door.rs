//! How many connections are let in: over all workers, and of one peer.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use chapar_core::identity::SpiffeId;
use prometheus::IntGauge;

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
    connections_max: usize,
    per_peer_max: usize,
    metrics: Arc<Metrics>,
    open: IntGauge,
}

/// One connection that was let in; dropping it makes room.
#[derive(Debug)]
pub(super) struct Admitted {
    door: Arc<Door>,
    peer: Option<SpiffeId>,
}

impl Door {
    pub(super) fn new(limits: &Limits, listener: Listener, metrics: &Arc<Metrics>) -> Self {
        Self {
            listener,
            inside: AtomicUsize::new(0),
            by_peer: Mutex::default(),
            connections_max: limits.connections_max,
            per_peer_max: limits.connections_per_peer_max,
            metrics: Arc::clone(metrics),
            open: metrics.connections(listener),
        }
    }

    pub(super) const fn listener(&self) -> Listener {
        self.listener
    }

    /// Lets a connection in, unless the listener is full: then it is closed at once, and counted.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Admitted> {
        if self.inside.fetch_add(1, Ordering::AcqRel) >= self.connections_max {
            self.inside.fetch_sub(1, Ordering::AcqRel);
            self.metrics.connection_refused(self.listener, "full");
            return None;
        }
        self.open.inc();
        Some(Admitted { door: Arc::clone(self), peer: None })
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
        self.door.inside.fetch_sub(1, Ordering::AcqRel);
        self.door.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(connections_max: usize, connections_per_peer_max: usize) -> Arc<Door> {
        let limits = Limits { connections_max, connections_per_peer_max, ..Limits::default() };
        Arc::new(Door::new(&limits, Listener::Inbound, &Arc::new(Metrics::new().expect("names differ"))))
    }

    #[test]
    fn lets_so_many_in_and_another_when_one_leaves() {
        let door = door(2, 2);
        let (one, two) = (door.admit(), door.admit());
        assert!(one.is_some() && two.is_some() && door.admit().is_none());
        drop(one);
        assert!(door.admit().is_some());
    }

    #[test]
    fn one_peer_cannot_take_all_the_room() {
        let door = door(10, 1);
        let id = |agency: &str| format!("spiffe://a.test/agency/{agency}/sidecar/main").parse::<SpiffeId>().expect("an ID");
        let (mut first, mut second) = (door.admit().expect("room"), door.admit().expect("room"));
        assert!(first.identified(&id("a")) && !second.identified(&id("a")));
        let mut other = door.admit().expect("room");
        assert!(other.identified(&id("b")));
        drop(first);
        let mut again = door.admit().expect("room");
        assert!(again.identified(&id("a")));
    }
}
