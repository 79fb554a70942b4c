//! What the stages consult: one desk a worker, so that nothing on it is shared with another core.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Instant};

use chapar_core::{
    identity::Agency,
    policy::{PeerCertificate, PolicySnapshot},
    time::Timestamp,
};
use rand::rngs::StdRng;

use super::book::Book;
use crate::{clock::Clock, snapshot::Current, trust::Trust};

/// What all desks of a sidecar have in common.
#[derive(Debug, Clone)]
pub struct Ties {
    /// The agency that this sidecar speaks for.
    pub agency: Agency,
    /// What time it is.
    pub clock: Clock,
    /// The certificate that this sidecar shows.
    pub trust: Trust,
    /// What the control plane last said.
    pub current: Current,
}

/// What the stages consult.
#[derive(Debug)]
pub struct Desk {
    ties: Ties,
    book: Rc<Book>,
    chance: RefCell<StdRng>,
    snapshot: Option<Arc<PolicySnapshot>>,
    /// How many snapshots this desk has seen; tells a call that was decided on an earlier one.
    snapshots_seen: u64,
    own: Arc<PeerCertificate>,
    at: Instant,
    now: Timestamp,
}

impl Desk {
    /// A desk whose accounts are closed in `book`.
    #[must_use]
    pub fn new(ties: Ties, book: Rc<Book>, at: Instant) -> Self {
        let (own, now) = (ties.trust.own(), ties.clock.now());
        let chance = RefCell::new(rand::make_rng());
        let mut desk = Self { ties, book, chance, snapshot: None, snapshots_seen: 0, own, at, now };
        desk.refresh();
        desk
    }

    /// It is `at`: takes in what has changed, so that the next call is decided on what is in force now.
    pub fn turn(&mut self, at: Instant) {
        if at != self.at {
            self.at = at;
            self.now = self.ties.clock.now();
            self.book.turn(at);
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        if self.ties.current.refresh(&mut self.snapshot) {
            self.snapshots_seen += 1;
        }
        self.ties.trust.refresh_own(&mut self.own);
    }

    /// The agency that this sidecar speaks for.
    #[must_use]
    pub const fn agency(&self) -> &Agency {
        &self.ties.agency
    }

    /// Where accounts are closed.
    #[must_use]
    pub const fn book(&self) -> &Rc<Book> {
        &self.book
    }

    /// What the control plane last said.
    #[must_use]
    pub fn snapshot(&self) -> Option<&PolicySnapshot> {
        self.snapshot.as_deref()
    }

    /// How many snapshots this desk has seen.
    #[must_use]
    pub const fn snapshots_seen(&self) -> u64 {
        self.snapshots_seen
    }

    /// The certificate that this sidecar shows.
    #[must_use]
    pub fn own(&self) -> &PeerCertificate {
        &self.own
    }

    /// The instant of this turn, by the clock that certificates and grants are judged by.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The instant of this turn, by the clock that deadlines are measured by.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    pub(super) const fn chance(&self) -> &RefCell<StdRng> {
        &self.chance
    }
}
