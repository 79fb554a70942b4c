//! Endpoints, as the worker changes them.

use super::{core::Core, ready::settle, retiring::retire_all_of};
use crate::{
    Relay,
    endpoint::{Endpoint, EndpointConfig},
    gate::Gate,
    keys::{EndpointId, EndpointKey},
};

/// The endpoints of a relay at an instant. Keys of endpoints that were removed change nothing.
pub struct EndpointsAt<'r, G: Gate> {
    core: &'r mut Core<G>,
}

impl<G: Gate> std::fmt::Debug for EndpointsAt<'_, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointsAt").field("endpoints", &self.core.endpoints.len()).finish_non_exhaustive()
    }
}

impl<'r, G: Gate> EndpointsAt<'r, G> {
    pub(super) const fn new(relay: &'r mut Relay<G>) -> Self {
        Self { core: &mut relay.core }
    }

    /// Adds an endpoint.
    pub fn add(&mut self, endpoint: G::Endpoint, config: &EndpointConfig<'_>) -> EndpointKey {
        self.core.endpoints.insert(Endpoint::new(endpoint, config))
    }

    /// Takes an endpoint out: its connections are retired, calls on them go on, those that wait for room go elsewhere or end.
    pub fn remove(&mut self, endpoint: EndpointKey) {
        self.change(endpoint, |core, id| {
            core.endpoints.remove(id, &mut core.shared);
            retire_all_of(core, id);
        });
    }

    /// Puts down what a health check found.
    pub fn set_healthy(&mut self, endpoint: EndpointKey, healthy: bool) {
        self.change(endpoint, |core, id| {
            if let Some(endpoint) = core.endpoints.get_mut(id) {
                endpoint.is_healthy = healthy;
            }
        });
    }

    /// Whether the endpoint is connected to before it is needed.
    pub fn keep_open(&mut self, endpoint: EndpointKey, keep: bool) {
        self.change(endpoint, |core, id| {
            if let Some(endpoint) = core.endpoints.get_mut(id) {
                endpoint.is_kept_open = keep;
            }
            core.endpoints.warm(id, &mut core.shared);
        });
    }

    /// No further call goes over the connections that the endpoint has now. Calls on them go on.
    pub fn retire_connections(&mut self, endpoint: EndpointKey) {
        self.change(endpoint, retire_all_of);
    }

    fn change(&mut self, endpoint: EndpointKey, change: impl FnOnce(&mut Core<G>, EndpointId)) {
        if let Some(id) = self.core.endpoints.find(endpoint) {
            change(self.core, id);
        }
        settle(self.core);
    }
}
