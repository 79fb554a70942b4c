//! Room at a place: links with seats, and those who wait for one.

use super::{Name, Place};
use crate::{
    Relay,
    connection::CloseWhy,
    gate::Gate,
    relay::Event,
    slab::NONE,
    timer::{Owner, Timer},
};

impl<G: Gate> Relay<G> {
    /// The first link that has room, so that the links which a burst opened fall idle again and end.
    #[inline]
    pub(crate) fn free_link(&self, place: u32, name: Name) -> Option<u32> {
        let has_seat =
            |link: &&u32| self.connections.get(**link).is_some_and(|link| link.has_seat(name, &self.limits, self.now_ms));
        self.places.get(place)?.links.iter().find(has_seat).copied()
    }

    /// Sees to those who wait at a place: seats them, dials for them, or sends them elsewhere.
    pub(crate) fn feed(&mut self, place: u32) {
        let Some(at) = self.places.get(place) else { return };
        if at.is_removed {
            for _ in 0..at.parked {
                let Some(call) = self.places.get(place).and_then(Place::first) else { break };
                self.go_elsewhere(call, place, None);
            }
            return self.let_go(place);
        }
        for name in Name::ALL {
            self.feed_line(place, name);
        }
        self.warm(place);
    }

    /// Seats those whose callers have such a name. Who is put back waits for the next time.
    fn feed_line(&mut self, place: u32, name: Name) {
        for _ in 0..self.places.get(place).map_or(0, |at| at.parked) {
            let Some(call) = self.places.get(place).map(|at| at.first_of(name)).filter(|call| *call != NONE) else { return };
            if self.free_link(place, name).is_none() {
                return self.want_dial(place);
            }
            self.leave_parked(call);
            if !self.attempt_at(call, place) {
                self.seat(call);
            }
        }
    }

    /// A call was lost at a place.
    pub(crate) fn lost_at(&mut self, place: u32) {
        if self.places.get_mut(place).is_some_and(|place| place.standing.lost()) {
            self.eject(place);
        }
    }

    /// Leaves a place out for a while.
    pub(crate) fn eject(&mut self, place: u32) {
        let random = self.random();
        let key = self.key_of_place(place);
        let Some(at) = self.places.get_mut(place) else { return };
        let time_ms = at.standing.eject(self.now_ms, random);
        self.counters.ejections += 1;
        self.events.push_back(Event::Ejected { place: key, time: std::time::Duration::from_millis(time_ms) });
    }

    /// Retires all links of a place.
    pub(crate) fn retire_links_of(&mut self, place: u32) {
        while let Some(&link) = self.places.get(place).and_then(|place| place.links.first()) {
            self.retire_connection(link, CloseWhy::Retired);
        }
        self.hungry.push(place);
    }

    /// Takes a place out.
    pub(crate) fn forget_place(&mut self, place: u32) {
        if let Some(at) = self.places.get_mut(place) {
            at.is_removed = true;
            let mut timer = std::mem::replace(&mut at.timer, Timer::UNSET);
            self.wheel.unset(&mut timer);
        }
        self.retire_links_of(place);
    }

    /// Frees a place that was removed, once nothing depends on it.
    pub(crate) fn let_go(&mut self, place: u32) {
        if self.places.get(place).is_some_and(Place::is_over) {
            self.places.remove(place);
        }
    }

    /// A place's timer went off: it is to be dialled again.
    pub(crate) fn place_due(&mut self, place: u32) {
        if let Some(at) = self.places.get_mut(place) {
            at.timer = Timer::UNSET;
        }
        self.warm(place);
    }

    /// Dials a place that is kept open and has no link, or sets a timer for when it may be dialled.
    pub(crate) fn warm(&mut self, place: u32) {
        let now_ms = self.now_ms;
        let Some(at) = self.places.get_mut(place) else { return };
        if !at.is_warm || at.is_removed || at.is_dialling || !at.links.is_empty() || at.timer.is_set() {
            return;
        }
        if at.standing.is_ejected(now_ms) {
            let due_ms = at.standing.ejected_until_ms();
            at.timer = self.wheel.set(Owner::Place(place), due_ms);
        } else {
            self.want_dial(place);
        }
    }
}
