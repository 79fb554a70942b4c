//! How many connections are let in: overall, and of one peer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chapar_core::identity::SpiffeId;
use prometheus::IntGauge;

use crate::{
    metrics::{Listener, Metrics},
    relay::Engine,
};

/// The door of one listener.
#[derive(Debug)]
pub(super) struct Admission {
    listener: Listener,
    inside: Mutex<Inside>,
    connections_max: usize,
    per_peer_max: usize,
    metrics: Arc<Metrics>,
    open: IntGauge,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_peer: HashMap<SpiffeId, usize>,
}

/// One connection that was let in; dropping it makes room.
#[derive(Debug)]
pub(super) struct Admitted {
    door: Arc<Admission>,
    peer: Option<SpiffeId>,
}

impl Admission {
    pub(super) fn new(engine: &Engine, listener: Listener) -> Self {
        let metrics = Arc::clone(engine.desk.book.metrics());
        Self {
            listener,
            inside: Mutex::default(),
            connections_max: engine.limits.connections_max,
            per_peer_max: engine.limits.connections_per_peer_max,
            open: metrics.connections(listener),
            metrics,
        }
    }

    pub(super) const fn listener(&self) -> Listener {
        self.listener
    }

    /// Lets a connection in, unless the listener is full: then it is closed at once, and counted.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Admitted> {
        let mut inside = self.lock();
        if inside.all >= self.connections_max {
            drop(inside);
            self.metrics.connection_refused(self.listener, "full");
            return None;
        }
        inside.all += 1;
        self.open.inc();
        Some(Admitted { door: Arc::clone(self), peer: None })
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// The peer is known now; false when it has too many connections already.
    pub(super) fn identified(&mut self, peer: &SpiffeId) -> bool {
        let mut inside = self.door.lock();
        let of_peer = inside.by_peer.entry(peer.clone()).or_default();
        if *of_peer >= self.door.per_peer_max {
            drop(inside);
            self.ended_early("peer_full");
            return false;
        }
        *of_peer += 1;
        drop(inside);
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
        let mut inside = self.door.lock();
        inside.all -= 1;
        if let Some(peer) = &self.peer
            && let Some(of_peer) = inside.by_peer.get_mut(peer)
        {
            *of_peer -= 1;
            if *of_peer == 0 {
                inside.by_peer.remove(peer);
            }
        }
        drop(inside);
        self.door.open.dec();
    }
}
