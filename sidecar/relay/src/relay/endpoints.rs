//! Endpoints, as the worker sees them.

use std::time::Instant;

use super::Relay;
use crate::{
    endpoint::{Endpoint, EndpointConfig, EndpointState},
    gate::Gate,
    keys::EndpointKey,
};

impl<G: Gate> Relay<G> {
    /// Adds an endpoint.
    pub fn add_endpoint(&mut self, endpoint: G::Endpoint, config: &EndpointConfig<'_>) -> EndpointKey {
        EndpointKey::of(self.endpoints.insert(Endpoint::new(endpoint, config)))
    }

    /// What the gate knows of an endpoint.
    pub fn endpoint(&self, endpoint: EndpointKey) -> Option<&G::Endpoint> {
        let slot = self.find_endpoint(endpoint)?;
        self.endpoints.get(slot).map(|endpoint| &endpoint.own)
    }

    /// How an endpoint is doing.
    pub fn endpoint_state(&self, endpoint: EndpointKey) -> Option<EndpointState> {
        let endpoint = self.endpoints.get(self.find_endpoint(endpoint)?)?;
        Some(EndpointState {
            connections: endpoint.links.len(),
            calls: endpoint.calls,
            pending: endpoint.pending,
            is_healthy: endpoint.is_healthy,
            is_ejected: endpoint.outlier.is_ejected(self.now_ms),
        })
    }

    /// Takes an endpoint out: its links are retired, calls on them go on, those that wait for room go elsewhere or end.
    pub fn remove_endpoint(&mut self, endpoint: EndpointKey, now: Instant) {
        self.wind(now);
        if let Some(endpoint) = self.find_endpoint(endpoint) {
            self.remove_endpoint_now(endpoint);
        }
        self.settle();
    }

    /// Puts down what a health check found.
    pub fn set_healthy(&mut self, endpoint: EndpointKey, healthy: bool) {
        if let Some(endpoint) = self.find_endpoint(endpoint).and_then(|slot| self.endpoints.get_mut(slot)) {
            endpoint.is_healthy = healthy;
        }
    }

    /// Whether the endpoint is connected to before it is needed.
    pub fn keep_open(&mut self, endpoint: EndpointKey, warm: bool, now: Instant) {
        self.wind(now);
        if let Some(slot) = self.find_endpoint(endpoint) {
            if let Some(endpoint) = self.endpoints.get_mut(slot) {
                endpoint.is_warm = warm;
            }
            self.warm(slot);
        }
        self.settle();
    }

    /// No further call goes over the links that the endpoint has now. Calls on them go on.
    pub fn retire_connections(&mut self, endpoint: EndpointKey, now: Instant) {
        self.wind(now);
        if let Some(endpoint) = self.find_endpoint(endpoint) {
            self.retire_links_of(endpoint);
        }
        self.settle();
    }
}
