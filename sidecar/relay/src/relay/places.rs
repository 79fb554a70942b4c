//! Places, as the worker sees them.

use std::time::Instant;

use super::Relay;
use crate::{
    gate::Gate,
    keys::PlaceKey,
    place::{Place, PlaceConfig, PlaceState},
};

impl<G: Gate> Relay<G> {
    /// Adds a place.
    pub fn add_place(&mut self, place: G::Place, config: &PlaceConfig<'_>) -> PlaceKey {
        PlaceKey::of(self.places.insert(Place::new(place, config)))
    }

    /// What the gate knows of a place.
    pub fn place(&self, place: PlaceKey) -> Option<&G::Place> {
        let slot = self.find_place(place)?;
        self.places.get(slot).map(|place| &place.own)
    }

    /// How a place is doing.
    pub fn place_state(&self, place: PlaceKey) -> Option<PlaceState> {
        let place = self.places.get(self.find_place(place)?)?;
        Some(PlaceState {
            links: place.links.len(),
            calls: place.calls,
            parked: place.parked,
            is_well: place.is_well,
            is_ejected: place.standing.is_ejected(self.now_ms),
        })
    }

    /// Takes a place out: its links are retired, calls on them go on, those that wait for room go elsewhere or end.
    pub fn remove_place(&mut self, place: PlaceKey, now: Instant) {
        self.wind(now);
        if let Some(place) = self.find_place(place) {
            self.forget_place(place);
        }
        self.settle();
    }

    /// Puts down what a health check found.
    pub fn found(&mut self, place: PlaceKey, well: bool) {
        if let Some(place) = self.find_place(place).and_then(|slot| self.places.get_mut(slot)) {
            place.is_well = well;
        }
    }

    /// Whether the place is connected to before it is needed.
    pub fn keep_open(&mut self, place: PlaceKey, warm: bool, now: Instant) {
        self.wind(now);
        if let Some(slot) = self.find_place(place) {
            if let Some(place) = self.places.get_mut(slot) {
                place.is_warm = warm;
            }
            self.warm(slot);
        }
        self.settle();
    }

    /// No further call goes over the links that the place has now. Calls on them go on.
    pub fn retire_links(&mut self, place: PlaceKey, now: Instant) {
        self.wind(now);
        if let Some(place) = self.find_place(place) {
            self.retire_links_of(place);
        }
        self.settle();
    }
}
