//! Choosing among several places: the less busy of two at random ("power of two choices"), of those that do well.

use std::sync::Arc;

use super::Place;

/// The place for the next attempt, of those not `tried` yet. Places that are left out are tried only when there is no
/// other: better a try than a certain failure.
pub(crate) fn choose<'p>(places: &'p [Arc<Place>], tried: &[Arc<Place>]) -> Option<&'p Arc<Place>> {
    if let ([only], []) = (places, tried) {
        return Some(only);
    }
    let untried = |place: &&Arc<Place>| !tried.iter().any(|other| Arc::ptr_eq(other, place));
    let mut candidates: Vec<&Arc<Place>> = places.iter().filter(untried).filter(|place| place.is_available()).collect();
    if candidates.is_empty() {
        candidates = places.iter().filter(untried).collect();
    }
    match candidates.len() {
        0 => None,
        1 => Some(candidates[0]),
        count => {
            let one = rand::random_range(0..count);
            let other = (one + rand::random_range(1..count)) % count;
            let (one, other) = (candidates[one], candidates[other]);
            Some(if other.in_flight() < one.in_flight() { other } else { one })
        }
    }
}
