//! Where calls can be taken, as one worker's relay knows it: the sidecars that the snapshot names, and the agency's own servers.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use chapar_core::{
    identity::{Agency, SpiffeId},
    policy::{Endpoint, Inquiry, PolicySnapshot},
};
use chapar_relay::{EndpointConfig, EndpointKey, Probe, Relay};

use super::dial::Dial;
use crate::{gate::Gate, trust::Trust, upstream::Upstreams};

/// What kind of place it is, as a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Towards {
    /// A sidecar of another agency.
    Peer,
    /// The agency's own server.
    Upstream,
}

impl Towards {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Upstream => "upstream",
        }
    }
}

/// What the gate knows of a place.
#[derive(Debug)]
pub(crate) struct Whither {
    /// What is there.
    pub(crate) towards: Towards,
    /// As people write it.
    pub(crate) address: Rc<str>,
    pub(super) dial: Rc<Dial>,
    /// When a call was last sent there.
    used: Cell<Option<Instant>>,
    /// It was said to be left out for failing, and not since that it takes calls again.
    pub(super) left_out: Cell<bool>,
}

/// A sidecar at an address; either one changing makes it another place.
type Whereabouts = (SpiffeId, Arc<str>);

/// Which place a call may be taken at.
#[derive(Debug, Default)]
pub(crate) struct PlaceBook {
    peers: HashMap<Whereabouts, EndpointKey>,
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
    places: Vec<EndpointKey>,
    /// Some of them are reserved for this agency.
    reserved: bool,
}

impl Whither {
    fn new(towards: Towards, address: &str, dial: Dial) -> Self {
        Self { towards, address: Rc::from(address), dial: Rc::new(dial), used: Cell::new(None), left_out: Cell::new(false) }
    }

    /// A place for tests, which nobody connects to.
    #[cfg(test)]
    pub(crate) fn of_tests(towards: Towards, address: &str) -> Self {
        Self::new(towards, address, Dial::Unix { path: "/nowhere".into() })
    }

    /// A call goes there now.
    pub(crate) fn used(&self, now: Instant) {
        self.used.set(Some(now));
    }
}

impl PlaceBook {
    /// The sidecars that take `inquiry` for this agency. Nodes that are reserved for it come before all others: while it has any,
    /// it uses no shared one.
    pub(crate) fn of_provider(&self, inquiry: &Inquiry) -> &[EndpointKey] {
        let offers = self.offers.get(&inquiry.grpc_service).map_or(&[][..], Vec::as_slice);
        offers.iter().find(|offer| offer.provider == inquiry.key.provider).map_or(&[], |offer| &offer.places)
    }

    /// The agency's own servers that take `inquiry`.
    pub(crate) fn of_upstream(&self, inquiry: &Inquiry) -> &[EndpointKey] {
        self.upstreams.get(&*inquiry.grpc_service).map_or(&[], Vec::as_slice)
    }

    /// A book for tests, in which `inquiry` is taken at `place`.
    #[cfg(test)]
    pub(crate) fn of_tests(inquiry: &Inquiry, towards: Towards, place: EndpointKey) -> Self {
        let mut book = Self::default();
        match towards {
            Towards::Peer => {
                let offer = Offer { provider: inquiry.key.provider.clone(), places: vec![place], reserved: false };
                book.offers.insert(Arc::clone(&inquiry.grpc_service), vec![offer]);
            }
            Towards::Upstream => drop(book.upstreams.insert((&*inquiry.grpc_service).into(), vec![place])),
        }
        book
    }

    fn peer_keys(&self) -> Vec<EndpointKey> {
        self.peers.values().copied().collect()
    }

    fn offer(&mut self, consumer: &Agency, provider: &Agency, endpoint: &Endpoint, key: EndpointKey) {
        let reserved = endpoint.reserved_for.contains(consumer);
        if !reserved && !endpoint.reserved_for.is_empty() {
            return;
        }
        for service in &endpoint.grpc_services {
            let offers = self.offers.entry(Arc::clone(service)).or_default();
            let at = offers.iter().position(|offer| offer.provider == *provider).unwrap_or_else(|| {
                offers.push(Offer { provider: provider.clone(), places: Vec::new(), reserved });
                offers.len() - 1
            });
            let Some(offer) = offers.get_mut(at) else { continue };
            if reserved && !offer.reserved {
                offer.places.clear();
                offer.reserved = true;
            }
            if reserved == offer.reserved {
                offer.places.push(key);
            }
        }
    }
}

/// Enters the agency's own servers, which do not change while the sidecar runs. They are connected to before the first call.
pub(super) fn enter_upstreams(relay: &mut Relay<Gate>, upstreams: &Upstreams, now: Instant) {
    for server in upstreams.servers() {
        let whither = Whither::new(Towards::Upstream, &server.address, server.dial.clone());
        // Ordinary gRPC servers close connections that ping more often than every five minutes (`too_many_pings`); they are
        // watched by health checks instead.
        let config = EndpointConfig { https: server.dial.is_encrypted(), authority: &server.authority, probe: Probe::Never };
        let key = relay.add_endpoint(whither, &config);
        relay.set_healthy(key, server.is_well());
        relay.keep_open(key, true, now);
        let book = &mut relay.gate_mut().places;
        book.upstreams.entry(server.service.as_ref().into()).or_default().push(key);
        book.servers.push(key);
    }
}

/// Heeds what health checks have found: what is not well is not connected to ahead either.
pub(super) fn heed_health(relay: &mut Relay<Gate>, upstreams: &Upstreams, now: Instant) {
    let keys = relay.gate().places.servers.clone();
    for (key, server) in keys.into_iter().zip(upstreams.servers()) {
        relay.set_healthy(key, server.is_well());
        relay.keep_open(key, server.is_well(), now);
    }
}

/// Brings the sidecars of other agencies in line with `snapshot`, as they are for calls of `consumer`. Gives those that it no longer
/// names: they get no further calls, and are to be taken out ([`leave`]) once running calls were decided again. Taken out before, they
/// would end calls that wait there for another reason than the policy's.
pub(super) fn follow(relay: &mut Relay<Gate>, snapshot: &PolicySnapshot, consumer: &Agency, trust: &Trust) -> Vec<EndpointKey> {
    let mut book = std::mem::take(&mut relay.gate_mut().places);
    let named: HashSet<(&SpiffeId, &str)> =
        snapshot.all_endpoints().map(|endpoint| (&endpoint.spiffe_id, &*endpoint.address)).collect();
    let gone = book.peers.extract_if(|(spiffe_id, address), _| !named.contains(&(spiffe_id, &**address)));
    let gone = gone.map(|(_, key)| key).collect();
    book.offers.clear();
    for endpoint in snapshot.all_endpoints() {
        let whereabouts = (endpoint.spiffe_id.clone(), Arc::clone(&endpoint.address));
        let key = *book.peers.entry(whereabouts).or_insert_with_key(|(expected, address)| {
            let dial = Dial::Peer { address: Arc::clone(address), expected: expected.clone(), trust: trust.clone() };
            let config = EndpointConfig { https: dial.is_encrypted(), authority: &authority(expected), probe: Probe::Ping };
            relay.add_endpoint(Whither::new(Towards::Peer, address, dial), &config)
        });
        if let Some(provider) = Agency::from_spiffe_id(&endpoint.spiffe_id, snapshot.trust_domain()) {
            book.offer(consumer, &provider, endpoint, key);
        }
    }
    relay.gate_mut().places = book;
    gone
}

/// Takes places out that no snapshot names any more: calls under way there go on, those that wait go elsewhere.
pub(super) fn leave(relay: &mut Relay<Gate>, gone: &[EndpointKey], now: Instant) {
    for key in gone {
        relay.remove_endpoint(*key, now);
    }
}

/// The sidecar's own credentials have changed: links that were made with the old ones take no further calls.
pub(super) fn retire_links(relay: &mut Relay<Gate>, now: Instant) {
    for key in relay.gate().places.peer_keys() {
        relay.retire_connections(key, now);
    }
}

/// Keeps a connection open to every sidecar that was called not long ago, so that the next call need not wait for one.
pub(super) fn keep_warm(relay: &mut Relay<Gate>, recent: std::time::Duration, now: Instant) {
    for key in relay.gate().places.peer_keys() {
        let used = relay.endpoint(key).and_then(|place| place.used.get());
        relay.keep_open(key, used.is_some_and(|at| now.saturating_duration_since(at) < recent), now);
    }
}

/// Places of each kind that are left out now.
pub(super) fn ejected(relay: &Relay<Gate>) -> [(Towards, usize); 2] {
    let book = &relay.gate().places;
    let count = |keys: &mut dyn Iterator<Item = &EndpointKey>| {
        keys.filter(|key| relay.endpoint_state(**key).is_some_and(|state| state.is_ejected)).count()
    };
    [(Towards::Peer, count(&mut book.peers.values())), (Towards::Upstream, count(&mut book.servers.iter()))]
}

/// `:authority` between sidecars: the provider's name, which says more in a packet capture or a proxy's log than the address
/// does. Nothing is decided on it.
fn authority(spiffe_id: &SpiffeId) -> String {
    match spiffe_id.agency() {
        Some(agency) => format!("{agency}.{}", spiffe_id.trust_domain()),
        None => spiffe_id.trust_domain().to_string(),
    }
}
