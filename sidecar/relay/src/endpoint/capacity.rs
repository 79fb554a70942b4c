//! Room at an endpoint: links with capacity, and those who wait for one.

use super::{Endpoint, Reputation};
use crate::{
    Relay,
    connection::CloseReason,
    gate::Gate,
    relay::Event,
    slab::NONE,
    timer::{Owner, Timer},
};

impl<G: Gate> Relay<G> {
    /// The first link that has room, so that the links which a burst opened fall idle again and end.
    #[inline]
    pub(crate) fn free_link(&self, endpoint: u32, reputation: Reputation) -> Option<u32> {
        let has_capacity = |link: &&u32| {
            self.connections.get(**link).is_some_and(|link| link.has_capacity(reputation, &self.limits, self.now_ms))
        };
        self.endpoints.get(endpoint)?.links.iter().find(has_capacity).copied()
    }

    /// Sees to those who wait at an endpoint: assigns them, dials for them, or sends them elsewhere.
    pub(crate) fn feed(&mut self, endpoint: u32) {
        let Some(at) = self.endpoints.get(endpoint) else { return };
        if at.is_removed {
            for _ in 0..at.pending {
                let Some(call) = self.endpoints.get(endpoint).and_then(Endpoint::first) else { break };
                self.go_elsewhere(call, endpoint, None);
            }
            return self.let_go(endpoint);
        }
        for reputation in Reputation::ALL {
            self.feed_line(endpoint, reputation);
        }
        self.warm(endpoint);
    }

    /// Seats those whose callers have such a name. Who is put back waits for the next time.
    fn feed_line(&mut self, endpoint: u32, reputation: Reputation) {
        for _ in 0..self.endpoints.get(endpoint).map_or(0, |at| at.pending) {
            let Some(call) = self.endpoints.get(endpoint).map(|at| at.first_of(reputation)).filter(|call| *call != NONE) else {
                return;
            };
            if self.free_link(endpoint, reputation).is_none() {
                return self.want_dial(endpoint);
            }
            self.leave_pending(call);
            if !self.attempt_at(call, endpoint) {
                self.assign(call);
            }
        }
    }

    /// A call was lost at an endpoint.
    pub(crate) fn lost_at(&mut self, endpoint: u32) {
        if self.endpoints.get_mut(endpoint).is_some_and(|endpoint| endpoint.outlier.lost()) {
            self.eject(endpoint);
        }
    }

    /// Leaves an endpoint out for a while.
    pub(crate) fn eject(&mut self, endpoint: u32) {
        let random = self.random();
        let key = self.key_of_endpoint(endpoint);
        let Some(at) = self.endpoints.get_mut(endpoint) else { return };
        let time_ms = at.outlier.eject(self.now_ms, random);
        self.counters.ejections += 1;
        self.events.push_back(Event::Ejected { endpoint: key, time: std::time::Duration::from_millis(time_ms) });
    }

    /// Retires all links of an endpoint.
    pub(crate) fn retire_links_of(&mut self, endpoint: u32) {
        while let Some(&link) = self.endpoints.get(endpoint).and_then(|endpoint| endpoint.links.first()) {
            self.retire_connection(link, CloseReason::Retired);
        }
        self.ready.push(endpoint);
    }

    /// Takes an endpoint out.
    pub(crate) fn remove_endpoint_now(&mut self, endpoint: u32) {
        if let Some(at) = self.endpoints.get_mut(endpoint) {
            at.is_removed = true;
            let mut timer = std::mem::replace(&mut at.timer, Timer::UNSET);
            self.wheel.unset(&mut timer);
        }
        self.retire_links_of(endpoint);
    }

    /// Frees an endpoint that was removed, once nothing depends on it.
    pub(crate) fn let_go(&mut self, endpoint: u32) {
        if self.endpoints.get(endpoint).is_some_and(Endpoint::is_over) {
            self.endpoints.remove(endpoint);
        }
    }

    /// An endpoint's timer went off: it is to be dialled again.
    pub(crate) fn endpoint_due(&mut self, endpoint: u32) {
        if let Some(at) = self.endpoints.get_mut(endpoint) {
            at.timer = Timer::UNSET;
        }
        self.warm(endpoint);
    }

    /// Dials an endpoint that is kept open and has no link, or sets a timer for when it may be dialled.
    pub(crate) fn warm(&mut self, endpoint: u32) {
        let now_ms = self.now_ms;
        let Some(at) = self.endpoints.get_mut(endpoint) else { return };
        if !at.is_warm || at.is_removed || at.is_dialling || !at.links.is_empty() || at.timer.is_set() {
            return;
        }
        if at.outlier.is_ejected(now_ms) {
            let due_ms = at.outlier.ejected_until_ms();
            at.timer = self.wheel.set(Owner::Endpoint(endpoint), due_ms);
        } else {
            self.want_dial(endpoint);
        }
    }
}
