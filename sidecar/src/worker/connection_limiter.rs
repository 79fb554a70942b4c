//! How many connections of one listener are admitted: over all workers, of one peer, of one agency, and, before they are known, of one
//! address.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use chapar_core::identity::SpiffeId;
use chapar_daemon::network::Network;
use prometheus::IntGauge;

use super::balance::Balance;
use crate::{
    config::Limits,
    metrics::{Listener, Metrics},
    shares::{Held, Members},
};

/// The limiter of one listener, the same for all workers.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    listener: Listener,
    admitted: AtomicUsize,
    by_peer: Mutex<HashMap<SpiffeId, usize>>,
    agencies: Members<Box<str>>,
    strangers: Members<Network>,
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
    /// Whose share it is part of: at first of whoever is at its address, then of the agency's.
    share: Option<Arc<Held>>,
}

/// Whose connections those from `address` are while nobody there has shown a certificate. `None`: there is no such address.
pub(super) fn network_of(address: &str) -> Option<Network> {
    address.parse::<SocketAddr>().ok().map(|address| Network::from(address.ip()))
}

impl ConnectionLimiter {
    /// For so many workers.
    pub(super) fn new(limits: &Limits, listener: Listener, metrics: &Arc<Metrics>, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            listener,
            admitted: AtomicUsize::new(0),
            by_peer: Mutex::default(),
            agencies: Members::default(),
            strangers: Members::default(),
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

    /// Admits a connection that came to `worker` from `address`, unless the listener is full, or whoever is there has its share of it:
    /// then it is to be closed at once, and is counted.
    pub(super) fn admit(self: &Arc<Self>, worker: usize, address: &str) -> Option<Admission> {
        let free = self.connections_max.saturating_sub(self.admitted.fetch_add(1, Ordering::AcqRel));
        let share = match self.listener {
            // Applications of one agency, on its own machine.
            Listener::Outbound => None,
            Listener::Inbound => network_of(address).map(|stranger| self.strangers.of(stranger)),
        };
        let cause = match &share {
            _ if free == 0 => "full",
            Some(share) if !share.take(free) => "address_full",
            _ => {
                self.open.inc();
                self.balance.enter(worker);
                return Some(Admission { limiter: Arc::clone(self), worker, peer: None, share });
            }
        };
        self.admitted.fetch_sub(1, Ordering::AcqRel);
        self.metrics.connection_refused(self.listener, cause);
        None
    }

    fn free(&self) -> usize {
        self.connections_max.saturating_sub(self.admitted.load(Ordering::Acquire))
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

    /// The peer is known now; false when it has too many connections already, or its agency its share.
    pub(super) fn identified(&mut self, peer: &SpiffeId, agency: &str) -> bool {
        let share = self.limiter.agencies.of(agency.into());
        // Its own place is free for it.
        if !share.take(self.limiter.free() + 1) {
            self.ended_early("agency_full");
            return false;
        }
        if let Some(stranger) = self.share.replace(share) {
            stranger.give_back();
        }
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
        if let Some(share) = &self.share {
            share.give_back();
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

    fn id(agency: &str, name: &str) -> SpiffeId {
        format!("spiffe://a.test/agency/{agency}/sidecar/{name}").parse().expect("an ID")
    }

    #[test]
    fn admits_so_many_and_another_when_one_leaves() {
        let limiter = limiter(2, 2);
        let from = |address: &str| limiter.admit(0, address);
        let (one, two) = (from("10.0.0.1:1"), from("10.0.0.2:1"));
        assert!(one.is_some() && two.is_some() && from("10.0.0.3:1").is_none());
        drop(one);
        assert!(from("10.0.0.3:1").is_some());
    }

    #[test]
    fn one_peer_cannot_take_all_the_room() {
        let limiter = limiter(10, 1);
        let come = || limiter.admit(0, "10.0.0.1:1").expect("room");
        let (mut first, mut second) = (come(), come());
        assert!(first.identified(&id("a", "main"), "a") && !second.identified(&id("a", "main"), "a"));
        let mut other = come();
        assert!(other.identified(&id("b", "main"), "b"));
        drop(first);
        let mut again = come();
        assert!(again.identified(&id("a", "main"), "a"));
    }

    #[test]
    fn neither_an_agency_nor_an_address_takes_all_the_room() {
        let limiter = limiter(100, 64);
        let mut held = Vec::new();
        // An agency with as many sidecars as it likes.
        for number in 0..100 {
            let Some(mut come) = limiter.admit(0, &format!("10.0.{number}.1:1")) else { break };
            if !come.identified(&id("greedy", &number.to_string()), "greedy") {
                break;
            }
            held.push(come);
        }
        let of_agency = held.len();
        assert!((75..=81).contains(&of_agency), "{of_agency}");
        // A stranger that changes ports, and addresses within its network.
        held.extend((1..100).map_while(|port| limiter.admit(0, &format!("[2001:db8:0:1::{port:x}]:{port}"))));
        let of_stranger = held.len() - of_agency;
        assert!((10..=17).contains(&of_stranger), "{of_stranger}");
        let mut honest = limiter.admit(0, "[2001:db8:0:2::1]:1").expect("room for others");
        assert!(honest.identified(&id("honest", "main"), "honest"));
        drop(held);
        assert_eq!(limiter.free(), 99);
    }
}
