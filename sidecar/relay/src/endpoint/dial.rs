//! Asking for connections to an endpoint, and what becomes of those who wait when there is none.

use super::Endpoint;
use crate::{Relay, call::Problem, gate::Gate, keys::EndpointKey, relay::Event};

impl<G: Gate> Relay<G> {
    /// Asks for one more link, unless one is on its way or there are as many as may be.
    pub(crate) fn want_dial(&mut self, endpoint: u32) {
        let key = self.key_of_endpoint(endpoint);
        let links_max = self.limits.connections_per_endpoint_max;
        let Some(at) = self.endpoints.get_mut(endpoint) else { return };
        if at.is_dialling || at.is_removed || at.links.len() >= links_max {
            return;
        }
        at.is_dialling = true;
        self.events.push_back(Event::Dial { endpoint: key });
    }

    /// A dial came to nothing.
    pub(crate) fn not_reached(&mut self, key: EndpointKey, error: G::DialError) {
        let Some(endpoint) = self.endpoints.find(key.slot, key.generation) else { return };
        let Some(at) = self.endpoints.get_mut(endpoint) else { return };
        at.is_dialling = false;
        at.problem = Some(error);
        if at.is_removed {
            self.ready.push(endpoint);
            return;
        }
        let has_links = !at.links.is_empty();
        self.eject(endpoint);
        // Where links are open, those who wait may yet find room on them.
        if !has_links {
            let pending = self.endpoints.get(endpoint).map_or(0, |at| at.pending);
            for _ in 0..pending {
                let Some(call) = self.endpoints.get(endpoint).and_then(Endpoint::first) else { break };
                self.go_elsewhere(call, endpoint, Some(Problem::Unreachable));
            }
        }
        self.warm(endpoint);
    }
}
