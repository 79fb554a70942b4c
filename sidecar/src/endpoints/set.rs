//! Which endpoints take which inquiry, as one worker's relay knows them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chapar_core::{
    identity::{Agency, SpiffeId},
    policy::{self, Inquiry, PolicySnapshot},
};
use chapar_relay::EndpointKey;

/// A sidecar at an address; either one changing makes it another endpoint.
type PeerAddress = (SpiffeId, Arc<str>);

/// The endpoints of one worker.
#[derive(Debug, Default)]
pub(crate) struct EndpointSet {
    peers: HashMap<PeerAddress, EndpointKey>,
    /// By gRPC service; nearly always one provider offers it.
    offers: HashMap<Arc<str>, Vec<Offer>>,
    /// By gRPC service.
    upstreams: HashMap<Box<str>, Vec<EndpointKey>>,
    /// In the order of `Upstreams::servers`.
    servers: Vec<EndpointKey>,
}

/// The sidecars of one provider that offer a service to this agency.
#[derive(Debug)]
struct Offer {
    provider: Agency,
    endpoints: Vec<EndpointKey>,
    /// Some of them are reserved for this agency.
    reserved: bool,
}

impl EndpointSet {
    /// The sidecars that take `inquiry` for this agency. Nodes that are reserved for it come before all others: while it has any,
    /// it uses no shared one.
    pub(crate) fn of_provider(&self, inquiry: &Inquiry) -> &[EndpointKey] {
        let offers = self.offers.get(&inquiry.grpc_service).map_or(&[][..], Vec::as_slice);
        offers.iter().find(|offer| offer.provider == inquiry.key.provider).map_or(&[], |offer| &offer.endpoints)
    }

    /// The agency's own servers that take `inquiry`.
    pub(crate) fn of_upstream(&self, inquiry: &Inquiry) -> &[EndpointKey] {
        self.upstreams.get(&*inquiry.grpc_service).map_or(&[], Vec::as_slice)
    }

    /// A set for tests, in which `inquiry` is taken at `endpoint`.
    #[cfg(test)]
    pub(crate) fn of_tests(inquiry: &Inquiry, kind: super::EndpointKind, endpoint: EndpointKey) -> Self {
        let mut set = Self::default();
        match kind {
            super::EndpointKind::Peer => {
                let offer = Offer { provider: inquiry.key.provider.clone(), endpoints: vec![endpoint], reserved: false };
                set.offers.insert(Arc::clone(&inquiry.grpc_service), vec![offer]);
            }
            super::EndpointKind::Upstream => set.add_upstream(&inquiry.grpc_service, endpoint),
        }
        set
    }

    /// The sidecars of other agencies.
    pub(crate) fn peers(&self) -> impl Iterator<Item = EndpointKey> {
        self.peers.values().copied()
    }

    /// The agency's own servers, in the order of the configuration.
    pub(crate) fn servers(&self) -> &[EndpointKey] {
        &self.servers
    }

    /// Adds one of the agency's own servers.
    pub(crate) fn add_upstream(&mut self, service: &str, key: EndpointKey) {
        self.upstreams.entry(service.into()).or_default().push(key);
        self.servers.push(key);
    }

    /// Brings the sidecars of other agencies in line with `snapshot`, as they are for calls of `consumer`; `add` makes an endpoint of
    /// each that is new. Gives those that the snapshot no longer names.
    pub(crate) fn follow(
        &mut self,
        snapshot: &PolicySnapshot,
        consumer: &Agency,
        mut add: impl FnMut(&SpiffeId, &Arc<str>) -> EndpointKey,
    ) -> Vec<EndpointKey> {
        let named: HashSet<(&SpiffeId, &str)> =
            snapshot.all_endpoints().map(|endpoint| (&endpoint.spiffe_id, &*endpoint.address)).collect();
        let gone = self.peers.extract_if(|(spiffe_id, address), _| !named.contains(&(spiffe_id, &**address)));
        let gone = gone.map(|(_, key)| key).collect();
        self.offers.clear();
        for endpoint in snapshot.all_endpoints() {
            let peer = (endpoint.spiffe_id.clone(), Arc::clone(&endpoint.address));
            let key = *self.peers.entry(peer).or_insert_with_key(|(spiffe_id, address)| add(spiffe_id, address));
            if let Some(provider) = Agency::from_spiffe_id(&endpoint.spiffe_id, snapshot.trust_domain()) {
                self.offer(consumer, &provider, endpoint, key);
            }
        }
        gone
    }

    fn offer(&mut self, consumer: &Agency, provider: &Agency, endpoint: &policy::Endpoint, key: EndpointKey) {
        let reserved = endpoint.reserved_for.contains(consumer);
        if !reserved && !endpoint.reserved_for.is_empty() {
            return;
        }
        for service in &endpoint.grpc_services {
            let offers = self.offers.entry(Arc::clone(service)).or_default();
            let at = offers.iter().position(|offer| offer.provider == *provider).unwrap_or_else(|| {
                offers.push(Offer { provider: provider.clone(), endpoints: Vec::new(), reserved });
                offers.len() - 1
            });
            let Some(offer) = offers.get_mut(at) else { continue };
            if reserved && !offer.reserved {
                offer.endpoints.clear();
                offer.reserved = true;
            }
            if reserved == offer.reserved {
                offer.endpoints.push(key);
            }
        }
    }
}
