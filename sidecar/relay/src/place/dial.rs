//! Asking for connections to a place, and what becomes of those who wait when there is none.

use super::Place;
use crate::{Relay, call::Problem, gate::Gate, keys::PlaceKey, relay::Event};

impl<G: Gate> Relay<G> {
    /// Asks for one more link, unless one is on its way or there are as many as may be.
    pub(crate) fn want_dial(&mut self, place: u32) {
        let key = self.key_of_place(place);
        let links_max = self.limits.links_per_place_max;
        let Some(at) = self.places.get_mut(place) else { return };
        if at.is_dialling || at.is_removed || at.links.len() >= links_max {
            return;
        }
        at.is_dialling = true;
        self.events.push_back(Event::Dial { place: key });
    }

    /// A dial came to nothing.
    pub(crate) fn not_reached(&mut self, key: PlaceKey, error: G::DialError) {
        let Some(place) = self.places.find(key.slot, key.generation) else { return };
        let Some(at) = self.places.get_mut(place) else { return };
        at.is_dialling = false;
        at.problem = Some(error);
        if at.is_removed {
            self.hungry.push(place);
            return;
        }
        let has_links = !at.links.is_empty();
        self.eject(place);
        // Where links are open, those who wait may yet find room on them.
        if !has_links {
            let parked = self.places.get(place).map_or(0, |at| at.parked);
            for _ in 0..parked {
                let Some(call) = self.places.get(place).and_then(Place::first) else { break };
                self.go_elsewhere(call, place, Some(Problem::Unreachable));
            }
        }
        self.warm(place);
    }
}
